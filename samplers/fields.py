r"""Vector fields on a space and their divergence, for the identities of :mod:`samplers.identities`.

In a subspace with the orthogonal projection P (particles with their centre at the origin) a field f
counts by its projection, whose divergence is the trace of :math:`P\,\partial f\,P`:

.. math::
    \operatorname{div} f = \sum_i (P e_i)\cdot\partial f\,(P e_i)
                         = \mathbb E\,[v\cdot\partial f\,v],
    \qquad \operatorname{cov} v = P,

over all coordinates i of the full space, or by Hutchinson's (1989) random probes v. The Laplacian of
log π is the divergence of its gradient.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import final

import torch
from jaxtyping import Float
from torch import Tensor

from samplers.rng import Streams
from samplers.spaces import Space, Torus
from samplers.target import Target

__all__ = ["Field", "Position", "Sine", "Smooth", "laplacian"]


class Field(ABC):
    """A vector field that knows its divergence."""

    @property
    @abstractmethod
    def name(self) -> str:
        """For the record."""

    @abstractmethod
    def at(
        self, x: Float[Tensor, "n *shape"], space: Space
    ) -> tuple[Float[Tensor, "n *shape"], Float[Tensor, " n"]]:
        """The field, which need not be projected, and its divergence in the space."""


@final
@dataclass(frozen=True)
class Position(Field):
    """f = x, for linear spaces."""

    @property
    def name(self) -> str:
        """For the record."""
        return "x"

    def at(self, x: Tensor, space: Space) -> tuple[Tensor, Tensor]:
        """Its divergence is the dimension."""
        if isinstance(space, Torus):
            raise TypeError("got the field x on a torus, where it jumps; try the field Sine()")
        return x, x.new_full((len(x),), float(space.dimension))


@final
@dataclass(frozen=True)
class Sine(Field):
    """f = sin(frequency · x + phase) in each coordinate: bounded, and periodic on a torus.

    Attributes:
        frequency: in radians per unit of x; a whole number on a torus.
        phase: in radians.
    """

    frequency: float = 1.0
    phase: float = 0.0

    @property
    def name(self) -> str:
        """For the record."""
        return f"sin({self.frequency:g} x + {self.phase:g})"

    def at(self, x: Tensor, space: Space) -> tuple[Tensor, Tensor]:
        """Its derivative is diagonal, so its divergence needs the diagonal of P alone."""
        if isinstance(space, Torus) and not float(self.frequency).is_integer():
            raise ValueError(
                f"got the frequency {self.frequency:g} on a torus; wanted a whole number, without "
                "which the field jumps"
            )
        angle = self.frequency * x + self.phase
        diagonal = _axes(space, x).flatten(1).diagonal()
        return angle.sin(), self.frequency * (angle.cos().flatten(1) @ diagonal)


@final
@dataclass(frozen=True)
class Smooth(Field):
    """Any field; its divergence is exact, by automatic differentiation along every coordinate.

    Attributes:
        title: its name.
        function: (n, *shape) to (n, *shape), differentiable by torch, each row for itself.
    """

    title: str
    function: Callable[[Tensor], Tensor]

    @property
    def name(self) -> str:
        """As given."""
        return self.title

    def at(self, x: Tensor, space: Space) -> tuple[Tensor, Tensor]:
        """As many backward passes as there are coordinates."""
        return _along(self.function, x, _axes(space, x))


def laplacian(
    target: Target,
    x: Float[Tensor, "n *shape"],
    streams: Streams | None = None,
    *,
    probes: int = 1,
    step: float | None = None,
) -> Float[Tensor, " n"]:
    """Laplacian of a log-density in its space.

    Exact without ``streams``, at the price of every coordinate; unbiased with them, from probes of
    random signs.

    Args:
        target: its log-density must be differentiable twice by torch, or a ``step`` be given.
        x: points.
        streams: one for each point.
        probes: for each point.
        step: take central differences of gradients, of this length in the unit of x; two gradient
            calls for each direction. 1e-4 of the shortest length in the problem is a good one.
    """
    space = target.space
    directions: Iterable[Tensor] = _axes(space, x)
    if streams is not None:
        signs = 2.0 * streams.integers("signs", 2, probes, *space.shape).to(x.dtype) - 1
        directions = [space.project(v) / math.sqrt(probes) for v in signs.unbind(dim=1)]
    if step is None:
        return _along(lambda points: _gradient(target, points), x, directions)[1]
    total = x.new_zeros(len(x))
    for v in directions:
        ahead, behind = (target.evaluate(x + sign * step * v).gradient for sign in (1, -1))
        total = total + ((ahead - behind) * v).flatten(1).sum(dim=1) / (2 * step)
    return total


def _gradient(target: Target, x: Tensor) -> Tensor:
    """Differentiable once more."""
    (found,) = torch.autograd.grad(target.log_density(x).sum(), x, create_graph=True)
    return found


def _axes(space: Space, like: Tensor) -> Tensor:
    """P e_i for all coordinates i of the full space, (d, *shape)."""
    size = math.prod(space.shape)
    axes = torch.eye(size, dtype=like.dtype, device=like.device)
    return space.project(axes.reshape(size, *space.shape))


def _along(
    function: Callable[[Tensor], Tensor], x: Tensor, directions: Iterable[Tensor]
) -> tuple[Tensor, Tensor]:
    """The field, and Σ v · ∂f v over directions that are the same for all points or (n, *shape)."""
    total = x.new_zeros(len(x))
    with torch.enable_grad():
        leaf = x.detach().requires_grad_()
        field = function(leaf)
        if field.requires_grad:  # a constant has no divergence
            for v in directions:
                (pulled,) = torch.autograd.grad(
                    (field * v).sum(), leaf, retain_graph=True, materialize_grads=True
                )
                total = total + (pulled * v).flatten(1).sum(dim=1)
    return field.detach(), total
