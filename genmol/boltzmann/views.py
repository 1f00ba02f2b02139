"""What there is to look at in a system: observables within states, states, and torsions.

A molecule is described by its shape coordinates (torsions, ring torsions, inversions) with those of its
equivalent copies, and its states are basins, found from the draws themselves. A toy comes with its own
states. Any other density has observables, and states if its user gives them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from genmol.chem.automorphisms import automorphisms, relabelled
from genmol.chem.shapes import shape_angles, shape_coordinates
from genmol.chem.species import Species
from genmol.chem.symmetry import canonical_torsions
from samplers.clusters import DW4, Cluster
from samplers.mixtures import GaussianMixture
from samplers.spaces import MeanFree, Space, Torus
from samplers.target import Target
from samplers.wells import DoubleWell, TwoBasins

__all__ = ["Codes", "MoleculeView", "codes_of", "local_observables"]

Codes = Callable[[Tensor], Tensor]
"""Points (k, *shape) to whole numbers (k,) of the states that they are in."""

_COPIES = 48
_COORDINATES = 8
"""Of a density that nobody has described."""


@dataclass(frozen=True, eq=False)
class MoleculeView:
    """A molecule by its shape coordinates.

    Attributes:
        species: the molecule.
        folds: of the coordinates.
    """

    species: Species
    folds: tuple[int, ...]

    @classmethod
    def of(cls, species: Species) -> MoleculeView:
        """With all of its shape coordinates."""
        return cls(species, tuple(one.fold for one in shape_coordinates(species)))

    def copies(self, x: Tensor) -> NDArray[np.float64]:
        """Angles of all equivalent copies, (p, k, t), rad; of a standard one where there are too many.

        Args:
            x: positions (k, n_atoms, 3), Å.
        """
        coordinates = shape_coordinates(self.species)
        frames = relabelled(self.species, x.detach().double().numpy())
        group = automorphisms(self.species)
        if len(group) > _COPIES:
            angles = shape_angles(frames, coordinates)
            return canonical_torsions(self.species, coordinates, angles)[None]
        return np.stack([shape_angles(frames[:, g], coordinates) for g in group])

    def turned(self, copies: NDArray[np.float64]) -> Tensor:
        """fφ of the frames themselves, (k, t): numbers that do not know which of f equal turns it is."""
        return torch.from_numpy(copies[0] * np.array(self.folds, dtype=np.float64))

    def local(self, x: Tensor) -> dict[str, Tensor]:
        """Cosines and sines of the coordinates, averaged over the copies."""
        turns = torch.from_numpy(self.copies(x) * np.array(self.folds, dtype=np.float64))
        found: dict[str, Tensor] = {}
        for k in range(turns.shape[2]):
            found[f"cos of coordinate {k}"] = turns[:, :, k].cos().mean(dim=0)
            found[f"sin of coordinate {k}"] = turns[:, :, k].sin().mean(dim=0)
        return found | _extent(x)


def codes_of(target: Target) -> Codes | None:
    """States of a toy; None where it has none."""
    match target:
        case DW4():
            return lambda x: (target.distances(x) < 4).sum(dim=1)
        case TwoBasins():
            return target.basin
        case DoubleWell():
            bits = torch.arange(target.wells)
            return lambda x: ((x[:, : target.wells] > 0).long() << bits).sum(dim=1)
        case GaussianMixture():
            return lambda x: (x[:, None] - target.means).norm(dim=2).argmin(dim=1)
    return None


def local_observables(target: Target) -> Callable[[Tensor], Mapping[str, Tensor]]:
    """Observables of a toy or of any density."""
    space = target.space
    if isinstance(target, Cluster):
        return lambda x: _distances(target, x) | _extent(x)
    return lambda x: _coordinates(space, x)


def _coordinates(space: Space, x: Tensor) -> dict[str, Tensor]:
    if isinstance(space, MeanFree):
        return _extent(x)
    flat = x.flatten(1)[:, :_COORDINATES]
    found: dict[str, Tensor] = {}
    for k in range(flat.shape[1]):
        if isinstance(space, Torus):
            found |= {f"cos of angle {k}": flat[:, k].cos(), f"sin of angle {k}": flat[:, k].sin()}
        else:
            found |= {
                f"coordinate {k}": flat[:, k],
                f"square of coordinate {k}": flat[:, k].square(),
            }
    return found


def _distances(target: Cluster, x: Tensor) -> dict[str, Tensor]:
    d = target.distances(x)
    return {
        "mean distance": d.mean(dim=1),
        "spread of distances": d.std(dim=1),
        "shortest distance": d.amin(dim=1),
    }


def _extent(x: Tensor) -> dict[str, Tensor]:
    return {"square radius": (x - x.mean(dim=1, keepdim=True)).square().flatten(1).sum(dim=1)}
