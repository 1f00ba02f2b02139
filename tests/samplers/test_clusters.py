"""Clusters: exact numbers for DW4, which of two forms public data obey, symmetry, overlaps."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import fft
from torch import Tensor

from samplers.clusters import DW4, Cluster, LennardJones
from samplers.rng import Streams

DATA = Path(__file__).parents[3] / "shared/data"
CLUSTERS = [DW4(), LennardJones.dem(13), LennardJones.bgflow(13), LennardJones.dem(55)]
each = pytest.mark.parametrize("cluster", CLUSTERS, ids=repr)


def public(name: str, cluster: Cluster) -> Tensor:
    path = DATA / name
    if not path.exists():
        pytest.skip(f"{path} is not here: public samples do not come with the project")
    x = torch.from_numpy(np.load(path)).double()
    return cluster.space.project(x.reshape(-1, *cluster.space.shape))


def virial(cluster: Cluster, x: Tensor) -> Tensor:
    """The virial x · ∇U over the degrees of freedom."""
    gradient = cluster.evaluate(x).gradient
    return -(x * gradient).sum(dim=(1, 2)) / cluster.space.dimension


def quadrature(h: float, beta: float = 1.0, mark: float = 1.0) -> float:
    """Log Z of DW4 at an inverse temperature, with a factor for every short pair.

    Two particles are at ±r/2; A holds what they do to a third one on a plane of cells, which couples
    to a fourth by a convolution with the last pair: Z = ∫ 2πr dr e^{−βu(r)} A · (K ∗ A) / 4, with 4 =
    n^{d/2} between differences of positions and the space of the centred.
    """

    def factor(d: np.ndarray) -> np.ndarray:
        off = (d - 4) ** 2
        return np.exp(-beta * (0.9 * off**2 - 4 * off)) * np.where(d < 4, mark, 1.0)

    m = round(15 / h)
    cells = (np.arange(m) + 0.5) * h - 7.5
    offset = np.arange(-(m - 1), m) * h
    size = fft.next_fast_len(3 * m - 2)
    kernel = fft.rfft2(factor(np.hypot(offset[:, None], offset)), (size, size))
    total = 0.0
    for r in (np.arange(round(7.5 / h)) + 0.5) * h:
        ends = [np.hypot(cells[:, None] + sign * r / 2, cells) for sign in (1, -1)]
        a = factor(ends[0]) * factor(ends[1])
        coupled = fft.irfft2(fft.rfft2(a, (size, size)) * kernel, (size, size))
        coupled = coupled[m - 1 : 2 * m - 1, m - 1 : 2 * m - 1]
        total += 2 * math.pi * r * factor(r) * float((a * coupled).sum()) * h**5
    return math.log(total / 4)


def test_truths_of_dw4() -> None:
    truths, e = DW4().truths, 0.01
    coarse, fine = quadrature(0.3), quadrature(0.2)
    assert fine == pytest.approx(truths["log_z"].value, abs=2e-6)
    assert coarse == pytest.approx(fine, abs=1e-3)  # it converges faster than any power of h
    # five-point derivative by β
    logs = [quadrature(0.2, 1 + k * e) for k in (-2, -1, 1, 2)]
    energy = -(logs[0] - 8 * logs[1] + 8 * logs[2] - logs[3]) / (12 * e)
    assert energy == pytest.approx(truths["energy"].value, abs=1e-4)


@each
def test_symmetries(cluster: Cluster) -> None:
    streams = Streams.of(seed=1, chains=5)
    x = cluster.start(streams)
    d = cluster.space.per_particle
    rotation, _ = torch.linalg.qr(streams.take(slice(0, 1)).normal("rotation", d, d)[0])
    order = torch.randperm(x.shape[1], generator=torch.Generator().manual_seed(1))
    moved = (x @ rotation.T)[:, order] + 3.0
    found, expected = cluster.evaluate(moved), cluster.evaluate(x)
    torch.testing.assert_close(found.log_density, expected.log_density, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(
        found.gradient, (expected.gradient @ rotation.T)[:, order], rtol=1e-8, atol=1e-8
    )


def test_forms_of_lennard_jones() -> None:
    """Two particles at a distance: f (r⁻¹² − 2 r⁻⁶) + r²/4."""
    r = 1.3
    x = torch.tensor([[[0.0, 0.0, 0.0], [0.0, r, 0.0]]])
    well, trap = r**-12 - 2 * r**-6, r**2 / 4
    assert float(LennardJones.bgflow(2).log_density(x)) == pytest.approx(-well - trap)
    assert float(LennardJones.dem(2).log_density(x)) == pytest.approx(-2 * well - trap)


def test_pairs_of_dw4() -> None:
    """Every pair once; the minima are at 4 ± √(4/1.8)."""
    x = DW4().start(Streams.of(seed=2, chains=6))
    expected = torch.zeros(6)
    for i in range(4):
        for j in range(i):
            d = (x[:, i] - x[:, j]).norm(dim=1) - 4
            expected -= 0.9 * d**4 - 4 * d**2
    torch.testing.assert_close(DW4().log_density(x), expected)
    square = torch.tensor([4 - math.sqrt(4 / 1.8), 4.0, 4 + math.sqrt(4 / 1.8)]) ** 2
    energy, slope = DW4().pair(square)
    torch.testing.assert_close(slope, torch.zeros(3), rtol=0, atol=1e-12)
    torch.testing.assert_close(energy, torch.tensor([-40 / 9, 0.0, -40 / 9]))


@pytest.mark.parametrize("cluster", CLUSTERS[1:], ids=repr)
@pytest.mark.parametrize("apart", [0.0, 1e-30, 1e-12])
def test_overlaps_have_no_density_and_no_force(cluster: Cluster, apart: float) -> None:
    x = cluster.start(Streams.of(seed=1, chains=3)).float()
    x[1, 4] = x[1, 7]
    x[1, 4, 0] += apart
    found = cluster.evaluate(x)
    assert found.log_density.isfinite().tolist() == [True, False, True]
    assert float(found.log_density[1]) == -math.inf
    assert float(found.gradient[1].abs().max()) == 0
    assert bool(found.gradient.isfinite().all())


@each
def test_nonsense_has_no_density(cluster: Cluster) -> None:
    x = cluster.start(Streams.of(seed=1, chains=4))
    x[1, 0, 0], x[2, 1, 1], x[3, 0, 0] = math.nan, math.inf, 1e200
    found = cluster.evaluate(x)
    assert found.log_density[1:].tolist() == [-math.inf] * 3
    assert float(found.gradient[1:].abs().max()) == 0


def test_coincident_particles_of_dw4() -> None:
    """The energy is finite, with a cusp that pulls nowhere."""
    found = DW4().evaluate(torch.zeros(1, 4, 2))
    assert float(found.log_density) == pytest.approx(-6 * (0.9 * 256 - 64))
    assert float(found.gradient.abs().max()) == 0


def test_public_lj13_obeys_the_form_that_counts_twice() -> None:
    x = public("lj13/val.npy", LennardJones.dem(13))
    # the virial's standard deviation is 1.66 (twice) and 0.84 (once); rows taken as independent
    twice, once = (virial(form(13), x) for form in (LennardJones.dem, LennardJones.bgflow))
    assert float(twice.mean()) == pytest.approx(
        1.0, abs=4.5 * float(twice.std()) / math.sqrt(len(x))
    )
    assert float(once.mean()) < 1 - 10 * float(once.std()) / math.sqrt(len(x))
    energy = -LennardJones.dem(13).log_density(x)
    truth = LennardJones.dem(13).truths["energy"]
    error = math.hypot(truth.error, float(energy.std()) / math.sqrt(len(x)))
    assert float(energy.mean()) == pytest.approx(truth.value, abs=4.5 * error)


def test_public_dw4_is_biased() -> None:
    """Share of states with two short pairs: 0.445 in 100 000 draws, where 0.518 is right."""
    x = public("dw4/train.npy", DW4())
    share = DW4().observables(x)["two short"]
    error = math.sqrt(0.25 / len(x))
    assert float(share.mean()) == pytest.approx(0.446, abs=0.004)
    assert float(share.mean()) < DW4().truths["two short"].value - 20 * error


def test_annealed_draws_of_dw4() -> None:
    """An independent check of the density and of all its truths: annealed importance sampling.

    From a normal law, by Metropolis steps at rising β (Neal, 2001); mean weights are unbiased.
    """
    n, width, space, levels = 4000, 2.4, DW4().space, 60
    streams = Streams.of(seed=1, chains=n)

    def logs(x: Tensor) -> Tensor:
        return torch.stack([space.log_normal(x, width), DW4().log_density(x)])

    x = width * space.normal(streams, "start")
    now, log_weights, before = logs(x), torch.zeros(n), 0.0
    for k in range(2 * levels):
        here = streams.at(k)
        beta = ((k // 2 + 1) / levels) ** 3
        log_weights += (beta - before) * (now[1] - now[0])
        before, path = beta, torch.tensor([1 - beta, beta])
        step = 0.25 / math.sqrt(0.15 + beta)
        other = x + step * space.normal(here, "move")
        then = logs(other)
        accepted = here.uniform("accept").log() < path @ (then - now)
        x = torch.where(accepted[:, None, None], other, x)
        now = torch.where(accepted, then, now)
    w = (log_weights - DW4().truths["log_z"].value).exp()
    assert float(w.sum() ** 2 / w.square().sum()) > 0.05 * n

    assert abs(float(w.mean()) - 1) < 4.5 * float(w.std()) / math.sqrt(n)
    for name, values in DW4().observables(x).items():
        truth = DW4().truths[name].value
        # a ratio of two unbiased means, whose errors mostly cancel
        error = float((w * (values - truth)).std()) / math.sqrt(n)
        assert abs(float((w * values).sum() / w.sum()) - truth) < 4.5 * error
