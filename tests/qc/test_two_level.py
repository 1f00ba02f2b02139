"""The two-level solver reaches PySCF's answer, leaves the object as it was, and says what it did."""

import numpy as np
import pytest
from pyscf import dft
from scfcases import FLUORIDE, METHYLENE, NO2, WATER, converged, mean_field

from genmol.qc.exact import fast_quadrature
from genmol.qc.quadrature import Quadrature
from genmol.qc.solver import run
from genmol.qc.two_level import Thresholds
from genmol.scf import Settings, solve

H2 = "H 0 0 0; H 0 0 0.74"

TABLE = {
    "R-hf": lambda: mean_field("R", WATER),
    "R-lda": lambda: mean_field("R", WATER, "lda,vwn"),
    "R-b3lyp": lambda: mean_field("R", WATER, "b3lypg"),
    "R-pbe": lambda: mean_field("R", FLUORIDE, "pbe"),
    "R-r2scan": lambda: mean_field("R", FLUORIDE, "r2scan"),
    "R-wb97x": lambda: mean_field("R", WATER, "wb97x"),
    "R-wb97m-v": lambda: on_a_coarse_nonlocal_grid(mean_field("R", H2, "wb97m-v")),
    "R-b3lyp-d3bj": lambda: mean_field("R", WATER, "b3lyp-d3bj"),
    "R-hf-of-dft": lambda: mean_field("R", WATER, "hf"),
    "U-hf": lambda: mean_field("U", METHYLENE, spin=2),
    "U-b3lyp": lambda: mean_field("U", METHYLENE, "b3lypg", spin=2),
    "U-pbe-doublet": lambda: mean_field("U", NO2, "pbe", spin=1),
    "U-r2scan-cation": lambda: mean_field("U", WATER, "r2scan", charge=1, spin=1),
    "U-wb97x": lambda: mean_field("U", METHYLENE, "wb97x", spin=2),
    "U-of-a-singlet": lambda: mean_field("U", WATER, "pbe"),
    "U-negative-spin": lambda: mean_field("U", METHYLENE, "pbe", spin=-2),
    "RO-hf": lambda: mean_field("RO", METHYLENE, spin=2),
    "RO-b3lyp": lambda: mean_field("RO", NO2, "b3lypg", spin=1),
    "RO-r2scan": lambda: mean_field("RO", METHYLENE, "r2scan", spin=2),
    "anion": lambda: mean_field("R", "O 0 0 0; H 0 0 0.97", "b3lypg", basis="6-31+g", charge=-1),
    "dication": lambda: mean_field("R", "Mg 0 0 0", "pbe", charge=2),
    "ecp": lambda: mean_field("R", "Xe 0 0 0", "pbe", basis="def2-svp", ecp="def2-svp"),
    "ghost": lambda: mean_field("R", FLUORIDE + "; ghost-O 0 0 3", "pbe"),
    "cartesian": lambda: mean_field("R", WATER, "pbe", basis="6-31g*", cart=True),
    "solvent": lambda: mean_field("R", WATER, "b3lypg").PCM(),
    "symmetry": lambda: mean_field("R", WATER, "pbe", symmetry=True),
    "symmetry-U": lambda: mean_field("U", WATER, "pbe", charge=1, spin=1, symmetry=True),
    "symmetry-linear": lambda: mean_field("R", "N 0 0 0; N 0 0 1.1", "pbe", symmetry=True),
    "fitted": lambda: mean_field("R", WATER, "b3lypg").density_fit(),
    "x2c": lambda: mean_field("R", WATER, "b3lypg").x2c(),
    "one-electron": lambda: mean_field("U", "H 0 0 0; H 0 0 1.06", "b3lypg", charge=1, spin=1),
    "hydrogen-hf": lambda: mean_field("U", "H 0 0 0", spin=1),
    "no-beta": lambda: mean_field("U", "He 0 0 0", "pbe", spin=2),
    "no-beta-RO": lambda: mean_field("RO", "He 0 0 0", "pbe", spin=2),
    "no-virtuals": lambda: mean_field("R", "He 0 0 0", "pbe", basis="sto-3g"),
    "far-apart": lambda: mean_field("R", H2 + "; He 0 0 60", "b3lypg"),
    "bohr": lambda: mean_field("R", [["H", (0, 0, 0)], ["F", (0, 0, 2)]], "pbe", unit="B"),
    "basis-per-element": lambda: mean_field(
        "R", FLUORIDE, "pbe", basis={"H": "sto-3g", "F": "6-31g"}
    ),
    "no-fitting-set": lambda: mean_field("R", "Li 0 0 0; H 0 0 1.6", "b3lypg", basis="6-31g*"),
    "linear-dependence": lambda: mean_field("R", "H 0 0 0; H 0 0 0.4", "pbe", basis="aug-cc-pvtz"),
    "level-shift-set": lambda: altered(mean_field("R", WATER, "pbe"), level_shift=0.3),
    "damping-set": lambda: altered(mean_field("R", WATER, "pbe"), damp=0.3),
    "omega-set": lambda: altered(mean_field("R", FLUORIDE, "camb3lyp"), omega=0.5),
    "no-functional": lambda: altered(mean_field("R", FLUORIDE, "pbe"), xc=""),
    "external-field": lambda: in_a_field(mean_field("R", WATER, "b3lypg")),
    "little-memory": lambda: altered(mean_field("R", WATER, "pbe"), max_memory=1),
}


