r"""Gaussian noising: how much signal and how much noise there is at a time.

From x_0 at t = 0, the noised point at t in [0, 1] is

.. math:: x_t = \alpha(t)\, x_0 + \sigma(t)\, e, \qquad e \sim N(0, 1) .

It is the law at time t of a diffusion dx = f x dt + g dw with (Song et al., 2021)

.. math:: f = \frac{d \log \alpha}{dt}, \qquad g^2 = \frac{d \sigma^2}{dt} - 2 f \sigma^2 ,

so between two times s < t the kernel is normal again, x_t = α_ts x_s + σ_ts e, with

.. math:: \alpha_{ts} = \alpha_t / \alpha_s, \qquad
          \sigma_{ts}^2 = \sigma_t^2 - \alpha_{ts}^2 \sigma_s^2
                        = -\sigma_t^2\, \mathrm{expm1}(\lambda_t - \lambda_s) ,

where λ = log α²/σ² is the logarithm of the signal-to-noise ratio, which falls with t (Kingma et al.,
2021). The last form holds where there is no noise at s, and rounding never makes it negative. Kernels
compose: that from r to s, then from s to t, is that from r to t.

=============================  ==================================================================
:class:`LinearBeta`            variance preserving, α² + σ² = 1, β linear in t (Ho et al., 2020)
:class:`Cosine`                variance preserving, α = cos θ with θ linear in t (Nichol and
                               Dhariwal, 2021)
:class:`Geometric`             variance exploding, α = 1, log σ linear in t (Song et al., 2021)
:class:`Exploding`             the same from no noise at all, σ² = σ₀² ((σ₁/σ₀)²ᵗ − 1)
:class:`Interpolant`           α = 1 − t, σ = t, the straight line of rectified flow (Liu et al.,
                               2023) and flow matching (Lipman et al., 2023)
=============================  ==================================================================

A reverse process runs along a grid of falling times: :func:`uniform_times`, :func:`log_snr_times`,
:func:`karras_times`.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import final

import torch
from jaxtyping import Float
from torch import Tensor

__all__ = [
    "Cosine",
    "Exploding",
    "Geometric",
    "Interpolant",
    "LinearBeta",
    "Schedule",
    "karras_times",
    "log_snr_times",
    "uniform_times",
]


class Schedule(ABC):
    """Signal and noise; all methods take float64 times of any shape and return that shape."""

    @abstractmethod
    def alpha(self, t: Float[Tensor, "*n"]) -> Float[Tensor, "*n"]:
        """Signal."""

    @abstractmethod
    def sigma(self, t: Float[Tensor, "*n"]) -> Float[Tensor, "*n"]:
        """Noise."""

    @abstractmethod
    def alpha_rate(self, t: Float[Tensor, "*n"]) -> Float[Tensor, "*n"]:
        """dα/dt."""

    @abstractmethod
    def sigma_rate(self, t: Float[Tensor, "*n"]) -> Float[Tensor, "*n"]:
        """dσ/dt."""

    @abstractmethod
    def drift(self, t: Float[Tensor, "*n"]) -> Float[Tensor, "*n"]:
        """The f of dx = f x dt + g dw."""

    @abstractmethod
    def diffusion(self, t: Float[Tensor, "*n"]) -> Float[Tensor, "*n"]:
        """Its g²."""

    def log_snr(self, t: Float[Tensor, "*n"]) -> Float[Tensor, "*n"]:
        """λ = log α²/σ²; ∞ where there is no noise and −∞ where there is no signal."""
        return 2 * (self.alpha(t).log() - self.sigma(t).log())

    def forward(
        self, s: Float[Tensor, "*n"], t: Float[Tensor, "*n"]
    ) -> tuple[Float[Tensor, "*n"], Float[Tensor, "*n"]]:
        """Signal and noise of the kernel from s to a later time t: α_ts and σ_ts."""
        gain = torch.expm1(self.log_snr(t) - self.log_snr(s))
        return self.alpha(t) / self.alpha(s), self.sigma(t) * (-gain).sqrt()

    def time_of(self, log_snr: Float[Tensor, "*n"]) -> Float[Tensor, "*n"]:
        """When λ has a value; 0 or 1 where it never has."""
        low, high = torch.zeros_like(log_snr), torch.ones_like(log_snr)
        for _ in range(60):  # halvings, as λ falls: below the spacing of float64
            middle = (low + high) / 2
            early = self.log_snr(middle) > log_snr
            low, high = torch.where(early, middle, low), torch.where(early, high, middle)
        return (low + high) / 2


@final
@dataclass(frozen=True)
class LinearBeta(Schedule):
    """β(t) = β₀ + (β₁ − β₀) t, f = −β/2, g² = β.

    Attributes:
        low: β₀.
        high: β₁.
    """

    low: float = 0.1
    high: float = 20.0

    def _beta(self, t: Tensor) -> Tensor:
        """The rate at which signal becomes noise."""
        return self.low + (self.high - self.low) * t

    def _integral(self, t: Tensor) -> Tensor:
        """Of β from zero to t: −log α²."""
        return self.low * t + 0.5 * (self.high - self.low) * t.square()

    def alpha(self, t: Tensor) -> Tensor:
        """exp(−½ ∫β)."""
        return (-0.5 * self._integral(t)).exp()

    def sigma(self, t: Tensor) -> Tensor:
        """√(1 − α²)."""
        return (-torch.expm1(-self._integral(t))).sqrt()

    def alpha_rate(self, t: Tensor) -> Tensor:
        """−½ β α."""
        return -0.5 * self._beta(t) * self.alpha(t)

    def sigma_rate(self, t: Tensor) -> Tensor:
        """½ β α² / σ; infinite at zero."""
        return 0.5 * self._beta(t) * self.alpha(t).square() / self.sigma(t)

    def drift(self, t: Tensor) -> Tensor:
        """−½ β."""
        return -0.5 * self._beta(t)

    def diffusion(self, t: Tensor) -> Tensor:
        """β."""
        return self._beta(t)


@final
@dataclass(frozen=True)
class Cosine(Schedule):
    """α = cos θ, σ = sin θ with θ = (π/2) e t; f = −θ' tan θ, g² = 2 θ' tan θ.

    Attributes:
        end: e, a little below one: signal is left at t = 1, and all rates stay finite.
    """

    end: float = 0.995

    def _angle(self, t: Tensor) -> Tensor:
        """θ."""
        return 0.5 * math.pi * self.end * t

    def alpha(self, t: Tensor) -> Tensor:
        """Signal cos θ."""
        return self._angle(t).cos()

    def sigma(self, t: Tensor) -> Tensor:
        """Noise sin θ."""
        return self._angle(t).sin()

    def alpha_rate(self, t: Tensor) -> Tensor:
        """−θ' sin θ."""
        return -0.5 * math.pi * self.end * self._angle(t).sin()

    def sigma_rate(self, t: Tensor) -> Tensor:
        """θ' cos θ."""
        return 0.5 * math.pi * self.end * self._angle(t).cos()

    def drift(self, t: Tensor) -> Tensor:
        """−θ' tan θ."""
        return -0.5 * math.pi * self.end * self._angle(t).tan()

    def diffusion(self, t: Tensor) -> Tensor:
        """2 θ' tan θ."""
        return math.pi * self.end * self._angle(t).tan()


