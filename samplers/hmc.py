r"""Hamiltonian Monte Carlo (Duane, Kennedy, Pendleton and Roweth, 1987).

A momentum p ~ N(0, 1) is drawn, the Hamiltonian

.. math::
    H(x, p) = -\log\pi(x) + \tfrac12 |p|^2

is followed for L leapfrog steps of size ε,

.. math::
    p \leftarrow p + \tfrac{\epsilon}{2} \nabla\log\pi(x), \quad
    x \leftarrow x + \epsilon\, p, \quad
    p \leftarrow p + \tfrac{\epsilon}{2} \nabla\log\pi(x),

and the end is accepted with probability min(1, exp(−ΔH)): leapfrog is reversible and keeps volume, so
this is exact for any ε. Where scales differ, coordinates are measured in units of ``scale``, which is a
diagonal mass matrix, :math:`M^{-1/2}`. Each trajectory's ε is drawn within ± ``jitter`` around the step
size, which breaks resonances with the periods of the target.

A trajectory along which H varies by more than 1000 has blown up. It ends there and is refused, before its
numbers overflow; the way back along the same points would be refused as well, so this too is exact.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from samplers.adaptation import AdaptiveStep
from samplers.rng import Streams
from samplers.sampler import Info, State, metropolis

__all__ = ["HMC"]

_BLOWN_UP = 1000.0


@dataclass(frozen=True, eq=False)
class HMC(AdaptiveStep):
    """Hamiltonian Monte Carlo with a fixed number of leapfrog steps.

    Attributes:
        step_size: ε at the start, in the unit of x (or of ``scale``).
        leaps: L, and gradients a step.
        jitter: share by which ε varies from trajectory to trajectory.
        target_acceptance: that the warm-up aims at.
        scale: typical deviations of the coordinates, broadcast against a point; None for one.
    """

    step_size: float = 0.1
    leaps: int = 10
    jitter: float = 0.2
    target_acceptance: float = 0.75
    scale: Tensor | None = None

    def begin(self, state: State, streams: Streams) -> State:
        """With every chain at the given step size.

        Raises:
            ValueError: a ``scale`` that does not keep the space, such as one for each particle where
                the centre is fixed.
        """
        if self.scale is not None:
            space = state.target.space
            inside = self.scale * space.normal(streams, "probe", dtype=state.x.dtype)
            if not torch.allclose(space.project(inside), inside):
                raise ValueError(
                    f"scales that leave the space {space}; wanted the same scale for all "
                    "coordinates that a constraint connects: drop scale, or sample other coordinates"
                )
        return super().begin(state, streams)

    def step(self, state: State, streams: Streams) -> tuple[State, Info]:
        """One trajectory of L gradients."""
        space, scale = state.target.space, 1.0 if self.scale is None else self.scale
        spread = 2 * streams.uniform("jitter", dtype=state.x.dtype) - 1
        jitter = 1 + self.jitter * spread.reshape(-1, *[1] * (state.x.ndim - 1))
        epsilon = self.step_of(state) * jitter
        momentum = space.normal(streams, "momentum", dtype=state.x.dtype)
        end, p = state, momentum
        lowest = highest = _square(momentum) / 2 - state.log_density
        lost = torch.zeros_like(lowest, dtype=torch.bool)
        for _ in range(self.leaps):
            p = p + 0.5 * epsilon * scale * end.gradient
            x = end.x + epsilon * scale * p
            # a trajectory that has blown up stays where it is, and is refused below
            lost = lost | ~x.flatten(1).isfinite().all(dim=1)
            end = end.moved(torch.where(_rows(lost, x), end.x, x))
            p = p + 0.5 * epsilon * scale * end.gradient
            energy = _square(p) / 2 - end.log_density
            lowest, highest = torch.minimum(lowest, energy), torch.maximum(highest, energy)
            lost = lost | ~(highest - lowest <= _BLOWN_UP)
        p = torch.where(_rows(lost, p), torch.inf, p)
        difference = 0.5 * (_square(p) - _square(momentum))
        log_ratio = end.log_density - state.log_density - difference
        state, info = metropolis(state, end, log_ratio, streams)
        return state, Info(info.acceptance, {**info.details, "energy_error": -log_ratio})


def _rows(chosen: Tensor, like: Tensor) -> Tensor:
    return chosen.reshape(-1, *[1] * (like.ndim - 1))


def _square(x: Tensor) -> Tensor:
    return x.flatten(1).square().sum(dim=1)
