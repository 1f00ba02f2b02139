"""An independent conformer search, and the states that draws and search share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy.typing import NDArray
from torch import Tensor

from genmol.boltzmann.basins import Basins, find_basins
from genmol.boltzmann.coverage import Search
from genmol.boltzmann.draws import Draws
from genmol.boltzmann.minima import harmonic_log_mass, relaxed
from genmol.boltzmann.sample_set import SampleSet
from genmol.boltzmann.systems import System
from genmol.boltzmann.views import MoleculeView
from genmol.chem.conformers import embed
from genmol.chem.identity import same_molecule
from genmol.core.units import KB
from samplers.target import Target

__all__ = ["Minima", "States", "find_minima", "find_states_of"]

_EMBEDDED = 50
_STEPS = 100


@dataclass(frozen=True, eq=False)
class Minima:
    """Minima of the potential, with what their wells hold.

    Attributes:
        positions: (s, n_atoms, 3), Å.
        log_masses: (s,), harmonic, of one well each.
    """

    positions: Float[Tensor, "s n_atoms 3"]
    log_masses: Float[Tensor, " s"]


def find_minima(
    view: MoleculeView,
    target: Target,
    search: Float[Tensor, "s n_atoms 3"] | Literal["embed"],
    *,
    gradients: int,
    seed: int,
) -> Minima | None:
    """Relax the conformers of a search on the target, as many as the calls allow, the lowest ones first.

    Args:
        view: the molecule.
        target: about 100 + 6 n_atoms gradient calls for each.
        search: conformers, or ``"embed"`` for those of ETKDG and a grid of torsions.
        gradients: calls that may be spent.
        seed: of ETKDG.
    """
    if isinstance(search, str):
        found = embed(view.species, _EMBEDDED, seed)  # lowest energies of a force field first
        search = torch.from_numpy(found.positions)
    else:
        search = search[target.log_density(target.space.project(search)).argsort(descending=True)]
    each = _STEPS + 6 * view.species.n_atoms
    x = relaxed(target, search[: max(1, gradients // each)], steps=_STEPS // 2)
    right = torch.from_numpy(np.asarray(same_molecule(view.species, x.numpy())))
    right &= target.log_density(x).isfinite()
    if not bool(right.any()):
        return None
    return Minima(x[right], harmonic_log_mass(target, x[right]))


@dataclass(frozen=True, eq=False)
class States:
    """States of draws.

    Attributes:
        codes: (m,) number of the state of each draw, the same in other sets; None where there are none.
        labels: (m,) the same counted from the most populated one, 0, 1, ...
        names: of the labels.
        angles: (m, t) fφ of a molecule's coordinates, rad.
        basins: of a molecule with torsions.
    """

    codes: NDArray[np.int64] | None
    labels: Int[Tensor, " m"] | None
    names: tuple[str, ...]
    angles: Float[Tensor, "m t"] | None
    basins: Basins | None

    def search(self, view: MoleculeView, minima: Minima) -> Search | None:
        """The minima by their states."""
        if self.basins is None:
            return None
        copies = view.copies(minima.positions)
        codes = self.basins.code(copies)
        wells = np.log(self.basins.copies(copies))
        names = {int(code): self.basins.name(int(code)) for code in codes}
        return Search(codes, minima.log_masses.numpy() + wells, names)


def find_states_of(system: System, samples: SampleSet, minima: Minima | None) -> States:
    """Basins of a molecule, or the states of a density.

    Args:
        system: what the draws are of.
        samples: draws.
        minima: of an independent search, which may have states that the draws lack.
    """
    view = system.molecule
    if view is None:
        if system.codes is None:
            return States(None, None, (), None, None)
        codes = system.codes(samples.x).numpy().astype(np.int64)
        labels, order = _ranks(samples.draws, codes)
        return States(codes, labels, tuple(f"state {code}" for code in order), None, None)
    copies = view.copies(samples.x)
    angles = view.turned(copies)
    basins = find_basins(
        copies,
        -samples.log_density * system.thermal.kT,
        system.thermal.kT / KB,
        folds=view.folds,
        weights=samples.draws.weights,
        searched=None if minima is None else view.copies(minima.positions),
    )
    codes = basins.codes[basins.labels]
    return States(codes, torch.from_numpy(basins.labels), basins.names, angles, basins)


def _ranks(draws: Draws, codes: NDArray[np.int64]) -> tuple[Tensor, list[int]]:
    """Labels by falling weight, and the codes in that order."""
    names, inverse = np.unique(codes, return_inverse=True)
    order = np.argsort(-np.bincount(inverse, weights=draws.weights.numpy()), kind="stable")
    rank = np.empty(len(order), dtype=np.int64)
    rank[order] = np.arange(len(order))
    return torch.from_numpy(rank[inverse]), names[order].tolist()
