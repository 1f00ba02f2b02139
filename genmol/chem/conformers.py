"""Starting conformers: embedded, turned systematically, relaxed, and each kept once.

ETKDG knows the usual torsions and finds most of the minima of a small molecule; where there are few
torsions, every combination of their usual angles is tried as well, on every ring shape that was found.
All are relaxed with a force field, if there is one, compared with the species in bonds and stereo, and
merged where their shapes agree up to symmetry. Nothing is dropped without being counted.

The result is a set of minima without weights: a place to start from, not a sample.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import product

import numpy as np
from jaxtyping import Float, Int

from genmol.chem.automorphisms import relabelled
from genmol.chem.etkdg import etkdg
from genmol.chem.identity import same_molecule
from genmol.chem.relaxation import ForceField, relax
from genmol.chem.shapes import shape_angles, shape_coordinates
from genmol.chem.species import Species
from genmol.chem.symmetry import TorsionSymmetry
from genmol.chem.torsions import Torsion, dihedral, rotatable_torsions
from genmol.core.errors import DeliveryError

__all__ = ["Conformers", "Counts", "embed", "torsion_grid", "turned"]

_CLASH = 0.5  # of the sum of van der Waals radii: closer atoms are not worth a relaxation
_VAN_DER_WAALS = {1: 1.10, 6: 1.70, 7: 1.55, 8: 1.52, 9: 1.47}  # Å (Bondi); 1.8 for others


@dataclass
class Counts:
    """Where conformers came from and went to.

    Attributes:
        asked: of ETKDG.
        embedded: by it; if none, the geometry of the species itself is there.
        turned: combinations of torsions without a clash.
        wrong: other bonds or another stereoisomer, after relaxation.
        unconverged: still on the way when the relaxation ended; kept.
        duplicates: equal to one of lower energy, up to symmetry.
        kept: what is left.
        force_field: that relaxed them.
    """

    asked: int = 0
    embedded: int = 0
    turned: int = 0
    wrong: int = 0
    unconverged: int = 0
    duplicates: int = 0
    kept: int = 0
    force_field: ForceField = "none"


@dataclass(frozen=True, eq=False)
class Conformers:
    """Different conformers of a species, by energy.

    Attributes:
        positions: Å, numbered like the reference of the species' symmetry, centred.
        energies: of the force field, eV; NaN without one.
        origins: 0 for embedded ones, 1 for those from the grid of torsions.
        multiplicities: how many minima were found that are equal to each.
        counts: of everything on the way.
    """

    positions: Float[np.ndarray, "k n_atoms 3"]
    energies: Float[np.ndarray, " k"]
    origins: Int[np.ndarray, " k"]
    multiplicities: Int[np.ndarray, " k"]
    counts: Counts = field(default_factory=Counts)

    def __len__(self) -> int:
        return len(self.positions)


def embed(
    species: Species,
    n: int,
    seed: int,
    *,
    grid: int = 500,
    relaxed: bool = True,
    tolerance: float = math.radians(25),
    seconds: int = 300,
) -> Conformers:
    """Look for the conformers of a species.

    Args:
        species: the molecule.
        n: how many to embed.
        seed: of ETKDG's generator, 0 ≤ seed < 2³¹.
        grid: combinations of torsions to try in addition, at most; 0 for none. If there are more, none
            is.
        relaxed: whether to follow each to the next minimum of a force field.
        tolerance: conformers are equal when no shape coordinate differs by more than this, rad.
        seconds: for each embedding, at most.

    Raises:
        DeliveryError: no conformer with the bonds and stereo of the species.
    """
    counts = Counts(asked=n)
    found = etkdg(species.mol, n=n, seed=seed, seconds=seconds)
    counts.embedded = len(found)
    if not len(found) and species.geometry is not None:
        found = species.geometry[None]
    x, energies = _relaxed(species, found, counts, relaxed)
    origins = np.zeros(len(x), dtype=np.int64)
    if grid and len(x):
        ring_shapes = x[_distinct(species, x, energies, tolerance, rings_only=True)[0]]
        more = torsion_grid(species, ring_shapes, limit=grid)
        counts.turned = len(more)
        more, more_energies = _relaxed(species, more, counts, relaxed)
        x, energies = np.concatenate([x, more]), np.concatenate([energies, more_energies])
        origins = np.concatenate([origins, np.ones(len(more), dtype=np.int64)])
    if not len(x):
        raise DeliveryError(
            got=f"no conformer of {species.smiles} from {n} attempts ({counts.embedded} embedded, "
            f"{counts.wrong} with other bonds or stereo)",
            wanted="at least one",
            remedy="ask for more, or start from a file with a geometry",
        )
    x = relabelled(species, x - x.mean(axis=1, keepdims=True))
    kept, multiplicities = _distinct(species, x, energies, tolerance)
    counts.kept, counts.duplicates = len(kept), len(x) - len(kept)
    return Conformers(x[kept], energies[kept], origins[kept], multiplicities, counts)


def torsion_grid(
    species: Species, positions: Float[np.ndarray, "k n_atoms 3"], *, limit: int
) -> Float[np.ndarray, "m n_atoms 3"]:
    """Every combination of the usual angles of all torsions, on each of the given frames (Å).

    Usual are 60°, 180° and −60° between tetrahedral atoms, steps of 60° next to a planar one, of 90°
    between planar ones, 0° and 180° of amides and C=N–H. Turns of CH3 and other symmetric ends are left
    out; so are combinations in which atoms clash. Frames are taken from the first on, as long as no more
    than ``limit`` combinations are tried in all.
    """
    torsions = [t for t in rotatable_torsions(species) if t.fold == 1]
    choices = [_usual_angles(species, torsion) for torsion in torsions]
    size = math.prod(map(len, choices))
    frames = positions[: limit // size] if size > 1 else positions[:0]
    pairs = _apart(species)
    found = [
        y
        for x in frames
        for angles in product(*choices)
        if not _clashes(y := _set(x, torsions, angles), pairs)
    ]
    return np.stack(found) if found else np.zeros((0, species.n_atoms, 3))


def turned(
    positions: Float[np.ndarray, "n_atoms 3"], torsion: Torsion, angle: float
) -> Float[np.ndarray, "n_atoms 3"]:
    """A frame (Å) with the moved side of a torsion turned by ``angle``, rad, which adds to it."""
    _, b, c, _ = torsion.atoms
    axis = positions[c] - positions[b]
    axis = axis / np.linalg.norm(axis)
    arms = positions[list(torsion.moved)] - positions[c]
    along = np.outer(arms @ axis, axis)
    found = positions.copy()
    found[list(torsion.moved)] = (
        positions[c]
        + along
        + math.cos(angle) * (arms - along)
        + math.sin(angle) * np.cross(axis, arms)
    )
    return found


def _relaxed(
    species: Species, x: np.ndarray, counts: Counts, wanted: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Frames that are still the species, with energies (eV)."""
    energies = np.full(len(x), np.nan)
    if wanted and len(x):
        found = relax(species.mol, x)
        counts.force_field = found.force_field
        x, energies = found.positions, found.energies
        counts.unconverged += int((~found.converged).sum()) if found.force_field != "none" else 0
    same = same_molecule(species, x)
    counts.wrong += int((~same).sum())
    return x[same], energies[same]


