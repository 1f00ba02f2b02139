r"""Blocks between the orbital shells of two atoms, as irreps.

A block B has one row for every orbital of the left atom and one column for every orbital of the
right one; the orbitals of a shell of degree *l* are the components m = -l..l. Under a rotation
:math:`B \to D B D^T`. Two decompositions, both orthogonal:

* between two atoms, in the frame of their bond (:mod:`genmol.algebra.so2`), a product of orders
  m1 and m2 holds the orders m1+m2 and |m1-m2| of O(2):

  .. math::
      (cc + ss,\; sc - cs)/\sqrt2 \text{ of order } m_1 - m_2, \qquad
      (cc - ss,\; cs + sc)/\sqrt2 \text{ of order } m_1 + m_2

  with cs = cosine row, sine column. Every component has at most two terms, so that the change of
  basis costs two look-ups. A two-centre integral has only order 0 here (Slater and Koster 1954).
* on one atom, :math:`B^{l_1 l_2} = \sum_L C^{L}_{l_1 l_2} f^L`, of natural parity where
  l1+l2+L is even and of the other parity where it is odd.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from genmol.algebra.so2 import FrameFeatures
from genmol.algebra.so3 import coupling

__all__ = ["BondBlocks", "ShellRotation", "SiteBlocks", "shell_slices"]


def shell_slices(shells: Sequence[int]) -> list[slice]:
    """Where each shell's components lie."""
    stops = torch.tensor([2 * l + 1 for l in shells]).cumsum(0).tolist()
    return [slice(stop - 2 * l - 1, stop) for l, stop in zip(shells, stops, strict=True)]


class ShellRotation:
    """The matrix that turns the orbitals of an atom into the frame of an edge."""

    def __init__(self, shells: Sequence[int]) -> None:
        self.shells = list(shells)

    def __call__(self, wigner: Sequence[Tensor]) -> Float[Tensor, "n width width"]:
        """Block-diagonal (n_edges, width, width) from D^0, D^1, ..., each (n_edges, 2l+1, 2l+1)."""
        slices = shell_slices(self.shells)
        matrix = wigner[0].new_zeros(len(wigner[0]), slices[-1].stop, slices[-1].stop)
        for l, where in zip(self.shells, slices, strict=True):
            matrix[:, where, where] = wigner[l]
        return matrix


class BondBlocks(nn.Module):
    """Blocks in edge frames <-> irreps of O(2).

    Args:
        shells: degree of every shell, the same on both sides.

    Attributes:
        channels: number of irreps 0+, 0-, 1, 2, ... in a block.
        shell_pair: (sum of size·channels,) for every component, in order of the features, the pair
            of shells that it belongs to.
    """

    index: Tensor
    factor: Tensor
    back_index: Tensor
    back_factor: Tensor

    def __init__(self, shells: Sequence[int]) -> None:
        super().__init__()
        self.width = sum(2 * l + 1 for l in shells)
        irreps: list[list[tuple[int, list[dict[tuple[int, int], float]]]]]
        irreps = [[] for _ in range(2 + 2 * max(shells))]
        for a, (l1, rows) in enumerate(zip(shells, shell_slices(shells), strict=True)):
            for b, (l2, columns) in enumerate(zip(shells, shell_slices(shells), strict=True)):
                for order, components in _couple(l1, l2):
                    placed = [
                        {(rows.start + r, columns.start + c): x for (r, c), x in component.items()}
                        for component in components
                    ]
                    irreps[order].append((a * len(shells) + b, placed))
        self.channels = [len(found) for found in irreps]
        matrix, self.shell_pair = [], []
        for found in irreps:
            for k in range(len(found[0][1]) if found else 0):  # component, then channel
                for pair, components in found:
                    matrix.append(components[k])
                    self.shell_pair.append(pair)
        self.sizes = [1, 1, *[2] * (len(irreps) - 2)]
        flat = [{r * self.width + c: x for (r, c), x in row.items()} for row in matrix]
        self._two_terms("index", "factor", flat)
        back: list[dict[int, float]] = [{} for _ in range(self.width**2)]
        for i, row in enumerate(flat):
            for j, x in row.items():
                back[j][i] = x
        self._two_terms("back_index", "back_factor", back)

    def _two_terms(self, index: str, factor: str, rows: list[dict[int, float]]) -> None:
        """Register a sparse matrix with at most two elements a row."""
        padded = [([*row.items()] + [(0, 0.0)] * 2)[:2] for row in rows]
        self.register_buffer(
            index, torch.tensor([[i for i, _ in row] for row in padded]).T.contiguous(), False
        )
        values = torch.tensor([[x for _, x in row] for row in padded], dtype=torch.float64)
        self.register_buffer(factor, values.T.contiguous(), False)

    def to_irreps(self, blocks: Float[Tensor, "n width width"]) -> FrameFeatures:
        """Irreps (n_edges, size, channels) of blocks in the frames of their edges."""
        return self.split(_apply(blocks.flatten(1), self.index, self.factor))

    def to_blocks(self, features: FrameFeatures) -> Float[Tensor, "n width width"]:
        """Undo :meth:`to_irreps`."""
        flat = torch.cat([x.flatten(1) for x in features], dim=1)
        return _apply(flat, self.back_index, self.back_factor).unflatten(
            1, (self.width, self.width)
        )

    def split(self, flat: Float[Tensor, "n components"]) -> FrameFeatures:
        """Components of all irreps in a row -> features."""
        parts = flat.split([s * n for s, n in zip(self.sizes, self.channels, strict=True)], dim=1)
        return [x.unflatten(1, (s, -1)) for s, x in zip(self.sizes, parts, strict=True)]


