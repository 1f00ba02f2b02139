"""Converged Fock matrices as a data set: read, split into parts, described, made ready to train on.

>>> labels = read_labels("labels/")
>>> examples = prepare(labels, start="semilocal", cache="labels/.cache", workers=8)

Training and test molecules are never the same: a molecule, known by its ``source``, is a test
molecule if the CRC-32 of the source is divisible by ten. Trajectories of one molecule can only be
split by frame, which has to be asked for unless the file says which frame is in which part.
"""

from __future__ import annotations

import hashlib
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from genmol.core.errors import InputError
from genmol.data.fock_examples import prepare
from genmol.data.fock_labels import RawLabel, check_level, read_file
from genmol.qc.functional import resolve
from genmol.scf.examples import ExpectedLevel

__all__ = [
    "RawLabel",
    "Split",
    "check_level",
    "data_hash",
    "level_named",
    "prepare",
    "read_labels",
    "summary",
]

Split = Literal["auto", "molecule", "frame"]


def read_labels(
    paths: str | Path | Sequence[str | Path],
    *,
    split: Split = "auto",
    level: ExpectedLevel | None = None,
) -> list[RawLabel]:
    """Read every label of the files and folders, of one level of theory, each with its part.

    A structure that occurs twice is taken once. Files of folders come in the order of their names.

    Args:
        paths: label folders, single labels, packed files.
        split: ``auto`` keeps the part that a packed file gives and splits the rest by molecule;
            ``molecule`` splits all by molecule; ``frame`` keeps what is given and splits the rest by
            structure, also within a molecule.
        level: the level wanted; that of the first label if None.

    Raises:
        InputError: nothing there, damaged or foreign files, another level of theory, open shells, or
            a single molecule to be split by molecule.
    """
    listed = [paths] if isinstance(paths, str | Path) else list(paths)
    found: dict[str, RawLabel] = {}
    for path in listed:
        for label in _read(Path(path)):
            level = level or label.level
            check_level([label], level)
            found.setdefault(label.structure, label)
    if not found:
        raise InputError(
            got=f"no labels in {', '.join(map(str, listed)) or 'no folder at all'}",
            wanted="a folder of labels",
            remedy="make some with genmol label",
        )
    return _split(list(found.values()), split)


def level_named(xc: str, basis: str) -> ExpectedLevel:
    """The level of theory of a functional as the user writes it and a basis."""
    return ExpectedLevel.from_record(resolve(xc).record(), basis)


def data_hash(labels: Iterable[RawLabel]) -> str:
    """SHA-256 over all labels and their parts, whatever their order."""
    lines = sorted(f"{label.sha256} {label.part}\n" for label in labels)
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def summary(labels: Sequence[RawLabel]) -> dict[str, Any]:
    """Counts for a model card, JSON-safe: labels and molecules by part, labels by element and size."""
    parts = ("train", "test")
    by_part = {part: [label for label in labels if label.part == part] for part in parts}
    elements = Counter(int(z) for label in labels for z in np.unique(label.numbers))
    heavy = Counter(int(np.sum(label.numbers > 1)) for label in labels)
    atoms = [len(label.numbers) for label in labels]
    return {
        "labels": {part: len(chosen) for part, chosen in by_part.items()},
        "molecules": {part: len({x.source for x in chosen}) for part, chosen in by_part.items()},
        "labels_by_element": {str(z): elements[z] for z in sorted(elements)},
        "labels_by_heavy_atoms": {str(n): heavy[n] for n in sorted(heavy)},
        "atoms": [min(atoms, default=0), max(atoms, default=0)],
        "orbitals": [
            min((x.n_ao for x in labels), default=0),
            max((x.n_ao for x in labels), default=0),
        ],
        "charges": sorted({label.charge for label in labels}),
        "levels": sorted({str(label.level) for label in labels}),
        "hash": data_hash(labels),
    }


# --- parts


def _split(labels: list[RawLabel], split: Split) -> list[RawLabel]:
    undecided = [label for label in labels if split == "molecule" or not label.part]
    if split != "frame" and undecided and len({label.source for label in labels}) == 1:
        raise InputError(
            got=f"{len(labels)} labels of one molecule, {labels[0].source}, to be split by molecule",
            wanted="labels of several molecules",
            remedy="split the frames of a trajectory by frame, and expect no other molecule to work",
        )
    return [
        replace(label, part=_part(label.structure if split == "frame" else label.source))
        if split == "molecule" or not label.part
        else label
        for label in labels
    ]


def _part(key: str) -> Literal["train", "test"]:
    return "test" if zlib.crc32(key.encode()) % 10 == 0 else "train"


def _read(path: Path) -> Iterator[RawLabel]:
    if not path.is_dir():
        yield from read_file(path)
        return
    for file in sorted(path.glob("*.npz")):
        if not file.name.startswith("."):  # half a label, from a killed run
            yield from read_file(file)
