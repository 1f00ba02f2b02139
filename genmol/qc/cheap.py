"""The cheap level: the same functional with fitted integrals on a coarse grid.

The cheap potential is V_c(D) = J_fit(D) + K_fit(D) + V_xc(D; coarse grid). Everything that is
dear and changes little with the density is left out, because the outer solver adds the exact
difference as a constant offset: fine grids, non-local correlation, the fitting error. An implicit
solvent responds strongly and stays, with a coarser cavity.

Between the coarse grid (PySCF's level 0) and the exact level lies one intermediate grid: its
potential minus the coarse one, at one density, removes most of the grid error at a third of the
cost of an exact build, so that the first exact build already meets |g| of about 1e-3.
"""

from __future__ import annotations

import time
import warnings
from typing import Any

import numpy as np
from pyscf import dft, lib, scf
from pyscf.df.addons import make_auxbasis
from pyscf.dft import libxc
from pyscf.solvent import _attach_solvent
from scipy.linalg import expm, logm

from genmol.qc.exact import count_builds
from genmol.qc.fitting import Fitting
from genmol.qc.functional import is_grid_sensitive
from genmol.qc.grid import build_grid
from genmol.qc.quadrature import Quadrature

__all__ = ["CheapLevel"]

_COARSE_CUTOFF, _MIDDLE_CUTOFF = 1e-7, 1e-9  # smallest orbital values kept on them
_FINEST = 2  # level that the coarse grid may reach
_LENGTHS = (1.0, 0.5, 0.25, 0.1)  # shares of a rotation by about one radian
_CAVITY_ORDER = 11  # Lebedev order of the solvent cavity (PySCF's default is 29)


class CheapLevel:
    """Cheap potentials for the problem of ``mf``; counts its builds.

    Args:
        mf: PySCF mean-field object (RHF, UHF, ROHF, RKS, UKS, ROKS), possibly with a solvent.
            It is read, never changed.
        budget_mb: memory for the fitting tensor (MB); by default a share of what PySCF itself would use.

    Attributes:
        builds: potentials computed so far.
        seconds: processor time of the latest, what is computed once for all of them included unless
            :meth:`prepare` was called.
        preparation_seconds: processor time of :meth:`prepare`.
    """

    def __init__(self, mf: Any, *, budget_mb: float | None = None) -> None:
        self.builds = 0
        self.seconds = self.preparation_seconds = 0.0
        mol = mf.mol
        self.mol = mol
        self.density_functional = isinstance(mf, dft.rks.KohnShamDFT)
        module = dft if self.density_functional else scf
        spin = (
            "U" if isinstance(mf, scf.uhf.UHF) else "RO" if isinstance(mf, scf.rohf.ROHF) else "R"
        )
        cheap = getattr(module, spin + ("KS" if self.density_functional else "HF"))(mol)
        cheap.verbose = 0
        if self.density_functional:
            cheap.xc = mf.xc
            cheap.grids.level, middle = _grid_levels(mf.xc)
            cheap._numint = Quadrature(cutoff=_COARSE_CUTOFF, keep_orbitals=True)
            cheap.do_nlc = lambda: False
            build_grid(cheap.grids)
            self._middle_grid = dft.gen_grid.Grids(mol)
            self._middle_grid.level = middle
        functional = mf.xc if self.density_functional else "HF"
        with warnings.catch_warnings():  # elements without a fitting set get an even-tempered one
            warnings.filterwarnings("ignore", "Basis may be available", UserWarning)
            auxbasis = make_auxbasis(mol, xc=functional)
        budget = _budget_mb(mf) if budget_mb is None else budget_mb
        cheap = cheap.density_fit(with_df=Fitting(mol, auxbasis, budget_mb=budget))
        self._mf = _with_solvent_of(mf, cheap) if getattr(mf, "with_solvent", None) else cheap

    def prepare(self) -> None:
        """Compute what all potentials share: fitted integrals and orbital values on the grid."""
        began = time.process_time()
        hybrid = not self.density_functional or libxc.is_hybrid_xc(self._mf.xc)
        self._mf.with_df.prepare(with_k=hybrid)
        if self.density_functional:
            self._mf._numint.prepare(self.mol, self._mf.grids, self._mf.xc)
        self.preparation_seconds = time.process_time() - began

    def potential(self, dm: np.ndarray) -> np.ndarray:
        """V_c(D) without the core Hamiltonian, (nao, nao) or (2, nao, nao), Hartree."""
        began = time.process_time()
        self.builds += 1
        veff = self._mf.get_veff(self.mol, dm)
        solvent = getattr(veff, "v_solvent", None)
        potential = np.asarray(veff) if solvent is None else np.asarray(veff) + solvent
        self.seconds = time.process_time() - began
        return potential

    def refine(self) -> bool:
        """Take the next finer coarse grid, where the present one responds badly; False if none is."""
        if not self.density_functional or self._mf.grids.level >= _FINEST:
            return False
        self._mf.grids.level += 1  # PySCF forgets the points
        build_grid(self._mf.grids)
        return True

    def grid_offset(self, dm: np.ndarray) -> np.ndarray | float:
        """Potential of the intermediate grid minus that of the coarse one; 0 without a grid."""
        if not self.density_functional:
            return 0.0
        fine = Quadrature(cutoff=_MIDDLE_CUTOFF)
        return self._xc(fine, self._middle_grid, dm) - self._xc(
            self._mf._numint, self._mf.grids, dm
        )

    def descend(self, dm: Any, saddle: Any) -> np.ndarray:
        """The density of a cheap minimum, by PySCF's second-order solver from beside a saddle point.

        DIIS may return to the saddle point it starts beside; second-order steps go downhill. The
        rotation from the orbitals ``saddle`` to those of ``dm`` is a direction, not a length: the
        lowest energy along it is taken.
        """
        occ, steps = dm.mo_occ, []
        for length in _LENGTHS:
            coeff = _rotated(saddle, dm.mo_coeff, self.mol.intor_symmetric("int1e_ovlp"), length)
            steps.append((self._mf.energy_tot(self._mf.make_rdm1(coeff, occ)), coeff))
            self.builds += 1
        _, coeff = min(steps, key=lambda step: step[0])
        newton = self._mf.newton()
        newton.verbose, newton.max_cycle, newton.conv_tol_grad = 0, 100, 1e-3
        with count_builds(newton) as count:
            newton.kernel(coeff, occ)
        self.builds += count[0]
        return newton.make_rdm1()

    def _xc(self, quadrature: Quadrature, grid: Any, dm: np.ndarray) -> np.ndarray:
        evaluate = quadrature.nr_rks if np.ndim(dm) == 2 else quadrature.nr_uks
        return evaluate(self.mol, grid, self._mf.xc, dm)[2]


