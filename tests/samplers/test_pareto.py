"""Tails of weights: agreement with arviz-stats, known shapes, and the cases that have none."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from samplers.pareto import fit_tail, smooth
from samplers.reweight import normalise


def pareto(k: float, n: int, seed: int = 0) -> Tensor:
    """Logarithms of 1 + a generalised Pareto variable."""
    u = torch.rand(n, generator=torch.Generator().manual_seed(seed))
    excess = -torch.log1p(-u) if k == 0 else torch.expm1(-k * torch.log1p(-u)) / k
    return torch.log1p(excess)


@pytest.mark.physics
@pytest.mark.parametrize("k", [-0.4, 0.0, 0.3, 0.6, 1.2])
@pytest.mark.parametrize(
    ("n", "relative"), [(25, 1.0), (60, 1.0), (230, 1.0), (3000, 1.0), (3000, 0.3)]
)
def test_agreement_with_arviz(k: float, n: int, relative: float) -> None:
    oracle = pytest.importorskip("arviz_stats.base").array_stats
    lw = pareto(k, n) - 1e3
    expected, shape = oracle.psislw(-lw.numpy(), r_eff=relative)
    found = smooth(lw, relative_efficiency=relative)
    assert found.tail.k == pytest.approx(float(shape), rel=1e-9)
    ours = found.log_weights - found.log_weights.logsumexp(dim=0)
    torch.testing.assert_close(ours, torch.tensor(expected), rtol=0, atol=1e-9)


@pytest.mark.parametrize("k", [-0.3, 0.0, 0.4, 0.8])
def test_known_shapes(k: float) -> None:
    # with M = 3 √n = 1342 exceedances, σ(k) ≈ (1 + k)/√M; the prior draws by 10/M · |k − ½|
    n = 200_000
    found = fit_tail(pareto(k, n))
    size = 3 * math.sqrt(n)
    assert found.size == math.floor(size)
    assert found.k == pytest.approx(k, abs=4 * (1 + abs(k)) / math.sqrt(size) + 0.01)
    assert found.threshold == 0.7
    assert found.reliable == (k < 0.7)
    assert found.ties == 1


def test_threshold() -> None:
    assert fit_tail(pareto(0.2, 100)).threshold == pytest.approx(0.5)
    assert fit_tail(pareto(0.2, 10_000)).threshold == 0.7


def test_gaussian_proposals() -> None:
    # of width s < 1 for a standard normal, w = exp(x² (1/s² − 1)/2) has k → 1 − s²
    x = torch.randn(100_000, generator=torch.Generator().manual_seed(0))
    wide, narrow = (0.5 * (1 / s**2 - 1) * (s * x) ** 2 for s in (0.95, 0.45))
    assert fit_tail(wide).k < 0.4
    assert fit_tail(narrow).k > 0.7
    assert not fit_tail(narrow).reliable


def test_a_constant_does_not_matter() -> None:
    lw = pareto(0.5, 500)
    one, other = smooth(lw), smooth(lw + 512.0)
    assert one.tail.k == pytest.approx(other.tail.k, rel=1e-9)
    torch.testing.assert_close(one.log_weights + 512.0, other.log_weights)


def test_smoothing_says_what_it_did() -> None:
    lw = pareto(0.9, 1000)
    found = smooth(lw)
    assert found.changed == found.tail.size == 94
    changed = (found.log_weights - lw).abs() > 1e-12
    assert 0 < changed.sum() <= 94
    assert lw[changed].min() >= lw.sort().values[-94]  # the largest ones
    assert found.log_weights.max() <= lw.max()
    assert found.shift == pytest.approx(
        float((normalise(lw) - normalise(found.log_weights)).abs().sum()) / 2
    )
    # the order stays
    assert (found.log_weights[lw.argsort()].diff() >= -1e-12).all()


def test_equal_weights_are_perfect() -> None:
    for lw in (
        torch.full((100,), 3.0),
        torch.cat([torch.zeros(50), torch.full((50,), -torch.inf)]),
    ):
        tail = fit_tail(lw)
        assert tail.k == -math.inf
        assert tail.reliable
        assert smooth(lw).changed == 0
        assert torch.equal(smooth(lw).log_weights, lw)


def test_clipped_weights_are_seen() -> None:
    lw = pareto(0.9, 1000)
    mild = fit_tail(lw.clamp_max(float(lw.quantile(0.98))))
    assert mild.ties == 20
    hard = fit_tail(lw.clamp_max(float(lw.quantile(0.8))))
    assert hard.k == math.inf
    assert not hard.reliable
    assert smooth(lw.clamp_max(float(lw.quantile(0.8)))).changed == 0


def test_many_zero_weights() -> None:
    lw = torch.cat([pareto(0.3, 40), torch.full((1000,), -torch.inf)])
    found = smooth(lw)
    assert math.isfinite(found.tail.k)
    assert found.tail.size == 40
    assert (found.log_weights[40:] == -torch.inf).all()
    few = torch.cat([pareto(0.3, 3), torch.full((1000,), -torch.inf)])
    assert fit_tail(few).k == math.inf


def test_refusals() -> None:
    with pytest.raises(ValueError, match="got 24 weights; wanted at least 25"):
        fit_tail(torch.zeros(24))
    with pytest.raises(ValueError, match="nan"):
        fit_tail(torch.full((30,), math.nan))
