r"""Delayed acceptance: chains run on a cheap potential, the expensive one decides now and then.

m sweeps of the moves of :mod:`genmol.boltzmann.sweep`, forth and back so that they are reversible, lead
from x to x' by the cheap potential V alone; then U is asked once, and x' accepted with probability

.. math:: \min\bigl(1,\ \exp\,[-(U(x') - U(x)) + (V(x') - V(x))]/kT\bigr)

(Christen and Fox, 2005; :class:`samplers.moves.DelayedAcceptance`). The draws follow exp(−U/kT)
whatever V is; how many calls of U they take hangs on how well V follows U. For proposals that have
forgotten where they come from, and normal differences of standard deviation σ kT, the rate is
erfc(σ/2).

1. *Cheap ensemble.* V is sampled by parallel tempering (:mod:`genmol.boltzmann.engine`).
2. *Lessons.* U is computed at some of its frames, and V corrected by what they say
   (:mod:`genmol.boltzmann.surrogate`); once more with frames of the corrected V. Then V is frozen.
3. *Burn-in* from frames of the last ensemble, and *sampling* as ever.

Calls of U: those of the lessons, of the burn-in, and one a draw. Those of V are counted apart.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import torch

from genmol.boltzmann.engine import phases, remaining, sample
from genmol.boltzmann.ensemble import Ensemble, Replicas
from genmol.boltzmann.ledger import Ledger, failures, sweeps
from genmol.boltzmann.lessons import Asked, Lessons
from genmol.boltzmann.problem import Problem
from genmol.boltzmann.production import produce
from genmol.boltzmann.settings import Settings, Stage, Watch, working_folder
from genmol.boltzmann.sweep import Confined, Frozen, Moves
from genmol.core.errors import InputError
from genmol.core.jsonable import jsonable
from genmol.potentials.contract import Potential
from samplers.moves import DelayedAcceptance
from samplers.run import Budget
from samplers.sampler import Sampler
from samplers.target import Calls

__all__ = ["DelayedSettings", "sample_delayed"]

_SPREAD = 8.0  # frames of a lesson for each effective draw


@dataclass(frozen=True, kw_only=True)
class DelayedSettings:
    """How to sample by delayed acceptance.

    Attributes:
        runs: independent ones; errors need eight.
        sweeps: m, of the cheap potential for each decision.
        lessons: frames of U in each round of correcting V; none takes V as it is.
        burn_in: decisions.
        most: draws of all runs together.
        moves: of a cheap sweep.
        cheap: how the cheap potential is sampled in between.
    """

    runs: int = 64
    sweeps: int = 4
    lessons: tuple[int, ...] = (150, 250, 300)
    burn_in: int = 12
    most: int = 100_000
    moves: Moves = field(default_factory=Moves)
    cheap: Settings = field(default_factory=lambda: Settings(tuning=16, burn_in=30))

    def __post_init__(self) -> None:
        if min(self.runs, self.sweeps, self.most, self.burn_in, *self.lessons, 1) < 1:
            raise InputError(
                got=f"{self}",
                wanted="at least one run, sweep, draw and decision, and frames in every lesson",
                remedy="leave the defaults",
            )


def sample_delayed(
    problem: Problem,
    cheap: Potential,
    *,
    seed: int,
    settings: DelayedSettings | None = None,
    budget: Budget | None = None,
    folder: Path | None = None,
    progress: Watch = lambda _: None,
) -> Ensemble:
    """Sample, or go on with the work in ``folder``.

    Args:
        problem: molecule, expensive potential, temperature, conformers to begin with.
        cheap: potential of the same molecule.
        seed: of the streams.
        settings: how; the defaults when None.
        budget: what ends it, 1000 effective draws when None. Calls are those of the expensive
            potential; seconds hold for the whole work.
        folder: for checkpoints; none are kept when None.
        progress: called after every step.

    Raises:
        InputError: bad conformers, or a folder of other work.
        DeliveryError: no draw within the budget, or before a potential failed everywhere.
    """
    settings, budget = settings or DelayedSettings(), budget or Budget(effective=1000.0)
    identity = problem.identity(settings, dict(cheap.level))
    with working_folder(folder) as where:
        taught = _taught(problem, cheap, settings, seed, where, identity, progress)
        return _decided(problem, taught, settings, seed, budget, where, identity, progress)


@dataclass(frozen=True, eq=False)
class _Taught:
    """The cheap potential, as good as the lessons made it, and an ensemble of it."""

    potential: Potential
    ensemble: Ensemble
    calls: Calls
    calls_of: Mapping[str, Calls]
    failures: int
    errors: tuple[float, ...]  # eV, of each V at frames it had not seen
    seconds: float


def _taught(
    problem: Problem,
    cheap: Potential,
    settings: DelayedSettings,
    seed: int,
    where: Path,
    identity: str,
    progress: Watch,
) -> _Taught:
    """Cheap ensembles and lessons in turn; the last ensemble is of the V that stays."""
    potential, seconds = cheap, 0.0
    calls_of: dict[str, Calls] = {}
    lessons, errors = Lessons.none(problem, cheap), list[float]()
    for k, frames in enumerate((*settings.lessons, 0)):
        # a lesson needs frames that are spread; the last ensemble, a place for each run to begin
        wanted = frames / _SPREAD if frames else 1.0 * settings.runs

        def tell(stage: Stage, before: float = seconds) -> None:
            progress(replace(stage, name=f"cheap {stage.name}", seconds=before + stage.seconds))

        ensemble = sample(
            replace(problem, potential=potential, confined=False), seed=seed + 7919 * (k + 1),
            settings=settings.cheap, folder=where / f"cheap-{k}",
            budget=Budget(effective=wanted),
            progress=tell,
        )  # fmt: skip
        seconds += ensemble.seconds
        made = calls_of.setdefault(potential.name, Calls())
        made.energies += ensemble.energy_calls
        made.gradients += ensemble.gradient_calls
        if not frames:
            break
        index = torch.linspace(0, ensemble.count - 1, min(frames, ensemble.count)).long()
        found = Asked.of(problem, ensemble.positions[index], where / f"lesson-{k}.pt", identity)
        seconds += found.seconds
        errors.append(float((found.energies - ensemble.energies[index])[found.known].std()))
        lessons = lessons.with_(found)
        made.gradients += int(found.known.sum())
        potential = lessons.learnt
    return _Taught(
        potential, ensemble, Calls(gradients=lessons.asked), calls_of, lessons.failed,
        tuple(errors), seconds,
    )  # fmt: skip


def _decided(
    problem: Problem,
    taught: _Taught,
    settings: DelayedSettings,
    seed: int,
    budget: Budget,
    where: Path,
    identity: str,
    progress: Watch,
) -> Ensemble:
    """Chains of the cheap potential, decided by the expensive one."""
    quick = replace(problem, potential=taught.potential, confined=False)
    zero, dart = float(problem.start_energies.min()), quick.dart
    if dart is not None:
        dart = dart.learnt(taught.ensemble.positions)
    assert taught.ensemble.replicas is not None
    step = taught.ensemble.replicas.step_sizes[-1]
    sweep = quick.sweep(replace(settings.moves, step_size=step), dart=dart, palindrome=True)
    sampler: Sampler = DelayedAcceptance(
        Frozen(sweep),
        quick.target(reference_energy=float(taught.ensemble.energies.min())),
        steps=settings.sweeps,
    )
    if problem.inside is not None:
        sampler = Confined(sampler, problem.inside)
    conformers = Calls(energies=len(problem.starts))  # symmetry is asked of the cheap potential
    spent = conformers.energies + taught.calls.gradients
    index = torch.linspace(0, taught.ensemble.count - 1, settings.runs).long()
    found = produce(
        problem, Ledger(sampler, problem.forgiving), problem.target(reference_energy=zero),
        taught.ensemble.positions[index], seed=seed, burn_in=settings.burn_in, thin=1,
        most=settings.most, budget=remaining(budget, spent, taught.seconds),
        file=where / "sampling.pt", identity=identity, zero=zero, before=taught.seconds,
        progress=progress,
    )  # fmt: skip
    decisions = sweeps(found.run.state)
    calls_of = {name: Calls(**vars(calls)) for name, calls in taught.calls_of.items()}
    made = calls_of.setdefault(taught.potential.name, Calls())
    made.energies += quick.start_calls.energies
    made.gradients += settings.runs * (1 + decisions * settings.sweeps * sweep.calls)
    details = found.run.details
    burnt, lost = failures(found.run.state)
    return Ensemble.of(
        problem,
        found,
        method="delayed acceptance",
        settings=cast("dict[str, Any]", jsonable(settings)),
        seed=seed,
        calls={
            "conformers": conformers, "lessons": taught.calls, **phases(found)
        },
        calls_of=calls_of,
        failures={"lessons": taught.failures, "burn-in": burnt, "sampling": lost},
        seconds=taught.seconds + found.run.seconds,
        replicas=Replicas(
            temperatures=(problem.temperature,), swap_rates=(), round_trips=(), step_sizes=(step,),
            acceptances={
                "decision": (float(details["acceptance"].mean()),),
                "cheap HMC": (float(details["inner acceptance"].mean()),),
            },
        ),
        notes={
            "cheap potential": taught.potential.name,
            "error at unseen frames (kT)": [error / problem.kT for error in taught.errors],
        },
    )  # fmt: skip
