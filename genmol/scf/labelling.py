"""Label many structures: one folder, one level of theory, nothing computed twice.

==================  ============================================================================
file of the folder  content
==================  ============================================================================
``level.json``      the level of theory; labels of another one are refused
``NAME.npz``        one label each (:mod:`genmol.qc.label`); NAME is the stem of the structure's
                    file and its index there, as in ``ethanol_000012``
``manifest.jsonl``  one line a structure as it is finished: done or failed, hashes, costs
``labels.extxyz``   structures, energies (eV) and forces (eV/Å) of all labels
==================  ============================================================================

The npz files are the truth: each appears whole or not at all, and a run killed at any moment goes
on with the structures that have none. The manifest is their index, mended from them where a kill
tore it. A structure whose calculation failed is listed with its attempts, and not tried again
unless that is asked for. One run at a time works in a folder.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from ase import Atoms

from genmol.chem.structures import iread_any
from genmol.core.environment import versions
from genmol.core.errors import DeliveryError, InputError
from genmol.core.files import append_json_line, check_writable, read_json_lines, write_json
from genmol.core.jsonable import jsonable
from genmol.core.parallel import parallel_map
from genmol.core.structure import charge_and_multiplicity, write_extxyz
from genmol.qc.label import Label, read_label, structure_digest, write_label
from genmol.scf.label_settings import LabelSettings
from genmol.scf.label_structure import (
    UnlabelledError,
    check_structure_at_level,
    label_structure,
    level_of_theory,
)

__all__ = ["LabelSet", "Labelling"]

_FORMAT = "genmol labels 1"


class LabelSet(Sequence[Label]):
    """The labels of a folder in the order of their names, each verified when it is read.

    Args:
        folder: made by ``genmol label``.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = Path(folder)
        self.level = _read_level(self.folder)
        """Level of theory."""
        self.names = [path.stem for path in _label_files(self.folder)]

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        return read_label(self.folder / f"{self.names[index]}.npz")


@dataclass(frozen=True)
class _Item:
    """One structure on its way to a worker."""

    name: str
    atoms: Atoms
    source: str
    frame: int
    settings: LabelSettings
    out: Path


