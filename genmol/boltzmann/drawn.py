"""Draws of a density from whatever drew them: what the certificate and the output ask for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from genmol.boltzmann.certificate import Bias
from genmol.boltzmann.draws import Draws
from genmol.boltzmann.observables import smallest_effective
from genmol.boltzmann.systems import System
from genmol.boltzmann.weighted import Weighted
from samplers.run import Run
from samplers.target import Calls

__all__ = ["Drawn", "effective_of", "total_calls"]


@dataclass(frozen=True, eq=False, kw_only=True)
class Drawn:
    """Draws, run by run.

    Attributes:
        x: (m, *shape).
        energies: (m,) in the unit of the certificate.
        run: (m,) independent run of each.
        weights: (m,), of any sum.
        calls: by phase.
        seconds: of all phases.
        stopped: what ended it.
        round_trips: of tempering.
        ledger: what was done to the draws.
        notes: further numbers for the record, plain JSON.
    """

    x: Float[Tensor, "m *shape"]
    energies: Float[Tensor, " m"]
    run: Int[Tensor, " m"]
    weights: Float[Tensor, " m"]
    calls: Mapping[str, Calls]
    seconds: float
    stopped: str
    round_trips: int | None = None
    ledger: tuple[Bias, ...] = ()
    notes: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of_chains(cls, found: Run, pilot: Run, kT: float, replicas: int) -> Drawn:
        """Of Markov chains and the pilot before them.

        Args:
            found: the chains.
            pilot: whose calls count, too.
            kT: unit of the energies.
            replicas: of each chain that is seen.
        """
        draws, runs = found.log_density.shape
        trips = found.state.memory.get("round_trips")
        return cls(
            x=found.x.transpose(0, 1).flatten(0, 1),
            energies=-found.log_density.T.flatten() * kT,
            run=torch.arange(runs).repeat_interleave(draws),
            weights=torch.ones(runs * draws, dtype=torch.float64),
            calls={"pilot": total_calls(pilot.calls), **found.calls},
            seconds=pilot.seconds + found.seconds,
            stopped=found.stopped,
            round_trips=None if trips is None or replicas == 1 else int(trips.sum()),
            notes={"replicas": replicas},
        )

    @classmethod
    def of_weighted(cls, found: Weighted, kT: float, stopped: str) -> Drawn:
        """Of a generator's draws; those without weight are left out.

        Args:
            found: the draws.
            kT: unit of the energies.
            stopped: what ended it.
        """
        alive = found.alive
        logs = found.log_weights[alive]
        return cls(
            x=found.x[alive],
            energies=-found.log_density[alive] * kT,
            run=found.run[alive],
            weights=(logs - logs.max()).exp(),
            calls={"generation": Calls(energies=found.energies)},
            seconds=found.seconds,
            stopped=stopped,
            notes={"effective_share": found.share, "pareto_k": found.tail, "paths": len(found.x)},
        )

    def after(self, phase: str, calls: Calls, seconds: float, **notes: Any) -> Drawn:
        """With an earlier phase.

        Args:
            phase: its name.
            calls: that it took.
            seconds: likewise.
            notes: to add.
        """
        return replace(
            self,
            calls={phase: calls, **self.calls},
            seconds=self.seconds + seconds,
            notes={**self.notes, **notes},
        )


def effective_of(system: System, found: Weighted) -> float:
    """Smallest effective size of weighted draws, over the energy and states of at least 5 %."""
    alive = found.alive
    if int(alive.sum()) < 2:
        return 0.0
    logs, x = found.log_weights[alive], found.x[alive]
    draws = Draws.of(len(x), runs=found.run[alive], weights=(logs - logs.max()).exp())
    labels = None if system.codes is None else system.codes(x)
    return smallest_effective(draws, -found.log_density[alive], labels=labels)[0]


def total_calls(calls: Mapping[str, Calls]) -> Calls:
    """Of all phases."""
    return Calls(sum(c.energies for c in calls.values()), sum(c.gradients for c in calls.values()))
