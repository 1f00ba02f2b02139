"""genmol: generative models and equivariant networks for molecules, checked by physics.

Subpackages load on first use, so ``import genmol`` costs nothing and ``genmol.scf.solve`` needs no
further import.
"""

from __future__ import annotations

import importlib
import pkgutil
from typing import Any


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("genmol")
    if name in _subpackages():
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({"__version__", *_subpackages()})


def _subpackages() -> set[str]:
    return {module.name for module in pkgutil.iter_modules(__path__)}
