"""The guard: every kind of broken guess is refused with its reason, sound ones pass cheaply."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
from pyscf import dft, gto, scf

from genmol.qc.cheap import CheapLevel
from genmol.qc.guard import SETTLED, Verdict, check_guess
from genmol.qc.guess import guess
from genmol.qc.inner import History, relax
from genmol.qc.natural import lowdin
from genmol.qc.problem import Problem

WATER = "O 0 0 0; H 0.76 0.59 0; H -0.76 0.59 0"
KINDS = [(scf.RHF, 0, 0), (scf.UHF, 1, 1), (scf.ROHF, 1, 1), (dft.RKS, 0, 0), (dft.ROKS, 0, 2)]


def setting(kind: Any = scf.RHF, charge: int = 0, spin: int = 0) -> tuple[Problem, CheapLevel]:
    mf = kind(gto.M(atom=WATER, basis="6-31g", charge=charge, spin=spin, verbose=0))
    mf.chkfile = None
    return Problem(mf), CheapLevel(mf)


def check(dm: Any, *kind: Any, history: History | None = None) -> Verdict:
    problem, cheap = setting(*kind)
    verdict = check_guess(problem, cheap, dm, history=history)
    assert verdict.builds == cheap.builds
    return verdict


@pytest.fixture(scope="module")
def solved() -> Any:
    return setting()[0].mf.run()


@pytest.mark.parametrize(("kind", "charge", "spin"), KINDS)
def test_the_solution_is_accepted_for_one_build(kind: Any, charge: int, spin: int) -> None:
    problem, cheap = setting(kind, charge, spin)
    dm = problem.mf.run().make_rdm1()
    history = History()
    verdict = check_guess(problem, cheap, dm, history=history)
    assert verdict.accepted
    assert (verdict.builds, cheap.builds, len(history.pairs)) == (1, 1, 1)
    assert verdict.gradient_norm is not None
    assert verdict.gradient_norm < SETTLED
    assert verdict.reference_norm is None
    np.testing.assert_allclose(history.pairs[0][0], dm, atol=1e-8)
    assert verdict.orbitals is not None
    np.testing.assert_allclose(verdict.orbitals.dm, dm, atol=2e-2)


def test_the_gradient_is_that_of_the_cheap_level(solved: Any) -> None:
    problem, cheap = setting()
    c, occ = solved.mo_coeff.copy(), solved.mo_occ
    angle = 0.05
    c[:, 4], c[:, 5] = (
        np.cos(angle) * solved.mo_coeff[:, 4] + np.sin(angle) * solved.mo_coeff[:, 5],
        np.cos(angle) * solved.mo_coeff[:, 5] - np.sin(angle) * solved.mo_coeff[:, 4],
    )
    dm = problem.mf.make_rdm1(c, occ)
    fock = problem.fock(cheap.potential(dm))
    expected = np.linalg.norm(2 * c[:, 5:].T @ fock @ c[:, :5])
    assert check(np.asarray(dm)).gradient_norm == pytest.approx(expected, rel=1e-6)


def test_static_refusals_cost_no_build(solved: Any) -> None:
    dm = np.asarray(solved.make_rdm1())
    nan, skew = dm.copy(), dm.copy()
    nan[2, 3] = np.nan
    skew[0, 1] += 1e-3
    root, inverse = lowdin(solved.get_ovlp())
    overfull = root @ dm @ root
    c = inverse @ np.linalg.eigh(overfull)[1][:, ::-1]
    n = np.array([2.4, 2, 2, 2, 1.6] + [0] * (len(dm) - 5))
    negative = np.array([2, 2, 2, 2, 2, 0.3, -0.3] + [0] * (len(dm) - 7))
    for broken, message in (
        (dm[:-1, :-1], r"shape is \(12, 12\), expected \(13, 13\)"),
        (np.stack([dm, dm]) / 2, r"shape is \(2, 13, 13\), expected \(13, 13\)"),
        (dm.astype(complex), "complex128, expected real"),
        (dm > 0, "bool, expected real"),
        (nan, "1 of its elements are not finite"),
        (skew, "transpose by 1.0e-03"),
        (dm * 1.01, r"holds 5.0500 alpha electrons, expected 5"),
        ((c * n) @ c.T, r"alpha spin reach from .* to 1.200, expected within 0 and 1"),
        ((c * negative) @ c.T, r"reach from -0.150 to 1.000"),
    ):
        verdict = check(broken)
        assert not verdict.accepted
        assert verdict.builds == 0
        assert verdict.orbitals is None
        assert re.search(message, verdict.reason), verdict.reason


def test_electrons_are_counted_in_each_spin() -> None:
    mf = setting(scf.UHF, 1, 1)[0].mf.run()
    verdict = check(mf.make_rdm1()[::-1].copy(), scf.UHF, 1, 1)
    assert not verdict.accepted
    assert "holds 4.0000 alpha electrons, expected 5" in verdict.reason


def test_a_worse_guess_is_refused_and_the_reference_goes_on(solved: Any) -> None:
    history = History()
    problem, cheap = setting()
    verdict = check_guess(problem, cheap, guess(problem.mf, "1e"), history=history)
    assert not verdict.accepted
    assert verdict.builds == 3
    assert verdict.gradient_norm is not None
    assert verdict.reference_norm is not None
    assert verdict.gradient_norm > verdict.reference_norm
    assert "expected at most" in verdict.reason
    assert len(history.pairs) == 1  # of the reference only
    assert verdict.orbitals is not None
    inner = relax(problem, cheap.potential, verdict.orbitals, 0.0, history, tolerance=1e-5)
    assert inner.converged
    np.testing.assert_allclose(inner.orbitals.dm, solved.make_rdm1(), atol=2e-3)


def test_an_excited_determinant_is_refused(solved: Any) -> None:
    """Trace, occupations and idempotency are right; only the Fock matrix can tell."""
    occ = solved.mo_occ.copy()
    occ[[0, 8]] = occ[[8, 0]]
    verdict = check(solved.make_rdm1(solved.mo_coeff, occ))
    assert not verdict.accepted
    assert verdict.builds == 3


def test_permuted_orbitals_are_refused(solved: Any) -> None:
    """A density in another program's orbital order keeps its shape, symmetry and finiteness."""
    order = np.arange(13)[::-1]
    verdict = check(np.asarray(solved.make_rdm1())[np.ix_(order, order)])
    assert not verdict.accepted


