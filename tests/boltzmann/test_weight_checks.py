"""Weights that can be trusted, and those that cannot."""

from __future__ import annotations

import math

import numpy as np
import torch

from genmol.boltzmann.draws import Draws
from genmol.boltzmann.findings import Finding
from genmol.boltzmann.weight_checks import check_weights, clipped, recomputed


def named(findings: list[Finding]) -> dict[str, Finding]:
    return {f.check.name.split(" ")[0]: f for f in findings}


def log_normal(rng: np.random.Generator, spread: float, n: int = 2000) -> np.ndarray:
    return np.exp(spread * rng.normal(size=n))


def test_equal_weights_have_nothing_to_check() -> None:
    (only,) = check_weights(Draws.of(10))
    assert only.check.status == "pass"


def test_good_weights(rng: np.random.Generator) -> None:
    labels = torch.tensor(rng.integers(0, 3, size=2000))
    found = check_weights(Draws.of(2000, weights=log_normal(rng, 0.5)), labels=labels)
    assert len(found) == 5
    assert {f.check.status for f in found} == {"pass"}


def test_weights_ruled_by_few(rng: np.random.Generator) -> None:
    found = named(check_weights(Draws.of(2000, weights=log_normal(rng, 4.0))))
    assert found["effective"].check.status == "fail"
    assert found["largest"].check.status != "pass"
    assert found["Pareto"].check.status == "fail"
    assert found["Pareto"].part == "weights"


def test_a_state_that_hangs_on_one_draw(rng: np.random.Generator) -> None:
    weights = np.ones(1000) + 0.01 * rng.uniform(size=1000)
    weights[0] = 200.0
    labels = torch.zeros(1000, dtype=torch.int64)
    labels[:3] = 1
    found = named(check_weights(Draws.of(1000, weights=weights), labels=labels))
    assert found["smallest"].check.status == "fail"


def test_clipping(rng: np.random.Generator) -> None:
    weights = log_normal(rng, 1.5)
    cut = np.minimum(weights, np.quantile(weights, 0.98))
    assert clipped(torch.tensor(weights)) == 0
    assert clipped(torch.tensor(cut)) == 40
    found = named(check_weights(Draws.of(2000, weights=cut)))
    assert found["weights"].check.status == "fail"
    assert "40 draws share the largest weight" in found["weights"].check.advice
    # counts of copies are whole numbers
    assert clipped(torch.tensor([1.0, 2.0, 3.0, 3.0, 1.0]) / 7) == 0


def test_weights_computed_again(rng: np.random.Generator) -> None:
    x = rng.normal(size=3000)
    log_q, log_p = -0.5 * x**2, -0.5 * (x - 0.5) ** 2
    weights = np.exp(log_p - log_q)
    right, shift = recomputed(
        Draws.of(3000, weights=weights), torch.tensor(log_p + 7), torch.tensor(log_q)
    )
    assert right.check.status == "pass"
    assert shift < 1e-12
    cut = np.minimum(weights, np.quantile(weights, 0.95))
    wrong, shift = recomputed(Draws.of(3000, weights=cut), torch.tensor(log_p), torch.tensor(log_q))
    assert wrong.check.status == "fail"
    # what was cut off, of the whole
    assert 0 < shift < (weights - cut).sum() / weights.sum() + 1e-9
    assert math.isfinite(wrong.check.value)
