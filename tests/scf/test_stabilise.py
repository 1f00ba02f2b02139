"""Unstable solutions are followed downhill where the spin treatment was left open."""

import pytest
from ase import Atoms
from scfcases import ase_water, converged, mean_field

from genmol.scf import Settings, solve

STRETCHED = Atoms("H2", [[0, 0, 0], [0, 0, 2.5]])
HF = Settings(xc="hf", basis="6-31g", stability=True)


@pytest.fixture(scope="module")
def broken():
    return solve(STRETCHED, HF)


def test_auto_becomes_unrestricted_and_lower(broken):
    restricted = converged(mean_field("R", "H 0 0 0; H 0 0 2.5"))
    mf, report = broken
    assert mf.istype("UHF")
    assert mf.converged
    assert report.settings["method"] == "UHF"
    assert report.energy_hartree < restricted.e_tot - 0.01
    assert report.energy_hartree == mf.e_tot
    assert report.properties["spin_square"] == pytest.approx(1.0, abs=0.1)


def test_it_is_the_broken_symmetry_solution_of_pyscf(broken):
    reference = mean_field("U", "H 0 0 0; H 0 0 2.5")
    dm = reference.get_init_guess()
    dm[0, 0, 0] += 0.5
    dm[1, 0, 0] -= 0.5
    reference.conv_tol = 1e-11
    reference.kernel(dm)
    assert broken.report.energy_hartree == pytest.approx(reference.e_tot, abs=1e-8)


def test_the_certificate_is_that_of_the_end(broken):
    checks = {c.name: c.status for c in broken.report.certificate.checks}
    assert checks["internally stable (1 = yes)"] == "pass"
    assert "stable against spin symmetry breaking (1 = yes)" not in checks
    assert checks["spin contamination <S^2> - S(S+1)"] == "warn"
    assert broken.report.exact_fock_builds == sum(a.exact_builds for a in broken.report.attempts)
    assert len(broken.report.attempts) >= 2


def test_restricted_stays_and_warns():
    mf, report = solve(
        STRETCHED, Settings(xc="hf", basis="6-31g", stability=True, spin_treatment="restricted")
    )
    assert mf.istype("RHF")
    statuses = {c.name: c.status for c in report.certificate.checks}
    assert statuses["stable against spin symmetry breaking (1 = yes)"] == "warn"
    assert report.certificate.verdict == "warn"


def test_unrestricted_singlet_leaves_its_saddle_point():
    mf, report = solve(
        STRETCHED, Settings(xc="hf", basis="6-31g", stability=True, spin_treatment="unrestricted")
    )
    assert report.certificate.verdict != "fail"
    assert report.energy_hartree == pytest.approx(
        solve(STRETCHED, HF).report.energy_hartree, abs=1e-8
    )
    assert mf.spin_square()[0] > 0.5


def test_a_stable_solution_is_left_alone():
    with_test = solve(ase_water(), Settings(xc="pbe", basis="6-31g", grid=1, stability=True)).report
    without = solve(ase_water(), Settings(xc="pbe", basis="6-31g", grid=1)).report
    assert with_test.exact_fock_builds == without.exact_fock_builds
    assert with_test.energy_hartree == pytest.approx(without.energy_hartree, abs=1e-10)


@pytest.mark.parametrize("atoms", [Atoms("H", [[0, 0, 0]]), Atoms("He", [[0, 0, 0]])])
@pytest.mark.parametrize("basis", ["sto-3g", "6-31g"])
def test_atoms_with_hardly_an_orbital_to_rotate(atoms, basis):
    report = solve(atoms, Settings(xc="hf", basis=basis, stability=True)).report
    assert report.converged
    assert report.certificate.verdict in ("pass", "warn")
