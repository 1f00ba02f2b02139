"""Geometries with forces from files, as far as a file says what they are.

====================  ==========================================================================
file                  what is taken
====================  ==========================================================================
``.xyz .extxyz``      all frames: ``REF_forces`` or ``forces``, ``REF_energy`` or ``energy``,
                      and from the comment charge, multiplicity, weight, temperature, level, SMILES
folder, label         labels of one level of theory, as ``genmol label`` writes them
npz                   ``positions``, ``forces``, ``numbers``, and if there ``energies``,
                      ``weights``, ``temperature``, ``charge``, ``multiplicity``, ``level``,
                      ``smiles``; the training part of files whose names begin with ``train_``
npz of MD17, MD22     ``R``, ``F``, ``E``, ``z``; or ``coords``, ``forces``, ``energies``,
                      ``nuclear_charges``. They do not say their unit, seldom eV/Å
npy, npz of a toy     points, and in npz forces if there
====================  ==========================================================================
"""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from ase import Atoms

from genmol.core.errors import InputError
from genmol.core.files import check_readable
from genmol.core.structure import iread_structures
from genmol.data.frame_parts import Part, formula, mixed

__all__ = ["read_part"]


def read_part(path: Path) -> Part:
    """Read what is at ``path``; nothing is checked but that it can be read.

    Raises:
        InputError: missing, torn, of a format that is not in the table, or of several molecules.
    """
    if path.is_dir():
        return _from_labels(path, sorted(p for p in path.glob("*.npz") if p.name[0] != "."))
    check_readable(path)
    if path.suffix in (".xyz", ".extxyz"):
        return _from_atoms(str(path), list(iread_structures(path)))
    if path.suffix == ".npy":
        return Part(str(path), _loaded(path)["positions"])
    if path.suffix != ".npz":
        raise InputError(
            got=f"{path}, of the format {path.suffix or '(no suffix)'}",
            wanted=".extxyz, .npz, or a folder of genmol label (.npy for points of a toy)",
            remedy="convert it with ASE",
        )
    arrays = _loaded(path)
    return (
        _from_labels(path, [path])
        if {"sha256", "record"} <= arrays.keys()
        else _from_arrays(path, arrays)
    )


# --- structures


def _from_atoms(source: str, frames: Sequence[Atoms], *, unit: str = "usual") -> Part:
    first = frames[0]
    for k, atoms in enumerate(frames):
        if not np.array_equal(atoms.numbers, first.numbers):
            raise mixed(
                f"frame {k} of {source}", atoms.numbers, f"frame 0 ({formula(first.numbers)})"
            )
    without = [k for k, atoms in enumerate(frames) if "REF_forces" not in atoms.arrays]
    if 0 < len(without) < len(frames):
        raise InputError(
            got=f"frame {without[0]} of {source} without forces ({len(without)} of {len(frames)})",
            wanted="forces in every frame",
            remedy="leave these frames out, or label them as well",
        )
    energies = [atoms.info.get("REF_energy") for atoms in frames]
    return Part(
        source,
        np.stack([atoms.positions for atoms in frames]),
        None if without else np.stack([atoms.arrays["REF_forces"] for atoms in frames]),
        first.numbers,
        None if None in energies else np.array(energies, dtype=float),
        np.array([atoms.info.get("weight", 1.0) for atoms in frames], dtype=float),
        _one(source, frames, "temperature_kelvin", "temperature"),
        _one(source, frames, "charge"),
        _one(source, frames, "multiplicity"),
        _one(source, frames, "level_of_theory"),
        _one(source, frames, "smiles"),
        unit=unit,
    )


def _from_labels(folder: Path, files: Sequence[Path]) -> Part:
    if not files:
        raise InputError(
            got=f"the folder {folder} without labels",
            wanted="a folder of genmol label",
            remedy="genmol label FILE --potential gfn2 --out FOLDER makes one",
        )
    from genmol.qc.label import read_label  # PySCF takes a second

    frames = [read_label(path).atoms() for path in files]
    return _from_atoms(str(folder), frames, unit="sealed")


