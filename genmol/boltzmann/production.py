"""Draws until there are enough: looks at the effective size, budgets, and a potential that gives up.

The loop around :func:`samplers.run.run`, which is asked for a number of draws, looked at, and asked for
more. Looks come at 40 draws of each run and then at numbers that follow from the effective size of the
look before, so a resumed run takes the same ones and ends with the same draws.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float, Int
from torch import Tensor

from genmol.boltzmann.problem import Problem
from genmol.boltzmann.settings import Stage, Watch
from genmol.core.errors import DeliveryError
from samplers.run import Budget, Progress, Run, run
from samplers.sampler import Sampler, StartError
from samplers.target import Target, TargetError

__all__ = ["Produced", "produce"]

_FIRST_LOOK = 40  # draws of each run, or down to half of that where there are many
_MANY = 640  # draws of all runs together


@dataclass(frozen=True, eq=False)
class Produced:
    """Draws of several runs, one run after the other.

    Attributes:
        run: what :func:`samplers.run.run` has to tell.
        positions: (runs · draws, n_atoms, 3), Å.
        energies: eV.
        label: run of each draw.
        n_effective: smallest effective size.
        limited_by: the quantity that has it.
        stopped: what ended it.
        trouble: the error of a potential, or empty.
    """

    run: Run
    positions: Float[Tensor, "m n_atoms 3"]
    energies: Float[Tensor, " m"]
    label: Int[Tensor, " m"]
    n_effective: float
    limited_by: str
    stopped: str
    trouble: str = ""


def produce(
    problem: Problem,
    sampler: Sampler,
    target: Target,
    x: Float[Tensor, "n n_atoms 3"],
    *,
    seed: int,
    burn_in: int,
    thin: int,
    most: int,
    budget: Budget,
    file: Path,
    identity: str,
    zero: float,
    before: float,
    progress: Watch,
) -> Produced:
    """Sample until the budget is spent or the goal reached.

    Args:
        problem: knows the effective size.
        sampler: the kernel.
        target: what to sample.
        x: where the chains begin, Å.
        seed: of the streams.
        burn_in: sweeps.
        thin: sweeps for each draw.
        most: draws of all runs together.
        budget: what is left of it.
        file: checkpoint.
        identity: that a resumed run must agree on.
        zero: energy (eV) of log-density 0.
        before: seconds that other stages took.
        progress: called after every sweep.

    Raises:
        DeliveryError: no draw in the budget, or before the potential failed everywhere.
        ResumeError: a checkpoint of other work.
    """
    effective: float | None = None
    goal, found = min(_FIRST_LOOK, max(_FIRST_LOOK // 2, _MANY // len(x))), None

    def tell(p: Progress) -> None:
        burning = p.phase == "warm-up"
        total = p.total if burning else goal * thin
        name = "burn-in" if burning else "sampling"
        progress(Stage(name, p.done, total, before + p.seconds, p.acceptance, effective))

    def advance(draws: int) -> Run:
        return run(
            sampler, target, x, seed=seed, draws=draws, warm_up=burn_in, thin=thin,
            budget=Budget(seconds=budget.seconds, calls=budget.calls),
            checkpoint=file, identity=identity, progress=tell,
        )  # fmt: skip

    trouble = ""
    while True:
        try:
            found = advance(goal)
        except (DeliveryError, TargetError, StartError) as error:
            trouble = str(error)
            with contextlib.suppress(DeliveryError, TargetError, StartError):
                found = advance(1)  # what was saved, unless nothing was
            if found is None or not len(found.x):
                raise DeliveryError(
                    got=f"no draw before the potential gave up ({error})",
                    wanted="energies at most geometries",
                    remedy="check the potential; the last good state is saved, go on with --resume",
                ) from error
        draws = found.x[:goal], found.log_density[:goal]
        positions, log_density = (values.transpose(0, 1).flatten(0, 1) for values in draws)
        if not len(positions):
            raise DeliveryError(
                got=f"a budget that ended in the burn-in of {burn_in} sweeps",
                wanted="draws",
                remedy="give more calls or minutes, fewer runs, or a cheaper potential",
            )
        runs, length = found.x.shape[1], len(draws[0])
        label = torch.arange(runs).repeat_interleave(length)
        energies = zero - log_density * problem.kT
        effective, limited_by = problem.effective(positions, energies, label)
        reached = budget.effective is not None and effective >= budget.effective
        full = goal * runs >= most
        if trouble or found.stopped != "draws" or reached or full:
            stopped = "potential" if trouble else found.stopped
            stopped = "effective" if reached and not trouble else stopped
            return Produced(
                found, positions, energies, label, effective, limited_by, stopped, trouble
            )
        goal = min(_next(goal, effective, budget.effective), -(-most // runs))


def _next(draws: int, effective: float, wanted: float | None) -> int:
    """A tenth to twice as many again, by what is missing."""
    missing = 2.0 if wanted is None else 1.05 * wanted / max(effective, 1.0)
    return int(draws * min(max(missing, 1.1), 2.0)) + 1
