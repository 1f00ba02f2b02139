"""``genmol benchmark``: measure against the baselines and print the tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import tyro

from genmol.core.errors import InputError
from genmol.core.threads import set_threads

__all__ = ["Config", "run"]


Name = TypeVar("Name", bound=str)
Part = Literal[
    "pairs", "single", "trajectory", "memory", "ladder",
    "accuracy", "transfer", "ethanol", "warm", "solver", "cold", "times", "equivariance",
    "start-semilocal", "start-minao", "start-sap", "regression", "flow-goe", "flow-expansion", "wa",
    "commutator", "minao", "sap",
    "toys", "cost", "mmff", "gfn2", "intervals", "detector", "glycerol", "alanine",
    "mixture", "data", "biased", "loop", "bands", "time", "expensive", "amortised",
]  # fmt: skip


@dataclass(frozen=True)
class Config:
    """Measure against the baselines and print the tables.

    scf: the solver against plain PySCF; exit code 3 when a target that must be met is missed.
    learned: the trained model on molecules it has not seen, as guess and without a solve; likewise.
    qhflow: ways to train the learned guess, each for the same time.
    sample: Boltzmann sampling against exact draws and independent references; likewise.
    psm: scores learnt from forces against scores learnt from noise, and what corrected draws cost;
    likewise. Every figure goes to a JSON file as soon as it is measured; the tables are printed from
    that file.

    Attributes:
        name: which benchmark.
        quick: all but qhflow: some small molecules or toys, a few minutes (the default).
        full: all but qhflow: everything, an hour or two; psm three hours, and seven for expensive.
        json: where the figures go; benchmark_NAME.json by default.
        resume: go on with an interrupted run; a quick file may be resumed with --full, one of sample
            or psm on another machine.
        table: print the tables of this file as Markdown and measure nothing.
        merge: all but qhflow: join these files, of runs shared out with --only, in the file of --json;
            those of sample and psm may be of several machines.
        only: sections, or variants of qhflow, to measure; all by default.
        repeat: scf: paired runs of small molecules (up to ten atoms), larger ones run once; learned:
            runs of all that is timed.
        model: learned: shipped name, folder or file of the model; hamiltonian-small by default. psm:
            of one toy, in place of what comes with genmol, or of many molecules for amortised.
        data: qhflow: label folders or packed files; none are shipped. psm: a folder of ethanol.extxyz
            or .npz and others, frames at 300 K with forces at GFN2; molecules without are skipped.
        minutes: qhflow: processor time of each training.
        seeds: qhflow: trainings of each variant.
        out: qhflow: folder of the trainings; named after the JSON file by default.
        cache: folder of what outlasts a run: what is computed for each label (qhflow; inside --out by
            default), reference solutions (learned), frames of toys and calls of PBE (psm); named after
            the JSON file by default.
        card: qhflow: weights whose card shall hold the table.
        workers: qhflow: processes that prepare the data, 1 by default; sample, psm: processes that rows
            are shared out over, one for each core (at most four) by default.
        threads: threads of all sides.
    """

    name: Annotated[Literal["scf", "learned", "qhflow", "sample", "psm"], tyro.conf.Positional] = (
        "scf"
    )
    quick: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    full: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    json: Path | None = None
    resume: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    table: Path | None = None
    merge: tuple[Path, ...] = ()
    only: tuple[Part, ...] = ()
    repeat: int = 3
    model: str | None = None
    data: tuple[Path, ...] = ()
    minutes: float = 4.0
    seeds: int = 3
    out: Path | None = None
    cache: Path | None = None
    card: Path | None = None
    workers: int | None = None
    threads: int = 1


def run(config: Config) -> int:
    """Run the benchmark; returns the exit code."""
    set_threads(config.threads)
    if config.name == "qhflow":
        return _qhflow(config)
    if config.quick and config.full:
        raise InputError(got="--quick and --full", wanted="one of them", remedy="leave one out")
    if config.repeat < 1:
        raise InputError(got=f"--repeat {config.repeat}", wanted="at least 1", remedy="--repeat 3")
    from genmol.benchmark.store import load, merge

    path = config.json or Path(f"benchmark_{config.name}.json")
    if config.table is not None:
        data = load(config.table, benchmark=config.name)
    elif config.merge:
        data = merge(config.merge, path, benchmark=config.name)
    else:
        ways = {"scf": _scf, "learned": _learned, "sample": _sample, "psm": _psm}
        measure = ways[config.name]
        data = measure(config, path)
    if config.name == "scf":
        from genmol.benchmark.tables import markdown, targets

        text, found = markdown(data), targets(data)
    elif config.name == "sample":
        from genmol.benchmark.sample_tables import sample_markdown, sample_targets_of

        text, found = sample_markdown(data), sample_targets_of(data)
    elif config.name == "psm":
        from genmol.benchmark.psm_tables import psm_markdown, psm_targets_of

        text, found = psm_markdown(data), psm_targets_of(data)
    else:
        from genmol.benchmark.learned_tables import learned_markdown, targets_of

        text, found = learned_markdown(data), targets_of(data)
    print(text, end="")
    return 3 if any(target.verdict == "missed" for target in found) else 0


def _scf(config: Config, path: Path) -> dict[str, Any]:
    from genmol.benchmark.scf import FULL, QUICK, SECTIONS, measure
    from genmol.cli.console import track

    return measure(
        FULL if config.full else QUICK,
        path,
        repeat=config.repeat,
        threads=config.threads,
        resume=config.resume,
        only=_chosen(config.only, SECTIONS),
        progress=lambda rows, title, total: track(rows, title, total=total),
    )


def _learned(config: Config, path: Path) -> dict[str, Any]:
    from genmol.benchmark.learned import (
        LEARNED_SECTIONS,
        full_plan,
        measure_learned,
        quick_plan,
    )
    from genmol.cli.console import track

    return measure_learned(
        full_plan() if config.full else quick_plan(),
        path,
        model=config.model,
        cache=config.cache,
        repeat=config.repeat,
        threads=config.threads,
        resume=config.resume,
        only=_chosen(config.only, LEARNED_SECTIONS),
        progress=lambda rows, title, total: track(rows, title, total=total),
    )


def _sample(config: Config, path: Path) -> dict[str, Any]:
    from genmol.benchmark.sample import (
        SAMPLE_SECTIONS,
        full_sample,
        measure_sample,
        quick_sample,
    )
    from genmol.cli.console import track
    from genmol.core.threads import available_cores

    return measure_sample(
        full_sample() if config.full else quick_sample(),
        path,
        workers=min(available_cores(), 4) if config.workers is None else config.workers,
        threads=config.threads,
        resume=config.resume,
        only=_chosen(config.only, SAMPLE_SECTIONS),
        progress=lambda rows, title, total: track(rows, title, total=total),
    )


def _psm(config: Config, path: Path) -> dict[str, Any]:
    if len(config.data) > 1 or any(not folder.is_dir() for folder in config.data):
        raise InputError(
            got=f"--data {' '.join(map(str, config.data))}",
            wanted="one folder with files such as ethanol.extxyz",
            remedy="leave --data out to skip the molecules",
        )
    from genmol.benchmark.psm import PSM_SECTIONS, Places, full_psm, measure_psm, quick_psm
    from genmol.cli.console import track
    from genmol.core.threads import available_cores

    return measure_psm(
        full_psm() if config.full else quick_psm(),
        path,
        places=Places(
            cache=config.cache or path.with_suffix(""),
            data=next(iter(config.data), None),
            model=config.model,
        ),
        workers=min(available_cores(), 4) if config.workers is None else config.workers,
        threads=config.threads,
        resume=config.resume,
        only=_chosen(config.only, PSM_SECTIONS),
        progress=lambda rows, title, total: track(rows, title, total=total),
    )


def _qhflow(config: Config) -> int:
    if config.quick or config.full:
        raise InputError(
            got="--quick or --full for qhflow",
            wanted="the time of each training",
            remedy="--minutes 4 --seeds 3",
        )
    for name in ("minutes", "seeds", "workers"):
        value = getattr(config, name)
        if value is not None and not value > 0:
            raise InputError(got=f"--{name} {value}", wanted="above 0", remedy=f"--{name} 3")
    from genmol.benchmark.qhflow_table import comparison, qhflow_markdown
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
            workers=config.workers or 1,
            resume=config.resume,
            only=_chosen(config.only, tuple(VARIANTS)),
            progress=lambda rows, title, total: track(rows, title, total=total),
        )
    print(qhflow_markdown(data), end="")
    if config.card is not None:
        from genmol.core.weights import load_weights, save_weights

        weights = load_weights(config.card)
        card = {**weights.card, "comparison": comparison(data)}
        save_weights(config.card, weights.state, card)
    return 0


def _chosen(only: Sequence[str], known: tuple[Name, ...]) -> tuple[Name, ...]:
    if wrong := [name for name in only if name not in known]:
        raise InputError(
            got=f"--only {' '.join(wrong)}",
            wanted=f"some of {', '.join(known)}",
            remedy="leave --only out to measure everything",
        )
    return tuple(name for name in known if name in only) if only else known
