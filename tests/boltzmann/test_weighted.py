"""Weighted draws: unbiased whatever the score is, the same after a kill, useless weights seen as such."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from scorecases import SPREAD, generator, harmonic
from torch import Tensor

from genmol.boltzmann.density_job import sample_density
from genmol.boltzmann.rounds import POPULATIONS
from genmol.boltzmann.weighted import Weighted, weighted_draws
from genmol.core.errors import InputError
from samplers.run import Budget, ResumeError
from samplers.target import Counted, Density


def drawn(
    folder: Path, *, variance: float = 1.3 * SPREAD, wanted: float = 900.0, identity: str = "a", **options
) -> tuple[Weighted, str]:  # fmt: skip
    of = generator(steps=20)
    target, _ = harmonic(of, variance)
    return weighted_draws(
        of, Counted.of(target), seed=3, effective=lambda found: found.share * len(found.x),
        wanted=wanted, budget=Budget(**options), folder=folder, identity=identity,
    )  # fmt: skip


def test_means_are_those_of_the_target(tmp_path: Path) -> None:
    found, stopped = drawn(tmp_path)
    assert stopped == "effective"
    assert found.energies == len(found.x)
    square = found.x.square().sum(dim=(1, 2)) / generator(steps=1).space.dimension
    w = found.log_weights.softmax(dim=0)
    mean = float((w * square).sum())
    error = float((w.square() * (square - mean).square()).sum().sqrt())
    assert abs(mean - 1.3 * SPREAD) < 4.5 * error
    assert abs(float(square.mean()) - 1.3 * SPREAD) > 4.5 * error  # what weights are for
    assert torch.equal(found.run, found.run.sort().values)
    assert len(found.run.unique()) == POPULATIONS


def test_a_killed_run_goes_on_to_the_same_draws(tmp_path: Path) -> None:
    (tmp_path / "whole").mkdir()
    whole, _ = drawn(tmp_path / "whole")
    (tmp_path / "parts").mkdir()
    first, stopped = drawn(tmp_path / "parts", calls=1)
    assert stopped == "calls"
    assert len(first.x) < len(whole.x)
    again, _ = drawn(tmp_path / "parts")
    for name in ("x", "log_weights", "run"):
        assert torch.equal(getattr(again, name), getattr(whole, name))
    with pytest.raises(ResumeError, match="other work"):
        drawn(tmp_path / "parts", identity="b")


def test_what_is_outside_costs_nothing(tmp_path: Path) -> None:
    of = generator(steps=20)
    target, _ = harmonic(of, SPREAD)

    def fold(x: Tensor) -> tuple[Tensor, Tensor]:
        return -x, x[:, 0, 0] > 0

    found, _ = weighted_draws(
        of, Counted.of(target), seed=3, effective=lambda found: float(found.alive.sum()), wanted=1.0,
        budget=Budget(), folder=tmp_path, identity="a", fold=fold,
    )  # fmt: skip
    assert found.energies == int(found.alive.sum()) < len(found.x)
    assert bool((found.x[found.alive][:, 0, 0] < 0).all())


def test_useless_weights_end_it_unless_they_are_wanted(tmp_path: Path) -> None:
    of = generator(steps=20)
    target, _ = harmonic(of, 0.01 * SPREAD)
    ends = {}
    for name, hopeless in (("given up", 0.02), ("kept on", None)):
        (tmp_path / name).mkdir()
        found, stopped = weighted_draws(
            of, Counted.of(target), seed=3, effective=lambda _: 0.0, wanted=1.0, budget=Budget(),
            folder=tmp_path / name, identity="a", most=2000, hopeless=hopeless,
        )  # fmt: skip
        ends[stopped] = len(found.x)
    assert ends == {"weights": 1024, "draws": 2048}


def test_density_by_weights_and_by_chains() -> None:
    of = generator(steps=20)
    near, _ = harmonic(of, 1.1 * SPREAD)
    starts = 0.1 * torch.randn(4, 4, 2, generator=torch.Generator().manual_seed(1)).double()
    starts = starts - starts.mean(dim=1, keepdim=True)
    options = {"starts": starts, "n": 300, "checking": 400_000, "method": "psm"}
    found = sample_density(near, generator=of, **options)
    assert found.method == "psm: weighted draws of a trained score"
    assert found.certificate.verdict.startswith("Boltzmann")
    assert found.calls.keys() == {"generation"}
    assert found.calls["generation"].gradients == 0
    assert len(found.delivered) == 300
    # a law that the generator hardly overlaps with: chains take over, and say why
    far = Density(lambda x: -20 * x.square().sum(dim=(1, 2)), of.space)
    chains = sample_density(far, generator=of, **options)
    assert "chains begin at them" in chains.method
    assert chains.calls["production"].gradients > 0
    assert chains.calls["generation"].energies > 0
    assert chains.certificate.verdict.startswith("Boltzmann")
    square = float(chains.x.square().sum(dim=(1, 2)).mean())
    assert square == pytest.approx(of.space.dimension / 40, rel=0.15)
    with pytest.raises(InputError, match="without a generator"):
        sample_density(far, **options)
