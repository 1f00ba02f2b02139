"""Solve the frames of a trajectory, each starting from those before it.

Frames are cut into contiguous chunks of :data:`CHUNK`. One process solves the frames of a chunk in
order and predicts each density from the frames it has solved (:mod:`genmol.qc.extrapolate`); the
solver checks the prediction and refuses it where it is worse than the usual guess, as it is for
frames in no order. The chunks do not depend on the number of processes, so neither do the results;
after an interruption a chunk goes on without its earlier densities, which changes the results by
less than the convergence threshold.

Two files come out. The JSON lines are the truth: one object a frame, its index ``frame``, the hash
``task`` of structure and settings, and the report (:class:`genmol.scf.Report`); a frame that raised
an error has ``error`` in place of a report's content. Worker processes write theirs into a hidden
folder beside, so that a run killed at any moment has every finished frame on disk. The extxyz file
holds the solved frames with ``REF_energy`` (eV), ``REF_forces`` (eV/Å) if asked for, and the level
of theory; it is written at the end and on interruption.

In mode ``predict`` the frames of a chunk go through the network together, the lines are those of
:class:`genmol.scf.Prediction`, and the frames hold ``predicted_homo``, ``predicted_lumo``,
``predicted_gap`` (eV), ``predicted_dipole`` (Debye) and ``predicted_charges`` (e).
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms

from genmol.core.errors import InputError
from genmol.core.files import (
    append_json_line,
    atomic_write_text,
    check_writable,
    read_json_lines,
)
from genmol.core.jsonable import dumps, jsonable
from genmol.core.parallel import parallel_map
from genmol.core.structure import charge_and_multiplicity, write_extxyz
from genmol.core.units import HARTREE_TO_EV
from genmol.qc.extrapolate import GrassmannExtrapolator
from genmol.scf.certified import mean_field, solve
from genmol.scf.learned import DEFAULT_MODEL, LearnedModel
from genmol.scf.prediction import predict_many
from genmol.scf.settings import Settings

__all__ = ["CHUNK", "delivered", "labelled_frame", "predicted_frame", "solve_trajectory"]

CHUNK = 25
"""Frames that are solved one after the other by one process."""

PathLike = str | os.PathLike[str]


@dataclass(frozen=True)
class _Task:
    frame: int
    atoms: Atoms
    digest: str


@dataclass(frozen=True)
class _Chunk:
    tasks: tuple[_Task, ...]
    settings: Settings
    extrapolate: bool
    part: Path
    """Where a worker process writes the lines of the chunk."""


def solve_trajectory(
    frames: Sequence[Atoms],
    settings: Settings,
    *,
    out: PathLike,
    json_lines: PathLike,
    workers: int = 1,
    resume: bool = False,
    extrapolate: bool = True,
) -> Iterator[dict[str, Any]]:
    """Solve every frame; yield the line of each as it is finished, those of an earlier run first.

    Args:
        frames: structures (Å); of one molecule, if densities are to be extrapolated.
        settings: level of theory, accuracy and checks, for all frames.
        out: extxyz file of the solved frames.
        json_lines: file of the reports.
        workers: processes; with more than one, lines come in chunks.
        resume: go on with ``json_lines`` of an interrupted run.
        extrapolate: start from densities predicted from the frames before.

    Raises:
        InputError: a frame or the settings cannot be used, or the files hold another run.
    """
    lines, target = check_writable(json_lines), check_writable(out)
    tasks = _checked_tasks(frames, settings)
    done = _finished(lines, tasks, resume)
    return _run(tasks, done, settings, target, lines, workers, extrapolate)


def _run(
    tasks: list[_Task],
    done: dict[int, dict[str, Any]],
    settings: Settings,
    out: Path,
    lines: Path,
    workers: int,
    extrapolate: bool,
) -> Iterator[dict[str, Any]]:
    yield from list(done.values())
    try:
        while pending := [task for task in tasks if task.frame not in done]:
            chunks = [
                _Chunk(tuple(group), settings, extrapolate, _parts(lines) / f"{index:06d}.jsonl")
                for index, group in _grouped(pending)
            ]
            solving = _solved_here(chunks) if workers == 1 else _solved_there(chunks, workers)
            with closing(solving):  # ends the worker processes before their lines are collected
                for line in solving:
                    append_json_line(lines, line)
                    done[line["frame"]] = line
                    yield line
    finally:
        done |= _read_lines(lines)
        ordered = [done[frame] for frame in sorted(done)]
        atomic_write_text(lines, "".join(dumps(line) + "\n" for line in ordered))
        shutil.rmtree(_parts(lines), ignore_errors=True)
        named = predicted_frame if settings.mode == "predict" else labelled_frame
        solved = (line for line in ordered if delivered(line))
        write_extxyz(out, (named(tasks[line["frame"]].atoms, line) for line in solved))


def delivered(line: Mapping[str, Any]) -> bool:
    """Whether a frame's line holds an energy or a prediction."""
    return bool(line.get("predicted")) or line["energy_hartree"] is not None


