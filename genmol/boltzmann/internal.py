r"""Internal coordinates of a molecule and their derivatives: bonds, angles, dihedrals, other distances.

With u, v the vectors from the vertex of an angle θ to its ends and hats for unit vectors,

.. math::
    \frac{\partial\theta}{\partial u} = \frac{\cos\theta\,\hat u - \hat v}{|u| \sin\theta},

and for a dihedral φ of a, b, c, d with F = a − b, G = b − c, H = d − c, A = F × G, B = H × G (Blondel and
Karplus, 1996)

.. math::
    \frac{\partial\phi}{\partial a} = -\frac{|G|}{A^2} A, \qquad
    \frac{\partial\phi}{\partial d} = \frac{|G|}{B^2} B, \qquad
    \frac{\partial\phi}{\partial b} = -\frac{\partial\phi}{\partial a} + t, \qquad
    \frac{\partial\phi}{\partial c} = -\frac{\partial\phi}{\partial d} - t, \qquad
    t = \frac{F \cdot G}{A^2 |G|} A - \frac{H \cdot G}{B^2 |G|} B .

Angles at carbons with two neighbours, which are linear, have no derivative and are left out, with the
dihedrals that need them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations, product
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from genmol.chem.species import Species

__all__ = ["Coordinate", "Internal"]

_TINY = 1e-12


class Coordinate(NamedTuple):
    """Coordinates of one kind.

    Attributes:
        values: (n, terms), Å or rad.
        slopes: by the position of each atom of a term, (n, terms, 3) each.
    """

    values: Float[Tensor, "n terms"]
    slopes: tuple[Float[Tensor, "n terms 3"], ...]


@dataclass(frozen=True, eq=False)
class Internal:
    """Which atoms make up the internal coordinates.

    Attributes:
        bonds: (b, 2).
        angles: (a, 3), the vertex in the middle.
        dihedrals: (d, 4).
        pairs: (p, 2), those that are neither bonded nor ends of an angle.
    """

    bonds: Int[Tensor, "b 2"]
    angles: Int[Tensor, "a 3"]
    dihedrals: Int[Tensor, "d 4"]
    pairs: Int[Tensor, "p 2"]

    @classmethod
    def of(cls, species: Species) -> Internal:
        """All of a molecule."""
        near, n = species.neighbours, species.n_atoms
        bent = [species.numbers[i] != 6 or len(near[i]) != 2 for i in range(n)]
        triples = [(a, b, c) for b in range(n) for a, c in combinations(near[b], 2)]
        close = {frozenset(bond) for bond in species.bonds}
        close |= {frozenset((a, c)) for a, _, c in triples}
        dihedrals = [
            (a, b, c, d)
            for b, c in species.bonds
            for a, d in product(near[b], near[c])
            if len({a, b, c, d}) == 4 and bent[b] and bent[c]
        ]
        return cls(
            _table(species.bonds, 2),
            _table([t for t in triples if bent[t[1]]], 3),
            _table(dihedrals, 4),
            _table([p for p in combinations(range(n), 2) if frozenset(p) not in close], 2),
        )

    @property
    def kinds(self) -> tuple[Int[Tensor, "terms atoms"], ...]:
        """All four."""
        return self.bonds, self.angles, self.dihedrals, self.pairs

    def at(self, x: Float[Tensor, "n n_atoms 3"]) -> tuple[Coordinate, ...]:
        """Values and slopes of all four kinds at each geometry (Å)."""
        rules: tuple[Callable[..., Coordinate], ...] = _distance, _angle, _dihedral, _distance
        return tuple(
            rule(*(x[:, kind[:, k]] for k in range(kind.shape[1])))
            for rule, kind in zip(rules, self.kinds, strict=True)
        )

    def gradient(
        self, found: Sequence[Coordinate], by_value: Sequence[Tensor], n_atoms: int
    ) -> Float[Tensor, "n n_atoms 3"]:
        """Chain rule: from derivatives by the coordinates, (n, terms) each, to those by positions.

        Args:
            found: of :meth:`at`.
            by_value: of all four kinds.
            n_atoms: of the molecule.
        """
        total = torch.zeros(len(by_value[0]), n_atoms, 3, dtype=torch.float64)
        for kind, coordinate, weight in zip(self.kinds, found, by_value, strict=True):
            for k, slope in enumerate(coordinate.slopes):
                total.index_add_(1, kind[:, k], weight[:, :, None] * slope)
        return total


def _table(terms: Sequence[tuple[int, ...]], size: int) -> Tensor:
    return torch.tensor(terms, dtype=torch.int64).reshape(-1, size)


def _norm(v: Tensor) -> Tensor:
    return v.norm(dim=2, keepdim=True).clamp_min(_TINY)


def _dot(u: Tensor, v: Tensor) -> Tensor:
    return (u * v).sum(dim=2, keepdim=True)


def _distance(a: Tensor, b: Tensor) -> Coordinate:
    u = a - b
    r = _norm(u)
    slope = u / r
    return Coordinate(r[:, :, 0], (slope, -slope))


def _angle(a: Tensor, b: Tensor, c: Tensor) -> Coordinate:
    u, v = a - b, c - b
    r, s = _norm(u), _norm(v)
    u, v = u / r, v / s
    cosine, sine = _dot(u, v), _norm(torch.linalg.cross(u, v, dim=2))
    first, last = (cosine * u - v) / (r * sine), (cosine * v - u) / (s * sine)
    return Coordinate(torch.atan2(sine, cosine)[:, :, 0], (first, -first - last, last))


def _dihedral(a: Tensor, b: Tensor, c: Tensor, d: Tensor) -> Coordinate:
    f, g, h = a - b, b - c, d - c
    m, n = torch.linalg.cross(f, g, dim=2), torch.linalg.cross(h, g, dim=2)
    length, mm, nn = _norm(g), _dot(m, m).clamp_min(_TINY), _dot(n, n).clamp_min(_TINY)
    sine = _dot(torch.linalg.cross(n, m, dim=2), g) / length
    phi = torch.atan2(sine, _dot(m, n))[:, :, 0]
    first, last = -length / mm * m, length / nn * n
    turn = _dot(f, g) / (mm * length) * m - _dot(h, g) / (nn * length) * n
    return Coordinate(phi, (first, turn - first, -turn - last, last))
