r"""The check that a guess from outside must pass before it is used.

A density that is a guess may be anything: of another molecule, in another orbital order, the
output of a network outside its domain. What needs no Fock build is checked first: shape,
finiteness, symmetry, :math:`\operatorname{tr} D_s S = N_s` in each spin *s*, natural occupations in
[0, 1]. Then the cheap level judges it by its orbital gradient,

.. math::
    g(D) = \|F_c(D)_{ov}\|, \qquad F_c(D) = h + V_c(D),

against that of the unlearned guess. The gradient is defined for the idempotent density of a
determinant, and energies cannot replace it: superposed atoms are not idempotent and may lie
*below* the converged energy. So what is compared is the first determinant on either road:

* the guess itself if it is idempotent (one build), the determinant of :math:`F_c(D)` if it is not
  (two builds): a diagonalisation is granted where the reference is granted it too;
* the determinant of :math:`F_c(D_{minao})` (two builds).

A learned guess comes with the orbitals of its :math:`F_c(D_{minao})`, which the network was fed, and a
guess may be held against another guess that has passed: the reference is then given.

A guess whose gradient is below ``SETTLED`` is taken without the comparison, which saves its two
builds: the reference reached 0.14 to 1.1 on ten molecules and ions of two to nine atoms.
Determinants and their potentials go to the :class:`~genmol.qc.inner.History`, where the relaxation
uses them, and the verdict carries the orbitals with which it goes on, so that a refusal costs one
build more than having had no guess (two for a guess that is not idempotent).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from genmol.qc.cheap import CheapLevel
from genmol.qc.guess import guess
from genmol.qc.inner import History
from genmol.qc.natural import SpinOrbitals, electrons_per_spin, spin_orbitals, two_spins
from genmol.qc.problem import Orbitals, Problem

__all__ = ["SETTLED", "Reference", "Verdict", "check_guess", "evaluate_start"]

Reference = Callable[[History], tuple[float, Orbitals]]
"""What a guess is held against: its |g| (Hartree) and the orbitals after it; fills the history."""

SETTLED = 0.1  # |g| (Hartree) below which no reference is asked
_SYMMETRY = 1e-6  # largest element of D - Dᵀ
_ELECTRONS = 1e-3  # error of Tr(DS) in a spin
_OCCUPATION = 1e-3  # how far a natural occupation of a spin may leave [0, 1]
_GAP = 1e-4  # Hartree; less is a degeneracy that decides the occupations by chance


@dataclass(frozen=True)
class Verdict:
    """What the guard decided.

    Attributes:
        accepted: whether the guess may be used.
        reason: one sentence: what was found and what was expected.
        orbitals: where the cheap level goes on, not yet evaluated (their predecessors are in the
            history): from the guess if accepted, from the unlearned one if refused for gradient or
            gap; None if refused without a Fock build.
        gradient_norm: ``|g|`` of the guess on the cheap level (Hartree), None if not measured.
        reference_norm: that of the reference, None if not needed.
        builds: cheap Fock builds used.
    """

    accepted: bool
    reason: str
    orbitals: Orbitals | None = field(default=None, repr=False)
    gradient_norm: float | None = None
    reference_norm: float | None = None
    builds: int = 0


def check_guess(
    problem: Problem,
    cheap: CheapLevel,
    dm: np.ndarray,
    *,
    reference: np.ndarray | Orbitals | Reference | None = None,
    history: History | None = None,
) -> Verdict:
    """Judge the density ``dm`` offered as a start.

    Args:
        problem: the problem to be solved.
        cheap: its cheap level, whose builds are counted there.
        dm: (nao, nao) or (2, nao, nao), in PySCF's orbital order; anything is allowed to be wrong.
        reference: density of the unlearned guess, superposed atoms (``minao``) by default; or the
            first determinant that follows from it; or a function that evaluates something else.
        history: receives the determinants evaluated, with their potentials.
    """
    history = History() if history is None else history
    refusal = _static_refusal(problem, dm)
    if refusal is not None:
        return Verdict(False, refusal)
    before = cheap.builds
    dm = np.asanyarray(dm)
    own, gap = _determinant(problem, dm), np.inf
    if own is None:
        own = _next(problem, problem.fock(cheap.potential(dm)), dm)
        gap = problem.gap(own)
    norm, following = _evaluate(problem, cheap, own, history)
    gap = min(gap, problem.gap(following))
    if gap >= _GAP and norm < SETTLED:
        reason = f"|g| = {norm:.1e} Hartree on the cheap level, below {SETTLED:g}"
        return Verdict(True, reason, following, norm, None, cheap.builds - before)
    kept = History(space=history.space)
    if callable(reference):
        base_norm, base_following = reference(kept)
    else:
        base_norm, base_following = evaluate_start(problem, cheap, reference, kept)
    builds = cheap.builds - before
    if gap >= _GAP and norm <= base_norm:
        reason = f"|g| = {norm:.1e} Hartree on the cheap level, {base_norm:.1e} without the guess"
        history.pairs = [*kept.pairs, *history.pairs][-history.space :]
        return Verdict(True, reason, following, norm, base_norm, builds)
    if gap < _GAP:
        reason = f"the gap of its cheap Fock matrix is {gap:.1e} Hartree, expected above {_GAP:g}"
    else:
        reason = (
            f"|g| = {norm:.1e} Hartree on the cheap level, expected at most {base_norm:.1e}, "
            f"that of the {'other' if callable(reference) else 'unlearned'} guess"
        )
    history.pairs = kept.pairs  # a bad density would only burden the extrapolation
    return Verdict(False, reason, base_following, norm, base_norm, builds)


def _static_refusal(problem: Problem, dm: np.ndarray) -> str | None:
    """The first fault that needs no Fock build, None if there is none."""
    nao = len(problem.overlap)
    shape = (2, nao, nao) if two_spins(problem.mf) else (nao, nao)
    if np.shape(dm) != shape:
        return f"its shape is {np.shape(dm)}, expected {shape}"
    if np.iscomplexobj(dm) or not np.issubdtype(np.asarray(dm).dtype, np.number):
        return f"its elements are {np.asarray(dm).dtype}, expected real numbers"
    if not np.all(np.isfinite(dm)):
        bad = int(np.sum(~np.isfinite(dm)))
        return f"{bad} of its elements are not finite, expected none"
    plain = np.asarray(dm, dtype=float)
    skew = float(np.abs(plain - np.swapaxes(plain, -1, -2)).max())
    if skew > _SYMMETRY:
        return f"it differs from its transpose by {skew:.1e}, expected at most {_SYMMETRY:g}"
    orbitals = spin_orbitals(plain, problem.overlap)
    for label, spin, wanted in zip(
        ("alpha", "beta"), orbitals, electrons_per_spin(problem.mf), strict=True
    ):
        found = float(spin.occ.sum())
        if abs(found - wanted) > _ELECTRONS:
            return f"it holds {found:.4f} {label} electrons, expected {wanted:g}"
        low, high = float(spin.occ.min(initial=0.0)), float(spin.occ.max(initial=0.0))
        if low < -_OCCUPATION or high > 1 + _OCCUPATION:
            return (
                f"its natural occupations of {label} spin reach from {low:.3f} to {high:.3f}, "
                "expected within 0 and 1"
            )
    return None


def _determinant(problem: Problem, dm: np.ndarray) -> Orbitals | None:
    """Orbitals, occupied and empty, of an idempotent density; None if it is not idempotent."""
    plain = np.asarray(dm, dtype=float)
    if problem.open_shell:  # one set of orbitals for both spins: natural orbitals of the sum
        total, _ = spin_orbitals(plain.sum(axis=0), problem.overlap)
        coeff, occ = total.coeff, 2 * total.occ
        if not SpinOrbitals(coeff, occ).integral:
            return None
        occ = np.round(occ)
        return Orbitals(np.zeros_like(occ), coeff, occ, problem.mf.make_rdm1(coeff, occ))
    alpha, beta = spin_orbitals(plain, problem.overlap)
    if not (alpha.integral and beta.integral):
        return None
    if problem.unrestricted:
        coeff = np.stack([alpha.coeff, beta.coeff])
        occ = np.round(np.stack([alpha.occ, beta.occ]))
    else:
        coeff, occ = alpha.coeff, 2 * np.round(alpha.occ)
    return Orbitals(np.zeros_like(occ), coeff, occ, problem.mf.make_rdm1(coeff, occ))


def evaluate_start(
    problem: Problem, cheap: CheapLevel, start: np.ndarray | Orbitals | None, history: History
) -> tuple[float, Orbitals]:
    """|g| (Hartree) of the first determinant from an unlearned start, and the orbitals after it.

    A density (None: minao) costs two builds, the determinant itself one.
    """
    if not isinstance(start, Orbitals):
        dm = guess(problem.mf, "minao") if start is None else start
        start = _next(problem, problem.fock(cheap.potential(dm)), dm)
    return _evaluate(problem, cheap, start, history)


def _next(problem: Problem, fock: np.ndarray, dm: np.ndarray) -> Orbitals:
    return problem.diagonalise(problem.roothaan(fock, dm))


def _evaluate(
    problem: Problem, cheap: CheapLevel, orbitals: Orbitals, history: History
) -> tuple[float, Orbitals]:
    """|g| of a determinant, and the orbitals of its Fock matrix; one cheap build."""
    potential = cheap.potential(orbitals.dm)
    history.append(orbitals.dm, potential)
    fock = problem.fock(potential)
    return problem.gradient_norm(orbitals, fock), _next(problem, fock, orbitals.dm)
