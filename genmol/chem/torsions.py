r"""Torsions: the bonds a molecule turns about, and their angles.

A torsion has the atoms (a, b, c, d). Its axis b–c is a single bond outside rings, or a linear chain
(b–C≡C–c), for whose inner atoms no dihedral is defined. The angle is positive where d is reached
clockwise from a, looking from b to c (IUPAC):

.. math::
    \phi = \operatorname{atan2}\bigl(|\mathbf q|\; \mathbf p\cdot(\mathbf q\times\mathbf s),\
    (\mathbf p\times\mathbf q)\cdot(\mathbf q\times\mathbf s)\bigr), \qquad
    \mathbf p = \mathbf r_b-\mathbf r_a,\ \mathbf q = \mathbf r_c-\mathbf r_b,\
    \mathbf s = \mathbf r_d-\mathbf r_c.

At each end the reference a (d) is an atom that has no equivalent there, if there is one. Else
:func:`torsion_angles` takes the common direction of its n equivalents around the axis,

.. math::
    \bar\delta = \frac1m \arg \sum_{j=1}^n w_j e^{i m \delta_j},

in the sector of width 2π/m around the reference, with :math:`w_j` the distances from the axis: m = 3 for
CH₃ and C(CH₃)₃, 2 for C₆H₅ and a planar NH₂, and 1 for the pair of a pyramidal NH₂, whose direction is
opposite to the lone pair. An exchange of equivalents then changes the angle by exact multiples of 2π/m.

The ``fold`` says by which turns the molecule comes back to itself with nothing else changed: 3 for CH₃,
2 for C₆H₅, 6 for toluene; but 1 for the axis of a para-ethylphenyl, whose ethyl group changes sides.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise, permutations
from typing import Any, Literal, TypeVar, cast

import numpy as np
import torch
from jaxtyping import Float
from rdkit import Chem
from torch import Tensor

from genmol.chem.equivalence import atom_classes
from genmol.chem.inversions import inversions, is_pyramidal
from genmol.chem.rings import flexible_rings
from genmol.chem.species import Species
from genmol.chem.stereo import delocalised_bonds, is_bare_imine, specified_units

__all__ = [
    "Barrier",
    "Torsion",
    "dihedral",
    "linear_chains",
    "ring_torsions",
    "rotatable_torsions",
    "torsion_angles",
]

Barrier = Literal["single", "conjugated", "amide", "imine", "ring"]
"""What hinders a torsion: little, conjugation (5–10 kcal/mol), an amide bond (15–20), C=N–H, a ring."""

Array = TypeVar("Array", np.ndarray, Tensor)


@dataclass(frozen=True)
class Torsion:
    """An axis and what turns about it.

    Attributes:
        atoms: (a, b, c, d); b and c are bonded, or the ends of a linear chain.
        moved: the atoms on c's side, without c; the smaller side. Empty in rings.
        fold: turns by 2π/fold bring the molecule back to itself.
        barrier: what hinders it.
        ends: the equivalents of a around b, and of d around c, with the references first.
        harmonics: m at both ends.
    """

    atoms: tuple[int, int, int, int]
    moved: tuple[int, ...]
    fold: int
    barrier: Barrier = "single"
    ends: tuple[tuple[int, ...], tuple[int, ...]] = ((), ())
    harmonics: tuple[int, int] = (1, 1)

    def __post_init__(self) -> None:
        if not (self.ends[0] and self.ends[1]):
            object.__setattr__(self, "ends", ((self.atoms[0],), (self.atoms[3],)))


def dihedral(positions: Array, atoms: Any) -> Array:
    """Dihedral angles in (−π, π].

    Args:
        positions: (..., n_atoms, 3), numpy or torch; gradients pass.
        atoms: four indices, for angles (...,), or (m, 4) of them, for (..., m).
    """
    index = np.asarray(atoms)
    xp: Any = torch if isinstance(positions, Tensor) else np
    a, b, c, d = (positions[..., index[..., i], :] for i in range(4))
    p, q, s = b - a, c - b, d - c
    normal = xp.linalg.cross(q, s)
    length = (q * q).sum(-1) ** 0.5
    sine = length * (p * normal).sum(-1)
    cosine = (xp.linalg.cross(p, q) * normal).sum(-1)
    angle = xp.arctan2(sine, cosine)
    return cast("Array", angle if xp is torch else np.asarray(angle))


def torsion_angles(
    positions: Float[np.ndarray, "k n_atoms 3"], torsions: Sequence[Torsion]
) -> Float[np.ndarray, "k n_torsions"]:
    """Angles in (−π, π] that an exchange of equivalent atoms changes by exact multiples of 2π/m.

    Args:
        positions: Å.
        torsions: of one molecule.
    """
    positions = np.asarray(positions, dtype=np.float64)
    found = np.zeros((len(positions), len(torsions)))
    for column, torsion in enumerate(torsions):
        alone = max(map(len, torsion.ends)) == 1
        angle = dihedral(positions, torsion.atoms) if alone else _common_angle(positions, torsion)
        found[:, column] = angle
    return found


@lru_cache(maxsize=256)
def rotatable_torsions(species: Species) -> tuple[Torsion, ...]:
    """The torsions about single bonds outside rings, terminal OH, CH3 and NH2 included.

    Left out are bonds in rings, double and triple bonds, and ends without a second neighbour. A linear
    chain is one axis. C=N–H, where no stereo is specified, is a torsion with the barrier ``"imine"``.
    """
    axes = _axes(species)
    soft = {i for ring in flexible_rings(species) for i in ring}
    soft |= {inversion.centre for inversion in inversions(species)}
    found = []
    for (b, c), path, barrier in axes:
        side_b, side_c = _side(species, b, path[1]), _side(species, c, path[-2])
        if (len(side_c), c) > (len(side_b), b):
            b, c, path, side_b, side_c = c, b, path[::-1], side_c, side_b
        ends, harmonics, fold = [], [], 1
        for end, inwards, side in ((b, path[1], side_b), (c, path[-2], side_c)):
            others, harmonic, returns = _end(species, end, inwards)
            returns = (
                returns
                and not (side & soft)
                and not any(set(axis) <= side | {end} for axis, _, _ in axes)
            )
            ends.append(others)
            harmonics.append(harmonic)
            fold = math.lcm(fold, harmonic if returns else 1)
        found.append(
            Torsion(
                atoms=(ends[0][0], b, c, ends[1][0]),
                moved=tuple(sorted(side_c)),
                fold=fold,
                barrier=barrier,
                ends=(ends[0], ends[1]),
                harmonics=(harmonics[0], harmonics[1]),
            )
        )
    return tuple(sorted(found, key=lambda torsion: sorted(torsion.atoms[1:3])))


@lru_cache(maxsize=256)
def ring_torsions(species: Species) -> tuple[Torsion, ...]:
    """The torsions along flexible rings; they say how a ring is puckered and are nothing to turn."""
    found: dict[tuple[int, ...], Torsion] = {}
    for ring in flexible_rings(species):
        for k in range(len(ring)):
            a, b, c, d = (ring[(k + i) % len(ring)] for i in range(4))
            one = (a, b, c, d) if b < c else (d, c, b, a)
            found.setdefault(one, Torsion(one, (), 1, "ring"))
    return tuple(found.values())


@lru_cache(maxsize=256)
def linear_chains(species: Species) -> tuple[tuple[int, ...], ...]:
    """Linear atoms such as those of C≡C and C=C=C, with what they join: b, ..., c with b < c."""
    linear = {atom.GetIdx() for atom in species.mol.GetAtoms() if _is_linear(atom)}
    found = []
    for b in range(species.n_atoms):
        for inner in species.neighbours[b]:
            if b in linear or inner not in linear:
                continue
            path = [b, inner]
            while path[-1] in linear:
                path += [j for j in species.neighbours[path[-1]] if j != path[-2]]
            if b < path[-1]:
                found.append(tuple(path))
    return tuple(found)


def _axes(species: Species) -> list[tuple[tuple[int, int], tuple[int, ...], Barrier]]:
    """Ends, path from one to the other, and barrier, of everything that turns."""
    mol = species.mol
    linear = {i for chain in linear_chains(species) for i in chain[1:-1]}
    specified = {unit.at for unit in specified_units(mol)}
    found: list[tuple[tuple[int, int], tuple[int, ...], Barrier]] = []
    for bond in mol.GetBonds():
        b, c = sorted((bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()))
        ends = _others(species, b, c), _others(species, c, b)
        if bond.IsInRing() or {b, c} & linear or not (ends[0] and ends[1]):
            continue
        if turns := _barrier(bond, {(b, c), (c, b)} & specified != set()):
            found.append(((b, c), (b, c), turns))
    chains = ((path, _chain_barrier(species, path)) for path in linear_chains(species))
    found += [((path[0], path[-1]), path, turns) for path, turns in chains if turns]
    return found


def _barrier(bond: Any, specified: bool) -> Barrier | None:
    """What hinders a turn about a bond outside rings; None where it does not turn."""
    kind = bond.GetBondType()
    if bond.GetIdx() in delocalised_bonds(bond.GetOwningMol()):
        return "amide"
    if kind in (Chem.BondType.SINGLE, Chem.BondType.DATIVE):
        if _is_amide(bond):
            return "amide"
        return "conjugated" if bond.GetIsConjugated() else "single"
    if kind == Chem.BondType.DOUBLE:
        if is_bare_imine(bond) and not specified:
            return "imine"
        atoms = (bond.GetBeginAtom(), bond.GetEndAtom())
        if any(atom.GetAtomicNum() > 10 and atom.GetDegree() > 2 for atom in atoms):
            return "single"  # S=N and P=C of ylides and sulfoximines: lone pairs, no π bond
    return None


def _is_amide(bond: Any) -> bool:
    """Whether a bond joins a planar nitrogen and a carbon with C=O, C=S or C=N."""
    for n, c in permutations((bond.GetBeginAtom(), bond.GetEndAtom())):
        if n.GetAtomicNum() != 7 or n.GetDegree() != 3 or c.GetAtomicNum() != 6:
            continue
        double = [b for b in c.GetBonds() if b.GetBondType() == Chem.BondType.DOUBLE]
        if any(b.GetOtherAtom(c).GetAtomicNum() in (7, 8, 16, 34) for b in double):
            return True
    return False


def _is_linear(atom: Any) -> bool:
    return atom.GetDegree() == 2 and atom.GetHybridization() == Chem.HybridizationType.SP


def _chain_barrier(species: Species, path: Sequence[int]) -> Barrier | None:
    """The same of a linear chain, whose path begins and ends with what it joins."""
    bonds = [species.mol.GetBondBetweenAtoms(i, j) for i, j in pairwise(path)]
    ends = (_others(species, path[0], path[1]), _others(species, path[-1], path[-2]))
    if any(bond.IsInRing() for bond in bonds) or not (ends[0] and ends[1]):
        return None
    if any(bond.GetBondType() != Chem.BondType.DOUBLE for bond in bonds):
        return "single"
    # cumulated: two substituents on each end keep it from turning, a lone pair does not
    return None if len(ends[0]) > 1 and len(ends[1]) > 1 else "imine"


def _others(species: Species, atom: int, without: int) -> list[int]:
    return [j for j in species.neighbours[atom] if j != without]


def _side(species: Species, atom: int, inwards: int) -> set[int]:
    """What is bonded to an atom, directly or not, without it and without a way through ``inwards``."""
    found, edge = {atom, inwards}, _others(species, atom, inwards)
    while edge:
        here = edge.pop()
        if here not in found:
            found.add(here)
            edge.extend(species.neighbours[here])
    return found - {atom, inwards}


def _end(species: Species, atom: int, inwards: int) -> tuple[tuple[int, ...], int, bool]:
    """The equivalents to measure an angle to, the reference first, m, and whether a turn exchanges them.

    Mirror images of each other count as equivalents, but it takes a mirror to exchange them.
    """
    alike: dict[int, list[int]] = {}
    colours = atom_classes(species, handed=False)
    for other in _others(species, atom, inwards):
        alike.setdefault(colours[other], []).append(other)

    def preference(group: list[int]) -> tuple[int, bool, int, int]:
        first = group[0]
        branch = len(_side(species, first, atom))
        return len(group), bool(species.numbers[first] == 1), -branch, colours[first]

    group = min(alike.values(), key=preference)
    pyramidal = is_pyramidal(species.mol.GetAtomWithIdx(atom))
    harmonic = {1: 1, 2: 1 if pyramidal else 2, 3: 3, 4: 2, 5: 4}.get(len(group), 1)
    handed = atom_classes(species)
    return tuple(group), harmonic, len({handed[i] for i in group}) == 1


def _common_angle(x: np.ndarray, torsion: Torsion) -> np.ndarray:
    """The angle between the common directions of the equivalents at both ends."""
    _, b, c, _ = torsion.atoms
    axis = x[:, c] - x[:, b]
    axis = axis / np.linalg.norm(axis, axis=1, keepdims=True)
    across = np.eye(3)[np.abs(axis).argmin(axis=1)]  # some direction that is not along the axis
    first = np.cross(axis, across)
    second = np.cross(axis, first)
    directions = []
    for root, others, m in zip((b, c), torsion.ends, torsion.harmonics, strict=True):
        arms = x[:, list(others)] - x[:, [root]]
        # the distance from the axis and the angle around it; |first| = |second|
        arms = (arms * first[:, None]).sum(axis=2) + 1j * (arms * second[:, None]).sum(axis=2)
        reference = np.angle(arms[:, 0])
        turned = np.abs(arms) * np.exp(1j * m * (np.angle(arms) - reference[:, None]))
        directions.append(reference + np.angle(turned.sum(axis=1)) / m)
    return np.asarray(np.angle(np.exp(1j * (directions[1] - directions[0]))))
