r"""Two-level self-consistent field: a few exact Fock builds, many cheap ones.

Let :math:`F_x(D)` be the exact Fock matrix and :math:`F_c(D)` that of the cheap level. The solver
repeats

.. math::
    O \leftarrow F_x(D) - F_c(D), \qquad
    D \leftarrow \text{the density with } [F_c(D) + O,\, D]_S = 0

until the commutator of the exact matrix itself meets PySCF's threshold. A fixed point is an exact
solution, whatever the cheap level. Near it the error shrinks by the factor
:math:`(K_x - K_c)\,\delta D / \delta D`, the relative error of the cheap level's response, 1e-2 to
1e-3: from ``|g|`` of 1e-3 at the first exact build to 1e-5 at the second. To make the first
build that good, the offset starts as the difference between an intermediate and the coarse grid.

Next to the solution the energy is quadratic, and with the cheap model's :math:`D_1` relaxed from
:math:`D_0` the trapezoidal rule gives, to third order in :math:`D_1 - D_0`,

.. math::
    E(D_0) - E(D_1) = \tfrac12 \operatorname{tr}\,[F(D_0) + F(D_1)]\,(D_0 - D_1),

the error estimate of the mode that stops after a single exact build. Its rule of thumb is
:math:`|g|^2/3`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from genmol.qc.cheap import CheapLevel
from genmol.qc.exact import ExactBuild, ExactLevel
from genmol.qc.inner import History, relax
from genmol.qc.problem import Orbitals, Problem

__all__ = ["Outcome", "Tactics", "Thresholds", "cheap_orbitals", "two_level"]

_COARSE_TOLERANCE = 3e-2  # on the coarse grid, whose own error in |g| is about 1e-2
_FIRST_TOLERANCE = 1e-3  # before the first exact build
_NEAR = 0.1  # |g| of a given density below which the coarse grid alone has nothing to add
_POOR = 0.05  # a step that shrinks |g| by less calls for a better cheap level
_LAST_TOLERANCE = 2e-5  # measured one DIIS step before the density that is used


@dataclass(frozen=True)
class Thresholds:
    """PySCF's convergence criteria: energy change and orbital gradient (Hartree)."""

    energy: float = 1e-9
    gradient: float = 1e-9**0.5

    def met_by(self, gradient_norm: float) -> bool:
        """``|g|`` is small enough, and so is the energy error ``|g|²/3`` that it implies."""
        return gradient_norm < self.gradient and gradient_norm**2 / 3 < self.energy


@dataclass(frozen=True)
class Tactics:
    """How to steer the cheap iterations of one attempt."""

    damping: float = 0.0
    level_shift: float = 0.0
    max_cheap_builds: int = 50


@dataclass(frozen=True)
class Outcome:
    """How far one attempt came.

    Attributes:
        builds: the exact builds, in order; empty when the cheap level did not converge.
        converged: the last build meets the thresholds (or, for a single build, exists).
        energy_error: estimate of E(D) − E(converged), Hartree, for a single build; else None.
        reason: why the attempt ended.
    """

    builds: tuple[ExactBuild, ...]
    converged: bool
    reason: str
    energy_error: float | None = None


