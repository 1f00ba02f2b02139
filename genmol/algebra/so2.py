r"""Edge frames: on a bond, rotations reduce to SO(2) and reflections to O(2).

A frame R of an edge turns its direction onto the polar axis, :math:`R \hat r = \hat y`. What is left
of O(3) is the group O(2) of turns about the axis and mirrors through it, whose irreps are

=====  =====  ==================================================================================
index  size   irrep
=====  =====  ==================================================================================
0      1      0+, a scalar
1      1      0-, changes sign under a mirror through the axis
1+m    2      order m > 0: (cosine, sine) part, turning with the angle m·phi
=====  =====  ==================================================================================

Features of an edge are a list of tensors (n_edges, size, channels) in this order. A component of
degree *l* and order ±m is one channel of irrep m: cosine part m ≥ 0, sine part m < 0, and the sine
part changes sign under the mirror. That holds for *natural* parity :math:`(-1)^l`. With the other
parity the mirror acts with the opposite sign: its order 0 is 0-, and a quarter turn,
(cosine, sine) = (y_{-m}, -y_{+m}), brings the orders m > 0 to the same form. One frame thus carries
both parities, and linear maps within an index are *all* O(2)-equivariant linear maps: real ones
between equal parities, the antisymmetric :math:`W_i` of eSCN between unequal ones.

The frame is determined up to a turn about the bond. Nothing here depends on it, and the frame may
therefore jump between directions (Passaro & Zitnick 2023; Yu et al. 2025, arXiv 2506.09398).

**Products.** The components of one channel are the Fourier series
:math:`f(\varphi) = a_0 + \sum_m a_m \cos m\varphi + b_m \sin m\varphi`. The SO(2) tensor product
:math:`c_{m_1 \pm m_2} \mathrel{+}= a_{m_1} b_{m_2}` is the product of two such functions, evaluated
on the circle at 3·m_max+1 points, where the quadrature is exact.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import torch
from jaxtyping import Float
from torch import Tensor, nn

from genmol.algebra.so3 import wigner_matrices

__all__ = [
    "CircleProduct",
    "EdgeFrames",
    "FrameFeatures",
    "O2Linear",
    "edge_rotations",
    "entering_channels",
    "orders",
]

FrameFeatures = list[Tensor]
"""One tensor (n_edges, size, channels) for each irrep 0+, 0-, 1, 2, ... of O(2)."""


def orders(m_max: int) -> list[int]:
    """The order m of every index: 0, 0, 1, ..., m_max."""
    return [0, *range(m_max + 1)]


def edge_rotations(vectors: Float[Tensor, "n 3"]) -> Float[Tensor, "n 3 3"]:
    """Proper rotations that take the directions of ``vectors`` (any length > 0) to the y axis.

    The turn about the axis is fixed by the Cartesian direction that is least aligned with the edge.
    """
    y = nn.functional.normalize(vectors, dim=1, eps=1e-30)
    helper = nn.functional.one_hot(y.detach().abs().argmin(dim=1), 3).to(y)
    x = nn.functional.normalize(helper - (helper * y).sum(1, keepdim=True) * y, dim=1)
    return torch.stack([x, y, torch.linalg.cross(x, y)], dim=1)


@cache
def _order_major(l_max: int) -> tuple[list[int], list[int], list[float]]:
    """Rows of D for natural parity; rows and signs for the other parity; both sorted by order."""
    natural = [l * l + l for l in range(l_max + 1)]
    other, signs = list(natural), [1.0] * (l_max + 1)
    for m in range(1, l_max + 1):
        plus = [l * l + l + m for l in range(m, l_max + 1)]
        minus = [l * l + l - m for l in range(m, l_max + 1)]
        natural += plus + minus
        other += minus + plus
        signs += [1.0] * len(minus) + [-1.0] * len(plus)
    return natural, other, signs


@dataclass(frozen=True)
class EdgeFrames:
    """Frames of all edges and the matrices that bring node features into them.

    Attributes:
        wigner: D^0 to D^l_max, each (n_edges, 2l+1, 2l+1).
        natural: (n_edges, (l_max+1)², (l_max+1)²): node components, degree by degree, to frame
            components, order by order; for features of parity (-1)^l.
        other: the same for features of parity -(-1)^l.
    """

    wigner: list[Tensor]
    natural: Tensor
    other: Tensor

    @classmethod
    def of(cls, vectors: Float[Tensor, "n 3"], l_max: int) -> EdgeFrames:
        """Frames of the edges with the given vectors."""
        return cls.from_rotations(edge_rotations(vectors), l_max)

    @classmethod
    def from_rotations(cls, rotation: Float[Tensor, "n 3 3"], l_max: int) -> EdgeFrames:
        """Frames with given rotations, whose second rows are the directions of the edges."""
        wigner = wigner_matrices(rotation, l_max)
        dim = (l_max + 1) ** 2
        full = rotation.new_zeros(len(rotation), dim, dim)
        for l, matrix in enumerate(wigner):
            full[:, l * l : (l + 1) ** 2, l * l : (l + 1) ** 2] = matrix
        natural, other, signs = _order_major(l_max)
        in_order, turned = (
            full.index_select(1, torch.tensor(rows, device=full.device))
            for rows in (natural, other)
        )
        return cls(wigner, in_order, turned * full.new_tensor(signs)[:, None])

    @property
    def l_max(self) -> int:
        """Highest degree."""
        return len(self.wigner) - 1

    def enter(
        self, natural: Tensor, other: Tensor, beside: FrameFeatures | None = None
    ) -> FrameFeatures:
        """Bring features of each edge's end into its frame.

        Args:
            natural: (n_edges, (l_max+1)², channels), parity (-1)^l.
            other: (n_edges, (l_max+1)², channels'), parity -(-1)^l.
            beside: features that are in the frame already, to be appended.
        """
        size = self.l_max + 1
        rows = [size, *[2 * (size - m) for m in range(1, size)]]
        n, *ns = (self.natural @ natural).split(rows, dim=1)
        o, *os = (self.other @ other).split(rows, dim=1)
        parts = [[n.flatten(1)[:, None]], [o.flatten(1)[:, None]]]
        parts += [
            [x.reshape(len(x), 2, x.shape[1] // 2 * x.shape[2]) for x in both]
            for both in zip(ns, os, strict=True)
        ]
        if beside is not None:
            parts = [[*x, z] for x, z in zip(parts, beside, strict=True)]
        return [torch.cat(x, dim=2) for x in parts]

    def leave(
        self, features: FrameFeatures, channels: int, other_channels: int
    ) -> tuple[Tensor, Tensor]:
        """Undo :meth:`enter`: features with its channel counts, turned back.

        Returns:
            (n_edges, (l_max+1)², channels) and (n_edges, (l_max+1)², other_channels).
        """
        size, dim = self.l_max + 1, self.natural.shape[1]
        natural, other = [features[0][:, 0]], [features[1][:, 0]]
        for m in range(1, size):
            rows = size - m
            x, o = features[1 + m].split([rows * channels, rows * other_channels], dim=2)
            natural += x.unbind(1)
            other += o.unbind(1)
        return (
            self.natural.mT @ torch.cat(natural, dim=1).unflatten(1, (dim, channels)),
            self.other.mT @ torch.cat(other, dim=1).unflatten(1, (dim, other_channels)),
        )


def entering_channels(l_max: int, channels: int, other_channels: int) -> list[int]:
    """Channels of every irrep after :meth:`EdgeFrames.enter`."""
    size = l_max + 1
    both = [(size - m) * (channels + other_channels) for m in range(1, size)]
    return [size * channels, size * other_channels, *both]


class O2Linear(nn.Module):
    """One matrix an irrep, and a bias on the scalars: every O(2)-equivariant linear map.

    Args:
        channels_in, channels_out: channels of every irrep 0+, 0-, 1, ...
        gain: scale of the initial weights.
    """

    def __init__(
        self, channels_in: Sequence[int], channels_out: Sequence[int], *, gain: float = 1.0
    ) -> None:
        super().__init__()
        self.weights = nn.ParameterList(
            nn.Parameter(torch.randn(i, o) * gain / max(i, 1) ** 0.5)
            for i, o in zip(channels_in, channels_out, strict=True)
        )
        self.bias = nn.Parameter(torch.zeros(channels_out[0]))

    def forward(self, features: FrameFeatures) -> FrameFeatures:
        """Mix the channels of each irrep."""
        mixed = [x @ w for x, w in zip(features, self.weights.parameters(), strict=True)]
        mixed[0] = mixed[0] + self.bias
        return mixed


class CircleProduct(nn.Module):
    r"""SO(2) tensor product of two features, channel by channel, as a product on the circle.

    Both factors have as many channels in 0+ and in every order 1..m_max (0- is not used). The result
    has them too, and in 0- the mirror-odd part of the product's order 0,
    :math:`\sum_m a_{m,\cos} b_{m,\sin} - a_{m,\sin} b_{m,\cos}`.
    """

    points: Tensor
    weights: Tensor
    quarter: Tensor

    def __init__(self, m_max: int) -> None:
        super().__init__()
        n = 3 * m_max + 1
        angle = torch.arange(n, dtype=torch.float64) * (2 * math.pi / n)
        rows = [torch.ones(n, dtype=torch.float64)]
        for m in range(1, m_max + 1):
            rows += [2**0.5 * torch.cos(m * angle), 2**0.5 * torch.sin(m * angle)]
        basis = torch.stack(rows)  # orthonormal over the circle
        self.register_buffer("points", basis.T.contiguous(), persistent=False)
        self.register_buffer("weights", (basis / n).contiguous(), persistent=False)
        quarter = torch.zeros(len(rows), len(rows), dtype=torch.float64)
        for i in range(1, len(rows), 2):
            quarter[i + 1, i], quarter[i, i + 1] = (2 * m_max) ** -0.5, -((2 * m_max) ** -0.5)
        self.register_buffer("quarter", quarter, persistent=False)

    def forward(self, factors: FrameFeatures) -> FrameFeatures:
        """Multiply the first half of the channels with the second half."""
        both = torch.cat([factors[0], *factors[2:]], dim=1)
        u, v = both.chunk(2, dim=2)
        f, g = (self.points.to(u.dtype) @ both).chunk(2, dim=2)
        product = self.weights.to(u.dtype) @ (f * g)
        odd = ((self.quarter.to(u.dtype) @ u) * v).sum(1, keepdim=True)
        scalar, *pairs = product.split([1] + [2] * (product.shape[1] // 2), dim=1)
        return [scalar, odd, *pairs]
