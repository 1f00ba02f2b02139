"""Production: how many draws, in which order, and what ends it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from chaincases import FOUR, TRIOXIDE, Chain, Failing, trioxide

from genmol.boltzmann import production
from genmol.boltzmann.problem import Problem
from genmol.boltzmann.production import Produced, produce
from genmol.boltzmann.settings import Stage
from genmol.boltzmann.sweep import Moves
from genmol.core.errors import DeliveryError
from samplers.run import Budget

MOVES = Moves(leaps=2, step_size=0.03, darts=1)
RUNS, CALLS = 3, 2 + 2  # and of a sweep


@pytest.fixture(autouse=True)
def early(monkeypatch: pytest.MonkeyPatch) -> None:
    """A first look at ten draws rather than forty."""
    monkeypatch.setattr(production, "_FIRST_LOOK", 10)


def made(folder: Path, problem: Problem | None = None, **changes: Any) -> Produced:
    problem = problem or trioxide()
    zero = float(problem.start_energies.min())
    given: dict[str, Any] = {
        "seed": 1, "burn_in": 2, "thin": 1, "most": 100_000, "budget": Budget(), "before": 1.5,
        "file": folder / "sampling.pt", "identity": "this", "zero": zero, "progress": lambda _: None,
    }  # fmt: skip
    target = problem.target(reference_energy=zero)
    kernel = problem.sweep(MOVES, dart=problem.dart)
    return produce(problem, kernel, target, problem.begin(RUNS), **{**given, **changes})


def test_draws_of_one_run_after_the_other(tmp_path: Path) -> None:
    problem = trioxide()
    found = made(tmp_path, problem, most=RUNS * 14)
    assert found.stopped == "draws"
    assert len(found.positions) == RUNS * 14
    assert found.label.tolist() == [r for r in range(RUNS) for _ in range(14)]
    for r in range(RUNS):
        assert torch.equal(found.positions[found.label == r], found.run.x[:, r])
    target = problem.target()
    torch.testing.assert_close(found.energies, -target.log_density(found.positions) * target.kT)


def test_no_more_than_asked_for(tmp_path: Path) -> None:
    """The first look is at ten draws of each run, then there are at most twice as many."""
    stages: list[Stage] = []
    found = made(tmp_path, most=RUNS * 24, progress=stages.append, thin=2)
    assert len(found.positions) == RUNS * 24
    sampling = [s for s in stages if s.name == "sampling"]
    assert [s.done for s in sampling] == list(range(1, 49))
    totals = sorted({s.total for s in sampling})
    assert (totals[0], totals[1], totals[-1]) == (20, 2 * 21, 48)
    assert all(s.effective is None for s in sampling[:20])
    assert all(s.effective is not None for s in sampling[20:])
    assert min(s.seconds for s in stages) > 1.5
    assert [s.total for s in stages if s.name == "burn-in"] == [2, 2]


def test_enough_is_enough(tmp_path: Path) -> None:
    found = made(tmp_path, budget=Budget(effective=1.0))
    assert found.stopped == "effective"
    assert found.n_effective >= 1
    assert found.limited_by
    assert not found.trouble


def test_more_that_was_saved_is_not_looked_at_early(tmp_path: Path) -> None:
    """A run that was killed at 17 draws ends at the same look as one that was not."""
    made(tmp_path, most=RUNS * 17, file=tmp_path / "a.pt")
    resumed = made(tmp_path, budget=Budget(effective=1.0), file=tmp_path / "a.pt")
    straight = made(tmp_path, budget=Budget(effective=1.0), file=tmp_path / "b.pt")
    assert torch.equal(resumed.positions, straight.positions)
    assert resumed.n_effective == straight.n_effective


@pytest.mark.parametrize(("after", "enough"), [(8, False), (RUNS * CALLS * 12, True)])
def test_a_potential_that_gives_up(tmp_path: Path, after: int, enough: bool) -> None:
    problem = trioxide(potential=Failing(Chain(TRIOXIDE, FOUR), after))
    if not enough:
        with pytest.raises(DeliveryError, match="no draw before the potential gave up"):
            made(tmp_path, problem)
        return
    found = made(tmp_path, problem)
    assert found.stopped == "potential"
    assert "out of order" in found.trouble
    assert 5 <= len(found.positions) // RUNS <= 12
    assert bool(found.energies.isfinite().all())


def test_a_budget_that_ends_in_the_burn_in(tmp_path: Path) -> None:
    with pytest.raises(DeliveryError, match="the burn-in of 50 sweeps"):
        made(tmp_path, burn_in=50, budget=Budget(calls=30))
