"""The quadrature against PySCF's: same electrons, energy and potential, whatever the density."""

import numpy as np
import pytest
from pyscf import dft, gto, lib
from scfcases import FLUORIDE, METHYLENE, WATER, mean_field, random_density

from genmol.qc.grid import build_grid
from genmol.qc.quadrature import Quadrature

FUNCTIONALS = ("lda,vwn", "b3lyp", "r2scan")
KINDS = {"R": (WATER, 0), "U": (METHYLENE, 2), "RO": (METHYLENE, 2)}


def orbital_density(mf):
    """A density tagged with orbitals, as an SCF iteration has it."""
    energy, coeff = mf.eig(mf.get_fock(dm=mf.get_init_guess(key="1e")), mf.get_ovlp())
    return mf.make_rdm1(coeff, mf.get_occ(energy, coeff))


def evaluate(rule, mf, dm, grids=None):
    call = rule.nr_rks if np.ndim(dm) == 2 else rule.nr_uks
    return call(mf.mol, mf.grids if grids is None else grids, mf.xc, dm)


def assert_equal(ours, theirs, tolerance=1e-10):
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=tolerance)


@pytest.mark.parametrize("tagged", [True, False])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("xc", FUNCTIONALS)
def test_equals_pyscf(xc, kind, tagged):
    atom, spin = KINDS[kind]
    mf = mean_field(kind, atom, xc, basis="6-31g*", spin=spin, grid=0)
    dm = orbital_density(mf)
    assert hasattr(dm, "mo_coeff")
    dm = dm if tagged else np.asarray(dm)
    rule = Quadrature()
    ours, theirs = evaluate(rule, mf, dm), evaluate(dft.numint.NumInt(), mf, dm)
    assert_equal(ours, theirs)
    assert rule.electrons == pytest.approx(np.sum(theirs[0]), abs=1e-10)
    assert abs(rule.electrons - mf.mol.nelectron) < 0.05


@pytest.mark.parametrize("xc", FUNCTIONALS)
@pytest.mark.parametrize("options", [{"basis": "def2-tzvp"}, {"basis": "6-31g*", "cart": True}])
def test_f_functions_and_cartesian_functions(xc, options):
    mf = mean_field("R", FLUORIDE, xc, grid=0, **options)
    for dm in (orbital_density(mf), np.asarray(orbital_density(mf))):
        assert_equal(evaluate(Quadrature(), mf, dm), evaluate(dft.numint.NumInt(), mf, dm))


@pytest.mark.parametrize("kind", ["R", "U"])
def test_indefinite_matrices(kind, rng):
    """A density that is no determinant's, as differences and mixtures are; LDA is well defined there."""
    mf = mean_field(kind, *KINDS[kind][:1], "r2scan", spin=KINDS[kind][1], grid=0)
    dm = np.asarray(orbital_density(mf)) + 1e-3 * random_density(mf, rng)
    assert_equal(evaluate(Quadrature(), mf, dm), evaluate(dft.numint.NumInt(), mf, dm))


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_screening_over_blocks_far_apart(axis):
    """Three molecules 12 Å apart in any direction: most blocks see one of them only."""
    parts = (("O", 0, 0), ("H", 0.9, 0.3), ("H", -0.9, 0.3))
    atom = [(s, np.roll([12.0 * i, y, z], axis)) for i in range(3) for s, y, z in parts]
    mf = mean_field("R", atom, "pbe", grid=0)
    dm = orbital_density(mf)
    build_grid(mf.grids)
    rule = Quadrature()
    assert_equal(evaluate(rule, mf, dm), evaluate(dft.numint.NumInt(), mf, dm))
    sizes = [len(block.index) for block in rule._blocks(mf.mol, mf.grids, 1)]
    assert np.mean(sizes) < 0.5 * mf.mol.nao


@pytest.mark.parametrize(("cutoff", "tolerance"), [(1e-12, 1e-10), (1e-9, 1e-8), (1e-7, 1e-5)])
def test_the_error_follows_the_cutoff(cutoff, tolerance):
    mf = mean_field("R", WATER, "b3lyp", grid=0)
    dm = orbital_density(mf)
    ours, theirs = (
        evaluate(Quadrature(cutoff=cutoff), mf, dm),
        evaluate(dft.numint.NumInt(), mf, dm),
    )
    assert_equal(ours, theirs, tolerance)


