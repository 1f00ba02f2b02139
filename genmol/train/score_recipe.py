"""The recipe of a score model of the Boltzmann law."""

from __future__ import annotations

from dataclasses import dataclass

from genmol.boltzmann.rules import Rule
from genmol.train.recipe import Recipe, refusal

__all__ = ["ScoreRecipe"]


@dataclass(frozen=True)
class ScoreRecipe(Recipe):
    """How a model of the score is trained.

    Attributes:
        rule: what the score learns from: forces and noise, mixed by the noise level and the stiffness
            of pairs there (``springs``), by the noise level (``smooth``), or by that and the stiffness
            of each direction on average (``modes``); forces below a noise level and the noise above it
            (``piecewise``); the noise alone (``denoising``); or the forces alone (``potential``).
        threshold: noise level at which ``piecewise`` changes over, in units of 1/√B (see
            :mod:`genmol.boltzmann.psm`).
        schedule_low: lowest noise level, in the unit of the data; chosen from the data by default.
        schedule_high: highest noise level, likewise.
        steps: of a path from noise to a sample, and calls of the network for it.
        batch_pairs, batch_molecules: limits of a batch; few frames come several times, each with noise
            of its own, until a batch is full.
    """

    rule: Rule = "springs"
    threshold: float = 1.0
    schedule_low: float | None = None
    schedule_high: float | None = None
    steps: int = 200
    batch_pairs: int = 40_000
    batch_molecules: int = 128
    warmup_steps: int = 100

    def check(self) -> None:
        """Noise levels are positive and in order."""
        self._not_zero("threshold", "schedule_low", "schedule_high", "steps")
        low, high = self.schedule_low, self.schedule_high
        if low is not None and high is not None and low >= high:
            raise refusal("schedule_low", low, f"less than schedule_high = {high}")
