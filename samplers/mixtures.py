r"""Mixtures of normal densities: everything about them, and about their diffusions, is known.

Of p = Σ w N(μ, Σ), the density of x_t = α x + σ e with standard normal e is Σ w N(α μ, α² Σ + σ²),
a mixture again. Its score :math:`\nabla \log p_t` is therefore in closed form at every time, which
makes a mixture the test of all that runs on scores (Anderson, 1982, reversed a diffusion with them).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import final

import torch
from jaxtyping import Float
from torch import Tensor

from samplers.known import Toy, Truth
from samplers.rng import Streams
from samplers.spaces import Euclidean
from samplers.target import Evaluation

__all__ = ["GaussianMixture"]


@final
@dataclass(frozen=True, eq=False)
class GaussianMixture(Toy):
    r"""A sum of normal densities, Σ w N(μ, Σ), normalised.

    Noised, x_t = α x + σ e, it is a mixture again: Σ w N(α μ, α² Σ + σ²). So the score of every
    diffusion from it is known.

    Attributes:
        weights: (k,), positive, of sum one.
        means: (k, d).
        covariances: (k, d, d).

    Raises:
        ValueError: weights or covariances are not what they should be.
    """

    weights: Float[Tensor, " k"]
    means: Float[Tensor, "k d"]
    covariances: Float[Tensor, "k d d"]

    def __post_init__(self) -> None:
        if not bool((self.weights > 0).all()) or abs(float(self.weights.sum()) - 1) > 1e-6:
            raise ValueError(
                f"got weights {self.weights.tolist()}; wanted positive ones of sum 1: divide by the sum"
            )
        if int(torch.linalg.cholesky_ex(self.covariances).info.max()) > 0:
            raise ValueError(
                f"got covariances {self.covariances.tolist()}, of which one is not positive definite"
            )

    @classmethod
    def of(
        cls,
        weights: Sequence[float],
        means: Sequence[Sequence[float]],
        deviations: Sequence[float],
    ) -> GaussianMixture:
        """Round components.

        Args:
            weights: k.
            means: k points.
            deviations: k standard deviations.
        """
        mu = torch.tensor(means, dtype=torch.float64)
        variance = torch.tensor(deviations, dtype=torch.float64).square()
        eye = torch.eye(mu.shape[1], dtype=torch.float64)
        return cls(torch.tensor(weights, dtype=torch.float64), mu, variance[:, None, None] * eye)

    @property
    def space(self) -> Euclidean:
        """Vectors of d numbers."""
        return Euclidean(self.means.shape[1])

    @cached_property
    def mean(self) -> Float[Tensor, " d"]:
        """Of the whole."""
        return (self.weights[:, None] * self.means).sum(dim=0)

    @cached_property
    def covariance(self) -> Float[Tensor, "d d"]:
        """Of the whole."""
        offset = self.means - self.mean
        spread = offset[:, :, None] * offset[:, None, :]
        return (self.weights[:, None, None] * (self.covariances + spread)).sum(dim=0)

    @cached_property
    def _factors(self) -> tuple[Tensor, Tensor]:
        """Inverses of the Cholesky factors of Σ, and the logarithms of w / √det 2πΣ."""
        factor = torch.linalg.cholesky(self.covariances)
        eye = torch.eye(factor.shape[-1], dtype=factor.dtype, device=factor.device)
        inverse = torch.linalg.solve_triangular(factor, eye.expand_as(factor), upper=False)
        half = factor.diagonal(dim1=1, dim2=2).log().sum(dim=1)
        dimension = self.means.shape[1]
        return inverse, self.weights.log() - half - 0.5 * dimension * math.log(2 * math.pi)

    def _terms(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Logarithms of the terms of the sum, (n, k), and x − μ in units of Σ^½, (n, k, d)."""
        inverse, log_scale = (part.to(x.dtype) for part in self._factors)
        offset = x[:, None, :] - self.means.to(x.dtype)
        # products and sums, not a matrix product, whose rounding depends on the size of the batch
        whitened = (inverse * offset[:, :, None, :]).sum(dim=-1)
        return log_scale - 0.5 * whitened.square().sum(dim=-1), whitened

    def log_density(self, x: Tensor) -> Tensor:
        """Logarithm of the sum."""
        return self._terms(x)[0].logsumexp(dim=1)

    def evaluate(self, x: Tensor) -> Evaluation:
        """With the score; both are differentiable by torch where x is."""
        terms, whitened = self._terms(x)
        inverse = self._factors[0].to(x.dtype)
        pull = (inverse.mT * whitened[:, :, None, :]).sum(dim=-1)
        gradient = -(terms.softmax(dim=1)[:, :, None] * pull).sum(dim=1)
        return Evaluation(terms.logsumexp(dim=1), gradient)

    def noised(self, alpha: float | Tensor, sigma: float | Tensor) -> GaussianMixture:
        """The density of α x + σ e, where e is standard normal."""
        a, s = (torch.as_tensor(number, dtype=self.means.dtype) for number in (alpha, sigma))
        eye = torch.eye(self.means.shape[1], dtype=self.means.dtype, device=self.means.device)
        return GaussianMixture(self.weights, a * self.means, a**2 * self.covariances + s**2 * eye)

    def draw(self, streams: Streams) -> Float[Tensor, "n d"]:
        """An exact sample for each chain."""
        chosen = streams.choice("component", self.weights.tolist())
        e = streams.normal("within", self.means.shape[1], dtype=self.means.dtype)
        factor = torch.linalg.cholesky(self.covariances)[chosen]
        return self.means[chosen] + (factor * e[:, None, :]).sum(dim=-1)

    @property
    def truths(self) -> Mapping[str, Truth]:
        """Exact; the mean share of a component is its weight."""
        square = float(self.covariance.trace() + self.mean.square().sum())
        shares = {f"share {k}": w for k, w in enumerate(self.weights.tolist())}
        numbers = {"log_z": 0.0, "square": square, **shares}
        return {name: Truth(value, 0.0, "exact") for name, value in numbers.items()}

    def observables(self, x: Tensor) -> Mapping[str, Tensor]:
        """|x|², and the share of each component in the density at x."""
        shares = self._terms(x)[0].softmax(dim=1).unbind(dim=1)
        named = {f"share {k}": share for k, share in enumerate(shares)}
        return {"square": x.square().sum(dim=1), **named}

    def start(self, streams: Streams) -> Tensor:
        """Normal, as wide as the mixture in its widest direction."""
        width = torch.linalg.eigvalsh(self.covariance)[-1].sqrt()
        e = streams.normal("start", self.means.shape[1], dtype=self.means.dtype)
        return self.mean + width * e
