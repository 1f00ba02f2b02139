"""The matrices of a solved problem, without another Fock build.

The solver ends with an exact build of the density it returns. :class:`PotentialMemory` keeps the
potential of that build, so that the Fock matrix of the solution is there.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from pyscf import gto

from genmol.qc.label import pack

__all__ = ["PotentialMemory", "electronic_arrays"]

_SAME = 1e-9  # largest element by which two densities of one solution differ, by rounding


class PotentialMemory:
    """Keep the last potential that ``mf`` computes inside the ``with`` block.

    Args:
        mf: PySCF mean-field object, converged inside the block.
    """

    def __init__(self, mf: Any) -> None:
        self.mf = mf
        self._get_veff = mf.get_veff
        self._last: tuple[np.ndarray, Any] | None = None

    def __enter__(self) -> None:
        self.mf.get_veff = self._remember

    def __exit__(self, *exception: object) -> None:
        self.mf.__dict__.pop("get_veff", None)  # PySCF's own method is found in the class again

    def _remember(self, mol: Any = None, dm: Any = None, *args: Any, **options: Any) -> Any:
        veff = self._get_veff(mol, dm, *args, **options)
        self._last = (np.asarray(dm), veff)
        return veff

    def final(self) -> tuple[np.ndarray, int]:
        """V(D) of the present density of ``mf`` with the solvent's, and the builds it took."""
        density = np.asarray(self.mf.make_rdm1())
        builds = 0
        if self._last is None or not np.allclose(self._last[0], density, rtol=0.0, atol=_SAME):
            self._remember(self.mf.mol, density)
            builds = 1
        assert self._last is not None
        veff = self._last[1]
        solvent = getattr(veff, "v_solvent", None)
        return np.asarray(veff) if solvent is None else np.asarray(veff) + solvent, builds


def electronic_arrays(
    mf: Any, potential: np.ndarray, *, precision: str, overlap: bool
) -> dict[str, np.ndarray]:
    """Matrices, orbitals and shells of the converged ``mf``; see :mod:`genmol.qc.label`.

    Args:
        mf: RHF, UHF, ROHF, RKS, UKS or ROKS object.
        potential: V(D) of its density, so that F = h + V.
        precision: type of the packed matrices, ``float64`` or ``float32``.
        overlap: store the overlap matrix as well.
    """
    matrices = {"fock": mf.get_hcore() + potential, "density": np.asarray(mf.make_rdm1())}
    if overlap:
        matrices["overlap"] = mf.get_ovlp()
    return {
        **{name: pack(matrix).astype(precision) for name, matrix in matrices.items()},
        "orbital_coefficients": np.asarray(mf.mo_coeff),
        "orbital_energies": np.asarray(mf.mo_energy),
        "occupations": np.asarray(mf.mo_occ),
        "shells": mf.mol._bas[:, [gto.ATOM_OF, gto.ANG_OF, gto.NCTR_OF]],
    }