# One electron: PySCF diagonalises the core Hamiltonian instead. No beta electrons: their levels are
# libxc's rounding at zero density.
EMPTY_SPIN = ("hydrogen-hf", "one-electron", "no-beta", "no-beta-RO")


def altered(mf, **attributes):
    for name, value in attributes.items():
        setattr(mf, name, value)
    return mf


def on_a_coarse_nonlocal_grid(mf):
    mf.nlcgrids.level = 0
    return mf


def in_a_field(mf):
    hcore = mf.get_hcore() + 0.02 * mf.mol.intor("int1e_r")[2]
    mf.get_hcore = lambda *args: hcore
    return mf


@pytest.mark.parametrize("case", TABLE)
def test_equals_pyscf(case):
    mf, report = solve(TABLE[case]())
    reference = TABLE[case]()
    reference.level_shift, reference.damp = 0, 0
    converged(reference)
    assert report.converged
    assert mf.converged
    assert report.solver == "two-level", report.solver_reason
    assert [a.strategy for a in report.attempts] == ["two-level"]
    assert 1 <= report.exact_fock_builds <= 3
    assert report.energy_hartree == mf.e_tot == pytest.approx(reference.e_tot, abs=1e-8)
    assert report.certificate.verdict in ("pass", "warn")
    if case in EMPTY_SPIN:
        return
    for ours, theirs in zip(
        np.atleast_2d(mf.mo_energy), np.atleast_2d(reference.mo_energy), strict=True
    ):
        np.testing.assert_allclose(np.sort(ours), np.sort(theirs), rtol=0, atol=1e-5)


@pytest.mark.parametrize("case", ["R-b3lyp", "U-r2scan-cation", "RO-b3lyp", "solvent", "fitted"])
def test_the_gradient_that_stock_pyscf_finds_is_the_reports(case):
    mf, report = solve(TABLE[case]())
    again = TABLE[case]()
    dm = again.make_rdm1(mf.mo_coeff, mf.mo_occ)
    fock = again.get_fock(dm=np.asarray(dm))
    norm = np.linalg.norm(again.get_grad(mf.mo_coeff, mf.mo_occ, fock))
    assert norm == pytest.approx(report.orbital_gradient_norm, abs=1e-8)
    assert norm < mf.conv_tol**0.5
    assert again.energy_tot(dm) == pytest.approx(report.energy_hartree, abs=1e-10)


def test_the_objects_own_thresholds_hold():
    tight = solve(altered(mean_field("R", WATER, "pbe"), conv_tol_grad=1e-7)).report
    loose = solve(altered(mean_field("R", WATER, "pbe"), conv_tol=1e-6)).report
    assert tight.orbital_gradient_norm < 1e-7 < loose.orbital_gradient_norm < 1e-3
    assert loose.exact_fock_builds < tight.exact_fock_builds <= 4


@pytest.mark.parametrize("tolerance", [1e-11, 1e-13])
def test_very_tight_thresholds(tolerance):
    _mf, report = solve(altered(mean_field("R", WATER, "pbe"), conv_tol=tolerance))
    assert report.converged
    assert report.orbital_gradient_norm < tolerance**0.5
    assert len(report.attempts) == 1


def test_thresholds_bound_energy_and_gradient():
    thresholds = Thresholds(energy=1e-9, gradient=1e-3)
    assert thresholds.met_by(5e-5)
    assert not thresholds.met_by(5e-4)  # the gradient is small enough, the energy is not
    assert not Thresholds(energy=1.0, gradient=1e-5).met_by(1e-4)
    assert not thresholds.met_by(np.nan)


def test_the_object_is_solved_in_place_and_its_methods_are_its_own_again():
    mf = mean_field("R", WATER, "b3lypg")
    before = {k: v for k, v in vars(mf).items() if callable(v)}
    rule = mf._numint
    solved = solve(mf)
    assert solved.mf is mf
    assert mf._numint is rule
    assert type(mf._numint) is dft.numint.NumInt
    assert {k: v for k, v in vars(mf).items() if callable(v)} == before
    again = mf.e_tot
    assert mf.kernel(mf.make_rdm1()) == pytest.approx(again, abs=1e-9)


