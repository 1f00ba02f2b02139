"""Relaxed geometries against a one-dimensional and an independent minimisation."""

import pytest
from ase import Atoms
from scfcases import ase_water
from scipy.optimize import minimize_scalar

from genmol.core.errors import DeliveryError, InputError
from genmol.scf import Settings, solve
from genmol.scf.optimize import optimize

STO = Settings(xc="hf", basis="sto-3g")


@pytest.fixture(scope="module")
def relaxed():
    start = ase_water()
    before = start.copy()
    steps = []
    result = optimize(start, STO, on_step=lambda i, s: steps.append((i, s)))
    assert start == before
    return *result, steps


@pytest.mark.physics
def test_water_of_the_textbook(relaxed):
    """HF/STO-3G: r = 0.9894 Å, 100.03° (Hehre, Radom, Schleyer and Pople, 1986)."""
    atoms, solved, _, _ = relaxed
    assert atoms.get_distance(0, 1) == pytest.approx(0.9894, abs=5e-4)
    assert atoms.get_distance(0, 2) == pytest.approx(0.9894, abs=5e-4)
    assert atoms.get_angle(1, 0, 2) == pytest.approx(100.03, abs=0.1)
    assert solved.report.energy_hartree == pytest.approx(-74.965901, abs=2e-6)


def test_the_answer_belongs_to_the_last_geometry(relaxed):
    atoms, solved, rows, _ = relaxed
    assert solve(atoms, STO).report.energy_hartree == pytest.approx(
        solved.report.energy_hartree, abs=1e-8
    )
    assert rows[-1]["energy_hartree"] == solved.report.energy_hartree
    assert rows[-1]["energy_hartree"] < rows[0]["energy_hartree"]
    assert (
        rows[-1]["max_force_ev_per_angstrom"] < 4.5e-4 * 51.5 < rows[0]["max_force_ev_per_angstrom"]
    )


def test_guesses_are_carried_over(relaxed):
    _, _, rows, steps = relaxed
    assert [i for i, _ in steps] == list(range(1, len(rows) + 1))
    assert rows[0]["guess"] == "cheap-scf"
    assert all(row["guess"] == "extrapolated" for row in rows[1:])
    assert rows[-1]["cheap_fock_builds"] < rows[0]["cheap_fock_builds"]


def test_a_diatomic_radical_with_a_functional():
    settings = Settings(xc="pbe", basis="6-31g", grid=3)
    atoms, _, rows = optimize(Atoms("NO", [[0, 0, 0], [0, 0, 1.2]]), settings)

    def energy(r):
        return solve(Atoms("NO", [[0, 0, 0], [0, 0, r]]), settings).report.energy_hartree

    best = minimize_scalar(energy, bracket=(1.17, 1.2, 1.23), options={"xtol": 1e-4}).x
    assert atoms.get_distance(0, 1) == pytest.approx(best, abs=2e-3)
    assert len(rows) < 12


def test_charge_and_multiplicity_of_the_structure_are_kept():
    atoms = Atoms("OH", [[0, 0, 0], [0, 0, 1.0]], info={"charge": -1, "multiplicity": 1})
    relaxed, solved, _ = optimize(atoms, STO)
    assert solved.report.settings["charge"] == -1
    assert relaxed.info["charge"] == -1


def test_too_few_steps():
    with pytest.raises(DeliveryError, match="not converged after"):
        optimize(Atoms("H2", [[0, 0, 0], [0, 0, 1.1]]), STO, max_steps=1)


def test_an_scf_that_fails_on_the_way(monkeypatch):
    from genmol.qc import attempts
    from genmol.qc import solver as qc_solver

    original = qc_solver.ladder
    calls = []

    def ladder(problem, *args, **options):
        calls.append(1)
        solution, found = original(problem, *args, **options)
        return (solution if len(calls) == 1 else None), found

    monkeypatch.setattr(qc_solver, "ladder", ladder)
    assert attempts.ladder is original
    with pytest.raises(DeliveryError, match="did not converge at step 1"):
        optimize(ase_water(), STO)


def test_one_atom_has_no_geometry():
    with pytest.raises(InputError, match="single atom"):
        optimize(Atoms("He", [[0, 0, 0]]), STO)
