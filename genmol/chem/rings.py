"""Rings: which of them can pucker, and how parts of them turn.

A *flap* is what lies between two atoms of a ring system, i and j, when their removal cuts it off from
the rest: a CH2 of cyclohexane between its two neighbours, three atoms between 1 and 5, one bridge of
norbornane. To turn it about the axis i–j changes no bond length and no handedness, only the bond angles
at i and j: a move for samplers, as in the flips of Go and Scheraga, Macromolecules 3, 178 (1970).

A ring is taken as flexible where it has enough atoms that are not planar: three in a four-membered ring,
two in a ring of five or six, one in a ring of seven; larger rings always are. Bridged cages count as
flexible, though most of them are stiff.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations

from rdkit import Chem

from genmol.chem.species import Species

__all__ = ["Flap", "RingSystem", "flexible_rings", "ring_systems"]

_NEEDED = {3: 4, 4: 3, 5: 2, 6: 2, 7: 1}  # ring size -> atoms that are not planar


@dataclass(frozen=True)
class Flap:
    """A part of a ring system that turns about an axis.

    Attributes:
        axis: the two ring atoms i and j.
        moved: all atoms of the part, with what is bonded to it.
    """

    axis: tuple[int, int]
    moved: tuple[int, ...]


@dataclass(frozen=True)
class RingSystem:
    """Rings that share atoms.

    Attributes:
        rings: each as its atoms, one after the other round the ring.
        flexible: atoms of flexible rings that are not held planar.
        flaps: parts that can turn without twisting a double bond; of all between i and j, the largest
            stays where it is.
    """

    rings: tuple[tuple[int, ...], ...]
    flexible: tuple[int, ...]
    flaps: tuple[Flap, ...]


@lru_cache(maxsize=256)
def ring_systems(species: Species) -> tuple[RingSystem, ...]:
    """The ring systems of a molecule; spiro atoms join them."""
    systems: list[list[tuple[int, ...]]] = []
    for ring in _rings(species):
        touching = [s for s in systems if any(set(ring) & set(other) for other in s)]
        systems = [s for s in systems if s not in touching]
        systems.append([*(other for s in touching for other in s), ring])
    flexible = set(flexible_rings(species))
    found = []
    for rings in systems:
        soft = {i for ring in rings if ring in flexible for i in _soft_atoms(species, ring)}
        atoms = {i for ring in rings for i in ring}
        flaps = {
            flap
            for ring in rings
            if ring in flexible
            for i, j in combinations(sorted(ring), 2)
            for flap in _flaps(species, atoms, soft, i, j)
        }
        found.append(
            RingSystem(
                rings=tuple(sorted(rings)),
                flexible=tuple(sorted(soft)),
                flaps=tuple(sorted(flaps, key=lambda flap: (flap.axis, flap.moved))),
            )
        )
    return tuple(sorted(found, key=lambda system: system.rings))


@lru_cache(maxsize=256)
def flexible_rings(species: Species) -> tuple[tuple[int, ...], ...]:
    """The rings that can pucker, each as its atoms round the ring."""
    return tuple(
        ring
        for ring in _rings(species)
        if len(_soft_atoms(species, ring)) >= _NEEDED.get(len(ring), 1)
    )


def _rings(species: Species) -> list[tuple[int, ...]]:
    """The smallest rings, all that are equivalent by symmetry included."""
    return sorted(tuple(ring) for ring in Chem.GetSymmSSSR(species.mol))


def _soft_atoms(species: Species, ring: Iterable[int]) -> list[int]:
    atoms = [species.mol.GetAtomWithIdx(i) for i in ring]
    if len(atoms) > 7:
        return [atom.GetIdx() for atom in atoms if not atom.GetIsAromatic()]
    return [a.GetIdx() for a in atoms if a.GetHybridization() == Chem.HybridizationType.SP3]


def _flaps(species: Species, system: set[int], soft: set[int], i: int, j: int) -> Iterable[Flap]:
    """The parts between i and j but for the largest, if one holds a soft atom."""
    if _stiff(species, i) or _stiff(species, j):
        return
    between = [
        part
        for part in _parts_without(species, {i, j})
        if part & system
        and any(i in species.neighbours[a] for a in part)
        and any(j in species.neighbours[a] for a in part)
    ]
    between.sort(key=lambda part: (len(part), min(part)))
    if any(part & soft for part in between):
        for part in between[:-1]:
            yield Flap((i, j), tuple(sorted(part)))


def _stiff(species: Species, i: int) -> bool:
    """Whether a turn about an axis through an atom would twist a double bond of the ring."""
    flat = (Chem.BondType.DOUBLE, Chem.BondType.AROMATIC)
    bonds = species.mol.GetAtomWithIdx(i).GetBonds()
    return any(bond.IsInRing() and bond.GetBondType() in flat for bond in bonds)


def _parts_without(species: Species, removed: set[int]) -> list[set[int]]:
    left = set(range(species.n_atoms)) - removed
    parts = []
    while left:
        part, edge = set(), [min(left)]
        while edge:
            atom = edge.pop()
            if atom in part or atom in removed:
                continue
            part.add(atom)
            edge.extend(species.neighbours[atom])
        parts.append(part)
        left -= part
    return parts
