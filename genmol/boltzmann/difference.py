r"""A dear potential by few calls: its difference to a cheaper one is learnt, and weights do the rest.

Delayed acceptance (:mod:`genmol.boltzmann.delayed`) asks U once for each draw and some thousand times
before the first. Where a call takes seconds, less must do. U is asked three times:

1. *Lessons.* U and its forces at frames of an ensemble of a middle potential M, such as GFN2 for a
   density functional. The difference U − M, linear in internal coordinates
   (:mod:`genmol.boltzmann.terms`; Δ-learning, Ramakrishnan et al. 2015), makes V = M + Δ; once more at
   frames of V.
2. *Weights.* V is sampled, by delayed acceptance with a force field. At frames of that ensemble U is
   asked for energies alone, and every frame weighs

   .. math:: w = \exp\,[-(U(x) - V(x))/kT] .

Nothing rests on V but the effective share of the weights: means under w tend to those under exp(−U/kT).
With errors of standard deviation σ kT that are normal it is exp(−σ²).

The frames of 2. are taken in an order that spreads any number of them evenly over basins, and within
basins over V: sorted by both, they follow the radical inverses of van der Corput. So shares of basins
have hardly more error than that of the weights.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import torch
from jaxtyping import Float, Int
from torch import Tensor

from genmol.boltzmann.basins import find_basins
from genmol.boltzmann.delayed import DelayedSettings, sample_delayed
from genmol.boltzmann.engine import remaining
from genmol.boltzmann.ensemble import Ensemble
from genmol.boltzmann.lessons import Asked, Lessons
from genmol.boltzmann.problem import Problem
from genmol.boltzmann.settings import Stage, Watch, working_folder
from genmol.chem.torsions import dihedral
from genmol.core.errors import DeliveryError, InputError
from genmol.core.jsonable import jsonable
from genmol.potentials.contract import Potential
from samplers.pareto import fit_tail
from samplers.reweight import kish
from samplers.run import Budget
from samplers.target import Calls

__all__ = ["DifferenceSettings", "sample_difference", "spread_order"]

_LEAST = 0.6  # of a budget of calls, for the lessons
_GROWTH = 1.5  # of the frames that are weighed, from look to look
_FEWEST = 64  # weights that a tail is fitted to


@dataclass(frozen=True, kw_only=True)
class DifferenceSettings:
    """How to sample by a learnt difference.

    Attributes:
        lessons: frames of U with forces in each round.
        weighted: frames of U at the first look.
        effective: draws of every ensemble of M and V.
        middle: how these are sampled.
    """

    lessons: tuple[int, ...] = (100, 200)
    weighted: int = 200
    effective: float = 1000.0
    middle: DelayedSettings = field(default_factory=DelayedSettings)

    def __post_init__(self) -> None:
        if not self.lessons or min(*self.lessons, self.weighted) < 8 or self.effective <= 0:
            raise InputError(
                got=f"{self}",
                wanted="lessons and weights of eight frames and more, and effective draws",
                remedy="leave the defaults, or give a larger budget",
            )

    def within(self, calls: int | None) -> DifferenceSettings:
        """For a budget of calls: three fifths of it at most for the lessons.

        Args:
            calls: of U; any number when None.
        """
        wanted = sum(self.lessons)
        if calls is None or _LEAST * calls >= wanted:
            return self
        share = _LEAST * calls / wanted
        lessons = tuple(max(8, int(share * frames)) for frames in self.lessons)
        return replace(self, lessons=lessons, weighted=max(8, min(self.weighted, calls // 3)))


def sample_difference(
    problem: Problem,
    middle: Potential,
    cheap: Potential,
    *,
    seed: int,
    settings: DifferenceSettings | None = None,
    budget: Budget | None = None,
    folder: Path | None = None,
    progress: Watch = lambda _: None,
) -> Ensemble:
    """Sample, or go on with the work in ``folder``.

    Args:
        problem: molecule, dear potential U, temperature, conformers to begin with.
        middle: M, of the same molecule.
        cheap: proposes where M and V are sampled.
        seed: of the streams.
        settings: how; the defaults when None.
        budget: what ends it, 100 effective draws when None. Calls are those of U; seconds hold for the
            whole work.
        folder: for checkpoints; none are kept when None.
        progress: called after every step.

    Raises:
        InputError: a budget too small to learn from, or a folder of other work.
        DeliveryError: U has no energy for any frame that is weighed.
    """
    budget = budget or Budget(effective=100.0)
    settings = (settings or DifferenceSettings()).within(budget.calls)
    identity = problem.identity(settings, dict(middle.level), dict(cheap.level))
    with working_folder(folder) as where:
        work = _Work(problem, middle, cheap, settings, seed, where, identity, progress)
        taught, ensemble, direct = work.taught()
        return work.weighed(taught, ensemble, direct, budget)


class _Work:
    """The steps of one job."""

    def __init__(
        self,
        problem: Problem,
        middle: Potential,
        cheap: Potential,
        settings: DifferenceSettings,
        seed: int,
        where: Path,
        identity: str,
        progress: Watch,
    ) -> None:
        self.problem, self.middle, self.cheap, self.settings = problem, middle, cheap, settings
        self.seed, self.where, self.identity, self.progress = seed, where, identity, progress
        self.seconds = 0.0
        self.calls_of: dict[str, Calls] = {}

    def taught(self) -> tuple[Lessons, Ensemble, Mapping[str, float]]:
        """What was learnt, an ensemble of V, and how good weights straight from M would be."""
        lessons, potential = Lessons.none(self.problem, self.middle), self.middle
        direct: Mapping[str, float] = {}
        for k, frames in enumerate(self.settings.lessons):
            ensemble = self.sampled(potential, k)
            index = self.order(ensemble)[:frames]
            asked = Asked.of(
                self.problem,
                ensemble.positions[index],
                self.where / f"lesson-{k}.pt",
                self.identity,
                told=self.telling(f"lesson {k + 1}", len(index)),
            )
            self.seconds += asked.seconds
            if k == 0:
                direct = quality(self.log_weights(ensemble.energies[index], asked))
            lessons = lessons.with_(asked)
            potential = lessons.learnt
        return lessons, self.sampled(potential, len(self.settings.lessons)), direct

    def sampled(self, potential: Potential, k: int) -> Ensemble:
        """An ensemble of a potential that proposes."""

        def tell(stage: Stage, before: float = self.seconds) -> None:
            name = f"{potential.name}: {stage.name}"
            self.progress(replace(stage, name=name, seconds=before + stage.seconds))

        found = sample_delayed(
            replace(self.problem, potential=potential), self.cheap, seed=self.seed + 7919 * (k + 1),
            settings=self.settings.middle, budget=Budget(effective=self.settings.effective),
            folder=self.where / f"ensemble-{k}", progress=tell,
        )  # fmt: skip
        self.seconds += found.seconds
        made = self.calls_of.setdefault(potential.name, Calls())
        made.energies += found.energy_calls
        made.gradients += found.gradient_calls
        for name, calls in found.calls_of.items():
            other = self.calls_of.setdefault(name, Calls())
            other.energies += calls.energies
            other.gradients += calls.gradients
        return found

    def order(self, ensemble: Ensemble) -> Int[Tensor, " m"]:
        """Its frames, any number from the first on being spread."""
        return spread_order(self.labels(ensemble), ensemble.energies)

    def labels(self, ensemble: Ensemble) -> Int[Tensor, " m"]:
        """Basins of its frames."""
        p = self.problem
        if p.labels is not None:
            return p.labels(ensemble.positions, ensemble.energies)
        angles = torch.zeros(ensemble.count, 0, dtype=torch.float64)
        if p.torsions:
            angles = dihedral(ensemble.positions, [torsion.atoms for torsion in p.torsions])
        found = find_basins(
            angles, ensemble.energies, p.temperature, folds=[t.fold for t in p.torsions],
            weights=ensemble.weights,
        )  # fmt: skip
        return torch.from_numpy(found.labels)

    def log_weights(self, proposed: Tensor, asked: Asked) -> Float[Tensor, " m"]:
        """−(U − V)/kT; −∞ where U has no energy."""
        logs = (proposed[: len(asked.x)] - asked.energies) / self.problem.kT
        return torch.where(asked.known, logs, -torch.inf)

    def weighed(
        self, lessons: Lessons, ensemble: Ensemble, direct: Mapping[str, float], budget: Budget
    ) -> Ensemble:
        """Frames of V with their weights, until there are enough."""
        problem, order = self.problem, self.order(ensemble)
        left = remaining(budget, lessons.asked, self.seconds)
        most = len(order) if left.calls is None else min(left.calls, len(order))
        wanted = float("inf") if budget.effective is None else budget.effective
        count = min(self.settings.weighted, most)
        while True:
            index = order[:count]
            asked = Asked.of(
                problem, ensemble.positions[index], self.where / "weighed.pt", self.identity,
                forces=False, seconds=left.seconds, told=self.telling("weights", count),
            )  # fmt: skip
            logs = self.log_weights(ensemble.energies[index], asked)
            alive = logs.isfinite()
            if not bool(alive.any()):
                raise DeliveryError(
                    got=f"no energy of {problem.potential.name} at {len(asked.x)} frames "
                    f"({'; '.join(problem.forgiving.calls.reasons[:1])})",
                    wanted="at least one",
                    remedy="check charge, multiplicity and basis",
                )
            chosen = index[: len(asked.x)][alive]
            run = ensemble.run[chosen]
            turn = run.argsort(stable=True)
            x, energies, own = (
                part[turn] for part in (asked.x[alive], asked.energies[alive], logs[alive])
            )
            run = run[turn]
            effective, limited_by = problem.effective(x, energies, run, (own - own.max()).exp())
            stopped = self.ended(effective, wanted, asked, count, most, left)
            if stopped:
                break
            need = int(count * min(_GROWTH, 1.05 * wanted / max(effective, 1e-9)))
            count = min(max(need, count + 8), most)
        return Ensemble(
            positions=x, energies=energies, log_weights=own - own.logsumexp(dim=0), run=run,
            numbers=problem.numbers, temperature=problem.temperature,
            potential=problem.potential.name, level=dict(problem.potential.level),
            method="weights to a learnt difference",
            settings=cast("dict[str, Any]", jsonable(self.settings)), seed=self.seed,
            n_effective=effective, limited_by=limited_by, stopped=stopped,
            calls={
                "lessons": Calls(gradients=lessons.asked),
                "weights": Calls(energies=len(asked.x)),
            },
            calls_of=self.calls_of,
            failures={"lessons": lessons.failed, "weights": int((~alive).sum())},
            reasons=tuple(problem.forgiving.calls.reasons), seconds=self.seconds + asked.seconds,
            notes={
                "middle potential": self.middle.name,
                "weights": quality(logs),
                "weights straight from the middle potential": direct,
            },
        )  # fmt: skip

    def ended(
        self, effective: float, wanted: float, asked: Asked, count: int, most: int, left: Budget
    ) -> str:
        """What ended it; empty to go on."""
        if effective >= wanted:
            return "effective"
        if len(asked.x) < count or (left.seconds is not None and asked.seconds >= left.seconds):
            return "seconds"
        if count >= most:
            return "calls" if left.calls is not None and most == left.calls else "draws"
        return ""

    def telling(self, name: str, total: int) -> Callable[[int, float], None]:
        """Tells the callback how many frames have been asked."""

        def tell(done: int, seconds: float) -> None:
            self.progress(Stage(name, done, total, self.seconds + seconds, 1.0, None))

        return tell


def spread_order(labels: Int[Tensor, " m"], energies: Float[Tensor, " m"]) -> Int[Tensor, " m"]:
    """All places, so that the first ones, however many, are spread over labels and energies.

    Args:
        labels: of strata.
        energies: to sort by within a stratum.
    """
    m = len(labels)
    rank = energies.argsort(stable=True)
    rank = rank[labels[rank].argsort(stable=True)]
    bits = max(1, (m - 1).bit_length())
    number = torch.arange(2**bits)
    inverse = torch.zeros_like(number)
    for bit in range(bits):
        inverse |= ((number >> bit) & 1) << (bits - 1 - bit)
    return rank[inverse[inverse < m]]


def quality(log_weights: Float[Tensor, " m"]) -> dict[str, float]:
    """Effective share of weights, spread of their logarithms, and Pareto's k of many.

    Args:
        log_weights: −∞ where there is none.
    """
    alive = log_weights[log_weights.isfinite()]
    if len(alive) < 2:
        return {"frames": len(log_weights), "share": 0.0, "spread_kt": float("inf")}
    share = float(kish(alive)) / len(log_weights)
    found = {"frames": len(log_weights), "share": share, "spread_kt": float(alive.std())}
    return found | ({"pareto_k": fit_tail(alive).k} if len(alive) > _FEWEST else {})
