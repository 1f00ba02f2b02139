r"""What a sampling run gives: weighted conformers with everything a certificate asks about them.

The draws of a chain and the particles of a population are the same to those who come after: positions,
energies, weights that speak for all runs together, and the label of the independent run. How the run
went (:class:`Replicas`, calls, failures) goes along.

:func:`equal_weight` makes n conformers of equal weight out of them. A conformer that a chain stayed at
for k draws counts once, with their common weight; of the different ones, systematic resampling takes
those at equal distances of the cumulative weight, along the runs one after the other. No conformer
comes twice unless its weight exceeds 1/n: then copies are what keeps the result unbiased, and they
are reported.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from genmol.boltzmann.problem import Problem
from genmol.boltzmann.production import Produced
from genmol.core.errors import InputError
from samplers.reweight import kish, normalise, systematic
from samplers.rng import Streams
from samplers.target import Calls

__all__ = ["Conformers", "Ensemble", "Replicas", "equal_weight"]


@dataclass(frozen=True)
class Replicas:
    """How the temperatures of parallel tempering worked together; one of each where there is one.

    Attributes:
        temperatures: K, the highest first, the one sampled last.
        swap_rates: mean probability of an exchange between neighbours.
        round_trips: from the temperature sampled to the highest and back, of each run.
        step_sizes: of HMC, Å, mean over runs.
        acceptances: kind of move -> rate at each temperature.
    """

    temperatures: tuple[float, ...]
    swap_rates: tuple[float, ...]
    round_trips: tuple[int, ...]
    step_sizes: tuple[float, ...]
    acceptances: Mapping[str, tuple[float, ...]]


@dataclass(frozen=True, eq=False, kw_only=True)
class Ensemble:
    """Weighted conformers.

    Attributes:
        positions: (m, n_atoms, 3), Å, centred; run by run, each in its order.
        energies: (m,), eV.
        log_weights: (m,), normalised over all runs together.
        run: (m,) independent run of each.
        numbers: (n_atoms,) atomic numbers.
        temperature: K.
        potential: name.
        level: of theory.
        method: name of the method.
        settings: of the method, plain JSON.
        seed: of the streams.
        n_effective: smallest effective size over U, torsions and basins of at least 5 %.
        limited_by: the quantity that has it.
        stopped: what ended the run: ``effective``, ``draws``, ``calls``, ``seconds`` or ``potential``.
        trouble: the error of a potential that ended the run; empty otherwise.
        calls: phase -> calls of the potential, all chains and replicas.
        calls_of: other potentials -> calls, such as a cheap one under delayed acceptance.
        failures: phase -> calls without an energy; trajectories that blow up while step sizes are learnt
            are among those of tuning and burn-in.
        reasons: why, of the first few.
        refused: share of trajectories, of all replicas, that ended in another molecule.
        seconds: of the wall clock, all parts of a resumed run.
        replicas: how temperatures worked together.
        notes: further numbers of the method, plain JSON.
    """

    positions: Float[Tensor, "m n_atoms 3"]
    energies: Float[Tensor, " m"]
    log_weights: Float[Tensor, " m"]
    run: Int[Tensor, " m"]
    numbers: Int[Tensor, " n_atoms"]
    temperature: float
    potential: str
    level: Mapping[str, Any]
    method: str
    settings: Mapping[str, Any]
    seed: int
    n_effective: float
    limited_by: str
    stopped: str
    trouble: str = ""
    calls: Mapping[str, Calls]
    calls_of: Mapping[str, Calls] = field(default_factory=dict)
    failures: Mapping[str, int] = field(default_factory=dict)
    reasons: tuple[str, ...] = ()
    refused: float = 0.0
    seconds: float = 0.0
    replicas: Replicas | None = None
    notes: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        problem: Problem,
        found: Produced,
        *,
        method: str,
        settings: Mapping[str, Any],
        seed: int,
        calls: Mapping[str, Calls],
        failures: Mapping[str, int],
        seconds: float,
        **more: Any,
    ) -> Ensemble:
        """From the draws of chains, which have equal weights.

        Args:
            problem: what was sampled.
            found: the draws.
            method: its name.
            settings: of it.
            seed: of the streams.
            calls: phase -> calls.
            failures: phase -> those without an energy.
            seconds: of all phases.
            more: further attributes.
        """
        m, refused = len(found.energies), found.run.details.get("refused")
        return cls(
            positions=found.positions, energies=found.energies, run=found.label,
            log_weights=torch.full((m,), -math.log(m), dtype=torch.float64),
            numbers=problem.numbers,
            temperature=problem.temperature, potential=problem.potential.name,
            level=dict(problem.potential.level), method=method, settings=settings, seed=seed,
            n_effective=found.n_effective, limited_by=found.limited_by, stopped=found.stopped,
            trouble=found.trouble, calls=calls, failures=failures,
            reasons=tuple(problem.forgiving.calls.reasons),
            refused=0.0 if refused is None else float(refused.mean()), seconds=seconds, **more,
        )  # fmt: skip

    @property
    def count(self) -> int:
        """How many conformers, m."""
        return len(self.energies)

    @property
    def runs(self) -> int:
        """How many independent runs."""
        return len(self.run.unique())

    @property
    def weights(self) -> Float[Tensor, " m"]:
        """Of sum 1."""
        return normalise(self.log_weights)

    @property
    def kish(self) -> float:
        """1/Σ w², in draws."""
        return float(kish(self.log_weights))

    @property
    def energy_calls(self) -> int:
        """Energies alone, of all phases."""
        return sum(calls.energies for calls in self.calls.values())

    @property
    def gradient_calls(self) -> int:
        """Energies with gradients, of all phases."""
        return sum(calls.gradients for calls in self.calls.values())

    def take(self, index: Int[Tensor, " k"]) -> Ensemble:
        """Some of the conformers, with weights renormalised; the record stays that of the whole."""
        log_weights = self.log_weights[index]
        return replace(
            self,
            positions=self.positions[index],
            energies=self.energies[index],
            log_weights=log_weights - log_weights.logsumexp(dim=0),
            run=self.run[index],
        )


@dataclass(frozen=True, eq=False)
class Conformers:
    """Conformers of equal weight.

    Attributes:
        ensemble: n of them, each with the weight 1/n.
        index: (n,) where they are in the ensemble they come from.
        distinct: how many are different; the rest are copies, and no observations of their own.
    """

    ensemble: Ensemble
    index: Int[Tensor, " n"]
    distinct: int


def equal_weight(ensemble: Ensemble, n: int, generator: np.random.Generator) -> Conformers:
    """Exactly ``n`` conformers of equal weight.

    Args:
        ensemble: to draw from.
        n: at least 1.
        generator: for the one number that places the equal distances.

    Raises:
        InputError: less than one, or an empty ensemble.
    """
    if n < 1 or not ensemble.count:
        raise InputError(
            got=f"{n} conformers wanted from an ensemble of {ensemble.count}",
            wanted="at least one of both",
            remedy="give -n 1 or more, and a longer run where nothing was sampled",
        )
    flat = ensemble.positions.flatten(1)
    _, group = np.unique(flat.numpy(), axis=0, return_inverse=True)
    state = torch.from_numpy(group.reshape(-1))
    count = int(state.max()) + 1
    first = torch.full((count,), ensemble.count).scatter_reduce(
        0, state, torch.arange(ensemble.count), "amin"
    )
    weight = torch.zeros(count, dtype=torch.float64).index_add(0, state, ensemble.weights)
    order = first.argsort()  # along the runs
    streams = Streams.of(seed=int(generator.integers(2**63)), chains=1)
    chosen = systematic(weight[order].log(), streams, count=n)
    index = first[order][chosen]
    taken = ensemble.take(index)
    equal = torch.full((n,), -math.log(n), dtype=torch.float64)
    return Conformers(replace(taken, log_weights=equal), index, len(index.unique()))
