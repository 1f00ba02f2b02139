r"""What is sampled: a log-density, its gradient, and an honest count of how often each was asked.

A :class:`Target` answers for a batch of points. Its log-density need not be normalised; where it is
−∞ (or an energy could not be computed) a Metropolis step refuses to go. A user's density is one
function:

>>> target = Density(lambda x: -0.5 * x.square().sum(dim=1), Euclidean(2))

A :class:`Path` joins a reference to the target by :math:`\log \pi_\lambda = (1-\lambda)\log\pi_0 +
\lambda\log\pi_1`, with a λ of its own for every row: tempering is the path from a constant.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, final

import torch
from jaxtyping import Float
from torch import Tensor

from samplers.rng import Streams
from samplers.spaces import Space

__all__ = [
    "Calls",
    "Counted",
    "Density",
    "Evaluation",
    "Flat",
    "GradientError",
    "Path",
    "Target",
    "TargetError",
    "check_gradient",
]


class Evaluation(NamedTuple):
    """Log-density and its gradient, the latter projected to the space."""

    log_density: Float[Tensor, " n"]
    gradient: Float[Tensor, "n *shape"]


class Target(ABC):
    """A density on a space, up to a factor."""

    @property
    @abstractmethod
    def space(self) -> Space:
        """Where it is defined."""

    @abstractmethod
    def log_density(self, x: Float[Tensor, "n *shape"]) -> Float[Tensor, " n"]:
        """Of each point; −inf where the density is zero. No NaN."""

    def evaluate(self, x: Float[Tensor, "n *shape"]) -> Evaluation:
        """Log-density and gradient; by automatic differentiation unless overridden."""
        with torch.enable_grad():
            leaf = x.detach().requires_grad_()
            value = self.log_density(leaf)
            (gradient,) = torch.autograd.grad(value.sum(), leaf)
        return Evaluation(value.detach(), self.space.project(gradient))

    def rows(self, index: Tensor) -> Target:  # noqa: ARG002
        """The target of some rows of a batch; another one only where rows differ (:class:`Path`)."""
        return self


@final
@dataclass(frozen=True, eq=False)
class Density(Target):
    """A target from a function.

    Attributes:
        function: points (n, *shape) to log-densities (n,), differentiable by torch.
        where: its space.
    """

    function: Callable[[Tensor], Tensor]
    where: Space

    def __post_init__(self) -> None:
        if not callable(self.function) or not isinstance(self.where, Space):
            raise TypeError(
                f"Density({self.function!r}, {self.where!r}); wanted a function and a space, such as "
                "Density(lambda x: -(x**4).sum(dim=1), Euclidean(2))"
            )

    @property
    def space(self) -> Space:
        """As given."""
        return self.where

    def log_density(self, x: Tensor) -> Tensor:
        """The function."""
        return self.function(x)


@final
@dataclass(frozen=True, eq=False)
class Flat(Target):
    """A constant, not normalisable in general: what tempering to infinite temperature ends at.

    Attributes:
        where: its space.
    """

    where: Space

    @property
    def space(self) -> Space:
        """As given."""
        return self.where

    def log_density(self, x: Tensor) -> Tensor:
        """Zero."""
        return x.new_zeros(len(x))

    def evaluate(self, x: Tensor) -> Evaluation:
        """Zeros."""
        return Evaluation(x.new_zeros(len(x)), torch.zeros_like(x))


@dataclass
class Calls:
    """How many points were evaluated.

    Attributes:
        energies: log-densities alone.
        gradients: log-densities with their gradients.
    """

    energies: int = 0
    gradients: int = 0


class TargetError(ValueError):
    """A target whose answer is no log-density."""


@final
@dataclass(frozen=True, eq=False)
class Counted(Target):
    """A target that counts, point by point, what it is asked, and lets no NaN pass.

    Attributes:
        inner: the target.
        calls: so far.
    """

    inner: Target
    calls: Calls

    @classmethod
    def of(cls, inner: Target) -> Counted:
        """With a count of its own."""
        return cls(inner, Calls())

    @property
    def space(self) -> Space:
        """The inner one's."""
        return self.inner.space

    def log_density(self, x: Tensor) -> Tensor:
        """The inner one's.

        Raises:
            TargetError: NaN or +∞.
        """
        self.calls.energies += len(x)
        found = self.inner.log_density(x)
        _refuse(found, x)
        return found

    def evaluate(self, x: Tensor) -> Evaluation:
        """The inner one's.

        Raises:
            TargetError: NaN or +∞, or a gradient that is not finite where the density is not zero.
        """
        self.calls.gradients += len(x)
        found = self.inner.evaluate(x)
        _refuse(found.log_density, x)
        lost = ~found.gradient.flatten(1).isfinite().all(dim=1)
        _refuse(torch.where(lost & found.log_density.isfinite(), torch.nan, 0.0), x, "gradient")
        return found

    def rows(self, index: Tensor) -> Counted:
        """Counts go to the same place."""
        return Counted(self.inner.rows(index), self.calls)


