"""Tuning: what is learnt, written down, and read again."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from chaincases import FOUR, TRIOXIDE, Chain, trioxide

from genmol.boltzmann.problem import Problem
from genmol.boltzmann.settings import Settings, Stage
from genmol.boltzmann.sweep import Moves
from genmol.boltzmann.tuning import Plan, planned
from genmol.core.errors import InputError
from samplers.run import Budget, ResumeError

MOVES = Moves(leaps=4, step_size=0.03)
SETTINGS = Settings(runs=4, tuning=20, burn_in=30, moves=MOVES)


def plan(
    problem: Problem,
    folder: Path,
    settings: Settings = SETTINGS,
    budget: Budget | None = None,
    identity: str = "this",
    stages: list[Stage] | None = None,
) -> Plan:
    return planned(
        problem, settings, problem.target(), seed=1, budget=budget or Budget(), folder=folder,
        identity=identity, progress=(stages if stages is not None else []).append,
    )  # fmt: skip


def test_a_plan_is_made_once(tmp_path: Path) -> None:
    stages: list[Stage] = []
    problem = trioxide()
    first = plan(problem, tmp_path, stages=stages)
    # the same ends, each replica begun, calls counted
    assert first.ladder[0] == pytest.approx(0.3)
    assert first.ladder[-1] == 1
    assert first.starts.shape == (4 * len(first.ladder), 5, 3)
    assert first.calls.gradients == problem.forgiving.calls.gradients
    assert first.burn_in == 30
    assert 0.005 < first.step_size < 0.1
    assert sum(first.shares) == pytest.approx(1)
    assert len(first.shares) == 4
    # images of one conformer have one share
    assert first.shares[0] == pytest.approx(first.shares[1])
    assert [s.done for s in stages] == list(range(1, 21))
    assert {(s.name, s.total) for s in stages} == {("tuning", 20)}
    # read again, nothing computed but the conformers to begin with
    other = trioxide()
    second = plan(other, tmp_path)
    assert other.forgiving.calls.gradients == 0
    for name in ("ladder", "step_size", "shares", "burn_in", "calls", "failures"):
        assert getattr(second, name) == getattr(first, name)
    assert torch.equal(second.starts, first.starts)
    with pytest.raises(ResumeError, match="the plan of other work"):
        plan(trioxide(), tmp_path, identity="that")


def test_a_plan_that_is_written_rules(tmp_path: Path) -> None:
    plan(trioxide(), tmp_path)
    file = tmp_path / "plan.json"
    stored = json.loads(file.read_text())
    file.write_text(json.dumps(stored | {"burn_in": 7, "ladder": [0.5, 1.0]}))
    found = plan(trioxide(), tmp_path)
    assert (found.burn_in, found.ladder) == (7, (0.5, 1.0))
    assert len(found.starts) == 8


def test_new_replicas_begin_at_the_nearest_temperature(tmp_path: Path) -> None:
    """Chains at λ = 1 go on where λ = 1 was."""
    settings = Settings(runs=4, tuning=4, burn_in=3, replicas=3, moves=MOVES)
    plan(trioxide(), tmp_path, settings)
    file = tmp_path / "plan.json"
    stored = json.loads(file.read_text())
    starts = []
    for ladder in ([0.3, 0.5477, 1.0], [0.31, 0.99, 1.0]):
        file.write_text(json.dumps(stored | {"ladder": ladder}))
        starts.append(plan(trioxide(), tmp_path, settings).starts.unflatten(0, (4, 3)))
    assert torch.equal(starts[1][:, 0], starts[0][:, 0])
    assert torch.equal(starts[1][:, 1], starts[0][:, 2])
    assert torch.equal(starts[1][:, 2], starts[0][:, 2])


def test_no_tuning(tmp_path: Path) -> None:
    problem = trioxide()
    settings = Settings(runs=2, tuning=0, replicas=4, burn_in=11, moves=MOVES)
    found = plan(problem, tmp_path, settings)
    assert problem.forgiving.calls.gradients == 0
    assert problem.dart is not None
    assert len(found.ladder) == 4
    assert found.burn_in == 11
    assert found.shares == tuple(problem.dart.shares.tolist())
    assert torch.equal(found.starts, problem.begin(8))
    assert not (tmp_path / "plan.json").exists()


def test_a_budget_bears_a_shorter_burn_in(tmp_path: Path) -> None:
    """Tuning and burn-in take at most 15 % of it each, to a sweep."""
    settings = Settings(runs=4, tuning=20, burn_in=500, replicas=2, moves=MOVES)
    calls = 4000
    found = plan(trioxide(), tmp_path, settings, Budget(calls=calls))
    sweep = 8 * (4 + 3)
    assert found.calls.gradients <= 0.15 * calls + sweep
    # by what the first sweeps cost, with their start
    assert 0.8 < found.burn_in * sweep / (0.15 * calls) <= 1


def test_one_temperature_where_none_is_hotter(tmp_path: Path) -> None:
    problem = trioxide(potential=Chain(TRIOXIDE, FOUR), temperature=1000.0)
    found = plan(problem, tmp_path, Settings(runs=2, tuning=4, burn_in=2, moves=MOVES))
    assert found.ladder == (1.0,)


@pytest.mark.parametrize("wrong", [{"runs": 0}, {"swap": 1.0}, {"tuning": -1}, {"replicas": 0}])
def test_bad_settings(wrong: dict[str, float]) -> None:
    with pytest.raises(InputError, match="at least one run"):
        Settings(**wrong)  # type: ignore[arg-type]
