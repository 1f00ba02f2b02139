"""``genmol benchmark psm``: do forces make better scores than noise alone, and what are they good for?

==============  =================================================================================
section         what one row is
==============  =================================================================================
``mixture``     a seed: error of the score by rule and level of noise, against the exact one
``data``        a system, a number of frames, a rule and a seed: what the score generates
``biased``      a rule and a seed: DW4 with its basins in shares of 90:10, plain and corrected
``cost``        a toy: calls for an effective corrected draw, beside Hamiltonian Monte Carlo
``loop``        a toy: a score trained without data, what it cost and what its paths are worth
``bands``       a toy: distances of corrected draws to exact ones
``time``        seconds of 1000 corrected states of LJ13, and the memory of training LJ55
``expensive``   a molecule and a seed: populations at PBE/def2-SVP from 500 calls
``amortised``   a molecule that a model of many was not trained on: calls for an effective draw
==============  =================================================================================

Rows do not depend on each other and are shared out over processes, but for those that are timed. What
is missing for a row, a model of a toy or the frames of a molecule, makes it *skipped*; such rows are
measured when a run is resumed with what they lacked, and those of a quick run again when it is resumed
as a full one: trainings of different lengths do not mix. Machines are recorded as in
:mod:`genmol.benchmark.sample`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, get_args

from genmol.benchmark.psm_molecules import HELD_OUT
from genmol.benchmark.sections import measure_rows
from genmol.benchmark.store import Store
from genmol.core.environment import CORE_PACKAGES, hardware, versions

if TYPE_CHECKING:
    from genmol.benchmark.scf import Rows

__all__ = [
    "PSM_SECTIONS", "SYSTEMS", "Places", "PsmPlan", "PsmSection", "full_psm", "measure_psm", "psm_row",
    "psm_store", "quick_psm",
]  # fmt: skip

PsmSection = Literal[
    "mixture", "data", "biased", "cost", "loop", "bands", "time", "expensive", "amortised"
]
PSM_SECTIONS: Final[tuple[PsmSection, ...]] = get_args(PsmSection)
_TIMED: Final[tuple[PsmSection, ...]] = ("time",)

SYSTEMS: Final = ("lj55", "Ac-Ala3-NHMe", "aspirin", "lj13", "ethanol", "malonaldehyde", "dw4")
"""Of ``data``, the slowest ones first."""

_TOYS: Final = ("lj55", "lj13", "dw4")


@dataclass(frozen=True)
class PsmPlan:
    """What a run measures, and how large. Numbers by system count for all others under "".

    Attributes:
        scope: its name.
        keys: of the rows of each section.
        minutes: of the processor, of a training.
        loops: likewise, of one without data.
        steps: of a path of what is trained here.
        count: frames generated.
        mixture: steps of a training.
        biased: effective draws.
        effective: draws of the cost.
        gradients: of Hamiltonian Monte Carlo there.
        bands: n of the sets, and draws of each side.
        states: of the time.
        amortised: effective draws that chains are to be worth there, and calls that end a method.
        options: further fields of the recipe.
    """

    scope: str
    keys: dict[PsmSection, tuple[str, ...]]
    minutes: dict[str, float]
    loops: dict[str, float] = field(default_factory=dict)
    steps: int = 100
    count: dict[str, int] = field(default_factory=lambda: {"": 1000, "lj55": 300})
    mixture: int = 8000
    biased: float = 1000.0
    effective: int = 1000
    gradients: dict[str, int] = field(default_factory=dict)
    bands: tuple[int, int] = (1000, 4000)
    states: int = 1000
    amortised: tuple[float, int] = (200.0, 40_000)
    options: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Places:
    """Where things are.

    Attributes:
        cache: folder of what outlasts a row.
        data: folder of the molecules' frames.
        model: weights of a toy in place of those that come with genmol, or of many molecules.
    """

    cache: Path
    data: Path | None = None
    model: str | None = None


def full_psm() -> PsmPlan:
    """Every row: three hours of two cores, and seven for ``expensive``."""
    seeds = range(3)
    return PsmPlan(
        "full",
        {
            "expensive": tuple(
                f"{name} {seed}" for seed in range(2) for name in ("1,2-ethanediol", "ethanol")
            ),
            "data": tuple(
                f"{name} {frames} {rule} {seed}"
                for name in SYSTEMS
                for frames in (100, 1000)
                for seed in seeds
                for rule in ("springs", "denoising")
            ),
            "loop": ("lj13", "dw4"),
            "bands": _TOYS,
            "cost": _TOYS,
            "biased": tuple(f"{rule} {s}" for s in seeds for rule in ("springs", "denoising")),
            "mixture": tuple(map(str, seeds)),
            "time": ("lj13", "lj55 training"),
            "amortised": tuple(HELD_OUT),
        },
        minutes={"": 1.0, "dw4": 0.5, "lj55": 3.0, "aspirin": 2.0, "Ac-Ala3-NHMe": 3.0},
        loops={"": 5.0, "lj13": 15.0},
        count={"": 1000, "lj55": 300, "Ac-Ala3-NHMe": 300},
        gradients={"dw4": 1_000_000, "lj13": 1_000_000, "lj55": 400_000},
    )


def quick_psm() -> PsmPlan:
    """The small ones with one seed and short trainings: five minutes of two cores."""
    return PsmPlan(
        "quick",
        {
            "expensive": (),
            "data": tuple(
                f"{name} 100 {rule} 0"
                for name in ("lj13", "dw4")
                for rule in ("springs", "denoising")
            ),
            "loop": (),
            "bands": (),
            "cost": ("dw4",),
            "biased": ("springs 0", "denoising 0"),
            "mixture": ("0",),
            "time": (),
            "amortised": (),
        },
        minutes={"": 0.3},
        count={"": 500},
        mixture=3000,
        biased=300.0,
        gradients={"dw4": 300_000},
    )


def measure_psm(
    plan: PsmPlan,
    path: Path,
    *,
    places: Places,
    workers: int = 1,
    threads: int = 1,
    resume: bool = False,
    only: Iterable[PsmSection] = PSM_SECTIONS,
    progress: Callable[[Rows, str, int], Rows] = lambda rows, *_: rows,
) -> dict[str, Any]:
    """Measure what ``path`` does not hold yet, keep every row, and return all of it.

    Args:
        plan: which rows.
        path: JSON file.
        places: of data, models and what is kept.
        workers: processes that rows are shared out over, but for those that are timed.
        threads: recorded; the caller has set them.
        resume: go on with an existing file, of this machine or another.
        only: sections to measure.
        progress: wraps the rows, given a name and the number of rows to come.

    Raises:
        InputError: the file exists and is not to be resumed, or its conditions were others.
    """
    store = psm_store(path, scope=plan.scope, threads=threads, resume=resume)
    wanted = set(only)
    tasks = [
        (section, key)
        for section, keys in plan.keys.items()
        for key in keys
        if section in wanted and _open(store.rows(section).get(key), plan.scope)
    ]
    make = partial(psm_row, plan=plan, places=places)
    return measure_rows(
        store, tasks, make=make, alone=make, timed=_TIMED, workers=workers,
        progress=lambda rows: progress(rows, "psm", len(tasks)), more={"scope": plan.scope},
    )  # fmt: skip


def psm_store(path: Path, *, scope: str, threads: int = 1, resume: bool = False) -> Store:
    """The file at ``path``, for rows that this machine measures.

    Args:
        path: JSON file.
        scope: of the plan.
        threads: recorded; the caller has set them.
        resume: go on with an existing file, of this machine or another.

    Raises:
        InputError: the file exists and is not to be resumed, or its conditions were others.
    """
    record = {
        "versions": versions(*CORE_PACKAGES),
        "threads": threads,
        "seeds": "in the keys of the rows; 0 where there is none",
        "training": "minutes of the processor in one thread, defaults of genmol train score",
    }
    return Store(
        path, benchmark="psm", record=record, scope=scope, resume=resume, machine=hardware()
    )


def psm_row(task: tuple[PsmSection, str], *, plan: PsmPlan, places: Places) -> dict[str, Any]:
    """One row.

    Args:
        task: section and key.
        plan: with its size.
        places: of data, models and what is kept.
    """
    from genmol.core.threads import set_threads

    set_threads(1)
    section, key = task
    name, toys = key.split(" ")[0], places.cache / "toys"
    match section:
        case "mixture":
            from genmol.benchmark.psm_mixture import mixture_row

            return mixture_row(int(key), steps=plan.mixture)
        case "data":
            from genmol.benchmark.psm_data import data_row

            return data_row(
                key, minutes=_of(plan.minutes, name), steps=plan.steps, count=_of(plan.count, name),
                cache=toys, data=places.data, options=plan.options,
            )  # fmt: skip
        case "biased":
            from genmol.benchmark.psm_biased import biased_row

            return biased_row(
                key, minutes=plan.minutes[""], steps=plan.steps, wanted=plan.biased,
                cache=toys, options=plan.options,
            )  # fmt: skip
        case "cost":
            from genmol.benchmark.psm_cost import psm_cost_row

            return psm_cost_row(
                key, n=plan.effective, gradients=plan.gradients[key], model=places.model
            )
        case "loop":
            from genmol.benchmark.psm_loop import loop_row

            minutes = _of(plan.loops, name)
            return loop_row(key, minutes=minutes, steps=plan.steps, options=plan.options)
        case "bands":
            from genmol.benchmark.psm_cost import bands_row

            n, draws = plan.bands
            return bands_row(key, n=n, draws=draws, model=places.model)
        case "time":
            if key.endswith(" training"):
                from genmol.benchmark.psm_memory import memory_row

                minutes = _of(plan.minutes, name)
                return memory_row(name, frames=1000, minutes=minutes, cache=toys)
            from genmol.benchmark.psm_cost import time_row

            return time_row(key, n=plan.states, model=places.model)
        case "expensive":
            from genmol.benchmark.psm_expensive import expensive_row

            folder = places.cache / "expensive" / key.replace(" ", "-")
            name, seed = key.rsplit(" ", 1)
            return expensive_row(name, seed=int(seed), cache=folder)
        case "amortised":
            from genmol.benchmark.psm_amortised import amortised_row

            effective, calls = plan.amortised
            return amortised_row(key, effective=effective, calls=calls, model=places.model)


def _open(row: Mapping[str, Any] | None, scope: str) -> bool:
    """Whether a row is still to be measured."""
    return row is None or "skipped" in row or (scope == "full" and row["scope"] != "full")


def _of(numbers: Mapping[str, Any], name: str) -> Any:
    return numbers.get(name, numbers[""])
