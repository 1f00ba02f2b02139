"""What bonds and stereo of a molecule say of its atoms and pairs, as numbers that a network can read."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int
from rdkit import Chem

from genmol.chem.species import Species
from genmol.chem.stereo import specified_units

__all__ = [
    "PAIR_ATTRIBUTES", "STEREO_ATTRIBUTES", "bonds_apart", "formal_charges", "pair_attributes",
    "stereo_attributes",
]  # fmt: skip

_FARTHEST = 4  # bonds between two atoms; beyond it all are alike
_ORDERS = (
    Chem.BondType.SINGLE, Chem.BondType.DOUBLE, Chem.BondType.TRIPLE, Chem.BondType.AROMATIC,
)  # fmt: skip
PAIR_ATTRIBUTES = _FARTHEST + 1 + len(_ORDERS)
"""Numbers of a pair: one of (1, 2, 3, 4, more) bonds apart, and the order of the bond, if any."""
_RINGS = (3, 4, 5, 6)
STEREO_ATTRIBUTES = 2 + len(_RINGS)
"""Further ones: cis, trans, and the size of the smallest ring that holds both."""


def bonds_apart(species: Species) -> Int[np.ndarray, "n n"]:
    """Bonds on the shortest way between two atoms.

    Args:
        species: the molecule.
    """
    return Chem.GetDistanceMatrix(species.mol).astype(int)


def formal_charges(species: Species) -> Int[np.ndarray, " n"]:
    """Of every atom, e.

    Args:
        species: the molecule.
    """
    return np.array([atom.GetFormalCharge() for atom in species.mol.GetAtoms()])


def pair_attributes(species: Species) -> Float[np.ndarray, "n n k"]:
    """Zeros and ones for every pair of atoms; the same for atoms that the bonds cannot tell apart.

    Args:
        species: the molecule.
    """
    found = np.zeros((species.n_atoms, species.n_atoms, PAIR_ATTRIBUTES))
    apart = bonds_apart(species)
    i, j = np.nonzero(~np.eye(species.n_atoms, dtype=bool))
    found[i, j, np.minimum(apart[i, j], _FARTHEST + 1) - 1] = 1
    for bond in species.mol.GetBonds():
        order = _FARTHEST + 1 + _ORDERS.index(bond.GetBondType())
        one, other = bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()
        found[one, other, order] = found[other, one, order] = 1
    return found


def stereo_attributes(species: Species) -> Float[np.ndarray, "n n k"]:
    """Zeros and ones for every pair: on which sides of a double bond with a form, in which ring.

    The same for a molecule and its mirror image; the hands of centres are no property of a pair.

    Args:
        species: the molecule.
    """
    found = np.zeros((species.n_atoms, species.n_atoms, STEREO_ATTRIBUTES))
    for unit in specified_units(species.mol):
        if unit.kind != "double bond":
            continue
        (u, v), (one, *_, other) = unit.at, unit.atoms
        for i in set(species.neighbours[u]) - {v}:
            for j in set(species.neighbours[v]) - {u}:
                like = (i == one) == (
                    j == other
                )  # on the sides that the two atoms of the unit are on
                cis = like == (unit.sign > 0)
                found[i, j, 0 if cis else 1] = found[j, i, 0 if cis else 1] = 1
    rings = sorted(map(set, species.mol.GetRingInfo().AtomRings()), key=len, reverse=True)
    for ring in rings:
        if len(ring) not in _RINGS:
            continue
        members = sorted(ring)
        found[np.ix_(members, members, range(2, STEREO_ATTRIBUTES))] = 0  # of a larger one
        found[np.ix_(members, members, [2 + _RINGS.index(len(ring))])] = 1
    found[np.arange(species.n_atoms), np.arange(species.n_atoms)] = 0
    return found
