r"""What draws of a trained score cost in seconds, so that ``auto`` can compare them with chains.

A path takes p seconds of network, an energy c of the potential. Before n effective draws are there,

- weighted draws by W processes need about :math:`(P + D n)\,p / W + D n c`, with P paths of the pilot and
  D draws for an effective one,
- Hamiltonian Monte Carlo of a density about :math:`(G_0 + G n)\,c`.

D and G are those of ``genmol benchmark psm``; a model that is not among the measured ones is taken for a
poor one. Draws ask a potential a hundred times less often than chains, but a path takes longer than
thousands of cheap gradients: by the clock scores pay where the potential is dear.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

from jaxtyping import Float
from torch import Tensor

from genmol.boltzmann.generator import ScoreGenerator
from genmol.boltzmann.score_batch import Particles
from genmol.boltzmann.score_files import LoadedScore
from samplers.rng import Streams
from samplers.target import Target

__all__ = ["DRAWS", "GRADIENTS", "Offer", "ToyChoice", "choose_for_toy", "spoken"]

DRAWS: Final[Mapping[str, float]] = {
    "score-dw4": 1.6, "score-lj13": 11.0, "score-ethanediol": 33.0
}  # fmt: skip
"""Model -> D."""

GRADIENTS: Final[Mapping[str, float]] = {"dw4": 420, "lj13": 170, "lj55": 190}
"""Toy -> G, of tuned Hamiltonian Monte Carlo."""

_UNKNOWN: Final = 20.0
_BEFORE: Final = 96_000
"""Gradients G₀ of :mod:`genmol.boltzmann.density_chains`: 16 runs of 600 steps with 10 leaps."""

_PILOT: Final = 256
_TIMED: Final = 64
_ENOUGH: Final = 0.05  # seconds that a measurement should take


@dataclass(frozen=True)
class Offer:
    """Draws of a score.

    Attributes:
        name: of the model.
        path: seconds of a path, by all processes together.
        draws: D.
    """

    name: str
    path: float
    draws: float

    @classmethod
    def of(cls, score: LoadedScore, system: Particles, *, workers: int = 1) -> Offer:
        """Measured.

        Args:
            score: of the system.
            system: what is generated.
            workers: processes that paths are shared over.
        """
        generator = ScoreGenerator(score.model, system, score.steps)
        noise = generator.space.normal(Streams.of(seed=0, chains=_TIMED), "offer")
        x, t = generator.prior * noise, generator.times[0]
        generator.score(x[:1], t)  # fills caches
        began = time.perf_counter()
        generator.score(x, t)
        seconds = generator.steps * (time.perf_counter() - began) / _TIMED
        return cls(score.name, seconds / workers, DRAWS.get(score.name, _UNKNOWN))

    def expected(self, effective: float, energy: float) -> float:
        """Seconds until there are enough.

        Args:
            effective: draws that are wanted.
            energy: seconds of one.
        """
        draws = self.draws * effective
        return (_PILOT + draws) * self.path + draws * energy


class ToyChoice(NamedTuple):
    """Whether a score is taken, and why: one sentence."""

    taken: bool
    reason: str


def choose_for_toy(
    toy: str, target: Target, x: Float[Tensor, "n *shape"], offer: Offer, *, effective: float
) -> ToyChoice:
    """Between a score and Hamiltonian Monte Carlo, by the clock.

    Args:
        toy: its name, one of :data:`GRADIENTS`.
        target: its density.
        x: points of it, as many as runs.
        offer: of the score.
        effective: draws that are wanted.
    """
    c = _seconds_per_gradient(target, x)
    ours, theirs = offer.expected(effective, c), (_BEFORE + GRADIENTS[toy] * effective) * c
    return ToyChoice(
        ours < theirs,
        f"a gradient takes {spoken(c)} and a path of {offer.name} {spoken(offer.path)}: about "
        f"{spoken(ours)} for {effective:.0f} effective draws by the score, {spoken(theirs)} by "
        "Hamiltonian Monte Carlo",
    )


def spoken(seconds: float) -> str:
    """In a unit that suits it."""
    if seconds == float("inf"):
        return "for ever"
    if seconds < 1e-4:
        return f"{1e6 * seconds:.2g} µs"
    if seconds < 0.1:
        return f"{1000 * seconds:.2g} ms"
    if seconds < 100:
        return f"{seconds:.2g} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"


def _seconds_per_gradient(target: Target, x: Tensor) -> float:
    """Of one point of a batch, by the wall clock."""
    target.evaluate(x)
    count, began = 0, time.perf_counter()
    while (passed := time.perf_counter() - began) < _ENOUGH:
        target.evaluate(x)
        count += len(x)
    return passed / max(count, 1)
