"""The contract of all potentials: a batch of structures in, energies (eV) and forces (eV/Å) out.

A potential is a deterministic function of the geometry: the answer for a structure depends neither
on its companions in the batch nor on what was asked before, or Metropolis would not be sampling
exp(−U/kT). Where it has no answer (no self-consistent field, coordinates that are not numbers or have
left for infinity) the energy is +∞ and the forces are zero: a place that is never accepted. Such
failures are counted, and the first few reasons kept. An answer that is not a number is an error.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, final

import torch
from ase.formula import Formula
from ase.symbols import Symbols
from jaxtyping import Float
from torch import Tensor

from genmol.core.errors import DeliveryError
from genmol.core.graph import AtomicGraph
from genmol.potentials.domain import Domain

__all__ = ["Answer", "Calls", "Evaluated", "Potential"]

_REASONS = 5
_FARTHEST = 1e6  # Å from the origin: where a trajectory that blew up is on its way to infinity
_NOWHERE = f"coordinates that are not numbers below {_FARTHEST:g} Å"


class Evaluated(NamedTuple):
    """Energies, eV, and forces, eV/Å, in float64."""

    energies: Float[Tensor, " n_graphs"]
    forces: Float[Tensor, "n_atoms 3"]


class Answer(NamedTuple):
    """What a provider says, before it is checked.

    Attributes:
        energies: eV, float64; +∞ where it failed.
        forces: eV/Å, if they were asked for.
        failures: structure -> why there is no energy.
    """

    energies: Float[Tensor, " n_graphs"]
    forces: Float[Tensor, "n_atoms 3"] | None
    failures: Mapping[int, str]


@dataclass
class Calls:
    """How many structures were computed.

    Attributes:
        energies: energies alone.
        gradients: energies with forces.
        failures: those of both kinds that have no energy.
        reasons: why, of the first few.
    """

    energies: int = 0
    gradients: int = 0
    failures: int = 0
    reasons: list[str] = field(default_factory=list)


class Potential(ABC):
    """Energies and forces of molecules.

    Attributes:
        calls: counted since it was made.
    """

    def __init__(self) -> None:
        self.calls = Calls()
        self._passed: tuple[Tensor | None, ...] = ()  # what the domain was last asked about

    @property
    @abstractmethod
    def name(self) -> str:
        """For people."""

    @property
    @abstractmethod
    def level(self) -> Mapping[str, Any]:
        """The level of theory for a record, plain JSON."""

    @property
    @abstractmethod
    def domain(self) -> Domain:
        """What it may be asked about."""

    @property
    def cutoff(self) -> float:
        """Up to which distance (Å) it wants edges in its graphs; 0 if it reads none."""
        return 0.0

    @abstractmethod
    def answer(self, graph: AtomicGraph, *, forces: bool) -> Answer:
        """Compute; providers write this, users call :meth:`evaluate` or :meth:`energies`.

        Args:
            graph: structures inside the domain, with finite coordinates.
            forces: whether they are wanted.
        """

    @final
    def evaluate(self, graph: AtomicGraph) -> Evaluated:
        """Energies (n_graphs,), eV, and forces (n_atoms, 3), eV/Å.

        Raises:
            InputError: a structure lies outside the domain.
            DeliveryError: an energy or force is not a number.
        """
        found = self._checked(graph, forces=True)
        self.calls.gradients += graph.n_graphs
        self._note(graph, found)
        assert found.forces is not None
        return Evaluated(found.energies, found.forces)

    @final
    def energies(self, graph: AtomicGraph) -> Float[Tensor, " n_graphs"]:
        """Energies alone, eV, which some providers compute faster; errors as in :meth:`evaluate`."""
        found = self._checked(graph, forces=False)
        self.calls.energies += graph.n_graphs
        self._note(graph, found)
        return found.energies

    def _checked(self, graph: AtomicGraph, *, forces: bool) -> Answer:
        """The answer, and everything around it that does not depend on who gives it."""
        asked = (graph.numbers, graph.graph_index, graph.charge, graph.multiplicity, graph.pbc)
        if len(self._passed) != len(asked) or any(
            a is not b for a, b in zip(asked, self._passed, strict=True)
        ):
            self.domain.check(graph)
            self._passed = asked
        return _finite(graph, self._where_finite(graph, forces=forces))

    def _note(self, graph: AtomicGraph, found: Answer) -> None:
        self.calls.failures += len(found.failures)
        for index, reason in found.failures.items():
            if len(self.calls.reasons) >= _REASONS:
                break
            self.calls.reasons.append(f"{reason} ({_formula(graph, index)})")

    def _where_finite(self, graph: AtomicGraph, *, forces: bool) -> Answer:
        """The answer, asked for only where the coordinates are numbers."""
        x = graph.positions.detach()
        if float(x.square().sum()) <= _FARTHEST**2:  # a quick yes; false for NaN
            return self.answer(graph, forces=forces)
        near = (x.abs() <= _FARTHEST).all(dim=1)
        if bool(near.all()):
            return self.answer(graph, forces=forces)
        sound = torch.ones(graph.n_graphs, dtype=torch.bool, device=x.device)
        sound[graph.graph_index[~near]] = False
        rows = sound.nonzero().flatten().tolist()
        energies = torch.full((graph.n_graphs,), torch.inf, dtype=torch.float64)
        all_forces = torch.zeros(len(graph.numbers), 3, dtype=torch.float64) if forces else None
        failures = dict.fromkeys((~sound).nonzero().flatten().tolist(), _NOWHERE)
        if rows:
            parts = AtomicGraph.batch([graph.part(row, row + 1) for row in rows])
            found = self.answer(parts, forces=forces)
            energies[sound.cpu()] = found.energies.cpu()
            if all_forces is not None and found.forces is not None:
                all_forces[sound[graph.graph_index].cpu()] = found.forces.cpu()
            failures |= {rows[index]: reason for index, reason in found.failures.items()}
        return Answer(energies, all_forces, failures)


def _finite(graph: AtomicGraph, found: Answer) -> Answer:
    """The answer with zero forces where the energy is infinite.

    Raises:
        DeliveryError: it is not made of numbers elsewhere.
    """
    device = graph.positions.device
    energies, forces = found.energies.to(device), found.forces
    if _all_finite(energies) and (forces is None or _all_finite(forces)):
        return Answer(energies, None if forces is None else forces.to(device), found.failures)
    wrong = energies.isnan() | energies.isneginf()
    if forces is not None:
        forces = forces.to(device)
        if not bool(forces.isfinite().all()):
            strange = torch.zeros_like(wrong)
            strange[graph.graph_index[~forces.isfinite().all(dim=1)]] = True
            wrong |= strange & energies.isfinite()
        forces = forces.where(energies.isfinite()[graph.graph_index, None], 0.0)
    if bool(wrong.any()):
        index = int(wrong.nonzero()[0])
        what = "a force" if bool(energies[index].isfinite()) else f"the energy {energies[index]}"
        atoms = graph.part(index, index + 1).positions[:3].tolist()
        raise DeliveryError(
            got=f"{what} that is not finite for structure {index} of {graph.n_graphs} "
            f"({_formula(graph, index)}; it begins at {atoms} Å)",
            wanted="numbers",
            remedy="compute that structure alone, or take another potential",
        )
    return Answer(energies, forces, found.failures)


def _all_finite(values: Tensor) -> bool:
    """Whether all are numbers; a sum that overflows says no, and a longer look follows."""
    return math.isfinite(values.sum().item())


def _formula(graph: AtomicGraph, index: int) -> str:
    """The formula and charge of a structure."""
    numbers = graph.part(index, index + 1).numbers.tolist()
    formula = Formula.from_list(list(Symbols(numbers))).format("hill")
    return f"{formula}, charge {int(graph.charge[index])}"
