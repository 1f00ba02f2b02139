r"""Reverse diffusions: samples made from noise by Gaussian steps, with the weights that correct them.

Noise is put on by x_t = α x_0 + σ e (:mod:`samplers.schedules`), and taken off along falling times by
normal kernels, whose means are made of a score s(x, t) ≈ ∇ log p_t(x). Names: from t to s < t, with
α_ts and σ_ts of the kernel that leads from s to t; z is standard normal.

:class:`Ancestral`. Let x_0 scatter with variance c in each coordinate, so that v_t = α_t² c + σ_t².

.. math::
    x_s &= \frac{\alpha_s}{\alpha_t}\,(x_t + v_t\,s) - \sqrt{v_s - \eta^2\tilde\sigma^2}\,\sqrt{v_t}\,s
           + \eta\,\tilde\sigma\,z, \qquad
    \tilde\sigma^2 = \sigma_{ts}^2\,v_s / v_t .

The first term is a predicted centre, the second the predicted rest of the scatter. At η = 1 the mean is
(x_t + σ_ts² s)/α_ts, which for the true score is E[x_s | x_t] whatever the law of x_0 (Robbins, 1956):
the step of Ho, Jain and Abbeel (2020), with their smaller variance at c = 0 and the larger one as
c → ∞. At c = 0 and any η it is that of Song, Meng and Ermon (2021). For normal x_0 of variance c the
law of x_s is exact at every η, and at η = 1 path weights are constant: take for c about the variance of
the target.

:class:`EulerMaruyama` steps follow the reverse diffusion of Anderson (1982) with noise scaled by η,

.. math:: dx = \bigl(f x - \tfrac{1+\eta^2}{2}\,g^2 s\bigr)\,dt + \eta\,g\,d\bar w ,

which has the densities p_t for every η: 1 is the reverse diffusion, 0 the probability flow.

**Weights.** With reverse kernels F_k and kernels B_k that put the noise back, the path weights of
:mod:`samplers.path_weight` correct the samples for *any* score and number of steps, where η > 0. At
η = 1 the B are the noising; below, noise of that width would make weights vanish as steps grow, so the
B have the width and the drift of the reversed step (in the formulas above s and t change places, σ̃
becomes σ_ts, and 1 + η² becomes 1 − η²), at the price of one more score for each step. The same
weights along noised samples of the target (:func:`retrace`) have E[1/w] = 1/Z, and tell of modes that
:func:`generate` never finds.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple, final

import torch
from jaxtyping import Float
from torch import Tensor

from samplers.ode import Score
from samplers.path_weight import PathWeight, log_kernel
from samplers.rng import Streams
from samplers.schedules import Schedule
from samplers.spaces import Space
from samplers.target import Target

__all__ = [
    "Ancestral",
    "EulerMaruyama",
    "Kernel",
    "Paths",
    "Reverse",
    "generate",
    "noising",
    "retrace",
]


class Kernel(NamedTuple):
    """A normal law: its mean for each chain, and its standard deviation in each coordinate."""

    mean: Float[Tensor, "n *shape"]
    scale: float


def noising(
    schedule: Schedule, x: Float[Tensor, "n *shape"], s: Float[Tensor, ""], t: Float[Tensor, ""]
) -> Kernel:
    """The law of x_t, given x_s at an earlier time."""
    alpha, sigma = schedule.forward(s, t)
    return Kernel(float(alpha) * x, float(sigma))


class Reverse(ABC):
    """A reverse kernel."""

    @property
    @abstractmethod
    def schedule(self) -> Schedule:
        """Of the noising that it reverses."""

    @abstractmethod
    def kernel(
        self,
        x: Float[Tensor, "n *shape"],
        score: Float[Tensor, "n *shape"],
        t: Float[Tensor, ""],
        s: Float[Tensor, ""],
    ) -> Kernel:
        """The law of x_s, given x_t and the score there."""

    @abstractmethod
    def back(
        self, x: Float[Tensor, "n *shape"], score: Score, s: Float[Tensor, ""], t: Float[Tensor, ""]
    ) -> Kernel:
        """The law of x_t, given x_s, that noises as much as :meth:`kernel` does."""


@final
@dataclass(frozen=True)
class Ancestral(Reverse):
    """Steps that are exact on normal laws of one variance.

    Attributes:
        noise: the schedule.
        spread: c.
        eta: η, from 0 to 1.
    """

    noise: Schedule
    spread: float = 0.0
    eta: float = 1.0

    @property
    def schedule(self) -> Schedule:
        """As given."""
        return self.noise

    def kernel(self, x: Tensor, score: Tensor, t: Tensor, s: Tensor) -> Kernel:
        """As in the module's text."""
        alpha, sigma = self.noise.forward(s, t)
        v_s, v_t = self._variance(s), self._variance(t)
        variance = self.eta**2 * sigma.square() * v_s / v_t
        pull = v_t / alpha - ((v_s - variance) * v_t).clamp_min(0).sqrt()
        return Kernel(float(1 / alpha) * x + float(pull) * score, math.sqrt(variance))

    def back(self, x: Tensor, score: Score, s: Tensor, t: Tensor) -> Kernel:
        """As in the module's text."""
        if self.eta == 1:
            return noising(self.noise, x, s, t)
        alpha, sigma = self.noise.forward(s, t)
        v_s, v_t = self._variance(s), self._variance(t)
        variance = self.eta**2 * sigma.square()
        pull = alpha * v_s - ((v_t - variance) * v_s).clamp_min(0).sqrt()
        return Kernel(float(alpha) * x + float(pull) * score(x, s), math.sqrt(variance))

    def _variance(self, t: Tensor) -> Tensor:
        """Of a coordinate: v."""
        return self.noise.alpha(t).square() * self.spread + self.noise.sigma(t).square()


