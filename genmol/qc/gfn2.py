"""GFN2-xTB through tblite: energies and forces in milliseconds, at a tight-binding level.

tblite works in atomic units; its numbers are converted here, with our own constants. The energy is
the electronic free energy at the default temperature of 300 K, as xtb and tblite report it.

Reference: Bannwarth, Ehlert and Grimme, J. Chem. Theory Comput. 15, 1652 (2019).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from genmol.core.errors import DeliveryError, InputError
from genmol.core.units import (
    BOHR_TO_ANGSTROM,
    E_BOHR_TO_DEBYE,
    HARTREE_PER_BOHR_TO_EV_PER_ANGSTROM,
)

__all__ = ["LEVEL", "TightBinding", "check_elements", "gfn2"]

_METHOD = "GFN2-xTB"
_HEAVIEST = 86
_ACCURACY = 0.01  # tblite's factor on its thresholds: energy to 1e-8, charges to 2e-7
LEVEL = {"method": _METHOD, "accuracy": _ACCURACY, "electronic_temperature_kelvin": 300.0}
"""The level of theory, for a record."""


class TightBinding(NamedTuple):
    """Energy (Hartree), forces (n_atoms, 3) in eV/Å, dipole moment (3,) in Debye."""

    energy_hartree: float
    forces: np.ndarray
    dipole: np.ndarray


def check_elements(numbers: np.ndarray) -> None:
    """Raise :class:`InputError` for an element beyond radon."""
    if max(numbers) > _HEAVIEST:
        raise InputError(
            got=f"an atom with the atomic number {max(numbers)}",
            wanted=f"elements up to {_HEAVIEST}, for which GFN2-xTB has parameters",
            remedy="use a density functional with a def2 basis",
        )


def gfn2(
    numbers: np.ndarray, positions: np.ndarray, *, charge: int, multiplicity: int
) -> TightBinding:
    """Energy, forces and dipole of the molecule at ``positions`` (Å).

    Raises:
        InputError: an element beyond radon.
        DeliveryError: the charges did not become self-consistent.
    """
    from tblite.exceptions import TBLiteRuntimeError
    from tblite.interface import Calculator

    check_elements(numbers)
    calculator = Calculator(
        _METHOD,
        np.asarray(numbers),
        np.asarray(positions, dtype=float) / BOHR_TO_ANGSTROM,
        float(charge),
        multiplicity - 1,
    )
    calculator.set("verbosity", 0)
    calculator.set("accuracy", _ACCURACY)
    try:
        result = calculator.singlepoint()
    except TBLiteRuntimeError as error:
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
