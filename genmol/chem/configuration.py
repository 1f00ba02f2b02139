r"""The forms that a molecule keeps while it moves, all of them, and a geometry that shows them.

A *specified* stereo unit distinguishes isomers. More is kept by motion once atoms have numbers: each
centre with four neighbours, whether they differ or not, keeps the handedness of their numbers; each
double bond keeps which substituent is cis to which; so do pyramidal phosphorus and sulfur. What pyramidal
nitrogen does is an inversion (:mod:`genmol.chem.inversions`), unless it is a bridgehead.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

import numpy as np
from jaxtyping import Float
from rdkit import Chem

from genmol.chem.etkdg import etkdg
from genmol.chem.identity import same_molecule
from genmol.chem.inversions import bridgeheads, is_pyramidal
from genmol.chem.species import Species
from genmol.chem.stereo import FLAT, StereoUnit, forms, specified_units
from genmol.chem.torsions import linear_chains, rotatable_torsions
from genmol.core.errors import DeliveryError

__all__ = ["held_units", "reference_geometry"]

_SEEDS = range(1, 6)


@lru_cache(maxsize=256)
def reference_geometry(species: Species) -> Float[np.ndarray, "n_atoms 3"]:
    """A geometry (Å) with the bonds and stereo of the species: its own, or one from ETKDG.

    Raises:
        DeliveryError: none was found.
    """
    if species.geometry is not None and same_molecule(species, species.geometry[None])[0]:
        return species.geometry
    for seed in _SEEDS:
        found = etkdg(species.mol, n=1, seed=seed, seconds=60)
        found = found[same_molecule(species, found)]
        if len(found):
            return np.asarray(found[0])
    raise DeliveryError(
        got=f"no geometry of {species.smiles} from {len(_SEEDS)} attempts of ETKDG",
        wanted="one with its bonds and stereo",
        remedy="check that the stereoisomer can exist, or start from a file with a geometry",
    )


@lru_cache(maxsize=256)
def held_units(species: Species) -> tuple[StereoUnit, ...]:
    """The units that keep their form, in the form of :func:`reference_geometry`."""
    units = [*_centres(species), *_double_bonds(species)]
    found = forms(units, reference_geometry(species)[None])[0]
    return tuple(
        StereoUnit(unit.kind, unit.at, unit.atoms, 1 if form > 0 else -1)
        for unit, form in zip(units, found, strict=True)
        if abs(form) > FLAT
    )


def _centres(species: Species) -> Iterator[StereoUnit]:
    stiff = {unit.at[0] for unit in specified_units(species.mol)} | bridgeheads(species.mol)
    for atom in species.mol.GetAtoms():
        i = atom.GetIdx()
        others = species.neighbours[i]
        held = len(others) == 4 or (is_pyramidal(atom) and (atom.GetAtomicNum() > 10 or i in stiff))
        if held:
            one, two, three, four = (*others, i)[:4]
            yield StereoUnit("centre", (i,), (one, two, three, four))


def _double_bonds(species: Species) -> Iterator[StereoUnit]:
    turning = {frozenset(torsion.atoms[1:3]) for torsion in rotatable_torsions(species)}
    chains = linear_chains(species)
    inside = {i for chain in chains for i in chain[1:-1]}
    for bond in species.mol.GetBonds():
        ends = (bond.GetBeginAtomIdx(), bond.GetEndAtomIdx())
        if bond.GetBondType() == Chem.BondType.DOUBLE and not inside & set(ends):
            chains = (*chains, ends)
    for chain in chains:
        u, v = chain[0], chain[-1]
        if frozenset((u, v)) in turning:
            continue
        left = [i for i in species.neighbours[u] if i != chain[1]]
        right = [i for i in species.neighbours[v] if i != chain[-2]]
        # two substituents at most: S(=O)(=O) and P=C are no planar groups
        if 0 < len(left) < 3 and 0 < len(right) < 3:
            corners = (left[0], u, v, right[0])
            yield StereoUnit("cumulene" if len(chain) % 2 else "double bond", (u, v), corners)
