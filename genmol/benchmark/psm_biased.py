"""Data with basins in wrong shares, 90:10, and what becomes of it: DW4 with two short pairs, or not.

Scores learn the shares of their data, whatever the loss: both targets average over the data's posterior
where noise spans basins (:mod:`genmol.boltzmann.psm`). Path weights put them right, as far as there are
draws in both basins. The true share of states with exactly two short pairs is known by quadrature.

Shares of plain draws have the interval of independent trials (Clopper and Pearson), corrected ones that
of their populations (:mod:`genmol.boltzmann.observables`).
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, cast

import numpy as np
import torch
from torch import Tensor

from genmol.benchmark.psm_training import toy_frames, trained
from genmol.boltzmann.drawn import effective_of
from genmol.boltzmann.draws import Draws
from genmol.boltzmann.intervals import Interval, clopper_pearson
from genmol.boltzmann.observables import measure
from genmol.boltzmann.rules import Rule
from genmol.boltzmann.score_systems import particles_of_toy
from genmol.boltzmann.systems import System
from genmol.boltzmann.weighted import Weighted, weighted_draws
from samplers.clusters import DW4
from samplers.rng import Streams
from samplers.run import Budget
from samplers.target import Counted

__all__ = ["WRONG", "biased_row"]

WRONG: Final = 0.9
"""Share of states with two short pairs in the data."""

_FRAMES, _POOL = 1000, 3000
_PLAIN = 2000
_NORMAL = 1.96


def biased_row(
    key: str,
    *,
    minutes: float,
    steps: int,
    wanted: float,
    cache: Path,
    options: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Shares of plain and of corrected draws.

    Args:
        key: ``RULE SEED``.
        minutes: of the training.
        steps: of a path.
        wanted: effective draws.
        cache: folder of the frames.
        options: further fields of the recipe.
    """
    rule, seed = key.split(" ")
    toy = DW4()
    frames = toy_frames("dw4", _POOL, cache)
    short = _two_short(toy, torch.from_numpy(frames.positions)).numpy()
    pick = np.random.default_rng(int(seed))
    most = round(WRONG * _FRAMES)
    index = np.concatenate([
        pick.choice(np.flatnonzero(short), most, replace=False),
        pick.choice(np.flatnonzero(~short), _FRAMES - most, replace=False),
    ])  # fmt: skip
    learnt = trained(
        frames.take(index), rule=cast("Rule", rule), minutes=minutes, seed=int(seed), toy="dw4",
        options=options,
    )  # fmt: skip
    generator = learnt.generator(particles_of_toy(toy.space), steps=steps, seed=int(seed))
    system = System.of(toy, 1.0)
    with tempfile.TemporaryDirectory() as folder:
        found, stopped = weighted_draws(
            generator, Counted.of(toy), seed=2000 + int(seed), budget=Budget(), wanted=wanted,
            effective=lambda found: effective_of(system, found), folder=Path(folder), identity=key,
            hopeless=None,
        )  # fmt: skip
    plain = _two_short(toy, found.x[:_PLAIN]).double()
    share = float(plain.mean())
    truth = toy.truths["two short"].value
    corrected, effective = _corrected(toy, found)
    half = corrected.half_width / _NORMAL
    return {
        "rule": rule,
        "seed": int(seed),
        "truth": truth,
        "data": float(_two_short(toy, torch.from_numpy(frames.positions[index])).double().mean()),
        "training": learnt.summary(),
        "plain": [share, *clopper_pearson(share, len(plain), 0.95)],
        "corrected": [corrected.value, corrected.low, corrected.high],
        "inside": corrected.low <= truth <= corrected.high,
        "sigmas": abs(corrected.value - truth) / half if half > 0 else float("inf"),
        "paths": len(found.x),
        "n_effective": effective,
        "effective_share": found.share,
        "pareto_k": found.tail,
        "stopped": stopped,
    }


def _two_short(toy: DW4, x: Tensor) -> Tensor:
    return (toy.distances(x) < 4).sum(dim=1) == 2


def _corrected(toy: DW4, found: Weighted) -> tuple[Interval, float]:
    """Share of two short pairs, and independent draws that it is worth."""
    alive = found.alive
    logs = found.log_weights[alive]
    draws = Draws.of(len(logs), runs=found.run[alive], weights=(logs - logs.max()).exp())
    states = measure(
        draws, -found.log_density[alive], System.of(toy, 1.0).thermal, Streams.of(seed=0, chains=1),
        labels=(~_two_short(toy, found.x[alive])).long(), names=("two short", "others"), bins=1,
    ).states  # fmt: skip
    return states[0].population, states[0].effective
