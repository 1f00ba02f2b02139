"""``genmol benchmark sample``: are the samples Boltzmann, what do they cost, and is that seen?

==============  =================================================================================
section         what one row is
==============  =================================================================================
``toys``        DW4, LJ13, LJ55 in both published forms: distances to exact draws
``cost``        the same: gradients for an effective draw after the burn-in
``mmff``        a molecule at MMFF94: free energies against two independent references
``gfn2``        a molecule at GFN2: likewise, by delayed acceptance
``intervals``   a toy or a molecule: how often intervals of 95 % hold the truth
``glycerol``    500 conformers at GFN2: seconds, effective draws, and the job's own estimate
``alanine``     alanine dipeptide at MMFF94: populations and seconds
``detector``    a seeded fault, or ten correct sets
==============  =================================================================================

Beside every row stand the baselines. Rows do not depend on each other and are shared out over processes,
but for those that are timed, which are measured one at a time afterwards.

Distances, free energies, coverage and numbers of gradients are those of any machine; seconds belong to
their row, which is measured whole on one. So a file may hold rows of several machines, under the same
versions of all packages: each row says which is its own (:mod:`genmol.benchmark.store`), and the tables
name them all. A timed row that can use several processes says how many it had.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, get_args

from genmol.benchmark.sections import measure_rows
from genmol.benchmark.store import Store
from genmol.core.environment import CORE_PACKAGES, hardware, versions

if TYPE_CHECKING:
    from genmol.benchmark.sample_molecules import Effort
    from genmol.benchmark.scf import Rows

__all__ = [
    "FAULTS", "SAMPLE_SECTIONS", "SamplePlan", "SampleSection", "full_sample", "measure_sample",
    "quick_sample", "sample_row", "sample_store",
]  # fmt: skip

SampleSection = Literal[
    "toys", "cost", "mmff", "gfn2", "intervals", "detector", "glycerol", "alanine"
]
SAMPLE_SECTIONS: Final[tuple[SampleSection, ...]] = get_args(SampleSection)
_TIMED: Final[tuple[SampleSection, ...]] = ("glycerol", "alanine")

FAULTS: Final = (
    "temperature 5 %, LJ13",
    "temperature 5 %, 1,2-ethanediol",
    "pair factor 2, LJ13",
    "missing 5 % basin, mixture",
    "missing 5 % basin, 1,2-ethanediol",
    "clipped weights, mixture",
    "mirrored stereo, butan-2-ol",
    "public DW4 set",
)


@dataclass(frozen=True)
class SamplePlan:
    """What a run measures, and how large.

    Attributes:
        scope: its name.
        keys: of the rows of each section; the slowest ones first, so that processes end together.
        sizes: n of the distances of toys.
        draws: of each sampler of a toy, by the start of its name.
        gradients: of the cost of a toy, likewise.
        mmff, gfn2: effort, keywords of :class:`genmol.benchmark.sample_molecules.Effort`.
        repeats: of the experiments of intervals.
        run: draws of a run of a molecule there.
        conformers: of alanine dipeptide, and effective draws.
        references: effort for alanine dipeptide.
    """

    scope: str
    keys: dict[SampleSection, tuple[str, ...]]
    sizes: tuple[int, ...] = (1000, 2000)
    draws: dict[str, int] = field(default_factory=dict)
    gradients: dict[str, int] = field(default_factory=dict)
    mmff: dict[str, float] = field(default_factory=dict)
    gfn2: dict[str, float] = field(default_factory=dict)
    repeats: int = 200
    run: int = 100
    conformers: int = 500
    references: dict[str, float] = field(default_factory=dict)


def full_sample() -> SamplePlan:
    """Every row: about an hour of two cores."""
    from genmol.benchmark.sample_molecules import MOLECULES

    return SamplePlan(
        "full",
        {
            "gfn2": ("glycerol", "ethanolamine", "1,2-ethanediol"),
            "toys": ("lj55", "lj55-bgflow", "lj13", "lj13-bgflow", "dw4"),
            "mmff": tuple(reversed(MOLECULES)),
            "intervals": ("1,2-ethanediol", "dw4", "mixture", "two-basins", "double-well"),
            "cost": ("lj55", "lj55-bgflow", "lj13", "lj13-bgflow", "dw4"),
            "detector": (
                *(f"correct lj13 {k}" for k in range(4)),
                *(f"correct 1,2-ethanediol {k}" for k in range(3)),
                *(f"correct mixture {k}" for k in range(3)),
                *FAULTS,
            ),
            "glycerol": ("GFN2",),
            "alanine": ("MMFF94",),
        },
        draws={"dw4": 8000, "lj13": 8000, "lj55": 6000},
        gradients={"dw4": 1_000_000, "lj13": 2_000_000, "lj55": 400_000},
        mmff={"effective": 3000, "reference": 1000, "particles": 256},
        gfn2={"effective": 3000, "weighted": 1500, "direct": 120_000},
        references={"reference": 1000, "particles": 256, "reference_calls": 1_500_000},
    )


def quick_sample() -> SamplePlan:
    """The small ones, with fewer draws, and nothing at GFN2: about four minutes of two cores."""
    return SamplePlan(
        "quick",
        {
            "gfn2": (),
            "toys": ("lj13", "dw4"),
            "mmff": ("1,2-ethanediol", "ethanolamine"),
            "intervals": ("mixture", "two-basins", "double-well"),
            "cost": ("lj13", "dw4"),
            "detector": ("correct lj13 0", "correct mixture 0", *(
                fault for fault in FAULTS if "ethanediol" not in fault
            )),
            "glycerol": (),
            "alanine": (),
        },
        sizes=(1000,),
        draws={"dw4": 2500, "lj13": 2500},
        gradients={"dw4": 300_000, "lj13": 400_000},
        mmff={"effective": 300, "reference": 150, "particles": 64, "calls": 150_000,
              "reference_calls": 150_000},
    )  # fmt: skip


def measure_sample(
    plan: SamplePlan,
    path: Path,
    *,
    workers: int = 1,
    threads: int = 1,
    resume: bool = False,
    only: Iterable[SampleSection] = SAMPLE_SECTIONS,
    progress: Callable[[Rows, str, int], Rows] = lambda rows, *_: rows,
) -> dict[str, Any]:
    """Measure what ``path`` does not hold yet, keep every row, and return all of it.

    Args:
        plan: which rows.
        path: JSON file.
        workers: processes that rows are shared out over, and energies of rows that are timed.
        threads: recorded; the caller has set them.
        resume: go on with an existing file, of this machine or another.
        only: sections to measure.
        progress: wraps the rows of a section, given its name and the number of rows to come.

    Raises:
        InputError: the file exists and is not to be resumed, or its conditions were others.
    """
    store = sample_store(path, scope=plan.scope, threads=threads, resume=resume)
    wanted = set(only)
    tasks = [
        (section, key)
        for section, keys in plan.keys.items()
        for key in keys
        if section in wanted and key not in store.rows(section)
    ]
    return measure_rows(
        store, tasks, make=partial(sample_row, plan=plan),
        alone=partial(sample_row, plan=plan, workers=workers), timed=_TIMED, workers=workers,
        progress=lambda rows: progress(rows, "sample", len(tasks)),
    )  # fmt: skip


def sample_store(path: Path, *, scope: str, threads: int = 1, resume: bool = False) -> Store:
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
        "seeds": "0 and those next to it; 1000 and on for the correct sets of the detector",
        "temperature": "300 K",
        "baseline": "ETKDG + MMFF94 minima with Boltzmann weights, plain Langevin (BAOAB) and plain "
        "HMC at as many calls",
    }
    return Store(
        path, benchmark="sample", record=record, scope=scope, resume=resume, machine=hardware()
    )


def sample_row(
    task: tuple[SampleSection, str], *, plan: SamplePlan, workers: int = 1
) -> dict[str, Any]:
    """One row.

    Args:
        task: section and key.
        plan: with its size.
        workers: processes for energies, where the row is timed.
    """
    from genmol.core.threads import set_threads

    set_threads(1)
    section, key = task
    match section:
        case "toys":
            from genmol.benchmark.sample_toys import toy_row

            return toy_row(key, draws=_of(plan.draws, key), sizes=plan.sizes)
        case "cost":
            from genmol.benchmark.sample_toys import cost_row

            return cost_row(key, gradients=_of(plan.gradients, key))
        case "mmff":
            from genmol.benchmark.sample_molecules import mmff_row

            return mmff_row(key, _effort(plan.mmff))
        case "gfn2":
            from genmol.benchmark.sample_molecules import gfn2_row

            return gfn2_row(key, _effort(plan.gfn2))
        case "intervals":
            from genmol.benchmark.sample_intervals import interval_row

            return interval_row(key, repeats=plan.repeats, draws=plan.run)
        case "detector":
            from genmol.benchmark.sample_detector import correct_row, fault_row

            if key.startswith("correct "):
                kind, number = key.removeprefix("correct ").rsplit(" ", 1)
                return correct_row(kind, seed=1000 + int(number))
            return fault_row(key)
        case "glycerol":
            from genmol.benchmark.sample_jobs import glycerol_row

            return glycerol_row(n=500, seconds=300.0, workers=workers)
        case "alanine":
            from genmol.benchmark.sample_jobs import alanine_row

            return alanine_row(n=plan.conformers, effort=_effort(plan.references))


def _of(numbers: dict[str, int], key: str) -> int:
    return numbers[key.partition("-")[0]]


def _effort(numbers: dict[str, float]) -> Effort:
    from genmol.benchmark.sample_molecules import Effort

    whole = ("particles", "calls", "reference_calls", "weighted", "direct")
    return Effort(**{k: int(v) if k in whole else v for k, v in numbers.items()})  # type: ignore[arg-type]
