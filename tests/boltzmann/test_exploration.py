"""Independent runs find what the draws lack."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from genmol.boltzmann.draws import Draws
from genmol.boltzmann.exploration import Exploration, check_exploration
from genmol.boltzmann.findings import Finding
from genmol.boltzmann.views import codes_of, local_observables
from samplers.clusters import DW4
from samplers.mixtures import GaussianMixture
from samplers.rng import Streams
from samplers.target import Counted

PUBLIC = Path(__file__).parents[3] / "shared/data/dw4/train.npy"
MIXTURE = GaussianMixture.of([0.6, 0.4], [[-4.0, 0.0], [4.0, 0.0]], [1.0, 0.7])


def explored(x: torch.Tensor, settings: Exploration, *, starts: int | None = None) -> list[Finding]:
    target = Counted.of(MIXTURE)
    findings = check_exploration(
        target,
        MIXTURE.start(Streams.of(seed=5, chains=starts or settings.runs)),
        Draws.of(len(x), runs=np.arange(len(x))),
        x,
        MIXTURE.log_density(x),
        local=local_observables(MIXTURE),
        codes=codes_of(MIXTURE),
        seed=5,
        settings=settings,
    )
    spent = settings.runs * settings.replicas * settings.moves * 10
    assert target.calls.gradients <= 1.1 * spent
    assert settings.moves < 60 or target.calls.gradients > 0.9 * spent
    return findings


def exact(n: int, share: float, rng: np.random.Generator) -> torch.Tensor:
    first = rng.uniform(size=n) < share
    mean = np.where(first, -4.0, 4.0)[:, None] * np.array([1.0, 0.0])
    return torch.tensor(mean + np.where(first, 1.0, 0.7)[:, None] * rng.normal(size=(n, 2)))


def test_populations(rng: np.random.Generator) -> None:
    settings = Exploration(runs=24, replicas=3, lowest=0.1, moves=60)
    right = explored(exact(1000, 0.6, rng), settings)
    assert [f.check.status for f in right] == ["pass", "pass"]
    wrong = explored(exact(1000, 1.0, rng), settings)
    assert [f.check.status for f in wrong] == ["fail", "fail"]
    assert {f.part for f in wrong} == {"weights"}


def test_few_starts_are_as_many_runs(rng: np.random.Generator) -> None:
    settings = Exploration(runs=24, replicas=3, lowest=0.1, moves=60)
    found = explored(exact(1000, 0.6, rng), settings, starts=2)
    assert [f.check.status for f in found] == ["pass", "pass"]


def test_budget(rng: np.random.Generator) -> None:
    for gradients in (10_000, 100_000, 10**7):
        found = Exploration.within(gradients)
        assert found.runs * found.replicas * found.moves * 10 <= gradients
    (nothing,) = explored(exact(50, 0.6, rng), Exploration.within(1000))
    assert nothing.check.status == "warn"


@pytest.mark.slow
@pytest.mark.skipif(
    not PUBLIC.exists(), reason="the public DW4 samples are not beside the checkout"
)
def test_the_public_samples_of_dw4() -> None:
    # exactly two short pairs in 0.445 of them, in 0.518 of the law (samplers.clusters)
    x = torch.from_numpy(np.load(PUBLIC).astype(np.float64).reshape(-1, 4, 2)[::10].copy())
    law, settings = DW4(), Exploration()
    populations = check_exploration(
        law,
        law.start(Streams.of(seed=0, chains=settings.runs)),
        Draws.of(len(x), runs=np.arange(len(x))),
        x,
        law.log_density(x),
        local=local_observables(law),
        codes=codes_of(law),
        seed=0,
        settings=settings,
    )[0]
    assert populations.check.status == "fail"
    error = populations.detail["error"]
    assert abs(abs(populations.detail["estimate"]) - 0.073) < 4 * error
