r"""Density-fitted Coulomb and exchange matrices by dense matrix products.

With :math:`B^P_{\mu\nu}` the Cholesky-orthonormalised three-centre integrals and
:math:`D = \sum_i s_i u_i u_i^T` with signs :math:`s_i`,

.. math::
    J_{\mu\nu} = \sum_P B^P_{\mu\nu} \sum_{\kappa\lambda} B^P_{\kappa\lambda} D_{\kappa\lambda},
    \qquad
    K_{\mu\nu} = \sum_{P i} s_i (B^P u_i)_{\mu} (B^P u_i)_{\nu} .

PySCF keeps B packed (one triangle); unpacked, both steps of K are plain matrix products and four
times faster. A tensor that does not fit unpacked stays packed, in memory or on disk, and PySCF's own
routine runs.
"""

from __future__ import annotations

import warnings
from typing import Any, ClassVar

import numpy as np
from pyscf import df, lib

from genmol.qc.density import occupied_factors

__all__ = ["Fitting"]

_CHUNK = 64  # auxiliary functions per matrix product
_LEAST_MB = 100.0  # for the buffers of integrals that go to disk


class Fitting(df.DF):
    """A drop-in ``mf.with_df`` for real, symmetric densities.

    Args:
        mol: PySCF molecule.
        auxbasis: fitting basis, None for PySCF's exchange-fitting set of the orbital basis.
        budget_mb: memory that the tensor may take (MB).
    """

    _keys: ClassVar[set[str]] = {"budget_mb", "_unpacked"}

    def __init__(self, mol: Any, auxbasis: Any = None, *, budget_mb: float = 1000.0) -> None:
        super().__init__(mol, auxbasis)
        self.budget_mb = budget_mb
        self._unpacked: np.ndarray | None = None

    def build(self) -> Fitting:
        """Evaluate the packed tensor; on disk if it exceeds the budget."""
        self.max_memory = lib.current_memory()[0] + max(self.budget_mb / 0.9, _LEAST_MB)
        with warnings.catch_warnings():  # PySCF has no fitting set for an element and makes one
            warnings.filterwarnings("ignore", "Basis may be available", UserWarning)
            super().build()
        return self

    def prepare(self, *, with_k: bool) -> None:
        """Have the tensor ready, as :meth:`get_jk` will want it."""
        if self._cderi is None and self._unpacked is None:
            self.build()
        if with_k:
            self._unpack()

    def reset(self, mol: Any = None) -> Fitting:
        """Forget the tensor, and take another molecule if given."""
        self._unpacked = None
        return super().reset(mol)

    def get_jk(
        self,
        dm: np.ndarray,
        hermi: int = 1,
        with_j: bool = True,
        with_k: bool = True,
        direct_scf_tol: float = 1e-13,
        omega: float | None = None,
    ) -> tuple[Any, Any]:
        """J and K in the shape of ``dm``; ``omega`` attenuates the interaction (PySCF's signs)."""
        if omega is not None:
            with self.range_coulomb(omega) as attenuated:
                return attenuated.get_jk(dm, hermi, with_j, with_k, direct_scf_tol)
        if self._cderi is None and self._unpacked is None:
            self.build()  # PySCF would evaluate the integrals anew for every Coulomb matrix
        b = self._unpack() if with_k else self._unpacked
        if b is None:
            return super().get_jk(dm, hermi, with_j, with_k, direct_scf_tol)
        naux, nao, _ = b.shape
        dms = np.asarray(dm).reshape(-1, nao, nao)
        vj = None
        if with_j:
            flat = b.reshape(naux, -1)
            vj = ((dms.reshape(len(dms), -1) @ flat.T) @ flat).reshape(np.shape(dm))
        if not with_k:
            return vj, None
        factors = occupied_factors(dm)
        if factors is None:
            vk = [_exchange(b, *_signed_factors(d)) for d in dms]
        else:
            vk = [_exchange(b, u, np.ones(u.shape[1])) for u in factors]
        return vj, np.stack(vk).reshape(np.shape(dm))

    def _unpack(self) -> np.ndarray | None:
        """The tensor (naux, nao, nao) in place of the packed one; None without room for it."""
        if self._unpacked is not None:
            return self._unpacked
        shape = (self.get_naoaux(), self.mol.nao, self.mol.nao)
        if np.prod(shape) * 8e-6 > self.budget_mb:
            return None
        unpacked, p = np.empty(shape), 0
        for block in self.loop(_CHUNK):
            lib.unpack_tril(block, out=unpacked[p : p + len(block)])
            p += len(block)
        self._unpacked, self._cderi = unpacked, None
        return unpacked


def _signed_factors(dm: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    weight, vectors = np.linalg.eigh(dm)
    keep = np.abs(weight) > 1e-12 * np.abs(weight).max(initial=1.0)
    return vectors[:, keep] * np.sqrt(np.abs(weight[keep])), np.sign(weight[keep])


def _exchange(b: np.ndarray, u: np.ndarray, sign: np.ndarray) -> np.ndarray:
    nao = b.shape[1]
    k = np.zeros((nao, nao))
    for p in range(0, len(b), _CHUNK):
        chunk = b[p : p + _CHUNK]
        half = (chunk.reshape(-1, nao) @ u).reshape(len(chunk), nao, -1)
        left = half.transpose(1, 0, 2).reshape(nao, -1)
        if (sign < 0).any():
            k += (half * sign).transpose(1, 0, 2).reshape(nao, -1) @ left.T
        else:
            k += left @ left.T
    return k
