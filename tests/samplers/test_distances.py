"""Distances: against scipy's transport and distances, numpy's histogram, and analytic values."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize, stats
from scipy.spatial.distance import pdist
from torch import Tensor

from samplers.distances import distance_tv, pair_distances, wasserstein


def transport(x: np.ndarray, y: np.ndarray, a: np.ndarray, b: np.ndarray, order: float) -> float:
    """Wasserstein distance as a linear programme over all couplings."""
    cost = np.abs(x[:, None] - y) ** order
    n, m = cost.shape
    rows = np.kron(np.eye(n), np.ones(m))
    columns = np.kron(np.ones(n), np.eye(m))
    found = optimize.linprog(
        cost.ravel(), A_eq=np.vstack([rows, columns]), b_eq=np.r_[a / a.sum(), b / b.sum()]
    )
    return float(found.fun) ** (1 / order)


@pytest.mark.parametrize("order", [1.0, 2.0, 3.5])
def test_optimal_transport(order: float, rng: np.random.Generator) -> None:
    x, y = rng.normal(size=9), rng.normal(1, 2, size=7)
    a, b = rng.random(9), rng.random(7)
    a[2] = 0.0
    found = wasserstein(
        *map(torch.tensor, (x, y)),
        order=order,
        x_weights=torch.tensor(a),
        y_weights=torch.tensor(b),
    )
    assert float(found) == pytest.approx(transport(x, y, a, b, order), rel=1e-8)


def test_first_order_is_scipys(rng: np.random.Generator) -> None:
    x, y, a, b = rng.normal(size=500), rng.gamma(2, size=300), rng.random(500), rng.random(300)
    found = wasserstein(
        *map(torch.tensor, (x, y)), order=1, x_weights=torch.tensor(a), y_weights=torch.tensor(b)
    )
    assert float(found) == pytest.approx(stats.wasserstein_distance(x, y, a, b), rel=1e-10)


numbers = st.lists(st.floats(-1e3, 1e3).map(float), min_size=1, max_size=12)


@settings(max_examples=60, deadline=None)
@given(numbers, numbers, st.floats(-100, 100))
def test_laws(x: list[float], y: list[float], shift: float) -> None:
    a, b = torch.tensor(x), torch.tensor(y)
    d = wasserstein(a, b)
    scale = 1e-9 * (1 + float(d))
    assert float(wasserstein(b, a)) == pytest.approx(float(d), abs=scale)
    assert float(wasserstein(a, a + shift)) == pytest.approx(abs(shift), abs=1e-9)
    assert float(wasserstein(a, b, order=1)) <= float(d) + scale
    # copies are weights
    twice = wasserstein(a.repeat(2), torch.cat([b, b[:1]]))
    weights = torch.ones_like(b)
    weights[0] = 2
    # at levels that rounding cannot tell apart a quantile may be off by one step of 1e-16
    assert float(wasserstein(a, b, y_weights=weights)) == pytest.approx(float(twice), abs=1e-4)


def test_gaussians() -> None:
    # W₂² = (μ − μ')² + (σ − σ')²
    levels = (torch.arange(20_000) + 0.5) / 20_000
    z = torch.special.ndtri(levels)
    assert float(wasserstein(z, 3 + 2 * z)) == pytest.approx(10**0.5, rel=1e-3)


def test_refusals() -> None:
    x = torch.tensor([0.0, 1.0])
    with pytest.raises(ValueError, match=r"order 0\.5"):
        wasserstein(x, x, order=0.5)
    with pytest.raises(ValueError, match="y has 2 values, 1 not finite"):
        wasserstein(x, torch.tensor([0.0, torch.inf]))
    with pytest.raises(ValueError, match=r"weights of x range from -1\.0"):
        wasserstein(x, x, x_weights=torch.tensor([-1.0, 2.0]))


def test_pair_distances(rng: np.random.Generator) -> None:
    x = rng.normal(size=(5, 6, 3))
    expected = np.stack([pdist(one) for one in x])
    np.testing.assert_allclose(pair_distances(torch.tensor(x)).numpy(), expected, rtol=1e-12)


def clouds(seed: int, n: int, scale: float = 1.0) -> Tensor:
    return scale * torch.randn(n, 5, 2, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("outside", [True, False])
def test_histograms_are_numpys(outside: bool) -> None:
    x, reference = clouds(0, 400, 1.3), clouds(1, 300)
    w = torch.rand(400, generator=torch.Generator().manual_seed(2))
    expected, edges = np.histogram(pair_distances(reference).numpy(), bins=200)
    d = pair_distances(x).numpy()
    found, _ = np.histogram(d, bins=edges, weights=np.repeat(w.numpy(), 10).reshape(d.shape))
    total = 10 * float(w.sum()) if outside else found.sum()
    tv = np.abs(found / total - expected / expected.sum()).sum() + (total - found.sum()) / total
    assert float(distance_tv(x, reference, weights=w, outside=outside)) == pytest.approx(tv / 2)


def test_total_variation_laws() -> None:
    x = clouds(0, 200)
    assert distance_tv(x, x) == 0
    assert float(distance_tv(x.repeat(3, 1, 1), x)) < 1e-12
    assert float(distance_tv(x + 5, x.flip(1))) < 1e-2  # rounding may carry a distance over an edge
    assert distance_tv(1e3 * x, x) > 0.999
    assert distance_tv(1e3 * x + 1e9 * torch.arange(5.0)[:, None], x, outside=False) == 0.5
    # a reference of half the weight on other clouds: half the histogram differs at most
    both = torch.cat([x, 1e-3 * x])
    weights = torch.cat([torch.ones(200), torch.zeros(200)])
    assert float(distance_tv(x, both, reference_weights=weights)) < 1e-12
