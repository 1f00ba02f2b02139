r"""What a flow does to a density: log p carried along dx/dt = v(x, t).

.. math:: \frac{d}{dt} \log p_t(x_t) = -\operatorname{div} v(x_t, t)

(Chen et al., 2018). The divergence is exact, at one backward pass for each coordinate, or Hutchinson's
(1989) estimate from random signs u, E[u · ∂v u]. A log p that scatters makes weights exp(−log p) that
are biased: the estimate is for losses and averages of log p, not for weights.

A flow solved with finite steps is not the one whose divergence was summed. So :func:`likelihood` says
how much log p changes when the solver is refined, and how far from home the way there and back ends.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from samplers.ode import Solver, Velocity, flow
from samplers.rng import Streams
from samplers.spaces import Space

__all__ = ["Likelihood", "Transport", "likelihood", "transport"]


class Transport(NamedTuple):
    """Where a flow brings points, and log p there less log p where they began."""

    x: Float[Tensor, "n *shape"]
    log_change: Float[Tensor, " n"]


def transport(
    velocity: Velocity,
    x: Float[Tensor, "n *shape"],
    solver: Solver,
    *,
    space: Space,
    streams: Streams | None = None,
    probes: int = 1,
) -> Transport:
    """Carry points along with the change of their log-density; without derivatives.

    Args:
        velocity: v(x, t), differentiable by torch in x, each row for itself.
        x: points at the solver's start.
        solver: from when to when, and how.
        space: of the points; densities are per volume of it.
        streams: one for each point, for Hutchinson's estimate; exact when None.
        probes: of the estimate, for each point.
    """
    size = math.prod(space.shape)
    if streams is None:
        axes = torch.eye(size, dtype=x.dtype, device=x.device).reshape(size, 1, *space.shape)
        directions = list(space.project(axes))
    else:
        signs = 2.0 * streams.integers("signs", 2, probes, *space.shape).to(x.dtype) - 1
        directions = [space.project(u) / math.sqrt(probes) for u in signs.unbind(dim=1)]

    def joint(state: Tensor, t: Tensor) -> Tensor:
        with torch.enable_grad():
            leaf = state[:, :size].reshape(x.shape).detach().requires_grad_()
            v = space.project(velocity(leaf, t))
            divergence = x.new_zeros(len(x))
            for u in directions if v.requires_grad else []:  # a constant has none
                (pulled,) = torch.autograd.grad(
                    (v * u).sum(), leaf, retain_graph=True, materialize_grads=True
                )
                divergence = divergence + (pulled * u).flatten(1).sum(dim=1)
        return torch.cat([v.detach().flatten(1), -divergence[:, None]], dim=1)

    with torch.no_grad():
        state = torch.cat([x.flatten(1), x.new_zeros(len(x), 1)], dim=1)
        state = solver.solve(joint, state)
    return Transport(space.wrap(state[:, :size].reshape(x.shape)), state[:, size])


class Likelihood(NamedTuple):
    """Log-densities with what is known of their error.

    Attributes:
        log_density: by the refined solver, (n,).
        change: of log p when the solver was refined, (n,): the error is about as large or smaller.
        round_trip: distance from where the way there and back ends, (n,), in the unit of x.
    """

    log_density: Float[Tensor, " n"]
    change: Float[Tensor, " n"]
    round_trip: Float[Tensor, " n"]


def likelihood(
    velocity: Velocity,
    x: Float[Tensor, "n *shape"],
    solver: Solver,
    *,
    space: Space,
    prior: Callable[[Tensor], Tensor],
    streams: Streams | None = None,
    probes: int = 1,
) -> Likelihood:
    """Log-density of the law that the flow makes of a prior.

    Args:
        velocity: v(x, t), differentiable by torch in x, each row for itself.
        x: float64 points at which it is asked for.
        solver: from the time of ``x`` to that of the prior.
        space: of the points.
        prior: normalised log-density at the solver's end, (n, *shape) to (n,).
        streams: one for each point, for Hutchinson's estimate; exact when None.
        probes: of the estimate, for each point.
    """
    if x.dtype != torch.float64:
        raise ValueError(
            f"got points of {x.dtype}; wanted float64, in which sums of divergences keep their digits: "
            "use x.double() and a velocity of float64"
        )
    found = []
    for used in (solver, solver.refined()):
        end, change = transport(velocity, x, used, space=space, streams=streams, probes=probes)
        found.append(prior(end) - change)
    with torch.no_grad():
        home = flow(velocity, end, solver.refined().reversed(), space=space)
    return Likelihood(found[1], (found[1] - found[0]).abs(), space.distance(x, home))