def cheap_orbitals(
    problem: Problem,
    cheap: CheapLevel,
    history: History,
    start: np.ndarray | Orbitals,
    tactics: Tactics,
) -> Orbitals | None:
    """Converge the cheap level from a density or from orbitals; None if it does not.

    Orbitals may come with the history of the density they follow from. If its gradient is small it is
    likely to come from the exact level, and the coarse grid, whose own error is of that size, would
    lead away from there: the intermediate grid is asked at once. (Fock matrices of four molecules with
    noise of 30 to 600 µEh: one to three cheap builds fewer, exact ones unchanged.)
    """
    near = isinstance(start, Orbitals) and _is_near(problem, history, tactics)
    if isinstance(start, Orbitals):
        orbitals = start
    else:
        fock = problem.fock(cheap.potential(start))
        orbitals = problem.diagonalise(problem.roothaan(fock, start))
    offset: np.ndarray | float = 0.0
    if near and cheap.density_functional:
        dm, potential = history.pairs[-1]
        offset = cheap.grid_offset(dm)
        fock = problem.fock(potential) + offset
        orbitals = problem.diagonalise(problem.roothaan(fock, dm))
    elif cheap.density_functional or tactics.level_shift:
        coarse = relax(
            problem,
            cheap.potential,
            orbitals,
            offset,
            history,
            tolerance=_COARSE_TOLERANCE,
            max_builds=tactics.max_cheap_builds,
            damping=tactics.damping,
            level_shift=tactics.level_shift,
        )
        if not coarse.converged:
            return None
        orbitals = coarse.orbitals
        offset = cheap.grid_offset(orbitals.dm)
    inner = relax(
        problem,
        cheap.potential,
        orbitals,
        offset,
        history,
        tolerance=_FIRST_TOLERANCE,
        max_builds=tactics.max_cheap_builds,
        damping=tactics.damping,
    )
    return inner.orbitals if inner.converged else None


def _is_near(problem: Problem, history: History, tactics: Tactics) -> bool:
    """Whether the density evaluated last is as good as the coarse grid can say."""
    if not history.pairs or tactics != Tactics():
        return False
    dm, potential = history.pairs[-1]
    commutator = np.linalg.norm(problem.error(problem.fock(potential), dm))
    return bool(commutator < 2**0.5 * _NEAR)  # of closed shells: |g| times sqrt(2)


def two_level(
    problem: Problem,
    exact: ExactLevel,
    cheap: CheapLevel,
    history: History,
    orbitals: Orbitals,
    *,
    thresholds: Thresholds,
    tactics: Tactics,
    max_exact_builds: int,
    single_build: bool = False,
) -> Outcome:
    """Alternate exact builds and cheap relaxations from ``orbitals`` until the thresholds hold."""
    builds: list[ExactBuild] = []
    while True:
        build = exact.build(orbitals)
        builds.append(build)
        norm = build.gradient_norm
        if thresholds.met_by(norm):
            return Outcome(tuple(builds), True, "thresholds met", norm**2 / 3)
        if len(builds) >= max_exact_builds:
            return Outcome(tuple(builds), False, f"|g| = {norm:.1e} after {len(builds)} builds")
        if len(builds) > 2 and norm > 0.5 * builds[-3].gradient_norm:
            return Outcome(tuple(builds), False, f"|g| stagnates at {norm:.1e}")
        if len(builds) > 1 and norm > _POOR * builds[-2].gradient_norm and cheap.refine():
            history.pairs = []  # potentials of the coarser grid
        offset = build.potential - cheap.potential(orbitals.dm)
        tolerance = max(_LAST_TOLERANCE * thresholds.gradient / 3.2e-5, 1e-2 * norm)
        inner = relax(
            problem,
            cheap.potential,
            orbitals,
            offset,
            history,
            tolerance=tolerance,
            max_builds=tactics.max_cheap_builds,
        )
        if single_build:
            lowering = _energy_lowering(problem, build, history, offset)
            return Outcome(tuple(builds), True, "one exact build, as asked", lowering)
        if not inner.converged:
            return Outcome(tuple(builds), False, "the cheap level with offset did not converge")
        orbitals = inner.orbitals


def _energy_lowering(
    problem: Problem, build: ExactBuild, history: History, offset: np.ndarray
) -> float:
    """E(D₀) − E(D₁) of the cheap model between the built and the last relaxed density."""
    dm, potential = history.pairs[-1]
    before = problem.fock(build.potential)
    after = problem.fock(potential) + offset
    return float(0.5 * np.sum((before + after) * (np.asarray(build.orbitals.dm) - np.asarray(dm))))
