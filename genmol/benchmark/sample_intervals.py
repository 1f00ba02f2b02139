r"""How often intervals of 95 % hold the truth: many repeats of one experiment, in one batch.

Every repeat has eight independent runs; all runs of all repeats are chains of one batch, with streams of
their own. Each repeat measures the populations and free energies of the states with their intervals
(:mod:`genmol.boltzmann.observables`), of states of at least 5 % by the truth. The truth of toys is exact
or by quadrature; that of the molecule is the mean over all repeats, whose error is a fourteenth of a
repeat's.

Hits of one repeat are correlated, so a share over 200 repeats has an error of about 1.5 %, whatever the
number of states.
"""

from __future__ import annotations

import time
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor

from genmol.benchmark.sample_molecules import MOLECULES, TEMPERATURE, problem_of
from genmol.boltzmann.basins import find_basins
from genmol.boltzmann.draws import Draws
from genmol.boltzmann.intervals import Interval, Thermal
from genmol.boltzmann.observables import LISTED, measure
from genmol.boltzmann.sweep import Frozen, Moves
from genmol.boltzmann.views import MoleculeView, codes_of
from genmol.chem.species import species_from_smiles
from genmol.potentials.mmff import MMFF
from samplers.hmc import HMC
from samplers.known import Toy
from samplers.moves import Cycle, MetropolisHastings, RandomWalk
from samplers.rng import Streams
from samplers.run import Run, run
from samplers.sampler import Sampler
from samplers.tempering import ParallelTempering
from samplers.toys import TOYS

__all__ = ["INTERVALS", "interval_row"]

_RUNS = 8
_REPEATS_OF_BOOTSTRAP = 400
_MOST = 60_000  # frames from which the basins of a molecule are found

_JUMPS = {"double-well": 2.5, "two-basins": 2.5, "mixture": 4.0}
"""Widths of the normal steps that take a toy from basin to basin."""

INTERVALS: Final[dict[str, tuple[Sampler, int, int] | None]] = {
    **{
        name: (
            Cycle((Frozen(HMC(step_size=0.25, leaps=4)), MetropolisHastings(RandomWalk(width)))),
            100,
            150,
        )
        for name, width in _JUMPS.items()
    },
    "dw4": (ParallelTempering(Frozen(HMC(step_size=0.13, leaps=8)), (0.3, 0.55, 1.0)), 100, 150),
    "1,2-ethanediol": None,
}
"""Toy -> sampler, burn-in, draws of each run; None for molecules, with MMFF94."""


def interval_row(name: str, *, repeats: int, draws: int, seed: int = 0) -> dict[str, Any]:
    """The share of intervals that hold the truth.

    Args:
        name: of :data:`INTERVALS`.
        repeats: of the experiment.
        draws: of each run of a molecule; toys have their own number.
        seed: of everything.
    """
    began, toy = time.monotonic(), INTERVALS[name]
    if toy is None:
        found, labels, thermal = _molecule(name, repeats * _RUNS, draws, seed)
        truth = torch.bincount(labels.flatten()).double() / labels.numel()
    else:
        found, labels = _toy(name, toy, repeats * _RUNS, seed)
        truth, thermal = _truth(TOYS[name](), labels), Thermal.reduced(1.0)
    order = truth.argsort(descending=True)
    truth, labels = truth[order], order.argsort()[labels]
    energies = -found.log_density.double() * thermal.kT
    hits: dict[str, list[bool]] = {"populations": [], "free energies": []}
    sizes, widths = [], []
    for k in range(repeats):
        own = slice(k * _RUNS, (k + 1) * _RUNS)
        runs = np.repeat(np.arange(_RUNS), len(energies))
        seen = measure(
            Draws.of(len(runs), runs=runs), energies[:, own].T.flatten(), thermal,
            Streams.of(seed=seed + k, chains=1), labels=labels[:, own].T.flatten(), bins=1,
            repeats=_REPEATS_OF_BOOTSTRAP,
        )  # fmt: skip
        sizes.append(seen.n_effective)
        for b in (truth >= LISTED).nonzero().flatten().tolist():
            if b >= len(seen.states):
                hits["populations"].append(False)
                continue
            state, p = seen.states[b], float(truth[b])
            hits["populations"].append(_holds(state.population, p))
            if b:
                free = -thermal.reported * float((truth[b] / truth[0]).log())
                hits["free energies"].append(_holds(state.free_energy, free))
                widths.append(state.free_energy.half_width)
    every = [hit for kind in hits.values() for hit in kind]
    return {
        "repeats": repeats,
        "runs": _RUNS,
        "draws_of_a_run": len(energies),
        "states": int((truth >= LISTED).sum()),
        "intervals": len(every),
        "coverage": float(np.mean(every)),
        **{kind: float(np.mean(values)) for kind, values in hits.items() if values},
        "median_n_effective": float(np.median(sizes)),
        "median_half_width": float(np.median(widths)) if widths else 0.0,
        "unit": "kcal/mol" if toy is None else "kT",
        "populations_of_states": truth.tolist(),
        "acceptance": float(found.details["acceptance"].nanmean()),
        "gradients": sum(calls.gradients for calls in found.calls.values()),
        "seconds": time.monotonic() - began,
    }


