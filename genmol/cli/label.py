"""``genmol label``: training labels for many structures, resumable."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro

from genmol.core.files import check_writable, write_json
from genmol.core.threads import set_threads
from genmol.scf.label_settings import LabelSettings

__all__ = ["Config", "run"]

_SHOWN = 10  # names of failed structures on the screen; the manifest has all


@dataclass(frozen=True)
class Config:
    """Compute tight Fock, density, energy and force labels for the structures of some files.

    One npz file a structure, with everything needed to use and to check it. A run killed at any
    moment loses no finished label: repeat the command, and it goes on with the others. Exit code 3
    when structures failed; all other labels are kept.

    Attributes:
        inputs: structure files (.xyz, .extxyz, .sdf), many frames each.
        out: folder of the labels, of one level of theory.
        settings: level of theory and content of the labels.
        workers: processes, each with one thread.
        threads: threads of a single process, for one worker.
        resume: continue a folder that holds labels already; --no-resume refuses it.
        retry_failed: try structures again that failed in an earlier run.
        limit: take only so many structures, from the first on.
        json: write a summary here.
    """

    inputs: Annotated[tuple[Path, ...], tyro.conf.Positional]
    out: Path
    settings: Annotated[LabelSettings, tyro.conf.arg(name="")] = field(
        default_factory=LabelSettings
    )
    workers: int = 1
    threads: int = 1
    resume: bool = True
    retry_failed: bool = False
    limit: int | None = None
    json: Path | None = None


def run(config: Config) -> int:
    """Run the command; returns the exit code."""
    set_threads(config.threads)
    if config.json is not None:
        check_writable(config.json)
    from genmol.cli.console import track
    from genmol.scf.labelling import Labelling

    job = Labelling(
        config.inputs,
        config.settings,
        out=config.out,
        limit=config.limit,
        resume=config.resume,
        retry_failed=config.retry_failed,
    )
    entries = list(track(job.run(workers=config.workers), "labelling", total=len(job.pending)))
    done = sum(entry["status"] == "done" for entry in entries)
    print(
        f"{done} labels computed, {len(job.existing)} there before, {len(job.failed)} failed: "
        f"{config.out}"
    )
    for name in job.failed[:_SHOWN]:
        print(f"  failed: {name}")
    if len(job.failed) > _SHOWN:
        print(f"  and {len(job.failed) - _SHOWN} more, with their reasons in manifest.jsonl")
    if config.json is not None:
        summary = {"computed": done, "existing": len(job.existing), "failed": job.failed}
        write_json(config.json, summary | {"out": config.out})
    return 3 if job.failed else 0
