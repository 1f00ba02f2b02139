"""What a potential may be asked about: a potential outside its domain raises, it never extrapolates."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import torch
from ase.data import chemical_symbols
from torch import Tensor

from genmol.core.errors import InputError
from genmol.core.graph import AtomicGraph

__all__ = ["Domain"]


@dataclass(frozen=True, kw_only=True)
class Domain:
    """Structures that a potential was made for; None stands for no restriction. Never periodic ones.

    Attributes:
        words: a phrase that says it, for messages.
        elements: atomic numbers.
        charges: total charges, e.
        multiplicities: 2S+1. A structure that declares none passes.
        atoms: the atomic numbers of the only molecule it knows, in order.
    """

    words: str
    elements: frozenset[int] | None = None
    charges: frozenset[int] | None = None
    multiplicities: frozenset[int] | None = None
    atoms: tuple[int, ...] | None = None

    def check(self, graph: AtomicGraph) -> None:
        """Raise if a structure lies outside.

        Raises:
            InputError: naming the first structure and what is wrong with it.
        """
        if graph.pbc is not None and bool(graph.pbc.any()):
            first = int(graph.pbc.any(dim=1).nonzero()[0])
            raise self._outside(f"structure {first}, which is periodic")
        if self.atoms is not None:
            self._check_atoms(graph, self.atoms)
        if (atom := _first_outside(graph.numbers, self.elements)) is not None:
            number = int(graph.numbers[atom])
            symbol = chemical_symbols[number] if 0 <= number < len(chemical_symbols) else "?"
            structure = int(graph.graph_index[atom])
            first = int((graph.graph_index < structure).sum())
            raise self._outside(
                f"structure {structure}, whose atom {atom - first} is {symbol} (Z = {number})"
            )
        for name, values, allowed in (
            ("charge", graph.charge, self.charges),
            ("multiplicity", graph.multiplicity, self.multiplicities),
        ):
            if values is not None and (at := _first_outside(values, allowed)) is not None:
                raise self._outside(f"structure {at} of {name} {int(values[at])}")

    def _check_atoms(self, graph: AtomicGraph, atoms: tuple[int, ...]) -> None:
        expected = torch.tensor(atoms, device=graph.numbers.device).repeat(graph.n_graphs)
        same = torch.equal(graph.sizes, torch.full_like(graph.sizes, len(atoms)))
        if not same or not torch.equal(graph.numbers, expected):
            raise self._outside("a structure of other atoms, or in another order")

    def _outside(self, got: str) -> InputError:
        return InputError(
            got=got,
            wanted=self.words,
            remedy="check elements, charge and multiplicity, or take a potential made for them",
        )


def _first_outside(values: Tensor, allowed: Collection[int] | None) -> int | None:
    """Position of the first value that is not allowed."""
    if allowed is None or not len(values):
        return None
    strange = [value for value in values.unique().tolist() if value not in allowed]
    if not strange:
        return None
    return int(torch.isin(values, torch.tensor(strange, device=values.device)).nonzero()[0])
