"""Batches of molecules with their matrices, in the order and the axes of the network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from genmol.core.graph import AtomicGraph
from genmol.core.neighbors import all_pairs
from genmol.heads.orbitals import MatrixLayout, OrbitalSlots
from genmol.scf.examples import FockExample, FockInput

__all__ = ["FockBatch", "FockTargets"]

_AXES = [1, 2, 0]  # the network's axes are (y, z, x) of the molecule


@dataclass(frozen=True)
class FockTargets:
    """What is known of the solution; matrices padded with zeros, Hartree.

    Attributes:
        delta: converged Fock matrix minus the initial one.
        coefficients: orbitals of the converged Fock matrix, by energy; (n_graphs, size, size).
        energies: their energies, 0 where padded.
        occupied: (n_graphs,) doubly occupied orbitals.
    """

    delta: Float[Tensor, "n_graphs size size"]
    coefficients: Float[Tensor, "n_graphs size size"]
    energies: Float[Tensor, "n_graphs size"]
    occupied: Int[Tensor, " n_graphs"]


@dataclass(frozen=True)
class FockBatch:
    """Geometry, overlap and initial Fock matrix of some molecules.

    Attributes:
        names: of the molecules.
        graph: all pairs within the cutoff; vectors in the network's axes.
        layout: where blocks lie in the matrices.
        overlap, initial: padded with zeros; Hartree.
        targets: None at deployment.
    """

    names: tuple[str, ...]
    graph: AtomicGraph
    layout: MatrixLayout
    overlap: Float[Tensor, "n_graphs size size"]
    initial: Float[Tensor, "n_graphs size size"]
    targets: FockTargets | None

    @classmethod
    def collate(
        cls,
        examples: Sequence[FockExample] | Sequence[FockInput],
        slots: OrbitalSlots,
        *,
        cutoff: float,
        dtype: torch.dtype = torch.float32,
    ) -> FockBatch:
        """Join examples with their targets, or inputs, which have none.

        Raises:
            InputError: an element without shells in ``slots``.
        """
        layout = MatrixLayout.of([e.numbers.tolist() for e in examples], slots)
        orders = [slots.order(e.numbers.tolist()) for e in examples]
        size = layout.size

        def padded(matrices: Sequence[np.ndarray], both: bool = True) -> Tensor:
            joined = np.zeros((len(examples), size, size))
            for k, (matrix, order) in enumerate(zip(matrices, orders, strict=True)):
                turned = matrix[order][:, order] if both else matrix[order]
                joined[k, : turned.shape[0], : turned.shape[1]] = turned
            return torch.from_numpy(joined).to(dtype)

        targets = None
        solved = [e for e in examples if isinstance(e, FockExample)]
        if len(solved) == len(examples):
            energies = np.zeros((len(solved), size))
            for k, e in enumerate(solved):
                energies[k, : len(e.energies)] = e.energies
            targets = FockTargets(
                padded([e.fock - e.initial for e in solved]),
                padded([e.coefficients for e in solved], both=False),
                torch.from_numpy(energies).to(dtype),
                torch.tensor([e.n_occupied for e in solved]),
            )
        return cls(
            tuple(e.name for e in examples),
            AtomicGraph.batch([_graph(e, cutoff, dtype) for e in examples]),
            layout,
            padded([e.overlap for e in examples]),
            padded([e.initial for e in examples]),
            targets,
        )

    def to(self, device: torch.device | str) -> FockBatch:
        """The batch on ``device``."""
        moved: dict[str, Any] = {
            name: getattr(self, name).to(device)
            for name in ("graph", "layout", "overlap", "initial")
        }
        if self.targets is not None:
            parts = {f.name: getattr(self.targets, f.name) for f in fields(self.targets)}
            moved["targets"] = FockTargets(**{n: x.to(device) for n, x in parts.items()})
        return replace(self, **moved)

    def matrix(
        self, padded: Float[Tensor, "n_graphs size size"], graph: int, slots: OrbitalSlots
    ) -> np.ndarray:
        """One molecule's matrix (n_ao, n_ao) in PySCF's order, float64."""
        numbers = self.graph.numbers[self.graph.graph_index == graph].tolist()
        order = slots.order(numbers)
        matrix = np.empty((len(order), len(order)))
        inner = padded[graph, : len(order), : len(order)].detach().cpu().double().numpy()
        matrix[np.ix_(order, order)] = inner
        return matrix


def _graph(example: FockExample | FockInput, cutoff: float, dtype: torch.dtype) -> AtomicGraph:
    positions = torch.from_numpy(np.ascontiguousarray(example.positions[:, _AXES]))
    pairs = all_pairs(len(positions))
    vectors = positions[pairs[1]] - positions[pairs[0]]
    near = vectors.norm(dim=1) < cutoff
    return AtomicGraph(
        positions=positions.to(dtype),
        numbers=torch.from_numpy(np.asarray(example.numbers, dtype=np.int64)),
        graph_index=torch.zeros(len(positions), dtype=torch.int64),
        n_graphs=1,
        edge_index=pairs[:, near],
        edge_vectors=vectors[near].to(dtype),
        charge=torch.tensor([0]),
    )
