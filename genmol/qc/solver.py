"""Solve the problem of a PySCF mean-field object in place: guess, ladder, result, restart if unstable."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from pyscf import scf
from pyscf.dft.rks import KohnShamDFT

from genmol.qc.attempts import Attempt, Solution, kernel, ladder
from genmol.qc.cheap import CheapLevel
from genmol.qc.exact import fast_quadrature
from genmol.qc.functional import redefined
from genmol.qc.guard import check_guess
from genmol.qc.guess import guess as unlearned
from genmol.qc.inner import History
from genmol.qc.options import StartName
from genmol.qc.problem import Problem
from genmol.qc.two_level import Tactics, Thresholds, cheap_orbitals

__all__ = ["Run", "run"]


@dataclass(frozen=True)
class Run:
    """What :func:`run` did.

    Attributes:
        problem: the problem that was solved.
        solution: None if every attempt failed.
        attempts: in order.
        solver, solver_reason: ``two-level`` or ``plain``, and why.
        guess, guess_reason: where the iterations started, and why there.
        cheap_builds: all of them, the check of a guess included.
        thresholds: what convergence meant.
    """

    problem: Problem
    solution: Solution | None
    attempts: tuple[Attempt, ...]
    solver: str
    solver_reason: str
    guess: str
    guess_reason: str
    cheap_builds: int
    thresholds: Thresholds


def run(
    mf: Any,
    *,
    guess: StartName = "cheap",
    density: np.ndarray | None = None,
    density_name: str = "given density",
    descend: bool = False,
    plain: bool = False,
    single_build: bool = False,
    max_exact_builds: int = 8,
    on_attempt: Callable[[Attempt], None] = lambda attempt: None,
) -> Run:
    """Converge ``mf`` in place: on success its orbitals, energy and ``converged`` are set.

    Args:
        mf: PySCF mean-field object; its own thresholds, grid and memory limit hold.
        guess: unlearned guess from which the cheap level starts; ``cheap`` starts it from minao.
        density: density from outside, checked before use and refused if it is worse than the guess.
        density_name: how the report calls it.
        descend: ``density`` lies beside a saddle point: go downhill from it, without a check.
        plain: run PySCF's own iterations, from the guess, with PySCF's own quadrature.
        single_build: stop after one exact build.
        max_exact_builds: per attempt.
        on_attempt: called after each attempt.
    """
    gradient = mf.conv_tol_grad if mf.conv_tol_grad is not None else mf.conv_tol**0.5
    thresholds = Thresholds(energy=mf.conv_tol, gradient=gradient)
    problem = Problem(mf)
    solution: Solution | None
    if unsupported := _unsupported(mf):
        solution, attempt = kernel(problem, mf, "plain", density)
        on_attempt(attempt)
        origin = Origin(None, mf.init_guess if density is None else density_name, "PySCF's own")
        return _finish(problem, solution, [attempt], "plain", unsupported, origin, 0, thresholds)
    cheap, history = CheapLevel(mf), History()
    if density is not None and descend:
        start = cheap.descend(density, mf.mo_coeff)
        origin = Origin(start, density_name, "downhill from a saddle point")
    else:
        origin = _origin(problem, cheap, history, guess, density, density_name)
    if plain:
        orbitals = cheap_orbitals(problem, cheap, history, origin.start, Tactics())
        dm0 = orbitals.dm if orbitals is not None else unlearned(mf, "minao")
        solution, attempt = kernel(problem, mf, "plain", dm0)
        attempts = [replace(attempt, cheap_builds=cheap.builds)]
        on_attempt(attempts[0])
        solver, why = "plain", "mode pyscf"
    else:
        with fast_quadrature(mf):
            solution, attempts = ladder(
                problem, cheap, history, origin.start, thresholds=thresholds,
                max_exact_builds=max_exact_builds, single_build=single_build, on_attempt=on_attempt,
            )  # fmt: skip
        solver, why = "two-level", "applies to this problem"
        if attempts[-1].strategy == "newton":
            solver, why = "plain", "the two-level attempts failed"
    return _finish(problem, solution, attempts, solver, why, origin, cheap.builds, thresholds)


@dataclass(frozen=True)
class Origin:
    """Where the cheap level starts, what it is called, and why it starts there."""

    start: Any
    name: str
    reason: str


def _origin(
    problem: Problem,
    cheap: CheapLevel,
    history: History,
    guess: StartName,
    density: np.ndarray | None,
    density_name: str,
) -> Origin:
    """The given density if it passes the guard, else the unlearned guess."""
    reason = "the default" if guess == "cheap" else "chosen"
    if density is not None:
        verdict = check_guess(problem, cheap, density, history=history)
        if verdict.accepted:
            return Origin(verdict.orbitals, density_name, verdict.reason)
        reason = f"{density_name} refused: {verdict.reason}"
        if verdict.orbitals is not None:
            return Origin(verdict.orbitals, guess, reason)
    return Origin(unlearned(problem.mf, "minao" if guess == "cheap" else guess), guess, reason)


def _finish(
    problem: Problem,
    solution: Solution | None,
    attempts: list[Attempt],
    solver: str,
    why: str,
    origin: Origin,
    cheap_builds: int,
    thresholds: Thresholds,
) -> Run:
    """Put the solution into the mean-field object; an attempt that failed leaves none."""
    mf = problem.mf
    found = solution if attempts[-1].converged else None
    mf.converged = False  # whatever an earlier run had left
    if found is not None:
        orbitals = found.orbitals
        mf.mo_energy, mf.mo_coeff, mf.mo_occ = orbitals.energy, orbitals.coeff, orbitals.occ
        mf.e_tot, mf.converged = found.energy, thresholds.met_by(found.gradient_norm)
        mf.converged = mf.converged or solver == "plain"
    return Run(
        problem=problem,
        solution=found,
        attempts=tuple(attempts),
        solver=solver,
        solver_reason=why,
        guess=origin.name,
        guess_reason=origin.reason,
        cheap_builds=cheap_builds,
        thresholds=thresholds,
    )


def _unsupported(mf: Any) -> str:
    """Why the two-level solver does not apply; empty if it does."""
    if not isinstance(mf, scf.hf.SCF) or mf.istype("GHF") or mf.istype("DHF") or mf.istype("KSCF"):
        return f"{type(mf).__name__} is neither restricted, unrestricted nor restricted open shell"
    if mf.istype("_SGXHF") or mf.istype("_SmearingSCF"):
        return f"{type(mf).__name__} changes integrals or occupations in its own way"
    if isinstance(mf, KohnShamDFT) and redefined(mf):
        return "its functional is code of its own, unknown to the cheap level"
    return ""
