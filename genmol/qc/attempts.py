"""The retry ladder: what is tried, in which order, and a record of every attempt.

1. the two-level solver from the chosen guess,
2. a guess reset: the same from superposed atomic densities,
3. damping: half of the previous Fock matrix while the gradient is large,
4. a level shift until the cheap level has settled, then an unshifted finish,
5. PySCF's second-order solver (Newton with augmented Hessian) on the exact level.

Rungs 2 to 4 cost cheap builds only until the cheap level has converged. Every attempt is recorded with
its costs, the successful one too.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from genmol.qc.cheap import CheapLevel
from genmol.qc.exact import ExactLevel, count_builds
from genmol.qc.guess import guess as unlearned
from genmol.qc.inner import History
from genmol.qc.problem import Orbitals, Problem
from genmol.qc.two_level import Outcome, Tactics, Thresholds, cheap_orbitals, two_level

__all__ = ["Attempt", "Solution", "kernel", "ladder"]

_RUNGS = (
    ("guess reset", "atom", Tactics()),
    ("damping", "minao", Tactics(damping=0.5, max_cheap_builds=80)),
    ("level shift", "minao", Tactics(level_shift=0.4, max_cheap_builds=100)),
)


@dataclass(frozen=True)
class Attempt:
    """One rung of the ladder.

    Attributes:
        strategy: ``two-level``, ``guess reset``, ``damping``, ``level shift``, ``newton`` or ``plain``.
        converged: whether it met the thresholds.
        reason: why it ended.
        energy_hartree: energy of the last exactly evaluated density, None if there was none.
        gradient_norms: ``|g|`` after each exact build (Hartree).
        exact_builds: exact Fock builds (Hessian products of Newton count as one each).
        cheap_builds: Fock builds on the cheap level.
        cycles: self-consistency cycles, both levels.
        gap_hartree: HOMO-LUMO gap, None without orbitals.
        spin_square: ⟨S²⟩ of an unrestricted determinant, None otherwise.
        seconds: wall time.
    """

    strategy: str
    converged: bool
    reason: str
    energy_hartree: float | None
    gradient_norms: tuple[float, ...]
    exact_builds: int
    cheap_builds: int
    cycles: int
    gap_hartree: float | None
    spin_square: float | None
    seconds: float


@dataclass(frozen=True)
class Solution:
    """A converged density (or the density of a single exact build) and its canonical orbitals.

    Attributes:
        orbitals: semicanonical: the Fock matrix is diagonal among occupied and among virtual ones.
        energy: total energy (Hartree).
        gradient_norm: ``|g|`` of the density (Hartree).
        energy_error: estimate of the energy above full convergence (Hartree).
        grid_electrons: electron number on the grid, None without a grid or where not measured.
    """

    orbitals: Orbitals
    energy: float
    gradient_norm: float
    energy_error: float
    grid_electrons: float | None


def ladder(
    problem: Problem,
    cheap: CheapLevel,
    history: History,
    start: np.ndarray | Orbitals,
    *,
    thresholds: Thresholds,
    max_exact_builds: int,
    single_build: bool = False,
    on_attempt: Callable[[Attempt], None] = lambda attempt: None,
) -> tuple[Solution | None, list[Attempt]]:
    """Climb until an attempt converges.

    Args:
        start: density or orbitals from which the cheap level starts.
        on_attempt: called after each attempt, for progress.

    Returns:
        The solution of the successful attempt (None if all failed) and all attempts.
    """
    attempts: list[Attempt] = []

    def run(strategy: str, start: Any, history: History, tactics: Tactics) -> Outcome:
        began, exact, before = time.perf_counter(), ExactLevel(problem), cheap.builds
        orbitals = cheap_orbitals(problem, cheap, history, start, tactics)
        if orbitals is None:
            outcome = Outcome((), False, "the cheap level did not converge")
        else:
            outcome = two_level(
                problem,
                exact,
                cheap,
                history,
                orbitals,
                thresholds=thresholds,
                tactics=tactics,
                max_exact_builds=max_exact_builds,
                single_build=single_build,
            )
        builds = cheap.builds - before
        attempts.append(_record(strategy, problem, outcome, exact.builds, builds, began))
        on_attempt(attempts[-1])
        return outcome

    outcome = run("two-level", start, history, Tactics())
    for strategy, guess, tactics in _RUNGS:
        if outcome.converged:
            return _solution(problem, outcome), attempts
        outcome = run(strategy, unlearned(problem.mf, guess), History(), tactics)
    if outcome.converged:
        return _solution(problem, outcome), attempts
    solution, attempt = kernel(
        problem, problem.mf.newton(), "newton", _best_density(problem, history)
    )
    attempts.append(attempt)
    on_attempt(attempt)
    return (solution if attempt.converged else None), attempts


def _solution(problem: Problem, outcome: Outcome) -> Solution:
    """The last build of ``outcome`` with canonical orbitals of its exact Fock matrix."""
    build = outcome.builds[-1]
    orbitals = problem.canonicalise(build.orbitals, problem.fock(build.potential))
    error = build.gradient_norm**2 / 3 if outcome.energy_error is None else outcome.energy_error
    return Solution(orbitals, build.energy, build.gradient_norm, error, build.grid_electrons)


def _best_density(problem: Problem, history: History) -> np.ndarray:
    if not history.pairs:
        return unlearned(problem.mf, "minao")
    norms = [np.linalg.norm(problem.error(problem.fock(v), dm)) for dm, v in history.pairs]
    return history.pairs[int(np.argmin(norms))][0]


def kernel(
    problem: Problem, solver: Any, strategy: str, dm: np.ndarray | None
) -> tuple[Solution, Attempt]:
    """Run PySCF's own iterations (``solver`` is ``mf`` or ``mf.newton()``) and record them."""
    began = time.perf_counter()
    norms: list[float] = []

    def note(env: dict[str, Any]) -> None:
        if "norm_gorb" in env:
            norms.append(float(env["norm_gorb"]))

    callback, solver.callback = solver.callback, note
    with count_builds(solver) as count:
        solver.kernel(dm0=dm)
    solver.callback = callback
    orbitals = Orbitals(solver.mo_energy, solver.mo_coeff, solver.mo_occ, solver.make_rdm1())
    norm = norms[-1] if norms else 0.0
    solution = Solution(orbitals, float(solver.e_tot), norm, norm**2 / 3, None)
    return solution, Attempt(
        strategy=strategy,
        converged=bool(solver.converged),
        reason="PySCF's own criteria" if solver.converged else "PySCF's max_cycle reached",
        energy_hartree=solution.energy,
        gradient_norms=tuple(norms),
        exact_builds=count[0],
        cheap_builds=0,
        cycles=len(norms),
        gap_hartree=problem.gap(orbitals),
        spin_square=problem.spin_square(orbitals),
        seconds=time.perf_counter() - began,
    )


def _record(
    strategy: str, problem: Problem, outcome: Outcome, exact: int, cheap: int, began: float
) -> Attempt:
    last = outcome.builds[-1] if outcome.builds else None
    return Attempt(
        strategy=strategy,
        converged=outcome.converged,
        reason=outcome.reason,
        energy_hartree=last.energy if last else None,
        gradient_norms=tuple(b.gradient_norm for b in outcome.builds),
        exact_builds=exact,
        cheap_builds=cheap,
        cycles=exact + cheap,
        gap_hartree=problem.gap(last.orbitals) if last else None,
        spin_square=problem.spin_square(last.orbitals) if last else None,
        seconds=time.perf_counter() - began,
    )
