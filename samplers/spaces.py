"""Where points live: what noise, distance and degrees of freedom are there.

A space is linear (:class:`Euclidean`, :class:`MeanFree`, :class:`SymmetricMatrices`) or wraps around
(:class:`Torus`). In a linear subspace a vector is kept in the coordinates of the full space, and
:meth:`Space.project` takes it into the subspace: noise, gradients and momenta that are projected
never leave it, and densities are understood per volume of the subspace.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from samplers.rng import Streams

__all__ = ["Euclidean", "MeanFree", "Space", "SymmetricMatrices", "Torus"]


class Space(ABC):
    """A space of points of one shape."""

    @property
    @abstractmethod
    def shape(self) -> tuple[int, ...]:
        """Of a point."""

    @property
    @abstractmethod
    def dimension(self) -> int:
        """Degrees of freedom."""

    def project(self, vectors: Float[Tensor, "n *shape"]) -> Float[Tensor, "n *shape"]:
        """The nearest vectors of the space; all of them are where there is no constraint."""
        return vectors

    def wrap(self, points: Float[Tensor, "n *shape"]) -> Float[Tensor, "n *shape"]:
        """The standard name of a point that a move may have left with another one."""
        return points

    def displacement(
        self, start: Float[Tensor, "n *shape"], end: Float[Tensor, "n *shape"]
    ) -> Float[Tensor, "n *shape"]:
        """Shortest vector from ``start`` to ``end``."""
        return end - start

    def distance(
        self, start: Float[Tensor, "n *shape"], end: Float[Tensor, "n *shape"]
    ) -> Float[Tensor, " n"]:
        """Length of :meth:`displacement`."""
        return self.displacement(start, end).flatten(1).norm(dim=1)

    def normal(
        self, streams: Streams, name: str, *, dtype: torch.dtype = torch.float64
    ) -> Float[Tensor, "n *shape"]:
        """Standard normal vectors of the space."""
        return self.project(streams.normal(name, *self.shape, dtype=dtype))

    def log_normal(
        self, vectors: Float[Tensor, "n *shape"], scale: float | Tensor = 1.0
    ) -> Float[Tensor, " n"]:
        """Log-density of normal vectors with standard deviation ``scale``, a number or (n,)."""
        sigma = torch.as_tensor(scale, dtype=vectors.dtype, device=vectors.device)
        square = vectors.flatten(1).square().sum(dim=1) / sigma**2
        return -0.5 * square - self.dimension * (sigma.log() + 0.5 * math.log(2 * math.pi))


@dataclass(frozen=True)
class Euclidean(Space):
    """All arrays of one shape.

    Attributes:
        size: the shape; a number n stands for (n,).
    """

    size: int | tuple[int, ...]

    @property
    def shape(self) -> tuple[int, ...]:
        """Of a point."""
        return (self.size,) if isinstance(self.size, int) else self.size

    @property
    def dimension(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)


@dataclass(frozen=True)
class MeanFree(Space):
    """Configurations of particles with their centre at the origin.

    Attributes:
        particles: how many.
        per_particle: coordinates of each.
    """

    particles: int
    per_particle: int = 3

    @property
    def shape(self) -> tuple[int, ...]:
        """(particles, per_particle)."""
        return (self.particles, self.per_particle)

    @property
    def dimension(self) -> int:
        """(particles − 1) · per_particle."""
        return (self.particles - 1) * self.per_particle

    def project(self, vectors: Tensor) -> Tensor:
        """Take out the mean over particles."""
        return vectors - vectors.mean(dim=-2, keepdim=True)

    def wrap(self, points: Tensor) -> Tensor:
        """Take out what rounding has moved the centre by."""
        return self.project(points)


@dataclass(frozen=True)
class Torus(Space):
    """Angles in [−π, π).

    Attributes:
        angles: how many.
    """

    angles: int

    @property
    def shape(self) -> tuple[int, ...]:
        """(angles,)."""
        return (self.angles,)

    @property
    def dimension(self) -> int:
        """Number of angles."""
        return self.angles

    def wrap(self, points: Tensor) -> Tensor:
        """Into [−π, π)."""
        return torch.remainder(points + math.pi, 2 * math.pi) - math.pi

    def displacement(self, start: Tensor, end: Tensor) -> Tensor:
        """The shorter way around, angle by angle."""
        return self.wrap(end - start)


@dataclass(frozen=True)
class SymmetricMatrices(Space):
    """Symmetric matrices with the Frobenius norm; its normal law is the Gaussian orthogonal ensemble.

    Attributes:
        size: rows.
    """

    size: int

    @property
    def shape(self) -> tuple[int, ...]:
        """(size, size)."""
        return (self.size, self.size)

    @property
    def dimension(self) -> int:
        """Size · (size + 1) / 2."""
        return self.size * (self.size + 1) // 2

    def project(self, vectors: Tensor) -> Tensor:
        """The symmetric part."""
        return (vectors + vectors.mT) / 2
