"""One set of constants: CODATA 2022. Inside genmol everything is in Å, eV, eV/Å, fs, K and e.

PySCF, ASE and other packages each carry a vintage of their own; their Hartree differ by 1e-8
relative, which is a third of a meV on a thousand-electron molecule. So a quantity is converted
once, at the border, with the numbers below. ``tests/core/test_units.py`` compares them with scipy's
table.

Primary constants (Tiesinga, Mohr, Newell and Taylor, CODATA 2022) are literal, the others follow.
"""

from __future__ import annotations

import math
from typing import Final

__all__ = [
    "AMU_TO_EV_FS2_PER_ANGSTROM2",
    "BOHR_TO_ANGSTROM",
    "EV_TO_INVERSE_CM",
    "EV_TO_KCAL_MOL",
    "EV_TO_KJ_MOL",
    "E_ANGSTROM_TO_DEBYE",
    "E_BOHR_TO_DEBYE",
    "HARTREE_PER_BOHR_TO_EV_PER_ANGSTROM",
    "HARTREE_TO_EV",
    "HARTREE_TO_KCAL_MOL",
    "HBAR_EV_FS",
    "KB",
]

# Exact by the definition of the SI
_ELEMENTARY_CHARGE: Final = 1.602176634e-19  # C
_AVOGADRO: Final = 6.02214076e23  # 1/mol
_BOLTZMANN: Final = 1.380649e-23  # J/K
_PLANCK: Final = 6.62607015e-34  # J s
_LIGHT_SPEED: Final = 299792458.0  # m/s
_CALORIE: Final = 4.184  # J, thermochemical

# Measured, CODATA 2022
HARTREE_TO_EV: Final = 27.211386245981
BOHR_TO_ANGSTROM: Final = 0.529177210544
_ATOMIC_MASS: Final = 1.66053906892e-27  # kg

HARTREE_PER_BOHR_TO_EV_PER_ANGSTROM: Final = HARTREE_TO_EV / BOHR_TO_ANGSTROM
KB: Final = _BOLTZMANN / _ELEMENTARY_CHARGE
"""Boltzmann's constant, eV/K."""
HBAR_EV_FS: Final = _PLANCK / (2 * math.pi) / _ELEMENTARY_CHARGE * 1e15
"""Reduced Planck constant, eV fs."""

EV_TO_KJ_MOL: Final = _ELEMENTARY_CHARGE * _AVOGADRO / 1000
EV_TO_KCAL_MOL: Final = EV_TO_KJ_MOL / _CALORIE
EV_TO_INVERSE_CM: Final = _ELEMENTARY_CHARGE / (_PLANCK * _LIGHT_SPEED) / 100
HARTREE_TO_KCAL_MOL: Final = HARTREE_TO_EV * EV_TO_KCAL_MOL

E_ANGSTROM_TO_DEBYE: Final = _ELEMENTARY_CHARGE * 1e-10 * _LIGHT_SPEED * 1e21
"""Dipole moment: 1 D = 1e-21 C m²/s / c."""
E_BOHR_TO_DEBYE: Final = E_ANGSTROM_TO_DEBYE * BOHR_TO_ANGSTROM

AMU_TO_EV_FS2_PER_ANGSTROM2: Final = _ATOMIC_MASS / _ELEMENTARY_CHARGE * 1e10
"""Mass in the unit that makes force = mass x acceleration hold in eV, Å and fs."""
