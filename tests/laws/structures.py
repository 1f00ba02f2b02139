"""Structures of H, C and O that the laws are tried on."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from ase import Atoms
from ase.build import molecule
from torch import Tensor

from genmol.core.graph import AtomicGraph

TILTS = (0.0, 1e-12, 1e-9, 1e-6, 1e-3)  # radians


def chiral() -> Atoms:
    """Ethanol out of shape: no symmetry left."""
    atoms = molecule("CH3CH2OH")
    atoms.positions += np.random.default_rng(5).normal(scale=0.15, size=(9, 3))
    return atoms


def linear() -> Atoms:
    """Carbon dioxide with a hydrogen atom at one end, along a direction of no importance."""
    direction = np.array([0.3, -0.5, 0.8]) / np.linalg.norm([0.3, -0.5, 0.8])
    return Atoms("OCOH", positions=np.outer([-1.16, 0.0, 1.16, 2.1], direction))


def lone() -> Atoms:
    """One atom, without edges."""
    return Atoms("O", positions=[[0.4, 0.2, -0.1]])


def axial() -> list[Atoms]:
    """Two bonds along ± each axis, exactly and off by a little, and two atoms to the side."""
    found = []
    for axis in range(3):
        for tilt in TILTS:
            bond = np.zeros(3)
            bond[axis], bond[axis - 1] = np.cos(tilt), np.sin(tilt)
            aside, above = np.roll([0.5, 0.7, 1.1], axis), np.roll([-0.9, 0.4, 0.8], axis)
            points = [0 * bond, 1.1 * bond, -1.3 * bond, aside, above]
            found.append(Atoms("CHHOO", positions=points))
    return found


def crowd(n_atoms: int) -> Atoms:
    """So many carbon atoms that all are neighbours, each of all others, within 3 Å."""
    points = np.random.default_rng(7).normal(size=(n_atoms, 3))
    points *= 1.4 / np.linalg.norm(points, axis=1, keepdims=True)
    return Atoms(f"C{n_atoms}", positions=points)


def symmetric() -> list[Atoms]:
    """Linear, bent, flat and tetrahedral molecules, as exact as floating-point numbers are."""
    return [molecule(name) for name in ("CO2", "H2O", "C6H6", "CH4")]


def all_kinds() -> list[Atoms]:
    """No symmetry, much symmetry, and no neighbours."""
    return [chiral(), lone(), linear(), *symmetric()]


def joined(structures: list[Atoms], cutoff: float) -> AtomicGraph:
    """One float64 graph of all."""
    return AtomicGraph.batch([AtomicGraph.from_atoms(a, cutoff=cutoff) for a in structures])


def transformed(graph: AtomicGraph, element: Tensor) -> AtomicGraph:
    """The graph with every vector x replaced by Q x."""
    return replace(
        graph,
        positions=graph.positions @ element.T,
        edge_vectors=graph.edge_vectors @ element.T,
    )


def on_the_brink(cutoff: float) -> tuple[AtomicGraph, AtomicGraph]:
    """The same atoms, one pair a millionth of an Å inside the cutoff: with this pair and without."""
    atoms = chiral()
    centre = atoms.positions.mean(0)
    nearest = int(np.argmin(np.linalg.norm(atoms.positions - centre, axis=1)))
    direction = np.array([0.2, 0.9, 0.4]) / np.linalg.norm([0.2, 0.9, 0.4])
    height = (atoms.positions - atoms.positions[nearest]) @ direction
    anchor = int(np.argmax(height))  # the other atoms are farther from the newcomer
    atoms += Atoms("O", positions=[atoms.positions[anchor] + (cutoff - 1e-6) * direction])
    graph = AtomicGraph.from_atoms(atoms, cutoff=cutoff)
    newcomer = (graph.edge_index == len(atoms) - 1).any(0)
    assert int(newcomer.sum()) == 2
    alone = replace(
        graph,
        edge_index=graph.edge_index[:, ~newcomer],
        edge_vectors=graph.edge_vectors[~newcomer],
    )
    return graph, alone


def shuffled(graph: AtomicGraph, generator: torch.Generator) -> tuple[AtomicGraph, Tensor, Tensor]:
    """The graph with atoms and edges in another order; new atom -> old atom, new edge -> old edge."""
    atoms = torch.randperm(len(graph.numbers), generator=generator)
    edges = torch.randperm(graph.edge_index.shape[1], generator=generator)
    new_of_old = torch.argsort(atoms)
    moved = replace(
        graph,
        positions=graph.positions[atoms],
        numbers=graph.numbers[atoms],
        graph_index=graph.graph_index[atoms],
        edge_index=new_of_old[graph.edge_index][:, edges],
        edge_vectors=graph.edge_vectors[edges],
    )
    return moved, atoms, edges
