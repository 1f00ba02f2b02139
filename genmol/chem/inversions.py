r"""Pyramidal atoms, and those of them that turn inside out.

With unit vectors :math:`\mathbf u_i` to its three neighbours, a pyramid is described by half of the solid
angle that they span (Van Oosterom and Strackee, 1983),

.. math::
    \omega = \operatorname{atan2}\bigl(\mathbf u_1\cdot(\mathbf u_2\times\mathbf u_3),\
    1 + \mathbf u_1\cdot\mathbf u_2 + \mathbf u_2\cdot\mathbf u_3 + \mathbf u_3\cdot\mathbf u_1\bigr),

which is ±82° in ammonia, passes through 180° as it turns inside out, and changes sign with the order of
the neighbours. Amines do so within picoseconds (5 kcal/mol), aziridines seldom (19 kcal/mol); phosphines
and sulfoxides do not, and count as centres.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from jaxtyping import Float
from rdkit import Chem
from rdkit.Chem import rdMolDescriptors

from genmol.chem.equivalence import leaf_hydrogens
from genmol.chem.species import Species
from genmol.chem.stereo import specified_units

__all__ = ["Inversion", "bridgeheads", "inversion_angle", "inversions", "is_pyramidal"]


@dataclass(frozen=True)
class Inversion:
    """A pyramidal atom that turns inside out.

    Attributes:
        centre: the atom.
        neighbours: three, ascending.
    """

    centre: int
    neighbours: tuple[int, int, int]
    fold: int = 1


def is_pyramidal(atom: Any) -> bool:
    """Whether an RDKit atom has three neighbours on one side of it."""
    return (
        atom.GetDegree() == 3
        and atom.GetHybridization() == Chem.HybridizationType.SP3
        and not atom.GetNumRadicalElectrons()
    )


def bridgeheads(mol: Any) -> set[int]:
    """Atoms where bridges of a cage meet."""
    found: Any = []
    rdMolDescriptors.CalcNumBridgeheadAtoms(mol, found)
    return set(found)


@lru_cache(maxsize=256)
def inversions(species: Species) -> tuple[Inversion, ...]:
    """The pyramidal nitrogens, oxonium oxygens and carbanions that can turn inside out.

    Not those with two hydrogens, whose two forms differ by the names of these, nor bridgeheads and
    specified centres.
    """
    held = {unit.at[0] for unit in specified_units(species.mol)} | bridgeheads(species.mol)
    hydrogens = leaf_hydrogens(species)
    found = []
    for atom in species.mol.GetAtoms():
        i = atom.GetIdx()
        light = atom.GetAtomicNum() in (6, 7, 8)
        if light and is_pyramidal(atom) and i not in held and len(hydrogens[i]) < 2:
            one, two, three = species.neighbours[i]
            found.append(Inversion(i, (one, two, three)))
    return tuple(found)


def inversion_angle(
    positions: Float[np.ndarray, "k n_atoms 3"], inversion: Inversion
) -> Float[np.ndarray, " k"]:
    """ω in (−π, π], rad; positions in Å."""
    arms = positions[:, list(inversion.neighbours)] - positions[:, [inversion.centre]]
    arms = arms / np.linalg.norm(arms, axis=2, keepdims=True)
    u1, u2, u3 = arms[:, 0], arms[:, 1], arms[:, 2]
    volume = (u1 * np.cross(u2, u3)).sum(axis=1)
    cosines = (u1 * u2 + u2 * u3 + u3 * u1).sum(axis=1)
    return np.asarray(np.arctan2(volume, 1 + cosines))