class Labelling:
    """A checked job: which structures of the inputs have no label yet.

    Nothing is written before :meth:`run`.

    Args:
        inputs: structure files (xyz, extxyz, sdf), many frames each.
        settings: level of theory and content.
        out: the label folder.
        limit: take only so many structures, from the first on.
        resume: continue a folder that holds labels already, instead of refusing it.
        retry_failed: try those again that failed in an earlier run.

    Raises:
        InputError: anything about inputs, settings or folder that would stop or spoil the run.
    """

    def __init__(
        self,
        inputs: Sequence[Path],
        settings: LabelSettings,
        *,
        out: Path,
        limit: int | None = None,
        resume: bool = True,
        retry_failed: bool = False,
    ) -> None:
        self.inputs, self.settings, self.out, self.limit = inputs, settings, Path(out), limit
        self._level = jsonable(level_of_theory(settings))
        known = self._open_folder(resume)
        self.pending: dict[str, str] = {}
        """Name and structure hash of what is to be computed, in order."""
        self.existing: list[str] = []
        """Names of the structures that have their label."""
        self.failed: list[str] = []
        """Names of the structures that failed earlier and are left alone."""
        seen: set[tuple[Any, ...]] = set()
        for item in self._structures():
            charge, multiplicity = charge_and_multiplicity(
                item.atoms, charge=settings.charge, multiplicity=settings.multiplicity
            )
            kind = (*sorted(set(item.atoms.numbers.tolist())), charge, multiplicity)
            if kind not in seen:
                check_structure_at_level(item.atoms, settings)
                seen.add(kind)
            digest = structure_digest(
                item.atoms.numbers, item.atoms.positions, charge, multiplicity
            )
            entry = known.get(item.name)
            if entry and entry["status"] == "done":
                self._check_same(item, digest, entry["structure"])
                self.existing.append(item.name)
            elif entry and entry["structure"] == digest and not retry_failed:
                self.failed.append(item.name)
            else:
                self.pending[item.name] = digest

    def run(self, *, workers: int = 1) -> Iterator[dict[str, Any]]:
        """Compute what is pending and yield each one's line of the manifest as it is finished."""
        if not (self.out / "level.json").exists():
            record = {"format": _FORMAT, "level": self._level, "versions": versions("pyscf")}
            write_json(self.out / "level.json", record)
        for leftover in self.out.glob(".*.npz"):  # half a label, from a killed run
            leftover.unlink()
        items = (item for item in self._structures() if item.name in self.pending)
        names = list(self.pending)
        try:
            for outcome in parallel_map(_work, items, workers=workers, retries=1):
                name = names[outcome.index]
                entry = outcome.value or _failure(outcome.error)
                entry = {"name": name, "structure": self.pending[name], **entry}
                append_json_line(self.out / "manifest.jsonl", entry)
                if entry["status"] == "failed":
                    self.failed.append(name)
                yield entry
        finally:
            labels = LabelSet(self.out)
            write_extxyz(self.out / "labels.extxyz", (label.atoms() for label in labels))

    def _structures(self) -> Iterator[_Item]:
        """Every structure of the inputs under its name, up to the limit."""
        if not self.inputs or (self.limit is not None and self.limit < 1):
            raise InputError(
                got=f"{len(self.inputs)} input files and the limit {self.limit}",
                wanted="at least one file and one structure",
                remedy="name a structure file (.xyz, .extxyz, .sdf); --limit 1 takes the first",
            )
        stems: dict[str, Path] = {}
        for path in self.inputs:
            if (other := stems.setdefault(path.stem, path)) != path or self.inputs.count(path) > 1:
                raise InputError(
                    got=f"the inputs {other} and {path}, whose structures have the same names",
                    wanted=f"one input of the name {path.stem!r}",
                    remedy="rename one of the files, or label them into two folders",
                )
        items = (
            _Item(f"{path.stem}_{frame:06d}", atoms, str(path), frame, self.settings, self.out)
            for path in self.inputs
            for frame, atoms in enumerate(iread_any(path))
        )
        return islice(items, self.limit)

    def _open_folder(self, resume: bool) -> dict[str, Mapping[str, Any]]:
        """Check the folder and return the manifest's lines by name, mended from the labels."""
        check_writable(self.out / "level.json")
        if not self.out.is_dir() or not any(p for p in self.out.iterdir() if p.name[0] != "."):
            return {}
        level = _read_level(self.out)
        if level != self._level:
            assert isinstance(self._level, dict)
            keys = sorted({*level, *self._level})
            differences = "; ".join(
                f"{key} {level.get(key)!r} there, {self._level.get(key)!r} here"
                for key in keys
                if level.get(key) != self._level.get(key)
            )
            raise InputError(
                got=f"the label folder {self.out} of another level of theory ({differences})",
                wanted="labels of one level of theory in a folder",
                remedy="choose another --out, or the options with which the folder was made",
            )
        files = {path.stem: path for path in _label_files(self.out)}
        if files and not resume:
            raise InputError(
                got=f"the folder {self.out} with {len(files)} labels, and --no-resume",
                wanted="an empty folder",
                remedy="leave --no-resume out to continue it, or choose another --out",
            )
        manifest = self.out / "manifest.jsonl"
        known = {entry["name"]: entry for entry in read_json_lines(manifest)}
        for name in [n for n, entry in known.items() if entry["status"] == "done"]:
            if name not in files:
                del known[name]
        for name in files.keys() - {n for n, e in known.items() if e["status"] == "done"}:
            label = read_label(files[name])
            known[name] = {"name": name, "structure": label.structure, **_success(label)}
            append_json_line(manifest, known[name])
        return known

    def _check_same(self, item: _Item, digest: str, stored: str) -> None:
        if digest != stored:
            raise InputError(
                got=f"frame {item.frame} of {item.source}, which differs from the structure that "
                f"{self.out / item.name}.npz is the label of",
                wanted="the same geometry, charge and multiplicity under the same name",
                remedy="rename the input file, or choose another --out",
            )


def _work(item: _Item) -> dict[str, Any]:
    """Compute and write one label; return its part of the manifest's line."""
    try:
        label = label_structure(item.atoms, item.settings, source=item.source, frame=item.frame)
    except (DeliveryError, InputError) as error:
        return _failure(error)
    write_label(item.out / f"{item.name}.npz", label)
    return _success(label)


def _success(label: Label) -> dict[str, Any]:
    entry = {
        "status": "done",
        "sha256": label.sha256,
        "source": label.record["source"],
        "energy_hartree": float(label.arrays["energy_hartree"]),
    }
    if report := label.record.get("report"):
        costs = ("cheap_fock_builds", "seconds", "cpu_seconds")
        entry |= {
            "gradient_norm": float(label.arrays["gradient_norm"]),
            "exact_fock_builds": int(label.arrays["exact_fock_builds"]),
            **{name: report[name] for name in costs},
        }
    return entry


def _failure(error: Exception | None) -> dict[str, Any]:
    assert error is not None
    entry: dict[str, Any] = {"status": "failed", "reason": f"{type(error).__name__}: {error}"}
    if isinstance(error, UnlabelledError):
        entry["attempts"] = error.attempts
    return entry


def _label_files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("*.npz") if not path.name.startswith("."))


def _read_level(folder: Path) -> dict[str, Any]:
    path = folder / "level.json"
    try:
        content = json.loads(path.read_text())
        if content["format"] == _FORMAT:
            level = content["level"]
            assert isinstance(level, dict)
            return level
    except (OSError, ValueError, KeyError, TypeError):
        pass  # one complaint for all of them follows
    raise InputError(
        got=f"the folder {folder}, which has no readable level.json of the format {_FORMAT!r}",
        wanted="an empty folder, or one that genmol label made",
        remedy="choose another --out",
    )
