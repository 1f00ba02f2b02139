r"""Symmetry for nothing: equal atoms exchange their places, and what has no handedness is mirrored.

If g is a proper permutation of the molecule (:mod:`genmol.chem.automorphisms`), :math:`x'_i = x_{g(i)}`
is the same geometry with equal atoms renumbered; if the molecule is not chiral, so is :math:`x'_i =
-x_{m(i)}` with its mirror permutation m. Both keep U, turn forces along, and form a group G. A uniformly
drawn element of G is a symmetric proposal that is always accepted, at no call of the potential, and
makes equivalent rotamers and mirror images visited as equally as they should be, however high the
barriers between them.

The energies of a conformer and its images are compared before the move is used: a potential that
tells them apart is none of those that we know, and gets no such moves.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from genmol.chem.automorphisms import automorphisms, mirror_permutation
from genmol.chem.species import Species
from samplers.rng import Streams
from samplers.sampler import Info, Sampler, State

__all__ = ["Group", "Renumbering"]


@dataclass(frozen=True, eq=False)
class Group:
    """Renumberings of a molecule, with mirrorings where it is not chiral.

    Attributes:
        factors: (f, n_atoms) permutations each; an element is one of each, one after the other.
        mirror: m; None for a chiral molecule.
    """

    factors: tuple[Int[Tensor, "f n_atoms"], ...]
    mirror: Int[Tensor, " n_atoms"] | None

    @classmethod
    def of(cls, species: Species) -> Group:
        """All that are known."""
        proper = automorphisms(species)
        parts = (proper.representatives, *proper.factors)
        mirror = mirror_permutation(species)
        return cls(
            tuple(torch.from_numpy(np.stack(part).astype(np.int64)) for part in parts),
            None if mirror is None else torch.from_numpy(np.array(mirror, dtype=np.int64)),
        )

    @property
    def size(self) -> int:
        """How many elements."""
        count = 1 if self.mirror is None else 2
        for factor in self.factors:
            count *= len(factor)
        return count

    def draw(self, x: Tensor, streams: Streams) -> tuple[Int[Tensor, "n n_atoms"], Tensor]:
        """A permutation and a sign for each row of ``x``."""
        u = streams.uniform("element", len(self.factors) + 1)
        choices = [
            (u[:, k] * len(f)).long().clamp_max(len(f) - 1) for k, f in enumerate(self.factors)
        ]
        order = self.factors[0][choices[0]]
        for factor, choice in zip(self.factors[1:], choices[1:], strict=True):
            order = order.gather(1, factor[choice])
        sign = torch.ones(len(x), dtype=x.dtype)
        if self.mirror is not None:
            mirrored = u[:, -1] < 0.5
            order = torch.where(mirrored[:, None], order[:, self.mirror], order)
            sign = torch.where(mirrored, -sign, sign)
        return order, sign

    def images(
        self, x: Float[Tensor, "n_atoms 3"], *, most: int
    ) -> Iterator[Float[Tensor, "n_atoms 3"]]:
        """The first elements of the group applied to a geometry, itself among them.

        Args:
            x: Å.
            most: how many.
        """
        return islice(self._images(x), most)

    def _images(self, x: Tensor) -> Iterator[Tensor]:
        index = torch.cartesian_prod(*(torch.arange(len(f)) for f in self.factors))
        for row in index.reshape(-1, len(self.factors)).tolist():
            order = self.factors[0][row[0]]
            for factor, k in zip(self.factors[1:], row[1:], strict=True):
                order = order[factor[k]]
            yield x[order]
            if self.mirror is not None:
                yield -x[order][self.mirror]


@dataclass(frozen=True, eq=False)
class Renumbering(Sampler):
    """A random element of the group, always accepted.

    Attributes:
        group: of the molecule.
    """

    group: Group

    def step(self, state: State, streams: Streams) -> tuple[State, Info]:
        """Renumber and mirror; points and gradients alike."""
        order, sign = self.group.draw(state.x, streams)
        index = order[:, :, None].expand_as(state.x)
        moved = State(
            state.target,
            sign[:, None, None] * state.x.gather(1, index),
            state.log_density,
            sign[:, None, None] * state.gradient.gather(1, index),
            state.memory,
        )
        return moved, Info(torch.ones_like(state.log_density))
