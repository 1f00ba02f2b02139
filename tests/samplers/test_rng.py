"""Random streams: the published test vectors, independence of batching, and the right distributions."""

from __future__ import annotations

import math

import pytest
import torch
from scipy import stats

from samplers.rng import Streams, philox

# Random123 1.14, tests/kat_vectors: philox4x32 10
VECTORS = [
    ("00000000 00000000 00000000 00000000", "00000000 00000000",
     "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
    ("ffffffff ffffffff ffffffff ffffffff", "ffffffff ffffffff",
     "408f276d 41c83b0e a20bc7c6 6d5451fd"),
    ("243f6a88 85a308d3 13198a2e 03707344", "a4093822 299f31d0",
     "d16cfe09 94fdcceb 5001e420 24126ea1"),
]  # fmt: skip


def words(text: str) -> list[int]:
    return [int(word, 16) for word in text.split()]


@pytest.mark.parametrize(("counter", "key", "expected"), VECTORS)
def test_published_vectors(counter: str, key: str, expected: str) -> None:
    found = philox(torch.tensor([words(counter)]), tuple(words(key)))  # type: ignore[arg-type]
    assert found.tolist() == [words(expected)]


def test_a_chain_draws_the_same_alone_and_in_any_batch() -> None:
    streams = Streams.of(seed=2**40 + 3, chains=10).at(12)
    whole = streams.normal("x", 3, 2)
    rows = torch.tensor([7, 2, 9])
    torch.testing.assert_close(streams.take(rows).normal("x", 3, 2), whole[rows], rtol=0, atol=0)
    alone = Streams(2**40 + 3, torch.tensor([4]), step=12).normal("x", 3, 2)
    torch.testing.assert_close(alone[0], whole[4], rtol=0, atol=0)
    # fewer numbers of the same name are the first ones
    torch.testing.assert_close(streams.normal("x", 4), whole.flatten(1)[:, :4], rtol=0, atol=0)


def test_everything_that_differs_gives_other_numbers() -> None:
    base = Streams.of(seed=1, chains=2)
    draws = {
        "base": base.uniform("a"),
        "name": base.uniform("b"),
        "step": base.at(1).uniform("a"),
        "seed": Streams.of(seed=2, chains=2).uniform("a"),
        "high seed": Streams.of(seed=1 + 2**32, chains=2).uniform("a"),
        "fold": base.fold("a").uniform("a"),
        "other fold": base.fold("b").uniform("a"),
        "folds": base.fold("a").fold("b").uniform("a"),
        "folds reversed": base.fold("b").fold("a").uniform("a"),
    }
    numbers = torch.cat(list(draws.values()))
    assert len(numbers.unique()) == 2 * len(draws)


@pytest.mark.parametrize("axis", ["within a chain", "over chains", "over steps"])
def test_distributions(axis: str) -> None:
    n = 40_000
    if axis == "within a chain":
        streams = Streams.of(seed=5, chains=1)
        u, z = streams.uniform("u", n), streams.normal("z", n)
        k = streams.integers("k", 6, n)
    elif axis == "over chains":
        streams = Streams.of(seed=5, chains=n)
        u, z, k = streams.uniform("u"), streams.normal("z"), streams.integers("k", 6)
    else:
        one = Streams.of(seed=5, chains=1)
        u, z, k = (
            torch.cat([draw(one.at(s)) for s in range(500)])
            for draw in (
                lambda s: s.uniform("u"), lambda s: s.normal("z"), lambda s: s.integers("k", 6),
            )
        )  # fmt: skip
    assert 0 < u.min()
    assert u.max() < 1
    assert stats.kstest(u.flatten().numpy(), "uniform").pvalue > 1e-3
    assert stats.kstest(z.flatten().numpy(), "norm").pvalue > 1e-3
    assert stats.chisquare(torch.bincount(k.flatten(), minlength=6).numpy()).pvalue > 1e-3


def test_neighbouring_streams_are_uncorrelated() -> None:
    n = 20_000
    streams = Streams.of(seed=0, chains=8)
    draws = torch.cat([streams.at(s).normal("z", n) for s in range(2)])
    correlation = torch.corrcoef(draws) - torch.eye(16, dtype=torch.float64)
    assert correlation.abs().max() < 4.5 / math.sqrt(n)


def test_choice_follows_its_weights() -> None:
    streams = Streams.of(seed=3, chains=30_000)
    found = torch.bincount(streams.choice("c", [1.0, 0.0, 3.0, 4.0]), minlength=4)
    assert found[1] == 0
    expected = torch.tensor([1.0, 3.0, 4.0]) / 8 * 30_000
    assert stats.chisquare(found[[0, 2, 3]].numpy(), expected.numpy()).pvalue > 1e-3
    own = torch.eye(3, dtype=torch.float64).repeat(10_000, 1)
    assert torch.equal(streams.choice("c", own), torch.arange(3).repeat(10_000))


def test_single_precision() -> None:
    streams = Streams.of(seed=3, chains=4)
    assert streams.normal("z", 5, dtype=torch.float32).dtype == torch.float32
    torch.testing.assert_close(
        streams.normal("z", 5, dtype=torch.float32).double(),
        streams.normal("z", 5),
        rtol=0,
        atol=1e-6,
    )


def test_the_default_type_of_torch_changes_nothing() -> None:
    streams = Streams.of(seed=1, chains=50)
    found = streams.uniform("x", 20)
    torch.set_default_dtype(torch.float32)
    try:
        assert torch.equal(streams.uniform("x", 20), found)
    finally:
        torch.set_default_dtype(torch.float64)
    assert not torch.equal(found.float().double(), found)
