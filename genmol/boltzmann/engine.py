r"""Boltzmann conformers by parallel tempering: several independent runs, all in one batch.

Each run is a group of replicas between the temperature asked for and a high one
(:mod:`samplers.tempering`), every replica doing sweeps of jumps, darts, ring moves and HMC
(:mod:`genmol.boltzmann.sweep`). Runs have streams of their own and begin at different conformers.

1. *Tuning* of temperatures and darts (:mod:`genmol.boltzmann.tuning`).
2. *Burn-in* from where tuning ended: step sizes are learnt, replica by replica, and frozen.
3. *Sampling* until the smallest effective size over U, torsions and basins of at least 5 % is reached, or
   a budget of calls or seconds is spent (:mod:`genmol.boltzmann.production`). Nothing is learnt any more.

In the folder are ``tuning.pt`` and ``sampling.pt`` (:func:`samplers.run.run`) and ``plan.json``. A run
that is killed and resumed gives the same conformers as one that is not, save where the clock ends it.

Where the potential fails everywhere, the run ends with the draws it has (``stopped`` is
``potential``), its last good state saved.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import torch

from genmol.boltzmann.ensemble import Ensemble, Replicas
from genmol.boltzmann.ledger import failures, swap_rates
from genmol.boltzmann.problem import Problem
from genmol.boltzmann.production import Produced, produce
from genmol.boltzmann.settings import Settings, Watch, working_folder
from genmol.boltzmann.tuning import planned, tempered
from genmol.core.jsonable import jsonable
from samplers.run import Budget
from samplers.target import Calls

__all__ = ["phases", "remaining", "replicas", "sample"]


def sample(
    problem: Problem,
    *,
    seed: int,
    settings: Settings | None = None,
    budget: Budget | None = None,
    folder: Path | None = None,
    progress: Watch = lambda _: None,
) -> Ensemble:
    """Sample, or go on with the work in ``folder``.

    Args:
        problem: molecule, potential, temperature, conformers to begin with.
        seed: of the streams.
        settings: how; the defaults when None.
        budget: what ends it, 1000 effective draws when None. Calls and seconds hold for the whole
            work, with tuning and burn-in; observables are not looked at.
        folder: for checkpoints; none are kept when None.
        progress: called after every sweep.

    Raises:
        InputError: bad conformers, or a folder of other work.
        DeliveryError: no draw within the budget, or before the potential failed everywhere.
    """
    settings, budget = settings or Settings(), budget or Budget(effective=1000.0)
    zero, conformers = float(problem.start_energies.min()), problem.start_calls
    target, identity = problem.target(reference_energy=zero), problem.identity(settings)
    with working_folder(folder) as where:
        plan = planned(
            problem, settings, target, seed=seed, budget=budget, folder=where,
            identity=identity, progress=progress,
        )  # fmt: skip
        dart = problem.dart
        if dart is not None:
            dart = replace(dart, shares=torch.tensor(plan.shares, dtype=torch.float64))
        found = produce(
            problem,
            tempered(problem, settings, plan.ladder, step_size=plan.step_size, dart=dart),
            target, plan.starts, seed=seed, burn_in=plan.burn_in, thin=settings.thin,
            most=settings.most, budget=remaining(
                budget,
                conformers.energies + plan.calls.energies + plan.calls.gradients,
                plan.seconds,
            ),
            file=where / "sampling.pt", identity=identity, zero=zero, before=plan.seconds,
            progress=progress,
        )  # fmt: skip
    burnt, lost = failures(found.run.state)
    return Ensemble.of(
        problem,
        found,
        method="parallel tempering" if len(plan.ladder) > 1 else "Hamiltonian Monte Carlo",
        settings=cast("dict[str, Any]", jsonable(settings)),
        seed=seed,
        calls={"conformers": conformers, "tuning": plan.calls, **phases(found)},
        failures={"tuning": plan.failures, "burn-in": burnt, "sampling": lost},
        seconds=plan.seconds + found.run.seconds,
        replicas=replicas(found, plan.ladder, problem.temperature),
    )


def remaining(budget: Budget, calls: int, seconds: float) -> Budget:
    """What is left of a budget; at least one call or a moment, as zero would be none at all."""
    return replace(
        budget,
        seconds=None if budget.seconds is None else max(budget.seconds - seconds, 1e-3),
        calls=None if budget.calls is None else max(budget.calls - calls, 1),
    )


def phases(found: Produced) -> dict[str, Calls]:
    """Calls of burn-in and sampling."""
    made = found.run.calls
    burn_in = [made["start"], made["warm-up"]]
    return {
        "burn-in": Calls(
            sum(calls.energies for calls in burn_in), sum(calls.gradients for calls in burn_in)
        ),
        "sampling": made["production"],
    }


def replicas(found: Produced, ladder: tuple[float, ...], temperature: float) -> Replicas:
    """How temperatures worked together."""
    count, memory = len(ladder), found.run.state.memory
    kinds = {
        name: tuple(values.reshape(-1, count).mean(dim=0).tolist())
        for name, values in found.run.details.items()
        if name not in ("acceptance", "swap", "refused", "accepted")
    }
    return Replicas(
        temperatures=tuple(temperature / weight for weight in ladder),
        swap_rates=tuple(swap_rates(found.run.state, count).tolist()),
        round_trips=tuple(memory["round_trips"].reshape(-1, count).sum(dim=1).tolist()),
        step_sizes=tuple(memory["log_step"].exp().reshape(-1, count).mean(dim=0).tolist()),
        acceptances=kinds,
    )
