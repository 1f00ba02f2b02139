"""Paths of a generator round by round, each round by one of several processes.

Chains are numbered: round r is made of the chains from 512 r on, whose noise depends on their number
alone, so rounds are the same whichever process makes them. They are handed over in order. Processes
work ahead, as nobody knows which round is the last; what is not asked for any more is dropped.
"""

from __future__ import annotations

from collections.abc import Generator
from functools import partial
from itertools import count
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from genmol.boltzmann.generator import ScoreGenerator
from genmol.core.parallel import Outcome, parallel_map
from samplers.path_weight import PathWeight
from samplers.rng import Streams
from samplers.sde import Paths

__all__ = ["POPULATIONS", "populations", "rounds"]

POPULATIONS = 16
_EACH = 32  # draws of a population in a round


class _Made(NamedTuple):
    """Ends of paths and the logarithms of their weights, as plain arrays that go through a pipe."""

    x: Float[np.ndarray, "n *shape"]
    log_weight: Float[np.ndarray, " n"]


def rounds(
    generator: ScoreGenerator, *, seed: int, first: int = 0, workers: int = 1
) -> Generator[Paths]:
    """Rounds without end; close the iterator to stop the processes.

    Args:
        generator: of the system.
        seed: of the streams.
        first: number of the first round.
        workers: processes, each with one thread; 1 works in this one, and never ahead.

    Raises:
        WorkerDiedError: a process ended in the same round twice.
    """
    make = partial(_made, generator, seed, len(populations()))
    ahead: dict[int, Outcome[_Made]] = {}
    following = 0
    for outcome in parallel_map(make, count(first), workers=workers, retries=1):
        ahead[outcome.index] = outcome
        while (ready := ahead.pop(following, None)) is not None:
            following += 1
            found = ready.unwrap()
            weight = PathWeight(generator.space, torch.from_numpy(found.log_weight))
            yield Paths(torch.from_numpy(found.x), weight)


def populations() -> Int[Tensor, " n"]:
    """Of the draws of a round."""
    return torch.arange(POPULATIONS).repeat_interleave(_EACH)


def _made(generator: ScoreGenerator, seed: int, size: int, round_: int) -> _Made:
    paths = generator.draw(Streams(seed, torch.arange(round_ * size, (round_ + 1) * size)))
    assert paths.weight is not None
    return _Made(paths.x.numpy(), paths.weight.log_weight.numpy())
