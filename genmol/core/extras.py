"""Optional packages: which pip extra installs what, and one way to import it.

A package from :data:`EXTRAS` is imported in its own room (see ``tests/test_architecture.py``)
through :func:`import_extra`, so that its absence is an error naming the extra and never a bare
``ImportError``.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from types import MappingProxyType, ModuleType
from typing import Final

from genmol.core.errors import MissingExtraError

__all__ = ["EXTRAS", "import_extra"]

EXTRAS: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "train": ("lightning", "tensorboard"),
        "farm": ("dask", "distributed"),
        "web": ("fastapi", "uvicorn"),
        "scatter": ("torch-scatter",),
        "gpu": ("gpu4pyscf-cuda12x", "cuequivariance-torch"),
    }
)
"""Extra -> distributions it installs, as in ``pyproject.toml``."""


def import_extra(module: str, *, extra: str) -> ModuleType:
    """Import ``module``, which the pip extra ``extra`` installs.

    Raises:
        MissingExtraError: it is not installed.
    """
    if extra not in EXTRAS:
        raise ValueError(f"got the extra {extra!r}; wanted one of {', '.join(EXTRAS)}")
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name != module.partition(".")[0]:
            raise  # it is installed, and something it needs is not
        raise MissingExtraError(module, extra=extra) from error
