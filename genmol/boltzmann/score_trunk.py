"""The backbones that a score can stand on: any of them in, invariants and polar vectors of atoms out.

What a score knows of a frame are numbers of atoms, of pairs and of the whole frame, all of them scalars,
which each backbone takes in its own way. What it reads are the scalars of natural parity and the polar
vectors among the features, wherever these lie in a row.
"""

from __future__ import annotations

from typing import Any, Final, Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from genmol.algebra.so3 import dimension
from genmol.backbones.egnn import EGNN, EGNNConfig
from genmol.backbones.features import Features
from genmol.backbones.so2 import SO2Backbone, SO2Config
from genmol.core.graph import AtomicGraph

__all__ = ["Trunk", "TrunkName", "build", "fed", "read"]

TrunkName = Literal["egnn", "so2"]
Trunk = EGNN | SO2Backbone

_SCALAR: Final = (0, 1)  # degree and parity
_VECTOR: Final = (1, -1)


def build(shape: EGNNConfig | SO2Config, *, atoms: int, edges: int, conditions: int) -> Trunk:
    """A backbone with random weights.

    Args:
        shape: of the network; its class decides which.
        atoms, edges, conditions: numbers of every atom, edge and graph that it will be fed with.
    """
    if isinstance(shape, EGNNConfig):
        return EGNN(shape, node_inputs=atoms, edge_inputs=edges, conditions=conditions)
    inputs = [edges] + [0] * (shape.l_max + 1)
    return SO2Backbone(shape, node_inputs=(atoms, 0), edge_inputs=inputs, conditions=conditions)


def fed(
    trunk: nn.Module,
    graph: AtomicGraph,
    *,
    atoms: Float[Tensor, "n_atoms a"] | None,
    edges: Float[Tensor, "n_edges e"],
    conditions: Float[Tensor, "n_graphs c"],
) -> Features:
    """Features of a graph.

    Args:
        trunk: of :func:`build`.
        graph: edges within its cutoff.
        atoms, edges, conditions: numbers of every atom, edge and graph.
    """
    given: dict[str, Any] = {"edge_inputs": edges, "node_inputs": atoms}
    if isinstance(trunk, SO2Backbone):
        l_max = trunk.config.l_max
        empty = [edges.new_zeros(len(edges), 1 + (k > 1), 0) for k in range(1, l_max + 2)]
        given["edge_inputs"] = [edges[:, None], *empty]
        if atoms is not None:
            higher = atoms.new_zeros(len(atoms), dimension(l_max) - 1, atoms.shape[1])
            natural = torch.cat([atoms[:, None], higher], dim=1)
            given["node_inputs"] = natural, natural[:, :, :0]
    features, _ = trunk(graph, conditions=conditions, **given)
    return features


def read(
    features: Features,
) -> tuple[Float[Tensor, "n_atoms channels"], Float[Tensor, "n_atoms vectors 3"]]:
    """Scalars and polar vectors of every atom, of any backbone."""
    widths = [channels * (2 * degree + 1) for channels, degree, _ in features.layout]
    parts = {
        (degree, parity): part.unflatten(1, (channels, 2 * degree + 1))
        for (channels, degree, parity), part in zip(
            features.layout, features.nodes.split(widths, dim=1), strict=True
        )
    }
    return parts[_SCALAR][:, :, 0], parts[_VECTOR]
