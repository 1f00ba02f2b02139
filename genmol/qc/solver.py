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
from genmol.qc.guard import check_guess, evaluate_start
from genmol.qc.guess import guess as unlearned
from genmol.qc.inner import History
from genmol.qc.options import StartName
from genmol.qc.problem import Orbitals, Problem
from genmol.qc.two_level import Tactics, Thresholds, cheap_orbitals

__all__ = ["Proposal", "Propose", "Run", "run"]


@dataclass(frozen=True)
class Proposal:
    """A guess made for one problem, or why there is none.

    Attributes:
        density: in PySCF's AO order; None if there is none.
        name: how the report calls it.
        reason: how it was made, or why there is none.
        reference: the first determinant on the unlearned road, if it was computed on the way.
    """

    density: np.ndarray | None
    name: str
    reason: str
    reference: Orbitals | None = None


Propose = Callable[[Problem, CheapLevel], Proposal]
"""Makes a guess; the cheap builds it takes are counted there."""


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
    guess: StartName = "cheap-scf",
    density: np.ndarray | None = None,
    density_name: str = "given density",
    propose: Propose | None = None,
    descend: bool = False,
    plain: bool = False,
    single_build: bool = False,
    max_exact_builds: int = 8,
    on_attempt: Callable[[Attempt], None] = lambda attempt: None,
) -> Run:
    """Converge ``mf`` in place: on success its orbitals, energy and ``converged`` are set.

    Args:
        mf: PySCF mean-field object; its own thresholds, grid and memory limit hold.
        guess: unlearned guess from which the cheap level starts; ``cheap-scf`` starts it from minao.
        density: density from outside, checked before use and refused if it is worse than the guess.
        density_name: how the report calls it.
        propose: asked for a guess where no density is given or the given one is doubtful; what it
            proposes is checked in the same way. It replaces ``guess``.
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
        road = _Road(problem, cheap, history, guess, propose)
        origin = road.origin(density, density_name)
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


@dataclass(frozen=True)
class _Road:
    """How to get to an origin: a given density, else a proposed one, else the unlearned guess."""

    problem: Problem
    cheap: CheapLevel
    history: History
    guess: StartName
    propose: Propose | None

    def origin(self, density: np.ndarray | None, density_name: str) -> Origin:
        """The first of the three that passes the guard."""
        if density is None:
            return self._without(self.history)[0]
        other: list[Origin] = []

        def reference(history: History) -> tuple[float, Orbitals]:
            found, norm = self._without(history, measured=True)
            other.append(found)
            return norm, found.start

        verdict = check_guess(
            self.problem,
            self.cheap,
            density,
            reference=None if self.propose is None else reference,
            history=self.history,
        )
        if verdict.accepted:
            return Origin(verdict.orbitals, density_name, verdict.reason)
        refusal = f"{density_name} refused: {verdict.reason}"
        if verdict.orbitals is None:  # refused at sight
            found, _ = self._without(self.history)
            if self.propose is None:
                return replace(found, reason=refusal)
            return _after(refusal, found)
        return _after(refusal, other[0]) if other else Origin(verdict.orbitals, self.guess, refusal)

    def _without(self, history: History, *, measured: bool = False) -> tuple[Origin, float]:
        """The origin without a given density, and its ``|g|`` (Hartree), which may cost a build."""
        if self.propose is None:
            reason = "the default" if self.guess == "cheap-scf" else "chosen"
            name = "minao" if self.guess == "cheap-scf" else self.guess
            return Origin(unlearned(self.problem.mf, name), self.guess, reason), np.inf
        proposal = self.propose(self.problem, self.cheap)
        reason, norm = proposal.reason, np.inf
        start: Any = proposal.reference
        if proposal.density is not None:
            verdict = check_guess(
                self.problem, self.cheap, proposal.density, reference=start, history=history
            )
            if verdict.accepted:
                assert verdict.gradient_norm is not None
                reason = f"{proposal.reason}; {verdict.reason}"
                return Origin(verdict.orbitals, proposal.name, reason), verdict.gradient_norm
            reason = f"{proposal.name} guess refused: {verdict.reason}"
            if verdict.orbitals is not None:
                assert verdict.reference_norm is not None
                return Origin(verdict.orbitals, self.guess, reason), verdict.reference_norm
        if start is None:
            start = unlearned(self.problem.mf, "minao")
        if measured:
            norm, start = evaluate_start(self.problem, self.cheap, start, history)
        return Origin(start, self.guess, reason), norm


def _after(refusal: str, origin: Origin) -> Origin:
    return replace(origin, reason=f"{refusal}; {origin.reason}")


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
