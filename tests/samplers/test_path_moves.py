"""Paths as moves: they keep the target whatever the generator is, and put wrong populations right."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from torch import Tensor

from samplers.hmc import HMC
from samplers.mixtures import GaussianMixture
from samplers.moves import Cycle
from samplers.path_moves import PathMoves, expected_acceptance
from samplers.rng import Streams
from samplers.run import run
from samplers.schedules import LinearBeta, uniform_times
from samplers.sde import Ancestral, Paths, generate, retrace
from samplers.target import Counted

N = 8000
TARGET = GaussianMixture.of([0.3, 0.7], [[-4.0, 0.0], [4.0, 1.0]], [0.5, 0.7])
WRONG = GaussianMixture.of([0.8, 0.2], [[-3.8, 0.2], [4.2, 0.9]], [0.7, 0.8])
"""What the generator believes: other populations, means and widths; no steps lead from well to well."""

SCHEDULE = LinearBeta(0.1, 10.0)


def moves(
    *, tries: int = 4, every: int = 1, steps: int = 12, law: GaussianMixture = WRONG
) -> PathMoves:
    reverse, times = Ancestral(SCHEDULE, spread=0.5), uniform_times(steps, end=0.0)

    def score(x: Tensor, t: Tensor) -> Tensor:
        return law.noised(SCHEDULE.alpha(t), SCHEDULE.sigma(t)).evaluate(x).gradient

    def fresh(streams: Streams) -> Paths:
        return generate(score, reverse, times, streams, space=law.space)

    def back(x: Tensor, streams: Streams) -> Paths:
        return retrace(score, reverse, x, times, streams, space=law.space)

    return PathMoves(fresh, back, tries=tries, every=every)


def z_score(values: Tensor) -> float:
    return abs(float(values.mean())) * math.sqrt(len(values)) / max(float(values.std()), 1e-12)


@pytest.mark.parametrize("tries", [1, 4])
def test_the_target_stays_and_flows_are_balanced(tries: int) -> None:
    move, streams = moves(tries=tries), Streams.of(seed=1, chains=N)
    x = TARGET.draw(streams)
    state = move.init(TARGET, x, streams)
    state, info = move.step(state, streams.at(1))
    after = state.x
    assert 0.05 < float(info.acceptance.mean()) < 0.95
    moved = (after != x).any(dim=1)
    assert torch.equal(moved, info.details["accepted"].bool())
    assert z_score(moved.double() - info.acceptance) < 4.5
    crossed = (after[:, 0] > 0) != (x[:, 0] > 0)
    assert int(crossed.sum()) > 100
    # what changes is zero in the mean, of moments and of populations
    for f in (lambda v: (v[:, 0] > 0).double(), lambda v: v[:, 1], lambda v: v.square().sum(dim=1)):
        assert z_score(f(after) - f(x)) < 4.5
        # and (before, after) are exchangeable
        assert z_score(f(x) * after[:, 0] - f(after) * x[:, 0]) < 4.5
    found = TARGET.evaluate(after)
    torch.testing.assert_close(state.log_density, found.log_density)
    torch.testing.assert_close(state.gradient, found.gradient)


def test_acceptance_is_as_expected() -> None:
    move, streams = moves(), Streams.of(seed=2, chains=N)
    x = TARGET.draw(streams)
    own = move.retrace(x, streams.fold("own")).log_weights(TARGET)
    fresh = move.generate(streams.fold("fresh")).log_weights(TARGET)
    expected = expected_acceptance(own, fresh, tries=4, streams=streams.fold("expected"))
    _, info = move.step(move.init(TARGET, x, streams), streams.at(1))
    found = info.acceptance
    assert abs(float(found.mean()) - expected) < 4.5 * float(found.std()) * math.sqrt(2 / N)
    # of a perfect generator with constant weights: K out of K + 1
    constant = torch.zeros(10)
    assert expected_acceptance(
        constant, constant, tries=4, streams=Streams.of(seed=0, chains=10)
    ) == pytest.approx(0.8)
    assert expected_acceptance(
        constant, constant - torch.inf, tries=4, streams=Streams.of(seed=0, chains=10)
    ) == 0.0  # fmt: skip


def test_wrong_populations_come_right() -> None:
    """All chains begin in one well, which local moves do not leave."""
    streams = Streams.of(seed=3, chains=2000)
    x = TARGET.means[0] + 0.5 * streams.normal("start", 2)
    hmc = HMC(step_size=0.3, leaps=5)
    alone = run(hmc, TARGET, x, seed=4, draws=25)
    assert not bool((alone.x[..., 0] > 0).any())
    counted = Counted.of(TARGET)
    both = run(Cycle([hmc, moves(every=5)]), counted, x, seed=4, draws=100)
    last = both.x[50:]
    share = (last[..., 0] > 0).double().mean(dim=0)
    assert abs(float(share.mean()) - 0.7) < 4.5 * float(share.std()) / math.sqrt(2000)
    for well, k in ((last[..., 0] < 0, 0), (last[..., 0] > 0, 1)):
        inside = last[well][::50]
        error = math.sqrt(float(TARGET.covariances[k, 0, 0]) / len(inside))
        assert bool(((inside.mean(dim=0) - TARGET.means[k]).abs() < 4.5 * error).all())
    # K energies for each of 20 moves, and a gradient where it led elsewhere
    accepted = round(float(both.details["1 accepted"].sum()) * 100)
    assert both.calls["production"].energies == 20 * 4 * 2000
    assert both.calls["production"].gradients == 100 * 5 * 2000 + accepted
    assert accepted > 2000


def test_a_generator_of_something_else_does_no_harm() -> None:
    far = GaussianMixture.of([1.0], [[0.0, 9.0]], [0.5])
    streams = Streams.of(seed=5, chains=500)
    move = moves(law=far)
    x = TARGET.draw(streams)
    state, info = move.step(move.init(TARGET, x, streams), streams.at(1))
    assert float(info.acceptance.mean()) < 0.02
    assert float((state.x == x).all(dim=1).double().mean()) > 0.95


def test_points_without_weight_cost_nothing() -> None:
    move, streams = moves(), Streams.of(seed=6, chains=200)

    def half(streams: Streams) -> Paths:
        paths = move.generate(streams)
        assert paths.weight is not None
        logs = torch.where(paths.x[:, 0] > 0, -torch.inf, paths.weight.log_weight)
        return Paths(paths.x, type(paths.weight)(paths.weight.space, logs))

    target = Counted.of(TARGET)
    one = PathMoves(half, move.retrace, tries=4)
    x = TARGET.means[0] + 0.1 * streams.normal("start", 2)
    state = one.init(target, x, streams)
    after, info = one.step(state, streams.at(1))
    assert bool((after.x[:, 0] < 0).all())
    assert 0 < target.calls.energies < 800
    assert target.calls.gradients == 200 + int(info.details["accepted"].sum())


def test_chains_do_not_depend_on_each_other_nor_on_a_stop(tmp_path: Path) -> None:
    sampler = Cycle([HMC(step_size=0.3, leaps=3), moves(every=2, steps=5)])
    x = TARGET.draw(Streams.of(seed=7, chains=12))
    whole = run(sampler, TARGET, x, seed=8, draws=20, warm_up=5)
    run(sampler, TARGET, x, seed=8, draws=7, warm_up=5, checkpoint=tmp_path / "a.pt")
    resumed = run(sampler, TARGET, x, seed=8, draws=20, warm_up=5, checkpoint=tmp_path / "a.pt")
    assert torch.equal(resumed.x, whole.x)
    assert resumed.calls == whole.calls
    few = run(sampler, TARGET, x[:5], seed=8, draws=20, warm_up=5)
    torch.testing.assert_close(few.x, whole.x[:, :5])
