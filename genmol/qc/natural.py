r"""One form for every density: orthonormal orbitals and occupations, per spin.

With the overlap matrix *S*, a density of one spin is

.. math::
    D = C\,\operatorname{diag}(n)\,C^T, \qquad C^T S C = 1, \qquad 0 \le n_i \le 1,
    \qquad \operatorname{tr} DS = \sum_i n_i ,

where :math:`S^{1/2}C` are the eigenvectors and *n* the eigenvalues of :math:`S^{1/2} D S^{1/2}`
(natural orbitals; Löwdin, 1955). Moving a density to another basis, geometry, charge or spin
treatment becomes simple in this form: *C* is moved and made orthonormal again, *n* is filled to the
new number of electrons, and :math:`\operatorname{tr} DS = N` holds by construction.

Filling is by aufbau where the orbitals come in the order of their energies and all occupations are
0 or 1. Otherwise, as for superposed atoms whose occupations are fractional and may exceed one, each
occupation moves by the same amount on the scale of Fermi's distribution,

.. math::
    n_i \leftarrow \frac{n_i}{n_i + (1 - n_i)\, e^{-\lambda}}, \qquad \sum_i n_i = N,

which leaves full cores full and empty orbitals empty, while scaling the density of a cation's
neutral atoms would ionise the cores. (The number of SCF cycles from either is the same.)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from pyscf import lib, scf
from scipy.optimize import brentq

__all__ = [
    "SpinOrbitals",
    "assemble",
    "electrons_per_spin",
    "from_mo",
    "lowdin",
    "orthonormalise",
    "spin_orbitals",
    "two_spins",
]

_INTEGRAL = 1e-6  # an occupation this near to 0 or 1 counts as such
_EMPTY = 1e-12  # smallest occupation, and smallest vacancy, that the Fermi shift can move


@dataclass(frozen=True)
class SpinOrbitals:
    """Orthonormal orbitals of one spin.

    Attributes:
        coeff: (nao, n), CᵀSC = 1.
        occ: occupations (n,), descending; in [0, 1] for a sound density.
        by_energy: equal occupations are in the order of orbital energy.
    """

    coeff: np.ndarray
    occ: np.ndarray
    by_energy: bool = False

    @property
    def integral(self) -> bool:
        """Every occupation is 0 or 1: the density is idempotent."""
        return bool(np.all(np.abs(self.occ - np.round(self.occ)) < _INTEGRAL))

    def filled(self, electrons: float) -> SpinOrbitals:
        """The same orbitals holding ``electrons``."""
        if abs(self.occ.sum() - electrons) < 1e-8 and self.occ.max(initial=0.0) < 1 + _INTEGRAL:
            return self
        if self.by_energy and self.integral and electrons == round(electrons) <= len(self.occ):
            occ = (np.arange(len(self.occ)) < electrons).astype(float)
        else:
            occ = _fermi_shifted(self.occ, electrons)
        return SpinOrbitals(self.coeff, occ, self.by_energy)


def _fermi_shifted(occ: np.ndarray, electrons: float) -> np.ndarray:
    if electrons <= 0:
        return np.zeros_like(occ)
    if electrons >= len(occ):
        return np.ones_like(occ)
    n = np.clip(occ, _EMPTY, 1 - _EMPTY)

    def shifted(x: float) -> np.ndarray:
        return np.asarray(n / (n + (1 - n) * np.exp(-x)))

    return shifted(brentq(lambda x: shifted(x).sum() - electrons, -100.0, 100.0, xtol=1e-13))


def lowdin(overlap: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The symmetric S^{1/2} and S^{-1/2}."""
    value, vector = np.linalg.eigh(overlap)
    root = np.sqrt(np.maximum(value, 1e-14))
    return (vector * root) @ vector.T, (vector / root) @ vector.T


def orthonormalise(coeff: np.ndarray, overlap: np.ndarray) -> np.ndarray:
    """The nearest orthonormal orbitals, C(CᵀSC)^{-1/2} (Löwdin, 1950)."""
    return np.asarray(coeff @ lowdin(coeff.T @ overlap @ coeff)[1])


def two_spins(mf: Any) -> bool:
    """Whether the object's densities are (2, nao, nao)."""
    return isinstance(mf, scf.uhf.UHF | scf.rohf.ROHF)


