r"""Draws of a generator with the weights that correct them, round by round.

Paths are independent of each other, so their ends x with weights w are one list, however many rounds
it takes, and :math:`\sum w f / \sum w` tends to the mean of f under the target whatever the network has
learnt (:mod:`genmol.boltzmann.generator`). They are labelled as populations for error bars, which come
from comparing them. A draw costs one energy, and none where it is not the molecule: its weight is zero.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from genmol.boltzmann.generator import ScoreGenerator
from genmol.boltzmann.rounds import populations, rounds
from genmol.core.files import atomic_path
from samplers.pareto import fit_tail
from samplers.reweight import kish
from samplers.run import Budget, ResumeError
from samplers.sde import Paths
from samplers.target import Counted

__all__ = ["Fold", "Weighted", "weighted_draws"]

Fold = Callable[[Tensor], tuple[Tensor, Tensor]]
"""Points (n, *shape) to their standard images, and which of them (n,) are where the target is."""


@dataclass(frozen=True, eq=False)
class Weighted:
    """Draws of several populations, population by population.

    Attributes:
        x: (m, *shape).
        log_density: (m,); −∞ outside.
        log_weights: (m,), not normalised: their mean weight is Z.
        run: (m,) population.
        energies: that were computed.
        seconds: of all rounds, by the wall clock.
    """

    x: Float[Tensor, "m *shape"]
    log_density: Float[Tensor, " m"]
    log_weights: Float[Tensor, " m"]
    run: Int[Tensor, " m"]
    energies: int
    seconds: float

    @property
    def share(self) -> float:
        """Kish's effective size for each draw."""
        return float(kish(self.log_weights)) / len(self.x) if bool(self.alive.any()) else 0.0

    @property
    def alive(self) -> Bool[Tensor, " m"]:
        """Draws that have a weight."""
        return self.log_weights.isfinite()

    @property
    def tail(self) -> float:
        """Pareto's k of the weights: below 0.7 they can be used."""
        logs = self.log_weights[self.alive]
        return fit_tail(logs).k if len(logs) > 64 else float("inf")

    def joined(self, other: Weighted) -> Weighted:
        """With further draws, population by population."""
        parts = {
            name: torch.cat([getattr(self, name), getattr(other, name)])
            for name in ("x", "log_density", "log_weights", "run")
        }
        order = parts["run"].argsort(stable=True)
        return Weighted(
            **{name: values[order] for name, values in parts.items()},
            energies=self.energies + other.energies,
            seconds=self.seconds + other.seconds,
        )

    def save(self, file: Path, identity: str) -> None:
        """All or nothing."""
        with atomic_path(file) as temporary:
            torch.save({"identity": identity, **vars(self)}, temporary)

    @classmethod
    def load(cls, file: Path, identity: str) -> Weighted:
        """Undo :meth:`save`.

        Raises:
            ResumeError: it is of other work.
        """
        content = torch.load(file, weights_only=True)
        if content.pop("identity") != identity:
            raise ResumeError(f"{file} is of other work")
        return cls(**content)


def weighted_draws(
    generator: ScoreGenerator,
    target: Counted,
    *,
    seed: int,
    effective: Callable[[Weighted], float],
    wanted: float,
    budget: Budget,
    folder: Path,
    identity: str,
    fold: Fold | None = None,
    most: int = 100_000,
    hopeless: float | None = 0.02,
    workers: int = 1,
    progress: Callable[[Weighted, float], None] = lambda *_: None,
) -> tuple[Weighted, str]:
    """Draw rounds until there are enough, and say what ended it.

    Args:
        generator: of the system.
        target: whose energies the draws get.
        seed: of the streams.
        effective: size of the draws so far.
        wanted: effective size that ends it.
        budget: seconds and calls that end it, too.
        folder: of one file for each round, to resume from.
        identity: of the work.
        fold: what is done to a draw before it is weighed; nothing when None.
        most: draws.
        hopeless: share of effective draws below which, after the first rounds, no more are made, nor
            where weights have too heavy a tail; None goes on whatever they are worth.
        workers: processes that make the paths; energies are computed in this one.
        progress: called after each round with the draws and their effective size.

    Raises:
        ResumeError: the folder holds other work.
    """
    stored = 0
    while (folder / f"round-{stored}.pt").exists():
        stored += 1
    found: Weighted | None = None
    round_, began = 0, time.monotonic()
    with closing(rounds(generator, seed=seed, first=stored, workers=workers)) as following:
        while True:
            file = folder / f"round-{round_}.pt"
            if round_ < stored:
                new = Weighted.load(file, identity)
            else:
                new = _weighed(next(following), target, fold, began)
                new.save(file, identity)
            found, round_ = new if found is None else found.joined(new), round_ + 1
            began = time.monotonic()
            size = effective(found)
            progress(found, size)
            if size >= wanted:
                return found, "effective"
            if budget.seconds is not None and found.seconds >= budget.seconds:
                return found, "seconds"
            if budget.calls is not None and found.energies >= budget.calls:
                return found, "calls"
            if len(found.x) >= most:
                return found, "draws"
            if hopeless is None or round_ < 2:
                continue
            if found.share < hopeless or found.tail > 0.7:
                return found, "weights"


def _weighed(paths: Paths, target: Counted, fold: Fold | None, began: float) -> Weighted:
    """A round with its energies; it began when the one before was done."""
    before, n = target.calls.energies, len(paths.x)
    x, inside = (paths.x, torch.ones(n, dtype=torch.bool)) if fold is None else fold(paths.x)
    log_density = torch.full((n,), -torch.inf, dtype=torch.float64)
    if bool(inside.any()):
        log_density[inside] = target.log_density(x[inside]).double()
    assert paths.weight is not None
    return Weighted(
        x=x,
        log_density=log_density,
        log_weights=paths.weight.end(log_density),
        run=populations(),
        energies=target.calls.energies - before,
        seconds=time.monotonic() - began,
    )
