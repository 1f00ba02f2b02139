"""Chains that also go to ends of fresh paths of a score: what is left to do where weights are of no use.

A few draws that carry all of the weight say little about the rest, and chains that only begin at them
keep the populations that they began with. Moves to fresh paths (:mod:`samplers.path_moves`) put
populations right while local moves do the rest, and are worth it at weights that alone are worth nothing.
How often such a move will lead elsewhere is known before the first: fresh paths have been drawn and
weighed, and weights of retraced ones cost no energy. From that follows how many paths a move tries: a
chain that only a path can free has to wait for so many of them anyhow, and a move of many saves the local
moves in between.
"""

from __future__ import annotations

from typing import Final

import torch
from jaxtyping import Float, Int
from torch import Tensor

from genmol.boltzmann.generator import ScoreGenerator
from genmol.boltzmann.weighted import Fold, Weighted
from samplers.path_moves import PathMoves, expected_acceptance
from samplers.path_weight import PathWeight
from samplers.reweight import systematic
from samplers.rng import Streams
from samplers.sampler import StartError
from samplers.sde import Paths

__all__ = ["WORTH", "fitting_moves", "path_moves", "resampled"]

WORTH: Final = 0.02
"""Acceptance below which moves to fresh paths are left away."""

_TRIES: Final = (4, 8, 16)
_ENOUGH: Final = 0.25
"""Acceptance for which no more paths are tried."""


def path_moves(
    generator: ScoreGenerator, *, fold: Fold | None = None, tries: int = _TRIES[0], every: int = 1
) -> PathMoves:
    """The moves of a generator.

    Args:
        generator: of the system.
        fold: to standard images, each of as many points of equal density of the generator, to which it
            is also equally likely to come back (:mod:`genmol.boltzmann.conformer_psm`): weights along
            retraced paths are then those of the image.
        tries: fresh paths of a move.
        every: steps of a run for each move.
    """

    def fresh(streams: Streams) -> Paths:
        paths = generator.draw(streams)
        if fold is None:
            return paths
        assert paths.weight is not None
        x, inside = fold(paths.x)
        logs = torch.where(inside, paths.weight.log_weight, -torch.inf)
        return Paths(x, PathWeight(paths.weight.space, logs))

    return PathMoves(fresh, generator.retrace, tries, every)


def fitting_moves(
    generator: ScoreGenerator,
    x: Float[Tensor, "n *shape"],
    log_density: Float[Tensor, " n"],
    found: Weighted,
    *,
    every: int,
    seed: int,
    fold: Fold | None = None,
) -> tuple[PathMoves, float]:
    """Moves of as many paths as they need, and the acceptance to be expected, at no call.

    Args:
        generator: of the system.
        x: points of the target.
        log_density: theirs.
        found: draws of the generator.
        every: steps of a run for each move.
        seed: of the noise.
        fold: as in :func:`path_moves`.
    """
    streams = Streams.of(seed=seed, chains=len(x)).fold("expected rate")
    weight = generator.retrace(x, streams).weight
    assert weight is not None
    own, rate, tries = weight.end(log_density), 0.0, _TRIES[0]
    for tries in _TRIES:
        rate = expected_acceptance(own, found.log_weights, tries=tries, streams=streams)
        if rate >= _ENOUGH:
            break
    return path_moves(generator, fold=fold, tries=tries, every=every), rate


def resampled(found: Weighted, count: int, *, seed: int) -> Int[Tensor, " count"]:
    """Which draws chains begin at: some chosen by their weights.

    Args:
        found: draws of the generator.
        count: how many.
        seed: of the choice.

    Raises:
        StartError: no draw has a weight.
    """
    if not bool(found.alive.any()):
        raise StartError("no draw of the trained score has a density")
    return systematic(found.log_weights, Streams.of(seed=seed, chains=1), count=count)