def _solved_here(chunks: list[_Chunk]) -> Generator[dict[str, Any], None, None]:
    for chunk in chunks:
        yield from _chunk_lines(chunk)


def _solved_there(chunks: list[_Chunk], workers: int) -> Generator[dict[str, Any], None, None]:
    """Lines from worker processes; a frame that kills its process twice is one that failed."""
    for outcome in parallel_map(_work, chunks, workers=workers, retries=1):
        chunk = chunks[outcome.index]
        solved = list(read_json_lines(chunk.part))
        yield from solved
        if outcome.error is not None:
            reached = {line["frame"] for line in solved}
            culprit = next(task for task in chunk.tasks if task.frame not in reached)
            yield _failed_line(culprit, outcome.error)
        chunk.part.unlink(missing_ok=True)


def _work(chunk: _Chunk) -> None:
    """Write the lines of the chunk into its part, after those of an attempt that died."""
    reached = {line["frame"] for line in read_json_lines(chunk.part)}
    rest = tuple(task for task in chunk.tasks if task.frame not in reached)
    for line in _chunk_lines(_Chunk(rest, chunk.settings, chunk.extrapolate, chunk.part)):
        append_json_line(chunk.part, line)


def _chunk_lines(chunk: _Chunk) -> Iterator[dict[str, Any]]:
    lines = _predicted_lines if chunk.settings.mode == "predict" else _solved_lines
    yield from lines(chunk)


def _predicted_lines(chunk: _Chunk) -> Iterator[dict[str, Any]]:
    """The network takes the frames together, and one by one where one of them raises an error."""
    try:
        found = list(predict_many([task.atoms for task in chunk.tasks], chunk.settings))
    except Exception as error:
        if len(chunk.tasks) == 1:
            yield _failed_line(chunk.tasks[0], error)
            return
        for task in chunk.tasks:
            yield from _predicted_lines(replace(chunk, tasks=(task,)))
    else:
        for task, predicted in zip(chunk.tasks, found, strict=True):
            yield _line(task, predicted.prediction.to_dict())


def _solved_lines(chunk: _Chunk) -> Iterator[dict[str, Any]]:
    extrapolators: dict[tuple[Any, ...], GrassmannExtrapolator] = {}
    for task in chunk.tasks:
        try:
            mf = mean_field(task.atoms, chunk.settings)
            molecule = (*mf.mol.elements, mf.mol.charge, mf.mol.spin)
            extrapolator = extrapolators.setdefault(molecule, GrassmannExtrapolator())
            mf, report = solve(
                mf,
                chunk.settings,
                density=extrapolator.predict(mf) if chunk.extrapolate else None,
                density_name="extrapolated density",
            )
            if chunk.extrapolate and report.energy_hartree is not None:
                extrapolator.add(mf)
        except Exception as error:  # one frame must not end the others
            yield _failed_line(task, error)
        else:
            yield _line(task, report.to_dict())


def _line(task: _Task, content: Mapping[str, Any]) -> dict[str, Any]:
    """The line of a frame, as it will be read again."""
    line = jsonable({"frame": task.frame, "task": task.digest, **content})
    assert isinstance(line, dict)
    return line


def _failed_line(task: _Task, error: Exception) -> dict[str, Any]:
    content = {
        "error": f"{type(error).__name__}: {error}",
        "energy_hartree": None,
        "converged": False,
        "exact_fock_builds": 0,
        "cheap_fock_builds": 0,
        "certificate": None,
    }
    return _line(task, content)


