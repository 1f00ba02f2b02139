"""One problem for three spin treatments: PySCF's gradient, commutators, occupations, rotations."""

import numpy as np
import pytest
from scfcases import FLUORIDE, METHYLENE, WATER, converged, mean_field

from genmol.qc.problem import Problem

CASES = [
    ("R", FLUORIDE, None, 0, 0),
    ("R", WATER, "pbe", 0, 0),
    ("U", METHYLENE, "b3lyp", 0, 2),
    ("U", WATER, "r2scan", 1, 1),
    ("RO", METHYLENE, "pbe", 0, 2),
    ("RO", WATER, None, 1, 1),
]


@pytest.fixture(scope="module", params=CASES, ids=lambda c: "-".join(map(str, (c[0], *c[2:]))))
def solved(request):
    kind, atom, xc, charge, spin = request.param
    mf = converged(mean_field(kind, atom, xc, charge=charge, spin=spin, grid=0))
    problem = Problem(mf)
    return problem, problem.occupy(mf.mo_energy, mf.mo_coeff)


def fock(problem, dm):
    return problem.fock(np.asarray(problem.mf.get_veff(problem.mf.mol, dm)))


def start(problem):
    dm = problem.mf.get_init_guess(key="minao")
    return problem.diagonalise(problem.roothaan(fock(problem, dm), dm))


def test_gradient_norm_is_pyscfs(solved):
    problem, _ = solved
    mf, orbitals = problem.mf, start(problem)
    matrix = mf.get_fock(problem.hcore, problem.overlap, mf.get_veff(dm=orbitals.dm), orbitals.dm)
    expected = np.linalg.norm(mf.get_grad(orbitals.coeff, orbitals.occ, matrix))
    assert expected > 0.05
    assert problem.gradient_norm(orbitals, fock(problem, orbitals.dm)) == pytest.approx(
        expected, rel=1e-12
    )


def test_the_commutator_vanishes_at_the_solution_and_only_there(solved):
    problem, orbitals = solved
    matrix = fock(problem, orbitals.dm)
    assert np.linalg.norm(problem.error(matrix, orbitals.dm)) < 1e-4
    away = start(problem)
    assert np.linalg.norm(problem.error(fock(problem, away.dm), away.dm)) > 1e-2


def test_the_commutator_of_closed_shells_is_the_gradient(solved):
    """|g| = 2 |F_ov| and |[F, D]| = 2 √2 |F_ov| for restricted, |F_ov| √2 for unrestricted."""
    problem, _ = solved
    orbitals = start(problem)
    matrix = fock(problem, orbitals.dm)
    error = np.linalg.norm(problem.error(matrix, orbitals.dm))
    norm = problem.gradient_norm(orbitals, matrix)
    if not problem.open_shell:
        assert error == pytest.approx(norm * 2**0.5, rel=1e-8)


def test_diagonalising_the_solution_returns_it(solved):
    problem, orbitals = solved
    for shift in (0.0, 0.5):
        again = problem.diagonalise(
            problem.roothaan(fock(problem, orbitals.dm), orbitals.dm),
            level_shift=shift,
            dm=orbitals.dm,
        )
        np.testing.assert_allclose(again.dm, orbitals.dm, rtol=0, atol=1e-5)
        np.testing.assert_allclose(again.occ, orbitals.occ)


def test_a_level_shift_raises_the_gap_by_itself(solved):
    problem, orbitals = solved
    matrix = problem.roothaan(fock(problem, orbitals.dm), orbitals.dm)
    plain = problem.diagonalise(matrix)
    shifted = problem.diagonalise(matrix, level_shift=0.5, dm=orbitals.dm)
    if not problem.open_shell:  # there the singly occupied levels are shifted by half
        assert problem.gap(shifted) - problem.gap(plain) == pytest.approx(0.5, abs=1e-6)
    else:
        assert problem.gap(shifted) > problem.gap(plain) + 0.2


def test_canonical_orbitals_keep_the_density_and_diagonalise(solved, rng):
    problem, orbitals = solved
    coeff = np.array(orbitals.coeff)
    occ = orbitals.occ
    pairs = zip(coeff, occ, strict=True) if problem.unrestricted else [(coeff, occ)]
    for c, n in pairs:  # mix orbitals of equal occupation
        for value in np.unique(n):
            block = np.flatnonzero(n == value)
            q, _ = np.linalg.qr(rng.standard_normal((len(block), len(block))))
            c[:, block] = c[:, block] @ q
    mixed = type(orbitals)(orbitals.energy, coeff, occ, problem.mf.make_rdm1(coeff, occ))
    np.testing.assert_allclose(mixed.dm, orbitals.dm, atol=1e-12)
    matrix = fock(problem, orbitals.dm)
    canonical = problem.canonicalise(mixed, matrix)
    np.testing.assert_allclose(canonical.dm, orbitals.dm, atol=1e-11)
    np.testing.assert_allclose(canonical.energy, orbitals.energy, atol=2e-5)
    roothaan = problem.roothaan(matrix, orbitals.dm)
    diagonal = np.einsum("...pi,...pq,...qi->...i", canonical.coeff, roothaan, canonical.coeff)
    np.testing.assert_allclose(diagonal, canonical.energy, atol=1e-10)


def test_spin_square_and_gap(solved):
    problem, orbitals = solved
    expected = problem.mf.spin_square()[0] if problem.unrestricted else None
    assert problem.spin_square(orbitals) == (None if expected is None else pytest.approx(expected))
    energy, occ = np.atleast_2d(orbitals.energy), np.atleast_2d(orbitals.occ)
    gaps = [e[n == 0].min() - e[n > 0].max() for e, n in zip(energy, occ, strict=True)]
    assert problem.gap(orbitals) == pytest.approx(min(gaps))


def test_a_full_or_an_empty_side_has_no_gap():
    for kind, atom, spin in (("R", "He 0 0 0", 0), ("U", "H 0 0 0", 1)):
        problem = Problem(mean_field(kind, atom, basis="sto-3g", spin=spin))
        assert problem.gap(start(problem)) == np.inf


def test_near_linear_dependence_is_treated_as_pyscf_does():
    """Else more functions than PySCF keeps lower the energy (by 3e-4 Hartree here)."""
    atom = "H 0 0 0; H 0 0 0.4; H 0 0 0.8; H 0 0 1.2"
    mf = mean_field("R", atom, basis="aug-cc-pvtz")
    problem = Problem(mf)
    kept = mf.check_linear_dependency(problem.overlap).shape[1]
    assert kept < mf.mol.nao
    assert problem.diagonalise(problem.hcore).coeff.shape[1] == kept
    assert problem.orthonormaliser.shape[1] == kept


@pytest.mark.parametrize("kind", ["R", "U", "RO"])
def test_symmetry_adapted_objects(kind):
    mf = mean_field(kind, WATER, symmetry=True, charge=0 if kind == "R" else 1, spin=kind != "R")
    problem = Problem(mf)
    orbitals = start(problem)
    trace = np.einsum("...ij,ji", np.asarray(orbitals.dm), problem.overlap)
    assert np.sum(trace) == pytest.approx(mf.mol.nelectron)
