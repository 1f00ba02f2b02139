"""Laws of the Markov kernels: they keep their target, pair by pair where they are reversible.

Chains start at exact draws of the target, so that every exact kernel must keep all moments after any
number of steps, and a reversible one makes (before, after) exchangeable. Bounds are 4.5 standard errors.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from samplers.hmc import HMC
from samplers.langevin import BAOAB, MALA, ULA
from samplers.moves import (
    Cycle,
    DelayedAcceptance,
    Independent,
    MetropolisHastings,
    Proposal,
    Proposed,
    RandomWalk,
)
from samplers.rng import Streams
from samplers.sampler import Info, Sampler, StartError, State
from samplers.spaces import Euclidean, MeanFree
from samplers.target import Calls, Counted, Density, Target

N = 20_000
SCALES = torch.tensor([0.5, 1.0, 2.0], dtype=torch.float64)


def gaussian() -> Target:
    return Density(lambda x: -0.5 * (x / SCALES).square().sum(dim=1), Euclidean(3))


def broader() -> Target:
    return Density(lambda x: -0.4 * (x / SCALES).square().sum(dim=1), Euclidean(3))


def exact(streams: Streams) -> Tensor:
    return SCALES * streams.normal("exact", 3)


KERNELS: dict[str, Sampler] = {
    "MALA": MALA(step_size=0.6),
    "HMC": HMC(step_size=0.35, leaps=4),
    "HMC with scales": HMC(step_size=0.7, leaps=3, scale=SCALES),
    "random walk": MetropolisHastings(RandomWalk(0.8)),
    "independent": MetropolisHastings(
        Independent(lambda s: 1.5 * s.normal("i", 3), lambda x: -x.square().sum(dim=1) / 4.5)
    ),
    "delayed acceptance": DelayedAcceptance(HMC(step_size=0.4, leaps=2), broader(), steps=3),
    "cycle": Cycle([HMC(step_size=0.4, leaps=2), MetropolisHastings(RandomWalk(0.5))]),
}


def z_score(values: Tensor) -> float:
    return float(values.mean() / (values.std() / len(values) ** 0.5))


def advance(sampler: Sampler, target: Target, steps: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    streams = Streams.of(seed=seed, chains=N)
    start = exact(streams)
    state = sampler.init(target, start, streams)
    for k in range(steps):
        state, info = sampler.step(state, streams.at(k + 1))
        assert 0 <= info.acceptance.min()
        assert info.acceptance.max() <= 1
    return start, state.x


@pytest.mark.parametrize("name", KERNELS)
def test_the_target_is_kept(name: str) -> None:
    start, end = advance(KERNELS[name], gaussian(), 3)
    assert (start != end).any(dim=1).double().mean() > 0.3
    for moment in (
        end / SCALES,
        (end / SCALES) ** 2 - 1,
        (end / SCALES) ** 4 - 3,
        (end[:, [0, 1, 2]] * end[:, [1, 2, 0]]) / SCALES.prod(),
    ):
        for column in moment.T:
            assert abs(z_score(column)) < 4.5


@pytest.mark.parametrize("name", [name for name in KERNELS if name != "cycle"])
def test_pairs_are_exchangeable(name: str) -> None:
    start, end = (x / SCALES for x in advance(KERNELS[name], gaussian(), 1, seed=1))
    tests: list[Callable[[Tensor, Tensor], Tensor]] = [
        lambda x, y: x**2 * y - x * y**2,
        lambda x, y: x**3 * y - x * y**3,
        lambda x, y: torch.tanh(2 * x) * y**2 - torch.tanh(2 * y) * x**2,
        lambda x, y: (x > 1) * (y < 0) * 1.0 - (y > 1) * (x < 0) * 1.0,
    ]
    for test in tests:
        for column in test(start, end).T:
            assert abs(z_score(column)) < 4.5


class WrongHMC(HMC):
    """Forgets the kinetic energy."""

    def step(self, state: State, streams: Streams) -> tuple[State, Info]:
        _, info = super().step(state, streams)
        x = state.x + self.step_size * state.target.space.normal(streams, "momentum")
        new = state.moved(x + 0.2 * state.gradient)
        return state.where(streams.uniform("accept") < 0.9, new), info


def test_a_faulty_kernel_is_found() -> None:
    _, end = advance(WrongHMC(step_size=0.35, leaps=4), gaussian(), 3)
    assert max(abs(z_score(c)) for c in ((end / SCALES) ** 2 - 1).T) > 20


@pytest.mark.parametrize("name", [*KERNELS, "BAOAB", "ULA"])
def test_batching_and_resuming_change_nothing(name: str) -> None:
    sampler = {**KERNELS, "BAOAB": BAOAB(0.3), "ULA": ULA(0.3)}[name]
    streams = Streams.of(seed=4, chains=6)

    def run(rows: list[int], pause: int) -> Tensor:
        own = streams.take(torch.tensor(rows))
        state = sampler.init(gaussian(), exact(own), own)
        for k in range(4):
            if k == pause:  # through plain tensors, as a checkpoint goes
                memory = {key: value.clone() for key, value in state.memory.items()}
                state = State(
                    gaussian(), state.x.clone(), state.log_density, state.gradient, memory
                )
            state, info = sampler.step(state, own.at(k + 1))
            state = sampler.adapt(state, info, k + 1)
        return sampler.adapted(state).x

    whole = run([0, 1, 2, 3, 4, 5], pause=9)
    torch.testing.assert_close(run([4, 1], pause=2), whole[[4, 1]], rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("make", "limit"),
    [(ULA, 2.0), (BAOAB, 0.0)],
)
def test_the_bias_of_unadjusted_dynamics(make: Callable[[float], Sampler], limit: float) -> None:
    """For a normal law of unit width ULA's variance is 1/(1 - h²/4); BAOAB's is exact."""
    h = 0.8
    target = Density(lambda x: -0.5 * x.square().sum(dim=1), Euclidean(1))
    streams = Streams.of(seed=8, chains=N)
    state = make(h).init(target, streams.normal("x", 1), streams)
    for k in range(40):
        state, _ = make(h).step(state, streams.at(k + 1))
    expected = 1 / (1 - h**2 / 4) if limit else 1.0
    assert abs(z_score(state.x[:, 0] ** 2 - expected)) < 4.5


@pytest.mark.parametrize("sampler", [MALA(step_size=5.0), HMC(step_size=1e-3, leaps=5)])
def test_the_warm_up_finds_the_wanted_acceptance(sampler: MALA | HMC) -> None:
    streams = Streams.of(seed=5, chains=400)
    state = sampler.init(gaussian(), exact(streams), streams)
    for k in range(300):
        state, info = sampler.step(state, streams.at(k))
        state = sampler.adapt(state, info, k + 1)
    state = sampler.adapted(state)
    frozen = state.memory["log_step"]
    found = []
    for k in range(300, 340):
        state, info = sampler.step(state, streams.at(k))
        found.append(info.acceptance.mean())
    assert torch.equal(state.memory["log_step"], frozen)
    assert abs(float(torch.stack(found).mean()) - sampler.target_acceptance) < 0.15


def test_mean_free_chains_stay_so_and_see_only_inner_coordinates() -> None:
    space = MeanFree(4, 2)
    target = Density(lambda x: -0.5 * x.square().sum(dim=(1, 2)), space)
    streams = Streams.of(seed=2, chains=N)
    sampler = HMC(step_size=0.6, leaps=4)
    state = sampler.init(target, space.normal(streams, "x"), streams)
    for k in range(3):
        state, _ = sampler.step(state, streams.at(k + 1))
    assert state.x.mean(dim=1).abs().max() < 1e-12
    assert abs(z_score(state.x.square().sum(dim=(1, 2)) - 6)) < 4.5
    with pytest.raises(ValueError, match="leave the space"):
        HMC(scale=torch.ones(4, 1).double().index_fill(0, torch.tensor([0]), 2.0)).init(
            target, state.x, streams
        )


class Table(Proposal):
    """On a ring of states: to the column's state, with the table's probability."""

    def __init__(self, goals: Tensor, probabilities: Tensor) -> None:
        self.goals, self.probabilities = goals, probabilities

    def propose(self, state: State, streams: Streams) -> Proposed:
        del streams
        here, there = state.x[:, 0].long(), self.goals
        forth, back = self.probabilities[here, there], self.probabilities[there, here]
        return Proposed(there[:, None].double(), back.log() - forth.log())


def test_detailed_balance_by_enumeration(generator: torch.Generator) -> None:
    """π_i q_ij a_ij = π_j q_ji a_ji for all pairs of six states, with a lopsided proposal."""
    n = 6
    weights = torch.rand(n, generator=generator, dtype=torch.float64) + 0.1
    q = torch.rand(n, n, generator=generator, dtype=torch.float64) + 0.05
    q = q / q.sum(dim=1, keepdim=True)
    target = Density(lambda x: weights.log()[x[:, 0].detach().long()] + 0 * x[:, 0], Euclidean(1))
    i, j = torch.cartesian_prod(torch.arange(n), torch.arange(n)).unbind(dim=1)
    sampler = MetropolisHastings(Table(j, q))
    streams = Streams.of(seed=0, chains=n * n)
    _, info = sampler.step(sampler.init(target, i[:, None].double(), streams), streams)
    flow = (weights[i] * q[i, j] * info.acceptance).reshape(n, n)
    torch.testing.assert_close(flow, flow.T)


def test_walls_and_lost_trajectories_are_refused() -> None:
    """Half a normal law: −∞ behind the wall; and steps so large that numbers end."""
    target = Density(
        lambda x: torch.where(x[:, 0] > 0, -0.5 * x[:, 0] ** 2, -torch.inf), Euclidean(1)
    )
    streams = Streams.of(seed=6, chains=N)
    for sampler in (MALA(step_size=0.8), HMC(step_size=0.5, leaps=3), HMC(step_size=1e160)):
        state = sampler.init(target, streams.normal("x", 1).abs(), streams)
        for k in range(3):
            state, _ = sampler.step(state, streams.at(k + 1))
        assert state.x.isfinite().all()
        assert (state.x > 0).all()
        assert abs(z_score(state.x[:, 0] ** 2 - 1)) < 4.5
    with pytest.raises(StartError, match="chain 0 is -inf"):
        HMC().init(target, -torch.ones(2, 1).double(), Streams.of(seed=0, chains=2))


def test_a_trajectory_that_blows_up_ends_before_its_numbers_do() -> None:
    # far out x⁴ - 4x² is ∞ - ∞, which no target may answer; a long step gets there in three leaps
    well = Density(lambda x: -(x**4 - 4 * x**2).sum(dim=1), Euclidean(1))
    streams = Streams.of(seed=3, chains=8)
    x = torch.full((8, 1), 1.4, dtype=torch.float64)
    state = HMC(step_size=3.0, leaps=20).init(well, x, streams)
    after, info = HMC(step_size=3.0, leaps=20).step(state, streams.at(1))
    assert torch.equal(after.x, x)
    assert not info.acceptance.any()


def test_calls_are_counted() -> None:
    counted = Counted(gaussian(), Calls())
    streams = Streams.of(seed=0, chains=10)
    sampler = HMC(leaps=7)
    state = sampler.init(counted, exact(streams), streams)
    sampler.step(state, streams.at(1))
    assert counted.calls == Calls(energies=0, gradients=10 + 70)
    cheap = Counted.of(broader())
    delayed = DelayedAcceptance(HMC(leaps=2), cheap, steps=3)
    expensive = Counted.of(gaussian())
    state = delayed.init(expensive, exact(streams), streams)
    delayed.step(state, streams.at(1))
    assert expensive.calls.gradients == 20
    assert cheap.calls.gradients == 10 + 60
    with pytest.raises(ValueError, match="adaptive"):
        Cycle([HMC(), MALA()])
