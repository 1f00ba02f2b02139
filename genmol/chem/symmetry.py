r"""Equivalent rotamers: torsion vectors that symmetry turns into each other, and one to stand for them.

A proper permutation g (:mod:`genmol.chem.automorphisms`) takes the angles of a frame to those of the
renumbered frame: each coordinate goes to another one, some by an exact step of 2π/m because the
reference atom is now another of m equivalents, inversions with the sign of the exchange,

.. math::
    \theta_j(x_g) = \sigma_j\, \theta_{g(j)}(x) + s_j .

Each set of equivalent vectors is represented by the one of smallest cost,

.. math::
    C(\theta) = \sum_j \Bigl[ 10^3\, W_j\, c_{w(\theta_j)} + 1 - \cos f_j(\theta_j - r_j) \Bigr],

with the fold f, generic numbers W, c and r, and the well w that an angle lies in: wells end where
barriers usually are, so vibrations do not change the representative. As the cost is a sum and the factors
of the group act on different coordinates, each factor is minimised by itself: the work grows with the sum
of their sizes, not with their product. Against a given reference, 10³W is left out, and the nearest
vector is returned.

Mirror images stay different, as the two gauche forms of butane, unless they are asked to be merged: then
every vector of an achiral molecule is also compared with that of its mirror image, −θ renumbered.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from genmol.chem.automorphisms import automorphisms, mirror_permutation, relabelled
from genmol.chem.configuration import reference_geometry
from genmol.chem.inversions import Inversion
from genmol.chem.shapes import Coordinate, shape_angles
from genmol.chem.species import Species
from genmol.chem.torsions import Torsion, torsion_angles
from genmol.core.errors import InputError

__all__ = ["TorsionSymmetry", "canonical_torsions", "permutations", "rotamers"]

_GOLDEN = (math.sqrt(5) - 1) / 2


def permutations(species: Species, *, limit: int = 10_000) -> Int[np.ndarray, "p n_atoms"]:
    """The proper permutations g; ``positions[:, g]`` is the same molecule, and the same conformer.

    Of the turns of CH3 and the exchanges in NH2, which are left to torsion angles, one is there.

    Args:
        species: the molecule.
        limit: how many at most.

    Raises:
        InputError: there are more.
        DeliveryError: no geometry has its stereo.
    """
    group = automorphisms(species)
    if len(group) > limit:
        raise InputError(
            got=f"{species.name}, whose equal atoms can be permuted in {len(group)} ways",
            wanted=f"at most {limit}",
            remedy="use canonical_torsions, which needs no list, or raise the limit",
        )
    return np.stack(list(group))


def canonical_torsions(
    species: Species,
    torsions: Sequence[Coordinate],
    angles: Float[np.ndarray, "k n_torsions"],
    *,
    reference: Float[np.ndarray, " n_torsions"] | None = None,
    mirror: bool = False,
) -> Float[np.ndarray, "k n_torsions"]:
    """One vector for all equivalent ones, its angles in (−π/fold, π/fold].

    Args:
        species: the molecule.
        torsions: all of a kind, as :func:`genmol.chem.torsions.rotatable_torsions` or
            :func:`genmol.chem.shapes.shape_coordinates` give them.
        angles: rad, of :func:`genmol.chem.torsions.torsion_angles` or
            :func:`genmol.chem.shapes.shape_angles`, of frames that are numbered alike, see
            :func:`genmol.chem.automorphisms.relabelled`.
        reference: take the equivalent vector nearest to this one, instead of the standard one.
        mirror: merge mirror images too, where the molecule has no handedness.

    Raises:
        InputError: a torsion without its equivalents.
        DeliveryError: no geometry has the molecule's stereo.
    """
    symmetry = TorsionSymmetry.of(species, tuple(torsions), mirror=mirror)
    return symmetry.canonical(angles, reference=reference)


def rotamers(
    species: Species,
    torsions: Sequence[Coordinate],
    positions: Float[np.ndarray, "k n_atoms 3"],
) -> Float[np.ndarray, "k n_torsions"]:
    """The canonical vectors of frames (Å), however their equal atoms are numbered; see above."""
    angles = shape_angles(relabelled(species, positions), torsions)
    return canonical_torsions(species, torsions, angles)


class _Action(NamedTuple):
    """What a permutation does to a vector of angles."""

    order: np.ndarray
    sign: np.ndarray
    shift: np.ndarray

    def __call__(self, angles: np.ndarray, columns: np.ndarray | slice = slice(None)) -> np.ndarray:
        return self.sign[columns] * angles[..., self.order[columns]] + self.shift[columns]


@dataclass(frozen=True, eq=False)
class TorsionSymmetry:
    """How the proper permutations of a molecule act on vectors of its torsions.

    Attributes:
        folds: f, one for each torsion.
        complete: False if some equivalences are not used, since there are too many.
    """

    folds: np.ndarray
    complete: bool
    _heads: tuple[_Action, ...]
    _factors: tuple[tuple[np.ndarray, tuple[_Action, ...]], ...]
    _wells: tuple[np.ndarray, ...]

    @classmethod
    def of(
        cls, species: Species, torsions: tuple[Coordinate, ...], *, mirror: bool = False
    ) -> TorsionSymmetry:
        """For torsions that contain all equivalents of each.

        Args:
            species: the molecule.
            torsions: rotatable torsions, or shape coordinates.
            mirror: merge mirror images too, where the molecule has no handedness.

        Raises:
            InputError: they do not.
            DeliveryError: no geometry has the molecule's stereo.
        """
        return _torsion_symmetry(species, torsions, mirror)

    def __len__(self) -> int:
        return len(self._heads) * math.prod(len(actions) for _, actions in self._factors)

    def canonical(
        self,
        angles: Float[np.ndarray, "k n_torsions"],
        *,
        reference: Float[np.ndarray, " n_torsions"] | None = None,
    ) -> Float[np.ndarray, "k n_torsions"]:
        """The representatives, or the equivalents nearest to a reference; rad."""
        best = np.array(angles, dtype=np.float64)
        lowest = np.full(len(best), np.inf)
        for head in self._heads:
            found = head(np.asarray(angles, dtype=np.float64))
            for columns, actions in self._factors:
                options = np.stack([action(found, columns) for action in actions])
                costs = self._cost(options, columns, reference).sum(axis=2)
                found[:, columns] = options[costs.argmin(axis=0), np.arange(len(found))]
            cost = self._cost(found, slice(None), reference).sum(axis=1)
            better = cost < lowest
            best[better], lowest[better] = found[better], cost[better]
        return _folded(best, self.folds)

    def distance(
        self, angles: Float[np.ndarray, "k n_torsions"], others: Float[np.ndarray, "m n_torsions"]
    ) -> Float[np.ndarray, "k m"]:
        """The largest difference of an angle (rad) between equivalents that are as near as can be."""
        angles, others = np.asarray(angles, dtype=np.float64), np.asarray(others)[None]
        nearest = np.full((len(angles), others.shape[1]), np.inf)
        free = np.ones(len(self.folds), dtype=bool)
        for columns, _ in self._factors:
            free[columns] = False
        rest = np.flatnonzero(free)
        for head in self._heads:
            found = head(angles)[:, None]
            worst = self._difference(found, others, rest)
            for columns, actions in self._factors:
                options = [
                    self._difference(action(found, columns), others[..., columns], columns, True)
                    for action in actions
                ]
                worst = np.maximum(worst, np.min(options, axis=0))
            nearest = np.minimum(nearest, worst)
        return nearest

    def _difference(
        self, x: np.ndarray, y: np.ndarray, columns: np.ndarray, taken: bool = False
    ) -> np.ndarray:
        if not taken:
            x, y = x[..., columns], y[..., columns]
        return np.abs(_folded(x - y, self.folds[columns])).max(axis=-1, initial=0.0)

    def _cost(
        self, angles: np.ndarray, columns: np.ndarray | slice, reference: np.ndarray | None
    ) -> np.ndarray:
        folds = self.folds[columns]
        if reference is not None:
            return np.asarray(1 - np.cos(folds * (angles - reference[columns])))
        index = np.arange(len(self.folds))[columns]
        generic = (index + 1) * _GOLDEN % 1
        found = np.asarray(1 - np.cos(folds * (angles - 0.3 - generic / 2)))
        for place, column in enumerate(index):
            if len(edges := self._wells[column]):
                turned = np.mod(angles[..., place] - edges[0], 2 * np.pi)
                well = np.searchsorted(np.mod(edges - edges[0], 2 * np.pi), turned, side="right")
                found[..., place] += 1e3 * (1 + generic[place]) * np.sqrt(well % len(edges))
        return found


@lru_cache(maxsize=256)
def _torsion_symmetry(
    species: Species, torsions: tuple[Coordinate, ...], mirror: bool
) -> TorsionSymmetry:
    group = automorphisms(species)
    folds = np.array([one.fold for one in torsions], dtype=np.int64)
    lookup = _Lookup(species, torsions)
    heads = _distinct(lookup.action(h) for h in group.representatives)
    if mirror and (g := mirror_permutation(species)) is not None:
        turned = lookup.action(g)
        turned = turned._replace(sign=-turned.sign)
        heads = _distinct([*heads, *(_after(head, turned) for head in heads)])
    factors = []
    for factor in group.factors:
        actions = _distinct(lookup.action(k) for k in factor)
        moved = np.zeros(len(torsions), dtype=bool)
        for action in actions:
            moved |= (action.order != np.arange(len(torsions))) | (action.sign < 0)
            moved |= np.abs(_folded(action.shift, folds)) > 1e-9
        if moved.any():
            factors.append((np.flatnonzero(moved), actions))
    return TorsionSymmetry(
        folds=folds,
        complete=group.complete,
        _heads=heads,
        _factors=tuple(_disjoint(factors)),
        _wells=tuple(_edges(species, one) for one in torsions),
    )


class _Lookup:
    """Finds coordinates by their atoms."""

    def __init__(self, species: Species, torsions: Sequence[Coordinate]) -> None:
        self.torsions = torsions
        self.place = {key: k for k, one in enumerate(torsions) for key in _keys(one)}
        self.steps = [_steps(species, one) for one in torsions]

    def action(self, g: np.ndarray) -> _Action:
        order, sign, shift = [], [], []
        for one in self.torsions:
            image = _image(one, g)
            k = self.place.get(_keys(image)[0])
            if k is None:
                raise InputError(
                    got=f"torsions without one equivalent to that of the atoms {_atoms(one)}",
                    wanted="all equivalents of each",
                    remedy="pass all rotatable torsions, or all shape coordinates",
                )
            order.append(k)
            target = self.torsions[k]
            sign.append(_sign(image, target))
            shift.append(self._shift(image, target, self.steps[k]))
        return _Action(np.array(order, dtype=int), np.array(sign, dtype=int), np.array(shift))

    def _shift(self, image: Coordinate, target: Coordinate, steps: dict[int, float]) -> float:
        if isinstance(image, Inversion) or isinstance(target, Inversion):
            return 0.0
        a, b, _, d = image.atoms
        if b != target.atoms[1]:
            a, d = d, a
        return steps[d] - steps[a]


def _atoms(one: Coordinate) -> tuple[int, ...]:
    return one.atoms if isinstance(one, Torsion) else (one.centre, *one.neighbours)


def _keys(one: Coordinate) -> list[object]:
    if isinstance(one, Inversion):
        return [one.centre]
    a, d = (frozenset(end) for end in one.ends)
    _, b, c, _ = one.atoms
    return [(a, b, c, d), (d, c, b, a)]


def _image(one: Coordinate, g: np.ndarray) -> Coordinate:
    """The coordinate of the renumbered atoms."""

    def of(atoms: Sequence[int]) -> list[int]:
        return [int(g[i]) for i in atoms]

    if isinstance(one, Inversion):
        n1, n2, n3 = of(one.neighbours)
        return Inversion(int(g[one.centre]), (n1, n2, n3))
    a, b, c, d = of(one.atoms)
    ends = (tuple(of(one.ends[0])), tuple(of(one.ends[1])))
    return Torsion((a, b, c, d), (), one.fold, one.barrier, ends, one.harmonics)


def _sign(image: Coordinate, target: Coordinate) -> int:
    if isinstance(image, Inversion) and isinstance(target, Inversion):
        order = [target.neighbours.index(i) for i in image.neighbours]
        return 1 if order in ([0, 1, 2], [1, 2, 0], [2, 0, 1]) else -1
    return 1


def _steps(species: Species, one: Coordinate) -> dict[int, float]:
    """By how much each equivalent at an end is turned from the reference, a multiple of 2π/m."""
    if isinstance(one, Inversion):
        return {}
    found = {}
    geometry = reference_geometry(species)[None]
    a, b, c, d = one.atoms
    for which, end in enumerate(one.ends):
        m = one.harmonics[which]
        for other in end:
            atoms = (other, b, c, d) if which == 0 else (a, b, c, other)
            turn = torsion_angles(geometry, [Torsion(atoms, (), 1)])
            turn = turn - torsion_angles(geometry, [Torsion(one.atoms, (), 1)])
            turned = float(turn[0, 0]) * (-1 if which == 0 else 1)
            found[other] = 2 * math.pi / m * round(turned * m / (2 * math.pi)) if m > 1 else 0.0
    return found


def _edges(species: Species, one: Coordinate) -> np.ndarray:
    """Where the wells of a coordinate end, rad."""
    if isinstance(one, Inversion) or one.barrier == "ring":
        return np.array([0.0, np.pi])
    if one.fold > 1:
        return np.array([])
    if one.barrier != "single":
        return np.array([-np.pi / 2, np.pi / 2])
    planar = [
        species.mol.GetAtomWithIdx(i).GetHybridization().name == "SP2" for i in one.atoms[1:3]
    ]
    start = np.pi / 3 if any(planar) else 0.0
    return start + np.array([0.0, 2.0, 4.0]) * np.pi / 3


def _distinct(actions: Iterable[_Action]) -> tuple[_Action, ...]:
    found: dict[bytes, _Action] = {}
    for action in actions:
        steps = np.round(np.mod(action.shift, 2 * np.pi) * 720 / np.pi).astype(int) % 1440
        found.setdefault(np.concatenate([action.order, action.sign, steps]).tobytes(), action)
    return tuple(found.values())


def _disjoint(
    factors: list[tuple[np.ndarray, tuple[_Action, ...]]],
) -> list[tuple[np.ndarray, tuple[_Action, ...]]]:
    """Factors that share a coordinate, such as both ends of a linear chain, become one."""
    found: list[tuple[np.ndarray, tuple[_Action, ...]]] = []
    for columns, actions in factors:
        for other in [f for f in found if np.intersect1d(f[0], columns).size]:
            found = [f for f in found if f is not other]
            columns = np.union1d(columns, other[0])
            actions = _distinct(_after(x, y) for x in actions for y in other[1])
        found.append((columns, actions))
    return found


def _after(x: _Action, y: _Action) -> _Action:
    """First y, then x."""
    return _Action(y.order[x.order], x.sign * y.sign[x.order], x.sign * y.shift[x.order] + x.shift)


def _folded(angles: np.ndarray, folds: np.ndarray) -> np.ndarray:
    """Into (−π/f, π/f]."""
    width = 2 * np.pi / folds
    return np.asarray(-(np.mod(-angles + width / 2, width) - width / 2))
