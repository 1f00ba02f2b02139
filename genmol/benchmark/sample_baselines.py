"""What users do today, in the same basins: minima with Boltzmann weights, plain Langevin, plain HMC.

*Minima.* Conformers of ETKDG and a grid of torsions, relaxed with MMFF94, each with the weight exp(−U/kT)
times its number of equivalent copies: no vibrations, no anharmonicity, the force field's energies.

*Plain Hamiltonian Monte Carlo.* Trajectories alone, one temperature, no jumps, from the same conformers,
at as many calls as ours took in all. *Plain Langevin.* BAOAB without a Metropolis step, at steps of
0.01 Å, likewise.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import torch

from genmol.benchmark.sample_compare import Compared, Frames, cost_of
from genmol.boltzmann.engine import sample
from genmol.boltzmann.problem import Problem
from genmol.boltzmann.settings import Settings
from genmol.boltzmann.sweep import Moves
from genmol.chem.conformers import embed
from genmol.chem.torsions import ring_torsions
from genmol.core.errors import DeliveryError
from genmol.core.units import EV_TO_KCAL_MOL, KB
from samplers.langevin import BAOAB
from samplers.run import Budget, run

__all__ = [
    "PLAIN", "hmc_baseline", "langevin_baseline", "minima_baseline", "reference_moves",
]  # fmt: skip

PLAIN: Final = Moves(jumps=0, doubles=0, darts=0, mirrors=0)
"""Trajectories alone."""

_HIGH = ("amide", "imine", "conjugated")
"""Barriers that no trajectory crosses at 1000 K often enough."""

_STEP = 0.01  # Å
_CHAINS = 32
_EMBEDDED = 50
_KEPT = 20_000


def reference_moves(problem: Problem) -> tuple[str, Moves]:
    """What the reference by tempering goes without: all but trajectories, if they cross every barrier."""
    high = any(torsion.barrier in _HIGH for torsion in problem.torsions)
    if high or ring_torsions(problem.species):
        return "tempering without darts", Moves(jumps=2, doubles=1, darts=0)
    return "tempering without jumps", PLAIN


def minima_baseline(compared: Compared, *, seed: int) -> dict[str, Any]:
    """ETKDG and MMFF94 minima; the largest error of a listed free energy, kcal/mol."""
    found = embed(compared.view.species, _EMBEDDED, seed)
    kT = KB * compared.temperature
    copies = compared.view.copies(torch.from_numpy(found.positions))
    weights = np.exp(-(found.energies - found.energies.min()) / kT) * compared.basins.copies(copies)
    labels = compared.basins.label(copies)
    free = {
        int(b): float(-kT * EV_TO_KCAL_MOL * np.log(weights[labels == b].sum()))
        for b in np.unique(labels)
        if b >= 0
    }
    return {"minima": len(found), "error": compared.largest_error(free)}


def hmc_baseline(problem: Problem, compared: Compared, *, calls: int, seed: int) -> dict[str, Any]:
    """Plain Hamiltonian Monte Carlo at ``calls`` in all."""
    settings = Settings(runs=_CHAINS, replicas=1, moves=PLAIN, thin=2)
    try:
        found = sample(problem, seed=seed, settings=settings, budget=Budget(calls=calls))
    except DeliveryError as error:
        return {"error": float("inf"), "trouble": str(error)}
    cost = cost_of(found)
    return {"error": compared.error_of(Frames.of(found)), **cost}


def langevin_baseline(
    problem: Problem, compared: Compared, *, calls: int, seed: int
) -> dict[str, Any]:
    """BAOAB at ``calls`` gradients in all, a tenth of them before the first draw."""
    zero = float(problem.start_energies.min())
    target = problem.target(reference_energy=zero)
    steps = max(20, calls // _CHAINS)
    thin = max(1, steps * _CHAINS // _KEPT)
    found = run(
        BAOAB(step_size=_STEP), target, problem.begin(_CHAINS), seed=seed, warm_up=steps // 10,
        thin=thin, draws=max(4, (steps - steps // 10) // thin),
    )  # fmt: skip
    energies = zero - found.log_density * target.kT
    error = float("inf")
    if bool(energies.isfinite().all()):
        error = compared.error_of(Frames.chains(found.x, energies))
    spent = sum(made.gradients for made in found.calls.values())
    return {"error": error, "gradients": spent, "seconds": found.seconds, "step": _STEP}
