"""The loop: what it keeps and counts, what ends it, and that killing and resuming change nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from samplers.hmc import HMC
from samplers.moves import MetropolisHastings, RandomWalk
from samplers.rng import Streams
from samplers.run import Budget, Progress, ResumeError, Run, run
from samplers.sampler import StartError
from samplers.spaces import Euclidean
from samplers.target import Calls, Density, Target, TargetError
from samplers.tempering import ParallelTempering

SAMPLER = HMC(step_size=0.5, leaps=3)


def gaussian() -> Target:
    return Density(lambda x: -0.5 * x.square().sum(dim=1), Euclidean(2))


def start(chains: int = 4) -> Tensor:
    return Streams.of(seed=99, chains=chains).normal("start", 2)


def sample(**options: Any) -> Run:
    settings: dict[str, Any] = {"seed": 1, "draws": 12, "warm_up": 5, "thin": 2} | options
    return run(settings.pop("sampler", SAMPLER), settings.pop("target", gaussian()),
               settings.pop("x", start()), **settings)  # fmt: skip


class GivenUpError(RuntimeError):
    pass


def failing(after: int, how: str) -> Target:
    """Gives up after a number of calls."""
    calls = [0]

    def log_density(x: Tensor) -> Tensor:
        calls[0] += 1
        if calls[0] > after and how == "raise":
            raise GivenUpError
        value = -0.5 * x.square().sum(dim=1)
        return value * torch.nan if calls[0] > after else value

    return Density(log_density, Euclidean(2))


def test_what_is_kept_and_counted() -> None:
    found = sample()
    assert found.x.shape == (12, 4, 2)
    assert found.stopped == "draws"
    torch.testing.assert_close(found.log_density, -0.5 * found.x.square().sum(dim=2))
    torch.testing.assert_close(found.x[-1], found.state.x)
    assert found.calls == {
        "start": Calls(gradients=4),
        "warm-up": Calls(gradients=5 * 3 * 4),
        "production": Calls(gradients=24 * 3 * 4),
    }
    assert found.details["acceptance"].shape == (4,)
    assert 0.3 < float(found.details["acceptance"].mean()) <= 1


def test_thinning_and_chains_change_no_chain() -> None:
    found = sample()
    torch.testing.assert_close(sample(thin=1, draws=24).x[1::2], found.x, rtol=0, atol=0)
    torch.testing.assert_close(sample(x=start()[:2]).x, found.x[:, :2], rtol=0, atol=0)
    assert not torch.equal(sample(seed=2).x, found.x)


@pytest.mark.parametrize("after", [2, 14, 40])
@pytest.mark.parametrize("how", ["raise", "nan"])
@pytest.mark.parametrize("tempered", [False, True])
def test_killed_and_resumed(after: int, how: str, tempered: bool, tmp_path: Path) -> None:
    sampler = ParallelTempering(SAMPLER, [0.3, 1.0]) if tempered else SAMPLER
    whole = sample(sampler=sampler)
    file = tmp_path / "run.pt"
    with pytest.raises(GivenUpError if how == "raise" else TargetError):
        sample(sampler=sampler, target=failing(after, how), checkpoint=file)
    assert file.exists()
    resumed = sample(sampler=sampler, checkpoint=file)
    torch.testing.assert_close(resumed.x, whole.x, rtol=0, atol=0)
    torch.testing.assert_close(resumed.state.memory["log_step"], whole.state.memory["log_step"])
    assert resumed.calls == whole.calls
    for name, value in whole.details.items():
        torch.testing.assert_close(resumed.details[name], value, equal_nan=True)
    # finished: nothing is done again; more draws go on
    again = sample(sampler=sampler, checkpoint=file, target=failing(0, "raise"))
    torch.testing.assert_close(again.x, whole.x, rtol=0, atol=0)
    longer = sample(sampler=sampler, checkpoint=file, draws=15)
    torch.testing.assert_close(longer.x, sample(sampler=sampler, draws=15).x, rtol=0, atol=0)
    assert [p.name for p in tmp_path.iterdir()] == ["run.pt"]


def test_budgets() -> None:
    found = sample(draws=1000, budget=Budget(calls=400))
    spent = sum(c.gradients for c in found.calls.values())
    assert found.stopped == "calls"
    assert 400 <= spent < 400 + 3 * 4
    assert sample(draws=10**9, budget=Budget(seconds=0.2)).stopped == "seconds"
    observables = {"first": lambda x: x[:, 0]}
    enough = sample(
        draws=10**6, thin=1, budget=Budget(effective=100, observables=observables, check_draws=20)
    )
    assert enough.stopped == "effective"
    assert 20 <= len(enough.x) < 1000
    nothing = sample(budget=Budget(calls=30))
    assert nothing.x.shape == (0, 4, 2)
    assert nothing.stopped == "calls"


def test_tempering_shows_the_target_alone() -> None:
    sampler = ParallelTempering(SAMPLER, [0.1, 0.4, 1.0])
    found = sample(sampler=sampler, x=start(6), draws=200, thin=1)
    assert found.x.shape == (200, 2, 2)
    torch.testing.assert_close(found.log_density, -0.5 * found.x.square().sum(dim=2))
    assert found.calls["production"].gradients == 200 * 3 * 6
    assert abs(float(found.x.square().mean()) - 1) < 0.35


def test_progress_is_told() -> None:
    seen: list[Progress] = []
    sample(progress=seen.append)
    assert [p.phase for p in seen] == ["warm-up"] * 5 + ["production"] * 24
    assert [p.done for p in seen][:7] == [1, 2, 3, 4, 5, 1, 2]
    assert {p.total for p in seen} == {5, 24}
    assert all(0 < p.acceptance <= 1 for p in seen)


def test_the_last_step_of_the_warm_up_freezes() -> None:
    first, later = (sample(draws=draws).state.memory["log_step"] for draws in (1, 7))
    torch.testing.assert_close(first, later, rtol=0, atol=0)


def test_bad_input(tmp_path: Path) -> None:
    file = tmp_path / "run.pt"
    sample(checkpoint=file)
    for change in (
        {"seed": 3}, {"warm_up": 6}, {"thin": 1}, {"x": start(2)}, {"identity": "other"},
        {"sampler": MetropolisHastings(RandomWalk(1.0))},
    ):  # fmt: skip
        with pytest.raises(ResumeError, match="another run"):
            sample(checkpoint=file, **change)
    file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(ResumeError, match="cannot be read"):
        sample(checkpoint=file)
    with pytest.raises(ValueError, match="at least one draw"):
        sample(draws=0)
    with pytest.raises(StartError, match="chain 1 is -inf"):
        sample(
            target=Density(
                lambda x: torch.where(x[:, 0] > 0, 0.0, -torch.inf) + 0 * x[:, 0], Euclidean(2)
            ),
            x=torch.tensor([[1.0, 0], [-1.0, 0]]).double(),
        )
