"""``auto``: the forecast decides, the first structures pay no import, a loop switches over."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from learnedcases import BASIS, WATER, XC, example_of, know, object_of, save_model
from pyscf import gto

from genmol.core.errors import InputError
from genmol.qc import solver
from genmol.qc.cheap import CheapLevel
from genmol.scf import Settings, certified, guess_choice, solve
from genmol.scf.guess_choice import Forecast, LearnedGuess, NetworkCost
from genmol.scf.learned import LearnedModel


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> str:
    return save_model(tmp_path_factory.mktemp("model") / "tiny")


def fresh(path: str) -> LearnedModel:
    """Not yet asked for anything."""
    return LearnedModel(Path(path + ".safetensors"), LearnedModel.load(path).card)


class Cost(NetworkCost):
    """Seconds as given."""

    def running(self, model: LearnedModel, n_atoms: int) -> float:
        return self.fixed + self.per_edge * n_atoms * (n_atoms - 1)

    def starting(self, model: LearnedModel) -> float:
        return self.importing


def forecast(*, running: float, starting: float) -> Forecast:
    return Forecast(Cost(fixed=running, per_edge=0.0, importing=starting))


def test_it_must_save_more_than_it_takes(path: str) -> None:
    builds = guess_choice.BUILDS_SAVED
    for seconds, expected in ((0.9, False), (1.1, True)):
        found, why = forecast(running=builds, starting=0.0).decide(fresh(path), 9, seconds)
        assert found is expected
        assert "s of cheap builds for 3.5 s of prediction" in why


def test_the_card_knows_better_how_much_it_saves(tmp_path: Path) -> None:
    model = fresh(save_model(tmp_path / "good", guess={"cheap_builds_saved": 10.0}))
    assert forecast(running=5.0, starting=0.0).decide(model, 9, 0.6)[0]
    assert not forecast(running=5.0, starting=0.0).decide(model, 9, 0.4)[0]


def test_a_loop_pays_for_the_start_when_it_would_have_been_worth_it(path: str) -> None:
    gain = guess_choice.BUILDS_SAVED * 0.1 - 0.05  # 0.3 s
    cast = forecast(running=0.05, starting=1.0)
    decisions = [cast.decide(fresh(path), 9, 0.1)[0] for _ in range(5)]
    assert decisions == [False, False, False, True, True]
    assert cast.forgone == pytest.approx(5 * gain)
    assert forecast(running=0.05, starting=1.0).decide(fresh(path), 9, 1.0)[0]


def test_what_would_not_pay_is_not_saved_up(path: str) -> None:
    cast = forecast(running=1.0, starting=0.5)
    assert not any(cast.decide(fresh(path), 9, 0.1)[0] for _ in range(20))
    assert cast.forgone == 0


def test_the_cost_of_the_network_is_learned_from_its_own_runs(path: str) -> None:
    model, cost = fresh(path), NetworkCost()
    before = cost.running(model, 10)
    assert cost.running(model, 20) > before > 0
    assert cost.starting(model) == pytest.approx(cost.loading)  # torch is imported in tests
    model.predict(object_of())
    assert cost.starting(model) == 0
    rate = model.spent_seconds / model.spent_edges
    assert cost.running(model, 10) == pytest.approx(90 * rate)


def proposal(guess: LearnedGuess) -> tuple[solver.Proposal, CheapLevel]:
    mf = object_of()
    cheap = CheapLevel(mf)
    return guess(solver.Problem(mf), cheap), cheap


def test_what_is_declined_costs_no_build(path: str) -> None:
    found, cheap = proposal(LearnedGuess("auto", path, forecast=forecast(running=9, starting=0)))
    assert found.density is None
    assert found.reference is None
    assert cheap.builds == 0
    assert "a learned guess would save" in found.reason


@pytest.mark.parametrize("start", ["minao", "semilocal"])
def test_what_pays_is_proposed(tmp_path: Path, start: str) -> None:
    """From minao the starting point is a cheap build, which the guard can use as well."""
    path = save_model(tmp_path / start, start=start)
    guess = LearnedGuess("auto", path, forecast=forecast(running=0, starting=0))
    found, cheap = proposal(guess)
    assert found.density is not None
    assert (found.reference is not None) == (start == "minao")
    assert cheap.builds == (start == "minao")
    record = guess.record()
    assert record is not None
    assert record["in_domain"]
    assert record["inference_seconds"] > 0


def solved_with(monkeypatch: pytest.MonkeyPatch, path: str, running: float) -> Any:
    cast = forecast(running=running, starting=0.0)
    monkeypatch.setattr(certified, "LearnedGuess", lambda *a: LearnedGuess(*a, forecast=cast))
    settings = Settings(xc=XC, basis=BASIS, grid=1, model=path)
    return solve(gto.M(atom=WATER, basis=BASIS, verbose=0), settings).report


def test_the_report_says_which_guess_was_taken_and_why(
    path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    know(monkeypatch, [example_of(object_of())], noise=1e-4)
    declined = solved_with(monkeypatch, path, 100.0)
    assert declined.guess == "cheap-scf"
    assert declined.guess_reason.startswith("a learned guess would save")
    assert declined.learned["in_domain"]
    assert declined.learned["inference_seconds"] is None
    assert declined.learned["fock_spread"] is None
    taken = solved_with(monkeypatch, path, 0.0)
    assert taken.guess == "learned"
    assert taken.guess_reason.startswith("the learned guess would save")
    assert "|g| =" in taken.guess_reason
    assert taken.energy_hartree == pytest.approx(declined.energy_hartree, abs=1e-9)
    assert taken.cheap_fock_builds < declined.cheap_fock_builds
    assert taken.exact_fock_builds <= declined.exact_fock_builds


def test_declining_is_what_happens_without_a_model(
    path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    declined = solved_with(monkeypatch, path, 100.0)
    settings = Settings(xc=XC, basis=BASIS, grid=1, guess="cheap-scf")
    without = solve(gto.M(atom=WATER, basis=BASIS, verbose=0), settings).report
    assert without.learned is None
    assert without.guess_reason == "the default"
    assert declined.energy_hartree == without.energy_hartree
    assert declined.cheap_fock_builds == without.cheap_fock_builds


def test_no_model_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guess_choice, "shipped", list)
    guess = LearnedGuess("auto")
    found, cheap = proposal(guess)
    assert found.reason == "the best unlearned guess: no trained model is installed"
    assert cheap.builds == 0
    assert guess.record() is None


def test_a_model_that_cannot_be_used(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no weights called"):
        LearnedGuess("learned", "no-such-model")
    with pytest.raises(InputError, match="no weights called"):
        LearnedGuess("auto", "no-such-model")
    damaged = Path(save_model(tmp_path / "damaged") + ".safetensors")
    damaged.write_bytes(damaged.read_bytes()[:-1])
    monkeypatch.setattr(guess_choice, "DEFAULT_MODEL", str(damaged))
    monkeypatch.setattr(guess_choice, "shipped", lambda: [str(damaged)])
    found, _ = proposal(LearnedGuess("auto"))
    assert "the trained model cannot be used" in found.reason
    assert "SHA-256" in found.reason


def test_deciding_imports_neither_torch_nor_e3nn(path: str, tmp_path: Path) -> None:
    """And predicting imports torch alone."""
    script = f"""
import sys
from pyscf import gto
from genmol.scf import Settings, solve
mol = gto.M(atom={WATER!r}, basis={BASIS!r}, verbose=0)
settings = dict(xc={XC!r}, basis={BASIS!r}, grid=1, model={path!r})
report = solve(mol, Settings(**settings)).report
assert report.learned["in_domain"], report.guess_reason
assert "to start it" in report.guess_reason, report.guess_reason
assert "torch" not in sys.modules
solve(mol, Settings(**settings, guess="learned"))
assert "torch" in sys.modules
assert "e3nn" not in sys.modules
"""
    result = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True, check=False, text=True, timeout=120, cwd=tmp_path,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
