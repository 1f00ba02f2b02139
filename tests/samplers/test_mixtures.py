"""Mixtures of normal laws: against scipy, exact draws, noised scores, what cannot be."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import stats

from samplers.mixtures import GaussianMixture
from samplers.rng import Streams

LAW = GaussianMixture(
    torch.tensor([0.2, 0.5, 0.3]),
    torch.tensor([[2.0, 0.0, 1.0], [-1.0, 1.0, 0.0], [0.0, -3.0, 0.5]]),
    torch.tensor(np.stack([np.diag([0.5, 1, 2]), np.eye(3) + 0.6, np.diag([0.1, 0.2, 0.3])])),
)


def test_density_is_that_of_scipy() -> None:
    x = 3 * Streams.of(seed=0, chains=20).normal("x", 3)
    parts = zip(LAW.weights, LAW.means, LAW.covariances, strict=True)
    expected = sum(
        float(w) * stats.multivariate_normal(m.numpy(), c.numpy()).pdf(x.numpy())
        for w, m, c in parts
    )
    torch.testing.assert_close(LAW.log_density(x), torch.from_numpy(np.log(expected)))


def test_draws_follow_it() -> None:
    n = 20_000
    x = LAW.draw(Streams.of(seed=1, chains=n))
    # four and a half standard errors of a mean
    error = 4.5 * (LAW.covariance.diag() / n).sqrt()
    assert bool(((x.mean(dim=0) - LAW.mean).abs() < error).all())
    centred = x - LAW.mean
    products = centred[:, :, None] * centred[:, None, :]
    error = 4.5 * products.std(dim=0) / math.sqrt(n)
    assert bool(((products.mean(dim=0) - LAW.covariance).abs() < error).all())
    for name, values in LAW.observables(x).items():
        bound = 4.5 * float(values.std()) / math.sqrt(n)
        assert abs(float(values.mean()) - LAW.truths[name].value) < bound
    # along one axis, against the exact distribution function
    spread = LAW.covariances[:, 0, 0].sqrt()
    cdf = lambda a: sum(  # noqa: E731
        float(w) * stats.norm.cdf(a, float(m), float(s))
        for w, m, s in zip(LAW.weights, LAW.means[:, 0], spread, strict=True)
    )
    assert stats.kstest(x[:, 0].numpy(), cdf).pvalue > 1e-4


@pytest.mark.parametrize(("alpha", "sigma"), [(1.0, 0.5), (0.3, 0.9), (0.0, 1.0)])
def test_noised(alpha: float, sigma: float) -> None:
    """The density of α x + σ e is the mean over x of N(·; α x, σ²): against draws and by its moments."""
    noised, n = LAW.noised(alpha, sigma), 20_000
    torch.testing.assert_close(noised.mean, alpha * LAW.mean)
    torch.testing.assert_close(
        noised.covariance, alpha**2 * LAW.covariance + sigma**2 * torch.eye(3)
    )
    x, at = LAW.draw(Streams.of(seed=2, chains=n)), torch.tensor([[0.2, -0.4, 0.6]])
    kernel = (-0.5 * ((at - alpha * x) / sigma).square().sum(dim=1)).exp()
    kernel = kernel / (sigma * math.sqrt(2 * math.pi)) ** 3
    error = 4.5 * float(kernel.std()) / math.sqrt(n) + 1e-12
    assert float(kernel.mean()) == pytest.approx(float(noised.log_density(at).exp()), abs=error)
    # Tweedie: E[α x | x_t] = x_t + σ² score
    score = noised.evaluate(at).gradient
    posterior = (kernel[:, None] * alpha * x).mean(dim=0) / kernel.mean()
    scatter = (kernel[:, None] * (alpha * x - posterior)).std(dim=0) / kernel.mean()
    difference = (at + sigma**2 * score - posterior).abs()[0]
    assert bool((difference < 4.5 * scatter / math.sqrt(n) + 1e-12).all())


def test_of_round_components() -> None:
    law = GaussianMixture.of([0.25, 0.75], [[0.0], [4.0]], [2.0, 1.0])
    assert float(law.mean) == 3.0
    assert float(law.covariance) == pytest.approx(0.25 * 4 + 0.75 * 1 + 0.25 * 9 + 0.75 * 1)


def test_what_cannot_be() -> None:
    with pytest.raises(ValueError, match="divide by the sum"):
        GaussianMixture.of([1.0, 1.0], [[0.0], [1.0]], [1.0, 1.0])
    with pytest.raises(ValueError, match="not positive definite"):
        GaussianMixture(torch.ones(1), torch.zeros(1, 2), torch.tensor([[[1.0, 2.0], [2.0, 1.0]]]))
