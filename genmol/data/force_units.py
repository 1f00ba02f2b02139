"""Units in which forces come, and what they are in eV/Å. Positions are in Å whatever the unit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal, NamedTuple

from genmol.core.units import (
    EV_TO_KCAL_MOL,
    EV_TO_KJ_MOL,
    HARTREE_PER_BOHR_TO_EV_PER_ANGSTROM,
    HARTREE_TO_EV,
)

__all__ = ["FORCE_UNITS", "Factors", "ForceUnit", "likely_unit"]

ForceUnit = Literal[
    "ev/angstrom",
    "kcal/mol/angstrom",
    "kj/mol/angstrom",
    "kj/mol/nm",
    "hartree/bohr",
    "hartree/angstrom",
]


class Factors(NamedTuple):
    """What a unit is: ``force`` in eV/Å, ``energy`` of energies beside such forces in eV."""

    force: float
    energy: float


FORCE_UNITS: Final[Mapping[ForceUnit, Factors]] = {
    "ev/angstrom": Factors(1.0, 1.0),
    "kcal/mol/angstrom": Factors(1 / EV_TO_KCAL_MOL, 1 / EV_TO_KCAL_MOL),
    "kj/mol/angstrom": Factors(1 / EV_TO_KJ_MOL, 1 / EV_TO_KJ_MOL),
    "kj/mol/nm": Factors(0.1 / EV_TO_KJ_MOL, 1 / EV_TO_KJ_MOL),
    "hartree/bohr": Factors(HARTREE_PER_BOHR_TO_EV_PER_ANGSTROM, HARTREE_TO_EV),
    "hartree/angstrom": Factors(HARTREE_TO_EV, HARTREE_TO_EV),
}


def likely_unit(ratio: float, read_as: ForceUnit, *, tolerance: float) -> ForceUnit | None:
    """The other unit that forces are in, if they are ``ratio`` times what they should be.

    Args:
        ratio: of forces as read to true ones.
        read_as: unit that they were read in.
        tolerance: relative, of the ratio.
    """
    for unit, factors in FORCE_UNITS.items():
        expected = FORCE_UNITS[read_as].force / factors.force
        if unit != read_as and abs(ratio / expected - 1) <= tolerance:
            return unit
    return None
