"""Whole jobs of ``genmol benchmark sample``, by the clock: search, choice, sampling, certificate.

*Glycerol.* 500 conformers at GFN2 by ``--method auto``, energies spread over processes. What the job says
after half a minute (:mod:`genmol.boltzmann.forecast`) is held against what it took; where the clock ended
it, against what it would have taken at the pace of its draws.

*Alanine dipeptide.* MMFF94, one process; then its populations against a long sequential Monte Carlo run
and against parallel tempering without darts, both from other seeds: basin by basin, and the share of
either sign of φ.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from typing import Any, Final

from genmol.benchmark.sample_baselines import (
    hmc_baseline,
    langevin_baseline,
    minima_baseline,
    reference_moves,
)
from genmol.benchmark.sample_compare import Compared, Frames, cost_of
from genmol.benchmark.sample_molecules import MOLECULES, TEMPERATURE, Effort, problem_of
from genmol.boltzmann.choice import Choice
from genmol.boltzmann.conformer_job import Request, sample_molecule
from genmol.boltzmann.engine import sample
from genmol.boltzmann.forecast import Forecast
from genmol.boltzmann.settings import Settings, Stage
from genmol.boltzmann.smc import SMCSettings, sample_smc
from genmol.chem.species import species_from_smiles
from genmol.chem.torsions import dihedral
from genmol.potentials.gfn2 import Gfn2
from genmol.potentials.mmff import MMFF
from genmol.potentials.pool import Spread
from samplers.run import Budget

__all__ = ["alanine_row", "glycerol_row"]

_DIPEPTIDE: Final = "CC(=O)N[C@@H](C)C(=O)NC"
_PHI: Final = (1, 3, 4, 6)  # atoms of the SMILES
_SAMPLING = 0.6  # of the seconds allowed; the certificate takes most of the rest
_EARLY = 30.0  # seconds


def glycerol_row(*, n: int, seconds: float, workers: int, seed: int = 0) -> dict[str, Any]:
    """One job.

    Args:
        n: conformers.
        seconds: that it may take.
        workers: processes for GFN2.
        seed: of everything.
    """
    species = species_from_smiles(MOLECULES["glycerol"])
    said = _Said(float(n))
    began = time.monotonic()
    with Spread(Gfn2, workers=workers) as potential:
        found = sample_molecule(
            species, potential, cheaper=[MMFF(species.mol)], progress=said.watch,
            request=Request(n=n, temperature=TEMPERATURE, seconds=_SAMPLING * seconds, seed=seed),
            chosen=said.choose,
        )  # fmt: skip
    took, ensemble = time.monotonic() - began, found.ensemble
    drawing = ensemble.seconds - said.drawing_from
    pace = said.drawing_from + drawing * max(1.0, n / max(ensemble.n_effective, 1.0))
    return {
        **cost_of(ensemble),
        "conformers": found.delivered.ensemble.count,
        "distinct": found.delivered.distinct,
        "wanted": n,
        "seconds": took,
        "sampling_seconds": ensemble.seconds,
        "expected_seconds": said.total,
        "expected_at_the_start": said.expected,
        "reason": found.choice,
        "would_take": took / ensemble.seconds * pace,
        "last_began_at": said.stages,
        "verdict": found.certificate.verdict,
        "workers": workers,
    }


class _Said:
    """What a job tells its user, without the budget, which would make every estimate right."""

    def __init__(self, goal: float) -> None:
        self.goal = goal
        self.expected = self.total = math.nan
        self.drawing_from = 0.0
        self.began, self.stages = time.monotonic(), dict[str, float]()
        self._forecast: Forecast | None = None
        self._stage = ""

    def choose(self, choice: Choice) -> None:
        """Before the first draw."""
        self.expected = choice.expected
        self._forecast = Forecast(expected=choice.expected, goal=self.goal)

    def watch(self, stage: Stage) -> None:
        """After every step: the estimate of the first half minute stays."""
        assert self._forecast is not None
        if self._stage != stage.name:
            self._stage = stage.name
            self.stages[stage.name] = time.monotonic() - self.began
        left = self._forecast.left(stage)
        if time.monotonic() - self.began <= _EARLY or math.isnan(self.total):
            self.total = stage.seconds + left
        if stage.name not in ("sampling", "certificate"):
            self.drawing_from = stage.seconds


def alanine_row(*, n: int, effort: Effort, seed: int = 0) -> dict[str, Any]:
    """One job, and what references say of it.

    Args:
        n: conformers, and effective draws.
        effort: to spend on the references.
        seed: of everything.
    """
    species = species_from_smiles(_DIPEPTIDE)
    potential = MMFF(species.mol)
    began = time.monotonic()
    found = sample_molecule(
        species, potential, request=Request(n=n, temperature=TEMPERATURE, seed=seed)
    )
    took, ours = time.monotonic() - began, found.ensemble
    problem = problem_of(species, potential, confined=False, seed=seed)
    settings = SMCSettings(particles=effort.particles, chains=max(1, effort.particles // 8))
    name_of, moves = reference_moves(problem)
    references = {
        "SMC": sample_smc(problem, seed=seed + 1, settings=settings),
        name_of: sample(
            problem, seed=seed + 2, settings=Settings(moves=moves),
            budget=Budget(effective=effort.reference, calls=effort.reference_calls),
        ),
    }  # fmt: skip
    frames = {"ours": Frames.of(ours)} | {key: Frames.of(one) for key, one in references.items()}
    compared = Compared.of(species, TEMPERATURE, frames)
    calls = ours.energy_calls + ours.gradient_calls
    return {
        **compared.summary(),
        "atoms": species.n_atoms,
        "ours": cost_of(ours),
        "seconds": took,
        "wanted": n,
        "verdict": found.certificate.verdict,
        "phi": _signs(frames),
        "references": {key: cost_of(one) for key, one in references.items()},
        "baselines": {
            "minima": minima_baseline(compared, seed=seed),
            "Langevin": langevin_baseline(problem, compared, calls=calls, seed=seed + 3),
            "plain HMC": hmc_baseline(problem, compared, calls=calls, seed=seed + 4),
        },
    }


def _signs(ensembles: Mapping[str, Frames]) -> dict[str, dict[str, float]]:
    """Share of φ > 0, its standard error, and its distance from ours in standard errors of both."""
    found: dict[str, dict[str, float]] = {}
    for name, frames in ensembles.items():
        inside = (dihedral(frames.positions, [_PHI])[:, 0] > 0).double()
        share = float(frames.draws.mean(inside))
        size = max(float(frames.draws.effective(inside[:, None])[0]), 1.0)
        error = math.sqrt(max(share * (1 - share), 1 / size) / size)
        found[name] = {"share": share, "error": error}
    ours = found["ours"]
    for one in found.values():
        both = math.hypot(one["error"], ours["error"])
        one["z"] = 0.0 if one is ours else (one["share"] - ours["share"]) / both
    return found
