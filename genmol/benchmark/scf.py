"""``genmol benchmark scf``: which rows a run has, and the loop that measures and keeps them.

==============  ==========================================================  ====================
section         what one row is                                             target
==============  ==========================================================  ====================
``pairs``       a molecule at a level: our solve and plain PySCF            builds, time, energy
``single``      a molecule with one exact build: error estimate and error   calibration
``trajectory``  a frame of ethanol from extrapolated densities              builds, time
``memory``      a molecule in two fresh processes                           peak memory
``ladder``      a molecule converged in ten ways                            (for comparison)
==============  ==========================================================  ====================
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, get_args

from genmol.benchmark import molecules
from genmol.benchmark.molecules import Pair
from genmol.benchmark.store import Store
from genmol.core.environment import CORE_PACKAGES, hardware, versions

__all__ = ["FULL", "QUICK", "SECTIONS", "Plan", "Section", "measure"]

Section = Literal["pairs", "single", "trajectory", "memory", "ladder"]
SECTIONS: Final[tuple[Section, ...]] = get_args(Section)
Rows = Iterator[tuple[str, dict[str, Any]]]

_SMALL = 10  # atoms; molecules up to this size are timed `repeat` times, larger ones once


@dataclass(frozen=True)
class Plan:
    """What a run measures.

    Attributes:
        scope: its name.
        pairs: molecules and levels of the main section.
        degenerate: pairs listed apart, with the reason.
        singles: how many molecules in single-build mode.
        frames: how many frames of ethanol.
        plain_every: every how many frames plain PySCF runs as well.
        memory: pairs in fresh processes.
        ladder: pairs for all baselines.
    """

    scope: str
    pairs: tuple[Pair, ...]
    degenerate: dict[Pair, str]
    singles: int
    frames: int
    plain_every: int
    memory: tuple[Pair, ...]
    ladder: tuple[Pair, ...]

    def size(self, section: Section) -> int:
        """How many rows the section has."""
        return {
            "pairs": len(self.pairs) + len(self.degenerate),
            "single": self.singles,
            "trajectory": self.frames,
            "memory": len(self.memory),
            "ladder": len(self.ladder),
        }[section]


QUICK = Plan(
    "quick", molecules.QUICK_PAIRS, {}, 10, 40, 10, molecules.QUICK_MEMORY, molecules.QUICK_LADDER
)
FULL = Plan(
    "full", molecules.PAIRS, molecules.DEGENERATE, 100, 100, 1, molecules.MEMORY, molecules.LADDER
)


def measure(
    plan: Plan,
    path: Path,
    *,
    repeat: int = 3,
    threads: int = 1,
    resume: bool = False,
    only: Iterable[Section] = SECTIONS,
    progress: Callable[[Rows, str, int], Rows] = lambda rows, *_: rows,
) -> dict[str, Any]:
    """Measure what ``path`` does not hold yet, keep every row, and return all of it.

    Args:
        plan: :data:`QUICK`, :data:`FULL`, or one's own.
        path: JSON file.
        repeat: paired runs of molecules up to ten atoms; larger ones run once.
        threads: recorded; the caller has set them.
        resume: go on with an existing file.
        only: sections to measure.
        progress: wraps the rows of a section, given its name and the number of rows to come.

    Raises:
        InputError: the file exists and is not to be resumed, or its conditions were others.
    """
    store = Store(
        path,
        benchmark="scf",
        record=conditions(threads=threads, repeat=repeat),
        scope=plan.scope,
        resume=resume,
    )
    warm_up()
    for section in only:
        done = store.rows(section)
        if section == "trajectory":  # a frame is done when its plain run is, if that is due
            done = {k: r for k, r in done.items() if "pyscf" in r or int(k) % plan.plain_every}
        rows = _rows(plan, section, set(done), repeat)
        for key, row in progress(rows, section, max(plan.size(section) - len(done), 0)):
            store.add(section, key, row)
    return store.data


def conditions(*, threads: int, repeat: int) -> dict[str, Any]:
    """What the figures depend on besides the code."""
    return {
        "hardware": hardware(),
        "versions": versions(*CORE_PACKAGES),
        "threads": threads,
        "repeat": repeat,
        "seeds": "none: the structures are files and the solver is deterministic",
        "structures": molecules.data_hashes(),
        "baseline": "PySCF's defaults (conv_tol 1e-9, grid level 3), no checkpoint file",
    }


def warm_up() -> None:
    """Load every library that a measured run uses, so that no row pays for an import."""
    from genmol.benchmark.measure import pair_row

    pair_row(Pair("water", "b3lyp", "def2-svp"), repeat=1)
    pair_row(Pair("hydroxyl_radical", "pbe", "def2-svp"), repeat=1)


def _rows(plan: Plan, section: Section, done: set[str], repeat: int) -> Rows:
    from genmol.benchmark import measure as one

    def pairs(pair: Pair) -> dict[str, Any]:
        runs = repeat if len(molecules.structure(pair.molecule)) <= _SMALL else 1
        return one.pair_row(pair, repeat=runs, degenerate=plan.degenerate.get(pair))

    by_key: dict[Section, tuple[Callable[[Pair], dict[str, Any]], Iterable[Pair]]] = {
        "pairs": (pairs, (*plan.pairs, *plan.degenerate)),
        "memory": (one.memory_row, plan.memory),
        "ladder": (one.ladder_row, plan.ladder),
    }
    if section == "trajectory":
        frames = molecules.read("ethanol.xyz")[: plan.frames]
        if {f"{i:03d}" for i in range(plan.frames)} - done:
            yield from one.trajectory(frames, plain_every=plan.plain_every, done=done)
    elif section == "single":
        for atoms in molecules.read("small.xyz")[: plan.singles]:
            if atoms.info["name"] not in done:
                yield atoms.info["name"], one.single_row(atoms)
    else:
        make, items = by_key[section]
        for pair in items:
            if pair.key not in done:
                yield pair.key, make(pair)
