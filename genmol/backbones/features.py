"""What a backbone returns: features of atoms and, if it has them, of edges in their frames."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Float
from torch import Tensor

from genmol.algebra.so2 import EdgeFrames, FrameFeatures

if TYPE_CHECKING:
    from e3nn.o3 import Irreps
else:
    Irreps = Any  # e3nn takes two seconds to import, and no network needs it

__all__ = ["EdgeFeatures", "Features", "Irreps", "irreps_of", "pack_nodes", "unpack_nodes"]


@dataclass(frozen=True)
class EdgeFeatures:
    """Features of edges in their frames.

    Attributes:
        frames: of the graph's edges, in their order.
        values: one tensor (n_edges, size, channels) for each irrep of O(2).
        envelope: (n_edges, 1, 1), falls smoothly to 0 at the cutoff; what is read from ``values``
            must be multiplied by it.
    """

    frames: EdgeFrames
    values: FrameFeatures
    envelope: Tensor

    @property
    def channels(self) -> list[int]:
        """Channels of every irrep."""
        return [x.shape[2] for x in self.values]


@dataclass(frozen=True)
class Features:
    """Output of a backbone.

    Attributes:
        nodes: one row an atom.
        layout: channels, degree and parity (1 or -1) of every irrep in a row, as e3nn lays them out.
        edges: features of the edges, None for backbones that have none.
    """

    nodes: Float[Tensor, "n_atoms dim"]
    layout: tuple[tuple[int, int, int], ...]
    edges: EdgeFeatures | None = None

    @property
    def irreps(self) -> Irreps:
        """The layout as e3nn's irreps."""
        return irreps_of(self.layout)


def irreps_of(layout: Iterable[tuple[int, int, int]]) -> Irreps:
    """e3nn's irreps of (channels, degree, parity) in turn; the first call imports e3nn, 2 seconds."""
    from e3nn.o3 import Irreps

    return Irreps([(channels, (degree, parity)) for channels, degree, parity in layout])


def pack_nodes(natural: Tensor, other: Tensor) -> tuple[Tensor, tuple[tuple[int, int, int], ...]]:
    """e3nn's layout of features by component: rows and :attr:`Features.layout`.

    Args:
        natural: (n_atoms, (l_max+1)², channels) of parity (-1)^l.
        other: (n_atoms, (l_max+1)², channels') of parity -(-1)^l.
    """
    parts, layout = [], []
    for l in range(round(natural.shape[1] ** 0.5)):
        for x, sign in ((natural, 1), (other, -1)):
            parts.append(x[:, l * l : (l + 1) ** 2].mT.flatten(1))
            layout.append((x.shape[2], l, sign * (-1) ** l))
    return torch.cat(parts, dim=1), tuple(layout)


def unpack_nodes(features: Features) -> tuple[Tensor, Tensor]:
    """Undo :func:`pack_nodes`."""
    both: tuple[list[Tensor], list[Tensor]] = ([], [])
    widths = [channels * (2 * degree + 1) for channels, degree, _ in features.layout]
    parts = features.nodes.split(widths, dim=1)
    for (channels, degree, parity), part in zip(features.layout, parts, strict=True):
        both[parity != (-1) ** degree].append(part.unflatten(1, (channels, 2 * degree + 1)).mT)
    return torch.cat(both[0], dim=1), torch.cat(both[1], dim=1)