def test_kept_orbitals_change_nothing():
    mf = mean_field("U", METHYLENE, "r2scan", spin=2, grid=0)
    dm = orbital_density(mf)
    kept, fresh = Quadrature(keep_orbitals=True), Quadrature()
    first = evaluate(kept, mf, dm)
    assert_equal(evaluate(kept, mf, dm), first, 0.0)
    assert_equal(evaluate(fresh, mf, dm), first, 1e-13)
    other = np.asarray(dm)[::-1] * 0.9
    assert_equal(evaluate(kept, mf, other), evaluate(fresh, mf, other), 1e-13)


def test_kept_orbitals_belong_to_their_grid_and_derivative():
    mf = mean_field("R", WATER, "lda,vwn", grid=0)
    dm = orbital_density(mf)
    kept = Quadrature(keep_orbitals=True)
    evaluate(kept, mf, dm)
    mf.xc = "pbe"  # needs derivatives that were not kept
    assert_equal(evaluate(kept, mf, dm), evaluate(Quadrature(), mf, dm), 1e-13)
    finer = dft.gen_grid.Grids(mf.mol)
    finer.level = 1
    assert_equal(evaluate(kept, mf, dm, finer), evaluate(dft.numint.NumInt(), mf, dm, finer))
    moved = mean_field("R", "O 0 0 0.2; H 0 0.7 -0.4; H 0 -0.8 -0.5", "pbe", grid=0)
    dm = orbital_density(moved)
    assert_equal(evaluate(kept, moved, dm), evaluate(dft.numint.NumInt(), moved, dm))


def test_a_partial_sweep_is_not_taken_for_the_whole():
    mf = mean_field("R", WATER, "pbe", grid=0)
    kept = Quadrature(keep_orbitals=True)
    kept._orbitals(mf.mol, mf.grids, kept._blocks(mf.mol, mf.grids, 1)[0])
    dm = orbital_density(mf)
    assert_equal(evaluate(kept, mf, dm), evaluate(dft.numint.NumInt(), mf, dm))


def test_threads_share_the_blocks_and_change_nothing():
    mf = mean_field("U", "O 0 0 0; H 0 0.7 -0.4; H 0 -0.8 -0.5", "m06l", grid=1)
    dm = orbital_density(mf)
    with lib.with_omp_threads(1):
        alone = evaluate(Quadrature(), mf, dm)
    with lib.with_omp_threads(3):
        shared = Quadrature(keep_orbitals=True)
        for _ in range(2):  # the second time from the kept orbitals
            assert_equal(evaluate(shared, mf, dm), alone, 1e-13)
        assert lib.num_threads() == 3


def test_other_requests_are_pyscfs():
    mf = mean_field("R", FLUORIDE, "pbe", grid=0)
    dm = np.asarray(orbital_density(mf))
    ours, stock = Quadrature(), dft.numint.NumInt()
    several = np.array([dm, 0.9 * dm])
    n, _, v = ours.nr_rks(mf.mol, mf.grids, "pbe", several)
    expected = stock.nr_rks(mf.mol, mf.grids, "pbe", several)
    assert v.shape == (2, mf.mol.nao, mf.mol.nao)
    np.testing.assert_allclose(n, expected[0], atol=1e-12)
    np.testing.assert_allclose(v, expected[2], atol=1e-12)
    skew = dm + np.triu(dm, 1) * 1e-2
    for hermi, density in ((0, skew), (1, dm.astype(complex))):
        ours.electrons = None
        a = ours.nr_rks(mf.mol, mf.grids, "pbe", density, hermi=hermi)
        b = stock.nr_rks(mf.mol, mf.grids, "pbe", density, hermi=hermi)
        np.testing.assert_allclose(a[2], b[2], atol=1e-12)
        assert ours.electrons is None


def test_no_electrons_of_one_spin():
    mf = mean_field("U", "H 0 0 0", "b3lyp", spin=1, grid=0)
    dm = orbital_density(mf)
    ours, theirs = evaluate(Quadrature(), mf, dm), evaluate(dft.numint.NumInt(), mf, dm)
    assert_equal(ours, theirs, 1e-8)  # the limit at zero density is rounding in libxc
    assert ours[0][1] == 0.0


def test_tags_of_a_restricted_open_shell():
    mol = gto.M(atom="O 0 0 0; O 0 0 1.2", basis="6-31g", spin=2, verbose=0)
    mf = dft.ROKS(mol, xc="pbe")
    mf.grids.level = 0
    dm = orbital_density(mf)
    wrong = lib.tag_array(np.asarray(dm), mo_coeff=dm.mo_coeff, mo_occ=np.minimum(dm.mo_occ, 1))
    n, _, _ = evaluate(Quadrature(), mf, dm)
    np.testing.assert_allclose(n, [9, 7], atol=1e-2)
    assert evaluate(Quadrature(), mf, wrong)[0][1] == 0.0  # the tags are what is integrated
