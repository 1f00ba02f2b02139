"""Identities on exact draws of a free molecule: they hold, and see a wrong temperature."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from genmol.boltzmann.draws import Draws
from genmol.boltzmann.identities import (
    Evaluated,
    check_configurational_temperature,
    check_forces,
    check_identities,
    evaluated,
)
from samplers.rng import Streams
from samplers.spaces import Euclidean, MeanFree, Torus
from samplers.target import Counted, Density, Evaluation, Target
from samplers.wells import TwoBasins

STIFFNESS, LENGTH = 900.0, 1.5


def spring(x: Tensor) -> Tensor:
    """A diatomic molecule: U/kT = k (r − r₀)²/2."""
    return -0.5 * STIFFNESS * ((x[:, 0] - x[:, 1]).norm(dim=1) - LENGTH).square()


DIATOMIC = Density(spring, MeanFree(2, 3))


def diatomics(n: int, rng: np.random.Generator, temperature: float = 1.0) -> Tensor:
    """Exact draws: r² exp(−k (r − r₀)²/2) in r by rejection, and a random direction."""
    r = rng.normal(LENGTH, math.sqrt(temperature / STIFFNESS), size=3 * n)
    r = r[rng.uniform(size=3 * n) < (r / (LENGTH + 0.3)) ** 2][:n]
    direction = rng.normal(size=(n, 3))
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    end = torch.tensor(r[:, None] * direction) / 2
    return torch.stack([end, -end], dim=1)


def found_in(target: Target, x: Tensor, **kwargs: Any) -> dict[str, dict[str, Any]]:
    draws = Draws.of(len(x), runs=np.arange(len(x)), **kwargs)
    values = evaluated(target, draws, x)
    findings = check_identities(values, target)
    findings.append(
        check_configurational_temperature(values, target, Streams.of(seed=1, chains=1), most=len(x))
    )
    return {f.check.name.split(" ")[0]: {**f.to_dict(), "status": f.check.status} for f in findings}


def test_a_free_molecule(rng: np.random.Generator) -> None:
    found = found_in(DIATOMIC, diatomics(4000, rng))
    assert set(found) == {"virial", "equipartition", "configurational"}
    for one in found.values():
        assert one["status"] == "pass"
        assert abs(one["estimate"] - 1) < 4 * one["error"]
    # x·∇U/3 fluctuates by r₀√k/3 = 15 times its mean; the stiff pair by √2
    n = found["virial"]["draws"]
    assert found["virial"]["error"] * math.sqrt(n) == pytest.approx(15, rel=0.1)
    assert found["equipartition"]["error"] * math.sqrt(n) == pytest.approx(math.sqrt(2), rel=0.1)
    assert found["equipartition"]["draws_needed"] < 0.02 * found["virial"]["draws_needed"]


def test_a_temperature_off_by_ten_percent(rng: np.random.Generator) -> None:
    found = found_in(DIATOMIC, diatomics(10_000, rng, temperature=1.1))
    # 0.1/(√2/√10⁴) = 7 σ
    assert found["equipartition"]["status"] == "fail"
    assert found["configurational"]["status"] == "fail"
    assert found["equipartition"]["estimate"] == pytest.approx(1.1, abs=0.06)
    assert found["equipartition"]["part"] == "local"


def test_weights_make_it_right(rng: np.random.Generator) -> None:
    x = diatomics(10_000, rng, temperature=1.1)
    weights = np.exp(spring(x).numpy() * (1 - 1 / 1.1))
    found = found_in(DIATOMIC, x, weights=weights)
    assert all(one["status"] == "pass" for one in found.values())


def test_other_spaces(rng: np.random.Generator) -> None:
    square = Density(lambda x: -0.5 * x.square().sum(dim=1), Euclidean(5))
    found = found_in(square, torch.tensor(rng.normal(size=(2000, 5))))
    assert set(found) == {"virial", "configurational"}
    assert found["virial"]["estimate"] == pytest.approx(1, abs=4 * math.sqrt(2 / 5 / 2000))
    angles = TwoBasins()
    assert isinstance(angles.space, Torus)
    wrong = found_in(angles, torch.tensor(rng.uniform(-math.pi, math.pi, size=(2000, 1))))
    assert wrong["Stein"]["status"] == "fail"


def test_a_single_short_series_is_not_judged(rng: np.random.Generator) -> None:
    x = diatomics(20, rng)
    draws = Draws.of(20)
    findings = check_identities(evaluated(DIATOMIC, draws, x), DIATOMIC)
    assert all((f.check.status, f.part) == ("warn", "weights") for f in findings)
    assert "run longer" in findings[0].check.advice


@dataclass(frozen=True)
class Wrong(Target):
    """A gradient that is 2 % too large."""

    inner: Target

    @property
    def space(self) -> MeanFree:
        return MeanFree(2, 3)

    def log_density(self, x: Tensor) -> Tensor:
        return self.inner.log_density(x)

    def evaluate(self, x: Tensor) -> Evaluation:
        value, gradient = self.inner.evaluate(x)
        return Evaluation(value, 1.02 * gradient)


def test_forces(rng: np.random.Generator) -> None:
    x = diatomics(4, rng)
    counted = Counted.of(DIATOMIC)
    right = check_forces(counted, x, Streams.of(seed=0, chains=4))
    assert right.check.status == "pass"
    assert right.check.value < 1e-4
    assert (counted.calls.energies, counted.calls.gradients) == (16, 4)
    wrong = check_forces(Wrong(DIATOMIC), x, Streams.of(seed=0, chains=4))
    assert (wrong.check.status, wrong.part) == ("fail", "local")
    assert wrong.check.value == pytest.approx(0.02, rel=0.5)


def test_evaluated_rows_stay_together(rng: np.random.Generator) -> None:
    x = diatomics(50, rng) + 3.0
    found = evaluated(DIATOMIC, Draws.of(50, runs=np.arange(50) // 10), x)
    assert float(found.x.mean(dim=1).abs().max()) < 1e-12
    part = found.take(torch.tensor([49, 3]))
    assert isinstance(part, Evaluated)
    torch.testing.assert_close(part.gradient[0], found.gradient[49])
    assert part.draws.runs == 2
