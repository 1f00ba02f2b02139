"""The job: what goes in, what the report says, and who wins when settings and object disagree."""

import json

import numpy as np
import pytest
from ase import Atoms
from pyscf import gto
from scfcases import ase_fluoride, ase_water, converged, mean_field

import genmol
from genmol.core.errors import InputError
from genmol.core.jsonable import dumps
from genmol.qc.guess import save_density
from genmol.scf import Settings, solve

SMALL = Settings(xc="pbe", basis="6-31g", grid=1)
FIELDS = {
    "energy_hartree", "converged", "solver", "exact_fock_builds", "cheap_fock_builds",
    "orbital_gradient_norm", "guess", "guess_reason", "seconds", "certificate", "attempts", "settings",
}  # fmt: skip


@pytest.fixture(scope="module")
def solved():
    return solve(ase_water(), SMALL)


def test_the_defaults_are_the_documented_ones():
    mf, report = solve(ase_fluoride())
    assert (mf.xc, mf.mol.basis, mf.grids.level, mf.conv_tol) == ("b3lypg", "def2-svp", 3, 1e-9)
    assert report.settings["functional"]["components"] == (("HYB_GGA_XC_B3LYP", 1.0),)
    stock = mean_field("R", "H 0 0 0; F 0 0 0.92", "b3lypg", basis="def2-svp", grid=3)
    assert report.energy_hartree == pytest.approx(converged(stock).e_tot, abs=1e-8)


def test_structure_molecule_and_object_are_one_problem(solved):
    mol = gto.M(atom="O 0 0 0.12; H 0 0.76 -0.47; H 0 -0.76 -0.47", basis="6-31g", verbose=0)
    for problem in (mol, mean_field("R", mol.atom, "pbe")):
        report = solve(problem, SMALL).report
        assert report.energy_hartree == pytest.approx(solved.report.energy_hartree, abs=1e-9)


def test_the_structure_is_not_changed():
    atoms = ase_water()
    before = atoms.copy()
    solve(atoms, SMALL)
    assert atoms == before
    assert atoms.info == before.info


def test_the_report_is_json_with_the_promised_fields(solved):
    record = json.loads(dumps(solved.report.to_dict()))
    assert record.keys() >= FIELDS
    assert record["certificate"]["verdict"] == "pass"
    assert {c["name"] for c in record["certificate"]["checks"]} >= {
        "orbital gradient norm (Hartree)",
        "electron count error, analytic",
        "electron count error, grid",
        "HOMO-LUMO gap (Hartree)",
    }
    assert record["certificate"]["record"]["versions"]["pyscf"]
    assert record["settings"]["functional"]["code"] == "pbe"
    assert record["attempts"][0]["strategy"] == "two-level"
    assert 0 < record["cpu_seconds"]
    assert record["attempts"][0]["seconds"] <= record["seconds"]


def test_the_objects_own_choices_are_recorded():
    mf = mean_field("U", "O 0 0 0; O 0 0 1.2", "r2scan", basis="sto-3g", spin=2, grid=0)
    mf.conv_tol = 1e-8
    settings = solve(mf, Settings(xc="b3lyp", multiplicity=1, grid=5)).report.settings
    assert settings["functional"]["code"] == "r2scan"
    assert (settings["basis"], settings["multiplicity"], settings["grid"]) == ("sto-3g", 3, 0)
    assert (settings["conv_tol"], settings["method"]) == (1e-8, "UKS")


def test_on_request_recheck_forces_and_stability(solved):
    asked = Settings(xc="pbe", basis="6-31g", grid=1, recheck=True, forces=True, stability=True)
    report = solve(ase_water(), asked).report
    names = [c.name for c in report.certificate.checks]
    assert sum("recheck" in n for n in names) == 2
    assert sum("stable" in n for n in names) == 2
    assert report.certificate.verdict == "pass"
    assert np.shape(report.properties["forces_ev_per_angstrom"]) == (3, 3)
    plain = solved.report
    assert len(names) == len(plain.certificate.checks) + 4
    assert "forces_ev_per_angstrom" not in plain.properties


def test_a_density_file_is_the_guess(tmp_path, solved):
    path = tmp_path / "water.npz"
    save_density(path, solved.mf)
    settings = Settings(xc="pbe", basis="6-31g", grid=1, guess_file=path)
    report = solve(ase_water(), settings).report
    assert report.guess == str(path)
    assert report.exact_fock_builds <= solved.report.exact_fock_builds
    assert report.cheap_fock_builds < solved.report.cheap_fock_builds
    assert report.energy_hartree == pytest.approx(solved.report.energy_hartree, abs=1e-9)
    with pytest.raises(InputError, match="for 2 atoms"):
        solve(ase_fluoride(), settings)


def test_a_density_of_another_molecule_is_refused_with_its_reason(solved):
    report = solve(
        ase_fluoride(), SMALL, density=solved.mf.make_rdm1(), density_name="stray"
    ).report
    assert report.guess == "cheap-scf"
    assert "stray refused" in report.guess_reason
    assert report.converged


def test_the_guess_drops_into_a_users_own_script(solved):
    mf = mean_field("R", solved.mf.mol.atom, "pbe", unit="B")
    mf.kernel(dm0=genmol.scf.guess(mf))
    assert mf.e_tot == pytest.approx(solved.report.energy_hartree, abs=1e-8)
    stock = mean_field("R", solved.mf.mol.atom, "pbe", unit="B")
    stock.kernel()
    assert mf.cycles < stock.cycles


def test_a_single_build_is_certified_as_one():
    report = solve(ase_water(), Settings(xc="pbe", basis="6-31g", mode="single-build")).report
    assert report.exact_fock_builds == 1
    assert report.certificate.verdict in ("pass", "warn")
    assert 0 < report.energy_error_estimate_hartree < 1e-5


@pytest.mark.parametrize(
    ("problem", "settings", "message"),
    [
        (Atoms("H", [[0, 0, 0]]), Settings(charge=1), "0 electrons"),
        (ase_water(), Settings(xc="b3lip"), "functional 'b3lip'"),
        (ase_water(), Settings(basis="def3"), "basis 'def3'"),
        (ase_water(), Settings(multiplicity=2), "multiplicity 2"),
        (ase_water(), Settings(solvent="watter"), "solvent"),
        (ase_water(), Settings(multiplicity=3, spin_treatment="restricted"), "multiplicity 3"),
        (Atoms("H2", [[0, 0, 0], [0, 0, 0.01]]), Settings(), "apart"),
        (Atoms("H2", [[0, 0, 0], [0, 0, np.nan]]), Settings(), "coordinates"),
        (Atoms("H2", [[0, 0, 0], [0, 0, 0.7]], cell=[5, 5, 5], pbc=True), Settings(), "periodic"),
        (Atoms(), Settings(), "without atoms"),
        ("water.xyz", Settings(), "structure"),
        (None, Settings(), "structure"),
    ],
)
def test_bad_input(problem, settings, message):
    with pytest.raises(InputError, match=message):
        solve(problem, settings)


def test_a_given_object_with_an_unknown_functional_is_not_solved():
    with pytest.raises((InputError, KeyError)):
        solve(mean_field("R", "H 0 0 0; F 0 0 0.92", "b3lip"))
