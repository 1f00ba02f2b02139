"""``genmol benchmark``: measure against the baselines and print the tables."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from genmol.core.errors import InputError
from genmol.core.threads import set_threads

__all__ = ["Config", "run"]


@dataclass(frozen=True)
class Config:
    """Measure against plain PySCF and the other baselines, and print the tables.

    Every figure goes to a JSON file as soon as it is measured; the tables are printed from that
    file. Exit code 3 when a target that must be met is missed.

    Attributes:
        name: which benchmark.
        quick: ten molecules, a few minutes (the default).
        full: sixty molecules, the better part of an hour.
        json: where the figures go.
        resume: go on with an interrupted run; a quick file may be resumed with --full.
        table: print the tables of this file as Markdown and measure nothing.
        only: sections to measure; all by default.
        repeat: paired runs of small molecules (up to ten atoms); larger ones run once.
        threads: threads of both sides.
    """

    name: Annotated[Literal["scf"], tyro.conf.Positional] = "scf"
    quick: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    full: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    json: Path = Path("benchmark_scf.json")
    resume: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    table: Path | None = None
    only: tuple[Literal["pairs", "single", "trajectory", "memory", "ladder"], ...] = ()
    repeat: int = 3
    threads: int = 1


def run(config: Config) -> int:
    """Run the benchmark; returns the exit code."""
    if config.quick and config.full:
        raise InputError(got="--quick and --full", wanted="one of them", remedy="leave one out")
    if config.repeat < 1:
        raise InputError(got=f"--repeat {config.repeat}", wanted="at least 1", remedy="--repeat 3")
    set_threads(config.threads)
    from genmol.benchmark.store import load
    from genmol.benchmark.tables import markdown, targets

    if config.table is not None:
        data = load(config.table, benchmark=config.name)
    else:
        from genmol.benchmark.scf import FULL, QUICK, SECTIONS, measure
        from genmol.cli.console import track

        data = measure(
            FULL if config.full else QUICK,
            config.json,
            repeat=config.repeat,
            threads=config.threads,
            resume=config.resume,
            only=config.only or SECTIONS,
            progress=lambda rows, title, total: track(rows, title, total=total),
        )
    print(markdown(data), end="")
    return 3 if any(target.verdict == "missed" for target in targets(data)) else 0
