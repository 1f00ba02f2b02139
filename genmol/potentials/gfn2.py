"""GFN2-xTB for samplers: any molecule up to radon, in the gas phase or in an ALPB solvent.

The set-up of each molecule is kept; its wavefunction is not (see :class:`genmol.qc.gfn2.Gfn2Molecule`),
so an energy does not depend on what was computed before. The thresholds are ten times looser than those
of labels: energies to 1e-9 eV, a ten-millionth of kT at room temperature.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from genmol.core.errors import InputError
from genmol.core.units import HARTREE_TO_EV
from genmol.potentials.domain import Domain
from genmol.potentials.one_by_one import OneByOne, Structure
from genmol.qc.gfn2 import HEAVIEST, Gfn2Molecule, check_solvent, level_of

__all__ = ["Gfn2"]

_KEPT = 16  # molecules
_DOMAIN = Domain(
    words="molecules of hydrogen to radon (Z = 86)", elements=frozenset(range(1, HEAVIEST + 1))
)


class Gfn2(OneByOne):
    """GFN2-xTB. Energies alone cost as much as with forces.

    Args:
        solvent: name of an ALPB solvent (:data:`genmol.qc.gfn2.SOLVENTS`), None for the gas phase.
        accuracy: tblite's factor on its thresholds.

    Raises:
        InputError: an unknown solvent, or an accuracy that is not positive.
    """

    def __init__(self, *, solvent: str | None = None, accuracy: float = 0.1) -> None:
        super().__init__()
        check_solvent(solvent)
        if not accuracy > 0:
            raise InputError(
                got=f"an accuracy of {accuracy}",
                wanted="a positive factor on tblite's thresholds",
                remedy="0.1 for sampling, 0.01 for labels",
            )
        self.solvent, self.accuracy = solvent, accuracy
        self._kept: dict[tuple[bytes, int, int], Gfn2Molecule] = {}

    @property
    def name(self) -> str:
        """For people."""
        return f"GFN2-xTB in {self.solvent} (ALPB)" if self.solvent else "GFN2-xTB"

    @property
    def level(self) -> dict[str, Any]:
        """Method, thresholds, solvent."""
        return level_of(solvent=self.solvent, accuracy=self.accuracy)

    @property
    def domain(self) -> Domain:
        """Everything up to radon, of any charge and spin."""
        return _DOMAIN

    def single(self, structure: Structure, *, forces: bool) -> tuple[float, np.ndarray | None]:
        """From tblite."""
        found = self._molecule(structure).at(structure.positions)
        return found.energy_hartree * HARTREE_TO_EV, found.forces if forces else None

    def _molecule(self, structure: Structure) -> Gfn2Molecule:
        key = (structure.numbers.tobytes(), structure.charge, structure.multiplicity)
        if key not in self._kept:
            if len(self._kept) == _KEPT:
                self._kept.pop(next(iter(self._kept)))
            self._kept[key] = Gfn2Molecule(
                structure.numbers,
                charge=structure.charge,
                multiplicity=structure.multiplicity,
                solvent=self.solvent,
                accuracy=self.accuracy,
            )
        return self._kept[key]
