r"""Populations at PBE/def2-SVP from 500 calls: what is learnt is the difference to GFN2.

1. An ensemble at GFN2, by delayed acceptance with MMFF94.
2. *Lessons.* Energies and forces of PBE at 100 of its frames; their difference to GFN2, linear in
   internal coordinates (:mod:`genmol.boltzmann.terms`), gives V. Once more with 200 frames of the
   ensemble of V.
3. *Reweighting.* 200 frames of the ensemble of the last V, with the weights exp(−(U − V)/kT).

Nothing rests on V but the effective share of these weights. Beside it stands that of weights straight
from GFN2 to PBE, exp(−(U − U_GFN2)/kT), at the frames of the first lesson.

States are signs of torsions that turn nothing into itself: *g+*, *t*, *g−* in thirds of the circle, the
first in order of all equivalent copies and mirror images of a frame. So rows of other seeds, which share
no call, are references for each other.

Every call of PBE is kept on disk at once, with the frames that are to be computed: a row that was killed
goes on with what it has.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from genmol.benchmark.sample_molecules import TEMPERATURE, problem_of
from genmol.boltzmann.delayed import sample_delayed
from genmol.boltzmann.draws import Draws
from genmol.boltzmann.intervals import Thermal
from genmol.boltzmann.observables import measure
from genmol.boltzmann.problem import Problem
from genmol.boltzmann.surrogate import Corrected
from genmol.boltzmann.terms import fitted
from genmol.boltzmann.views import MoleculeView
from genmol.chem.species import Species, species_from_smiles
from genmol.core.files import atomic_path
from genmol.potentials.contract import Potential
from genmol.potentials.gfn2 import Gfn2
from genmol.potentials.mmff import MMFF
from samplers.pareto import fit_tail
from samplers.reweight import kish
from samplers.rng import Streams
from samplers.run import Budget

__all__ = ["EXPENSIVE", "ExpensiveEffort", "expensive_row", "torsion_states"]

EXPENSIVE: Final = {"ethanol": "CCO", "1,2-ethanediol": "OCCO"}
_SIGNS: Final = ("g+", "t", "g-")


@dataclass(frozen=True)
class ExpensiveEffort:
    """How many calls of the expensive potential, and how good ensembles of the cheap ones.

    Attributes:
        lessons: frames with forces, in rounds.
        weighted: frames at the end.
        effective: draws of every cheap ensemble.
    """

    lessons: tuple[int, ...] = (100, 200)
    weighted: int = 200
    effective: float = 1000.0


def expensive_row(
    name: str,
    *,
    seed: int,
    cache: Path,
    effort: ExpensiveEffort | None = None,
    expensive: Potential | None = None,
    middle: Potential | None = None,
) -> dict[str, Any]:
    """Populations with their intervals, effective shares and calls.

    Args:
        name: of :data:`EXPENSIVE`.
        seed: of everything.
        cache: folder of all calls and checkpoints of this row.
        effort: how many calls; 500 when None.
        expensive: PBE/def2-SVP when None.
        middle: GFN2 when None.
    """
    from genmol.potentials.dft import DFT

    effort, began = effort or ExpensiveEffort(), time.monotonic()
    species = species_from_smiles(EXPENSIVE[name])
    inner = middle or Gfn2()
    goal = replace(
        problem_of(species, inner, confined=True, seed=seed),
        potential=expensive or DFT(xc="pbe", basis="def2-svp"),
    )
    potential, calls, failed = inner, 0, 0
    lessons: list[tuple[Tensor, Tensor, Tensor]] = []
    direct = None
    for k, count in enumerate((*effort.lessons, effort.weighted)):
        last = k == len(effort.lessons)
        chosen = _chosen(goal, potential, count, effort, cache / f"{k}", seed + 7919 * k)
        asked = _asked(goal, chosen, cache / f"{k}" / "calls.pt", forces=not last)
        calls, failed = calls + len(chosen.x), failed + int((~asked.energies.isfinite()).sum())
        log_w = (chosen.energies - asked.energies) / goal.kT
        if k == 0:
            direct = _quality(log_w)
        if last:
            break
        seen = asked.energies.isfinite()
        plain = replace(goal, potential=inner).target().evaluate(chosen.x[seen])
        lessons.append((
            chosen.x[seen],
            asked.energies[seen] + plain.log_density * goal.kT,
            asked.forces[seen] - plain.gradient * goal.kT,
        ))  # fmt: skip
        x, energies, forces = (torch.cat(parts) for parts in zip(*lessons, strict=True))
        potential = Corrected(inner, fitted(species, x, energies, forces))
    alive = log_w.isfinite()
    weights = (log_w[alive] - log_w[alive].max()).exp()
    draws = Draws.of(int(alive.sum()), runs=chosen.run[alive], weights=weights)
    labels, names = torsion_states(species, chosen.x[alive])
    states = measure(
        draws, asked.energies[alive], Thermal.molecule(TEMPERATURE), Streams.of(seed=0, chains=1),
        labels=labels, names=names, bins=1,
    ).states  # fmt: skip
    return {
        "molecule": name,
        "seed": seed,
        "level": goal.potential.name,
        "calls": calls,
        "lessons": list(effort.lessons),
        "failed": failed,
        "reweighting": _quality(log_w),
        "direct": direct,
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


@dataclass(frozen=True, eq=False)
class _Frames:
    """Frames of a cheap ensemble, with its energies (eV) and independent runs."""

    x: Tensor
    energies: Tensor
    run: Tensor


@dataclass(frozen=True, eq=False)
class _Asked:
    """What the expensive potential says: energies, eV, and forces, zero where none are wanted."""

    energies: Tensor
    forces: Tensor


def _chosen(
    goal: Problem,
    potential: Potential,
    count: int,
    effort: ExpensiveEffort,
    folder: Path,
    seed: int,
) -> _Frames:
    """At most so many frames of an ensemble, spread over its runs; those of the disk if there."""
    file = folder / "frames.pt"
    if file.exists():
        return _Frames(**torch.load(file, weights_only=True))
    problem = replace(goal, potential=potential)
    found = sample_delayed(
        problem, MMFF(goal.species.mol), seed=seed, budget=Budget(effective=effort.effective),
        folder=folder / "ensemble",
    )  # fmt: skip
    index = Draws.of(found.count, runs=found.run.numpy()).some(count)[:count]
    frames = _Frames(found.positions[index], found.energies[index], found.run[index])
    _keep(vars(frames), file)
    return frames


def _asked(goal: Problem, frames: _Frames, file: Path, *, forces: bool) -> _Asked:
    """One call after the other, each kept."""
    target = goal.target()
    done = _Asked(frames.energies[:0], frames.x[:0])
    if file.exists():
        done = _Asked(**torch.load(file, weights_only=True))
    for k in range(len(done.energies), len(frames.x)):
        one = frames.x[k : k + 1]
        if forces:
            found = target.evaluate(one)
            log_density, slope = found.log_density, found.gradient * target.kT
        else:
            log_density, slope = target.log_density(one), torch.zeros_like(one)
        done = _Asked(
            torch.cat([done.energies, -log_density * target.kT]), torch.cat([done.forces, slope])
        )
        _keep(vars(done), file)
    return done


def _keep(content: dict[str, Tensor], file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(file) as temporary:
        torch.save(dict(content), temporary)


def _quality(log_w: Tensor) -> dict[str, float]:
    """Effective share of weights, and the spread of their logarithms, kT."""
    alive = log_w[log_w.isfinite()]
    if len(alive) < 2:
        return {"frames": len(log_w), "share": 0.0, "spread_kt": float("inf")}
    k = fit_tail(alive).k if len(alive) > 64 else float("nan")
    share = float(kish(alive)) / len(log_w)
    return {"frames": len(log_w), "share": share, "spread_kt": float(alive.std()), "pareto_k": k}
