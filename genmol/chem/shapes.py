"""What tells one conformer from another: torsions, torsions of flexible rings, inversions.

A vector of these angles says which conformer a frame is, up to vibrations; equivalent conformers have
different vectors until :mod:`genmol.chem.symmetry` has merged them.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from genmol.chem.inversions import Inversion, inversion_angle, inversions
from genmol.chem.species import Species
from genmol.chem.torsions import Torsion, ring_torsions, rotatable_torsions, torsion_angles

__all__ = ["Coordinate", "shape_angles", "shape_coordinates"]

Coordinate = Torsion | Inversion


def shape_coordinates(species: Species) -> tuple[Coordinate, ...]:
    """Rotatable torsions, torsions of flexible rings, and inversions, in this order."""
    return (*rotatable_torsions(species), *ring_torsions(species), *inversions(species))


def shape_angles(
    positions: Float[np.ndarray, "k n_atoms 3"], coordinates: Sequence[Coordinate]
) -> Float[np.ndarray, "k n_coordinates"]:
    """Their angles in (−π, π], rad.

    Args:
        positions: Å.
        coordinates: of one molecule.
    """
    positions = np.asarray(positions, dtype=np.float64)
    found = np.zeros((len(positions), len(coordinates)))
    columns = [k for k, one in enumerate(coordinates) if isinstance(one, Torsion)]
    torsions = [one for one in coordinates if isinstance(one, Torsion)]
    found[:, columns] = torsion_angles(positions, torsions)
    for k, one in enumerate(coordinates):
        if isinstance(one, Inversion):
            found[:, k] = inversion_angle(positions, one)
    return found
