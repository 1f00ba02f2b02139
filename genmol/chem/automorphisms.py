r"""Renumberings of equal atoms that give the same molecule, without counting them one by one.

A permutation g of atoms that keeps elements and bonds turns a frame x into another frame of the same
molecule, :math:`x'_i = x_{g(i)}`. A molecule in motion does not reach all of them: numbered atoms keep
more forms than chemists call stereo (:mod:`genmol.chem.configuration`). The *proper* permutations keep
all of these forms; they are the turns and exchanges by which a numbered molecule comes back to itself,
and merge equivalent rotamers. Any other frame must first be renumbered so that it has the forms of the
reference (:func:`relabelled`).

There can be many: three for each C(CH₃)₃, two for each C₆H₅. But what hangs on one bond is permuted
independently of the rest, so the group is kept as a product,

.. math::
    G = \{\, h \circ k_1 \circ \dots \circ k_m :\ h \in H,\ k_i \in K_i \,\},

where the :math:`K_i` act within disjoint branches, each smaller than half of the molecule, and H has one
representative for every way to permute the core and the atoms where branches begin. Hydrogens follow
their heavy atom in the one or the first order that keeps the forms; the turns of CH₃, and what NH₂ does
with its two, are left to the fold and the ends of torsions.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice, product
from math import prod

import numpy as np
from jaxtyping import Float, Int

from genmol.chem.configuration import held_units, reference_geometry
from genmol.chem.equivalence import atom_classes, leaf_hydrogens
from genmol.chem.species import Species
from genmol.chem.stereo import StereoUnit, forms

__all__ = ["Automorphisms", "automorphisms", "mirror_permutation", "relabelled"]

Permutation = Int[np.ndarray, " n_atoms"]

_ELEMENTS = 20_000  # of one factor; of a larger one only the identity is used
_STEPS = 500_000  # of one search


@dataclass(frozen=True, eq=False)
class Automorphisms:
    """The proper permutations of a molecule as a product.

    Attributes:
        representatives: H; the identity is among them.
        factors: the K that are not trivial, each with its identity.
        complete: False where one was too large and its identity alone is used.
    """

    representatives: tuple[Permutation, ...]
    factors: tuple[tuple[Permutation, ...], ...]
    complete: bool

    def __len__(self) -> int:
        return len(self.representatives) * prod(len(factor) for factor in self.factors)

    def __iter__(self) -> Iterator[Permutation]:
        for h in self.representatives:
            for chosen in product(*self.factors):
                g = h
                for k in chosen:
                    g = g[k]
                yield g


@lru_cache(maxsize=256)
def automorphisms(species: Species) -> Automorphisms:
    """The proper permutations of a molecule.

    Raises:
        DeliveryError: there is no geometry to take the forms from.
    """
    search = _search(species)
    n = species.n_atoms
    branches = [part for part in search.branches(None) if 2 * search.weight(part) < n]
    tops = [a for a in branches if not any(a is not b and a.atoms < b.atoms for b in branches)]
    try:
        heads = search.cosets(set(search.skeleton), tops, {})
        complete = True
    except _TooManyError:
        heads, complete = [search.identity()], False
    factors = []
    for top in tops:
        found, whole = search.factors(top)
        factors += found
        complete &= whole
    return Automorphisms(tuple(heads), tuple(map(tuple, factors)), complete)


@lru_cache(maxsize=256)
def mirror_permutation(species: Species) -> Permutation | None:
    """A permutation g after which the mirror image of a frame has its forms; None if it is chiral.

    Raises:
        DeliveryError: there is no geometry to take the forms from.
    """
    search = _search(species)
    signs = [unit.sign * (1 if unit.kind == "double bond" else -1) for unit in search.hard]
    g = search.towards(tuple(signs))
    if g is not None:
        mirrored = -reference_geometry(species)[None, g]
        wrong = forms(search.soft, mirrored)[0] * [unit.sign for unit in search.soft] < 0
        for index in np.flatnonzero(wrong):
            one, two = search.exchangeable(search.soft[index])
            g[[one, two]] = g[[two, one]]
    return g


def relabelled(
    species: Species, positions: Float[np.ndarray, "k n_atoms 3"]
) -> Float[np.ndarray, "k n_atoms 3"]:
    """Frames (Å) with equal atoms renumbered so that all forms are those of the reference.

    Which of two hydrogens of a CH2 is which, or of two methyl groups of isopropyl, differs between
    programs and between embedded conformers; within one trajectory it does not. Frames of another
    stereoisomer stay as they are.

    Raises:
        DeliveryError: there is no geometry to take the forms from.
    """
    found = np.array(positions, dtype=np.float64)
    search = _search(species)
    wanted = np.array([unit.sign for unit in search.hard])
    signs = np.where(forms(search.hard, found) > 0, 1, -1)
    for pattern in np.unique(signs, axis=0) if len(wanted) else ():
        if (pattern == wanted).all():
            continue
        if (g := search.towards(tuple(pattern.tolist()))) is not None:
            rows = (signs == pattern).all(axis=1)
            found[rows] = found[np.ix_(rows, g)]
    wrongs = forms(search.soft, found) * [unit.sign for unit in search.soft] < 0
    for unit, wrong in zip(search.soft, wrongs.T, strict=True):
        one, two = search.exchangeable(unit)
        found[np.ix_(wrong, [one, two])] = found[np.ix_(wrong, [two, one])]
    return found


class _TooManyError(Exception):
    """A search took too many steps or found too much."""


@dataclass(frozen=True)
class _Branch:
    """What hangs on a bond outside rings: ``root`` is the atom of the bond, and one of ``atoms``."""

    root: int
    parent: int
    atoms: frozenset[int]


class _Search:
    """Backtracking over the atoms that are no leaf hydrogens: the skeleton."""

    def __init__(self, species: Species) -> None:
        self.species = species
        self.hydrogens = leaf_hydrogens(species)
        leaves = {h for group in self.hydrogens for h in group}
        self.skeleton = [i for i in range(species.n_atoms) if i not in leaves]
        self.near = {
            i: [j for j in species.neighbours[i] if j not in leaves] for i in self.skeleton
        }
        self.handed = atom_classes(species)
        self.colours = atom_classes(species, handed=False)
        self.heavy = {h: i for i, group in enumerate(self.hydrogens) for h in group}
        self.units = held_units(species)
        self.soft = [unit for unit in self.units if self._pairs(unit)]
        self.hard = [unit for unit in self.units if not self._pairs(unit)]
        self.place = {frozenset(unit.at): k for k, unit in enumerate(self.hard)}
        self.needs = [{self.heavy.get(i, i) for i in unit.atoms + unit.at} for unit in self.hard]
        self.steps = 0

    def identity(self) -> Permutation:
        return np.arange(self.species.n_atoms)

    def weight(self, branch: _Branch) -> int:
        """Its atoms, hydrogens included."""
        return sum(1 + len(self.hydrogens[i]) for i in branch.atoms)

    def branches(self, inside: _Branch | None) -> list[_Branch]:
        """All branches, or those in the inside of one, which lead away from its root."""
        found = []
        for bond in self.species.mol.GetBonds():
            ends = (bond.GetBeginAtomIdx(), bond.GetEndAtomIdx())
            if bond.IsInRing() or not all(i in self.near for i in ends):
                continue
            for parent, root in (ends, ends[::-1]):
                if inside is not None and not {parent, root} <= inside.atoms:
                    continue
                atoms = self._beyond(parent, root)
                if inside is None or inside.root not in atoms:
                    found.append(_Branch(root, parent, frozenset(atoms)))
        return found

    def factors(self, branch: _Branch) -> tuple[list[list[Permutation]], bool]:
        """The permutations within a branch, root fixed, as a product; and whether these are all."""
        inner = self.branches(branch)
        tops = [a for a in inner if not any(a is not b and a.atoms < b.atoms for b in inner)]
        outside = {i: i for i in self.skeleton if i not in branch.atoms or i == branch.root}
        below: list[list[Permutation]] = []
        complete = True
        for top in tops:
            found, whole = self.factors(top)
            below += found
            complete &= whole
        try:
            heads = self.cosets(set(branch.atoms) - {branch.root}, tops, outside)
        except _TooManyError:
            return below, False
        if len(heads) == 1:
            return below, complete
        if len(heads) * prod(map(len, below)) > _ELEMENTS:
            return below, False
        return [list(Automorphisms(tuple(heads), tuple(map(tuple, below)), True))], complete

    def cosets(
        self, free: set[int], tops: Sequence[_Branch], fixed: dict[int, int]
    ) -> list[Permutation]:
        """One permutation for every way to map what is free and not inside of a branch."""
        self.steps = 0
        interiors = [top.atoms - {top.root} for top in tops]
        core = free.difference(*interiors)
        found = []
        for start in self.maps(self._ordered(core, fixed), fixed):
            mapping = start
            for interior in interiors:
                order = self._ordered(interior, mapping)
                first = next(self.maps(order, mapping), None)
                if first is None:
                    break
                mapping = first
            else:
                found.append(self._with_hydrogens(mapping))
                if len(found) > _ELEMENTS:
                    raise _TooManyError
        return found

    def towards(self, signs: tuple[int, ...]) -> Permutation | None:
        """A permutation after which a frame whose hard units have these forms has the wanted ones."""
        self.steps = 0
        order = self._ordered(set(self.skeleton), {})
        try:
            found = list(islice(self.maps(order, {}, signs, self.colours), 1))
        except _TooManyError:
            return None
        return self._with_hydrogens(found[0]) if found else None

    def maps(
        self,
        order: list[int],
        fixed: dict[int, int],
        signs: Sequence[int] | None = None,
        colours: Sequence[int] | None = None,
    ) -> Iterator[dict[int, int]]:
        """Extend a mapping to the atoms in ``order``, in all ways that keep bonds, classes and forms."""
        mapping = dict(fixed)
        used = set(mapping.values())
        signs = [unit.sign for unit in self.hard] if signs is None else signs
        colours = self.handed if colours is None else colours
        done: list[list[int]] = [[] for _ in order]
        rank = {atom: k for k, atom in enumerate(order)}
        for index, atoms in enumerate(self.needs):
            if atoms & set(order) and atoms <= set(order) | set(fixed):
                done[max(rank[i] for i in atoms if i in rank)].append(index)

        def extend(k: int) -> Iterator[dict[int, int]]:
            self.steps += 1
            if self.steps > _STEPS:
                raise _TooManyError
            if k == len(order):
                yield dict(mapping)
                return
            atom = order[k]
            known = [mapping[j] for j in self.near[atom] if j in mapping]
            candidates = self.near[known[0]] if known else self.skeleton
            for image in candidates:
                if image in used or colours[image] != colours[atom]:
                    continue
                if not all(image in self.near[other] for other in known):
                    continue
                mapping[atom] = image
                used.add(image)
                if all(self._keeps(index, mapping, signs) for index in done[k]):
                    yield from extend(k + 1)
                del mapping[atom]
                used.discard(image)

        return extend(0)

    def exchangeable(self, unit: StereoUnit) -> tuple[int, int]:
        """Two leaf hydrogens whose exchange changes the form of a soft unit."""
        one, two = next(self.hydrogens[i] for i in self._pairs(unit))[:2]
        return one, two

    def _pairs(self, unit: StereoUnit) -> list[int]:
        """The atoms of a unit that carry exchangeable hydrogens."""
        return [i for i in unit.at if len(self.hydrogens[i]) > 1]

    def _keeps(self, index: int, mapping: dict[int, int], signs: Sequence[int]) -> bool:
        """Whether the image of a hard unit is one, with the form that the unit should have."""
        unit = self.hard[index]
        image = self.place.get(frozenset(mapping[i] for i in unit.at))
        if image is None or self.hard[image].kind != unit.kind:
            return False
        atoms = [self._image(i, mapping) for i in unit.atoms]
        return _parity(unit, atoms, self.hard[image]) * signs[image] == unit.sign

    def _image(self, atom: int, mapping: dict[int, int]) -> int:
        if atom in mapping:
            return mapping[atom]
        return self.hydrogens[mapping[self.heavy[atom]]][0]

    def _with_hydrogens(self, mapping: dict[int, int]) -> Permutation:
        """The permutation of all atoms: hydrogens in order, or the first two exchanged."""
        g = self.identity()
        for atom, image in mapping.items():
            g[atom] = image
            g[list(self.hydrogens[atom])] = self.hydrogens[image]
        places = {frozenset(unit.at): unit for unit in self.soft}
        for unit in self.soft:
            other = places.get(frozenset(int(g[i]) for i in unit.at))
            atoms = [int(g[i]) for i in unit.atoms]
            if other and _parity(unit, atoms, other) * other.sign != unit.sign:
                one, two = self.exchangeable(unit)
                g[[one, two]] = g[[two, one]]
        return g

    def _ordered(self, atoms: set[int] | frozenset[int], known: dict[int, int]) -> list[int]:
        """Each next to one before it, if possible; else one of the smallest class."""
        left, order, seen = set(atoms), [], set(known)
        sizes = Counter(self.colours)
        while left:
            edge = [i for i in left if any(j in seen for j in self.near[i])]
            best = min(edge or left, key=lambda i: (sizes[self.colours[i]], i))
            order.append(best)
            seen.add(best)
            left.discard(best)
        return order

    def _beyond(self, parent: int, root: int) -> set[int]:
        found, edge = {parent, root}, [j for j in self.near[root] if j != parent]
        while edge:
            here = edge.pop()
            if here not in found:
                found.add(here)
                edge.extend(self.near[here])
        return found - {parent}


@lru_cache(maxsize=256)
def _search(species: Species) -> _Search:
    return _Search(species)


def _parity(unit: StereoUnit, image: Sequence[int], other: StereoUnit) -> int:
    """±1: the form of ``other``, times this, is the form that ``unit`` has after the permutation."""
    if unit.kind == "centre":
        order = [other.atoms.index(i) for i in image]
        swaps = sum(order[i] > order[j] for i in range(4) for j in range(i + 1, 4))
        return 1 - 2 * (swaps % 2)
    ends = (image[0], image[3]) if image[1] == other.atoms[1] else (image[3], image[0])
    return (1 if ends[0] == other.atoms[0] else -1) * (1 if ends[1] == other.atoms[3] else -1)
