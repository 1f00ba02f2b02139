"""Conformers of equal weight: exactly n, unbiased, and none twice without need."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from genmol.boltzmann.ensemble import Ensemble, equal_weight
from genmol.core.errors import InputError
from samplers.target import Calls


def ensemble(weights: Tensor, states: Tensor | None = None, **more: Any) -> Ensemble:
    """Draws that carry their number as their first coordinate."""
    m = len(weights)
    states = torch.arange(m) if states is None else states
    x = torch.zeros(m, 2, 3)
    x[:, 0, 0] = states.double()
    given: dict[str, Any] = {
        "positions": x,
        "energies": states.double(),
        "log_weights": (weights / weights.sum()).log(),
        "run": torch.arange(m) * 4 // max(m, 1),
        "numbers": torch.tensor([1, 1]),
        "temperature": 300.0,
        "potential": "none",
        "level": {},
        "method": "test",
        "settings": {},
        "seed": 0,
        "n_effective": 1.0,
        "limited_by": "energy",
        "stopped": "draws",
        "calls": {"a": Calls(2, 3), "b": Calls(0, 5)},
    }
    return Ensemble(**{**given, **more})


def test_exactly_n_and_never_twice_where_none_weighs_more_than_its_share(
    rng: np.random.Generator,
) -> None:
    whole = ensemble(torch.tensor(rng.uniform(0.5, 1.0, size=1000)))
    for n in (1, 7, 100, 499):
        found = equal_weight(whole, n, rng)
        assert found.ensemble.count == len(found.index) == n
        assert found.distinct == n
        assert float((found.ensemble.weights - 1 / n).abs().max()) < 1e-12
        assert torch.equal(found.ensemble.energies, whole.energies[found.index])


def test_each_comes_as_often_as_its_weight(rng: np.random.Generator) -> None:
    """On average n w; with unequal weights and more wanted than there are, n w rounded up or down."""
    w = torch.tensor([0.4, 0.05, 0.25, 0.2, 0.1])
    n, repeats = 7, 150
    count = torch.zeros(5)
    for _ in range(repeats):
        found = equal_weight(ensemble(w), n, rng)
        each = torch.bincount(found.index, minlength=5)
        assert bool(((each - n * w).abs() < 1).all())
        assert found.distinct == int((each > 0).sum())
        count += each
    # a number of copies that is one of two neighbours has a standard deviation of at most 1/2
    assert float((count / repeats - n * w).abs().max()) < 4.5 * 0.5 / math.sqrt(repeats)


def test_where_a_chain_stayed_counts_once_with_all_its_weight(rng: np.random.Generator) -> None:
    """Draws 0 0 0 1 2 2 with equal weights: three conformers of weight 1/2, 1/6, 1/3."""
    states = torch.tensor([0, 0, 0, 1, 2, 2])
    count, repeats = torch.zeros(3), 150
    for _ in range(repeats):
        found = equal_weight(ensemble(torch.ones(6), states), 2, rng)
        assert set(found.index.tolist()) <= {0, 3, 4}  # the first of each
        assert found.distinct == len(set(found.index.tolist()))
        count += torch.bincount(states[found.index], minlength=3)
    expected = 2 * torch.tensor([1 / 2, 1 / 6, 1 / 3])
    assert float((count / repeats - expected).abs().max()) < 4.5 * 0.5 / math.sqrt(repeats)


def test_every_run_is_represented(rng: np.random.Generator) -> None:
    """Equal distances along the runs: each of four gives a quarter, to one."""
    found = equal_weight(ensemble(torch.ones(400)), 40, rng)
    assert bool(((torch.bincount(found.ensemble.run) - 10).abs() <= 1).all())


def test_means_are_unbiased(rng: np.random.Generator) -> None:
    w = torch.tensor(rng.exponential(size=50))
    whole = ensemble(w)
    exact = float((whole.weights * whole.energies).sum())
    means = [float(equal_weight(whole, 8, rng).ensemble.energies.mean()) for _ in range(150)]
    assert np.mean(means) == pytest.approx(exact, abs=4.5 * float(np.std(means)) / math.sqrt(150))


def test_the_same_generator_gives_the_same(rng: np.random.Generator) -> None:
    whole = ensemble(torch.ones(90))
    one, other = (equal_weight(whole, 10, np.random.default_rng(3)).index for _ in range(2))
    assert torch.equal(one, other)


@pytest.mark.parametrize(("n", "m"), [(0, 10), (5, 0)])
def test_nothing_wanted_or_nothing_there(n: int, m: int, rng: np.random.Generator) -> None:
    with pytest.raises(InputError, match=f"{n} conformers wanted from an ensemble of {m}"):
        equal_weight(ensemble(torch.ones(m)), n, rng)


def test_sums_and_parts() -> None:
    whole = ensemble(torch.tensor([1.0, 1.0, 2.0]))
    assert (whole.energy_calls, whole.gradient_calls) == (2, 8)
    assert whole.kish == pytest.approx(16 / 6)
    part = whole.take(torch.tensor([2, 0]))
    torch.testing.assert_close(part.weights, torch.tensor([2 / 3, 1 / 3]))
    assert part.energies.tolist() == [2.0, 0.0]
