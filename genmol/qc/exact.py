"""The exact level: PySCF's own Fock matrix, built by PySCF's own ``get_veff``, and counted.

For the time of a solve the object's quadrature is replaced by :class:`~genmol.qc.quadrature.Quadrature`
(equal to rounding, several times faster) and put back afterwards.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from pyscf import dft

from genmol.qc.grid import build_grid
from genmol.qc.problem import Orbitals, Problem
from genmol.qc.quadrature import Quadrature

__all__ = ["ExactBuild", "ExactLevel", "count_builds", "fast_quadrature"]


@dataclass(frozen=True)
class ExactBuild:
    """What one exact Fock build says about a density.

    Attributes:
        orbitals: orbitals whose density was evaluated.
        potential: V(D) as an array, solvent included (Hartree).
        energy: total energy of the density (Hartree).
        gradient_norm: PySCF's ``norm_gorb`` (Hartree).
        grid_electrons: electron number on the grid, None without a grid.
    """

    orbitals: Orbitals
    potential: np.ndarray
    energy: float
    gradient_norm: float
    grid_electrons: float | None


class ExactLevel:
    """Exact potentials for the problem of ``mf``; counts its builds.

    Args:
        problem: the problem whose mean-field object supplies ``get_veff``.
    """

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        self.builds = 0
        self._last: tuple[Any, Any] | None = None

    def build(self, orbitals: Orbitals) -> ExactBuild:
        """Evaluate energy, Fock matrix and gradient of the density of ``orbitals``."""
        problem, mf = self.problem, self.problem.mf
        self.builds += 1
        incremental = self._last if self._last is not None and mf._eri is None else ()
        veff = mf.get_veff(mf.mol, orbitals.dm, *incremental)
        self._last = (orbitals.dm, veff)
        energy = float(mf.energy_tot(orbitals.dm, problem.hcore, veff))
        solvent = getattr(veff, "v_solvent", None)
        potential = np.asarray(veff) if solvent is None else np.asarray(veff) + solvent
        norm = problem.gradient_norm(orbitals, problem.fock(potential))
        quadrature = getattr(mf, "_numint", None)
        electrons = quadrature.electrons if isinstance(quadrature, Quadrature) else None
        return ExactBuild(orbitals, potential, energy, norm, electrons)


@contextmanager
def fast_quadrature(mf: Any) -> Iterator[None]:
    """Let ``mf`` integrate with :class:`Quadrature`, if it is a functional with PySCF's own rule."""
    if not isinstance(mf, dft.rks.KohnShamDFT) or type(mf._numint) is not dft.numint.NumInt:
        yield
        return
    stock = mf._numint
    mf._numint = Quadrature()
    mf._numint.libxc, mf._numint.omega = stock.libxc, stock.omega
    if mf.grids.coords is None and not mf.small_rho_cutoff:
        build_grid(mf.grids)
    try:
        yield
    finally:
        mf._numint = stock


@contextmanager
def count_builds(mf: Any) -> Iterator[list[int]]:
    """Count the Fock builds and Hessian products of ``mf`` while the block runs."""
    count = [0]
    names = ("get_veff", "gen_response")
    own = {name: vars(mf)[name] for name in names if name in vars(mf)}  # a user's, to be put back
    get_veff, gen_response = mf.get_veff, mf.gen_response

    def counted_veff(*args: Any, **kwargs: Any) -> Any:
        count[0] += 1
        return get_veff(*args, **kwargs)

    def counted_response(*args: Any, **kwargs: Any) -> Any:
        product = gen_response(*args, **kwargs)

        def counted(*a: Any, **k: Any) -> Any:
            count[0] += 1
            return product(*a, **k)

        return counted

    mf.get_veff, mf.gen_response = counted_veff, counted_response
    try:
        yield count
    finally:
        del mf.get_veff, mf.gen_response
        vars(mf).update(own)