def _refuse(values: Tensor, x: Tensor, what: str = "log-density") -> None:
    bad = values.isnan() | (values == torch.inf)
    if bad.any():
        row = int(bad.nonzero()[0])
        raise TargetError(
            f"a {what} that is no number, at {int(bad.sum())} of {len(x)} points, first at point {row}: "
            f"{x[row].flatten()[:6].tolist()}...; wanted finite numbers, or -inf where the density is "
            "zero: check the density or potential there"
        )


@final
@dataclass(frozen=True, eq=False)
class Path(Target):
    """A geometric path between two densities, at one λ for each row.

    Attributes:
        reference: at λ = 0.
        goal: at λ = 1.
        weight: λ, (n,) or ().
    """

    reference: Target
    goal: Target
    weight: Float[Tensor, " *n"]

    @property
    def space(self) -> Space:
        """The goal's."""
        return self.goal.space

    def at(self, weight: Float[Tensor, " *n"]) -> Path:
        """The same path at other λ."""
        return Path(self.reference, self.goal, weight)

    def log_density(self, x: Tensor) -> Tensor:
        """(1 − λ) log π₀ + λ log π₁."""
        return self._mix(self.reference.log_density(x), self.goal.log_density(x))

    def evaluate(self, x: Tensor) -> Evaluation:
        """The same with its gradient."""
        return self.mixed(self.reference.evaluate(x), self.goal.evaluate(x))

    def mixed(self, first: Evaluation, second: Evaluation) -> Evaluation:
        """From the evaluations of both ends."""
        return Evaluation(*map(self._mix, first, second))

    def parts(
        self, x: Float[Tensor, "n *shape"], log_density: Tensor, gradient: Tensor
    ) -> tuple[Evaluation, Evaluation]:
        """Both ends from the mixture at λ > 0: the goal is not asked again, only the reference."""
        first = self.reference.evaluate(x)

        def unmix(start: Tensor, mixed: Tensor) -> Tensor:
            weight = self._weight(mixed)
            return start + (mixed - start) / weight

        goal = (unmix(a, b) for a, b in zip(first, (log_density, gradient), strict=True))
        return first, Evaluation(*goal)

    def rows(self, index: Tensor) -> Path:
        """With the λ of these rows."""
        weight = self.weight[index] if self.weight.ndim else self.weight
        return Path(self.reference.rows(index), self.goal.rows(index), weight)

    def _mix(self, start: Tensor, end: Tensor) -> Tensor:
        weight = self._weight(end)
        mixed = (1 - weight) * start + weight * end
        # 0 · (−∞) is not a number: at λ = 0 the goal does not count
        return torch.where(weight == 0, start.expand_as(mixed), mixed)

    def _weight(self, like: Tensor) -> Tensor:
        weight = self.weight.to(like.dtype)
        return weight.reshape(*weight.shape, *[1] * (like.ndim - weight.ndim))


class GradientError(ValueError):
    """A target whose gradient is not that of its log-density."""


@torch.no_grad()
def check_gradient(
    target: Target,
    x: Float[Tensor, "n *shape"],
    streams: Streams,
    *,
    step: float = 1e-4,
    tolerance: float = 1e-3,
) -> None:
    """Compare gradients with central differences along one random direction for each point.

    Args:
        target: to be checked.
        x: float64 points where its density is positive.
        streams: for the directions.
        step: length of the difference, in the unit of x.
        tolerance: largest relative difference.

    Raises:
        GradientError: they differ, or a number is not finite.
    """
    direction = target.space.normal(streams, "direction")
    direction = direction / direction.flatten(1).norm(dim=1).reshape(-1, *[1] * (x.ndim - 1))
    found = target.evaluate(x)
    along = (found.gradient * direction).flatten(1).sum(dim=1)
    ends = [target.log_density(x + sign * step * direction) for sign in (1, -1)]
    expected = (ends[0] - ends[1]) / (2 * step)
    # at a maximum, where the gradient is zero, what counts is how it changes within a step
    change = (ends[0] + ends[1] - 2 * found.log_density).abs() / step
    scale = 1e-6 + torch.stack([along.abs(), expected.abs(), change]).amax(dim=0)
    # what rounding of the log-density does to a difference is no fault of the gradient
    noise = 1e-14 * (1 + found.log_density.abs()) / step
    difference = (along - expected).abs() / (scale + noise / tolerance)
    worst = int(difference.nan_to_num(nan=torch.inf).argmax())
    if not difference[worst] <= tolerance:
        raise GradientError(
            f"the gradient along a direction is {float(along[worst]):.6g} and the difference of the "
            f"log-density {float(expected[worst]):.6g}, at point {worst}: the gradient is wrong, or "
            "the density is not smooth there"
        )