def _apply(flat: Tensor, index: Tensor, factor: Tensor) -> Tensor:
    f = factor.to(flat.dtype)
    return flat.index_select(1, index[0]) * f[0] + flat.index_select(1, index[1]) * f[1]


def _couple(l1: int, l2: int) -> list[tuple[int, list[dict[tuple[int, int], float]]]]:
    """All irreps in the block of two shells: index, and per component {(row, column): factor}."""
    h = 0.5**0.5
    found: list[tuple[int, list[dict[tuple[int, int], float]]]] = [(0, [{(l1, l2): 1.0}])]
    found += [(1 + m, [{(l1, l2 + m): 1.0}, {(l1, l2 - m): 1.0}]) for m in range(1, l2 + 1)]
    found += [(1 + m, [{(l1 + m, l2): 1.0}, {(l1 - m, l2): 1.0}]) for m in range(1, l1 + 1)]
    for m1 in range(1, l1 + 1):
        for m2 in range(1, l2 + 1):
            cc, cs = (l1 + m1, l2 + m2), (l1 + m1, l2 - m2)
            sc, ss = (l1 - m1, l2 + m2), (l1 - m1, l2 - m2)
            found.append((1 + m1 + m2, [{cc: h, ss: -h}, {cs: h, sc: h}]))
            even, odd = {cc: h, ss: h}, {sc: h, cs: -h}  # cosine, sine of m1 - m2
            if m1 == m2:
                found += [(0, [even]), (1, [odd])]
            elif m1 > m2:
                found.append((1 + m1 - m2, [even, odd]))
            else:
                found.append((1 + m2 - m1, [even, {k: -x for k, x in odd.items()}]))
    return found


class SiteBlocks(nn.Module):
    """Blocks of one atom with itself <-> irreps of O(3).

    Args:
        shells: degree of every shell.

    Attributes:
        channels: for every degree L, the number of irreps of natural and of the other parity.
    """

    basis: Tensor

    def __init__(self, shells: Sequence[int]) -> None:
        super().__init__()
        self.width = sum(2 * l + 1 for l in shells)
        top = 2 * max(shells)
        columns: list[tuple[list[Tensor], list[Tensor]]] = [([], []) for _ in range(top + 1)]
        slices = shell_slices(shells)
        for l1, rows in zip(shells, slices, strict=True):
            for l2, cols in zip(shells, slices, strict=True):
                for degree in range(abs(l1 - l2), l1 + l2 + 1):
                    basis = torch.zeros(self.width, self.width, 2 * degree + 1, dtype=torch.float64)
                    basis[rows, cols] = coupling(l1, l2, degree)
                    columns[degree][(l1 + l2 + degree) % 2].append(basis.flatten(0, 1))
        self.channels = [(len(natural), len(other)) for natural, other in columns]
        stacked = [
            torch.stack(found, dim=2).flatten(1) for both in columns for found in both if found
        ]
        self.register_buffer("basis", torch.cat(stacked, dim=1), persistent=False)

    @property
    def l_max(self) -> int:
        """Highest degree in a block."""
        return len(self.channels) - 1

    def to_irreps(self, blocks: Float[Tensor, "n width width"]) -> list[tuple[Tensor, Tensor]]:
        """For every degree: natural and other parity, each (n_atoms, 2L+1, channels)."""
        flat = blocks.flatten(1) @ self.basis.to(blocks.dtype)
        shapes = [(2 * l + 1, n) for l, both in enumerate(self.channels) for n in both]
        parts = flat.split([size * n for size, n in shapes], dim=1)
        irreps = [x.unflatten(1, shape) for x, shape in zip(parts, shapes, strict=True)]
        return list(zip(irreps[::2], irreps[1::2], strict=True))

    def to_blocks(self, irreps: Sequence[tuple[Tensor, Tensor]]) -> Float[Tensor, "n width width"]:
        """Undo :meth:`to_irreps`."""
        flat = torch.cat([x.flatten(1) for both in irreps for x in both], dim=1)
        return (flat @ self.basis.to(flat.dtype).T).unflatten(1, (self.width, self.width))
