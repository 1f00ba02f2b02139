"""What rows of ``genmol benchmark psm`` share: frames of toys, trainings of equal time, draws of them.

Trainings are compared at equal processor time in one thread, whatever else the machine does, with the
defaults of the recipe but for its rule: a rule that took longer for a step would have fewer of them.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from genmol.benchmark.sample_toys import exact_draws
from genmol.boltzmann.generator import ScoreGenerator
from genmol.boltzmann.rules import Rule
from genmol.boltzmann.score_batch import Particles
from genmol.boltzmann.score_files import LoadedScore
from genmol.core.files import atomic_path
from genmol.data.frames import Frames, read_frames
from samplers.rng import Streams
from samplers.toys import TOYS

__all__ = ["Trained", "generated", "toy_frames", "trained"]

_SEED = 20
"""Of frames; trainings and baselines have others."""

_AT_ONCE = 250  # paths


@dataclass(frozen=True, eq=False)
class Trained:
    """A score after its time.

    Attributes:
        score: the model.
        steps: of the optimizer.
        minutes: of the processor.
        loss: on frames kept apart.
    """

    score: LoadedScore
    steps: int
    minutes: float
    loss: float

    def generator(self, system: Particles, *, steps: int, seed: int) -> ScoreGenerator:
        """Ready to generate.

        Args:
            system: that it was trained on.
            steps: of a path.
            seed: of the pilot.
        """
        return ScoreGenerator.piloted(self.score.model, system, steps=steps, seed=seed)

    def summary(self) -> dict[str, Any]:
        """For a row."""
        return {"steps": self.steps, "minutes": self.minutes, "loss": self.loss}


def toy_frames(name: str, count: int, cache: Path) -> Frames:
    """Nearly independent exact draws of a toy in random order, with forces; made once.

    Args:
        name: of :data:`samplers.toys.TOYS`.
        count: how many.
        cache: folder where they are kept.
    """
    file = cache / f"{name}-{count}.npz"
    if not file.exists():
        found = exact_draws(name, draws=count, seed=_SEED)
        x = found.x.flatten(0, 1)
        order = torch.randperm(len(x), generator=torch.Generator().manual_seed(_SEED))
        x = x[order[:count]]
        forces = TOYS[name]().evaluate(x).gradient
        cache.mkdir(parents=True, exist_ok=True)
        with atomic_path(file) as temporary, temporary.open("wb") as stream:
            np.savez(stream, positions=x.numpy(), forces=forces.numpy())
    return read_frames([file], toy=name)


def trained(
    frames: Frames,
    *,
    rule: Rule,
    minutes: float,
    seed: int,
    toy: str | None,
    options: Mapping[str, Any] | None = None,
) -> Trained:
    """Train for so many minutes of the processor.

    Args:
        frames: the data.
        rule: of the targets.
        minutes: of the processor.
        seed: of the training.
        toy: that the frames are of.
        options: further fields of the recipe.
    """
    from genmol.train.score import train
    from genmol.train.score_recipe import ScoreRecipe

    recipe = ScoreRecipe(
        rule=rule, max_minutes=minutes, clock="processor", seed=seed, **(options or {})
    )
    with tempfile.TemporaryDirectory() as folder:
        found = train(recipe, frames, folder, toy=toy, device="cpu")
        score = LoadedScore.load(found.path)
    return Trained(score, found.steps, found.minutes, found.card["metrics"]["validation"]["loss"])


def generated(generator: ScoreGenerator, count: int, *, seed: int) -> tuple[Tensor, float]:
    """Draws without any correction, and the seconds of the processor that they took.

    Args:
        generator: of the system.
        count: how many.
        seed: of the streams.
    """
    began = time.process_time()
    chains = Streams.of(seed=seed, chains=count)
    parts = [
        generator.draw(chains.take(slice(first, first + _AT_ONCE))).x
        for first in range(0, count, _AT_ONCE)
    ]
    return torch.cat(parts), time.process_time() - began
