r"""What the certificate sees: seeded faults, each of a stated size, and correct sets for false alarms.

A set is flagged when its certificate fails (exit code 3). Correct sets come from the same samplers, ten
in one batch, all with streams of their own. Certificates of faults in densities may spend what they do by
default, those of correct sets less: a test's level does not depend on it. Sets are

=====================  ==============================================================================
``lj13``               80 runs of hybrid Monte Carlo, 12 draws of each
``mixture``            exact draws of a Gaussian mixture with shares 60, 35 and 5 %
``1,2-ethanediol``     MMFF94 at 300 K, 40 runs of sweeps, 24 draws of each
=====================  ==============================================================================
"""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from genmol.benchmark.sample_molecules import MOLECULES, TEMPERATURE, problem_of
from genmol.boltzmann.basins import find_basins
from genmol.boltzmann.certificate import BoltzmannCertificate
from genmol.boltzmann.check import check_samples
from genmol.boltzmann.sweep import Moves
from genmol.boltzmann.systems import System
from genmol.boltzmann.views import MoleculeView
from genmol.chem.species import Species, species_from_smiles
from genmol.potentials.mmff import MMFF
from samplers.clusters import DW4, LennardJones
from samplers.hmc import HMC
from samplers.mixtures import GaussianMixture
from samplers.rng import Streams
from samplers.run import run
from samplers.target import Flat, Target
from samplers.target import Path as Tempered

__all__ = ["CORRECT", "PUBLIC", "correct_row", "fault_row"]

PUBLIC: Final = Path(__file__).parents[3] / "shared/data/dw4/train.npy"
"""Beside the checkout, since it is not ours to ship; its row is skipped where it is not."""
CORRECT: Final = ("lj13", "mixture", "1,2-ethanediol")

_SHARES, _MEANS, _WIDTHS = [0.6, 0.35, 0.05], [[-4.0, 0.0], [4.0, 0.0], [0.0, 6.0]], [1.0, 0.7, 0.8]
_MIXTURE = GaussianMixture.of(_SHARES, _MEANS, _WIDTHS)
_GRADIENTS = {"density": 150_000, "molecule": 12_000}
_SETS = 10  # correct ones of a batch
_CLIP = 0.97  # quantile of the weights above which they are cut
_MIRRORED = 0.01  # of the frames


def fault_row(name: str, *, seed: int = 0) -> dict[str, Any]:
    """One fault: whether it is flagged, by what, and with how many draws.

    Args:
        name: of :data:`genmol.benchmark.sample.FAULTS`.
        seed: of everything.
    """
    match name.split(", "):
        case ["temperature 5 %", "LJ13"]:
            return _lj13(LennardJones.dem(13), seed, heat=1.05)[0]
        case ["pair factor 2", _]:
            return _lj13(LennardJones.bgflow(13), seed)[0]
        case ["temperature 5 %", *_]:
            return _diol(seed, temperature=1.05 * TEMPERATURE, gradients=100_000)[0]
        case ["missing 5 % basin", "mixture"]:
            return _mixture(seed, shares=[0.6 / 0.95, 0.35 / 0.95, 0.0])
        case ["missing 5 % basin", *_]:
            return _diol(seed, missing=True)[0]
        case ["clipped weights", _]:
            return _clipped(seed)
        case ["mirrored stereo", _]:
            return _mirrored(seed)
    return _public(seed)


def correct_row(kind: str, *, seed: int) -> dict[str, Any]:
    """Ten correct sets.

    Args:
        kind: of :data:`CORRECT`.
        seed: of everything.
    """
    began = time.monotonic()
    if kind == "lj13":
        sets = _lj13(LennardJones.dem(13), seed, sets=_SETS)
    elif kind == "mixture":
        each = _GRADIENTS["density"]
        sets = [_mixture(seed * _SETS + k, shares=_SHARES, gradients=each) for k in range(_SETS)]
    else:
        sets = _diol(seed, sets=_SETS)
    return {
        "sets": len(sets),
        "flagged": sum(one["flagged"] for one in sets),
        "failed": [name for one in sets for name in one["failed"]],
        "draws": sets[0]["draws"],
        "verdicts": [one["verdict"] for one in sets],
        "seconds": time.monotonic() - began,
    }


def _row(found: BoltzmannCertificate, draws: int, seconds: float) -> dict[str, Any]:
    """Verdict, failed checks, and what their tests would need."""
    failed = [f for f in found.findings if f.check.status == "fail"]
    needed = [f.detail["draws_needed"] for f in failed if "draws_needed" in f.detail]
    return {
        "flagged": bool(failed),
        "verdict": found.verdict,
        "failed": [f.check.name for f in failed],
        "draws": draws,
        "n_effective": found.n_effective,
        "draws_needed": min(needed) if needed else None,
        "gradients": found.gradient_calls,
        "seconds": seconds,
    }


def _lj13(
    source: LennardJones, seed: int, *, heat: float = 1.0, sets: int = 1
) -> list[dict[str, Any]]:
    """Draws of one form of LJ13, perhaps too warm, against the public one."""
    began, runs, draws = time.monotonic(), 80, 12
    start = source.start(Streams.of(seed=seed, chains=sets * runs))
    target: Target = source
    if heat != 1.0:
        beta = torch.tensor(1 / heat, dtype=torch.float64)
        target = Tempered(Flat(source.space), source, beta)
    found = run(HMC(step_size=0.002, leaps=14), target, start, seed=seed, warm_up=250, draws=draws,
                thin=15)  # fmt: skip
    rows = []
    for x in found.x.transpose(0, 1).split(runs):
        checked = check_samples(
            x.flatten(0, 1), System.of(LennardJones.dem(13), 1.0),
            runs=np.repeat(np.arange(runs), draws), seed=seed + 1,
            gradients=_GRADIENTS["density"] if sets > 1 else None,
        ).certificate  # fmt: skip
        rows.append(_row(checked, runs * draws, time.monotonic() - began))
    return rows