def test_the_quadrature_is_put_back_after_an_error():
    mf = mean_field("R", WATER, "pbe")
    rule = mf._numint
    with pytest.raises(ZeroDivisionError), fast_quadrature(mf):
        assert isinstance(mf._numint, Quadrature)
        raise ZeroDivisionError
    assert mf._numint is rule


def test_a_users_own_potential_survives():
    """Instance methods are a PySCF idiom; counting builds may not remove them."""
    for mode in ("verified", "pyscf"):
        mf = mean_field("R", WATER)
        calls, original = [], mf.get_veff

        def noted(*args, calls=calls, original=original, **kwargs):
            calls.append(1)
            return original(*args, **kwargs)

        mf.get_veff = noted
        report = solve(mf, Settings(mode=mode)).report
        assert mf.get_veff is noted
        assert len(calls) == report.exact_fock_builds


def test_a_solved_object_goes_on():
    mf, report = solve(mean_field("R", WATER, "b3lypg"))
    stock = converged(mean_field("R", WATER, "b3lypg"))
    np.testing.assert_allclose(
        mf.nuc_grad_method().kernel(), stock.nuc_grad_method().kernel(), atol=2e-5
    )
    np.testing.assert_allclose(mf.dip_moment(verbose=0), stock.dip_moment(verbose=0), atol=1e-4)
    excited, expected = mf.TDA(), stock.TDA()
    excited.kernel(nstates=1)
    expected.kernel(nstates=1)
    np.testing.assert_allclose(excited.e, expected.e, atol=1e-5)
    unrestricted = mf.to_uks()
    assert unrestricted.kernel(unrestricted.make_rdm1()) == pytest.approx(mf.e_tot, abs=1e-8)
    assert solve(mf).report.energy_hartree == pytest.approx(report.energy_hartree, abs=1e-9)


def test_a_solved_symmetric_object_goes_on():
    mf, _ = solve(mean_field("R", "N 0 0 0; N 0 0 1.1", "pbe", symmetry=True))
    mf.analyze(verbose=0)
    mf.nuc_grad_method().kernel()


def test_an_open_shell_object_goes_on():
    mf, _ = solve(mean_field("RO", METHYLENE, spin=2))
    stock = converged(mean_field("RO", METHYLENE, spin=2))
    np.testing.assert_allclose(
        mf.nuc_grad_method().kernel(), stock.nuc_grad_method().kernel(), atol=2e-5
    )
    assert mf.to_uhf().spin_square()[0] == pytest.approx(2.0)


def test_orbital_energies_are_those_of_the_final_fock_matrix():
    mf, _ = solve(mean_field("U", METHYLENE, "pbe", spin=2))
    fock = mf.get_fock(dm=mf.make_rdm1())
    for c, f, e in zip(mf.mo_coeff, fock, mf.mo_energy, strict=True):
        np.testing.assert_allclose(np.diag(c.T @ f @ c), e, atol=1e-8)
        np.testing.assert_allclose(c.T @ mf.get_ovlp() @ c, np.eye(len(e)), atol=1e-9)


@pytest.mark.parametrize("kind", ["R", "U"])
def test_rotating_the_molecule_changes_the_grid_error_only(kind, rng):
    atom, spin = (WATER, 0) if kind == "R" else (METHYLENE, 2)
    still = mean_field(kind, atom, "b3lypg", spin=spin, grid=3)
    q, _ = np.linalg.qr(rng.standard_normal((3, 3)))
    q *= np.linalg.det(q)
    atoms = [(s, q @ x) for s, x in zip(still.mol.elements, still.mol.atom_coords(), strict=True)]
    turned = mean_field(kind, atoms, "b3lypg", spin=spin, grid=3, unit="B")
    a, b = solve(still).report, solve(turned).report
    assert a.energy_hartree == pytest.approx(b.energy_hartree, abs=2e-5)
    assert a.exact_fock_builds == b.exact_fock_builds


def test_hartree_fock_is_invariant_under_rotation_and_permutation(rng):
    still = mean_field("U", METHYLENE, spin=2)
    q, _ = np.linalg.qr(rng.standard_normal((3, 3)))
    atoms = [(s, q @ x) for s, x in zip(still.mol.elements, still.mol.atom_coords(), strict=True)]
    turned = mean_field("U", atoms[::-1], spin=2, unit="B")
    assert solve(still).report.energy_hartree == pytest.approx(
        solve(turned).report.energy_hartree, abs=1e-9
    )


def test_two_far_molecules_have_twice_the_energy():
    one = solve(mean_field("R", FLUORIDE, "pbe")).report.energy_hartree
    two = solve(mean_field("R", FLUORIDE + "; H 50 0 0; F 50 0 0.92", "pbe")).report.energy_hartree
    assert two == pytest.approx(2 * one, abs=2e-4)  # dipoles, 50 Å apart, and the grid


