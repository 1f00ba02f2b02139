r"""Several ensembles of one molecule in one set of basins: free energies, differences, tolerances.

Basins are those of all ensembles together, each with the same weight. Of every ensemble the free energy
of a basin relative to the most populated one has an interval from its independent runs
(:mod:`genmol.boltzmann.observables`), whose half-width over 1.96 is taken for σ. Two agree in a basin
when

.. math:: |F - F'| \le \max\bigl(0.1\ \text{kcal/mol},\ 2\sqrt{\sigma^2 + \sigma'^2}\bigr).

Even right ones do not in one basin of twenty whose σ is above 0.05 kcal/mol, so what must hold is a share
of basins, and that no difference exceeds 4 σ.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from genmol.boltzmann.basins import Basins, find_basins
from genmol.boltzmann.draws import Draws
from genmol.boltzmann.ensemble import Ensemble
from genmol.boltzmann.intervals import Thermal
from genmol.boltzmann.observables import LISTED, StateOf, measure
from genmol.boltzmann.views import MoleculeView
from genmol.chem.species import Species
from samplers.rng import Streams

__all__ = ["Compared", "Frames", "cost_of"]

_TOLERANCE = 0.1  # kcal/mol
_NORMAL = 1.96
_MOST = 20_000  # draws of an ensemble that are looked at


@dataclass(frozen=True, eq=False)
class Frames:
    """Weighted frames in runs.

    Attributes:
        positions: (m, n_atoms, 3), Å.
        energies: (m,), eV.
        draws: weights and runs.
    """

    positions: Tensor
    energies: Tensor
    draws: Draws

    @classmethod
    def of(cls, ensemble: Ensemble) -> Frames:
        """Of a sampling run."""
        draws = Draws.of(
            ensemble.count, runs=ensemble.run.numpy(), weights=ensemble.weights.numpy()
        )
        return cls(ensemble.positions, ensemble.energies, draws)

    @classmethod
    def chains(cls, x: Tensor, energies: Tensor) -> Frames:
        """Of independent chains, (draws, chains, n_atoms, 3) and (draws, chains)."""
        run = torch.arange(x.shape[1]).repeat_interleave(len(x))
        u = energies.T.flatten()
        return cls(x.transpose(0, 1).flatten(0, 1), u, Draws.of(len(u), runs=run.numpy()))

    def fewer(self) -> Frames:
        """At most so many as are looked at, spread over runs."""
        if self.draws.count <= _MOST:
            return self
        index = self.draws.some(_MOST)
        return Frames(self.positions[index], self.energies[index], self.draws.take(index))


@dataclass(frozen=True, eq=False)
class Compared:
    """Ensembles in common basins.

    Attributes:
        view: of the molecule.
        basins: of all ensembles together.
        temperature: K.
        states: ensemble -> what it says of each basin, in the same order.
    """

    view: MoleculeView
    basins: Basins
    temperature: float
    states: Mapping[str, tuple[StateOf, ...]]

    @classmethod
    def of(cls, species: Species, temperature: float, ensembles: Mapping[str, Frames]) -> Compared:
        """Find basins and measure.

        Args:
            species: the molecule.
            temperature: K.
            ensembles: name -> frames; the first one is ours.
        """
        view = MoleculeView.of(species)
        fewer = {name: frames.fewer() for name, frames in ensembles.items()}
        copies = {name: view.copies(frames.positions) for name, frames in fewer.items()}
        basins = find_basins(
            np.concatenate(list(copies.values()), axis=1),
            np.concatenate([frames.energies.numpy() for frames in fewer.values()]),
            temperature,
            folds=view.folds,
            weights=np.concatenate([frames.draws.weights.numpy() for frames in fewer.values()]),
        )
        compared = cls(view, basins, temperature, {})
        states = {
            name: compared._measured(frames, basins.label(copies[name]))
            for name, frames in fewer.items()
        }
        return replace(compared, states=states)

    def of_frames(self, frames: Frames) -> tuple[StateOf, ...]:
        """What other frames say of the same basins."""
        fewer = frames.fewer()
        return self._measured(fewer, self.basins.label(self.view.copies(fewer.positions)))

    def _measured(self, frames: Frames, labels: NDArray[np.int64]) -> tuple[StateOf, ...]:
        """Of each basin, and of what is in none of them at the end."""
        count = self.basins.count
        found = measure(
            frames.draws,
            frames.energies,
            Thermal.molecule(self.temperature),
            Streams.of(seed=0, chains=1),
            labels=torch.from_numpy(np.where(labels < 0, count, labels)),
            names=(*self.basins.names, "other"),
            bins=1,
        ).states
        return found[:count]

    @property
    def listed(self) -> list[int]:
        """Basins of at least 5 % in ours, or surely of as much in another, which ours may lack."""
        (_, ours), *others = self.states.items()
        return [
            b
            for b in range(self.basins.count)
            if _population(ours, b) >= LISTED
            or any(len(o) > b and o[b].population.low >= LISTED for _, o in others)
        ]

    def differences(self) -> list[dict[str, Any]]:
        """Ours, the first one, against each of the others, basin by basin (kcal/mol)."""
        (_, ours), *others = self.states.items()
        rows = []
        for b in self.listed:
            row: dict[str, Any] = {
                "basin": self.basins.names[b],
                "population": _population(ours, b),
                "free_energy": _free(ours, b),
                "against": {},
            }
            for name, states in others:
                sigma = math.hypot(_sigma(ours, b), _sigma(states, b))
                difference = _free(ours, b) - _free(states, b) if b else 0.0
                row["against"][name] = {
                    "difference": difference,
                    "sigma": sigma,
                    "tolerance": max(_TOLERANCE, 2 * sigma),
                }
            rows.append(row)
        return rows

    def summary(self) -> dict[str, Any]:
        """Differences, the share within tolerance and the worst of them; basin 0 is no comparison."""
        rows = self.differences()
        each = [one for row in rows[1:] for one in row["against"].values()]
        inside = [abs(one["difference"]) <= one["tolerance"] for one in each]
        worst = max(each, key=lambda one: _over(one, "tolerance"), default=None)
        over = [one for one in each if not abs(one["difference"]) <= _TOLERANCE]
        return {
            "basins": rows,
            "compared": len(each),
            "inside": sum(inside),
            "worst": worst,
            "largest_z": max((_over(one, "sigma") for one in over), default=0.0),
        }

    def largest_error(self, free: Mapping[int, float]) -> float:
        """Of free energies (kcal/mol) by basin, against ours over listed basins; ∞ for one not seen."""
        ours = next(iter(self.states.values()))
        if 0 not in free:
            return math.inf
        return max(
            (abs(free.get(b, math.inf) - free[0] - _free(ours, b)) for b in self.listed[1:]),
            default=0.0,
        )

    def error_of(self, frames: Frames) -> float:
        """The largest error of other frames."""
        states = self.of_frames(frames)
        unit = Thermal.molecule(self.temperature).reported
        return self.largest_error(
            {
                b: -unit * math.log(state.population.value)
                for b, state in enumerate(states)
                if state.population.value > 0
            }
        )


def cost_of(ensemble: Ensemble) -> dict[str, Any]:
    """What an ensemble took."""
    return {
        "method": ensemble.method,
        "n_effective": ensemble.n_effective,
        "limited_by": ensemble.limited_by,
        "draws": ensemble.count,
        "stopped": ensemble.stopped,
        "energies": ensemble.energy_calls,
        "gradients": ensemble.gradient_calls,
        "calls": {name: vars(calls) for name, calls in ensemble.calls.items()},
        "calls_of": {name: vars(calls) for name, calls in ensemble.calls_of.items()},
        "seconds": ensemble.seconds,
        "notes": dict(ensemble.notes),
    }


def _over(one: Mapping[str, float], scale: str) -> float:
    """A difference in units of something; infinite where a basin is missing."""
    difference = abs(one["difference"])
    return difference / one[scale] if math.isfinite(difference) else math.inf


def _population(states: tuple[StateOf, ...], b: int) -> float:
    return states[b].population.value if b < len(states) else 0.0


def _free(states: tuple[StateOf, ...], b: int) -> float:
    return states[b].free_energy.value if b < len(states) else math.inf


def _sigma(states: tuple[StateOf, ...], b: int) -> float:
    return states[b].free_energy.half_width / _NORMAL if b < len(states) else math.inf
