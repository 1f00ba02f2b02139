"""Weights: sizes, invariance, unbiased normalisers, honest errors, and resampling that keeps shares."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from torch import Tensor

from samplers.reweight import (
    equal_weight,
    expectation,
    kish,
    largest,
    log_normaliser,
    multinomial,
    normalise,
    perplexity,
    systematic,
)
from samplers.rng import Streams


def normals(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_sizes_of_simple_sets() -> None:
    for function, expected in ((kish, 10.0), (perplexity, 10.0), (largest, 0.1)):
        assert float(function(torch.full((10,), -3e5))) == pytest.approx(expected)
    one = torch.tensor([0.0, -torch.inf, -torch.inf])
    assert kish(one) == perplexity(one) == largest(one) == 1
    two = torch.tensor([math.log(3.0), 0.0])  # 3/4 and 1/4
    assert float(kish(two)) == pytest.approx(16 / 10)
    assert float(perplexity(two)) == pytest.approx((4 / 3) ** 0.75 * 4**0.25)
    sets = torch.stack([two, torch.zeros(2)])
    torch.testing.assert_close(kish(sets), torch.tensor([1.6, 2.0]))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(-30, 30), min_size=1, max_size=30), st.floats(-1e3, 1e3))
def test_laws_of_sizes(values: list[float], constant: float) -> None:
    lw = torch.tensor(values)
    assert 1 - 1e-9 <= float(kish(lw)) <= float(perplexity(lw)) * (1 + 1e-9) <= len(lw) * (1 + 1e-8)
    assert 1 / len(lw) - 1e-12 <= float(largest(lw)) <= 1 + 1e-12
    for function in (normalise, kish, perplexity, largest):
        torch.testing.assert_close(function(lw + constant), function(lw), rtol=1e-9, atol=1e-12)
    streams = Streams.of(seed=1, chains=1)
    index = systematic(lw, streams, count=50)
    counts = torch.bincount(index, minlength=len(lw))
    assert ((counts - 50 * normalise(lw)).abs() < 1 + 1e-9).all()


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_what_is_no_weight(bad: float) -> None:
    with pytest.raises(ValueError, match=f"largest log-weight of a set is {bad}"):
        normalise(torch.tensor([0.0, bad, 1.0]))
    with pytest.raises(ValueError, match="is -inf"):
        kish(torch.full((4,), -torch.inf))


def gaussian_weights(x: Tensor, scale: float, log_z: float) -> Tensor:
    """From a standard normal to exp(log Z) times a normal of another width."""
    return log_z + 0.5 * x**2 - 0.5 * (x / scale) ** 2 - math.log(scale)


def test_normalisers_and_means() -> None:
    # narrower than the proposal, so weights are bounded: 300 repeats of 500 draws
    repeats, n, log_z, scale = 300, 500, 700.0, 0.6
    z, z_error, m, m_error = [], [], [], []
    for x in normals(0, repeats, n):
        lw = gaussian_weights(x, scale, log_z)
        total, mean = log_normaliser(lw), expectation(torch.stack([x, x**2], dim=1), lw)
        z.append(total.value)
        z_error.append(total.error)
        m.append(mean.value)
        m_error.append(mean.error)
    ratio = (torch.stack(z) - log_z).exp()
    assert float(ratio.mean()) == pytest.approx(1, abs=4 * float(ratio.std()) / math.sqrt(repeats))
    # means of squares of z: 1 ± √(2/300) = 8 %
    score = (torch.stack(z) - log_z) / torch.stack(z_error)
    assert float(score.square().mean()) == pytest.approx(1, abs=4 * 0.082)
    truth = torch.tensor([0.0, scale**2])
    scores = (torch.stack(m) - truth) / torch.stack(m_error)
    torch.testing.assert_close(scores.square().mean(dim=0), torch.ones(2), rtol=0, atol=4 * 0.082)


def test_equal_weights_give_the_plain_error() -> None:
    x = normals(1, 400, 2, 3)
    found = expectation(x, torch.full((400,), 5.0))
    torch.testing.assert_close(found.value, x.mean(dim=0))
    torch.testing.assert_close(found.error, x.std(dim=0) / 20)
    assert float(log_normaliser(torch.full((400,), 5.0)).value) == pytest.approx(5.0)
    assert float(log_normaliser(torch.full((400,), 5.0)).error) < 1e-7


def test_runs_are_put_together_by_their_normalisers() -> None:
    lw = gaussian_weights(normals(2, 20, 100), 0.5, 3.0)
    runs = torch.stack([log_normaliser(one).value for one in lw])
    torch.testing.assert_close(log_normaliser(runs).value, log_normaliser(lw.flatten()).value)
    # the error of 20 runs is that of their 2000 draws, known to 1/√40 = 16 %
    ratio = float(log_normaliser(runs).error / log_normaliser(lw.flatten()).error)
    assert ratio == pytest.approx(1, abs=0.64)


LW = torch.tensor([0.0, -torch.inf, 1.3, -2.0, 0.4, -40.0])


@pytest.mark.parametrize("method", [systematic, multinomial])
def test_resampling_keeps_shares(method: Callable[..., Tensor]) -> None:
    sets, count = 20_000, 7
    index = method(LW.expand(sets, -1), Streams.of(seed=2, chains=sets), count=count)
    assert index.shape == (sets, count)
    assert not (index == 1).any()
    counts = torch.nn.functional.one_hot(index, len(LW)).sum(dim=1).double()
    expected = count * normalise(LW)
    sigma = counts.std(dim=0) / math.sqrt(sets)
    assert ((counts.mean(dim=0) - expected).abs() <= 4 * sigma + 1e-9).all()
    if method is systematic:
        assert ((counts - expected).abs() < 1).all()
        assert (index.diff(dim=1) >= 0).all()
    else:
        draws = index.flatten()
        kept = expected > 1e-9
        frequency = torch.bincount(draws, minlength=len(LW))[kept].numpy()
        assert stats.chisquare(frequency, (expected[kept] * sets).numpy()).pvalue > 1e-3


@pytest.mark.parametrize("method", [systematic, multinomial])
def test_a_set_draws_the_same_alone(method: Callable[..., Tensor]) -> None:
    streams = Streams.of(seed=3, chains=5).at(8)
    lw = normals(4, 5, 30)
    together = method(lw, streams)
    for row in range(5):
        assert torch.equal(method(lw[row], streams.take(slice(row, row + 1))), together[row])
    with pytest.raises(ValueError, match=r"shape \(5, 30\) and 4 streams"):
        method(lw, streams.take(slice(0, 4)))


def test_resampled_means_are_unbiased() -> None:
    sets = 4000
    x, lw = normals(5, 20), normals(6, 20)
    exact = float(expectation(x, lw).value)
    for method in (systematic, multinomial):
        index = method(lw.expand(sets, -1), Streams.of(seed=7, chains=sets))
        means = x[index].mean(dim=1)
        assert float(means.mean()) == pytest.approx(
            exact, abs=4 * float(means.std()) / math.sqrt(sets)
        )


def test_no_weight_of_zero_is_drawn_at_the_end() -> None:
    lw = torch.cat([torch.full((999,), -0.1), torch.full((3,), -torch.inf)])
    for step in range(50):
        assert multinomial(lw, Streams.of(seed=0, chains=1).at(step)).max() < 999
        assert systematic(lw, Streams.of(seed=0, chains=1).at(step), count=10_000).max() < 999


def test_exactly_as_many_as_asked() -> None:
    streams = Streams.of(seed=0, chains=1)
    lw = 0.5 * normals(8, 5000)
    found = equal_weight(lw, streams, count=500)
    assert len(found.index) == 500
    assert float(largest(lw)) < 1 / 500
    assert found.distinct == 500
    few = equal_weight(3 * lw, streams, count=500)
    assert len(few.index) == 500
    assert few.distinct == len(set(few.index.tolist())) < 500
    with pytest.raises(ValueError, match="count = 0"):
        equal_weight(lw, streams, count=0)
