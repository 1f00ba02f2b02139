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

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from typing import Any, ClassVar

import numpy as np
from pyscf import lib
from pyscf.dft import gen_grid, numint
from pyscf.gto.eval_gto import BLKSIZE
from threadpoolctl import ThreadpoolController

from genmol.qc.density import occupied_factors
from genmol.qc.grid import build_grid

__all__ = ["Quadrature"]

_BLOCK = 18 * BLKSIZE  # 1008 points: the block of orbitals stays in the processor's cache
_Density = tuple[np.ndarray, np.ndarray | None]  # density matrix of a spin, its occupied factor


@dataclass
class _Block:
    """Neighbouring points, and the orbitals that are not negligible there.

    Attributes:
        points: their range in the grid.
        mask: PySCF's screening of shells, one row per BLKSIZE points.
        index: the orbitals.
        deriv: order of derivatives, 0 or 1.
        orbitals: values (1 or 4, n_orbitals, n_points), if they are kept.
    """

    points: slice
    mask: np.ndarray
    index: np.ndarray
    deriv: int
    orbitals: np.ndarray | None = None


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

    def prepare(self, mol: Any, grids: Any, xc_code: str) -> None:
        """Evaluate the orbitals on the grid beforehand, if they are kept."""
        if self.keep_orbitals and self._supports(xc_code):
            for block in self._blocks(mol, grids, 0 if self._xc_type(xc_code) == "LDA" else 1):
                self._orbitals(mol, grids, block)

    def potential(self, mol: Any, grids: Any, xc_code: str, density: np.ndarray) -> np.ndarray:
        """Potential (nao, nao) of a closed-shell density that is given on the points.

        Args:
            xc_code: an LDA or GGA.
            density: ρ and, for a GGA, its gradient on the points of ``grids``, (1 or 4, n_points).
        """
        xctype = self._xc_type(xc_code)
        half = np.zeros((mol.nao, mol.nao))
        for block in self._blocks(mol, grids, 0 if xctype == "LDA" else 1):
            rho = density[:, block.points]
            vxc = self.eval_xc_eff(
                xc_code, rho[0] if xctype == "LDA" else rho, deriv=1, xctype=xctype, spin=0
            )[1]
            ao = self._orbitals(mol, grids, block)
            half[np.ix_(block.index, block.index)] += _half_potential(
                ao, vxc * grids.weights[block.points]
            )
        return half + half.T

    def _supports(self, xc_code: str) -> bool:
        laplacian = any(x in xc_code.upper() for x in ("CC06", "CS", "BR89", "MK00"))
        return self._xc_type(xc_code) in ("LDA", "GGA", "MGGA") and not laplacian

    def _integrate(
        self, mol: Any, grids: Any, xc_code: str, densities: list[_Density]
    ) -> tuple[np.ndarray, float, np.ndarray]:
        """Sum the blocks; ``densities`` holds (dm, scaled occupied orbitals or None) per spin.

        Blocks are independent: each thread of PySCF's number takes every n-th, with one thread for
        its own matrix products, and the sums are added in a fixed order.
        """
        blocks = self._blocks(mol, grids, 0 if self._xc_type(xc_code) == "LDA" else 1)
        workers = max(1, min(lib.num_threads(), len(blocks)))

        def share(worker: int) -> tuple[np.ndarray, float, np.ndarray]:
            return self._sum(mol, grids, xc_code, densities, blocks[worker::workers])

        if workers == 1:
            sums = [share(0)]
        else:
            with (
                _blas().limit(limits=1, user_api="blas"),
                ThreadPoolExecutor(workers, initializer=lib.num_threads, initargs=(1,)) as pool,
            ):
                sums = list(pool.map(share, range(workers)))
        n_electrons = sum((part[0] for part in sums), np.zeros(len(densities)))
        self.electrons = float(n_electrons.sum())
        return n_electrons, sum(part[1] for part in sums), np.sum([p[2] for p in sums], axis=0)

    def _sum(
        self, mol: Any, grids: Any, xc_code: str, densities: list[_Density], blocks: list[_Block]
    ) -> tuple[np.ndarray, float, np.ndarray]:
        xctype = self._xc_type(xc_code)
        n_spin, nao = len(densities), mol.nao
        n_electrons, energy = np.zeros(n_spin), 0.0
        half = np.zeros((n_spin, nao, nao))  # V without its transpose
        kinetic = np.zeros((n_spin, nao, nao)) if xctype == "MGGA" else None
        for block in blocks:
            ao = self._orbitals(mol, grids, block)
            weights = grids.weights[block.points]
            rho = np.stack([_density(ao, block.index, d, xctype) for d in densities])
            exc, vxc = self.eval_xc_eff(
                xc_code, rho[0] if n_spin == 1 else rho, deriv=1, xctype=xctype, spin=n_spin - 1
            )[:2]
            weighted_density = rho[:, 0] * weights
            n_electrons += weighted_density.sum(axis=1)
            energy += float(weighted_density.sum(axis=0) @ exc)
            wv = (vxc if n_spin == 2 else vxc[None]) * weights
            part = np.ix_(block.index, block.index)
            for s in range(n_spin):
                half[s][part] += _half_potential(ao, wv[s])
                if kinetic is not None:
                    half_v_tau = 0.5 * wv[s, 4]
                    kinetic[s][part] += sum(ao[k] @ (ao[k] * half_v_tau).T for k in (1, 2, 3))
        potential = half + half.transpose(0, 2, 1)
        return n_electrons, energy, potential if kinetic is None else potential + kinetic

    def _blocks(self, mol: Any, grids: Any, deriv: int) -> list[_Block]:
        """Blocks of the grid with the orbitals that reach them, remembered for the latest grid."""
        if grids.coords is None:
            build_grid(grids)
        if self._store is None or self._store[0] is not grids.coords or self._store[1] != deriv:
            mask = gen_grid.make_mask(mol, grids.coords, cutoff=self.orbital_cutoff)
            shell_of_orbital = np.repeat(np.arange(mol.nbas), np.diff(mol.ao_loc_nr()))
            blocks = []
            for p in range(0, len(grids.weights), _BLOCK):
                rows = mask[p // BLKSIZE : (p + _BLOCK) // BLKSIZE]
                index = np.flatnonzero(rows.any(axis=0)[shell_of_orbital])
                blocks.append(_Block(slice(p, p + _BLOCK), rows, index, deriv))
            self._store = (grids.coords, deriv, blocks)
        return self._store[2]

    def _orbitals(self, mol: Any, grids: Any, block: _Block) -> np.ndarray:
        """Values and derivatives of the block's orbitals, (1 or 4, n_orbitals, n_points)."""
        if block.orbitals is not None:
            return block.orbitals
        ao = self.eval_ao(
            mol,
            grids.coords[block.points],
            deriv=block.deriv,
            non0tab=block.mask,
            cutoff=self.orbital_cutoff,
        )
        ao = (ao if block.deriv else ao[None]).transpose(0, 2, 1)
        if len(block.index) < mol.nao or self.keep_orbitals:
            ao = ao[:, block.index]
        if self.keep_orbitals:
            block.orbitals = ao
        return ao


@cache
def _blas() -> ThreadpoolController:
    return ThreadpoolController()


def _half_potential(ao: np.ndarray, weighted: np.ndarray) -> np.ndarray:
    """The part of V that its transpose completes; ``weighted`` is w v, (1, 4 or 5, n_points)."""
    summed = ao[0] * (0.5 * weighted[0])
    for k in range(1, len(ao)):
        summed += ao[k] * weighted[k]
    return np.asarray(ao[0] @ summed.T)


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
