r"""Step sizes found in the warm-up: dual averaging towards a wanted acceptance, chain by chain.

Nesterov's dual averaging as Hoffman and Gelman (2014) use it. With :math:`\delta_m` the wanted minus the
observed acceptance of round m,

.. math::
    \bar H_m = \Bigl(1 - \frac{1}{m + t_0}\Bigr) \bar H_{m-1} + \frac{\delta_m}{m + t_0}, \qquad
    \log\epsilon_m = \mu - \frac{\sqrt m}{\gamma} \bar H_m, \qquad
    \log\bar\epsilon_m = m^{-\kappa} \log\epsilon_m + (1 - m^{-\kappa}) \log\bar\epsilon_{m-1} ,

with :math:`\mu = \log 10\,\epsilon_0`. After the warm-up the step size is :math:`\bar\epsilon` and stays.
Every chain has its own, so that it does not depend on the others.
"""

from __future__ import annotations

import math
from dataclasses import replace

import torch
from torch import Tensor

from samplers.rng import Streams
from samplers.sampler import Info, Sampler, State

__all__ = ["AdaptiveStep"]

_GAMMA, _OFFSET, _KAPPA = 0.05, 10.0, 0.75


class AdaptiveStep(Sampler):
    """A sampler whose ``step_size`` lives in the memory and is learnt in the warm-up."""

    step_size: float
    target_acceptance: float

    def begin(self, state: State, streams: Streams) -> State:  # noqa: ARG002
        """With every chain at the given step size."""
        start = state.log_density.new_full(
            (len(state.x),), math.log(self.step_size), dtype=torch.float64
        )
        zero = torch.zeros_like(start)
        return state.remember(
            log_step=start, log_step_start=start, log_step_mean=start, excess=zero
        )

    def step_of(self, state: State) -> Tensor:
        """Step sizes (n, 1, ...), broadcast against points."""
        sizes = state.memory["log_step"].exp().to(state.x.dtype)
        return sizes.reshape(-1, *[1] * (state.x.ndim - 1))

    def adapt(self, state: State, info: Info, round_: int) -> State:
        """One round of dual averaging."""
        m, memory = float(round_), state.memory
        missing = self.target_acceptance - info.acceptance.double()
        excess = memory["excess"] + (missing - memory["excess"]) / (m + _OFFSET)
        step = memory["log_step_start"] + math.log(10) - math.sqrt(m) / _GAMMA * excess
        weight = m**-_KAPPA
        mean = weight * step + (1 - weight) * memory["log_step_mean"]
        return state.remember(log_step=step, log_step_mean=mean, excess=excess)

    def adapted(self, state: State) -> State:
        """Take the average."""
        return replace(state, memory={**state.memory, "log_step": state.memory["log_step_mean"]})
