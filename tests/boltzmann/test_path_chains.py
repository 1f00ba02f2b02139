"""Chains with moves to fresh paths: their rates, populations, folds, resumed runs."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from scorecases import SPREAD, generator, harmonic
from torch import Tensor

from genmol.boltzmann import density_chains
from genmol.boltzmann.density_job import SampledDensity, sample_density
from genmol.boltzmann.generator import ScoreGenerator
from genmol.boltzmann.path_chains import fitting_moves, path_moves, resampled
from genmol.boltzmann.weighted import Weighted, weighted_draws
from samplers.rng import Streams
from samplers.run import Budget
from samplers.sampler import StartError
from samplers.target import Counted, Density, Target


def wells(of: ScoreGenerator) -> Target:
    """Two narrow wells, a quarter and three quarters, which the normal law of the generator covers."""
    middle = of.space.project(torch.tensor([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0], [0.0, -1.0]]))

    def log_density(x: Tensor) -> Tensor:
        square = [(x - sign * middle).square().sum(dim=(1, 2)) / (2 * 0.4**2) for sign in (1, -1)]
        return torch.logaddexp(-square[0] - math.log(3), -square[1])

    return Density(log_density, of.space)


def state(x: Tensor) -> Tensor:
    return (x[:, 0, 0] < 0).long()


def sampled(
    target: Target, of: ScoreGenerator, folder: Path | None = None, **more
) -> SampledDensity:
    start = torch.tensor([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0], [0.0, -1.0]], dtype=torch.float64)
    return sample_density(
        target, starts=0.3 * start[None], generator=of, method="psm", checking=4_000, folder=folder,
        **more,
    )  # fmt: skip


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(density_chains, "_PILOT", 60)
    monkeypatch.setattr(density_chains, "_LEAPS", 5)


def test_populations_come_right_where_weights_are_of_no_use() -> None:
    of = generator(steps=8)
    found = sampled(wells(of), of, n=80, states=state)
    assert found.method.startswith("chains: Hamiltonian Monte Carlo with a choice among")
    assert "as weights of 1024 draws of a trained score vary too much" in found.method
    assert found.states is not None
    by_run = torch.stack([part.double().mean() for part in found.states.split(len(found.x) // 16)])
    error = float(by_run.std()) / 4
    assert error < 0.08
    assert abs(float(by_run.mean()) - 0.75) < 4.5 * error
    assert found.calls["production"].gradients > found.calls["production"].energies > 0
    assert found.calls["generation"].energies == 1024
    record = found.certificate.record["sampling"]
    assert record["path_moves_accepted"] > 0.01


def test_a_killed_run_goes_on_to_the_same_draws(tmp_path: Path) -> None:
    of = generator(steps=8)
    target, _ = harmonic(of, 0.13 * SPREAD)
    whole = sampled(target, of, n=60)
    assert whole.method.startswith("chains: ")
    short = sampled(target, of, tmp_path, n=60, budget=Budget(calls=1024 + 14_000))
    assert short.stopped == "calls"
    resumed = sampled(target, of, tmp_path, n=60)
    assert torch.equal(resumed.x, whole.x)
    assert resumed.calls == whole.calls


def draws(of: ScoreGenerator, target: Target, folder: Path) -> Weighted:
    return weighted_draws(
        of, Counted.of(target), seed=3, effective=lambda _: 0.0, wanted=1.0, budget=Budget(calls=1),
        folder=folder, identity="a",
    )[0]  # fmt: skip


def test_rates_are_known_before(tmp_path: Path) -> None:
    of = generator(steps=8)
    target, _ = harmonic(of, 0.3 * SPREAD)
    found = draws(of, target, tmp_path)
    streams = Streams.of(seed=4, chains=400)
    x = (0.3 * SPREAD) ** 0.5 * of.space.normal(streams, "exact")
    moves, rate = fitting_moves(of, x, target.log_density(x), found, every=1, seed=5)
    assert moves.tries == 4
    _, info = moves.step(moves.init(target, x, streams), streams.at(1))
    # 512 draws of a share of 15 % know their mean weight to 12 %
    assert rate == pytest.approx(float(info.acceptance.mean()), rel=0.4)
    assert 0.05 < rate < 0.8


def test_what_a_fold_leaves_out_is_not_gone_to() -> None:
    of = generator(steps=4)
    target, _ = harmonic(of, SPREAD)

    def fold(x: Tensor) -> tuple[Tensor, Tensor]:
        """Mirror images are one; half of them are left out."""
        turned = torch.where(x[:, :1, :1] > 0, x, -x)
        return turned, turned[:, 1, 1] > 0

    streams = Streams.of(seed=6, chains=300)
    moves = path_moves(of, fold=fold, tries=3)
    x, inside = fold(of.space.normal(streams, "x") * SPREAD**0.5)
    x = x[inside]
    counted = Counted.of(target)
    after, info = moves.step(
        moves.init(counted, x, streams.take(inside)), streams.take(inside).at(1)
    )
    assert bool(fold(after.x)[1].all())
    assert torch.equal(fold(after.x)[0], after.x)
    assert float(info.details["accepted"].mean()) > 0.4
    assert counted.calls.energies < 0.7 * 3 * len(x)


def test_no_weight_no_start(tmp_path: Path) -> None:
    of = generator(steps=4)
    nowhere = Density(lambda x: torch.full((len(x),), -torch.inf), of.space)
    with pytest.raises(StartError, match="no draw of the trained score"):
        resampled(draws(of, nowhere, tmp_path), 4, seed=1)
