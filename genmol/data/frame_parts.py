"""What the files hold before it is one data set: a part for each, joined, and some of it chosen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from ase import Atoms
from ase.data import chemical_symbols

from genmol.core.errors import InputError

__all__ = ["Part", "check_same_atoms", "chosen", "formula", "joined", "mixed", "some", "too_few"]


@dataclass(frozen=True, eq=False)
class Part:
    """What one file holds, in its own units.

    Attributes:
        source: how messages call it.
        positions: (m, n_atoms, d), or points of a toy in any shape.
        forces: (m, n_atoms, d), if it has them.
        numbers: (n_atoms,), if it has them.
        energies, weights: (m,), if it has them.
        temperature, charge, multiplicity, level, smiles: if it says so.
        periodic: says that it is.
        unit: ``sealed`` if forces are in eV/Å for certain, ``usual`` if by convention, ``unclear``.
    """

    source: str
    positions: np.ndarray
    forces: np.ndarray | None = None
    numbers: np.ndarray | None = None
    energies: np.ndarray | None = None
    weights: np.ndarray | None = None
    temperature: Any = None
    charge: Any = None
    multiplicity: Any = None
    level: str | None = None
    smiles: str | None = None
    periodic: bool = False
    unit: str = "usual"


def joined(parts: Sequence[Part], given: Mapping[str, Any]) -> Part:
    """All frames in one part; what is ``given`` overrules the files, which agree on the rest."""
    weights = np.concatenate(
        [np.ones(len(p.positions)) if p.weights is None else p.weights for p in parts]
    ).astype(np.float64)
    if len(weights) < 2:
        raise too_few(f"{len(weights)} frames in {', '.join(p.source for p in parts)}")
    if not np.isfinite(weights).all() or (weights < 0).any() or not weights.any():
        raise InputError(
            got="weights that are negative, not finite or all zero",
            wanted="a weight of each frame, in proportion to its probability",
            remedy="correct them, or leave them out",
        )

    def together(name: str) -> np.ndarray | None:
        arrays = [getattr(part, name) for part in parts]
        if any(array is None for array in arrays):
            return None
        return np.concatenate(arrays).astype(np.float64)

    return replace(
        parts[0],
        source=", ".join(part.source for part in parts),
        positions=np.concatenate([part.positions for part in parts]),
        forces=together("forces"),
        energies=together("energies"),
        weights=weights,
        level=_agreed(parts, "level"),
        **{name: _agreed(parts, name) if value is None else value for name, value in given.items()},
    )


def _agreed(parts: Sequence[Part], name: str) -> Any:
    """What the files say that say it."""
    found = {getattr(part, name) for part in parts} - {None}
    if len(found) > 1:
        raise InputError(
            got=f"files of different {name}: {', '.join(sorted(map(str, found)))}",
            wanted="samples of one law",
            remedy="train on one of them"
            + (f", or overrule them with --{name}" if name != "level" else ""),
        )
    return found.pop() if found else None


def chosen(count: int, *, limit: int | None, seed: int) -> np.ndarray:
    """Indices of at most ``limit`` frames, ascending; a larger choice contains every smaller one."""
    if limit is not None and limit < 2:
        raise too_few(f"a limit of {limit} frames")
    return np.sort(np.random.default_rng([seed, count]).permutation(count)[:limit])


def some(part: Part, *, limit: int | None, seed: int) -> Part:
    """At most ``limit`` frames, with weights of mean 1."""
    index = chosen(len(part.positions), limit=limit, seed=seed)
    assert part.weights is not None
    weights = part.weights[index]
    if not weights.any():
        raise too_few("frames without weight only")
    return replace(
        part,
        positions=part.positions[index],
        forces=None if part.forces is None else part.forces[index],
        energies=None if part.energies is None else part.energies[index],
        weights=weights / weights.mean(),
    )


def check_same_atoms(parts: Sequence[Part]) -> None:
    """Raise :class:`InputError` naming the first file of another molecule than the first one's."""
    first = parts[0]
    for part in parts:
        assert first.numbers is not None
        assert part.numbers is not None
        if not np.array_equal(part.numbers, first.numbers):
            reference = f"frame 0 of {first.source} ({formula(first.numbers)})"
            raise mixed(f"frame 0 of {part.source}", part.numbers, reference)


def formula(numbers: np.ndarray) -> str:
    """Symbols in the order of the atoms, as far as they are elements."""
    known = [int(z) if 0 < z < len(chemical_symbols) else 0 for z in numbers]
    return str(Atoms(known).symbols)


def mixed(where: str, numbers: np.ndarray, first: str) -> InputError:
    """The error of a frame with other atoms than the first."""
    return InputError(
        got=f"{where} ({formula(numbers)}), whose atoms or their order differ from {first}",
        wanted="geometries of one molecule, its atoms in one order",
        remedy="give each molecule a file of its own, and train on one of them, or on all of them with "
        "--molecules many",
    )


def too_few(got: str) -> InputError:
    """The error of fewer than two frames."""
    return InputError(
        got=got,
        wanted="at least two, and some hundreds to learn much",
        remedy="draw more with genmol sample, and compute their forces with genmol label",
    )