@final
@dataclass(frozen=True)
class EulerMaruyama(Reverse):
    """Steps of the reverse diffusion, of weak order one.

    Attributes:
        noise: the schedule.
        eta: η, at least 0.
    """

    noise: Schedule
    eta: float = 1.0

    @property
    def schedule(self) -> Schedule:
        """As given."""
        return self.noise

    def kernel(self, x: Tensor, score: Tensor, t: Tensor, s: Tensor) -> Kernel:
        """As in the module's text."""
        f, g2 = float(self.noise.drift(t)), float(self.noise.diffusion(t))
        h = float(t - s)
        velocity = f * x - 0.5 * (1 + self.eta**2) * g2 * score
        return Kernel(x - h * velocity, self.eta * math.sqrt(g2 * h))

    def back(self, x: Tensor, score: Score, s: Tensor, t: Tensor) -> Kernel:
        """As in the module's text."""
        if self.eta == 1:
            return noising(self.noise, x, s, t)
        f, g2 = float(self.noise.drift(s)), float(self.noise.diffusion(s))
        h = float(t - s)
        velocity = f * x - 0.5 * (1 - self.eta**2) * g2 * score(x, s)
        return Kernel(x + h * velocity, self.eta * math.sqrt(g2 * h))


@dataclass(frozen=True, eq=False)
class Paths:
    """Ends of generated paths.

    Attributes:
        x: (n, *shape).
        weight: of their paths, but for the target; None where a step had no noise and none is asked.
    """

    x: Float[Tensor, "n *shape"]
    weight: PathWeight | None

    def log_weights(self, target: Target) -> Float[Tensor, " n"]:
        """Log-weights for a target."""
        if self.weight is None:
            raise ValueError("got paths without weights; generate them with weighted=True")
        return self.weight.end(target.log_density(self.x))


def generate(
    score: Score,
    reverse: Reverse,
    times: Float[Tensor, " times"],
    streams: Streams,
    *,
    space: Space,
    scale: float | None = None,
    weighted: bool = True,
    dtype: torch.dtype = torch.float64,
) -> Paths:
    """Make samples from noise.

    Args:
        score: approximate gradient of log p_t, of points (n, *shape) and a time ().
        reverse: the kernel of a step.
        times: falling, such as :func:`samplers.schedules.uniform_times`.
        streams: one for each chain; step k draws ``noise`` at k.
        space: of the samples.
        scale: standard deviation of the noise to begin with; σ at the first time when None.
        weighted: keep path weights; every step then needs noise.
        dtype: of the points.
    """
    scale = _check(times, reverse, scale)
    z = space.normal(streams.at(0), "prior", dtype=dtype)
    x = space.wrap(scale * z)
    weight = PathWeight.begin(space, log_kernel(space, x, torch.zeros_like(x), scale))
    for k, (t, s) in enumerate(pairwise(times)):
        forward = _within(space, reverse.kernel(x, score(x, t), t, s))
        noise = space.normal(streams.at(k), "noise", dtype=dtype)
        following = space.wrap(forward.mean + forward.scale * noise)
        if weighted:
            weight = _append(weight, reverse, score, x, following, forward, t, s)
        x = following
    return Paths(x, weight if weighted else None)


def retrace(
    score: Score,
    reverse: Reverse,
    x: Float[Tensor, "n *shape"],
    times: Float[Tensor, " times"],
    streams: Streams,
    *,
    space: Space,
    scale: float | None = None,
) -> Paths:
    """Put noise on samples, and give the weights that :func:`generate` gives to such paths.

    Args:
        score: as in :func:`generate`.
        reverse: as there.
        x: samples at the last of the times.
        times: as there, falling.
        streams: one for each chain; the step that ``generate`` counts as k draws ``renoise`` at k.
        space: of the samples.
        scale: as there.
    """
    scale = _check(times, reverse, scale)
    end, weight = x, PathWeight.begin(space, x.new_zeros(len(x)))
    for k in reversed(range(len(times) - 1)):
        t, s = times[k], times[k + 1]
        law = _within(space, reverse.back(x, score, s, t))
        noise = space.normal(streams.at(k), "renoise", dtype=x.dtype)
        before = space.wrap(law.mean + law.scale * noise)
        forward = _within(space, reverse.kernel(before, score(before, t), t, s))
        weight = _append(weight, reverse, score, before, x, forward, t, s)
        x = before
    prior = log_kernel(space, x, torch.zeros_like(x), scale)
    return Paths(end, PathWeight(space, weight.log_weight - prior))


def _check(times: Tensor, reverse: Reverse, scale: float | None) -> float:
    """Standard deviation of the first noise."""
    if len(times) < 2 or not bool((times.diff() < 0).all()):
        raise ValueError(f"got the times {times.tolist()}; wanted two or more that fall")
    return float(reverse.schedule.sigma(times[0])) if scale is None else scale


def _within(space: Space, law: Kernel) -> Kernel:
    """With its mean in the space."""
    return Kernel(space.project(law.mean), law.scale)


def _append(
    weight: PathWeight,
    reverse: Reverse,
    score: Score,
    start: Tensor,
    end: Tensor,
    forward: Kernel,
    t: Tensor,
    s: Tensor,
) -> PathWeight:
    """One more step."""
    backward = _within(weight.space, reverse.back(end, score, s, t))
    if not (forward.scale > 0 and backward.scale > 0):
        raise ValueError(
            f"the step from t = {float(t):.4g} to {float(s):.4g} has noise {forward.scale:.3g} and its "
            f"noising {backward.scale:.3g}; weights need both positive: take eta > 0 and end the times "
            "above zero (or give Ancestral a spread), or pass weighted=False"
        )
    return weight.step(start, end, forward=forward, backward=backward)
