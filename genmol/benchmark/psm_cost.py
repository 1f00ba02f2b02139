r"""What corrected draws of the trained scores of toys cost, if they are right, and how long they take.

Draws are those of ``sample_density(method="psm")``: weighted ones, one energy each, and where weights are
of no use the chains that begin at them, which may go to ends of fresh paths, too. What the certificate
spends is not counted.

*Cost.* Energies and gradients for an effective draw, after what is spent before the first draw that
counts (pilot, burn-in, weighted draws that only begin chains), which stands beside. Hamiltonian Monte
Carlo with the settings of :data:`genmol.benchmark.sample_toys.TUNED`, and with none, at as many calls or
those of the plan, whichever is more: a cost needs draws to be measured. Training took calls, too, if its
data were computed; it has paid for itself after

.. math:: n = \frac{\text{calls of the training}}{\text{cost of HMC} - \text{cost of ours}}

effective draws, never where ours cost more.

*Bands.* As in :mod:`genmol.benchmark.sample_toys`: the median distance of random sets of n, drawn by
their weights, to exact ones, against the end of the band of exact against exact.

*Time.* Seconds of the wall clock from the file of weights to certified draws, by two processes; beside
them those of the rounds of paths, or of the chains, alone.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch

from genmol.benchmark.sample_toys import Seen, against, cost_row, exact_draws, spread_of
from genmol.boltzmann.density_job import SampledDensity, sample_density
from genmol.boltzmann.drawn import total_calls
from genmol.boltzmann.draws import Draws
from genmol.boltzmann.generator import ScoreGenerator
from genmol.boltzmann.observables import smallest_effective
from genmol.boltzmann.score_files import LoadedScore, score_for_toy
from genmol.boltzmann.score_systems import particles_of_toy
from genmol.core.errors import InputError
from samplers.clusters import Cluster
from samplers.rng import Streams
from samplers.toys import TOYS

__all__ = ["bands_row", "psm_cost_row", "score_of", "time_row"]

_CHECKING: Final = 1
"""Gradients of the certificate, which is not asked for here."""

_RUNS = 16
_PROCESSES: Final = 2
"""Of the time."""

_LACKING: Final = {"skipped": "no model comes with genmol, and none is given with --model"}


@dataclass(frozen=True, eq=False)
class _Made:
    """Draws of a toy by its score."""

    toy: Cluster
    score: LoadedScore
    found: SampledDensity

    @classmethod
    def of(cls, name: str, score: LoadedScore, *, n: int, seed: int, workers: int = 1) -> _Made:
        """As many effective draws."""
        toy = TOYS[name]()
        assert isinstance(toy, Cluster)
        generator = ScoreGenerator.piloted(
            score.model, particles_of_toy(toy.space), steps=score.steps, seed=seed
        )
        found = sample_density(
            toy, starts=toy.start(Streams.of(seed=seed, chains=_RUNS)), n=n, method="psm",
            generator=generator, checking=_CHECKING, runs=_RUNS, seed=seed, workers=workers,
        )  # fmt: skip
        return cls(toy, score, found)

    @property
    def by_weights(self) -> bool:
        """Or by chains."""
        return set(self.found.calls) == {"generation"}

    @property
    def calls(self) -> tuple[int, int]:
        """Before the draws that count, and for them."""
        every = total_calls(self.found.calls)
        last = self.found.calls["generation" if self.by_weights else "production"]
        counted = last.energies + last.gradients
        return every.energies + every.gradients - counted, counted

    @property
    def effective(self) -> tuple[float, str]:
        """Of the draws."""
        f = self.found
        draws = Draws.of(len(f.x), runs=f.run, weights=f.weights)
        return smallest_effective(draws, f.energies, labels=f.states)

    @property
    def summary(self) -> dict[str, Any]:
        """For a row."""
        effective, limited_by = self.effective
        before, counted = self.calls
        weights = self.found.weights
        return {
            "model": self.score.name,
            "method": self.found.method,
            "by_weights": self.by_weights,
            "draws": len(self.found.x),
            "effective_share": float(weights.sum() ** 2 / weights.square().sum()) / len(weights),
            "n_effective": effective,
            "limited_by": limited_by,
            "calls_before": before,
            "calls": counted,
            "calls_per_effective": counted / effective if effective else math.inf,
            "seconds": self.found.seconds,
            "stopped": self.found.stopped,
        }


def score_of(name: str, model: str | Path | None) -> LoadedScore | None:
    """The model given, if it is of the toy, else the one that comes with genmol, else None.

    Args:
        name: of the toy.
        model: name, folder or file of weights.

    Raises:
        InputError: weights that cannot be read.
    """
    if model is not None:
        given = LoadedScore.load(model)
        if given.card["domain"].get("toy") == name:
            return given
    try:
        return score_for_toy(name)
    except InputError:
        return None


def psm_cost_row(
    name: str, *, n: int, gradients: int, model: str | Path | None = None, seed: int = 0
) -> dict[str, Any]:
    """Calls for an effective draw; skipped without a model.

    Args:
        name: of the toy.
        n: effective draws.
        gradients: of Hamiltonian Monte Carlo, at least.
        model: of the toy, or of another one.
        seed: of everything.
    """
    if (score := score_of(name, model)) is None:
        return _LACKING
    made = _Made.of(name, score, n=n, seed=seed)
    ours = made.summary
    others = cost_row(
        name, gradients=max(gradients, ours["calls"] + ours["calls_before"]), seed=seed
    )
    tuned = float(others["genmol"]["gradients_per_effective"])
    # zero where forces came with the data: what they cost is not known
    data = made.score.card.get("data", {})
    training = sum(data.get(name) or 0 for name in ("gradient_calls", "energy_calls")) or None
    gain = tuned - float(ours["calls_per_effective"])
    even = None
    if training is not None:
        even = training / gain if gain > 0 else math.inf
    return {
        "ours": ours,
        "tuned HMC": others["genmol"],
        "plain HMC": others["plain HMC"],
        "training_calls": training,
        "break_even": even,
    }


def bands_row(
    name: str, *, n: int, draws: int, model: str | Path | None = None, seed: int = 0
) -> dict[str, Any]:
    """Distances to exact draws; skipped without a model.

    Args:
        name: of the toy.
        n: of the sets.
        draws: effective ones of ours, and exact ones.
        model: of the toy, or of another one.
        seed: of everything.
    """
    if (score := score_of(name, model)) is None:
        return _LACKING
    made = _Made.of(name, score, n=draws, seed=seed)
    exact = Seen.of_run(made.toy, exact_draws(name, draws=draws, seed=seed + 1))
    index = made.found.delivered
    ours = Seen.of(made.toy, made.found.x[index], made.found.energies[index], exact)
    generator = np.random.default_rng([seed, n])
    floor = against(exact, None, n, generator)
    return {
        "n": n,
        "ours": made.summary,
        "distinct": len(index.unique()),
        "floor": {key: spread_of(values) for key, values in floor.items()},
        "found": {
            key: float(np.median(values))
            for key, values in against(exact, ours, n, generator).items()
        },
    }


def time_row(
    name: str, *, n: int, model: str | Path | None = None, seed: int = 0
) -> dict[str, Any]:
    """Seconds of n corrected draws; skipped without a model.

    Args:
        name: of the toy.
        n: effective draws.
        model: of the toy, or of another one.
        seed: of everything.
    """
    began = time.monotonic()
    if (score := score_of(name, model)) is None:
        return _LACKING
    made = _Made.of(name, score, n=n, seed=seed, workers=_PROCESSES)
    seconds = time.monotonic() - began
    return {
        "states": n,
        "seconds": seconds,
        "sampling_seconds": made.found.seconds,
        "processes": _PROCESSES,
        "threads": torch.get_num_threads(),
        "ours": made.summary,
    }
