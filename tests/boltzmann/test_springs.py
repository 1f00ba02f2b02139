"""Springs: K solves what it should, commutes with what it should, has no bias and little variance."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from genmol.boltzmann.psm import Mixing, squared_error, stiffness_of
from genmol.boltzmann.score_batch import Particles, ScoreBatch, ScoreFrame
from genmol.boltzmann.score_model import ScoreModel, ScoreModelConfig
from genmol.boltzmann.springs import Springs, measured_springs
from genmol.core.errors import InputError

LOW, HIGH = 0.01, 3.0
K, LENGTH = 400.0, 1.5  # of a bond


def bonds(count: int, seed: int = 0) -> list[ScoreFrame]:
    """Two bonded atoms, exact draws: r² exp(−K (r − LENGTH)²/2) by its weight, any direction."""
    generator = torch.Generator().manual_seed(seed)
    r = LENGTH + torch.randn(count, generator=generator, dtype=torch.float64) / math.sqrt(K)
    v = torch.nn.functional.normalize(
        torch.randn(count, 3, generator=generator, dtype=torch.float64), dim=1
    )
    system = Particles(torch.tensor([1, 1]))
    frames = []
    for one, way in zip(r.tolist(), v, strict=True):
        x = torch.stack([way, -way]) * one / 2
        push = torch.stack([-way, way]) * K * (one - LENGTH)
        frames.append(ScoreFrame(system, x, push, one**2))
    return frames


def noised(batch: ScoreBatch, sigma: float, seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """Positions, noise and levels."""
    generator = torch.Generator().manual_seed(seed)
    noise = batch.centred(torch.randn(batch.x.shape, generator=generator, dtype=torch.float64))
    levels = torch.full((batch.frames,), sigma, dtype=torch.float64)
    return batch.x + sigma * noise, noise, levels


@pytest.fixture(scope="module")
def frames() -> list[ScoreFrame]:
    return bonds(200)


@pytest.fixture(scope="module")
def measured(frames: list[ScoreFrame]) -> Springs:
    springs = Springs(low=LOW, high=HIGH, stiffness=K / 6)
    return measured_springs(frames, springs, low=LOW, high=HIGH, seed=0)


def random_springs(attributes: int = 0) -> Springs:
    springs = Springs(low=LOW, high=HIGH, stiffness=20.0, attributes=attributes)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for part in springs.parameters():
            part += 0.5 * torch.randn(part.shape, generator=generator, dtype=torch.float64)
    return springs.requires_grad_(False)


def molecules() -> ScoreBatch:
    """Frames of three and of five atoms, with attributes of pairs that do not know the order."""
    generator = torch.Generator().manual_seed(2)
    found = []
    for n in (3, 5, 3):
        system = Particles(torch.ones(n, dtype=torch.int64))
        i, j = system.pairs
        system = replace(system, attributes=((i + j) % 2)[:, None].double())
        x, f = torch.randn(2, n, 3, generator=generator, dtype=torch.float64)
        found.append(ScoreFrame(system, x, f))
    return ScoreBatch.collate(found, dtype=torch.float64)


def test_it_solves_with_the_curvature_of_springs() -> None:
    springs, batch = random_springs(1), molecules()
    x, difference, sigma = noised(batch, 0.3, 3)
    found = springs(batch, x, sigma, difference)
    h, own = springs.curvature(batch, x, sigma)
    assert torch.allclose(h, h.mT, atol=1e-12)
    assert float(torch.linalg.eigvalsh(h).min()) > 0
    start = 0
    for k, n in enumerate((3, 5, 3)):
        rows = slice(start, start + n)
        assert own[rows].tolist() == list(range(n))
        matrix = torch.eye(3 * n, dtype=torch.float64) + 0.09 * h[k, : 3 * n, : 3 * n]
        back = (matrix @ found[rows].flatten()).reshape(n, 3)
        assert torch.allclose(back, difference[rows], atol=1e-12)
        start += n
    # a motion of the whole, and a rotation about it, meet nothing but b_0
    still = h - torch.diag_embed(
        torch.exp(springs.level + springs.times(sigma) @ springs.base)[:, None].expand(-1, 15)
    )
    turn = torch.linalg.cross(
        x[:3], torch.tensor([[1.0, 2.0, 3.0]]).double().expand(3, 3)
    ).flatten()
    assert float((still[0, :9, :9] @ turn).abs().max()) < 1e-10
    shift = torch.tensor([1.0, 2.0, 3.0]).double().repeat(3)
    assert float((still[0, :9, :9] @ shift).abs().max()) < 1e-10


def test_a_turned_frame_has_a_turned_answer() -> None:
    springs, batch = random_springs(1), molecules()
    x, difference, sigma = noised(batch, 0.2, 4)
    q, _ = torch.linalg.qr(torch.randn(3, 3, generator=torch.Generator().manual_seed(5)).double())
    found = springs(batch, x, sigma, difference)
    assert torch.allclose(springs(batch, x @ q, sigma, difference @ q), found @ q, atol=1e-12)


def test_the_bond_is_found_and_its_target_has_little_variance(measured: Springs) -> None:
    """The curvature along a bond is K for each atom against the other: v has length √2."""
    batch = ScoreBatch.collate(bonds(200, seed=1), dtype=torch.float64)
    for sigma in (0.03, 0.06):
        x, noise, levels = noised(batch, sigma, 6)
        h, _ = measured.curvature(batch, x, levels)
        way = torch.nn.functional.normalize(x[::2] - x[1::2], dim=1)
        v = torch.cat([way, -way], dim=1) / math.sqrt(2)
        along = torch.einsum("fi,fij,fj->f", v, h, v)
        assert float((along / (2 * K)).log().abs().median()) < 0.3
        denoising = -noise / sigma
        one = denoising + measured(batch, x, levels, batch.forces - denoising)
        smooth = Mixing("smooth", stiffness_of(batch)).target(
            noise, batch.forces, levels[batch.graph_index], batch.numbers
        )
        assert one.square().mean() < 0.8 * smooth.square().mean()


def test_no_bias(measured: Springs) -> None:
    """All mixtures have one mean given x_t: they differ by nothing that x_t could tell."""
    batch = ScoreBatch.collate(bonds(8_000, seed=2), dtype=torch.float64)
    sigma = 0.08
    x, noise, levels = noised(batch, sigma, 7)
    denoising = -noise / sigma
    moved = measured(batch, x, levels, batch.forces - denoising)
    r = (x[::2] - x[1::2]).norm(dim=1)
    way = (x[::2] - x[1::2]) / r[:, None]
    along = ((moved[::2] - moved[1::2]) * way).sum(dim=1)
    for probe in (torch.ones_like(r), r - LENGTH, (r - LENGTH).square(), torch.sin(9 * r)):
        each = batch.weight * probe * along
        assert abs(float(each.mean())) < 4 * float(each.std()) / len(r) ** 0.5


def test_measuring_is_the_same_again(frames: list[ScoreFrame], measured: Springs) -> None:
    again = measured_springs(
        frames, Springs(low=LOW, high=HIGH, stiffness=K / 6), low=LOW, high=HIGH, seed=0
    )
    for one, other in zip(measured.parameters(), again.parameters(), strict=True):
        assert torch.equal(one, other)
        assert not one.requires_grad


def test_it_is_a_rule_of_the_loss(frames: list[ScoreFrame], measured: Springs) -> None:
    batch = ScoreBatch.collate(frames[:8], dtype=torch.float64)
    model = ScoreModel(
        ScoreModelConfig(stiffness={1: K / 6}, spread=0.4, low=LOW, high=HIGH, channels=4, layers=1)
    ).double()
    error = squared_error(
        model, batch, Mixing("springs", stiffness_of(batch), springs=measured),
        torch.full((8,), 0.1, dtype=torch.float64), torch.Generator().manual_seed(0),
    )  # fmt: skip
    assert error.shape == (8,)
    assert bool((error > 0).all())
    with pytest.raises(InputError, match="without springs"):
        Mixing("springs", {1: 1.0})
    with pytest.raises(InputError, match="with springs"):
        Mixing("smooth", {1: 1.0}, springs=measured)
