"""Rings that can pucker.

A ring is taken as flexible where it has enough atoms that are not planar: three in a four-membered ring,
two in a ring of five or six, one in a ring of seven; larger rings always are. Bridged cages count as
flexible, though most of them are stiff.
"""

from __future__ import annotations

from functools import lru_cache

from rdkit import Chem

from genmol.chem.species import Species

__all__ = ["flexible_rings"]

_NEEDED = {3: 4, 4: 3, 5: 2, 6: 2, 7: 1}  # ring size -> atoms that are not planar


@lru_cache(maxsize=256)
def flexible_rings(species: Species) -> tuple[tuple[int, ...], ...]:
    """The rings that can pucker, each as its atoms round the ring; all that symmetry makes equal."""
    rings = sorted(tuple(ring) for ring in Chem.GetSymmSSSR(species.mol))
    return tuple(ring for ring in rings if _soft(species, ring) >= _NEEDED.get(len(ring), 1))


def _soft(species: Species, ring: tuple[int, ...]) -> int:
    """How many atoms of a ring are not held planar."""
    atoms = [species.mol.GetAtomWithIdx(i) for i in ring]
    if len(atoms) > 7:
        return sum(not atom.GetIsAromatic() for atom in atoms)
    return sum(atom.GetHybridization() == Chem.HybridizationType.SP3 for atom in atoms)
