"""The ledger: rates of exchange pair by pair, failures, sweeps; kept in the state."""

from __future__ import annotations

import pytest
import torch
from chaincases import FOUR, TRIOXIDE, Chain, Failing, trioxide

from genmol.boltzmann.ledger import Ledger, failures, swap_rates, sweeps
from samplers.hmc import HMC
from samplers.moves import MetropolisHastings, RandomWalk
from samplers.rng import Streams
from samplers.tempering import ParallelTempering

LADDER = [0.3, 0.45, 0.7, 1.0]


def test_rates_are_means_of_what_tempering_says() -> None:
    problem = trioxide()
    plain = ParallelTempering(HMC(step_size=0.03, leaps=2), LADDER)
    noted = Ledger(plain, problem.forgiving, len(LADDER))
    streams = Streams.of(seed=1, chains=12)
    state = noted.init(problem.target(), problem.begin(12), streams)
    bare = plain.init(problem.target(), problem.begin(12), streams)
    sums, tried = torch.zeros(3), torch.zeros(3)
    for k in range(1, 9):
        state, info = noted.step(state, streams.at(k))
        bare, other = plain.step(bare, streams.at(k))
        assert torch.equal(info.details["swap"].nan_to_num(), other.details["swap"].nan_to_num())
        rate = info.details["swap"].reshape(3, 4)
        pairs = [p for p in range(3) if p % 2 == k % 2]
        for p in pairs:
            torch.testing.assert_close(rate[:, p], rate[:, p + 1])
            sums[p] += rate[:, p].sum()
            tried[p] += 3
    assert torch.equal(state.x, bare.x)
    torch.testing.assert_close(swap_rates(state, 4), sums / tried)
    assert sweeps(state) == 8
    assert failures(state) == (0, 0)


def test_the_burn_in_is_counted_apart() -> None:
    problem = trioxide()
    problem = trioxide(potential=Failing(Chain(TRIOXIDE, FOUR), 30))
    noted = Ledger(MetropolisHastings(RandomWalk(0.01)), problem.forgiving)
    streams = Streams.of(seed=1, chains=10)
    state = noted.init(problem.target(), problem.begin(10), streams)
    calls = problem.forgiving.calls
    before = calls.failures
    state, _ = noted.step(state, streams.at(1))
    burnt = calls.failures - before
    state = noted.adapted(state)
    state, _ = noted.step(state, streams.at(2))
    assert burnt + failures(state)[1] == calls.failures - before
    assert failures(state) == (burnt, calls.failures - before - burnt)
    assert failures(state)[1] == 10
    # those of HMC's overshooting or not: a failed proposal is not accepted
    assert bool(state.log_density.isfinite().all())


def test_nothing_tried_is_no_rate() -> None:
    problem = trioxide()
    noted = Ledger(ParallelTempering(HMC(step_size=0.03, leaps=1), LADDER), problem.forgiving, 4)
    state = noted.init(problem.target(), problem.begin(4), Streams.of(seed=1, chains=4))
    assert bool(swap_rates(state, 4).isnan().all())
    assert swap_rates(state, 4).shape == (3,)
    state, _ = noted.step(state, Streams.of(seed=1, chains=4).at(1))
    assert swap_rates(noted.adapted(state), 4).isnan().all()


@pytest.mark.parametrize("chains", [4, 8])
def test_only_the_lowest_temperature_is_seen(chains: int) -> None:
    problem = trioxide()
    noted = Ledger(ParallelTempering(HMC(), LADDER), problem.forgiving, 4)
    assert noted.visible(torch.arange(chains)).tolist() == list(range(3, chains, 4))
