"""Parallel tempering: every λ keeps its law, exchanges are exact, and walkers make round trips."""

from __future__ import annotations

import pytest
import torch

from samplers.hmc import HMC
from samplers.moves import MetropolisHastings, RandomWalk
from samplers.rng import Streams
from samplers.sampler import Info, Sampler, State
from samplers.spaces import Euclidean
from samplers.target import Calls, Counted, Density, Path, Target
from samplers.tempering import ParallelTempering, geometric_ladder

LADDER = [0.2, 0.5, 1.0]


def gaussian(variance: float = 1.0) -> Target:
    return Density(lambda x: -0.5 * x.square().sum(dim=1) / variance, Euclidean(2))


def double_well() -> Target:
    """Two wells at ±2, six kT deep, the right one twice as likely."""

    def log_density(x: torch.Tensor) -> torch.Tensor:
        left, right = (-0.5 * ((x[:, 0] - centre) / 0.4) ** 2 for centre in (-2, 2))
        return torch.logaddexp(left, right + torch.log(x.new_tensor(2.0)))

    return Density(log_density, Euclidean(1))


class Resting(Sampler):
    """Moves nothing, so that a step is the exchange alone."""

    def step(self, state: State, streams: Streams) -> tuple[State, Info]:
        del streams
        return state, Info(torch.ones_like(state.log_density))


def z_score(values: torch.Tensor) -> float:
    return float(values.mean() / (values.std() / len(values) ** 0.5))


@pytest.mark.parametrize("reference", [None, gaussian(4.0)])
@pytest.mark.parametrize("inner", [Resting(), HMC(step_size=0.5, leaps=3)])
def test_every_replica_keeps_its_law(inner: Sampler, reference: Target | None) -> None:
    groups = 8000
    streams = Streams.of(seed=3, chains=3 * groups)
    precision = torch.tensor(LADDER, dtype=torch.float64)
    if reference is not None:
        precision = precision + (1 - precision) / 4
    x = streams.normal("x", 2) / precision.sqrt().repeat(groups)[:, None]
    sampler = ParallelTempering(inner, LADDER, reference)
    state = sampler.init(gaussian(), x, streams)
    for k in range(4):
        state, info = sampler.step(state, streams.at(k + 1))
        swap = info.details["swap"]
        assert 0 < float(swap[swap.isfinite()].mean()) < 1
    assert state.memory["swaps"].sum() > groups
    for r in range(3):
        rows = state.x[r::3] * precision[r].sqrt()
        for column in rows.T:
            assert abs(z_score(column**2 - 1)) < 4.5
            assert abs(z_score(column)) < 4.5
    # what the state says of its points is what the path says
    fresh = state.target.evaluate(state.x)
    torch.testing.assert_close(state.log_density, fresh.log_density)
    torch.testing.assert_close(state.gradient, fresh.gradient)


def test_exchanges_only_move_points_within_a_group() -> None:
    streams = Streams.of(seed=1, chains=12)
    x = streams.normal("x", 2)
    sampler = ParallelTempering(Resting(), geometric_ladder(0.3, 4))
    state = sampler.init(gaussian(), x, streams)
    for k in range(9):
        state, _ = sampler.step(state, streams.at(k))
    assert not torch.equal(state.x, x)
    for before, after in zip(x.split(4), state.x.split(4), strict=True):
        torch.testing.assert_close(before.sort(dim=0).values, after.sort(dim=0).values)
    walkers = state.memory["walker"].reshape(3, 4)
    assert torch.equal(walkers.sort(dim=1).values, torch.arange(4).repeat(3, 1))
    torch.testing.assert_close(
        torch.stack([g[w] for g, w in zip(x.split(4), walkers, strict=True)]).flatten(0, 1), state.x
    )


