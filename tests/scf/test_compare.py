"""Ours and PySCF's side by side: alternating, same problem, honest figures."""

import json

import pytest
from scfcases import ase_water, mean_field

from genmol.core.jsonable import dumps
from genmol.scf import Settings
from genmol.scf import compare as compare_module
from genmol.scf.compare import compare

SMALL = Settings(xc="pbe", basis="6-31g", grid=1)


@pytest.fixture(scope="module")
def compared():
    return compare(ase_water(), SMALL, repeat=2)


def test_fields(compared):
    solved, pyscf = compared
    assert json.loads(dumps(pyscf)).keys() >= {"energy_hartree", "exact_fock_builds", "seconds"}
    assert pyscf["converged"]
    assert pyscf["repeats"] == 2
    assert pyscf["energy_difference_hartree"] == pytest.approx(0, abs=1e-8)
    assert (
        pyscf["energy_difference_hartree"] == solved.report.energy_hartree - pyscf["energy_hartree"]
    )
    assert pyscf["cpu_ratio"] > 0


def test_the_other_side_is_stock_pyscf(compared):
    _, pyscf = compared
    stock = mean_field("R", "O 0 0 0.12; H 0 0.76 -0.47; H 0 -0.76 -0.47", "pbe")
    counted = []
    original = stock.get_veff
    stock.get_veff = lambda *a, **k: counted.append(1) or original(*a, **k)
    assert pyscf["energy_hartree"] == pytest.approx(stock.kernel(), abs=1e-9)
    assert pyscf["exact_fock_builds"] == len(counted)
    assert pyscf["cycles"] == stock.cycles


def test_the_order_alternates_and_the_medians_are_taken(monkeypatch, compared):
    order, cpu = [], iter([2.0, 30.0, 4.0])
    solved, _ = compared

    class Report:
        energy_hartree = solved.report.energy_hartree

        def __init__(self):
            self.seconds = self.cpu_seconds = next(cpu)

    class Ours:
        def __init__(self):
            self.report = Report()

    monkeypatch.setattr(compare_module, "solve", lambda *a, **k: order.append("ours") or Ours())
    monkeypatch.setattr(
        compare_module,
        "plain_kernel",
        lambda mf: order.append("theirs") or {"energy_hartree": -1.0, "exact_fock_builds": 9},
    )
    _, pyscf = inspect_unchecked(compare)(ase_water(), SMALL, repeat=3)
    assert order == ["ours", "theirs", "theirs", "ours", "ours", "theirs"]
    assert pyscf["genmol_cpu_seconds"] == pyscf["genmol_seconds"] == 4.0


def inspect_unchecked(function):
    """The function without the shape checks of the test run, which refuse the stand-ins."""
    while hasattr(function, "__wrapped__"):
        function = function.__wrapped__
    return function


def test_a_failed_solve_has_no_difference(monkeypatch):
    from genmol.qc import attempts

    monkeypatch.setattr(attempts, "cheap_orbitals", lambda *a: None)
    monkeypatch.setattr(attempts, "kernel", _unconverged(attempts.kernel))
    solved, pyscf = compare(ase_water(), SMALL)
    assert solved.report.energy_hartree is None
    assert pyscf["energy_difference_hartree"] is None
    assert pyscf["converged"]


def _unconverged(kernel):
    from dataclasses import replace

    def run(*args):
        solution, attempt = kernel(*args)
        return solution, replace(attempt, converged=False)

    return run
