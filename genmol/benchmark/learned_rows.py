"""One row of each section of ``genmol benchmark learned``: what is run, and which figures are kept.

Times are processor seconds, integrals and grids included, imports and the loading of weights not (but
see :func:`cold_row`). Where two ways are compared they take turns, and their medians are kept.
"""

from __future__ import annotations

import gc
import json
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from statistics import median
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from genmol.benchmark.fock_accuracy import accuracy
from genmol.benchmark.process import in_own_process
from genmol.benchmark.references import Levels, levels_of
from genmol.core.errors import DeliveryError
from genmol.qc import baselines
from genmol.qc.cheap import CheapLevel
from genmol.qc.exact import ExactLevel, fast_quadrature
from genmol.qc.guess import guess
from genmol.qc.inner import History
from genmol.qc.problem import Problem
from genmol.qc.two_level import Tactics, cheap_orbitals
from genmol.scf.certified import mean_field, solve
from genmol.scf.prediction import Prediction, predict
from genmol.scf.settings import Settings

if TYPE_CHECKING:
    from genmol.benchmark.held_out import Geometry
    from genmol.benchmark.references import Reference, References
    from genmol.scf.learned import LearnedModel

__all__ = [
    "accuracy_row", "alternately", "cold_row", "covered", "solver_row", "times_row", "warm_row",
]  # fmt: skip

_WAYS: tuple[Literal["auto", "cheap-scf"], ...] = ("auto", "cheap-scf")


def accuracy_row(
    geometry: Geometry, references: References, model: LearnedModel, model_name: str
) -> dict[str, Any]:
    """Fock matrix, orbitals, guard; properties of predict mode and of its rival, the cheap SCF."""
    true = references.solution(geometry)
    row = accuracy(geometry, true, model)
    prediction = predict(geometry.atoms, Settings(mode="predict", model=model_name)).prediction
    predicted = _levels(prediction)
    rival = cheap_levels(geometry)
    return {
        **row,
        "true": _plain(true.levels),
        "predicted": predicted.errors(true.levels),
        "covered": covered(prediction, true),
        "certificate": prediction.certificate.verdict,
        "cheap": rival.errors(true.levels),
    }


def covered(prediction: Prediction, true: Reference) -> dict[str, float]:
    """Quantity -> share of its numbers that lie in their intervals; without intervals it is left out."""
    levels, found = true.levels, {}
    wanted: dict[str, Any] = {
        "orbital_energies_hartree": true.energies,
        "homo_ev": levels.homo,
        "lumo_ev": levels.lumo,
        "gap_ev": levels.gap,
        "dipole_debye": levels.dipole,
        "dipole_moment_debye": float(np.linalg.norm(levels.dipole)),
    }
    for name, value in wanted.items():
        if (bounds := prediction.intervals.get(name)) is not None:
            low, high = np.moveaxis(np.asarray(bounds, dtype=float), -1, 0)
            found[name] = float(np.mean((low <= value) & (value <= high)))
    return found


