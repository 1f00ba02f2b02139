"""What the bonds of a molecule say of every pair of its atoms, as numbers that a network can read."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from rdkit import Chem

from genmol.chem.species import Species

__all__ = ["PAIR_ATTRIBUTES", "pair_attributes"]

_FARTHEST = 4  # bonds between two atoms; beyond it all are alike
_ORDERS = (
    Chem.BondType.SINGLE, Chem.BondType.DOUBLE, Chem.BondType.TRIPLE, Chem.BondType.AROMATIC,
)  # fmt: skip
PAIR_ATTRIBUTES = _FARTHEST + 1 + len(_ORDERS)
"""Numbers of a pair: one of (1, 2, 3, 4, more) bonds apart, and the order of the bond, if any."""


def pair_attributes(species: Species) -> Float[np.ndarray, "n n k"]:
    """Zeros and ones for every pair of atoms; the same for atoms that the bonds cannot tell apart.

    Args:
        species: the molecule.
    """
    found = np.zeros((species.n_atoms, species.n_atoms, PAIR_ATTRIBUTES))
    apart = Chem.GetDistanceMatrix(species.mol).astype(int)
    i, j = np.nonzero(~np.eye(species.n_atoms, dtype=bool))
    found[i, j, np.minimum(apart[i, j], _FARTHEST + 1) - 1] = 1
    for bond in species.mol.GetBonds():
        order = _FARTHEST + 1 + _ORDERS.index(bond.GetBondType())
        one, other = bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()
        found[one, other, order] = found[other, one, order] = 1
    return found
