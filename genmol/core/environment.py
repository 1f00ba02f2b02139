"""What a result was computed with: versions, processor, memory, threads.

Certificates, benchmarks and ``genmol doctor`` record the same facts, taken from here. Nothing is
imported to learn a version; the metadata of the installed packages knows it.
"""

from __future__ import annotations

import importlib.metadata
import os
import platform
import sys
from pathlib import Path
from typing import Any

from genmol.core.threads import THREAD_VARIABLES, available_cores

__all__ = ["CORE_PACKAGES", "hardware", "package_version", "versions"]

CORE_PACKAGES = (
    "torch",
    "numpy",
    "scipy",
    "e3nn",
    "torchdiffeq",
    "pyscf",
    "pyscf-dispersion",
    "threadpoolctl",
    "geometric",
    "rdkit",
    "posebusters",
    "ase",
    "tblite",
    "vesin",
    "h5py",
    "matplotlib",
    "safetensors",
    "tyro",
    "rich",
    "jaxtyping",
)
"""Distributions genmol depends on, as in ``pyproject.toml``."""


def package_version(distribution: str) -> str | None:
    """Return the installed version of a distribution, or None when it is not installed."""
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None


def versions(*distributions: str) -> dict[str, str | None]:
    """Return the versions of Python, genmol and ``distributions``, for a record."""
    found = {name: package_version(name) for name in ("genmol", *distributions)}
    return {"python": platform.python_version(), **found}


def hardware() -> dict[str, Any]:
    """Return processor, cores, memory in GiB, and the thread variables in force, for a record."""
    return {
        "system": platform.platform(),
        "processor": _processor(),
        "cores": available_cores(),
        "memory_gib": _memory_gib(),
        "threads": {name: os.environ.get(name) for name in THREAD_VARIABLES},
    }


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _memory_gib() -> float | None:
    if sys.platform == "win32":
        return None
    return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1)