def cheap_levels(geometry: Geometry) -> Levels:
    """What the unlearned cheap level says of the molecule: converged, no exact build."""
    mf = mean_field(geometry.atoms, Settings())
    problem = Problem(mf)
    orbitals = cheap_orbitals(problem, CheapLevel(mf), History(), guess(mf, "minao"), Tactics())
    if orbitals is None:
        raise DeliveryError(
            got=f"no convergence of the cheap level for {geometry.key}",
            wanted="its orbitals",
            remedy="leave the molecule out",
        )
    return levels_of(mf, orbitals.energy, orbitals.coeff, int(mf.mol.nelectron) // 2)


def warm_row(geometry: Geometry, references: References, model: LearnedModel) -> dict[str, Any]:
    """Plain PySCF from superposed atoms, the core Hamiltonian, and the predicted density.

    The network was fed a Fock matrix of superposed atoms: where that is ``minao``, it counts as one
    more build, although it was a cheap one.
    """
    from genmol.benchmark.references import counts

    mf = mean_field(geometry.atoms, Settings())
    density = model.predict(mf).density
    learned = counts(baselines.watch(mf, density=density))
    return {
        "atoms": len(geometry),
        "hidden_builds": int(model.start == "minao"),
        "learned": learned,
        "minao": references.plain(geometry, "minao"),
        "1e": references.plain(geometry, "1e"),
    }


def solver_row(geometry: Geometry, model_name: str, *, repeat: int) -> dict[str, Any]:
    """The two-level solver with the guess chosen automatically and without learning, in turns.

    The learned guess wherever it applies (``learned``) is run once, for its counts.
    """
    runs: dict[str, dict[str, Any]] = {}

    def once(way: Literal["auto", "cheap-scf", "learned"]) -> Callable[[], None]:
        def run() -> None:
            report = solve(geometry.atoms, Settings(guess=way, model=model_name)).report
            runs[way] = {
                "exact_fock_builds": report.exact_fock_builds,
                "cheap_fock_builds": report.cheap_fock_builds,
                "energy_hartree": report.energy_hartree,
                "converged": report.converged,
                "guess": report.guess,
                "reason": report.guess_reason,
            }

        return run

    seconds = alternately({way: once(way) for way in _WAYS}, repeat)
    differences = [a - b for a, b in zip(*(seconds[way] for way in _WAYS), strict=True)]
    seconds |= alternately({"learned": once("learned")}, 1)
    return {
        "atoms": len(geometry),
        "heavy": geometry.heavy,
        **{way: run | {"cpu_seconds": median(seconds[way])} for way, run in runs.items()},
        "slower_seconds": median(differences),
        "repeat": repeat,
    }


def times_row(
    geometry: Geometry, model: LearnedModel, model_name: str, *, repeat: int
) -> dict[str, Any]:
    """Predict mode, the cheap SCF and one exact Fock build, in turns; parts of the prediction."""
    mf = mean_field(geometry.atoms, Settings())
    problem = Problem(mf)
    orbitals = problem.diagonalise(problem.hcore)
    level, parts = ExactLevel(problem), []
    predictions = Settings(mode="predict", model=model_name)

    def exact() -> None:
        with fast_quadrature(mf):
            level.build(orbitals)

    def network() -> None:
        parts.append(model.predict(mean_field(geometry.atoms, Settings())).seconds)

    exact()  # integrals and grid
    ways: dict[str, Callable[[], object]] = {
        "predict": lambda: predict(geometry.atoms, predictions),
        "cheap SCF": lambda: cheap_levels(geometry),
        "exact build": exact,
        "parts": network,
    }
    for way in ways.values():
        way()
    parts.clear()
    seconds = alternately(ways, repeat)
    del seconds["parts"]
    return {
        "atoms": len(geometry),
        **{way: median(found) for way, found in seconds.items()},
        **{name: median(getattr(p, name) for p in parts) for name in parts[0]._fields},
        "repeat": repeat,
    }


def cold_row(geometry: Geometry, model_name: str, *, repeat: int) -> dict[str, Any]:
    """Each way in fresh processes: the import of torch and the loading of weights count as well."""
    found: dict[str, list[dict[str, Any]]] = {way: [] for way in _WAYS}
    for i in range(repeat):
        for way in _WAYS if i % 2 == 0 else _WAYS[::-1]:
            found[way].append(_fresh_process(geometry, way, model_name))
    seconds = {way: [run["cpu_seconds"] for run in runs] for way, runs in found.items()}
    return {
        "atoms": len(geometry),
        **{way: runs[-1] | {"cpu_seconds": median(seconds[way])} for way, runs in found.items()},
        "slower_seconds": median(
            a - b for a, b in zip(*(seconds[way] for way in _WAYS), strict=True)
        ),
        "repeat": repeat,
    }


def alternately(ways: Mapping[str, Callable[[], object]], repeat: int) -> dict[str, list[float]]:
    """Processor seconds of every way, ``repeat`` times, each round in the reverse order of the last."""
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for i in range(repeat):
        for name in list(ways) if i % 2 == 0 else list(ways)[::-1]:
            gc.collect()
            began = time.process_time()
            ways[name]()
            seconds[name].append(time.process_time() - began)
    return seconds


def _levels(prediction: Prediction) -> Levels:
    assert prediction.lumo_ev is not None
    assert prediction.gap_ev is not None
    return Levels(
        prediction.homo_ev, prediction.lumo_ev, prediction.gap_ev, prediction.dipole_debye
    )


def _plain(levels: Levels) -> dict[str, Any]:
    moment = float(np.linalg.norm(levels.dipole))
    return {"homo_ev": levels.homo, "lumo_ev": levels.lumo, "gap_ev": levels.gap,
            "dipole_debye": moment}  # fmt: skip


def _fresh_process(geometry: Geometry, way: str, model_name: str) -> dict[str, Any]:
    atoms = geometry.atoms
    job = {
        "numbers": atoms.numbers.tolist(),
        "positions": atoms.positions.tolist(),
        "guess": way,
        "model": model_name,
    }
    return in_own_process("genmol.benchmark.learned_rows", job, wanted="its report")


def _main() -> None:
    from ase import Atoms

    job = json.load(sys.stdin)
    settings = replace(Settings(), guess=job["guess"], model=job["model"])
    report = solve(Atoms(job["numbers"], job["positions"]), settings).report
    kept = ("exact_fock_builds", "cheap_fock_builds", "energy_hartree", "guess", "cpu_seconds")
    json.dump({name: getattr(report, name) for name in kept}, sys.stdout)


if __name__ == "__main__":
    _main()