@final
@dataclass(frozen=True)
class Geometric(Schedule):
    """α = 1, σ = σ₀ (σ₁/σ₀)ᵗ, f = 0, g² = 2 σ² log σ₁/σ₀.

    Attributes:
        low: σ₀, far below every length of the density.
        high: σ₁, far above.
    """

    low: float = 0.01
    high: float = 10.0

    @property
    def _rate(self) -> float:
        """Rate d log σ / dt."""
        return math.log(self.high / self.low)

    def alpha(self, t: Tensor) -> Tensor:
        """One."""
        return torch.ones_like(t)

    def sigma(self, t: Tensor) -> Tensor:
        """σ₀ (σ₁/σ₀)ᵗ."""
        return self.low * (self._rate * t).exp()

    def alpha_rate(self, t: Tensor) -> Tensor:
        """Zero."""
        return torch.zeros_like(t)

    def sigma_rate(self, t: Tensor) -> Tensor:
        """σ log σ₁/σ₀."""
        return self._rate * self.sigma(t)

    def drift(self, t: Tensor) -> Tensor:
        """Zero."""
        return torch.zeros_like(t)

    def diffusion(self, t: Tensor) -> Tensor:
        """2 σ² log σ₁/σ₀."""
        return 2 * self._rate * self.sigma(t).square()


