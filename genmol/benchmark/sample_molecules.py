r"""Molecules of ``genmol benchmark sample``: free energies against two independent references.

With a force field, parallel tempering with jumps and darts is held against

- sequential Monte Carlo, where nothing crosses a barrier at 300 K and weights come from cooling, and
- parallel tempering by trajectories alone, from another seed: no jump, dart or ring move, every barrier
  crossed at a high temperature; where a bond is conjugated, as in amides, or in a ring, and its barrier
  too high for that, with jumps and ring moves but no darts.

With GFN2, delayed acceptance is held against

- importance weights: frames of a corrected force field, that was taught by frames of its own, with the
  weight exp(−(U − V)/kT), their tail measured (Pareto k), and
- parallel tempering on GFN2 itself, from another seed: no force field has a say.

All of them are compared in one set of basins (:mod:`genmol.benchmark.sample_compare`), with the baselines
of :mod:`genmol.benchmark.sample_baselines` beside. Calls are those of everything: search energies,
tuning, burn-in, every replica.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import torch

from genmol.benchmark.sample_baselines import (
    hmc_baseline,
    langevin_baseline,
    minima_baseline,
    reference_moves,
)
from genmol.benchmark.sample_compare import Compared, Frames, cost_of
from genmol.boltzmann.delayed import sample_delayed
from genmol.boltzmann.draws import Draws
from genmol.boltzmann.engine import sample
from genmol.boltzmann.problem import Problem
from genmol.boltzmann.settings import Settings
from genmol.boltzmann.smc import SMCSettings, sample_smc
from genmol.boltzmann.starts import find_starts
from genmol.boltzmann.surrogate import Corrected
from genmol.boltzmann.terms import fitted
from genmol.chem.species import Species, species_from_smiles
from genmol.potentials.contract import Potential
from genmol.potentials.gfn2 import Gfn2
from genmol.potentials.mmff import MMFF
from samplers.pareto import fit_tail
from samplers.reweight import kish
from samplers.run import Budget

__all__ = ["MOLECULES", "TEMPERATURE", "Effort", "gfn2_row", "mmff_row", "problem_of"]

MOLECULES: Final = {
    "1,2-ethanediol": "OCCO",
    "ethanolamine": "NCCO",
    "glycerol": "OCC(O)CO",
    "1,3-propanediol": "OCCCO",
    "n-pentane": "CCCCC",
    "(R)-butan-2-ol": "CC[C@@H](C)O",
    "cyclohexanol": "OC1CCCCC1",
    "methyl (S)-lactate": "COC(=O)[C@H](C)O",
    "diethyl ether": "CCOCC",
    "N-acetylglycine N'-methylamide": "CC(=O)NCC(=O)NC",
}
TEMPERATURE: Final = 300.0
_MOST_STARTS = 300


@dataclass(frozen=True, kw_only=True)
class Effort:
    """How much to spend on a molecule.

    Attributes:
        effective: draws that ours should be worth.
        reference: draws that tempering by trajectories alone should be worth.
        particles: of each of the eight populations of SMC, with an eighth as many hot chains.
        calls: at most, of ours.
        reference_calls: at most, of tempering by trajectories alone.
        weighted: frames of the importance weights.
        direct: calls of parallel tempering on GFN2 itself.
    """

    effective: float = 3000.0
    reference: float = 1500.0
    particles: int = 256
    calls: int = 6_000_000
    reference_calls: int = 2_500_000
    weighted: int = 1500
    direct: int = 120_000


def problem_of(species: Species, potential: Potential, *, confined: bool, seed: int) -> Problem:
    """A molecule at 300 K with the conformers of a search to begin with."""
    starts = find_starts(species, seed=seed, most=_MOST_STARTS)
    return Problem(
        species=species, potential=potential, temperature=TEMPERATURE, starts=starts.positions,
        confined=confined,
    )  # fmt: skip


def mmff_row(name: str, effort: Effort, *, seed: int = 0) -> dict[str, Any]:
    """MMFF94: ours, two references, three baselines.

    Args:
        name: of :data:`MOLECULES`.
        effort: how much to spend.
        seed: of everything.
    """
    species = species_from_smiles(MOLECULES[name])
    problem = problem_of(species, MMFF(species.mol), confined=False, seed=seed)
    ours = sample(problem, seed=seed, budget=Budget(effective=effort.effective, calls=effort.calls))
    name_of, moves = reference_moves(problem)
    references = {
        "SMC": sample_smc(problem, seed=seed + 1, settings=SMCSettings(
            particles=effort.particles, chains=max(1, effort.particles // 8)
        )),
        name_of: sample(
            problem, seed=seed + 2, settings=Settings(moves=moves),
            budget=Budget(effective=effort.reference, calls=effort.reference_calls),
        ),
    }  # fmt: skip
    compared = Compared.of(
        species, TEMPERATURE,
        {"ours": Frames.of(ours)} | {key: Frames.of(found) for key, found in references.items()},
    )  # fmt: skip
    calls = ours.energy_calls + ours.gradient_calls
    return {
        **_about(species, "MMFF94", effort),
        **compared.summary(),
        "ours": cost_of(ours),
        "references": {key: cost_of(found) for key, found in references.items()},
        "baselines": {
            "minima": minima_baseline(compared, seed=seed),
            "Langevin": langevin_baseline(problem, compared, calls=calls, seed=seed + 3),
            "plain HMC": hmc_baseline(problem, compared, calls=calls, seed=seed + 4),
        },
    }


def gfn2_row(name: str, effort: Effort, *, seed: int = 0) -> dict[str, Any]:
    """GFN2: the same with delayed acceptance, importance weights and tempering.

    Args:
        name: of :data:`MOLECULES`.
        effort: how much to spend.
        seed: of everything.
    """
    species = species_from_smiles(MOLECULES[name])
    cheap = MMFF(species.mol)
    problem = problem_of(species, Gfn2(), confined=True, seed=seed)
    ours = sample_delayed(problem, cheap, seed=seed, budget=Budget(effective=effort.effective))
    direct = sample(
        problem, seed=seed + 1, settings=Settings(tuning=12, burn_in=24, hottest=700.0),
        budget=Budget(calls=effort.direct),
    )  # fmt: skip
    frames, weighted = _weighted(problem, cheap, effort.weighted, seed=seed + 2)
    compared = Compared.of(
        species,
        TEMPERATURE,
        {"ours": Frames.of(ours), "importance weights": frames, "tempering": Frames.of(direct)},
    )
    calls = ours.energy_calls + ours.gradient_calls
    return {
        **_about(species, "GFN2-xTB", effort),
        **compared.summary(),
        "ours": cost_of(ours),
        "references": {"importance weights": weighted, "tempering": cost_of(direct)},
        "baselines": {
            "minima": minima_baseline(compared, seed=seed),
            "Langevin": langevin_baseline(problem, compared, calls=calls, seed=seed + 3),
            "plain HMC": hmc_baseline(problem, compared, calls=calls, seed=seed + 4),
        },
    }


def _weighted(
    problem: Problem, cheap: Potential, count: int, *, seed: int
) -> tuple[Frames, dict[str, Any]]:
    """Frames of a corrected force field V with the weights exp(−(U − V)/kT), and how good they are."""
    began, potential = time.monotonic(), cheap
    own, target = replace(problem, potential=cheap, confined=False), problem.target()
    lessons: list[tuple[torch.Tensor, torch.Tensor, torch.Tensor]] = []
    asked = 0
    for k, frames in enumerate((*_lessons(count), count)):
        found = sample(
            replace(own, potential=potential), seed=seed + 104_729 * (k + 1),
            settings=Settings(runs=16), budget=Budget(effective=float(frames)),
        )  # fmt: skip
        draws = Draws.of(found.count, runs=found.run.numpy())
        index = draws.some(frames)
        x, made = found.positions[index], target.evaluate(found.positions[index])
        asked += len(x)
        if k == len(_lessons(count)):
            break
        plain = own.target().evaluate(x)
        kT = problem.kT
        lessons.append((
            x, (plain.log_density - made.log_density) * kT, (made.gradient - plain.gradient) * kT
        ))  # fmt: skip
        x, energies, forces = (torch.cat(parts) for parts in zip(*lessons, strict=True))
        potential = Corrected(cheap, fitted(problem.species, x, energies, forces))
    energies = -made.log_density * problem.kT
    log_w = made.log_density + found.energies[index] / problem.kT
    log_w = torch.where(_inside(problem, x), log_w, -torch.inf)
    weights = (log_w - log_w.max()).exp()
    tail = fit_tail(log_w[log_w.isfinite()])
    cost = {
        "method": "importance weights",
        "draws": len(x),
        "kish": float(kish(log_w)),
        "pareto_k": tail.k,
        "spread_kt": float(log_w[log_w.isfinite()].std()),
        "gradients": asked,
        "seconds": time.monotonic() - began,
    }
    return Frames(x, energies, draws.take(index).weighted(weights)), cost


def _lessons(count: int) -> Sequence[int]:
    """Frames of the rounds of teaching."""
    return max(16, count // 10), max(16, count // 6), max(16, count // 5)


def _inside(problem: Problem, x: torch.Tensor) -> torch.Tensor:
    """Which frames are the molecule."""
    return torch.ones(len(x), dtype=torch.bool) if problem.inside is None else problem.inside(x)


def _about(species: Species, level: str, effort: Effort) -> dict[str, Any]:
    return {
        "wanted": effort.effective,
        "smiles": species.smiles,
        "atoms": species.n_atoms,
        "level": level,
        "temperature": TEMPERATURE,
    }
