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
    unsupported = _unsupported(mf)
    problem = Problem(mf)
    if unsupported:
        solution, attempt = kernel(problem, mf, "plain", density)
        on_attempt(attempt)
        return Run(
            problem, solution if attempt.converged else None, (attempt,), "plain", unsupported,
            mf.init_guess, "PySCF's own guess", 0, thresholds,
        )  # fmt: skip
    cheap, history = CheapLevel(mf), History()
    name: str = guess
    reason = "chosen" if guess != "cheap" else "the default"
    start: Any = None
    if density is not None and descend:
        start, name, reason = cheap.descend(density), density_name, "downhill from a saddle point"
    elif density is not None:
        verdict = check_guess(problem, cheap, density, history=history)
        start = verdict.orbitals
        name = density_name if verdict.accepted else guess
        reason = verdict.reason if verdict.accepted else f"{density_name} refused: {verdict.reason}"
    if start is None:
        start = unlearned(mf, "minao" if guess == "cheap" else guess)
    if plain:
        orbitals = cheap_orbitals(problem, cheap, history, start, Tactics())
        dm0 = orbitals.dm if orbitals is not None else unlearned(mf, "minao")
        solution, attempt = kernel(problem, mf, "plain", dm0)
        attempt = replace(attempt, cheap_builds=cheap.builds)
        on_attempt(attempt)
        found = solution if attempt.converged else None
        attempts, solver, why = [attempt], "plain", "mode pyscf"
    else:
        with fast_quadrature(mf):
            found, attempts = ladder(
                problem, cheap, history, start, thresholds=thresholds,
                max_exact_builds=max_exact_builds, single_build=single_build, on_attempt=on_attempt,
            )  # fmt: skip
        solver = "plain" if found and attempts[-1].strategy == "newton" else "two-level"
        why = (
            "applies to this problem" if solver == "two-level" else "the two-level attempts failed"
        )
    if found is not None:
        _store(mf, found, converged=not single_build or thresholds.met_by(found.gradient_norm))
    return Run(problem, found, tuple(attempts), solver, why, name, reason, cheap.builds, thresholds)


def _unsupported(mf: Any) -> str:
    """Why the two-level solver does not apply; empty if it does."""
    if not isinstance(mf, scf.hf.SCF) or mf.istype("GHF") or mf.istype("DHF") or mf.istype("KSCF"):
        return f"{type(mf).__name__} is neither restricted, unrestricted nor restricted open shell"
    if mf.istype("_SGXHF") or mf.istype("_SmearingSCF"):
        return f"{type(mf).__name__} changes integrals or occupations in its own way"
    if isinstance(mf, KohnShamDFT) and redefined(mf):
        return "its functional is code of its own, unknown to the cheap level"
    return ""


def _store(mf: Any, solution: Solution, *, converged: bool) -> None:
    mf.mo_energy, mf.mo_coeff, mf.mo_occ = (
        solution.orbitals.energy,
        solution.orbitals.coeff,
        solution.orbitals.occ,
    )
    mf.e_tot, mf.converged = solution.energy, converged
