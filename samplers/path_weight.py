r"""Weights of whole paths, for samplers made of Gaussian steps.

A chain x_0 → x_1 → ... → x_K of Gaussian kernels F_k from a normalised density p₀, and *any* Gaussian
kernels B_k back, give the end point the weight (Jarzynski, 1997; Neal, 2001)

.. math::
    \log w = \log\tilde\pi(x_K) + \sum_k \log B_k(x_k \mid x_{k+1})
             - \log p_0(x_0) - \sum_k \log F_k(x_{k+1} \mid x_k)

for the target π̃ = Z π. As F and B are normalised, the mean of w is Z and that of w f(x_K) is
:math:`Z\langle f\rangle_\pi`, for any number of steps and any score inside the kernels: a better one
only lowers the variance. Of a noising process B and a learned reversal F nothing needs a divergence.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from samplers.spaces import Space, Torus

__all__ = ["PathWeight", "log_kernel"]


def log_kernel(
    space: Space,
    point: Float[Tensor, "n *shape"],
    mean: Float[Tensor, "n *shape"],
    scale: float | Float[Tensor, " n"],
) -> Float[Tensor, " n"]:
    """Log-density of a Gaussian step in a space; on a torus, of the wrapped normal law.

    Args:
        space: of the points.
        point: where the step ended.
        mean: where it was aimed at.
        scale: standard deviation in each coordinate.
    """
    delta = space.project(space.displacement(mean, point))
    if not isinstance(space, Torus):
        return space.log_normal(delta, scale)
    # every way around counts, as far as 9 standard deviations
    sigma = torch.as_tensor(scale, dtype=delta.dtype, device=delta.device).reshape(-1, 1, 1)
    turns = math.ceil(9 * float(sigma.max()) / (2 * math.pi)) + 1
    images = delta[:, :, None] + 2 * math.pi * torch.arange(-turns, turns + 1, device=delta.device)
    each = -0.5 * (images / sigma) ** 2 - sigma.log() - 0.5 * math.log(2 * math.pi)
    return each.logsumexp(dim=2).sum(dim=1)


@dataclass(frozen=True, eq=False)
class PathWeight:
    """The logarithm of a path weight, kernel by kernel.

    >>> path = PathWeight.begin(space, log_p0)
    >>> path = path.step(x, new, forward=(m, s), backward=(m_back, s_back))  # for every step
    >>> log_weights = path.end(log_density)

    Attributes:
        space: of the points.
        log_weight: so far, without π̃, (n,).
    """

    space: Space
    log_weight: Float[Tensor, " n"]

    @classmethod
    def begin(cls, space: Space, log_density: Float[Tensor, " n"]) -> PathWeight:
        """At points x₀ drawn from p₀.

        Args:
            space: of the points.
            log_density: normalised, log p₀(x₀).
        """
        return cls(space, -log_density.double())

    def step(
        self,
        start: Float[Tensor, "n *shape"],
        end: Float[Tensor, "n *shape"],
        *,
        forward: tuple[Float[Tensor, "n *shape"], float | Float[Tensor, " n"]],
        backward: tuple[Float[Tensor, "n *shape"], float | Float[Tensor, " n"]],
    ) -> PathWeight:
        """Append x_k → x_{k+1}.

        Args:
            start: x_k.
            end: x_{k+1}, drawn from F_k.
            forward: mean, a function of x_k, and standard deviation of F_k(· | x_k).
            backward: mean, a function of x_{k+1}, and standard deviation of B_k(· | x_{k+1}).
        """
        gain = log_kernel(self.space, start, *backward) - log_kernel(self.space, end, *forward)
        return replace(self, log_weight=self.log_weight + gain)

    def end(self, log_density: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
        """The log-weights of the end points.

        Args:
            log_density: log π̃(x_K).
        """
        return self.log_weight + log_density