def _exact(n: int, shares: list[float], seed: int) -> NDArray[np.float64]:
    rng = np.random.default_rng(seed)
    which = rng.choice(len(shares), p=shares, size=n)
    return np.array(_MEANS)[which] + np.array(_WIDTHS)[which, None] * rng.normal(size=(n, 2))


def _mixture(seed: int, *, shares: list[float], gradients: int | None = None) -> dict[str, Any]:
    """Exact draws with these shares against the mixture."""
    began, n = time.monotonic(), 2000
    checked = check_samples(
        _exact(n, shares, seed), System.of(_MIXTURE, 1.0), runs=np.arange(n), gradients=gradients,
        seed=seed + 1,
    ).certificate  # fmt: skip
    return _row(checked, n, time.monotonic() - began)


def _clipped(seed: int) -> dict[str, Any]:
    """Importance weights cut at a quantile, and nothing said about it."""
    began, n, centre, width = time.monotonic(), 4000, np.array([0.0, 1.0]), np.array([4.8, 3.2])
    x = centre + width * np.random.default_rng(seed).normal(size=(n, 2))
    log_q = -0.5 * (((x - centre) / width) ** 2).sum(axis=1)
    log_w = _MIXTURE.log_density(torch.from_numpy(x)).numpy() - log_q
    weights = np.exp(log_w - log_w.max())
    checked = check_samples(
        x, System.of(_MIXTURE, 1.0), weights=np.minimum(weights, np.quantile(weights, _CLIP)),
        runs=np.arange(n), gradients=_GRADIENTS["density"], seed=seed + 1,
    ).certificate  # fmt: skip
    return _row(checked, n, time.monotonic() - began)


def _sampled(
    name: str, temperature: float, seed: int, runs: int, draws: int
) -> tuple[Species, Tensor]:
    """Frames of MMFF94 by sweeps, run by run; every barrier is crossed by jumps and darts."""
    species = species_from_smiles(MOLECULES[name])
    problem = replace(
        problem_of(species, MMFF(species.mol), confined=False, seed=seed), temperature=temperature
    )
    found = run(
        problem.sweep(Moves(), dart=problem.dart),
        problem.target(reference_energy=float(problem.start_energies.min())),
        problem.begin(runs), seed=seed, warm_up=60, draws=draws, thin=4,
    )  # fmt: skip
    return species, found.x.transpose(0, 1).flatten(0, 1)


def _checked(
    species: Species, x: Tensor, runs: NDArray[np.int64], seed: int, gradients: int, began: float
) -> dict[str, Any]:
    found = check_samples(
        x, System.of(MMFF(species.mol), TEMPERATURE, species=species), runs=runs,
        gradients=gradients, seed=seed + 1,
    ).certificate  # fmt: skip
    return _row(found, len(x), time.monotonic() - began)


def _diol(
    seed: int,
    *,
    temperature: float = TEMPERATURE,
    missing: bool = False,
    sets: int = 1,
    gradients: int = _GRADIENTS["molecule"],
) -> list[dict[str, Any]]:
    """Ethane-1,2-diol, perhaps too warm, or without the basin whose population is nearest to 5 %."""
    began, runs, draws = time.monotonic(), 40, 24 if temperature == TEMPERATURE else 60
    species, everything = _sampled("1,2-ethanediol", temperature, seed, sets * runs, draws)
    rows = []
    for x in everything.split(runs * draws):
        label, removed = np.repeat(np.arange(runs), draws), None
        if missing:
            view = MoleculeView.of(species)
            basins = find_basins(view.copies(x), np.zeros(len(x)), TEMPERATURE, folds=view.folds)
            out = int(np.abs(np.log(basins.populations / 0.05)).argmin())
            kept, removed = basins.labels != out, float(basins.populations[out])
            x, label = x[torch.from_numpy(kept)], label[kept]
        row = _checked(species, x, label, seed, gradients, began)
        rows.append({**row, "removed": removed})
    return rows


def _mirrored(seed: int) -> dict[str, Any]:
    """One frame in a hundred of the other enantiomer."""
    began, runs, draws = time.monotonic(), 20, 16
    species, x = _sampled("(R)-butan-2-ol", TEMPERATURE, seed, runs, draws)
    x = x.clone()
    x[:: round(1 / _MIRRORED)] *= torch.tensor([-1.0, 1.0, 1.0], dtype=x.dtype)
    label = np.repeat(np.arange(runs), draws)
    return _checked(species, x, label, seed, _GRADIENTS["molecule"], began)


def _public(seed: int) -> dict[str, Any]:
    """The public samples of DW4, one in five."""
    if not PUBLIC.exists():
        return {"skipped": f"{PUBLIC} is not there"}
    began = time.monotonic()
    x = np.load(PUBLIC).astype(np.float64).reshape(-1, 4, 2)[::5]
    checked = check_samples(
        x, System.of(DW4(), 1.0), runs=np.arange(len(x)), seed=seed + 1
    ).certificate  # fmt: skip
    return _row(checked, len(x), time.monotonic() - began)