def _holds(interval: Interval, truth: float) -> bool:
    return interval.low <= truth <= interval.high


def _toy(name: str, how: tuple[Sampler, int, int], chains: int, seed: int) -> tuple[Run, Tensor]:
    """Draws, and states (draws, chains)."""
    toy, (sampler, burn_in, draws) = TOYS[name](), how
    start = toy.start(Streams.of(seed=seed, chains=chains).fold("start"))
    if isinstance(sampler, ParallelTempering):
        start = start.repeat_interleave(len(sampler.ladder), dim=0)
    found = run(sampler, toy, start, seed=seed, warm_up=burn_in, draws=draws)
    codes = codes_of(toy)
    assert codes is not None
    return found, codes(found.x.flatten(0, 1)).reshape(found.x.shape[:2])


def _truth(toy: Toy, labels: Tensor) -> Tensor:
    """Shares of the states by number: known ones where there are any, else the mean of all repeats."""
    seen = torch.bincount(labels.flatten()).double() / labels.numel()
    truths = {key: known.value for key, known in toy.truths.items()}
    if "right" in truths:
        return torch.tensor([1 - truths["right"], truths["right"]], dtype=torch.float64)
    basins = [truths[key] for key in sorted(truths) if key.startswith("basin ")]
    if basins:
        return torch.tensor(basins, dtype=torch.float64)
    if "two short" in truths:  # the shares of the others among themselves are those of all repeats
        seen[2] = 0.0
        seen = seen / seen.sum() * (1 - truths["two short"])
        seen[2] = truths["two short"]
    return seen


def _molecule(name: str, chains: int, draws: int, seed: int) -> tuple[Run, Tensor, Thermal]:
    """Chains of sweeps at one temperature, where jumps and darts cross every barrier."""
    species = species_from_smiles(MOLECULES[name])
    problem = problem_of(species, MMFF(species.mol), confined=False, seed=seed)
    zero = float(problem.start_energies.min())
    found = run(
        problem.sweep(Moves(), dart=problem.dart), problem.target(reference_energy=zero),
        problem.begin(chains), seed=seed, warm_up=60, draws=draws,
    )  # fmt: skip
    view, frames = MoleculeView.of(species), found.x.flatten(0, 1)
    energies = (zero - found.log_density.flatten() * problem.kT).numpy()
    every = max(1, len(frames) // _MOST)
    basins = find_basins(
        view.copies(frames[::every]), energies[::every], TEMPERATURE, folds=view.folds
    )
    labels = torch.cat(
        [torch.from_numpy(basins.label(view.copies(part))) for part in frames.split(_MOST)]
    )
    labels = torch.where(labels < 0, basins.count, labels).reshape(found.x.shape[:2])
    return found, labels, Thermal.molecule(TEMPERATURE)
