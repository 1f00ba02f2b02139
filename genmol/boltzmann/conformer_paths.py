"""Boltzmann conformers by chains that also go to ends of fresh paths of a score.

At one temperature a sweep with darts (:mod:`genmol.boltzmann.sweep`) needs about a hundred gradients for
an effective draw, a quarter of what replicas need, as long as the conformers that darts land in are all
that matter. Replicas find what the search has missed; so do fresh paths
(:mod:`genmol.boltzmann.path_chains`), whose ends are a score's and know nothing of the search. Runs
begin at its draws, chosen by their weights. The rate of moves is what these and the conformers of the
search, by their Boltzmann factors, let expect at least: draws of a score that never comes near to the
molecule's wells know nothing of them. The record has the rate that was found, too.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, Final, cast

from genmol.boltzmann.engine import phases, replicas
from genmol.boltzmann.ensemble import Ensemble
from genmol.boltzmann.generator import ScoreGenerator
from genmol.boltzmann.ledger import Ledger, failures
from genmol.boltzmann.path_chains import WORTH, fitting_moves, resampled
from genmol.boltzmann.problem import Problem
from genmol.boltzmann.production import produce
from genmol.boltzmann.settings import Settings, Watch
from genmol.boltzmann.weighted import Fold, Weighted
from genmol.core.jsonable import jsonable
from samplers.moves import Cycle
from samplers.reweight import systematic
from samplers.rng import Streams
from samplers.run import Budget
from samplers.tempering import ParallelTempering

__all__ = ["sample_paths"]

_EVERY: Final = 10
"""Sweeps for each move to fresh paths."""

_LOOKS: Final = 64
"""Draws, and conformers, that are asked how often such a move will lead elsewhere."""

_NAME: Final = "fresh path"


def sample_paths(
    problem: Problem,
    generator: ScoreGenerator,
    found: Weighted,
    *,
    fold: Fold,
    seed: int,
    budget: Budget,
    folder: Path,
    progress: Watch,
    settings: Settings | None = None,
) -> Ensemble | None:
    """Sample, or go on with the work in ``folder``; None where fresh paths would hardly be gone to.

    Args:
        problem: molecule, potential, temperature, conformers that darts land in.
        generator: of the molecule.
        found: draws of it, with densities relative to the lowest of these conformers.
        fold: to frames of the molecule.
        seed: of the streams.
        budget: what is left of it.
        folder: for checkpoints.
        progress: called after every sweep.
        settings: runs, burn-in and moves; the defaults when None.

    Raises:
        DeliveryError: no draw within the budget.
        ResumeError: a checkpoint of other work.
    """
    if not bool(found.alive.any()):
        return None
    settings, zero = settings or Settings(), float(problem.start_energies.min())
    some = resampled(found, _LOOKS, seed=seed)
    logs = (zero - problem.start_energies) / problem.kT
    lowest = systematic(logs, Streams.of(seed=seed, chains=1), count=_LOOKS)
    moves, rate = min(
        (
            fitting_moves(generator, *known, found, every=_EVERY, seed=seed, fold=fold)
            for known in (
                (found.x[some], found.log_density[some]),
                (problem.conformers[lowest], logs[lowest]),
            )
        ),
        key=lambda pair: pair[1],
    )
    if rate < WORTH:
        return None
    sweep = problem.sweep(settings.moves, dart=problem.dart)
    both = replace(sweep, cycle=Cycle([*sweep.cycle.parts, moves]), names=(*sweep.names, _NAME))
    produced = produce(
        problem, Ledger(ParallelTempering(both, (1.0,)), problem.forgiving),
        problem.target(reference_energy=zero),
        found.x[resampled(found, settings.runs, seed=seed + 1)], seed=seed,
        burn_in=settings.burn_in, thin=settings.thin, most=settings.most, budget=budget,
        file=folder / "chains.pt", identity=problem.identity(settings, generator.identity), zero=zero,
        before=found.seconds, progress=progress,
    )  # fmt: skip
    lost = dict(zip(("burn-in", "sampling"), failures(produced.run.state), strict=True))
    record = replicas(produced, (1.0,), problem.temperature)
    accepted = _EVERY * record.acceptances[_NAME][0]
    return Ensemble.of(
        problem, produced, method="chains with moves to fresh paths of a score",
        settings={
            **cast("dict[str, Any]", jsonable(settings)), "sweeps_for_a_path_move": _EVERY,
            "paths_tried": moves.tries,
        },
        seed=seed, calls={"conformers": problem.start_calls, **phases(produced)}, failures=lost,
        seconds=produced.run.seconds,
        replicas=replace(record, acceptances={**record.acceptances, _NAME: (accepted,)}),
        notes={"path moves accepted": accepted, "expected": rate},
    )  # fmt: skip
