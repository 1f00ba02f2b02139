"""Pulay's extrapolation, the offset, and the memory that outlives it."""

import numpy as np
import pytest
from scfcases import METHYLENE, WATER, mean_field

from genmol.qc.cheap import CheapLevel
from genmol.qc.inner import History, _extrapolate, relax
from genmol.qc.problem import Problem


def setting(kind="R", atom=WATER, xc="pbe", charge=0, spin=0):
    mf = mean_field(kind, atom, xc, charge=charge, spin=spin, grid=0)
    problem, cheap = Problem(mf), CheapLevel(mf)
    dm = mf.get_init_guess(key="minao")
    return (
        problem,
        cheap,
        problem.diagonalise(problem.roothaan(problem.fock(cheap.potential(dm)), dm)),
    )


KINDS = [("R", WATER, 0, 0), ("U", METHYLENE, 0, 2), ("RO", WATER, 1, 1)]


def test_extrapolation_solves_a_linear_problem(rng):
    """Errors linear in the matrices: with n + 1 of them the root of an n-dimensional map is exact."""
    a = rng.standard_normal((4, 4)) + 4 * np.eye(4)
    root = rng.standard_normal(4)
    points = [rng.standard_normal(4) * 10.0**-k for k in range(5)]
    errors = [a @ (p - root) for p in points]
    np.testing.assert_allclose(_extrapolate(points, errors), root, rtol=0, atol=1e-6)


@pytest.mark.parametrize("scale", [1e-12, 1.0, 1e8])
def test_extrapolation_is_an_affine_combination_at_any_scale(rng, scale):
    points = [np.ones((3, 3))] * 6
    errors = list(rng.standard_normal((6, 9)) * scale)
    np.testing.assert_allclose(_extrapolate(points, errors), points[0], atol=1e-9)


@pytest.mark.parametrize("smallest", [0.0, 1e-20, 1e-9, 1e-5])
def test_a_much_better_matrix_dominates_and_the_weights_still_sum_to_one(rng, smallest):
    """One error 1e-20 among ordinary ones once made the combination vanish (the hydrogen atom)."""
    errors = list(rng.standard_normal((4, 9)))
    errors.append(smallest * rng.standard_normal(9))
    points = [np.full((3, 3), 5.0 + i) for i in range(5)]
    np.testing.assert_allclose(
        _extrapolate(points, errors), points[-1], rtol=0, atol=10 * smallest + 1e-9
    )


def test_linearly_dependent_errors(rng):
    e = rng.standard_normal(6)
    points = [np.eye(2), 2 * np.eye(2), 3 * np.eye(2)]
    np.testing.assert_allclose(_extrapolate(points, [e, e, e]), 2 * np.eye(2), atol=1e-9)
    np.testing.assert_allclose(_extrapolate(points[:2], [e, 0.5 * e]), 3 * np.eye(2), atol=1e-7)


@pytest.mark.parametrize(("kind", "atom", "charge", "spin"), KINDS)
def test_tolerance_is_kept_and_tighter_is_closer(kind, atom, charge, spin):
    problem, cheap, begin = setting(kind, atom, charge=charge, spin=spin)
    ends = {}
    for tolerance in (1e-2, 1e-7):
        end = relax(problem, cheap.potential, begin, 0.0, History(), tolerance=tolerance)
        assert end.converged
        assert end.gradient_norm < tolerance
        after = problem.gradient_norm(end.orbitals, problem.fock(cheap.potential(end.orbitals.dm)))
        assert after < tolerance
        ends[tolerance] = end
    assert ends[1e-2].builds < ends[1e-7].builds


@pytest.mark.parametrize(("kind", "atom", "charge", "spin"), KINDS)
def test_history_stays_exact_under_a_new_offset(kind, atom, charge, spin):
    problem, cheap, begin = setting(kind, atom, charge=charge, spin=spin)
    history = History()
    first = relax(problem, cheap.potential, begin, 0.0, history, tolerance=1e-7)
    offset = 0.02 * problem.mf.mol.intor("int1e_r")[2]
    offset = offset if kind == "R" else np.stack([offset, offset])
    remembered = relax(problem, cheap.potential, first.orbitals, offset, history, tolerance=1e-7)
    fresh = relax(problem, cheap.potential, begin, offset, History(), tolerance=1e-7)
    assert remembered.converged
    assert fresh.converged
    np.testing.assert_allclose(remembered.orbitals.dm, fresh.orbitals.dm, rtol=0, atol=1e-6)
    assert np.abs(np.asarray(first.orbitals.dm) - fresh.orbitals.dm).max() > 1e-3
    assert remembered.builds < fresh.builds


def test_builds_are_counted_and_limited():
    problem, cheap, begin = setting()
    before = cheap.builds
    end = relax(problem, cheap.potential, begin, 0.0, History(), tolerance=1e-9, max_builds=3)
    assert (end.builds, cheap.builds - before, end.converged) == (3, 3, False)
    assert end.gradient_norm > 1e-9


def test_history_keeps_the_latest():
    history = History(space=3)
    for i in range(5):
        history.append(np.full((1, 1), i), np.zeros((1, 1)))
    assert [float(dm[0, 0]) for dm, _ in history.pairs] == [2.0, 3.0, 4.0]


@pytest.mark.parametrize("options", [{"damping": 0.5}, {"level_shift": 0.4}])
def test_tactics_reach_the_same_density(options):
    problem, cheap, begin = setting()
    plain = relax(problem, cheap.potential, begin, 0.0, History(), tolerance=1e-7)
    other = relax(
        problem, cheap.potential, begin, 0.0, History(), tolerance=1e-7, max_builds=200, **options
    )
    assert other.converged
    np.testing.assert_allclose(other.orbitals.dm, plain.orbitals.dm, rtol=0, atol=1e-6)


def test_the_spherical_atom_with_one_electron():
    """Unrestricted hydrogen: one spin is empty, and the commutator becomes zero to the last bit."""
    from genmol.qc.attempts import ladder
    from genmol.qc.two_level import Thresholds

    mf = mean_field("U", "H 0 0 0", spin=1)
    problem = Problem(mf)
    solution, attempts = ladder(
        problem,
        CheapLevel(mf),
        History(),
        mf.get_init_guess(),
        thresholds=Thresholds(),
        max_exact_builds=8,
    )
    assert [a.strategy for a in attempts] == ["two-level"]
    assert solution.energy == pytest.approx(mf.kernel(), abs=1e-9)