def _grid_levels(xc: str) -> tuple[int, int]:
    """Coarse and intermediate level of PySCF's grids.

    On level 0 the response of a grid-sensitive functional is wrong by a tenth or more, and four to six
    exact builds would be needed.
    """
    if is_grid_sensitive(xc):
        return 1, 2
    return 0, 2 if libxc.xc_type(xc) == "MGGA" else 1


def _budget_mb(mf: Any) -> float:
    """A share of plain PySCF's peak: program, integrals if they are kept, orbitals on the grid."""
    nao = mf.mol.nao
    integrals = nao**4 * 1e-6
    kept = integrals + lib.current_memory()[0] < 0.95 * mf.max_memory
    grid = 67200 * 4 * nao * 8e-6 if isinstance(mf, dft.rks.KohnShamDFT) else 0.0
    return 0.4 * (150.0 + (integrals if kept else 0.0) + grid)


def _rotated(start: Any, end: Any, overlap: np.ndarray, length: float) -> np.ndarray:
    """Orbitals a share ``length`` of the way along the rotation that takes ``start`` to ``end``."""
    if np.ndim(start) == 3:
        spins = zip(start, end, strict=True)
        return np.stack([_rotated(a, b, overlap, length) for a, b in spins])
    generator = np.real(logm(start.T @ overlap @ end))
    return np.asarray(start @ expm(0.5 * length * (generator - generator.T)))


def _with_solvent_of(mf: Any, cheap: Any) -> Any:
    solvent = mf.with_solvent.copy()
    solvent.verbose = 0
    if getattr(solvent, "lebedev_order", None):
        solvent.lebedev_order = _CAVITY_ORDER
    solvent.reset()
    return _attach_solvent._for_scf(cheap, solvent)
