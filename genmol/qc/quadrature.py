r"""Exchange-correlation quadrature over spatially screened blocks of grid points.

For a functional :math:`E_{xc} = \int f(\rho, \nabla\rho, \tau)` on points :math:`r_g` with weights
:math:`w_g`, every block of neighbouring points sees only the atomic orbitals
:math:`\phi_\mu` that exceed ``cutoff`` somewhere in the block. With those,

.. math::
    \psi_i = \sum_\mu C_{\mu i}\phi_\mu, \quad X_\mu = \sum_i n_i C_{\mu i}\psi_i
           = \sum_\nu D_{\mu\nu}\phi_\nu, \quad
    \rho = \sum_\mu \phi_\mu X_\mu, \quad
    \nabla\rho = 2\sum_\mu X_\mu\nabla\phi_\mu, \quad
    \tau = \tfrac12\sum_i n_i |\nabla\psi_i|^2 ,

    V_{\mu\nu} = \sum_g \phi_\mu\Bigl(\tfrac12 v_\rho\phi_\nu + v_{\nabla\rho}\cdot\nabla\phi_\nu
                \Bigr) + \text{transpose}
                + \tfrac12\sum_g v_\tau\nabla\phi_\mu\cdot\nabla\phi_\nu .

These are the sums that PySCF's ``NumInt`` evaluates, with the same points, weights, orbitals and
libxc kernels; they differ from it in rounding only (tested to 1e-10). What is different is the cost:
dense matrix products of the screened blocks, two thin products through the occupied orbitals
where those are known, and, for the small grids of a cheap level, orbital values kept in memory.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

import numpy as np
from pyscf.dft import gen_grid, numint
from pyscf.gto.eval_gto import BLKSIZE

from genmol.qc.density import occupied_factors
from genmol.qc.grid import build_grid

__all__ = ["Quadrature"]

_BLOCK = 18 * BLKSIZE  # 1008 points: the block of orbitals stays in the processor's cache
_Density = tuple[np.ndarray, np.ndarray | None]  # density matrix of a spin, its occupied factor
_Block = tuple[np.ndarray, np.ndarray, slice]  # (comp, n_orbitals, n_points), orbital index, points


class Quadrature(numint.NumInt):
    """A drop-in ``mf._numint``: the energy and potential of real densities, several times faster.

    Only ``nr_rks`` and ``nr_uks`` of one real, symmetric density are replaced; everything else
    (response kernels, non-local correlation, complex densities) remains PySCF's.

    Args:
        cutoff: orbital values below this everywhere in a block are dropped.
        keep_orbitals: store the orbital values of the last grid, for repeated use of a small grid.

    Attributes:
        electrons: electron number of the last density, integrated on the grid.
    """

    _keys: ClassVar[set[str]] = {"orbital_cutoff", "keep_orbitals", "electrons", "_store"}

    def __init__(self, *, cutoff: float = 1e-12, keep_orbitals: bool = False) -> None:
        super().__init__()
        self.orbital_cutoff = cutoff
        self.keep_orbitals = keep_orbitals
        self.electrons: float | None = None
        self._store: tuple[Any, int, list[_Block]] | None = None

    def nr_rks(
        self,
        mol: Any,
        grids: Any,
        xc_code: str,
        dms: Any,
        relativity: int = 0,
        hermi: int = 1,
        max_memory: float = 2000,
        verbose: Any = None,
    ) -> tuple[Any, Any, Any]:
        """Electron number, energy (Hartree) and potential (nao, nao) of a closed-shell density."""
        if not _is_plain(dms, 2, hermi) or not self._supports(xc_code):
            return super().nr_rks(mol, grids, xc_code, dms, relativity, hermi, max_memory, verbose)
        n, exc, v = self._integrate(mol, grids, xc_code, _with_factors(dms))
        return n[0], exc, v[0]

    def nr_uks(
        self,
        mol: Any,
        grids: Any,
        xc_code: str,
        dms: Any,
        relativity: int = 0,
        hermi: int = 1,
        max_memory: float = 2000,
        verbose: Any = None,
    ) -> tuple[Any, Any, Any]:
        """Electron numbers (2,), energy (Hartree) and potentials (2, nao, nao) of two spins."""
        if not _is_plain(dms, 3, hermi) or not self._supports(xc_code):
            return super().nr_uks(mol, grids, xc_code, dms, relativity, hermi, max_memory, verbose)
        return self._integrate(mol, grids, xc_code, _with_factors(dms))

    def _supports(self, xc_code: str) -> bool:
        laplacian = any(x in xc_code.upper() for x in ("CC06", "CS", "BR89", "MK00"))
        return self._xc_type(xc_code) in ("LDA", "GGA", "MGGA") and not laplacian

    def _integrate(
        self, mol: Any, grids: Any, xc_code: str, densities: list[_Density]
    ) -> tuple[np.ndarray, float, np.ndarray]:
        """Sum the blocks; ``densities`` holds (dm, scaled occupied orbitals or None) per spin."""
        xctype = self._xc_type(xc_code)
        n_spin, nao = len(densities), mol.nao
        n_electrons, energy = np.zeros(n_spin), 0.0
        half = np.zeros((n_spin, nao, nao))  # V without its transpose
        kinetic = np.zeros((n_spin, nao, nao)) if xctype == "MGGA" else None
        for ao, index, points in self._blocks(mol, grids, 0 if xctype == "LDA" else 1):
            weights = grids.weights[points]
            rho = np.stack([_density(ao, index, d, xctype) for d in densities])
            exc, vxc = self.eval_xc_eff(
                xc_code, rho[0] if n_spin == 1 else rho, deriv=1, xctype=xctype, spin=n_spin - 1
            )[:2]
            weighted_density = rho[:, 0] * weights
            n_electrons += weighted_density.sum(axis=1)
            energy += weighted_density.sum(axis=0) @ exc
            wv = (vxc if n_spin == 2 else vxc[None]) * weights
            wv[:, 0] *= 0.5
            block = np.ix_(index, index)
            for s in range(n_spin):
                aow = ao[0] * wv[s, 0]
                for k in range(1, min(len(ao), 4)):
                    aow += ao[k] * wv[s, k]
                half[s][block] += ao[0] @ aow.T
                if kinetic is not None:
                    half_v_tau = 0.5 * wv[s, 4]
                    kinetic[s][block] += sum(ao[k] @ (ao[k] * half_v_tau).T for k in (1, 2, 3))
        self.electrons = float(n_electrons.sum())
        potential = half + half.transpose(0, 2, 1)
        if kinetic is not None:
            potential += kinetic
        return n_electrons, energy, potential

    def _blocks(self, mol: Any, grids: Any, deriv: int) -> Iterator[_Block]:
        if grids.coords is None:
            build_grid(grids)
        if self._store is not None and self._store[0] is grids.coords and self._store[1] >= deriv:
            yield from self._store[2]
            return
        kept: list[_Block] = []
        for block in self._evaluate_blocks(mol, grids, deriv):
            if self.keep_orbitals:
                kept.append(block)
            yield block
        if self.keep_orbitals:
            self._store = (grids.coords, deriv, kept)

    def _evaluate_blocks(self, mol: Any, grids: Any, deriv: int) -> Iterator[_Block]:
        mask = gen_grid.make_mask(mol, grids.coords, cutoff=self.orbital_cutoff)
        shell_of_orbital = np.repeat(np.arange(mol.nbas), np.diff(mol.ao_loc_nr()))
        per_block = _BLOCK // BLKSIZE
        for b, p0 in enumerate(range(0, len(grids.weights), _BLOCK)):
            points = slice(p0, p0 + _BLOCK)
            rows = mask[b * per_block : (b + 1) * per_block]
            index = np.flatnonzero(rows.any(axis=0)[shell_of_orbital])
            ao = self.eval_ao(
                mol, grids.coords[points], deriv=deriv, non0tab=rows, cutoff=self.orbital_cutoff
            )
            ao = (ao if deriv else ao[None]).transpose(0, 2, 1)
            yield (
                (ao if len(index) == mol.nao and not self.keep_orbitals else ao[:, index]),
                index,
                points,
            )


def _density(ao: np.ndarray, index: np.ndarray, density: _Density, xctype: str) -> np.ndarray:
    """Density variables (1, 4 or 5, n_points) of one spin in one block."""
    dm, orbitals = density
    if orbitals is None:
        d = dm[np.ix_(index, index)]
        x = d @ ao[0]
    else:
        c = orbitals[index]
        x = c @ (c.T @ ao[0])
    rho: list[Any] = [_dot(ao[0], x)]
    if xctype != "LDA":
        rho += [2 * _dot(x, ao[k]) for k in (1, 2, 3)]
    if xctype == "MGGA":
        if orbitals is None:
            tau = sum(_dot(ao[k], d @ ao[k]) for k in (1, 2, 3))
        else:
            tau = sum(_dot(g, g) for g in (c.T @ ao[k] for k in (1, 2, 3)))
        rho.append(0.5 * tau)
    return np.array(rho)


def _dot(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.einsum("ip,ip->p", a, b)


def _with_factors(dms: np.ndarray) -> list[_Density]:
    matrices = [np.asarray(dm) for dm in (dms[None] if dms.ndim == 2 else dms)]
    factors = occupied_factors(dms)
    if factors is None:
        return [(matrix, None) for matrix in matrices]
    return list(zip(matrices, factors, strict=True))


def _is_plain(dms: Any, ndim: int, hermi: int) -> bool:
    return hermi == 1 and isinstance(dms, np.ndarray) and dms.ndim == ndim and dms.dtype == float
