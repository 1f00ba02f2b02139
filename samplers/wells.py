r"""Double wells on a line and on a circle, with truths by quadrature.

Integrals over one coordinate are sums at the middles of equal cells. Where a function is smooth and
periodic, or smooth and falls off at both ends, their error falls faster than any power of the number
of cells (Trefethen and Weideman, 2014), so they are exact to rounding; shares of intervals are exact
to the square of a cell, 10⁻⁶.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import final

import torch
from jaxtyping import Float, Int
from torch import Tensor

from samplers.known import Toy, Truth
from samplers.rng import Streams
from samplers.spaces import Euclidean, Torus
from samplers.target import Evaluation

__all__ = ["DoubleWell", "TwoBasins"]

_CELLS = 4096


def _cells(
    log_density: Callable[[Tensor], Tensor], low: float, high: float, count: int = _CELLS
) -> tuple[Float[Tensor, " count"], Float[Tensor, " count"]]:
    """Middles of equal cells, and the logarithms of what the density integrates to in each."""
    width = (high - low) / count
    middles = low + width * (torch.arange(count, dtype=torch.float64) + 0.5)
    return middles, log_density(middles) + math.log(width)


@final
@dataclass(frozen=True)
class DoubleWell(Toy):
    r"""Independent double wells and harmonic coordinates beside them.

    .. math:: U(x) = \sum_{i < w} (a x_i^4 - b x_i^2 - c x_i) + \frac12 \sum_{i \ge w} x_i^2

    The barrier is about b²/4a and the wells at ±√(b/2a). With w = d/2, a = 1, b = 6, c = ½ it is the
    many-well problem of Midgley et al. (2023), up to the order of the coordinates.

    Attributes:
        dimension: d.
        wells: w.
        quartic: a.
        quadratic: b.
        linear: c.
    """

    dimension: int = 1
    wells: int = 1
    quartic: float = 1.0
    quadratic: float = 4.0
    linear: float = 0.5

    def __post_init__(self) -> None:
        if not (1 <= self.wells <= self.dimension and self.quartic > 0):
            raise ValueError(
                f"got {self.wells} wells in {self.dimension} dimensions and quartic={self.quartic}; "
                "wanted from one to all dimensions and a positive number"
            )

    @property
    def space(self) -> Euclidean:
        """Vectors of d numbers."""
        return Euclidean(self.dimension)

    def _well(self, x: Tensor) -> Tensor:
        """Energy of one coordinate."""
        return self.quartic * x**4 - self.quadratic * x**2 - self.linear * x

    def log_density(self, x: Tensor) -> Tensor:
        """−U."""
        wells, others = x[:, : self.wells], x[:, self.wells :]
        return -self._well(wells).sum(dim=1) - 0.5 * others.square().sum(dim=1)

    def evaluate(self, x: Tensor) -> Evaluation:
        """With the gradient."""
        wells, others = x[:, : self.wells], x[:, self.wells :]
        pull = self.linear + 2 * self.quadratic * wells - 4 * self.quartic * wells**3
        return Evaluation(self.log_density(x), torch.cat([pull, -others], dim=1))

    @cached_property
    def _table(self) -> tuple[Tensor, Tensor]:
        """Points of a well coordinate and the logarithms of their unnormalised probabilities."""
        a, b = self.quartic, abs(self.quadratic) + abs(self.linear)
        reach = 1 + math.sqrt((b + math.sqrt(b * b + 240 * a)) / (2 * a))  # a x⁴ − b x² = 60
        return _cells(lambda x: -self._well(x), -reach, reach)

    @property
    def log_z(self) -> float:
        """Logarithm of ∫ exp(−U), by quadrature."""
        harmonic = 0.5 * (self.dimension - self.wells) * math.log(2 * math.pi)
        return self.wells * float(self._table[1].logsumexp(dim=0)) + harmonic

    def expect(self, function: Callable[[Tensor], Tensor]) -> float:
        """Mean of a function of one well coordinate, by quadrature."""
        points, logs = self._table
        return float((logs.softmax(dim=0) * function(points)).sum())

    @property
    def truths(self) -> Mapping[str, Truth]:
        """By quadrature."""
        numbers = {
            "log_z": self.log_z,
            "energy": self.wells * self.expect(self._well) + 0.5 * (self.dimension - self.wells),
            "mean": self.expect(lambda x: x),
            "square": self.expect(torch.square),
            "right": self.expect(lambda x: (x > 0).double()),
        }
        return {name: Truth(value, 0.0, "quadrature") for name, value in numbers.items()}

    def observables(self, x: Tensor) -> Mapping[str, Tensor]:
        """Energy; of the well coordinates their mean, square and share on the right, averaged."""
        wells = x[:, : self.wells]
        return {
            "energy": -self.log_density(x),
            "mean": wells.mean(dim=1),
            "square": wells.square().mean(dim=1),
            "right": (wells > 0).to(x.dtype).mean(dim=1),
        }

    def start(self, streams: Streams) -> Tensor:
        """Uniform over both wells and a little beyond."""
        reach = 1.2 * math.sqrt(max(self.quadratic, 1.0) / self.quartic)
        return reach * (2 * streams.uniform("start", self.dimension) - 1)


@final
@dataclass(frozen=True)
class TwoBasins(Toy):
    r"""Angles with two basins each: states to count, of exactly known populations.

    .. math:: U(\varphi) = \sum_i \frac{h}{2} (1 - \cos 2\varphi_i) + \frac{g}{2} (1 - \cos \varphi_i)

    The basins of an angle are about 0 and about π, higher by g, with a barrier of about h + g/2 at
    ±π/2, where they meet.

    Attributes:
        angles: how many.
        barrier: h.
        gap: g.
    """

    angles: int = 1
    barrier: float = 5.0
    gap: float = 1.0

    @property
    def space(self) -> Torus:
        """Angles."""
        return Torus(self.angles)

    def _one(self, angle: Tensor) -> Tensor:
        """Energy of one angle."""
        return self.barrier * angle.sin() ** 2 + self.gap * (angle / 2).sin() ** 2

    def log_density(self, x: Tensor) -> Tensor:
        """−U."""
        return -self._one(x).sum(dim=1)

    def evaluate(self, x: Tensor) -> Evaluation:
        """With the gradient."""
        gradient = -self.barrier * (2 * x).sin() - 0.5 * self.gap * x.sin()
        return Evaluation(self.log_density(x), gradient)

    def basin(self, x: Float[Tensor, "n angles"]) -> Int[Tensor, " n"]:
        """Number of the basin: bit i is set where angle i is nearer to π than to 0."""
        bits = (x.cos() < 0).long()
        return (bits << torch.arange(self.angles, device=x.device)).sum(dim=1)

    def shares(self, bins: int) -> Float[Tensor, " bins"]:
        """Probabilities of ``bins`` equal parts of [−π, π) for one angle, by quadrature."""
        count = bins * math.ceil(_CELLS / bins)
        _, logs = _cells(lambda x: -self._one(x), -math.pi, math.pi, count)
        return logs.softmax(dim=0).reshape(bins, -1).sum(dim=1)

    @cached_property
    def populations(self) -> Float[Tensor, " basins"]:
        """Of the 2ᵃ basins."""
        quarters = self.shares(4)
        one = torch.stack([quarters[1] + quarters[2], quarters[0] + quarters[3]])
        found = one.new_ones(1)
        for _ in range(self.angles):
            found = (one[:, None] * found).flatten()
        return found

    @property
    def log_z(self) -> float:
        """Logarithm of ∫ exp(−U), by quadrature."""
        _, logs = _cells(lambda x: -self._one(x), -math.pi, math.pi)
        return self.angles * float(logs.logsumexp(dim=0))

    @property
    def truths(self) -> Mapping[str, Truth]:
        """By quadrature."""
        named = {f"basin {k}": share for k, share in enumerate(self.populations.tolist())}
        return {
            name: Truth(value, 0.0, "quadrature")
            for name, value in {"log_z": self.log_z, **named}.items()
        }

    def observables(self, x: Tensor) -> Mapping[str, Tensor]:
        """Which basin a point is in, as one indicator for each."""
        basin = self.basin(x)
        return {f"basin {k}": (basin == k).to(x.dtype) for k in range(2**self.angles)}

    def start(self, streams: Streams) -> Tensor:
        """Uniform."""
        return math.pi * (2 * streams.uniform("start", self.angles) - 1)
