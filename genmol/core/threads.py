"""How many threads one process uses: one place for ``--threads``.

OpenMP and the BLAS libraries read their environment variables once, when they are loaded, so call
:func:`set_threads` before the first heavy import. PySCF's own counter is set by ``genmol.qc``.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from genmol.core.errors import InputError

__all__ = ["available_cores", "set_threads", "thread_environment"]

THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


def available_cores() -> int:
    """Return the cores this process may run on (its affinity mask where the system has one)."""
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1


def set_threads(threads: int) -> None:
    """Use ``threads`` threads in libraries loaded from now on, and in torch if loaded.

    Raises:
        InputError: ``threads`` is less than 1.
    """
    if threads < 1:
        raise InputError(
            got=f"{threads} threads",
            wanted="at least 1",
            remedy=f"--threads {available_cores()} uses every core of this machine",
        )
    os.environ.update(dict.fromkeys(THREAD_VARIABLES, str(threads)))
    if torch := sys.modules.get("torch"):
        torch.set_num_threads(threads)


@contextmanager
def thread_environment(threads: int) -> Iterator[None]:
    """Set the thread variables for processes started inside the block, then restore them."""
    before = {name: os.environ.get(name) for name in THREAD_VARIABLES}
    os.environ.update(dict.fromkeys(THREAD_VARIABLES, str(threads)))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
