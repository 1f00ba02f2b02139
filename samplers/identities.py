r"""Averages that are known without a reference, from the density alone.

For a density π on a space and any vector field f that π carries nowhere (π f vanishes at infinity,
or everything is periodic), integrating by parts gives the identity of Stein (1972)

.. math::
    \bigl\langle f\cdot\nabla\log\pi + \operatorname{div} f \bigr\rangle = 0 .

f = x is the virial theorem (Clausius, 1870), :math:`\langle x\cdot\nabla(-\log\pi)\rangle =` degrees
of freedom; f = ∇log π is the configurational temperature of Butler, Ayton, Jepps and Evans (1998),

.. math::
    \frac{\langle|\nabla\log\pi|^2\rangle}{\langle-\Delta\log\pi\rangle} = \frac{T}{T_0} = 1,

with T the temperature of the samples and T₀ that of π. Each holds whatever π is, and fails for
samples of another density, unless by accident; one that holds proves little about shares of states
between which f is small.

The error of an average is that of independent runs: the mean of each chain is one observation, and
where there are fewer than 8 they are cut into blocks of 10 autocorrelation times. The deviation over
its error follows Student's t distribution.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from samplers.diagnostics import autocorrelation_time
from samplers.fields import Field, Position
from samplers.spaces import Space
from samplers.student import two_sided

__all__ = ["Identity", "configurational_temperature", "stein", "virial"]

_BATCHES = 8  # fewer leave Student's t with tails too wide to see anything
_TIMES = 10  # autocorrelation times in a block: neighbours correlate by 2.5 %


@dataclass(frozen=True)
class Identity:
    """An average and what it must be.

    Attributes:
        name: of the identity.
        value: found.
        expected: exact.
        error: standard error of ``value``.
        degrees: of freedom of the error: independent runs or blocks less one.
    """

    name: str
    value: float
    expected: float
    error: float
    degrees: int

    @property
    def z(self) -> float:
        """Deviation in standard errors."""
        deviation = self.value - self.expected
        if self.error == 0.0:
            return math.copysign(math.inf, deviation) if deviation else 0.0
        return deviation / self.error

    @property
    def p_value(self) -> float:
        """Probability of a deviation at least as large if the samples are right."""
        return two_sided(self.z, self.degrees)

    @classmethod
    def of_mean(
        cls,
        name: str,
        values: Float[Tensor, "chains draws"],
        expected: float,
        *,
        log_weights: Float[Tensor, "chains draws"] | None = None,
    ) -> Identity:
        """The mean of ``values`` against what it must be.

        Args:
            name: of the identity.
            values: along independent chains; independent draws are chains of one.
            expected: exact mean.
            log_weights: of the draws; equal when None.
        """
        ones = torch.ones_like(values)
        return cls.of_ratio(name, values, ones, expected, log_weights=log_weights)

    @classmethod
    def of_ratio(
        cls,
        name: str,
        numerator: Float[Tensor, "chains draws"],
        denominator: Float[Tensor, "chains draws"],
        expected: float,
        *,
        log_weights: Float[Tensor, "chains draws"] | None = None,
    ) -> Identity:
        """The ratio of two means, with its error to first order.

        Args:
            name: of the identity.
            numerator: along independent chains; independent draws are chains of one.
            denominator: the same.
            expected: exact ratio.
            log_weights: of the draws; equal when None.
        """
        a, b = numerator.double(), denominator.double()
        if log_weights is not None:
            w = log_weights.double().flatten().softmax(dim=0).reshape(a.shape) * a.numel()
            a, b = a * w, b * w
        if not (a.isfinite().all() and b.isfinite().all()):
            raise ValueError(
                f"{name}: got values that are not finite; wanted numbers: evaluate the gradients at "
                "points of positive density, and give at least one of them a weight"
            )
        value = a.mean() / b.mean()
        error, degrees = _batch_error(name, (a - value * b) / b.mean())
        return cls(name, float(value), float(expected), error, degrees)


def _batch_error(name: str, residual: Tensor) -> tuple[float, int]:
    """Standard error of the mean of (chains, draws) of mean zero, and its degrees of freedom."""
    chains, draws = residual.shape
    if chains < _BATCHES:
        blocks = 0
        if draws >= 4:
            blocks = int(draws / (_TIMES * float(autocorrelation_time(residual).clamp_min(1.0))))
            blocks = min(blocks, 64)  # longer blocks cost nothing, once there are enough of them
        if chains * blocks < _BATCHES:
            raise ValueError(
                f"{name}: got {chains} chains of {draws} draws, worth {chains * blocks} blocks of "
                f"{_TIMES} autocorrelation times; wanted {_BATCHES} chains or blocks: run longer, or "
                "run more chains"
            )
        residual = residual[:, draws % blocks :].reshape(chains * blocks, -1)
    means = residual.mean(dim=1)
    return float(means.std() / math.sqrt(len(means))), len(means) - 1


def stein(
    x: Float[Tensor, "chains draws *shape"],
    gradient: Float[Tensor, "chains draws *shape"],
    space: Space,
    field: Field,
    *,
    log_weights: Float[Tensor, "chains draws"] | None = None,
) -> Identity:
    """⟨f · ∇log π + div f⟩ = 0.

    Args:
        x: points along independent chains; independent draws are chains of one.
        gradient: of the log-density there, projected to the space.
        space: of the points.
        field: f.
        log_weights: of the draws; equal when None.
    """
    values = _stein_values(x, gradient, space, field)
    return Identity.of_mean(f"Stein, {field.name}", values, 0.0, log_weights=log_weights)


def virial(
    x: Float[Tensor, "chains draws *shape"],
    gradient: Float[Tensor, "chains draws *shape"],
    space: Space,
    *,
    log_weights: Float[Tensor, "chains draws"] | None = None,
) -> Identity:
    """⟨x · ∇(−log π)⟩ = degrees of freedom.

    Args:
        x: points along independent chains; independent draws are chains of one.
        gradient: of the log-density there, projected to the space.
        space: linear.
        log_weights: of the draws; equal when None.
    """
    values = space.dimension - _stein_values(x, gradient, space, Position())
    return Identity.of_mean("virial", values, space.dimension, log_weights=log_weights)


def _stein_values(x: Tensor, gradient: Tensor, space: Space, field: Field) -> Tensor:
    """Of each point, f · ∇log π + div f, (chains, draws)."""
    vectors, divergence = field.at(x.flatten(0, 1), space)
    along = (vectors * gradient.flatten(0, 1)).flatten(1).sum(dim=1)
    return (along + divergence).reshape(x.shape[:2])


def configurational_temperature(
    gradient: Float[Tensor, "chains draws *shape"],
    curvature: Float[Tensor, "chains draws"],
    *,
    log_weights: Float[Tensor, "chains draws"] | None = None,
) -> Identity:
    """⟨|∇log π|²⟩ / ⟨−Δ log π⟩ = 1: the temperature of the samples in units of that of π.

    Args:
        gradient: of the log-density along independent chains, projected to the space.
        curvature: Laplacian of the log-density there, from :func:`samplers.fields.laplacian`.
        log_weights: of the draws; equal when None.
    """
    square = gradient.flatten(2).square().sum(dim=2)
    return Identity.of_ratio(
        "configurational temperature", square, -curvature, 1.0, log_weights=log_weights
    )
