"""GFN2-xTB through tblite: energies and forces in milliseconds, at a tight-binding level.

tblite works in atomic units; its numbers are converted here, with our own constants. The energy is
the electronic free energy at the default temperature of 300 K, as xtb and tblite report it. With a
solvent it includes the free energy of solvation in the ALPB model (state ``gsolv``: no correction of
the standard state, which would be a constant).

References: Bannwarth, Ehlert and Grimme, J. Chem. Theory Comput. 15, 1652 (2019); ALPB: Ehlert, Stahn,
Spicher and Grimme, J. Chem. Theory Comput. 17, 4250 (2021).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from genmol.core.errors import DeliveryError, InputError
from genmol.core.structure import check_electrons
from genmol.core.units import (
    BOHR_TO_ANGSTROM,
    E_BOHR_TO_DEBYE,
    HARTREE_PER_BOHR_TO_EV_PER_ANGSTROM,
)

__all__ = [
    "HEAVIEST",
    "LEVEL",
    "SOLVENTS",
    "Gfn2Molecule",
    "TightBinding",
    "check_elements",
    "check_solvent",
    "gfn2",
    "level_of",
]

_METHOD = "GFN2-xTB"
HEAVIEST = 86
"""Atomic number of the last element with parameters, radon."""
_ACCURACY = 0.01  # tblite's factor on its thresholds: energy to 1e-8, charges to 2e-7
LEVEL = {"method": _METHOD, "accuracy": _ACCURACY, "electronic_temperature_kelvin": 300.0}
"""The level of theory, for a record."""
SOLVENTS = (
    "acetone", "acetonitrile", "aniline", "benzaldehyde", "benzene", "chloroform", "cs2",
    "dichloromethane", "diethylether", "dioxane", "dmf", "dmso", "ethanol", "ethylacetate", "furane",
    "hexadecane", "hexane", "methanol", "nitromethane", "octanol", "phenol", "thf", "toluene", "water",
    "woctanol",
)  # fmt: skip
"""Those with ALPB parameters for GFN2-xTB; ``woctanol`` is octanol saturated with water."""


class TightBinding(NamedTuple):
    """Energy (Hartree), forces (n_atoms, 3) in eV/Å, dipole moment (3,) in Debye."""

    energy_hartree: float
    forces: np.ndarray
    dipole: np.ndarray


def level_of(*, solvent: str | None = None, accuracy: float = _ACCURACY) -> dict[str, Any]:
    """The level of theory with a solvent or another accuracy, for a record."""
    solvation = {"model": "ALPB", "solvent": solvent, "state": "gsolv"} if solvent else None
    return {**LEVEL, "accuracy": accuracy, "solvation": solvation}


def check_elements(numbers: np.ndarray) -> None:
    """Raise :class:`InputError` for an element beyond radon."""
    if max(numbers) > HEAVIEST:
        raise InputError(
            got=f"an atom with the atomic number {max(numbers)}",
            wanted=f"elements up to {HEAVIEST}, for which GFN2-xTB has parameters",
            remedy="use a density functional with a def2 basis",
        )


def check_solvent(solvent: str | None) -> None:
    """Raise :class:`InputError` for a solvent without ALPB parameters."""
    if solvent is not None and solvent not in SOLVENTS:
        raise InputError(
            got=f"the solvent {solvent!r}",
            wanted="one with ALPB parameters for GFN2-xTB: " + ", ".join(SOLVENTS),
            remedy="take the one with the nearest dielectric constant, or leave it out",
        )


class Gfn2Molecule:
    """A molecule whose tight-binding set-up is kept from geometry to geometry.

    Every geometry is solved from the same superposed atoms and gives the same bits as a new object
    would. Starting from the last wavefunction would save 15 % to 25 % of the time where geometries follow
    each other closely, and would make the last digits depend on what was computed before.

    Args:
        numbers: (n_atoms,) atomic numbers.
        charge: e.
        multiplicity: 2S+1.
        solvent: name of an ALPB solvent, or None for the gas phase.
        accuracy: tblite's factor on its thresholds. On alanine dipeptide with 1 (0.1, 0.01) energies
            are right to 1e-7 (1e-9, 1e-11) eV and forces to 1e-3 (6e-5, 1e-5) eV/Å, in 11 (13, 14)
            self-consistency cycles.

    Raises:
        InputError: no parameters for an element or the solvent, or impossible spin.
    """

    def __init__(
        self,
        numbers: np.ndarray | Sequence[int],
        *,
        charge: int,
        multiplicity: int,
        solvent: str | None = None,
        accuracy: float = _ACCURACY,
    ) -> None:
        self.numbers = np.asarray(numbers)
        check_elements(self.numbers)
        check_solvent(solvent)
        check_electrons(self.numbers.tolist(), charge, multiplicity)
        self.charge, self.multiplicity = charge, multiplicity
        self.solvent, self.accuracy = solvent, accuracy
        self._calculator: Any = None

    def at(self, positions: np.ndarray) -> TightBinding:
        """Energy, forces and dipole at ``positions`` (n_atoms, 3), Å.

        tblite computes the forces with every energy, so there is no cheaper way to the energy alone.

        Raises:
            DeliveryError: the charges did not become self-consistent, or atoms lie on each other.
        """
        from tblite.exceptions import TBLiteRuntimeError

        bohr = np.asarray(positions, dtype=float) / BOHR_TO_ANGSTROM
        try:
            if self._calculator is None:
                self._calculator = self._made(bohr)
            else:
                self._calculator.update(bohr)
            result = self._calculator.singlepoint()
        except TBLiteRuntimeError as error:
            self._calculator = None  # whatever state it is in
            raise DeliveryError(
                got=f"no self-consistent GFN2-xTB charges: {error}",
                wanted="a converged tight-binding calculation",
                remedy="check geometry, charge and multiplicity",
            ) from error
        return TightBinding(
            float(result["energy"]),
            -np.asarray(result["gradient"]) * HARTREE_PER_BOHR_TO_EV_PER_ANGSTROM,
            np.asarray(result["dipole"]) * E_BOHR_TO_DEBYE,
        )

    def _made(self, bohr: np.ndarray) -> Any:
        """A new calculator."""
        from tblite.interface import Calculator

        made = Calculator(_METHOD, self.numbers, bohr, float(self.charge), self.multiplicity - 1)
        made.set("verbosity", 0)
        made.set("accuracy", self.accuracy)
        if self.solvent is not None:
            made.add("alpb-solvation", self.solvent)
        return made


def gfn2(
    numbers: np.ndarray,
    positions: np.ndarray,
    *,
    charge: int,
    multiplicity: int,
    solvent: str | None = None,
) -> TightBinding:
    """Energy, forces and dipole of the molecule at ``positions`` (Å), once.

    Raises:
        InputError: an element beyond radon, an unknown solvent, or impossible spin.
        DeliveryError: the charges did not become self-consistent.
    """
    molecule = Gfn2Molecule(numbers, charge=charge, multiplicity=multiplicity, solvent=solvent)
    return molecule.at(positions)