def test_a_smoothed_density_may_be_diagonalised_first(solved: Any) -> None:
    """Occupations strictly inside [0, 2] are no fault; the reference is treated the same way."""
    n = np.array([2, 2, 2, 1.9, 1.8, 0.2, 0.1] + [0] * 6)
    dm = (solved.mo_coeff * n) @ solved.mo_coeff.T
    history = History()
    verdict = check(dm, history=history)
    assert verdict.accepted
    assert verdict.builds == 4
    assert verdict.reference_norm is not None
    for pair, _ in history.pairs:
        d = np.asarray(pair)
        np.testing.assert_allclose(d @ solved.get_ovlp() @ d, 2 * d, atol=1e-8)


def test_overfull_superposed_atoms_are_named() -> None:
    verdict = check(guess(setting()[0].mf, "atom"))
    assert not verdict.accepted
    assert "natural occupations" in verdict.reason


def test_a_vanishing_gap_is_refused() -> None:
    """Square H4: with two electrons in the degenerate pair the occupation is a matter of chance."""
    atom = "H 0.7 0.7 0; H -0.7 0.7 0; H -0.7 -0.7 0; H 0.7 -0.7 0"
    mf = scf.RHF(gto.M(atom=atom, basis="sto-3g", verbose=0))
    problem, cheap = Problem(mf), CheapLevel(mf)
    s = mf.get_ovlp()
    energy, c = np.linalg.eigh(s)
    c = c / np.sqrt(energy)
    occ = np.array([0, 1, 1, 2.0])
    verdict = check_guess(problem, cheap, (c * occ) @ c.T)
    assert not verdict.accepted
    assert "gap" in verdict.reason
