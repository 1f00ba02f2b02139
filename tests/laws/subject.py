"""Who is tried by a law, and what is looked at.

Graphs are made in float64 and cast to the model's type at the last moment, so that float32 tests the
model and not the geometry. What is compared: features of atoms, features of edges in their frames,
and forces, i.e. the slope of a nonlinear invariant made from them.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass

import torch
from ase import Atoms
from e3nn import o3
from laws.oracle import representation, turn_orders
from laws.structures import joined, transformed
from torch import Tensor

from genmol.algebra.so2 import EdgeFrames
from genmol.backbones.contract import Backbone
from genmol.backbones.features import Features
from genmol.core.graph import AtomicGraph


@dataclass
class Subject:
    """Who is tried.

    Attributes:
        model: with random weights.
        fresh: makes another of the same configuration and type, with other weights.
        tolerance: relative to the largest element of what is compared.
        generator: of rotations, orders and angles.
        idle: patterns of the names of parameters that need no gradient.
    """

    model: Backbone
    fresh: Callable[[], Backbone]
    tolerance: float
    generator: torch.Generator
    idle: Collection[str] = ()

    @property
    def dtype(self) -> torch.dtype:
        return next(self.model.parameters()).dtype

    def graph(self, *structures: Atoms) -> AtomicGraph:
        """Of some structures, float64."""
        return joined(list(structures), self.model.cutoff)

    def close(self, got: Tensor, wanted: Tensor, what: str) -> None:
        """Equal, and not because all is zero."""
        scale = wanted.abs().max().item() if wanted.numel() else 1.0
        assert scale > 1e-5, f"{what}: everything is zero, nothing was tested"
        error = (got - wanted).abs().max().item() / max(scale, 0.01) if wanted.numel() else 0.0
        assert error <= self.tolerance, f"{what}: relative error {error:.1e}"


@dataclass
class Seen:
    """Outputs of a model in float64; ``frames`` and ``edges`` are empty if it has no edge features."""

    nodes: Tensor
    edges: list[Tensor]
    frames: Tensor
    forces: Tensor
    features: Features


def look(model: Backbone, graph: AtomicGraph, **options: EdgeFrames) -> Seen:
    """Run a model and differentiate a fixed combination of its invariants."""
    dtype = next(model.parameters()).dtype
    graph = graph.to(dtype=dtype)
    positions = graph.positions.clone().requires_grad_()
    features, _ = model(graph.with_positions(positions), **options)
    invariants = [
        features.nodes[:, where]
        for (_, irrep), where in zip(features.irreps, features.irreps.slices(), strict=True)
        if irrep == o3.Irrep("0e")
    ]
    edges = features.edges
    if edges is not None:
        invariants.append(edges.values[0][:, 0] * edges.envelope[:, 0])
    energy = sum(
        (x * torch.linspace(0.5, 1.5, x.shape[1], dtype=dtype)).sin().sum() for x in invariants
    )
    (forces,) = torch.autograd.grad(energy, positions, allow_unused=True, materialize_grads=True)
    return Seen(
        features.nodes.detach().double(),
        [] if edges is None else [x.detach().double() for x in edges.values],
        torch.zeros(0, 3, 3) if edges is None else edges.frames.wigner[1].detach().double(),
        forces.double(),
        features,
    )


def equivariant(s: Subject, graph: AtomicGraph, element: Tensor) -> None:
    """Features and forces of the transformed graph are the transformed ones."""
    before, after = look(s.model, graph), look(s.model, transformed(graph, element))
    matrix = representation(before.features.irreps, element)
    s.close(after.nodes, before.nodes @ matrix.T, "features of atoms")
    s.close(after.forces, before.forces @ element.T, "forces")
    if before.edges:
        # From the old frame back into space, transformed, and into the new frame
        relative = after.frames @ element @ before.frames.mT
        for k, wanted in enumerate(turn_orders(before.edges, relative)):
            s.close(after.edges[k], wanted, f"features of edges, irrep {k}")
