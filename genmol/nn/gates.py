"""Equivariant norms and gates, for atoms (degrees of O(3)) and edges (orders of O(2))."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from genmol.algebra.so2 import FrameFeatures

__all__ = ["DegreeLinear", "DegreeNorm", "OrderGate", "OrderNorm", "degree_index"]

_EPS = 0.1  # of a mean square: what vanishes by symmetry must not be scaled up to rounding errors


def degree_index(l_max: int) -> Tensor:
    """The degree of each of the (l_max+1)² components."""
    return torch.cat([torch.full((2 * l + 1,), l) for l in range(l_max + 1)])


class DegreeLinear(nn.Module):
    """Mix channels of (n, (l_max+1)², channels_in), one matrix a degree.

    Args:
        bias: add a constant to degree 0, which only a true scalar (parity +1) may have.
        gain: scale of the initial weights.
    """

    degree: Tensor

    def __init__(
        self, l_max: int, channels_in: int, channels_out: int, *, bias: bool, gain: float = 1.0
    ) -> None:
        super().__init__()
        scale = gain / max(channels_in, 1) ** 0.5
        self.weight = nn.Parameter(torch.randn(l_max + 1, channels_in, channels_out) * scale)
        self.bias = nn.Parameter(torch.zeros(channels_out)) if bias else None
        self.register_buffer("degree", degree_index(l_max), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Apply to every atom."""
        weights = self.weight.index_select(0, self.degree)
        mixed = (x.transpose(0, 1) @ weights).transpose(0, 1)  # one product, component by component
        if self.bias is not None:
            mixed = mixed + nn.functional.pad(self.bias[None], (0, 0, 0, len(self.degree) - 1))
        return mixed


class DegreeNorm(nn.Module):
    """Divide each degree by its root mean square over components and channels, atom by atom."""

    degree: Tensor
    average: Tensor

    def __init__(self, l_max: int, channels: int) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(l_max + 1, channels))
        degree = degree_index(l_max)
        same = (degree[:, None] == degree).double()
        self.register_buffer("degree", degree, persistent=False)
        self.register_buffer("average", same / same.sum(0) / max(channels, 1), persistent=False)

    def forward(self, x: Float[Tensor, "n components channels"]) -> Tensor:
        """Normalise."""
        if x.shape[2] == 0:
            return x
        mean = torch.linalg.vecdot(x, x) @ self.average.to(x.dtype)  # of its degree
        scale = self.scale.index_select(0, self.degree)
        return x * (torch.rsqrt(mean + _EPS)[:, :, None] * scale)


class OrderNorm(nn.Module):
    """Divide each order by its root mean modulus over the channels, edge by edge."""

    def __init__(self, channels: Sequence[int]) -> None:
        super().__init__()
        self.scales = nn.ParameterList(nn.Parameter(torch.ones(n)) for n in channels)

    def forward(self, features: FrameFeatures) -> FrameFeatures:
        """Normalise."""
        return [
            nn.functional.rms_norm(x, x.shape[1:], eps=_EPS) * scale
            for x, scale in zip(features, self.scales.parameters(), strict=True)
        ]


class OrderGate(nn.Module):
    """SiLU on 0+; all else times sigmoid gates made of it, which are open at the start.

    Args:
        channels: of every irrep.
    """

    def __init__(self, channels: Sequence[int]) -> None:
        super().__init__()
        self.channels = list(channels)
        self.gates = nn.Linear(channels[0], sum(channels[1:]))

    def forward(self, features: FrameFeatures) -> FrameFeatures:
        """Apply."""
        scalars = nn.functional.silu(features[0])
        gates = 2 * torch.sigmoid(self.gates(scalars))
        split = gates.split(self.channels[1:], dim=2)
        return [scalars, *(x * g for x, g in zip(features[1:], split, strict=True))]
