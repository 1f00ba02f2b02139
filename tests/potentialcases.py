"""What the tests of potentials share: structures, the laws every potential obeys, a few that break."""

from __future__ import annotations

import os
import signal
import time
from functools import cache
from pathlib import Path
from typing import Any

import ase.io
import numpy as np
import torch
from ase import Atoms
from scipy.stats import special_ortho_group

from genmol.core.errors import DeliveryError, InputError
from genmol.core.graph import AtomicGraph
from genmol.potentials.contract import Answer, Potential
from genmol.potentials.domain import Domain
from genmol.potentials.lennard_jones import LennardJones
from genmol.potentials.one_by_one import OneByOne, Structure

WATER = Atoms("OHH", [[0, 0, 0.1173], [0, 0.7572, -0.4692], [0, -0.7572, -0.4692]])
METHANOL = Atoms(
    "COHHHH",
    [
        [-0.05, 0.66, 0.0],
        [-0.05, -0.76, 0.0],
        [-1.09, 0.98, 0.0],
        [0.86, -1.06, 0.0],
        [0.44, 1.07, 0.89],
        [0.44, 1.07, -0.89],
    ],
)


@cache
def alanine_dipeptide() -> Atoms:
    path = Path(__file__).parents[1] / "examples" / "alanine_dipeptide.xyz"
    atoms = ase.io.read(path)
    assert isinstance(atoms, Atoms)
    return atoms


def shaken(atoms: Atoms, n: int, rng: np.random.Generator, *, noise: float = 0.05) -> list[Atoms]:
    """Geometries around one, Å."""
    found = []
    for _ in range(n):
        copy = atoms.copy()
        copy.positions += noise * rng.standard_normal(copy.positions.shape)
        found.append(copy)
    return found


def batch(frames: list[Atoms]) -> AtomicGraph:
    return AtomicGraph.batch([AtomicGraph.from_atoms(atoms) for atoms in frames])


def moved(graph: AtomicGraph, positions: Any) -> AtomicGraph:
    return graph.with_positions(torch.as_tensor(positions))


def check_forces(
    potential: Potential,
    graph: AtomicGraph,
    rng: np.random.Generator,
    *,
    tolerance: float,
    step: float = 1e-3,
    directions: int = 2,
) -> None:
    """Force = −gradient: along random directions, by central differences of fourth order (eV/Å)."""
    x, forces = graph.positions, potential.evaluate(graph).forces
    for _ in range(directions):
        d = torch.from_numpy(rng.standard_normal(x.shape))
        d /= torch.sqrt(
            torch.zeros(graph.n_graphs).index_add(0, graph.graph_index, d.square().sum(1))
        )[graph.graph_index, None]
        energy = {k: potential.energies(moved(graph, x + k * step * d)) for k in (-2, -1, 1, 2)}
        slope = (8 * (energy[1] - energy[-1]) - (energy[2] - energy[-2])) / (12 * step)
        along = torch.zeros(graph.n_graphs).index_add(0, graph.graph_index, (forces * d).sum(1))
        torch.testing.assert_close(-along, slope, rtol=0, atol=tolerance)


def check_batch_is_single(potential: Potential, frames: list[Atoms]) -> None:
    """To the last bit; energies alone are those that come with forces."""
    together = potential.evaluate(batch(frames))
    torch.testing.assert_close(potential.energies(batch(frames)), together.energies, rtol=0, atol=0)
    backwards = potential.evaluate(batch(frames[::-1]))
    assert torch.equal(backwards.energies.flip(0), together.energies)
    first = 0
    for index, atoms in enumerate(frames):
        alone = potential.evaluate(AtomicGraph.from_atoms(atoms))
        assert torch.equal(alone.energies[0], together.energies[index])
        assert torch.equal(alone.forces, together.forces[first : first + len(atoms)])
        first += len(atoms)


def check_motions(
    potential: Potential, atoms: Atoms, rng: np.random.Generator, *, tolerance: float
) -> None:
    """Rotation and shift change no energy and turn the forces; so does a reflection."""
    graph = AtomicGraph.from_atoms(atoms)
    before = potential.evaluate(graph)
    for sign in (1, -1):
        turn = torch.from_numpy(sign * special_ortho_group.rvs(3, random_state=rng))
        after = potential.evaluate(
            moved(graph, graph.positions @ turn.T + torch.tensor([3.0, -2, 9]))
        )
        torch.testing.assert_close(after.energies, before.energies, rtol=0, atol=tolerance)
        torch.testing.assert_close(after.forces, before.forces @ turn.T, rtol=0, atol=tolerance)
    size = torch.zeros(graph.n_graphs, 3).index_add(0, graph.graph_index, before.forces)
    assert size.abs().max() < max(tolerance, 1e-8)


def check_permutation(
    potential: Potential, atoms: Atoms, rng: np.random.Generator, *, tolerance: float
) -> None:
    """Atoms have no order."""
    order = rng.permutation(len(atoms))
    before = potential.evaluate(AtomicGraph.from_atoms(atoms))
    after = potential.evaluate(AtomicGraph.from_atoms(atoms[order]))
    torch.testing.assert_close(after.energies, before.energies, rtol=0, atol=tolerance)
    torch.testing.assert_close(after.forces, before.forces[order], rtol=0, atol=tolerance)


class Spring(OneByOne):
    """Σ |x|² of each structure, and trouble where the first coordinate is a round number.

    From 100 on it fails as a self-consistent field does, from 200 on it returns NaN, from 300 on it
    objects, from 400 on its process is killed, and from 500 on it takes a while.
    """

    @property
    def name(self) -> str:
        return "spring"

    @property
    def level(self) -> dict[str, Any]:
        return {"method": "spring", "pid": os.getpid()}

    @property
    def domain(self) -> Domain:
        return Domain(words="hydrogen", elements=frozenset({1}), charges=frozenset({0}))

    def single(self, structure: Structure, *, forces: bool) -> tuple[float, np.ndarray | None]:
        x = structure.positions
        kind = int(x[0, 0]) // 100
        if kind == 1:
            raise DeliveryError(got=f"no field at {x[0, 0]:g}", wanted="one", remedy="move")
        if kind == 3:
            raise InputError(got=f"{x[0, 0]:g}", wanted="less than 300", remedy="move")
        if kind == 4:
            os.kill(os.getpid(), signal.SIGKILL)
        if kind == 5:
            time.sleep(0.05)
        energy = np.nan if kind == 2 else float((x**2).sum())
        return energy, -2 * x if forces else None


class Edges(LennardJones):
    """Counts pairs within 4 Å from the edges it is given, which must arrive where they belong."""

    @property
    def cutoff(self) -> float:
        return 4.0

    def answer(self, graph: AtomicGraph, *, forces: bool) -> Answer:
        sender, receiver = graph.edge_index
        torch.testing.assert_close(
            graph.edge_vectors, graph.positions[receiver] - graph.positions[sender]
        )
        pairs = torch.zeros(graph.n_graphs, dtype=torch.float64)
        pairs.index_add_(0, graph.graph_index[sender], torch.full((len(sender),), 0.5).double())
        return Answer(pairs, torch.zeros(len(graph.numbers), 3).double() if forces else None, {})


def hydrogens(*firsts: float, atoms: int = 2) -> AtomicGraph:
    """Structures for :class:`Spring`: the first coordinate as given."""
    x = torch.arange(3.0 * atoms).reshape(1, atoms, 3).repeat(len(firsts), 1, 1).double()
    x[:, 0, 0] = torch.tensor(firsts, dtype=torch.float64)
    return AtomicGraph.copies(torch.ones(atoms, dtype=torch.int64), x)
