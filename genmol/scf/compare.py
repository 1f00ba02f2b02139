"""Our solve and plain PySCF, side by side on the same problem.

Both start from nothing (integrals, grids and guess included) with the same thresholds, grid, memory
limit and threads. The order alternates from repeat to repeat, because whichever runs second finds warm
caches; the figures are medians.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from statistics import median
from typing import Any

from genmol.qc.attempts import Attempt
from genmol.qc.plain import plain_kernel
from genmol.scf.certified import Solved, mean_field, solve
from genmol.scf.settings import Settings

__all__ = ["compare"]


def compare(
    structure: Any,
    settings: Settings,
    *,
    repeat: int = 1,
    on_attempt: Callable[[Attempt], None] = lambda attempt: None,
) -> tuple[Solved, dict[str, Any]]:
    """Solve ``structure`` and run plain PySCF on it, ``repeat`` times each in alternating order.

    Args:
        structure: ``ase.Atoms`` or PySCF ``Mole``.
        settings: level of theory; the mode is that of our solve.
        repeat: pairs of runs.
        on_attempt: as in :func:`genmol.scf.solve`.

    Returns:
        Our last solve, and the comparison: PySCF's energy, builds and median times, our median times and
        the ratio of the processor times.
    """
    ours: list[tuple[float, float]] = []
    theirs: list[dict[str, Any]] = []
    solved: Solved | None = None
    for i in range(repeat):
        for who in ("ours", "theirs") if i % 2 == 0 else ("theirs", "ours"):
            gc.collect()
            if who == "ours":
                solved = solve(structure, settings, on_attempt=on_attempt)
                ours.append((solved.report.seconds, solved.report.cpu_seconds))
            else:
                began, cpu_began = time.perf_counter(), time.process_time()
                run = plain_kernel(mean_field(structure, settings))
                run["seconds"] = time.perf_counter() - began
                run["cpu_seconds"] = time.process_time() - cpu_began
                theirs.append(run)
    assert solved is not None
    pyscf = dict(theirs[0])
    pyscf["seconds"] = median(run["seconds"] for run in theirs)
    pyscf["cpu_seconds"] = median(run["cpu_seconds"] for run in theirs)
    ratios = [cpu / run["cpu_seconds"] for (_, cpu), run in zip(ours, theirs, strict=True)]
    energy = solved.report.energy_hartree
    pyscf["energy_difference_hartree"] = (
        None if energy is None else energy - pyscf["energy_hartree"]
    )
    pyscf["genmol_seconds"] = median(wall for wall, _ in ours)
    pyscf["genmol_cpu_seconds"] = median(cpu for _, cpu in ours)
    pyscf["cpu_ratio"] = median(ratios)
    pyscf["repeats"] = repeat
    return solved, pyscf
