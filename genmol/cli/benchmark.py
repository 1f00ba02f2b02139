"""``genmol benchmark``: measure against the baselines and print the tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, TypeVar

import tyro

from genmol.core.errors import InputError
from genmol.core.threads import set_threads

__all__ = ["Config", "run"]


Name = TypeVar("Name", bound=str)
Part = Literal[
    "pairs", "single", "trajectory", "memory", "ladder",
    "start-minao", "start-sap", "regression", "flow-goe", "flow-expansion", "wa", "commutator", "sap",
]  # fmt: skip


@dataclass(frozen=True)
class Config:
    """Measure against the baselines and print the tables.

    scf: the solver against plain PySCF; exit code 3 when a target that must be met is missed.
    qhflow: ways to train the learned guess, each for the same time. Every figure goes to a JSON
    file as soon as it is measured; the tables are printed from that file.

    Attributes:
        name: which benchmark.
        quick: scf: ten molecules, a few minutes (the default).
        full: scf: sixty molecules, the better part of an hour.
        json: where the figures go; benchmark_NAME.json by default.
        resume: go on with an interrupted run; a quick file may be resumed with --full.
        table: print the tables of this file as Markdown and measure nothing.
        only: sections (scf) or variants (qhflow) to measure; all by default.
        repeat: scf: paired runs of small molecules (up to ten atoms); larger ones run once.
        data: qhflow: label folders or packed files; none are shipped.
        minutes: qhflow: processor time of each training.
        seeds: qhflow: trainings of each variant.
        out: qhflow: folder of the trainings; named after the JSON file by default.
        cache: qhflow: folder of what is computed for each label; a folder inside --out by default.
        workers: qhflow: processes that prepare the data.
        threads: threads of all sides.
    """

    name: Annotated[Literal["scf", "qhflow"], tyro.conf.Positional] = "scf"
    quick: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    full: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    json: Path | None = None
    resume: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    table: Path | None = None
    only: tuple[Part, ...] = ()
    repeat: int = 3
    data: tuple[Path, ...] = ()
    minutes: float = 4.0
    seeds: int = 3
    out: Path | None = None
    cache: Path | None = None
    workers: int = 1
    threads: int = 1


def run(config: Config) -> int:
    """Run the benchmark; returns the exit code."""
    set_threads(config.threads)
    return _scf(config) if config.name == "scf" else _qhflow(config)


def _scf(config: Config) -> int:
    if config.quick and config.full:
        raise InputError(got="--quick and --full", wanted="one of them", remedy="leave one out")
    if config.repeat < 1:
        raise InputError(got=f"--repeat {config.repeat}", wanted="at least 1", remedy="--repeat 3")
    from genmol.benchmark.store import load
    from genmol.benchmark.tables import markdown, targets

    if config.table is not None:
        data = load(config.table, benchmark=config.name)
    else:
        from genmol.benchmark.scf import FULL, QUICK, SECTIONS, measure
        from genmol.cli.console import track

        data = measure(
            FULL if config.full else QUICK,
            config.json or Path("benchmark_scf.json"),
            repeat=config.repeat,
            threads=config.threads,
            resume=config.resume,
            only=_chosen(config.only, SECTIONS),
            progress=lambda rows, title, total: track(rows, title, total=total),
        )
    print(markdown(data), end="")
    return 3 if any(target.verdict == "missed" for target in targets(data)) else 0


def _qhflow(config: Config) -> int:
    if config.quick or config.full:
        raise InputError(
            got="--quick or --full for qhflow",
            wanted="the time of each training",
            remedy="--minutes 4 --seeds 3",
        )
    for name in ("minutes", "seeds", "workers"):
        if not getattr(config, name) > 0:
            raise InputError(
                got=f"--{name} {getattr(config, name)}", wanted="above 0", remedy=f"--{name} 3"
            )
    from genmol.benchmark.qhflow_table import qhflow_markdown
    from genmol.benchmark.store import load

    if config.table is not None:
        data = load(config.table, benchmark=config.name)
    else:
        from genmol.benchmark.qhflow import VARIANTS, measure_qhflow
        from genmol.cli.console import track

        path = config.json or Path("benchmark_qhflow.json")
        data = measure_qhflow(
            path,
            config.data,
            minutes=config.minutes,
            seeds=config.seeds,
            runs=config.out or path.with_suffix(""),
            cache=config.cache,
            threads=config.threads,
            workers=config.workers,
            resume=config.resume,
            only=_chosen(config.only, tuple(VARIANTS)),
            progress=lambda rows, title, total: track(rows, title, total=total),
        )
    print(qhflow_markdown(data), end="")
    return 0


def _chosen(only: Sequence[str], known: tuple[Name, ...]) -> tuple[Name, ...]:
    if wrong := [name for name in only if name not in known]:
        raise InputError(
            got=f"--only {' '.join(wrong)}",
            wanted=f"some of {', '.join(known)}",
            remedy="leave --only out to measure everything",
        )
    return tuple(name for name in known if name in only) if only else known
