"""A potential that fails at some geometries, made fit for Metropolis: a failure is an infinite energy.

The contract of potentials turns a failed self-consistent field into +∞ and stops at a NaN, which is
right for one structure that somebody asks about. In the middle of a run a single NaN at a strained
geometry must not end everything, and a potential that fails at every geometry must not go on for hours.
So here NaN, −∞ and forces that are no numbers become +∞ as well, are counted with the reason, and a
potential that has had no energy for any structure in several calls in a row stops the run.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, final

import torch
from torch import Tensor

from genmol.core.errors import DeliveryError
from genmol.core.graph import AtomicGraph
from genmol.potentials.contract import Answer, Potential
from genmol.potentials.domain import Domain

__all__ = ["Forgiving"]

_CALLS = 3
_STRUCTURES = 24
_NAN = "an energy or a force that is no number"


@final
class Forgiving(Potential):
    """Another potential, +∞ where its answer is no number. Its calls are counted here.

    Args:
        inner: the potential; how it spreads over processes is its own business.
    """

    def __init__(self, inner: Potential) -> None:
        super().__init__()
        self.inner = inner
        self._lost_calls = self._lost_structures = 0

    @property
    def name(self) -> str:
        """The inner one's."""
        return self.inner.name

    @property
    def level(self) -> Mapping[str, Any]:
        """The inner one's."""
        return self.inner.level

    @property
    def domain(self) -> Domain:
        """The inner one's."""
        return self.inner.domain

    @property
    def cutoff(self) -> float:
        """The inner one's."""
        return self.inner.cutoff

    def answer(self, graph: AtomicGraph, *, forces: bool) -> Answer:
        """The inner answer, mended.

        Raises:
            DeliveryError: no energy of any structure in the last calls, three at least.
        """
        found = self.inner.answer(graph, forces=forces)
        lost = _lost(graph, found)
        if lost is not None:
            failures = dict(found.failures)
            for index in lost.nonzero().flatten().tolist():
                failures.setdefault(index, _NAN)
            energies = torch.where(lost, torch.inf, found.energies)
            push = found.forces
            if push is not None:
                push = push.where(~lost[graph.graph_index, None], 0.0)
            found = Answer(energies, push, failures)
        self._watch(graph.n_graphs, found)
        return found

    def _watch(self, asked: int, found: Answer) -> None:
        if bool(found.energies.isfinite().any()):
            self._lost_calls = self._lost_structures = 0
            return
        self._lost_calls += 1
        self._lost_structures += asked
        if self._lost_calls >= _CALLS and self._lost_structures >= _STRUCTURES:
            reason = next(iter(found.failures.values()), _NAN)
            raise DeliveryError(
                got=f"no energy from {self.name} for any of the last {self._lost_structures} structures "
                f"({reason})",
                wanted="energies at most geometries",
                remedy="check the potential, then go on from the last good state with --resume",
            )


def _lost(graph: AtomicGraph, found: Answer) -> Tensor | None:
    """Structures whose answer is no number; None, quickly, where all are."""
    total = found.energies.sum() + (0.0 if found.forces is None else found.forces.sum())
    if math.isfinite(float(total)):
        return None
    lost = found.energies.isnan() | found.energies.isneginf()
    if found.forces is not None:
        strange = ~found.forces.isfinite().all(dim=1)
        where = graph.graph_index.to(strange.device)[strange]
        lost = lost.index_fill(0, where, True)
    return lost
