"""The retry ladder: its order, its records, and what is left when every rung fails."""

import numpy as np
import pytest
from scfcases import METHYLENE, WATER, converged, mean_field

from genmol.qc import attempts as attempts_module
from genmol.qc.attempts import kernel, ladder
from genmol.qc.cheap import CheapLevel
from genmol.qc.inner import History
from genmol.qc.problem import Problem
from genmol.qc.solver import run
from genmol.qc.two_level import Outcome, Tactics, Thresholds
from genmol.scf import Settings, solve

ORDER = ["two-level", "guess reset", "damping", "level shift", "newton"]


def failing(n, monkeypatch):
    """Let the cheap level of the first ``n`` attempts give up."""
    original, calls = attempts_module.cheap_orbitals, []

    def cheap_orbitals(problem, cheap, history, start, tactics):
        calls.append((np.asarray(getattr(start, "dm", start)), tactics, len(history.pairs)))
        return None if len(calls) <= n else original(problem, cheap, history, start, tactics)

    monkeypatch.setattr(attempts_module, "cheap_orbitals", cheap_orbitals)
    return calls


@pytest.mark.parametrize("failures", range(5))
@pytest.mark.parametrize("kind", ["R", "U"])
def test_each_rung_in_its_order(failures, kind, monkeypatch):
    def make():
        return mean_field(
            kind, WATER if kind == "R" else METHYLENE, "pbe", spin=0 if kind == "R" else 2
        )

    calls = failing(failures, monkeypatch)
    seen = []
    result = run(make(), on_attempt=seen.append)
    assert [a.strategy for a in result.attempts] == ORDER[: failures + 1]
    assert list(result.attempts) == seen
    assert [a.converged for a in result.attempts] == [False] * failures + [True]
    assert result.solution.energy == pytest.approx(converged(make()).e_tot, abs=1e-8)
    assert result.solver == ("plain" if failures == 4 else "two-level")
    assert result.problem.mf.converged
    for attempt in result.attempts[:failures]:
        assert attempt.energy_hartree is None
        assert attempt.gradient_norms == ()
        assert attempt.exact_builds == 0
        assert "cheap level" in attempt.reason
    tactics = [t for _, t, _ in calls]
    expected = [Tactics(), *(t for _, _, t in attempts_module._RUNGS)]
    assert tactics == expected[: len(tactics)]
    assert all(pairs == 0 for _, _, pairs in calls[1:])  # a failed history burdens nobody


def test_the_records_add_up():
    mf = mean_field("U", METHYLENE, "b3lypg", spin=2)
    result = run(mf)
    (attempt,) = result.attempts
    assert attempt.exact_builds == len(attempt.gradient_norms)
    assert attempt.cycles == attempt.exact_builds + attempt.cheap_builds
    assert attempt.gradient_norms[-1] == result.solution.gradient_norm
    assert attempt.energy_hartree == result.solution.energy
    assert attempt.spin_square == pytest.approx(2.0, abs=0.01)
    assert attempt.gap_hartree == pytest.approx(
        min(
            e[n == 0].min() - e[n == 1].max() for e, n in zip(mf.mo_energy, mf.mo_occ, strict=True)
        ),
        abs=1e-4,
    )
    assert attempt.cheap_builds <= result.cheap_builds
    assert attempt.seconds > 0


def test_a_stagnating_two_level_iteration_climbs_too(monkeypatch):
    original, calls = attempts_module.two_level, []

    def two_level(problem, exact, cheap, history, orbitals, **options):
        calls.append(1)
        if len(calls) == 1:
            return Outcome((exact.build(orbitals),), False, "|g| stagnates at 1e-03")
        return original(problem, exact, cheap, history, orbitals, **options)

    monkeypatch.setattr(attempts_module, "two_level", two_level)
    report = solve(mean_field("R", WATER, "pbe")).report
    assert [a.strategy for a in report.attempts] == ORDER[:2]
    assert report.attempts[0].exact_builds == 1
    assert report.attempts[0].energy_hartree is not None
    assert report.exact_fock_builds == sum(a.exact_builds for a in report.attempts)


def test_the_limit_of_exact_builds_holds_per_attempt():
    mf = mean_field("R", WATER, "pbe")
    problem = Problem(mf)
    solution, attempts = ladder(
        problem,
        CheapLevel(mf),
        History(),
        mf.get_init_guess(),
        thresholds=Thresholds(gradient=1e-9, energy=1e-16),
        max_exact_builds=1,
    )
    assert [a.strategy for a in attempts] == ORDER
    assert all(a.exact_builds == 1 for a in attempts[:4])
    assert "after 1 builds" in attempts[0].reason
    assert (solution is not None) == attempts[-1].converged


def test_nothing_is_delivered_when_every_rung_fails(monkeypatch):
    failing(4, monkeypatch)
    mf = mean_field("R", WATER, "pbe")
    mf.max_cycle = 0
    mf.converged, mf.e_tot = True, -1.0  # left by an earlier run
    solved, report = solve(mf)
    assert [a.strategy for a in report.attempts] == ORDER
    assert not report.converged
    assert not solved.converged
    assert report.energy_hartree is None
    assert report.orbital_gradient_norm is None
    assert report.certificate is None
    assert report.properties == {}
    assert report.to_dict()["certificate"] is None


def test_kernel_records_pyscfs_iterations():
    mf = mean_field("R", WATER, "pbe")
    note = lambda env: None  # noqa: E731
    mf.callback = note
    solution, attempt = kernel(Problem(mf), mf, "plain", None)
    assert mf.callback is note
    assert attempt.exact_builds == mf.cycles + 2
    assert attempt.converged
    assert solution.energy == mf.e_tot
    stock = np.linalg.norm(mf.get_grad(mf.mo_coeff, mf.mo_occ))
    # PySCF reports the last cycle, not the extra one that conv_check adds
    assert solution.gradient_norm == pytest.approx(stock, abs=1e-5)


@pytest.mark.slow  # half a minute, and a case that every change of the first attempt may solve
def test_nickel_carbonyl_is_solved():
    mf = mean_field("R", "Ni 0 0 0; C 0 0 1.67; O 0 0 2.82", "b3lypg", basis="def2-svp")
    report = solve(mf, Settings(recheck=True)).report
    assert report.converged
    assert report.certificate.verdict in ("pass", "warn")
