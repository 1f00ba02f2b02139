"""Plain PySCF, untouched: the baseline."""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["plain_kernel"]


def plain_kernel(mf: Any, dm0: np.ndarray | None = None) -> dict[str, Any]:
    """Converge ``mf`` with PySCF's own iterations and report them.

    Nothing is instrumented, so that the run can be timed. The Fock builds follow from PySCF's loop: one
    for the starting density, one a cycle, and one in the final check (``conv_check``).
    """
    energy = float(mf.kernel(dm0=dm0))
    return {
        "energy_hartree": energy,
        "converged": bool(mf.converged),
        "exact_fock_builds": 1 + int(mf.cycles) + int(bool(mf.converged and mf.conv_check)),
        "cycles": int(mf.cycles),
    }