def _one(source: str, frames: Sequence[Atoms], *keys: str) -> Any:
    """What all frames say of a key, or None; the first of the keys that is there counts."""
    found = {next((atoms.info[key] for key in keys if key in atoms.info), None) for atoms in frames}
    if len(found) > 1:
        raise InputError(
            got=f"frames of different {keys[-1].replace('_', ' ')} in {source}: "
            + ", ".join(sorted(map(str, found))[:4]),
            wanted="samples of one law: one molecule, one level of theory, one temperature",
            remedy="give each its own file, and train on one of them",
        )
    return found.pop()


# --- arrays


class _Layout(NamedTuple):
    positions: str
    forces: str
    energies: str
    numbers: str
    unit: str = "usual"


_LAYOUTS = (
    _Layout("train_positions", "train_forces", "train_energies", "numbers"),
    _Layout("R", "F", "E", "z", "unclear"),
    _Layout("coords", "forces", "energies", "nuclear_charges", "unclear"),
    _Layout("positions", "forces", "energies", "numbers"),
)
_FURTHER = {"weights", "temperature", "temperature_kelvin", "charge", "multiplicity", "level"}
_FURTHER |= {"theory", "smiles", "pbc", "sha256", "record"}


def _loaded(path: Path) -> dict[str, np.ndarray]:
    """The arrays of an npz file that have a meaning here; of an npy file its array as positions."""
    known = {name for layout in _LAYOUTS for name in layout} | _FURTHER
    try:
        with path.open("rb") as handle:
            stored = np.load(handle, allow_pickle=False)
            if isinstance(stored, np.ndarray):
                return {"positions": stored}
            with stored:
                return {name: stored[name] for name in stored.files if name in known}
    except (OSError, EOFError, KeyError, ValueError, zipfile.BadZipFile, zlib.error) as error:
        raise InputError(
            got=f"{path}, which cannot be read as {path.suffix[1:]} ({error})",
            wanted="a whole file of plain arrays",
            remedy="copy it again, or check that the program which wrote it had finished",
        ) from error


def _from_arrays(path: Path, arrays: Mapping[str, np.ndarray]) -> Part:
    layout = next((layout for layout in _LAYOUTS if layout.positions in arrays), None)
    if layout is None:
        raise InputError(
            got=f"{path} without positions (of what is known here it has "
            f"{', '.join(sorted(arrays)) or 'nothing'})",
            wanted="positions, forces and numbers; or R, F and z as in MD17",
            remedy="np.savez(FILE, positions=..., forces=..., numbers=...) in Å and eV/Å",
        )
    positions: Any = arrays[layout.positions]
    forces, energies = arrays.get(layout.forces), arrays.get(layout.energies)
    weights = arrays.get("weights")
    if layout.positions == "train_positions":  # the splits of rMD17 share some frames
        rows = np.sort(np.unique(positions, axis=0, return_index=True)[1])
        positions, forces, energies, weights = (
            a[rows] if a is not None and len(a) == len(positions) else a
            for a in (positions, forces, energies, weights)
        )

    def scalar(*names: str) -> Any:
        known = [arrays[name].item() for name in names if name in arrays and arrays[name].size == 1]
        value = known[0] if known else None
        return value.decode() if isinstance(value, bytes) else value

    return Part(
        str(path),
        positions,
        forces,
        _shared(path, arrays.get(layout.numbers)),
        energies[:, 0] if energies is not None and energies.shape[1:] == (1,) else energies,
        weights,
        scalar("temperature_kelvin", "temperature"),
        scalar("charge"),
        scalar("multiplicity"),
        scalar("level", "theory"),
        scalar("smiles"),
        periodic=bool(np.any(arrays.get("pbc", False))),
        unit=layout.unit,
    )


def _shared(path: Path, numbers: np.ndarray | None) -> np.ndarray | None:
    """Atomic numbers of all frames, where a file has a row for each."""
    if numbers is None or numbers.ndim < 2 or not len(numbers):
        return numbers
    for k, row in enumerate(numbers):
        if not np.array_equal(row, numbers[0]):
            raise mixed(f"frame {k} of {path}", row, f"frame 0 ({formula(numbers[0])})")
    return numbers[0]
