r"""Reverse steps whose width is measured: the isotropic kernel nearest to the true one.

Under noise that explodes, x_t = x_s + σ_ts e, the law of x_s given x_t has, by Tweedie's formula for two
moments,

.. math::
    \mathbb E[x_s \mid x_t] = x_t + \sigma_{ts}^2\, s, \qquad
    \operatorname{cov}(x_s \mid x_t) = \sigma_{ts}^2\,(1 + \sigma_{ts}^2 \nabla s), \qquad
    s = \nabla \log p_t(x_t) .

Of all normal kernels with this mean and one width, the one with the mean of the variance is nearest in
the Kullback-Leibler sense (Bao, Li, Zhu, Zhang, *Analytic-DPM*, 2022). As :math:`\mathbb E[\nabla\cdot s]
= -\mathbb E|s|^2`, it is known from the Fisher information J of a coordinate alone,

.. math:: \tilde\sigma^2 = \sigma_{ts}^2\,(1 - \sigma_{ts}^2 J_t), \qquad J_t = \mathbb E|s|^2 / d,

which is measured once on noised data, before anything is generated. For normal data this is
:class:`samplers.sde.Ancestral` with their variance; for stiff coordinates among soft ones its path
weights vary much less.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import final

from torch import Tensor

from samplers.ode import Score
from samplers.schedules import Schedule
from samplers.sde import Kernel, Reverse, noising

__all__ = ["Tweedie"]

_NARROWEST = 0.05  # of the noise that is taken off


@final
@dataclass(frozen=True, eq=False)
class Tweedie(Reverse):
    """Steps of a width that follows from the mean square of the score.

    Attributes:
        noise: the schedule, of α = 1.
        information: J at a time.
    """

    noise: Schedule
    information: Callable[[float], float]

    @property
    def schedule(self) -> Schedule:
        """As given."""
        return self.noise

    def kernel(self, x: Tensor, score: Tensor, t: Tensor, s: Tensor) -> Kernel:
        """As in the module's text."""
        square = float(self.noise.forward(s, t)[1]) ** 2
        left = max(1 - square * self.information(float(t)), _NARROWEST)
        return Kernel(x + square * score, math.sqrt(square * left))

    def back(self, x: Tensor, score: Score, s: Tensor, t: Tensor) -> Kernel:  # noqa: ARG002
        """The noising."""
        return noising(self.noise, x, s, t)