def labelled_frame(atoms: Atoms, line: Mapping[str, Any]) -> Atoms:
    """A copy of ``atoms`` with the energy (eV) and forces (eV/Å) of its report, as a mapping.

    Labels that ``atoms`` brought along are dropped: they are of another level of theory.
    """
    copy = _unlabelled(atoms, line)
    copy.info |= {
        "REF_energy": line["energy_hartree"] * HARTREE_TO_EV,
        "units": "eV, eV/Angstrom",
    }
    if "forces_ev_per_angstrom" in line["properties"]:
        copy.set_array("REF_forces", np.array(line["properties"]["forces_ev_per_angstrom"]))
    return copy


def _unlabelled(atoms: Atoms, line: Mapping[str, Any]) -> Atoms:
    """A copy without earlier labels, with what its line says of every kind of result."""
    settings = line["settings"]
    copy = Atoms(atoms.numbers, atoms.positions)
    copy.info = {key: value for key, value in atoms.info.items() if not key.startswith("REF_")}
    copy.info |= {
        "charge": settings["charge"],
        "multiplicity": settings["multiplicity"],
        "level_of_theory": f"{settings['functional']['code']}/{settings['basis']}",
        "verdict": line["certificate"]["verdict"],
        "frame": line["frame"],
    }
    return copy


def predicted_frame(atoms: Atoms, line: Mapping[str, Any]) -> Atoms:
    """A copy of ``atoms`` with the numbers of its prediction, as a mapping."""
    copy = _unlabelled(atoms, line)
    copy.info |= {
        "predicted_homo": line["homo_ev"],
        "predicted_gap": line["gap_ev"],
        "predicted_lumo": line["lumo_ev"],
        "predicted_dipole": np.array(line["dipole_debye"]),
        "model": line["learned"]["model"],
        "units": "eV, Debye, e",
    }
    copy.set_array("predicted_charges", np.array(line["mulliken_charges"]))
    return copy


def _checked_tasks(frames: Sequence[Atoms], settings: Settings) -> list[_Task]:
    """Every frame with the hash of its structure and settings; bad ones are refused beforehand."""
    tasks, seen = [], set()
    name = settings.model or DEFAULT_MODEL
    model = LearnedModel.load(name) if settings.mode == "predict" else None
    for index, atoms in enumerate(frames):
        charge, multiplicity = charge_and_multiplicity(
            atoms, charge=settings.charge, multiplicity=settings.multiplicity
        )
        kind = (*sorted(set(atoms.numbers.tolist())), charge, multiplicity)
        if kind not in seen:
            mf = mean_field(atoms, settings)
            if model is not None:
                model.check(mf)
            seen.add(kind)
        structure = [atoms.numbers, atoms.positions, charge, multiplicity]
        text = dumps([jsonable(structure), jsonable(settings)])
        tasks.append(_Task(index, atoms, hashlib.sha256(text.encode()).hexdigest()))
    return tasks


def _finished(lines: Path, tasks: list[_Task], resume: bool) -> dict[int, dict[str, Any]]:
    done = _read_lines(lines)
    if done and not resume:
        raise InputError(
            got=f"the output {lines} with {len(done)} frames of an earlier run",
            wanted="a new file, or the wish to continue",
            remedy="--resume to continue it, or another file name",
        )
    for frame, line in done.items():
        if frame >= len(tasks) or line["task"] != tasks[frame].digest:
            raise InputError(
                got=f"the output {lines}, whose frame {frame} is of another trajectory or was "
                "made with other settings",
                wanted="the trajectory and settings of the interrupted run",
                remedy="repeat its command with --resume, or choose another file name",
            )
    return done


def _read_lines(lines: Path) -> dict[int, dict[str, Any]]:
    """Lines by frame, those included that worker processes left in their folder."""
    found: dict[int, dict[str, Any]] = {}
    for path in (lines, *sorted(_parts(lines).glob("*.jsonl"))):
        for line in read_json_lines(path):
            if not isinstance(line, dict) or not {"frame", "task"} <= line.keys():
                raise InputError(
                    got=f"the file {path}, which is not the report of a trajectory",
                    wanted="a new file, or the one of an interrupted run",
                    remedy="choose another file name",
                )
            found[line["frame"]] = line
    return found


def _parts(lines: Path) -> Path:
    return lines.with_name(f".{lines.name}.parts")


def _grouped(tasks: list[_Task]) -> Iterator[tuple[int, list[_Task]]]:
    chunks: dict[int, list[_Task]] = {}
    for task in tasks:
        chunks.setdefault(task.frame // CHUNK, []).append(task)
    yield from chunks.items()
