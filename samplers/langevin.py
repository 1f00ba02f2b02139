r"""Langevin dynamics at unit temperature: overdamped with and without correction, and underdamped.

:class:`ULA`, the unadjusted Langevin algorithm (Parisi, 1981), samples a law that is wrong by O(h²):

.. math::
    x' = x + \tfrac{h^2}{2}\,\nabla\log\pi(x) + h\,\xi .

:class:`MALA` makes the same step a proposal of Metropolis and Hastings (Roberts and Tweedie, 1996) and
is exact. :class:`BAOAB` has velocities and a friction γ (Leimkuhler and Matthews, 2013): half a kick,
half a drift, the exact Ornstein-Uhlenbeck law of the velocity over h, half a drift, half a kick. Its
error is O(h²), too, but the positions of a Gaussian are exact.

ξ is standard normal in the target's space; masses and kT are one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from samplers.adaptation import AdaptiveStep
from samplers.rng import Streams
from samplers.sampler import Info, Sampler, State, metropolis

__all__ = ["BAOAB", "MALA", "ULA"]


@dataclass(frozen=True)
class ULA(Sampler):
    """Unadjusted Langevin algorithm; biased.

    Attributes:
        step_size: h, in the unit of x.
    """

    step_size: float

    def step(self, state: State, streams: Streams) -> tuple[State, Info]:
        """One step of size h."""
        mean, h = _drifted(state, self.step_size), self.step_size
        noise = state.target.space.normal(streams, "noise", dtype=state.x.dtype)
        return state.moved(mean + h * noise), Info(torch.ones_like(state.log_density))


@dataclass(frozen=True)
class MALA(AdaptiveStep):
    """Metropolis-adjusted Langevin algorithm.

    Attributes:
        step_size: h at the start, in the unit of x.
        target_acceptance: that the warm-up aims at; 0.574 is best in many dimensions.
    """

    step_size: float = 0.1
    target_acceptance: float = 0.574

    def step(self, state: State, streams: Streams) -> tuple[State, Info]:
        """Propose and decide."""
        space, h = state.target.space, self.step_of(state)
        noise = space.normal(streams, "noise", dtype=state.x.dtype)
        proposal = state.moved(_drifted(state, h) + h * noise)
        back = space.displacement(_drifted(proposal, h), state.x) / h
        log_ratio = (
            proposal.log_density - state.log_density
            + 0.5 * _square(noise) - 0.5 * _square(back)
        )  # fmt: skip
        return metropolis(state, proposal, log_ratio, streams)


@dataclass(frozen=True)
class BAOAB(Sampler):
    """Underdamped Langevin dynamics; biased, little for positions.

    Attributes:
        step_size: h, in the unit of x.
        friction: γ, in the inverse of that unit.
    """

    step_size: float
    friction: float = 1.0

    def begin(self, state: State, streams: Streams) -> State:
        """With velocities of the equilibrium."""
        velocity = state.target.space.normal(streams, "velocity", dtype=state.x.dtype)
        return state.remember(velocity=velocity)

    def step(self, state: State, streams: Streams) -> tuple[State, Info]:
        """One step of size h, with one gradient."""
        space, h = state.target.space, self.step_size
        kept = math.exp(-self.friction * h)
        v = state.memory["velocity"] + 0.5 * h * state.gradient
        x = state.x + 0.5 * h * v
        noise = space.normal(streams, "noise", dtype=x.dtype)
        v = kept * v + math.sqrt(1 - kept**2) * noise
        state = state.moved(x + 0.5 * h * v)
        state = state.remember(velocity=v + 0.5 * h * state.gradient)
        return state, Info(torch.ones_like(state.log_density))


def _drifted(state: State, h: float | Tensor) -> Tensor:
    return state.x + 0.5 * h**2 * state.gradient


def _square(x: Tensor) -> Tensor:
    return x.flatten(1).square().sum(dim=1)
