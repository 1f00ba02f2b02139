r"""Boltzmann conformers from a trained score: paths from noise, one energy each, weights that correct.

A score that knows a molecule by its bonds gives frames of every form that numbered atoms can have, all
equally often: mirror images, and equal atoms exchanged. Each frame is brought to the forms of the
reference (:func:`genmol.chem.automorphisms.relabelled`), a chiral molecule's frame through the mirror
where that makes it the stereoisomer asked for; U is the same, and the number of images a constant. What
is not the molecule then, by bonds or stereo, has weight zero and costs no energy.

A score that knows stereo, too, has fewer symmetries: renumberings that keep the forms which the molecule
specifies, and no mirror. So a frame with another form has weight zero, though an exchange of equal atoms
or a reflection would mend it: what the score does not draw equally often must not be counted as if.

Where weights vary too much to be used, chains go to ends of fresh paths if that can be expected
(:mod:`genmol.boltzmann.conformer_paths`), or else another method takes over; the record says so.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from genmol.boltzmann.conformer_paths import sample_paths
from genmol.boltzmann.engine import remaining
from genmol.boltzmann.ensemble import Ensemble
from genmol.boltzmann.generator import ScoreGenerator
from genmol.boltzmann.problem import Problem
from genmol.boltzmann.score_files import LoadedScore
from genmol.boltzmann.score_systems import needs_detail
from genmol.boltzmann.settings import Stage, Watch, working_folder
from genmol.boltzmann.weighted import Fold, Weighted, weighted_draws
from genmol.chem.automorphisms import mirror_permutation, relabelled
from genmol.chem.identity import same_molecule
from genmol.chem.species import Species
from samplers.run import Budget
from samplers.target import Calls, Counted

__all__ = ["effective_draws", "fold_of", "sample_psm"]

_HEAVY = 0.7  # Pareto's k beyond which weights are of no use


def fold_of(species: Species, *, detailed: bool | None = None) -> Fold:
    """What a generated frame is brought to, and whether it is the molecule then.

    Args:
        species: the molecule.
        detailed: of what the score knows, as in
            :func:`genmol.boltzmann.score_systems.particles_of_molecule`.
    """
    knows = needs_detail(species) if detailed is None else detailed
    chiral = mirror_permutation(species) is None

    def fold(x: Tensor) -> tuple[Tensor, Tensor]:
        found = relabelled(species, x.numpy())
        inside = same_molecule(species, found)
        if knows:
            inside &= same_molecule(species, x.numpy())
        elif chiral and not inside.all():
            mirrored = relabelled(species, -x[torch.from_numpy(~inside)].numpy())
            found[~inside] = mirrored
            inside[~inside] = same_molecule(species, mirrored)
        return torch.from_numpy(np.asarray(found)), torch.from_numpy(inside)

    return fold


def sample_psm(
    problem: Problem,
    score: LoadedScore,
    *,
    seed: int,
    instead: Callable[[Budget], Ensemble],
    chains: Callable[[], bool] = lambda: True,
    budget: Budget | None = None,
    workers: int = 1,
    folder: Path | None = None,
    progress: Watch = lambda _: None,
) -> Ensemble:
    """Sample, or go on with the work in ``folder``.

    Args:
        problem: molecule, potential, temperature, conformers to compare with.
        score: that knows the molecule at the temperature.
        seed: of the streams.
        instead: samples by another method, within what is left of the budget, where weights are of no
            use, nor are chains.
        chains: whether chains may be tried first, which need their hundred calls for an effective draw.
        budget: what ends it, 1000 effective draws when None.
        workers: processes that paths are shared over; the draws are the same.
        folder: for checkpoints; none are kept when None.
        progress: called after every round.

    Raises:
        InputError: a score of another temperature, or a folder of other work.
        DeliveryError: the potential failed everywhere.
    """
    budget = budget or Budget(effective=1000.0)
    score.check_temperature(problem.temperature)
    generator = ScoreGenerator.piloted(
        score.model, score.system(problem.species), steps=score.steps, seed=seed
    )
    fold = fold_of(problem.species, detailed=score.model.config.detailed)
    zero = float(problem.start_energies.min())
    target = Counted.of(problem.target(reference_energy=zero))
    wanted = budget.effective if budget.effective is not None else float("inf")
    conformers, before = problem.start_calls, problem.forgiving.calls.failures

    def told(found: Weighted, size: float) -> None:
        progress(
            Stage("sampling", int(size), int(min(wanted, 1e9)), found.seconds, found.share, size)
        )

    with working_folder(folder) as where:
        found, stopped = weighted_draws(
            generator, target, seed=seed, wanted=wanted, folder=where,
            effective=lambda found: effective_draws(problem, found, zero)[0],
            budget=remaining(budget, conformers.energies, 0.0),
            identity=problem.identity(generator.identity), fold=fold, workers=workers, progress=told,
        )  # fmt: skip
        other: Ensemble | None = None
        if useless := stopped == "weights" or found.tail > _HEAVY:
            left = remaining(budget, conformers.energies + found.energies, found.seconds)
            if chains():
                other = sample_paths(
                    problem, generator, found, fold=fold, seed=seed, budget=left, folder=where,
                    progress=progress,
                )  # fmt: skip
        notes = {
            "score": score.name,
            "paths": len(found.x),
            "share of paths that are the molecule": float(found.alive.double().mean()),
            "effective share": found.share,
            "pareto_k": found.tail,
        }
        made = Calls(energies=found.energies)
        if useless:
            other = instead(left) if other is None else other
            return replace(
                other, method=f"{other.method}, as weights of the score vary too much",
                calls={"generation": made, **other.calls}, notes={**other.notes, **notes},
                seconds=other.seconds + found.seconds,
            )  # fmt: skip
    alive = found.alive
    logs = found.log_weights[alive]
    effective, limited_by = effective_draws(problem, found, zero)
    return Ensemble(
        positions=found.x[alive], energies=zero - found.log_density[alive] * problem.kT,
        log_weights=logs - logs.logsumexp(dim=0), run=found.run[alive], numbers=problem.numbers,
        temperature=problem.temperature, potential=problem.potential.name,
        level=dict(problem.potential.level), method="potential score matching",
        settings={"score": score.name, "sha256": score.card["sha256"], "steps": generator.steps},
        seed=seed, n_effective=effective, limited_by=limited_by, stopped=stopped,
        calls={"conformers": conformers, "generation": made},
        failures={"generation": problem.forgiving.calls.failures - before},
        reasons=tuple(problem.forgiving.calls.reasons), seconds=found.seconds, notes=notes,
    )  # fmt: skip


def effective_draws(problem: Problem, found: Weighted, zero: float) -> tuple[float, str]:
    """The smallest effective size over U, torsions and basins, and whose it is.

    Args:
        problem: of the draws.
        found: draws.
        zero: energy that log densities are relative to, eV.
    """
    alive = found.alive
    if int(alive.sum()) < 2:
        return 0.0, "no draw is the molecule"
    logs = found.log_weights[alive]
    energies = zero - found.log_density[alive] * problem.kT
    return problem.effective(found.x[alive], energies, found.run[alive], (logs - logs.max()).exp())
