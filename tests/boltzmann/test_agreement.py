"""Runs that agree, drift, or stay apart; two sets that have the same states or not."""

from __future__ import annotations

import math

import numpy as np
import torch
from scipy.signal import lfilter

from genmol.boltzmann.agreement import check_drift, check_rhat, check_two_sets
from genmol.boltzmann.draws import Draws


def chains(phi: float, runs: int, length: int, rng: np.random.Generator) -> np.ndarray:
    noise = rng.normal(size=(runs, length))
    noise[:, 1:] *= math.sqrt(1 - phi**2)
    return np.asarray(lfilter([1.0], [1.0, -phi], noise, axis=1))


def laid_out(x: np.ndarray) -> tuple[Draws, torch.Tensor]:
    return Draws.of(x.size, runs=np.repeat(np.arange(len(x)), x.shape[1])), torch.tensor(x.ravel())


def test_rhat(rng: np.random.Generator) -> None:
    draws, x = laid_out(chains(0.3, 8, 500, rng))
    together = check_rhat(draws, {"x": x, "constant": torch.ones(len(x))})
    assert together.check.status == "pass"
    apart = x + 3.0 * (torch.arange(len(x)) // 500 % 2)
    found = check_rhat(draws, {"x": x, "y": apart})
    assert (found.check.status, found.part) == ("warn", "weights")
    assert "of y" in found.check.name
    single = Draws.of(40, runs=np.arange(40))
    assert check_rhat(single, {"x": x[:40]}).check.status == "pass"
    assert check_rhat(draws, {"constant": torch.ones(len(x))}).part == "note"


def test_drift(rng: np.random.Generator) -> None:
    draws, x = laid_out(chains(0.8, 20, 60, rng))
    assert check_drift(draws, {"x": x}).check.status == "pass"  # type: ignore[union-attr]
    burning = x + 3.0 * torch.exp(-torch.arange(60) / 10.0).repeat(20)
    found = check_drift(draws, {"x": burning, "constant": torch.ones(len(x))})
    assert found is not None
    assert (found.check.status, found.part) == ("fail", "weights")
    assert check_drift(Draws.of(len(x)), {"x": x}) is None
    weighted = Draws.of(len(x), runs=np.repeat(np.arange(20), 60), weights=np.exp(x.numpy()))
    assert check_drift(weighted, {"x": x}) is None


def test_drift_has_its_rate_of_false_alarms(rng: np.random.Generator) -> None:
    p = []
    for _ in range(150):
        draws, x = laid_out(chains(0.9, 10, 20, rng))
        found = check_drift(draws, {"x": x})
        assert found is not None
        p.append(found.check.value)
    assert abs((np.array(p) < 0.05).mean() - 0.05) < 4 * math.sqrt(0.05 * 0.95 / 150)


def indicators(x: torch.Tensor, y: torch.Tensor) -> list[tuple[str, torch.Tensor, torch.Tensor]]:
    return [
        ("low", (x < -1.645).double(), (y < -1.645).double()),
        ("high", (x > 0).double(), (y > 0).double()),
    ]


def test_two_sets(rng: np.random.Generator) -> None:
    first, x = laid_out(chains(0.7, 16, 200, rng))
    second, y = laid_out(chains(0.2, 12, 200, rng))
    assert check_two_sets("two", first, second, indicators(x, y)).check.status == "pass"
    # 5 % of the law is missing: 0.05/√(0.05 · 0.95/2400 · 1.5) = 9 σ
    seen = (x >= -1.645).nonzero().flatten()
    found = check_two_sets("two", first.take(seen), second, indicators(x[seen], y))
    assert (found.check.status, found.part) == ("fail", "weights")
    assert "low" in found.check.name


def test_a_state_that_few_draws_had_to_miss(rng: np.random.Generator) -> None:
    # 30 draws without a state of 5 % happen once in five times
    second, y = laid_out(chains(0.0, 12, 300, rng))
    few = torch.tensor(np.linspace(-1.6, 2, 30))
    found = check_two_sets("two", Draws.of(30, runs=np.arange(30)), second, indicators(few, y))
    assert found.check.status == "pass"


def test_two_sets_have_their_rate_of_false_alarms(rng: np.random.Generator) -> None:
    p = []
    for _ in range(60):
        first, x = laid_out(chains(0.5, 12, 40, rng))
        second, y = laid_out(chains(0.5, 20, 40, rng))
        p.append(check_two_sets("two", first, second, [("x", x, y)]).check.value)
    # the smaller number of degrees of freedom is taken, which makes it careful
    assert (np.array(p) < 0.05).mean() < 0.05 + 4 * math.sqrt(0.05 * 0.95 / 60)
    assert np.median(p) < 0.8