@final
@dataclass(frozen=True)
class Exploding(Schedule):
    """α = 1, σ² = σ₀² ((σ₁/σ₀)²ᵗ − 1), f = 0, g² = 2 (σ² + σ₀²) log σ₁/σ₀: no noise at t = 0.

    Attributes:
        low: σ₀, about the first level of noise that matters.
        high: σ₁, a little above the last one.
    """

    low: float = 0.01
    high: float = 10.0

    @property
    def _rate(self) -> float:
        """Rate of log(σ² + σ₀²) / 2."""
        return math.log(self.high / self.low)

    def alpha(self, t: Tensor) -> Tensor:
        """One."""
        return torch.ones_like(t)

    def sigma(self, t: Tensor) -> Tensor:
        """σ₀ √((σ₁/σ₀)²ᵗ − 1)."""
        return self.low * torch.expm1(2 * self._rate * t).sqrt()

    def alpha_rate(self, t: Tensor) -> Tensor:
        """Zero."""
        return torch.zeros_like(t)

    def sigma_rate(self, t: Tensor) -> Tensor:
        """(σ² + σ₀²) / σ times log σ₁/σ₀; infinite at zero."""
        return 0.5 * self.diffusion(t) / self.sigma(t)

    def drift(self, t: Tensor) -> Tensor:
        """Zero."""
        return torch.zeros_like(t)

    def diffusion(self, t: Tensor) -> Tensor:
        """2 (σ² + σ₀²) log σ₁/σ₀."""
        return 2 * self._rate * self.low**2 * (2 * self._rate * t).exp()

    def when(self, sigma: Float[Tensor, "*n"]) -> Float[Tensor, "*n"]:
        """The time of a level of noise."""
        return torch.log1p((sigma / self.low).square()) / (2 * self._rate)


@final
@dataclass(frozen=True)
class Interpolant(Schedule):
    """α = 1 − t, σ = t, f = −1/(1 − t), g² = 2t/(1 − t), which are infinite at t = 1."""

    def alpha(self, t: Tensor) -> Tensor:
        """1 − t."""
        return 1 - t

    def sigma(self, t: Tensor) -> Tensor:
        """As t."""
        return t.clone()

    def alpha_rate(self, t: Tensor) -> Tensor:
        """−1."""
        return -torch.ones_like(t)

    def sigma_rate(self, t: Tensor) -> Tensor:
        """1."""
        return torch.ones_like(t)

    def drift(self, t: Tensor) -> Tensor:
        """−1/(1 − t)."""
        return -1 / (1 - t)

    def diffusion(self, t: Tensor) -> Tensor:
        """2t/(1 − t)."""
        return 2 * t / (1 - t)


def uniform_times(steps: int, *, start: float = 1.0, end: float = 0.0) -> Float[Tensor, " times"]:
    """``steps`` + 1 equally spaced times from ``start`` down to ``end``."""
    if steps < 1 or not 0 <= end < start <= 1:
        raise ValueError(
            f"got {steps} steps from {start} to {end}; wanted one or more, between times that fall "
            "within [0, 1]"
        )
    return torch.linspace(start, end, steps + 1, dtype=torch.float64)


def log_snr_times(
    schedule: Schedule, steps: int, *, start: float = 1.0, end: float = 1e-3
) -> Float[Tensor, " times"]:
    """Equally spaced in λ: every step takes away the same factor of noise over signal."""
    ends = _finite_ends(schedule, steps, start, end)
    share = torch.linspace(0, 1, steps + 1, dtype=torch.float64)
    return _at(schedule, torch.lerp(ends[0], ends[1], share), start, end)


def karras_times(
    schedule: Schedule, steps: int, *, start: float = 1.0, end: float = 1e-3, rho: float = 7.0
) -> Float[Tensor, " times"]:
    """Equally spaced in (σ/α)^(1/ρ) (Karras et al., 2022): more steps at low noise as ρ grows."""
    ends = (-_finite_ends(schedule, steps, start, end) / (2 * rho)).exp()
    share = torch.linspace(0, 1, steps + 1, dtype=torch.float64)
    ratio = torch.lerp(ends[0], ends[1], share)
    return _at(schedule, -2 * rho * ratio.log(), start, end)


def _finite_ends(schedule: Schedule, steps: int, start: float, end: float) -> Tensor:
    """λ at both ends."""
    found = schedule.log_snr(uniform_times(steps, start=start, end=end)[[0, -1]])
    if not bool(found.isfinite().all()):
        raise ValueError(
            f"the logarithms of the signal-to-noise ratio at t = {start} and {end} are "
            f"{found.tolist()}; wanted finite ones: take times further inside (0, 1)"
        )
    return found


def _at(schedule: Schedule, log_snr: Tensor, start: float, end: float) -> Tensor:
    """Times of these λ, with both ends as they were asked for."""
    times = schedule.time_of(log_snr)
    times[0], times[-1] = start, end
    return times
