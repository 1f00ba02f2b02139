r"""Flows: points carried along dx/dt = v(x, t).

**Steps.** An explicit Runge-Kutta method (Butcher, 1963) is a table a, b, c,

.. math:: k_i = v\bigl(x + h \textstyle\sum_j a_{ij} k_j,\ t + c_i h\bigr), \qquad
          x \leftarrow x + h \textstyle\sum_i b_i k_i ,

with an error of hᵖ over a fixed time, p its order: :data:`EULER` 1, :data:`MIDPOINT` and :data:`HEUN`
2, :data:`RK4` 4. :class:`Fixed` takes its steps from a grid, so that a point's path does not depend
on the batch it is in. :class:`Adaptive` is torchdiffeq (Chen, 2018), whose steps are common to the
batch: each row keeps the tolerance, yet its digits beyond that depend on its batch mates.

**Probability flow.** A diffusion dx = f x dt + g dw of :mod:`samplers.schedules` has the same
densities p_t as the flow (Song et al., 2021)

.. math:: v(x, t) = f(t)\, x - \tfrac12 g(t)^2\, \nabla \log p_t(x) .

On a subspace velocities are projected; on a torus they must be periodic. What a flow does to a
density is in :mod:`samplers.transport`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import final

import torch
import torchdiffeq
from jaxtyping import Float
from torch import Tensor

from samplers.schedules import Schedule
from samplers.spaces import Space

__all__ = [
    "EULER",
    "HEUN",
    "MIDPOINT",
    "RK4",
    "Adaptive",
    "Fixed",
    "FlowError",
    "ProbabilityFlow",
    "RungeKutta",
    "Score",
    "Solver",
    "Velocity",
    "flow",
]

Velocity = Callable[[Tensor, Tensor], Tensor]
"""v(x, t): points (n, *shape) and a time () to velocities (n, *shape)."""

Score = Callable[[Tensor, Tensor], Tensor]
"""The gradient of log p_t: points (n, *shape) and a time () to vectors (n, *shape)."""


class FlowError(ArithmeticError):
    """A flow that could not be followed."""


@dataclass(frozen=True)
class RungeKutta:
    """A table of coefficients.

    Attributes:
        name: of the method.
        order: p.
        nodes: c.
        stages: a, the row of stage i having i numbers.
        weights: b.
    """

    name: str
    order: int
    nodes: tuple[float, ...]
    stages: tuple[tuple[float, ...], ...]
    weights: tuple[float, ...]

    def step(
        self,
        velocity: Velocity,
        x: Float[Tensor, "n *shape"],
        t: Float[Tensor, ""],
        h: Float[Tensor, ""],
    ) -> Float[Tensor, "n *shape"]:
        """From t to t + h."""
        k: list[Tensor] = []
        for c, row in zip(self.nodes, self.stages, strict=True):
            k.append(velocity(_moved(x, h, row, k), t + c * h))
        return _moved(x, h, self.weights, k)


def _moved(x: Tensor, h: Tensor, weights: Iterable[float], k: Iterable[Tensor]) -> Tensor:
    """Point x + h Σ weight · k."""
    for weight, slope in zip(weights, k, strict=True):
        if weight:
            x = x + (weight * h).to(x.dtype) * slope
    return x


EULER = RungeKutta("Euler", 1, (0.0,), ((),), (1.0,))
MIDPOINT = RungeKutta("midpoint", 2, (0.0, 1 / 2), ((), (1 / 2,)), (0.0, 1.0))
HEUN = RungeKutta("Heun", 2, (0.0, 1.0), ((), (1.0,)), (1 / 2, 1 / 2))
RK4 = RungeKutta(
    "RK4",
    4,
    (0.0, 1 / 2, 1 / 2, 1.0),
    ((), (1 / 2,), (0.0, 1 / 2), (0.0, 0.0, 1.0)),
    (1 / 6, 1 / 3, 1 / 3, 1 / 6),
)


class Solver(ABC):
    """From when to when, and how finely."""

    @abstractmethod
    def solve(self, velocity: Velocity, x: Float[Tensor, "n *shape"]) -> Float[Tensor, "n *shape"]:
        """Carry points from the start to the end."""

    @abstractmethod
    def reversed(self) -> Solver:
        """The way back."""

    @abstractmethod
    def refined(self) -> Solver:
        """The same with half the step or half the tolerance."""


@final
@dataclass(frozen=True, eq=False)
class Fixed(Solver):
    """Steps between given times.

    Attributes:
        times: rising or falling, such as :func:`samplers.schedules.uniform_times`.
        method: of one step.
    """

    times: Float[Tensor, " times"]
    method: RungeKutta = RK4

    def solve(self, velocity: Velocity, x: Tensor) -> Tensor:
        """Step by step; each row for itself."""
        for t, following in zip(self.times[:-1], self.times[1:], strict=True):
            x = self.method.step(velocity, x, t, following - t)
        return x

    def reversed(self) -> Fixed:
        """The same times from the last to the first."""
        return replace(self, times=self.times.flip(0))

    def refined(self) -> Fixed:
        """With a time in the middle of every step."""
        middles = (self.times[:-1] + self.times[1:]) / 2
        pairs = torch.stack([self.times[:-1], middles], dim=1).flatten()
        return replace(self, times=torch.cat([pairs, self.times[-1:]]))


@final
@dataclass(frozen=True, eq=False)
class Adaptive(Solver):
    """Steps that keep a tolerance in every row, by torchdiffeq.

    Attributes:
        start: time.
        end: time.
        rtol: relative tolerance of a step.
        atol: absolute tolerance of a step, in the unit of x.
        method: of torchdiffeq.
        adjoint: derivatives by solving backwards, with the memory of one step, instead of through
            all steps.
        parameters: what the velocity depends on and derivatives are wanted by, for ``adjoint``.
    """

    start: float
    end: float
    rtol: float = 1e-6
    atol: float = 1e-8
    method: str = "dopri5"
    adjoint: bool = False
    parameters: tuple[Tensor, ...] = ()

    def solve(self, velocity: Velocity, x: Tensor) -> Tensor:
        """By torchdiffeq."""
        times = torch.tensor([self.start, self.end], dtype=x.dtype, device=x.device)
        more = {"adjoint_params": self.parameters} if self.adjoint else {}
        solver = torchdiffeq.odeint_adjoint if self.adjoint else torchdiffeq.odeint
        try:
            found = solver(
                lambda t, points: velocity(points, t),
                x,
                times,
                rtol=self.rtol,
                atol=self.atol,
                method=self.method,
                options={"norm": _worst_row},
                **more,
            )
        except AssertionError as error:  # how torchdiffeq says that steps vanish
            raise FlowError(
                f"{self.method} from t = {self.start} to {self.end} stopped: {error}. The velocity is "
                "not smooth or not finite: stay away from times at which it is infinite, or take "
                "larger tolerances"
            ) from error
        return found[-1]

    def reversed(self) -> Adaptive:
        """From the end to the start."""
        return replace(self, start=self.end, end=self.start)

    def refined(self) -> Adaptive:
        """With half of both tolerances."""
        return replace(self, rtol=self.rtol / 2, atol=self.atol / 2)


def _worst_row(errors: Tensor) -> Tensor:
    """Root mean square of the worst row: the mean over rows would hide it."""
    return errors.flatten(1).square().mean(dim=1).max().sqrt()


@final
@dataclass(frozen=True, eq=False)
class ProbabilityFlow:
    """The velocity of the probability flow.

    Attributes:
        score: gradient of log p_t.
        schedule: of the noising.
    """

    score: Score
    schedule: Schedule

    def __call__(self, x: Float[Tensor, "n *shape"], t: Float[Tensor, ""]) -> Tensor:
        """Velocity f x − ½ g² s."""
        f, half = self.schedule.drift(t), 0.5 * self.schedule.diffusion(t)
        return f.to(x.dtype) * x - half.to(x.dtype) * self.score(x, t)


def flow(
    velocity: Velocity, x: Float[Tensor, "n *shape"], solver: Solver, *, space: Space
) -> Float[Tensor, "n *shape"]:
    """Carry points along; differentiable by torch.

    Args:
        velocity: v(x, t).
        x: points at the solver's start.
        solver: from when to when, and how.
        space: of the points.
    """
    return space.wrap(solver.solve(lambda points, t: space.project(velocity(points, t)), x))
