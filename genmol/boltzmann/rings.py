r"""Ring moves: a part of a ring is mirrored, and everything attached to the ring keeps its place on it.

Let A be some atoms of a ring and Π the plane through two other atoms p, q of the ring and a third point,
a mean of further ring atoms; no atom of A has a say in Π. The move has two halves.

1. Atoms of A are mirrored in Π. Where A is the arc between p and q (a *flap*), all distances within
   the arc and from it to p and q stay, so no bond of the ring changes. Where A is all of the ring but
   three atoms that span Π (*inversion*), the whole ring becomes its mirror image: every distance and
   angle of the ring stays, every torsion changes sign. That is the way of a chair to the other chair.
2. The groups attached to a ring atom a follow as rigid bodies. With the right-handed frame

   .. math::
       e_1 \propto \frac{x_{a-1} - x_a}{|x_{a-1} - x_a|} + \frac{x_{a+1} - x_a}{|x_{a+1} - x_a|},
       \qquad e_3 \propto (x_{a-1} - x_a) \times (x_{a+1} - x_a), \qquad e_2 = e_3 \times e_1

   of its neighbours in the ring, :math:`E = (e_1, e_2, e_3)`, before and E' after the first half,

   .. math:: x_s' = x_a' + E'E^\top (x_s - x_a)

   for all atoms s of groups at a. E'Eᵀ is a rotation and not a reflection, so groups and the
   handedness of a stay as they are; what was axial becomes equatorial.

*Reversible.* Π and A are the same after the move, mirroring twice is nothing, and the frames come
back with the ring: the move is its own inverse. Parts are drawn without looking at the geometry. Hence
:math:`q(x' \mid x) = q(x \mid x')`. *Jacobian.* Given all else the first half is a reflection of A, |det|
= 1; given the ring, the second is a rotation of each x_s, det = 1; the derivative of both together is
block triangular. For centred coordinates see :mod:`genmol.boltzmann.moves`.

A group may hang on one ring atom only. In fused and bridged rings this leaves the flaps that keep
clear of the shared atoms; their inversion would change a stereocentre.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from genmol.chem.rings import flexible_rings
from genmol.chem.species import Species
from samplers.moves import Proposal, Proposed
from samplers.rng import Streams
from samplers.sampler import State

__all__ = ["RingMirror"]

Neighbours = Sequence[Sequence[int]]


@dataclass(frozen=True, eq=False)
class RingMirror(Proposal):
    """Mirrors a part of a ring, drawn at random.

    Attributes:
        mirrored: A of each part, (k, n_atoms).
        line: p and q, (k, 2).
        third: weights of the atoms whose mean is the third point of Π, (k, n_atoms).
        host: the ring atom that carries each atom, (k, n_atoms); itself for those that are not carried.
        before: a − 1 of the host, (k, n_atoms).
        after: a + 1 of the host.
        weights: with which parts are drawn, (k,).
    """

    mirrored: Bool[Tensor, "k n_atoms"]
    line: Int[Tensor, "k 2"]
    third: Float[Tensor, "k n_atoms"]
    host: Int[Tensor, "k n_atoms"]
    before: Int[Tensor, "k n_atoms"]
    after: Int[Tensor, "k n_atoms"]
    weights: Float[Tensor, " k"]

    @classmethod
    def of(cls, species: Species) -> RingMirror | None:
        """All parts of the flexible rings of a molecule; a ring's inversion as often as all its flaps.

        None where there is nothing to mirror.
        """
        near = species.neighbours
        parts: list[_Part] = []
        for ring in flexible_rings(species):
            flaps = [p for arc in _arcs(ring) if (p := _part(ring, *arc, near))]
            whole = _part(ring, *_inversion(ring), near)
            parts += [p.weighing(1 / len(flaps)) for p in flaps]
            parts += [whole] if whole else []
        if not parts:
            return None
        columns = {name: torch.stack([getattr(p, name) for p in parts]) for name in _COLUMNS}
        return cls(**columns)

    def propose(self, state: State, streams: Streams) -> Proposed:
        """One part for each chain; its own inverse."""
        part = streams.choice("part", self.weights.expand(len(state.x), -1))
        return Proposed(self.move(state.x, part), torch.zeros_like(state.log_density))

    def move(
        self, x: Float[Tensor, "n n_atoms 3"], part: Int[Tensor, " n"]
    ) -> Float[Tensor, "n n_atoms 3"]:
        """Both halves.

        Args:
            x: positions, Å.
            part: of each structure.
        """
        row = torch.arange(len(x), device=x.device)
        p, q = x[row, self.line[part, 0]], x[row, self.line[part, 1]]
        third = torch.einsum("na,nak->nk", self.third[part].to(x.dtype), x)
        normal = torch.nn.functional.normalize(torch.linalg.cross(q - p, third - p), dim=1)
        height = ((x - p[:, None]) * normal[:, None]).sum(dim=2, keepdim=True)
        y = torch.where(self.mirrored[part][:, :, None], x - 2 * height * normal[:, None], x)
        row, host = row[:, None], self.host[part]
        ends = self.before[part], self.after[part]
        old, new = (_frame(z[row, host], *(z[row, e] for e in ends)) for z in (x, y))
        arm = torch.einsum("naik,nai->nak", old, x - x[row, host])
        carried = y[row, host] + torch.einsum("naik,nak->nai", new, arm)
        stays = host == torch.arange(x.shape[1], device=x.device)
        return torch.where(stays[:, :, None], y, carried)


_COLUMNS = ("mirrored", "line", "third", "host", "before", "after", "weights")


@dataclass(frozen=True, eq=False)
class _Part:
    """A row of :class:`RingMirror`."""

    mirrored: Tensor
    line: Tensor
    third: Tensor
    host: Tensor
    before: Tensor
    after: Tensor
    weights: Tensor

    def weighing(self, weight: float) -> _Part:
        return _Part(**{name: getattr(self, name) for name in _COLUMNS[:-1]},
                     weights=torch.tensor(weight, dtype=torch.float64))  # fmt: skip


def _arcs(ring: Sequence[int]) -> Iterable[tuple[set[int], tuple[int, int], set[int]]]:
    """A, (p, q) and the atoms of the third point, for arcs of up to half the ring."""
    n = len(ring)
    for size in range(1, (n - 2) // 2 + 1):
        for k in range(n):
            turned = [ring[(k + j) % n] for j in range(n)]
            yield set(turned[1 : size + 1]), (turned[0], turned[size + 1]), set(turned[size + 2 :])


def _inversion(ring: Sequence[int]) -> tuple[set[int], tuple[int, int], set[int]]:
    n = len(ring)
    p, q, r = ring[0], ring[n // 3], ring[2 * n // 3]
    return set(ring) - {p, q, r}, (p, q), {r}


def _part(
    ring: Sequence[int],
    mirrored: set[int],
    line: tuple[int, int],
    third: set[int],
    near: Neighbours,
) -> _Part | None:
    """None where a group that would follow hangs on two atoms of the ring."""
    n_atoms, n = len(near), len(ring)
    place = {a: k for k, a in enumerate(ring)}
    touched = mirrored | {b for a in mirrored for b in near[a] if b in place}
    host = list(range(n_atoms))
    for a in touched:
        for first in set(near[a]) - place.keys():
            group, holds = _group(first, near, set(ring))
            if holds != {a}:
                return None
            for s in group:
                host[s] = a
    index = torch.tensor(host)
    around = [
        (ring[place[h] - 1], ring[(place[h] + 1) % n]) if h in place else (h, h) for h in host
    ]
    mean = torch.zeros(n_atoms, dtype=torch.float64)
    mean[list(third)] = 1 / len(third)
    mask = torch.zeros(n_atoms, dtype=torch.bool)
    mask[list(mirrored)] = True
    before, after = torch.tensor(around).T
    one = torch.tensor(1.0, dtype=torch.float64)
    return _Part(mask, torch.tensor(line), mean, index, before, after, one)


def _group(first: int, near: Neighbours, ring: set[int]) -> tuple[set[int], set[int]]:
    """Atoms connected to ``first`` without the ring, and the ring atoms they are bonded to."""
    group, holds, stack = {first}, set[int](), [first]
    while stack:
        for b in near[stack.pop()]:
            if b in ring:
                holds.add(b)
            elif b not in group:
                group.add(b)
                stack.append(b)
    return group, holds


def _frame(a: Tensor, before: Tensor, after: Tensor) -> Tensor:
    """E in columns, (..., 3, 3)."""
    u, v = (torch.nn.functional.normalize(z - a, dim=-1) for z in (before, after))
    e1 = torch.nn.functional.normalize(u + v, dim=-1)
    e3 = torch.nn.functional.normalize(torch.linalg.cross(u, v), dim=-1)
    return torch.stack([e1, torch.linalg.cross(e3, e1), e3], dim=-1)
