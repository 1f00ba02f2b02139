"""AtomicGraph: many structures in one batch, the input of every network and potential.

Atoms of all structures are concatenated; ``graph_index`` says which structure an atom belongs to.
Edges run from sender to receiver with ``edge_vectors`` = receiver − sender, periodic images
included, so a network needs no cell to see the geometry. For forces, put differentiable positions
in with :meth:`AtomicGraph.with_positions`; the edge vectors follow.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import torch
from ase import Atoms
from jaxtyping import Bool, Float, Int
from torch import Tensor

from genmol.core.errors import InputError
from genmol.core.neighbors import all_pairs, neighbor_pairs
from genmol.core.structure import charge_and_multiplicity

__all__ = ["AtomicGraph"]


@dataclass(frozen=True)
class AtomicGraph:
    """A batch of structures.

    Attributes:
        positions: Å.
        numbers: atomic numbers.
        graph_index: structure of each atom, ascending from 0.
        n_graphs: number of structures.
        edge_index: sender and receiver of each edge.
        edge_vectors: receiver − sender, Å.
        charge: total charge, e.
        multiplicity: 2S+1, if declared.
        cell: lattice vectors as rows, Å, if any structure is periodic; zero rows for molecules.
        pbc: which lattice vectors repeat, if any structure is periodic.
    """

    positions: Float[Tensor, "n_atoms 3"]
    numbers: Int[Tensor, " n_atoms"]
    graph_index: Int[Tensor, " n_atoms"]
    n_graphs: int
    edge_index: Int[Tensor, "2 n_edges"]
    edge_vectors: Float[Tensor, "n_edges 3"]
    charge: Int[Tensor, " n_graphs"]
    multiplicity: Int[Tensor, " n_graphs"] | None = None
    cell: Float[Tensor, "n_graphs 3 3"] | None = None
    pbc: Bool[Tensor, "n_graphs 3"] | None = None

    @classmethod
    def from_atoms(
        cls, atoms: Atoms, *, cutoff: float | None = None, dtype: torch.dtype = torch.float64
    ) -> AtomicGraph:
        """Build the graph of one structure.

        Args:
            atoms: charge and multiplicity are read from ``atoms.info``.
            cutoff: Å; None joins all pairs, for molecules only.
            dtype: of all floating-point fields; the neighbours are found in float64 whatever it is.

        Raises:
            InputError: a periodic structure without a cutoff, or a faulty cell or cutoff.
        """
        positions = torch.from_numpy(atoms.positions.astype("float64"))
        cell = torch.from_numpy(atoms.cell.array.astype("float64"))
        pbc = torch.from_numpy(atoms.pbc.copy())
        periodic = bool(pbc.any())
        if cutoff is not None:
            edge_index, offsets = neighbor_pairs(positions, cutoff, cell=cell, pbc=pbc)
        elif periodic:
            raise InputError(
                got="a periodic structure and no cutoff",
                wanted="a finite number of neighbours",
                remedy="give a cutoff in Å, or set pbc=False for a molecule",
            )
        else:
            edge_index = all_pairs(len(atoms))
            offsets = positions.new_zeros((edge_index.shape[1], 3))
        sender, receiver = edge_index
        charge, multiplicity = charge_and_multiplicity(atoms)
        declared = "multiplicity" in atoms.info
        return cls(
            positions=positions.to(dtype),
            numbers=torch.from_numpy(atoms.numbers.astype("int64")),
            graph_index=torch.zeros(len(atoms), dtype=torch.int64),
            n_graphs=1,
            edge_index=edge_index,
            edge_vectors=(positions[receiver] - positions[sender] + offsets).to(dtype),
            charge=torch.tensor([charge]),
            multiplicity=torch.tensor([multiplicity]) if declared else None,
            cell=cell[None].to(dtype) if periodic else None,
            pbc=pbc[None] if periodic else None,
        )

    @classmethod
    def batch(cls, graphs: Sequence[AtomicGraph]) -> AtomicGraph:
        """Join graphs into one, in order.

        Raises:
            InputError: no graphs, or some declare their multiplicity and some do not.
        """
        declared = [graph.multiplicity for graph in graphs if graph.multiplicity is not None]
        if not graphs or len(declared) not in (0, len(graphs)):
            raise InputError(
                got=f"{len(graphs)} graphs, {len(declared)} of them with a multiplicity",
                wanted="at least one graph, and the multiplicity on all of them or none",
                remedy="set atoms.info['multiplicity'] on every structure",
            )
        periodic = any(graph.pbc is not None for graph in graphs)
        atoms_before = _starts([len(graph.numbers) for graph in graphs])
        graphs_before = _starts([graph.n_graphs for graph in graphs])
        return cls(
            positions=torch.cat([graph.positions for graph in graphs]),
            numbers=torch.cat([graph.numbers for graph in graphs]),
            graph_index=torch.cat(
                [g.graph_index + start for g, start in zip(graphs, graphs_before, strict=True)]
            ),
            n_graphs=sum(graph.n_graphs for graph in graphs),
            edge_index=torch.cat(
                [g.edge_index + start for g, start in zip(graphs, atoms_before, strict=True)], dim=1
            ),
            edge_vectors=torch.cat([graph.edge_vectors for graph in graphs]),
            charge=torch.cat([graph.charge for graph in graphs]),
            multiplicity=torch.cat(declared) if declared else None,
            cell=torch.cat([_cell_or_zeros(graph) for graph in graphs]) if periodic else None,
            pbc=torch.cat([_pbc_or_false(graph) for graph in graphs]) if periodic else None,
        )

    @classmethod
    def copies(
        cls,
        numbers: Int[Tensor, " n_atoms"],
        positions: Float[Tensor, "n_copies n_atoms 3"],
        *,
        charge: int = 0,
        multiplicity: int | None = None,
        cutoff: float = 0.0,
    ) -> AtomicGraph:
        """Build the graphs of many geometries of one molecule at once.

        Args:
            numbers: atomic numbers of the molecule.
            positions: Å.
            charge: e.
            multiplicity: 2S+1, if declared.
            cutoff: Å; 0 joins no atoms, infinity all pairs of a molecule.
        """
        n_copies, n_atoms, _ = positions.shape
        numbers = numbers.to(positions.device)
        x = positions.reshape(-1, 3)
        pairs = all_pairs(n_atoms if cutoff > 0 else 0).to(x.device)
        starts = n_atoms * torch.arange(n_copies, device=x.device)
        edges = (pairs[:, None] + starts[:, None]).flatten(1)
        vectors = x[edges[1]] - x[edges[0]]
        near = vectors.detach().norm(dim=1) < cutoff
        return cls(
            positions=x,
            numbers=numbers.repeat(n_copies),
            graph_index=torch.arange(n_copies, device=x.device).repeat_interleave(n_atoms),
            n_graphs=n_copies,
            edge_index=edges[:, near],
            edge_vectors=vectors[near],
            charge=torch.full((n_copies,), charge, device=x.device),
            multiplicity=None
            if multiplicity is None
            else torch.full((n_copies,), multiplicity, device=x.device),
        )

    @property
    def sizes(self) -> Int[Tensor, " n_graphs"]:
        """Number of atoms of each structure."""
        return torch.bincount(self.graph_index, minlength=self.n_graphs)

    def part(self, start: int, stop: int) -> AtomicGraph:
        """Return the structures from ``start`` to before ``stop``."""
        before = [0, *accumulate(self.sizes.tolist())]
        first, last = before[start], before[stop]
        edges = slice(0, 0)
        if self.edge_index.shape[1] > 0:
            sender = self.edge_index[0]
            edges = (sender >= first) & (sender < last)

        def cut(values: Tensor | None) -> Tensor | None:
            return None if values is None else values[start:stop]

        return AtomicGraph(
            positions=self.positions[first:last],
            numbers=self.numbers[first:last],
            graph_index=self.graph_index[first:last] - start,
            n_graphs=stop - start,
            edge_index=self.edge_index[:, edges] - first,
            edge_vectors=self.edge_vectors[edges],
            charge=self.charge[start:stop],
            multiplicity=cut(self.multiplicity),
            cell=cut(self.cell),
            pbc=cut(self.pbc),
        )

    def with_positions(self, positions: Float[Tensor, "n_atoms 3"]) -> AtomicGraph:
        """Return the graph with the same edges between atoms at ``positions`` (Å).

        The edge vectors are differentiable functions of ``positions``; image offsets are kept.
        """
        sender, receiver = self.edge_index
        offsets = self.edge_vectors - (self.positions[receiver] - self.positions[sender])
        vectors = positions[receiver] - positions[sender] + offsets.detach()
        return dataclasses.replace(self, positions=positions, edge_vectors=vectors)

    def to(
        self, device: torch.device | str | None = None, dtype: torch.dtype | None = None
    ) -> AtomicGraph:
        """Return the graph on ``device``, its real fields in ``dtype``; None keeps either."""

        def move(value: Any) -> Any:
            if not isinstance(value, Tensor):
                return value
            return value.to(device, dtype if value.is_floating_point() else None)

        fields = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return AtomicGraph(**{name: move(value) for name, value in fields.items()})


def _starts(sizes: Sequence[int]) -> list[int]:
    """Return the position at which each of the concatenated pieces starts."""
    return list(accumulate(sizes, initial=0))[:-1]


def _cell_or_zeros(graph: AtomicGraph) -> Tensor:
    return graph.positions.new_zeros((graph.n_graphs, 3, 3)) if graph.cell is None else graph.cell


def _pbc_or_false(graph: AtomicGraph) -> Tensor:
    return graph.charge.new_zeros((graph.n_graphs, 3)).bool() if graph.pbc is None else graph.pbc