def electrons_per_spin(mf: Any) -> tuple[float, float]:
    """Electrons of α and β spin that the mean-field object asks for."""
    if two_spins(mf):
        alpha, beta = mf.nelec
        return float(alpha), float(beta)
    return mf.mol.nelectron / 2, mf.mol.nelectron / 2


def spin_orbitals(dm: np.ndarray, overlap: np.ndarray) -> tuple[SpinOrbitals, SpinOrbitals]:
    """α and β orbitals of a density (nao, nao) or (2, nao, nao).

    The orbitals that PySCF tags a density with are used if they are orthonormal; else natural ones.
    """
    coeff, occ = getattr(dm, "mo_coeff", None), getattr(dm, "mo_occ", None)
    if coeff is not None and occ is not None:
        tagged = from_mo(coeff, occ)
        if all(_orthonormal(o.coeff, overlap) for o in tagged):
            return tagged
    if np.ndim(dm) == 2:
        shared = _natural(0.5 * np.asarray(dm), overlap)
        return shared, shared
    return _natural(np.asarray(dm[0]), overlap), _natural(np.asarray(dm[1]), overlap)


def from_mo(mo_coeff: Any, mo_occ: Any) -> tuple[SpinOrbitals, SpinOrbitals]:
    """α and β orbitals of PySCF's ``mo_coeff`` and ``mo_occ``, whatever their spin treatment."""
    if np.ndim(mo_occ) == 2:
        return _sorted(mo_coeff[0], mo_occ[0]), _sorted(mo_coeff[1], mo_occ[1])
    occ = np.asarray(mo_occ, dtype=float)
    if np.any(occ == 1) and not np.any((occ % 1) > 0):  # restricted open shell
        return _sorted(mo_coeff, occ > 0), _sorted(mo_coeff, occ == 2)
    shared = _sorted(mo_coeff, occ / 2)
    return shared, shared


def _sorted(coeff: Any, occ: Any) -> SpinOrbitals:
    occ = np.asarray(occ, dtype=float)
    order = np.argsort(-occ, kind="stable")
    return SpinOrbitals(np.asarray(coeff)[:, order], occ[order], by_energy=True)


def _orthonormal(coeff: np.ndarray, overlap: np.ndarray) -> bool:
    return bool(np.abs(coeff.T @ overlap @ coeff - np.eye(coeff.shape[1])).max(initial=0.0) < 1e-8)


def _natural(dm: np.ndarray, overlap: np.ndarray) -> SpinOrbitals:
    root, inverse = lowdin(overlap)
    occ, vector = np.linalg.eigh(root @ (0.5 * (dm + dm.T)) @ root)
    return SpinOrbitals(inverse @ vector[:, ::-1], occ[::-1])


def assemble(mf: Any, orbitals: tuple[SpinOrbitals, SpinOrbitals]) -> np.ndarray:
    """The density that ``mf`` takes, with its number of electrons in each spin.

    Returns:
        (nao, nao) for a restricted object, else (2, nao, nao), in PySCF's orbital order and with
        PySCF's tags ``mo_coeff`` and ``mo_occ`` where one set of orbitals describes it.
    """
    alpha, beta = (o.filled(n) for o, n in zip(orbitals, electrons_per_spin(mf), strict=True))
    a, b = ((o.coeff * o.occ) @ o.coeff.T for o in (alpha, beta))
    if not two_spins(mf):
        if alpha.coeff is not beta.coeff:
            return np.asarray(a + b)
        return np.asarray(lib.tag_array(2 * a, mo_coeff=alpha.coeff, mo_occ=2 * alpha.occ))
    dm = np.stack([a, b])
    if isinstance(mf, scf.rohf.ROHF):  # PySCF expects tags of one common set of orbitals here
        return dm
    width = max(len(alpha.occ), len(beta.occ))
    coeff = np.stack([_padded(o.coeff, width) for o in (alpha, beta)])
    occ = np.stack([_padded(o.occ, width) for o in (alpha, beta)])
    return np.asarray(lib.tag_array(dm, mo_coeff=coeff, mo_occ=occ))


def _padded(array: np.ndarray, width: int) -> np.ndarray:
    missing = width - array.shape[-1]
    return np.pad(array, [(0, 0)] * (array.ndim - 1) + [(0, missing)])