SINGLE = {
    "water": lambda: mean_field("R", WATER, "b3lypg", basis="6-31g*"),
    "fluoride": lambda: mean_field("R", FLUORIDE, "pbe", basis="6-31g*"),
    "hf": lambda: mean_field("R", "N 0 0 0; N 0 0 1.1", basis="6-31g*"),
    "carbonyl": lambda: mean_field("R", "C 0 0 0; O 0 0 1.13", "r2scan"),
    "methylene": lambda: mean_field("U", METHYLENE, "b3lypg", basis="6-31g*", spin=2),
    "nitrogen-dioxide": lambda: mean_field("U", NO2, "pbe", spin=1),
    "cation": lambda: mean_field("RO", WATER, "b3lypg", charge=1, spin=1),
}


@pytest.mark.parametrize("case", SINGLE)
def test_the_error_estimate_of_a_single_build(case):
    mf, report = solve(SINGLE[case](), Settings(mode="single-build"))
    error = report.energy_hartree - converged(SINGLE[case](), conv_tol=1e-12).e_tot
    assert report.exact_fock_builds == 1
    assert error > -1e-10
    assert report.energy_error_estimate_hartree == pytest.approx(error, rel=0.5, abs=5e-10)
    assert error == pytest.approx(0.0, abs=2e-5)
    assert mf.converged == report.converged


def test_a_single_build_that_meets_the_thresholds_is_converged():
    mf, report = solve(mean_field("U", "H 0 0 0", spin=1), Settings(mode="single-build"))
    assert report.converged
    assert mf.converged


def test_plain_mode_is_pyscf_from_our_guess():
    _mf, report = solve(mean_field("R", WATER, "pbe"), Settings(mode="pyscf"))
    assert report.solver == "plain"
    assert report.cheap_fock_builds > 0
    stock = mean_field("R", WATER, "pbe")
    assert report.energy_hartree == pytest.approx(stock.kernel(), abs=1e-8)
    assert report.exact_fock_builds < stock.cycles + 2


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda: mean_field("R", FLUORIDE, "pbe").to_gks(), "GKS"),
        (lambda: smeared(mean_field("R", FLUORIDE, "pbe")), "occupations"),
        (
            lambda: mean_field("R", FLUORIDE, "pbe").define_xc_(half_of_slater, "LDA"),
            "code of its own",
        ),
    ],
)
def test_what_the_cheap_level_cannot_imitate_goes_to_pyscf(make, reason):
    """A functional given as code must not be replaced by the one named in ``xc``."""
    _mf, report = solve(make())
    assert report.solver == "plain"
    assert reason in report.solver_reason
    assert report.energy_hartree == pytest.approx(converged(make()).e_tot, abs=1e-8)


def smeared(mf):
    from pyscf.scf import addons

    return addons.smearing_(mf, sigma=0.01)


def half_of_slater(xc_code, rho, spin=0, relativity=0, deriv=1, omega=None, verbose=None):
    exc, vxc, _, _ = dft.libxc.eval_xc("lda,", rho, spin, relativity, deriv, omega=omega)
    return 0.5 * exc, [None if v is None else 0.5 * v for v in vxc], None, None


def test_a_given_density_is_used_and_a_bad_one_refused(rng):
    make = lambda: mean_field("R", WATER, "pbe")  # noqa: E731
    dm = converged(make()).make_rdm1()
    good = run(make(), density=np.asarray(dm), density_name="mine")
    assert good.guess == "mine"
    assert good.cheap_builds <= run(make()).cheap_builds
    for bad in (np.asarray(dm) * np.nan, np.asarray(dm) * 2, rng.standard_normal(dm.shape)):
        refused = run(make(), density=bad, density_name="mine")
        assert refused.guess == "cheap-scf"
        assert "mine refused" in refused.guess_reason
        assert refused.solution.energy == pytest.approx(good.solution.energy, abs=1e-8)


@pytest.mark.parametrize("guess", ["1e", "minao", "atom", "huckel", "sap", "cheap-scf"])
def test_every_guess_leads_to_the_same_energy(guess):
    report = solve(mean_field("R", WATER, "b3lypg"), Settings(guess=guess)).report
    assert report.guess == guess
    assert report.energy_hartree == pytest.approx(-76.3475, abs=0.05)
    reference = solve(mean_field("R", WATER, "b3lypg")).report.energy_hartree
    assert report.energy_hartree == pytest.approx(reference, abs=2e-9)
    assert report.exact_fock_builds <= 3


def test_the_literal_functional_of_an_object_is_recorded():
    """PySCF's bare ``lda`` is exchange alone; our own name for it adds VWN."""
    report = solve(mean_field("R", FLUORIDE, "lda")).report
    assert report.settings["functional"]["components"] == (("LDA_X", 1.0),)
