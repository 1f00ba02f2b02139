"""One score for many molecules, on molecules that it was not trained on: is it worth its energies?

Paths of the score are folded and weighed as ``genmol sample --method psm`` does
(:mod:`genmol.boltzmann.conformer_psm`), so many of them whatever their weights are worth. Beside them
stand delayed acceptance and parallel tempering on the same molecule and potential, until as many
effective draws are there as a plan wants, or calls are spent. Effective draws of each are the smallest
size over U, torsions and basins. Calls are those of all phases but the energies of conformers to begin
with, which every method has; those of chains after burn-in stand beside. Training calls are not counted:
they would be shared by all molecules that are ever asked for.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from genmol.benchmark.psm_molecules import HELD_OUT
from genmol.benchmark.sample_molecules import TEMPERATURE
from genmol.boltzmann.conformer_psm import effective_draws, fold_of
from genmol.boltzmann.delayed import sample_delayed
from genmol.boltzmann.engine import sample
from genmol.boltzmann.ensemble import Ensemble
from genmol.boltzmann.generator import ScoreGenerator
from genmol.boltzmann.problem import Problem
from genmol.boltzmann.score_files import LoadedScore, score_for_molecule
from genmol.boltzmann.starts import find_starts
from genmol.boltzmann.weighted import weighted_draws
from genmol.chem.species import species_from_smiles
from genmol.core.errors import DeliveryError, InputError
from genmol.potentials.gfn2 import Gfn2
from genmol.potentials.mmff import MMFF
from samplers.run import Budget
from samplers.target import Counted

__all__ = ["amortised_row"]

_STARTS = 32
_ROUNDS = 2  # of 512 paths


def amortised_row(
    name: str, *, effective: float, calls: int, model: str | Path | None, seed: int = 0
) -> dict[str, Any]:
    """Calls for an effective draw by every method; skipped without a model of many molecules.

    Args:
        name: of :data:`genmol.benchmark.psm_molecules.HELD_OUT`.
        effective: draws that chains are to be worth.
        calls: that end a method.
        model: of many molecules.
        seed: of everything.

    Raises:
        InputError: weights that cannot be read, or were trained on the molecule.
    """
    if model is None:
        return {
            "skipped": "no model of many molecules comes with genmol, and none is given with --model"
        }
    species = species_from_smiles(HELD_OUT[name])
    given = LoadedScore.load(model)
    if not given.card["domain"].get("amortised"):
        return {"skipped": "the model given is none of many molecules"}
    if species.smiles in given.card["domain"]["smiles"]:
        raise InputError(
            got=f"the model {given.name}, trained on {species.smiles}",
            wanted="one that has not seen the molecules of the benchmark",
            remedy="leave those of data/conformers/held_out.smi out of the training",
        )
    score = score_for_molecule(species, model)
    starts = find_starts(species, seed=seed, most=_STARTS)
    problem = Problem(
        species=species, potential=Gfn2(), temperature=TEMPERATURE, starts=starts.positions
    )
    budget = Budget(effective=effective, calls=calls)
    return {
        "smiles": species.smiles,
        "model": given.name,
        "sha256": given.card["sha256"],
        "molecules": len(given.card["domain"]["smiles"]),
        "ours": _ours(problem, score, calls, seed),
        "delayed": _chains(
            lambda: sample_delayed(problem, MMFF(species.mol), seed=seed, budget=budget)
        ),
        "tempering": _chains(lambda: sample(problem, seed=seed, budget=budget)),
    }


def _ours(problem: Problem, score: LoadedScore, calls: int, seed: int) -> dict[str, Any]:
    score.check_temperature(problem.temperature)
    generator = ScoreGenerator.piloted(
        score.model, score.system(problem.species), steps=score.steps, seed=seed
    )
    zero = float(problem.start_energies.min())
    target = Counted.of(problem.target(reference_energy=zero))
    with tempfile.TemporaryDirectory() as folder:
        found, _ = weighted_draws(
            generator, target, seed=seed, wanted=math.inf, effective=lambda _: 0.0,
            budget=Budget(calls=calls), folder=Path(folder), identity=problem.species.smiles,
            fold=fold_of(problem.species, detailed=score.model.config.detailed),
            most=512 * _ROUNDS, hopeless=None,
        )  # fmt: skip
    effective, limited_by = effective_draws(problem, found, zero)
    alive = int(found.alive.sum())
    return {
        "paths": len(found.x),
        "steps": generator.steps,
        "inside": alive / len(found.x),
        "effective_share": found.share * len(found.x) / alive if alive else 0.0,
        "pareto_k": found.tail,
        "calls": found.energies,
        "n_effective": effective,
        "limited_by": limited_by,
        "calls_per_effective": found.energies / effective if effective else math.inf,
        "seconds": found.seconds,
    }


def _chains(run: Callable[[], Ensemble]) -> dict[str, Any]:
    try:
        found = run()
    except DeliveryError:
        return {"n_effective": 0.0, "calls_per_effective": math.inf, "stopped": "calls"}
    every = {
        phase: calls.energies + calls.gradients
        for phase, calls in found.calls.items()
        if phase != "conformers"
    }
    total, counted, effective = sum(every.values()), every["sampling"], found.n_effective
    return {
        "calls": total,
        "n_effective": effective,
        "limited_by": found.limited_by,
        "calls_per_effective": total / effective if effective else math.inf,
        "after_burn_in": counted / effective if effective else math.inf,
        "seconds": found.seconds,
        "stopped": found.stopped,
    }