def test_wells_are_populated_as_they_should_be_from_one_side() -> None:
    """All replicas begin in the less likely well; HMC alone would stay there."""
    target, groups, steps = double_well(), 100, 200
    inner = HMC(step_size=0.3, leaps=5)
    sampler = ParallelTempering(inner, geometric_ladder(0.05, 5))
    streams = Streams.of(seed=9, chains=5 * groups)
    x = torch.full((5 * groups, 1), -2.0, dtype=torch.float64)
    state = sampler.init(target, x, streams)
    alone = inner.init(target, x[:groups], streams.take(slice(groups)))
    shares = []
    for k in range(steps):
        state, info = sampler.step(state, streams.at(k))
        alone, _ = inner.step(alone, streams.take(slice(groups)).at(k))
        if k < 80:
            state = sampler.adapt(state, info, k + 1)
        elif k == 80:
            state = sampler.adapted(state)
        if k >= 120:
            shares.append((sampler.visible(state.x)[:, 0] > 0).double())
    share = torch.stack(shares).mean(dim=0)  # of each group, over time
    assert abs(float((share.mean() - 2 / 3) / (share.std() / groups**0.5))) < 4.5
    assert (alone.x > 0).double().mean() < 0.2
    assert state.memory["round_trips"].reshape(groups, 5).sum(dim=1).double().mean() > 3


def test_exchanges_cost_no_call_of_the_target() -> None:
    target, reference = Counted(gaussian(), Calls()), Counted(gaussian(4.0), Calls())
    sampler = ParallelTempering(Resting(), LADDER, reference)
    streams = Streams.of(seed=1, chains=6)
    state = sampler.init(target, streams.normal("x", 2), streams)
    sampler.step(state, streams)
    assert target.calls == Calls(gradients=6)
    assert reference.calls == Calls(gradients=12)


def test_groups_do_not_know_of_each_other() -> None:
    sampler = ParallelTempering(MetropolisHastings(RandomWalk(0.7)), LADDER)
    streams = Streams.of(seed=1, chains=9)

    def run(rows: slice) -> torch.Tensor:
        own = streams.take(rows)
        state = sampler.init(gaussian(), own.normal("x", 2), own)
        for k in range(6):
            state, _ = sampler.step(state, own.at(k))
        return state.x

    torch.testing.assert_close(run(slice(0, 9))[3:6], run(slice(3, 6)), rtol=0, atol=0)


def test_ends_of_a_path() -> None:
    x = torch.tensor([[0.3, 0.1], [1.0, -2.0], [0.5, 0.5]], dtype=torch.float64)
    weight = torch.tensor([0.0, 0.4, 1.0], dtype=torch.float64)
    path = Path(gaussian(4.0), gaussian(), weight)
    found = path.evaluate(x)
    torch.testing.assert_close(found.log_density[0], gaussian(4.0).log_density(x)[0])
    torch.testing.assert_close(found.log_density[2], gaussian().log_density(x)[2])
    part = path.rows(torch.tensor([1, 2]))
    first, second = part.parts(x[1:], found.log_density[1:], found.gradient[1:])
    torch.testing.assert_close(second.log_density, gaussian().log_density(x[1:]))
    torch.testing.assert_close(second.gradient, gaussian().evaluate(x[1:]).gradient)
    torch.testing.assert_close(first.log_density, gaussian(4.0).log_density(x[1:]))
    wall = Density(
        lambda y: torch.where(y[:, 0] > 0.4, 0.0, -torch.inf) + 0 * y[:, 0], Euclidean(2)
    )
    behind = Path(gaussian(), wall, torch.tensor([0.0, 0.5, 0.5]).double())
    assert behind.log_density(x).isfinite().tolist() == [True, True, True]
    assert behind.at(weight.flip(0)).log_density(x).isfinite().tolist() == [False, True, True]


@pytest.mark.parametrize("ladder", [[], [0.5], [0.0, 1.0], [0.5, 0.4, 1.0], [0.2, 0.9]])
def test_bad_ladders(ladder: list[float]) -> None:
    with pytest.raises(ValueError, match="ladder"):
        ParallelTempering(Resting(), ladder)


def test_other_bad_input() -> None:
    with pytest.raises(ValueError, match="whole groups"):
        ParallelTempering(Resting(), LADDER).init(
            gaussian(), torch.zeros(4, 2).double(), Streams.of(seed=0, chains=4)
        )
    with pytest.raises(ValueError, match="0 < λ < 1"):
        geometric_ladder(0.5, 1)
    assert geometric_ladder(1.0, 1) == [1.0]
    assert geometric_ladder(0.25, 3) == pytest.approx([0.25, 0.5, 1.0])
