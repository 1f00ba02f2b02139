"""A certificate passes what is solved and nothing else."""

import math
from dataclasses import replace

import numpy as np
import pytest
from scfcases import METHYLENE, WATER, converged, mean_field

from genmol.core.certificate import Certificate
from genmol.qc import certify
from genmol.qc.solver import run


@pytest.fixture(scope="module", params=["R", "U", "RO"])
def solved(request):
    kind = request.param
    atom, spin = (WATER, 0) if kind == "R" else (METHYLENE, 2)
    return run(mean_field(kind, atom, "b3lypg", spin=spin))


def checks(result, **options):
    found = certify.density_checks(result.problem, result.solution, result.thresholds, **options)
    return {c.name: c for c in found}


def test_a_solution_passes(solved):
    found = checks(solved)
    assert all(c.status == "pass" for c in found.values())
    assert ("spin contamination <S^2> - S(S+1)" in found) == solved.problem.unrestricted
    assert found["electron count error, grid"].value > 0


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"gradient_norm": 1e-4}, "orbital gradient norm (Hartree)"),
        ({"gradient_norm": math.nan}, "orbital gradient norm (Hartree)"),
        ({"gradient_norm": math.inf}, "orbital gradient norm (Hartree)"),
        ({"energy_error": 2e-9}, "estimated energy error (Hartree)"),
        ({"energy_error": -2e-9}, "estimated energy error (Hartree)"),
        ({"energy_error": math.nan}, "estimated energy error (Hartree)"),
    ],
)
def test_what_is_not_converged_fails(solved, change, name):
    bad = replace(solved, solution=replace(solved.solution, **change))
    found = checks(bad)
    assert found[name].status == "fail"
    assert Certificate(tuple(found.values())).exit_code == 3


def test_a_grid_that_lost_electrons_warns_and_nan_fails(solved):
    name = "electron count error, grid"
    for value, status in ((solved.problem.mf.mol.nelectron + 0.1, "warn"), (math.nan, "fail")):
        bad = replace(solved, solution=replace(solved.solution, grid_electrons=value))
        assert checks(bad)[name].status == status


def test_a_wrong_density_fails(solved):
    orbitals = solved.solution.orbitals
    for factor in (1.001, math.nan):
        dm = np.asarray(orbitals.dm) * factor
        bad = replace(solved.solution, orbitals=replace(orbitals, dm=dm))
        assert (
            checks(replace(solved, solution=bad))["electron count error, analytic"].status == "fail"
        )


def test_a_small_gap_warns(solved):
    orbitals = solved.solution.orbitals
    bad = replace(solved.solution, orbitals=replace(orbitals, energy=orbitals.energy * 1e-3))
    assert checks(replace(solved, solution=bad))["HOMO-LUMO gap (Hartree)"].status == "warn"


def test_a_single_build_is_judged_by_its_error(solved):
    rough = replace(
        solved, solution=replace(solved.solution, gradient_norm=1e-3, energy_error=5e-7)
    )
    assert all(c.status == "pass" for c in checks(rough, single_build=True).values())
    assert any(c.status == "fail" for c in checks(rough).values())
    useless = replace(solved, solution=replace(solved.solution, gradient_norm=0.2))
    assert any(c.status == "fail" for c in checks(useless, single_build=True).values())


def test_recheck_agrees_and_catches_a_wrong_energy(solved):
    mf = solved.problem.mf
    state = (mf.e_tot, mf.converged, mf.grids.coords)
    found = certify.recheck(mf, solved.solution, solved.thresholds)
    assert len(found) == 2
    assert all(c.status == "pass" for c in found)
    assert (mf.e_tot, mf.converged) == state[:2]
    assert mf.grids.coords is state[2]
    for change in ({"energy": mf.e_tot + 1e-7}, {"gradient_norm": 1e-3}, {"energy": math.nan}):
        wrong = replace(solved.solution, **change)
        statuses = [c.status for c in certify.recheck(mf, wrong, solved.thresholds)]
        assert sorted(statuses) == ["fail", "pass"]


def test_stability_of_a_minimum(solved):
    found = certify.stability(solved.problem.mf)
    assert found.internal
    assert found.external in (True, None)
    assert all(c.status == "pass" for c in certify.stability_checks(found))


def test_a_stretched_bond_breaks_spin_symmetry():
    mf = converged(mean_field("R", "H 0 0 0; H 0 0 2.5"))
    found = certify.stability(mf)
    assert found.internal
    assert found.external is False
    down = found.external_density
    assert down.shape == (2, 4, 4)
    assert np.einsum("sij,ji->s", down, mf.get_ovlp()) == pytest.approx([1, 1])
    statuses = {c.name: c.status for c in certify.stability_checks(found)}
    assert statuses["internally stable (1 = yes)"] == "pass"
    assert statuses["stable against spin symmetry breaking (1 = yes)"] == "warn"


def test_an_internal_instability_fails():
    """Unrestricted H2 kept at its restricted solution."""
    mf = mean_field("U", "H 0 0 0; H 0 0 2.5")
    mf.kernel(mf.get_init_guess(breaksym=0))
    found = certify.stability(mf)
    assert not found.internal
    assert found.internal_density.shape == (2, 4, 4)
    assert certify.stability_checks(found)[0].status == "fail"
