"""What is learnt before the sampling: temperatures, step size, shares of basins, length of the burn-in.

A first ladder from the number of degrees of freedom (:mod:`genmol.boltzmann.ladder`) is run for a few
dozen sweeps. Its rates of exchange space the ladder anew; its draws say how often each basin comes, which
are the shares of darts; its chains go on where they are. The plan is written to ``plan.json`` before
anything is done with it, as a resumed run must go by the same one even where the clock decided.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from genmol.boltzmann.darts import TorsionDart
from genmol.boltzmann.ladder import first_ladder, respaced
from genmol.boltzmann.ledger import Ledger, failures, swap_rates, sweeps
from genmol.boltzmann.problem import Problem
from genmol.boltzmann.settings import Settings, Stage, Watch
from genmol.core.files import write_json
from samplers.run import Budget, ResumeError, Run, run
from samplers.target import Calls, Target
from samplers.tempering import ParallelTempering

__all__ = ["Plan", "planned", "tempered", "total_calls"]

_SHARE = 0.15  # of a budget for tuning, at most; and for the burn-in
_OTHER_SEED = 0x9E3779B97F4A7C15


@dataclass(frozen=True, eq=False, kw_only=True)
class Plan:
    """What tuning found.

    Attributes:
        ladder: λ, rising to 1.
        step_size: of HMC at the temperature sampled, Å.
        shares: of the dart's basins; empty without a dart.
        burn_in: sweeps that the budget bears.
        starts: (runs · replicas, n_atoms, 3), Å.
        calls: spent on tuning.
        failures: among them.
        seconds: spent.
    """

    ladder: tuple[float, ...]
    step_size: float
    shares: tuple[float, ...]
    burn_in: int
    starts: Float[Tensor, "chains n_atoms 3"]
    calls: Calls
    failures: int
    seconds: float


def tempered(
    problem: Problem,
    settings: Settings,
    ladder: Sequence[float],
    *,
    step_size: float,
    dart: TorsionDart | None,
) -> Ledger:
    """Sweeps at all temperatures, with exchanges, on record."""
    moves = replace(settings.moves, step_size=step_size)
    sweep = problem.sweep(moves, dart=dart)
    return Ledger(ParallelTempering(sweep, ladder), problem.forgiving, len(ladder))


def planned(
    problem: Problem,
    settings: Settings,
    target: Target,
    *,
    seed: int,
    budget: Budget,
    folder: Path,
    identity: str,
    progress: Watch,
) -> Plan:
    """Tune, or read what an earlier start of the same work has tuned.

    Raises:
        ResumeError: a plan of other work.
    """
    dart = problem.dart
    lowest = problem.temperature / max(settings.hottest, problem.temperature)
    dimension = target.space.dimension
    ladder = first_ladder(dimension, lowest, acceptance=settings.swap, replicas=settings.replicas)
    file = folder / "plan.json"
    stored: dict[str, Any] | None = json.loads(file.read_text("utf-8")) if file.exists() else None
    if stored is not None and stored["identity"] != identity:
        raise ResumeError(f"{file} is the plan of other work")
    x = problem.begin(settings.runs * len(ladder))
    if not settings.tuning:
        shares = () if dart is None else tuple(dart.shares.tolist())
        return Plan(
            ladder=tuple(ladder), step_size=settings.moves.step_size, shares=shares,
            burn_in=settings.burn_in, starts=x, calls=Calls(), failures=0, seconds=0.0,
        )  # fmt: skip
    sampler = tempered(problem, settings, ladder, step_size=settings.moves.step_size, dart=dart)
    half = max(settings.tuning // 2, 1)
    found = run(
        sampler, target, x, seed=seed ^ _OTHER_SEED, draws=half, warm_up=half,
        budget=Budget(seconds=_part(budget.seconds), calls=_int(_part(budget.calls))),
        checkpoint=folder / "tuning.pt", identity=identity,
        progress=lambda p: progress(
            Stage("tuning", p.done + half * (p.phase == "production"), 2 * half, p.seconds,
                  p.acceptance, None)
        ),
    )  # fmt: skip
    if stored is None:
        stored = {"identity": identity} | _lessons(found, settings, ladder, dart, budget)
        write_json(file, stored)
    return Plan(
        ladder=tuple(stored["ladder"]),
        step_size=stored["step_size"],
        shares=tuple(stored["shares"]),
        burn_in=stored["burn_in"],
        starts=_redistributed(found.state.x, ladder, stored["ladder"]),
        calls=total_calls(found),
        failures=sum(failures(found.state)),
        seconds=found.seconds,
    )


def _lessons(
    found: Run,
    settings: Settings,
    ladder: list[float],
    dart: TorsionDart | None,
    budget: Budget,
) -> dict[str, Any]:
    """What a first run teaches, as plain JSON."""
    rates = swap_rates(found.state, len(ladder)).tolist()
    new = respaced(ladder, rates, acceptance=settings.swap, replicas=settings.replicas)
    if dart is not None and len(found.x):
        dart = dart.learnt(found.x.flatten(0, 1))
    sizes = found.state.memory["log_step"].reshape(-1, len(ladder))[:, -1]
    # a sweep of the new ladder, by the measure of the first one
    taken = max(sweeps(found.state), 1)
    growth = len(new) / len(ladder)
    spent = total_calls(found)
    costs = (
        (budget.calls, (spent.energies + spent.gradients) / taken * growth),
        (budget.seconds, found.seconds / taken * growth),
    )
    bearable = [_SHARE * whole / max(each, 1e-9) for whole, each in costs if whole is not None]
    return {
        "ladder": new,
        "step_size": float(sizes.mean().exp()),
        "shares": [] if dart is None else dart.shares.tolist(),
        "burn_in": int(min([settings.burn_in, *bearable])),
        "swap_rates": rates,
    }


def total_calls(found: Run) -> Calls:
    """Of all phases."""
    phases = found.calls.values()
    return Calls(sum(c.energies for c in phases), sum(c.gradients for c in phases))


def _redistributed(x: Tensor, old: Sequence[float], new: Sequence[float]) -> Tensor:
    """Every new replica begins where the old one of the nearest temperature is."""
    nearest = [min(range(len(old)), key=lambda r: abs(math.log(old[r] / w))) for w in new]
    return x.unflatten(0, (-1, len(old)))[:, torch.tensor(nearest)].flatten(0, 1)


def _part(whole: float | None) -> float | None:
    return None if whole is None else _SHARE * whole


def _int(value: float | None) -> int | None:
    return None if value is None else int(value)
