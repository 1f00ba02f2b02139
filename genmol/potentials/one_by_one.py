"""Potentials that take one structure at a time: a loop, and failures that stay alone."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from typing import NamedTuple, final

import numpy as np
import torch

from genmol.core.errors import DeliveryError
from genmol.core.graph import AtomicGraph
from genmol.potentials.contract import Answer, Potential

__all__ = ["OneByOne", "Structure", "structures"]


class Structure(NamedTuple):
    """One structure.

    Attributes:
        numbers: (n_atoms,) atomic numbers.
        positions: (n_atoms, 3), Å, float64.
        charge: e.
        multiplicity: 2S+1; the lowest that the electrons allow where none is declared.
    """

    numbers: np.ndarray
    positions: np.ndarray
    charge: int
    multiplicity: int


class OneByOne(Potential):
    """A potential with a function for a single structure."""

    @abstractmethod
    def single(self, structure: Structure, *, forces: bool) -> tuple[float, np.ndarray | None]:
        """Energy (eV) and forces (n_atoms, 3) in eV/Å, the latter if asked for.

        Raises:
            DeliveryError: it has no energy there; an infinite one to who asked.
        """

    @final
    def answer(self, graph: AtomicGraph, *, forces: bool) -> Answer:
        """One after the other."""
        energies = np.full(graph.n_graphs, np.inf)
        all_forces = np.zeros((len(graph.numbers), 3)) if forces else None
        failures, first = {}, 0
        for index, structure in enumerate(structures(graph)):
            last = first + len(structure.numbers)
            try:
                energies[index], found = self.single(structure, forces=forces)
            except DeliveryError as error:
                failures[index] = error.got
            else:
                if all_forces is not None:
                    all_forces[first:last] = found
            first = last
        return Answer(
            torch.from_numpy(energies),
            None if all_forces is None else torch.from_numpy(all_forces),
            failures,
        )


def structures(graph: AtomicGraph) -> Iterator[Structure]:
    """Take a batch apart."""
    numbers = graph.numbers.cpu().numpy()
    positions = graph.positions.detach().cpu().to(torch.float64).numpy()
    charges = graph.charge.tolist()
    declared = None if graph.multiplicity is None else graph.multiplicity.tolist()
    first = 0
    for index, size in enumerate(graph.sizes.tolist()):
        own = numbers[first : first + size]
        lowest = 1 + (int(own.sum()) - charges[index]) % 2
        yield Structure(
            own,
            positions[first : first + size],
            charges[index],
            lowest if declared is None else declared[index],
        )
        first += size
