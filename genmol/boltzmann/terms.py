r"""A linear correction between two potentials of one molecule, in internal coordinates, and its fit.

Two potentials of one molecule mostly differ by what a force field is made of: rest lengths and angles,
stiffness, barriers, contacts. So their difference is taken as :math:`\sum_k c_k f_k(x)` plus a constant,
with a coefficient for every kind of term that the classes of equivalent atoms tell apart, of

===========  ==============================================================================
bonds        r, r², r³, from 1.3 Å
angles       θ, θ², from 1.95 rad
dihedrals    cos φ, cos 2φ, cos 3φ
other pairs  1/r, and exp(−(r − μ)²/2w²) with μ = 1.8, 2.4, 3.0, 3.8 and w = 0.4 Å
products     of adjacent bonds, a bond and its angle, angles at one atom, an angle and the cosines
             of a dihedral, the middle bond and the cosines of a dihedral
===========  ==============================================================================

all of which are the same for a mirror image and after exchanges of equivalent atoms.

c is the ridge regression of the differences of energies and, with a weight, of forces at some frames. A
frame of n atoms gives 3n equations, so that a few hundred frames do. The strength of the ridge and the
weight of the forces are those with the least error of energies in four-fold cross-validation.

Glycerol, GFN2-xTB minus MMFF94 at 300 K, standard deviation in kT at frames not fitted: 2.9 without a
correction, 0.7 with the first four rows of the table from 150 frames, 0.46 with all (310 kinds), 0.43
from 300 frames.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations, product

import torch
from jaxtyping import Float
from torch import Tensor

from genmol.boltzmann.internal import Coordinate, Internal
from genmol.chem.equivalence import atom_classes
from genmol.chem.species import Species
from genmol.core.errors import InputError

__all__ = ["CENTRES", "PRODUCTS", "WIDTH", "Fit", "Terms", "basis", "fitted"]

CENTRES, WIDTH = (1.8, 2.4, 3.0, 3.8), 0.4  # Å
PRODUCTS = ((0, 0), (0, 1), (1, 1), (1, 2), (0, 2))
"""Which coordinates are multiplied: bonds (0), angles (1), cosines of dihedrals (2)."""

_LENGTH, _ANGLE = 1.3, 1.95  # Å, rad: about the mean of all bonds and angles
_FOLDS = 4
_RIDGES, _FORCE_WEIGHTS = (1e-6, 1e-4), (0.03, 0.1)  # the latter in Å
_PORTION = 32  # frames at once

_Term = tuple[int, ...]


def basis(found: Sequence[Coordinate]) -> list[tuple[Tensor, Tensor]]:
    """Functions of bonds, angles, dihedrals and pairs, (n, terms, functions), and their derivatives."""
    r, theta, phi, d = (coordinate.values[:, :, None] for coordinate in found)
    r, theta = r - _LENGTH, theta - _ANGLE
    k = torch.tensor([1.0, 2.0, 3.0], dtype=r.dtype)
    off = (d - torch.tensor(CENTRES, dtype=r.dtype)) / WIDTH
    bumps, one = (-0.5 * off**2).exp(), torch.ones_like
    return [
        (torch.cat([r, r**2, r**3], dim=2), torch.cat([one(r), 2 * r, 3 * r**2], dim=2)),
        (torch.cat([theta, theta**2], dim=2), torch.cat([one(theta), 2 * theta], dim=2)),
        ((k * phi).cos(), -k * (k * phi).sin()),
        (torch.cat([1 / d, bumps], dim=2), torch.cat([-1 / d**2, -off / WIDTH * bumps], dim=2)),
    ]


@dataclass(frozen=True, eq=False)
class Terms:
    """Which terms are added up under one coefficient.

    Attributes:
        internal: the coordinates.
        kinds: (terms, sums) matrices of zeros and ones for bonds, angles, dihedrals and pairs.
        partners: which two terms are multiplied, (products, 2), for the five kinds of products.
        product_kinds: (products, sums) for these.
    """

    internal: Internal
    kinds: tuple[Tensor, ...]
    partners: tuple[Tensor, ...]
    product_kinds: tuple[Tensor, ...]

    @classmethod
    def of(cls, species: Species) -> Terms:
        """All of a molecule."""
        internal, classes = Internal.of(species), atom_classes(species)
        bonds, angles, dihedrals, pairs = (
            [tuple(term) for term in kind.tolist()] for kind in internal.kinds
        )
        bond = {end: k for k, t in enumerate(bonds) for end in (t, t[::-1])}
        angle = {end: k for k, t in enumerate(angles) for end in (t, t[::-1])}
        # each product: two coordinates, and the atoms that it is about, by which it is named
        products: list[list[tuple[int, int, tuple[_Term, ...]]]] = [
            [(bond[t[:2]], bond[t[1:]], (t,)) for t in angles],
            [(bond[t[:2]], k, (t,)) for k, u in enumerate(angles) for t in (u, u[::-1])],
            [
                (j, k, (u, v))
                for (j, u), (k, v) in combinations(enumerate(angles), 2)
                if u[1] == v[1]
            ],
            [(angle[t[:3]], k, (t,)) for k, u in enumerate(dihedrals) for t in (u, u[::-1])],
            [(bond[t[1:3]], k, (t,)) for k, t in enumerate(dihedrals)],
        ]
        one_way = False, True, False, True, False
        return cls(
            internal,
            tuple(
                _sums([_unordered((t,), classes) for t in kind])
                for kind in (bonds, angles, dihedrals, pairs)
            ),
            tuple(
                torch.tensor([entry[:2] for entry in kind], dtype=torch.int64).reshape(-1, 2)
                for kind in products
            ),
            tuple(
                _sums([(_ordered if way else _unordered)(about, classes) for _, _, about in kind])
                for kind, way in zip(products, one_way, strict=True)
            ),
        )

    def at(
        self, x: Float[Tensor, "n n_atoms 3"]
    ) -> tuple[Float[Tensor, "n k"], Float[Tensor, "n n_atoms 3 k"]]:
        """All f at each geometry (Å), and their derivatives."""
        parts = [self._at(portion) for portion in x.split(_PORTION)]
        values, slopes = zip(*parts, strict=True)
        return torch.cat(values), torch.cat(slopes)

    def _at(self, x: Tensor) -> tuple[Tensor, Tensor]:
        found = self.internal.at(x)
        functions = basis(found)
        by_atoms = [
            _matrix(kind, c, x.shape[1]) for kind, c in zip(self.internal.kinds, found, strict=True)
        ]
        values, slopes = [], []
        for (f, df), kind, b in zip(functions, self.kinds, by_atoms, strict=True):
            values.append(torch.einsum("ntf,tk->nkf", f, kind).flatten(1))
            slopes.append(torch.einsum("naxt,ntf,tk->naxkf", b, df, kind).flatten(3))
        single = [(f[:, :, :1], df[:, :, :1]) for f, df in functions[:2]] + [functions[2]]
        for pair, places, kind in zip(PRODUCTS, self.partners, self.product_kinds, strict=True):
            (u, du), (v, dv) = (
                [part[:, places[:, side]] for part in single[which]]
                for side, which in enumerate(pair)
            )
            b, c = (by_atoms[which][..., places[:, side]] for side, which in enumerate(pair))
            values.append(torch.einsum("ntf,tk->nkf", u * v, kind).flatten(1))
            slope = torch.einsum("naxt,ntf,tk->naxkf", b, du * v, kind)
            slope += torch.einsum("naxt,ntf,tk->naxkf", c, u * dv, kind)
            slopes.append(slope.flatten(3))
        return torch.cat(values, dim=1), torch.cat(slopes, dim=3)


def _matrix(kind: Tensor, found: Coordinate, n_atoms: int) -> Tensor:
    """Derivatives of coordinates by positions, (n, n_atoms, 3, terms)."""
    n, terms = found.values.shape
    total = torch.zeros(n, n_atoms, 3, terms, dtype=torch.float64)
    for k, slope in enumerate(found.slopes):
        index = kind[:, k].reshape(1, 1, 1, terms).expand(n, 1, 3, terms)
        total.scatter_add_(1, index, slope.permute(0, 2, 1)[:, None])
    return total


def _ordered(about: tuple[_Term, ...], classes: Sequence[int]) -> _Term:
    """A name by the classes of atoms, for a term that differs from its reverse."""
    return tuple(classes[i] for t in about for i in t)


def _unordered(about: tuple[_Term, ...], classes: Sequence[int]) -> _Term:
    """The same name for a term and its reverse, and for a product either way round."""
    each = sorted(min(_ordered((t,), classes), _ordered((t[::-1],), classes)) for t in about)
    return tuple(i for name in each for i in name)


def _sums(names: Sequence[_Term]) -> Tensor:
    """Which terms have which name, (terms, names)."""
    order = {name: k for k, name in enumerate(sorted(set(names)))}
    index = torch.tensor([order[name] for name in names], dtype=torch.int64)
    return torch.zeros(len(names), len(order), dtype=torch.float64).scatter(1, index[:, None], 1.0)


@dataclass(frozen=True, eq=False)
class Fit:
    """A correction.

    Attributes:
        terms: f.
        coefficients: c, eV.
        offset: Σ c f on average, eV.
        error: standard deviation of the energies, cross-validated, eV.
        frames: how many it is from.
    """

    terms: Terms
    coefficients: Float[Tensor, " k"]
    offset: float
    error: float
    frames: int


def fitted(
    species: Species,
    x: Float[Tensor, "n n_atoms 3"],
    energies: Float[Tensor, " n"],
    forces: Float[Tensor, "n n_atoms 3"],
) -> Fit:
    """The correction that makes up for differences.

    Args:
        species: the molecule.
        x: frames, Å.
        energies: differences, eV.
        forces: differences, eV/Å.

    Raises:
        InputError: fewer than eight frames.
    """
    if len(x) < 2 * _FOLDS:
        raise InputError(
            got=f"{len(x)} frames to fit a correction to",
            wanted=f"at least {2 * _FOLDS}, better some hundred",
            remedy="give a larger budget, or sample without a correction",
        )
    terms = Terms.of(species)
    values, slopes = terms.at(x)
    scale = slopes.square().mean(dim=(0, 1, 2)).sqrt().clamp_min(1e-6)
    values, slopes = values / scale, -slopes.flatten(1, 2) / scale
    push, fold = forces.flatten(1), torch.arange(len(x)) % _FOLDS
    blocks = [slopes[fold == k].flatten(0, 1) for k in range(_FOLDS)]
    squares = [b.T @ b for b in blocks]
    sides = [b.T @ push[fold == k].flatten() for k, b in enumerate(blocks)]

    def solved(left_out: int, ridge: float, weight: float) -> tuple[Tensor, Tensor, Tensor]:
        chosen = fold != left_out
        f, u = values[chosen], energies[chosen]
        mean_f, mean_u = f.mean(dim=0), u.mean()
        f, used = f - mean_f, [k for k in range(_FOLDS) if k != left_out]
        matrix = f.T @ f + weight**2 * torch.stack([squares[k] for k in used]).sum(dim=0)
        right = f.T @ (u - mean_u)
        right = right + weight**2 * torch.stack([sides[k] for k in used]).sum(dim=0)
        matrix.diagonal().add_(ridge * matrix.diagonal().mean())
        return torch.linalg.solve(matrix, right), mean_f, mean_u

    def error(ridge: float, weight: float) -> float:
        misses = []
        for k in range(_FOLDS):
            c, mean_f, mean_u = solved(k, ridge, weight)
            own = fold == k
            misses.append(energies[own] - mean_u - (values[own] - mean_f) @ c)
        return float(torch.cat(misses).std())

    choices = {(r, w): error(r, w) for r, w in product(_RIDGES, _FORCE_WEIGHTS)}
    best = min(choices, key=choices.__getitem__)
    c, mean_f, _ = solved(-1, *best)
    return Fit(terms, c / scale, float(mean_f @ c), choices[best], len(x))
