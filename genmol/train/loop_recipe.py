"""The recipe of a score that is trained on energies alone, through a buffer of corrected samples."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Final

from genmol.train.recipe import refusal
from genmol.train.score_recipe import ScoreRecipe

__all__ = ["LOOP_FIELDS", "LoopRecipe"]


@dataclass(frozen=True)
class LoopRecipe(ScoreRecipe):
    """How a score is trained without data.

    ``max_minutes`` and ``max_steps`` are of all rounds together. A later round has better samples to
    learn from, so it gets more: round k, k of 1 + 2 + ... parts.

    Attributes:
        rounds: of training, generating and correcting; 0 with --data.
        buffer: samples that are trained on, at most; half of them are new in each round.
        paths: that each round generates, one energy each.
        transitions: of the chains that move what is resampled, in each round; up to four times as many
            where weights are tempered.
        leaps: gradients of a transition's trajectory.
        effective_share: of the paths of a round that resampling leaves effective: weights are
            tempered until it is reached.
    """

    rounds: int = 0
    buffer: int = 1000
    paths: int = 1024
    transitions: int = 4
    leaps: int = 8
    effective_share: float = 0.2

    def check(self) -> None:
        """Buffers can be trained on, and weights be tempered."""
        super().check()
        self._not_zero("paths", "leaps", "transitions", "effective_share")
        if self.buffer < _FEWEST:
            raise refusal("buffer", self.buffer, f"at least {_FEWEST}")
        if self.effective_share >= 1:
            raise refusal("effective_share", self.effective_share, "less than 1")

    def part(self, number: int, *, of: int) -> float:
        """Of what is there for the rounds from ``of`` on, the part of one of them.

        Args:
            number: of the round.
            of: the first one that is still to come.
        """
        return number / sum(range(of, self.rounds + 1))

    def of_round(self, number: int, *, minutes: float | None) -> ScoreRecipe:
        """The recipe of one round's training, which has a seed of its own.

        Args:
            number: of the round, from 1.
            minutes: that it may take.
        """
        values = {name: value for name, value in self.to_dict().items() if name not in LOOP_FIELDS}
        steps = self.max_steps
        if steps is not None:
            steps = max(1, round(steps * self.part(number, of=1)))
        seed = self.seed + number
        return ScoreRecipe.from_dict(
            {**values, "seed": seed, "max_steps": steps, "max_minutes": minutes}
        )


_FEWEST = 100
LOOP_FIELDS: Final = {entry.name for entry in dataclasses.fields(LoopRecipe)} - {
    entry.name for entry in dataclasses.fields(ScoreRecipe)
}
"""What training on data has no use for."""
