r"""Populations at PBE/def2-SVP from 500 calls, by :mod:`genmol.boltzmann.difference`.

300 calls with forces teach the difference to GFN2, 200 energies weigh frames of what was learnt. Beside
the effective share of these weights stands that of weights straight from GFN2 to PBE, at the frames of
the first lesson.

States are signs of torsions that turn nothing into itself: *g+*, *t*, *g−* in thirds of the circle, the
first in order of all equivalent copies and mirror images of a frame. So rows of other seeds, which share
no call, are references for each other.

Calls of PBE are kept on disk with all else: a row that was killed goes on with what it has.
"""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from genmol.benchmark.sample_molecules import TEMPERATURE, problem_of
from genmol.boltzmann.difference import DifferenceSettings, sample_difference
from genmol.boltzmann.draws import Draws
from genmol.boltzmann.intervals import Thermal
from genmol.boltzmann.observables import measure
from genmol.boltzmann.views import MoleculeView
from genmol.chem.species import Species, species_from_smiles
from genmol.potentials.contract import Potential
from genmol.potentials.gfn2 import Gfn2
from genmol.potentials.mmff import MMFF
from samplers.rng import Streams
from samplers.run import Budget

__all__ = ["EXPENSIVE", "expensive_row", "torsion_states"]

EXPENSIVE: Final = {"ethanol": "CCO", "1,2-ethanediol": "OCCO"}
_SIGNS: Final = ("g+", "t", "g-")


def expensive_row(
    name: str,
    *,
    seed: int,
    cache: Path,
    settings: DifferenceSettings | None = None,
    expensive: Potential | None = None,
    middle: Potential | None = None,
) -> dict[str, Any]:
    """Populations with their intervals, effective shares and calls.

    Args:
        name: of :data:`EXPENSIVE`.
        seed: of everything.
        cache: folder of all calls and checkpoints of this row.
        settings: how many calls; 500 when None.
        expensive: PBE/def2-SVP when None.
        middle: GFN2 when None.
    """
    from genmol.potentials.dft import DFT

    settings, began = settings or DifferenceSettings(), time.monotonic()
    species = species_from_smiles(EXPENSIVE[name])
    middle = middle or Gfn2()
    goal = replace(
        problem_of(species, middle, confined=True, seed=seed),
        potential=expensive or DFT(xc="pbe", basis="def2-svp"),
    )
    found = sample_difference(
        goal, middle, MMFF(species.mol), seed=seed, settings=settings, folder=cache,
        budget=Budget(calls=sum(settings.lessons) + settings.weighted),
    )  # fmt: skip
    draws = Draws.of(found.count, runs=found.run.numpy(), weights=found.weights.numpy())
    labels, names = torsion_states(species, found.positions)
    states = measure(
        draws, found.energies, Thermal.molecule(TEMPERATURE), Streams.of(seed=0, chains=1),
        labels=labels, names=names, bins=1,
    ).states  # fmt: skip
    return {
        "molecule": name,
        "seed": seed,
        "level": goal.potential.name,
        "calls": found.energy_calls + found.gradient_calls,
        "lessons": list(settings.lessons),
        "failed": sum(found.failures.values()),
        "reweighting": found.notes["weights"],
        "direct": found.notes["weights straight from the middle potential"],
        "states": {
            state.name: [state.population.value, state.population.low, state.population.high]
            for state in states
        },
        "seconds": time.monotonic() - began,
    }


def torsion_states(
    species: Species, x: Float[Tensor, "m n_atoms 3"]
) -> tuple[Int[Tensor, " m"], tuple[str, ...]]:
    """State of each frame, the most frequent one first, and their names.

    Args:
        species: the molecule.
        x: its frames, Å.
    """
    view = MoleculeView.of(species)
    turning = [k for k, fold in enumerate(view.folds) if fold == 1]
    third = np.floor(view.copies(x)[:, :, turning] / (2 * np.pi / 3)) % 3  # from 0°, 120°, 240°
    place = 3 ** np.arange(len(turning))[::-1]
    codes = np.concatenate([third @ place, (2 - third) @ place]).min(axis=0).astype(np.int64)
    found, index, counts = np.unique(codes, return_inverse=True, return_counts=True)
    order = np.argsort(-counts, kind="stable")
    rank = np.argsort(order, kind="stable")
    names = tuple(
        " ".join(_SIGNS[int(code) // int(p) % 3] for p in place) or "all" for code in found[order]
    )
    return torch.from_numpy(rank[index]), names
