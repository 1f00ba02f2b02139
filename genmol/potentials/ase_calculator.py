"""Any ASE calculator as a potential.

ASE's unit of energy is the eV and of length the Å, as ours. Where a calculator has a free energy of
its electrons, that is the energy taken: it is what the forces are the derivative of.

The calculator decides what it can compute, how it starts a geometry and what of the last one it
remembers; its energies should depend on the geometry alone to much better than kT.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.calculator import BaseCalculator, CalculationFailed, SCFError

from genmol.core.errors import DeliveryError, InputError
from genmol.core.jsonable import jsonable
from genmol.potentials.domain import Domain
from genmol.potentials.one_by_one import OneByOne, Structure

__all__ = ["AseCalculator"]


class AseCalculator(OneByOne):
    """An ASE calculator.

    ASE has no common way to tell a calculator charge and multiplicity: set it up for those given here.
    They are in ``atoms.info`` too. ``CalculationFailed`` and ``SCFError`` are failures of one geometry,
    any other exception is an error.

    Args:
        calculator: with energy and forces among its properties.
        charge: e, of all structures.
        multiplicity: 2S+1 of all structures; None for whatever the calculator takes.
        elements: atomic numbers it was made for; None if it can tell.
        name: for people; the calculator's own by default.
        level: the level of theory for a record, plain JSON.

    Raises:
        InputError: it has no energies or no forces.
    """

    def __init__(
        self,
        calculator: BaseCalculator,
        *,
        charge: int = 0,
        multiplicity: int | None = None,
        elements: Collection[int] | None = None,
        name: str | None = None,
        level: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()
        self.calculator = calculator
        properties = calculator.implemented_properties
        if missing := {"energy", "forces"} - set(properties):
            raise InputError(
                got=f"the calculator {calculator.name} without {' and '.join(sorted(missing))}",
                wanted="an ASE calculator with energy and forces",
                remedy="take another calculator, or switch its forces on",
            )
        self._energy = "free_energy" if "free_energy" in properties else "energy"
        self._charge, self._multiplicity = charge, multiplicity
        self._elements = None if elements is None else frozenset(elements)
        self._name = f"{calculator.name} (ASE)" if name is None else name
        self._level = dict(level or {})

    @property
    def name(self) -> str:
        """As given, or the calculator's."""
        return self._name

    @property
    def level(self) -> dict[str, Any]:
        """Class of the calculator, and what was given."""
        kind = type(self.calculator)
        record = {"method": self._name, "calculator": f"{kind.__module__}.{kind.__qualname__}"}
        found = jsonable(record | self._level)
        assert isinstance(found, dict)
        return found

    @property
    def domain(self) -> Domain:
        """What was given."""
        multiplicity = None if self._multiplicity is None else frozenset({self._multiplicity})
        spin = "" if multiplicity is None else f" and multiplicity {self._multiplicity}"
        return Domain(
            words=f"structures of charge {self._charge}{spin} for {self._name}",
            elements=self._elements,
            charges=frozenset({self._charge}),
            multiplicities=multiplicity,
        )

    def single(self, structure: Structure, *, forces: bool) -> tuple[float, np.ndarray | None]:
        """From the calculator."""
        info = {"charge": structure.charge, "multiplicity": structure.multiplicity}
        atoms = Atoms(structure.numbers, structure.positions, info=info)
        try:
            # forces first: a calculator that computes them has the energy too
            found = self.calculator.get_property("forces", atoms) if forces else None
            energy = self.calculator.get_property(self._energy, atoms)
        except (CalculationFailed, SCFError) as error:
            raise DeliveryError(
                got=f"no answer from {self._name}: {error}",
                wanted="energy and forces",
                remedy="check the geometry and the calculator's settings",
            ) from error
        return float(energy), None if found is None else np.asarray(found)
