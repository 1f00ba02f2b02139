"""Peak memory of one solve, measured by the process that makes it.

``python -m genmol.benchmark.peak SOLVER`` reads ``{"mol", "xc"}`` as JSON from stdin and prints
``{"peak_mib", "energy_hartree"}``. Each solver gets a process of its own: memory once touched stays
in a peak. The process of ``plain`` imports PySCF and nothing else.
"""

from __future__ import annotations

import json
import resource
import sys
from pathlib import Path
from typing import Any, Literal

from genmol.benchmark.process import in_own_process

__all__ = ["Solver", "measure_peak", "peak_mib"]

Solver = Literal["plain", "two-level"]


def peak_mib() -> float:
    """Largest resident memory of this process so far (MiB).

    On Linux a child's ``ru_maxrss`` starts at the size of the parent that spawned it; the
    high-water mark in ``/proc`` belongs to the process alone.
    """
    status = Path("/proc/self/status")
    if status.exists():
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) / 1024
    largest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return largest / (2**20 if sys.platform == "darwin" else 2**10)


def measure_peak(molecule: str, xc: str, solver: Solver) -> dict[str, Any]:
    """Solve in a fresh process and return its peak (MiB) and energy (Hartree).

    Args:
        molecule: as :func:`genmol.qc.baselines.dumped` writes it.
        xc: functional as PySCF names it.
        solver: plain PySCF, or ours.
    """
    return in_own_process(
        "genmol.benchmark.peak", {"mol": molecule, "xc": xc}, solver, wanted="its peak memory"
    )


def _main(solver: str) -> None:
    from genmol.qc.baselines import fresh, loaded

    job = json.load(sys.stdin)
    mf = fresh(loaded(job["mol"]), job["xc"])
    if solver == "two-level":
        from genmol.scf.certified import solve

        energy = solve(mf).report.energy_hartree
    else:
        energy = float(mf.kernel())
    json.dump({"peak_mib": peak_mib(), "energy_hartree": energy}, sys.stdout)


if __name__ == "__main__":
    _main(sys.argv[1])