def _distinct(
    species: Species,
    x: np.ndarray,
    energies: np.ndarray,
    tolerance: float,
    *,
    rings_only: bool = False,
) -> tuple[np.ndarray, np.ndarray]:
    """Indices of frames that differ, lowest energies first, and how many each stands for."""
    coordinates = shape_coordinates(species)
    symmetry = TorsionSymmetry.of(species, coordinates)
    angles = shape_angles(relabelled(species, x), coordinates)
    if rings_only:
        free = [k for k, one in enumerate(coordinates) if getattr(one, "moved", ())]
        angles[:, free] = 0.0
    order = np.argsort(np.nan_to_num(energies), kind="stable")
    kept: list[int] = []
    stands: list[int] = []
    for i in order.tolist():
        if kept:
            near = symmetry.distance(angles[[i]], angles[kept])[0]
            if near.min() < tolerance:
                stands[int(near.argmin())] += 1
                continue
        kept.append(i)
        stands.append(1)
    return np.array(kept, dtype=np.int64), np.array(stands, dtype=np.int64)


def _usual_angles(species: Species, torsion: Torsion) -> tuple[float, ...]:
    if torsion.barrier in ("amide", "imine"):
        return (0.0, math.pi)
    middle = [species.mol.GetAtomWithIdx(i) for i in torsion.atoms[1:3]]
    planar = [atom.GetHybridization().name == "SP2" for atom in middle]
    if all(planar):  # a little off, or symmetry would keep a relaxation on top of a barrier
        return tuple(math.radians(10 + 90 * k) for k in range(4))
    if any(planar):
        return tuple(math.radians(60 * k) for k in range(6))
    return tuple(math.radians(60 + 120 * k) for k in range(3))


def _set(x: np.ndarray, torsions: Sequence[Torsion], angles: Sequence[float]) -> np.ndarray:
    for torsion, angle in zip(torsions, angles, strict=True):
        x = turned(x, torsion, angle - float(dihedral(x, torsion.atoms)))
    return x


def _apart(species: Species) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pairs more than three bonds apart, and the distances (Å) below which they clash."""
    near = np.eye(species.n_atoms, dtype=int)
    step = near.copy()
    for i, j in species.bonds:
        step[i, j] = step[j, i] = 1
    for _ in range(3):
        near = (near @ step > 0).astype(int)
    one, other = np.nonzero(np.triu(near == 0, k=1))
    radii = np.array([_VAN_DER_WAALS.get(int(z), 1.8) for z in species.numbers])
    return one, other, _CLASH * (radii[one] + radii[other])


def _clashes(x: np.ndarray, pairs: tuple[np.ndarray, np.ndarray, np.ndarray]) -> bool:
    i, j, least = pairs
    return bool((np.linalg.norm(x[i] - x[j], axis=1) < least).any())
