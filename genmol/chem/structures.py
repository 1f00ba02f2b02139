"""Any structure file, by its suffix: xyz and extxyz through ASE, sdf through RDKit."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from ase import Atoms

from genmol.core.errors import InputError
from genmol.core.files import check_readable
from genmol.core.structure import iread_structures

__all__ = ["iread_any", "read_any"]


def read_any(path: str | os.PathLike[str]) -> list[Atoms]:
    """Return every structure of ``path`` (.xyz, .extxyz, .sdf, .mol), checked.

    Raises:
        InputError: an unknown suffix, or anything the reader of the format objects to.
    """
    return list(iread_any(path))


def iread_any(path: str | os.PathLike[str]) -> Iterator[Atoms]:
    """Yield the structures of ``path`` one by one; errors as in :func:`read_any`."""
    source = check_readable(path)
    match Path(source).suffix.lower():
        case ".xyz" | ".extxyz":
            yield from iread_structures(source)
        case ".sdf" | ".mol":
            from genmol.chem.sdf import iread_sdf  # RDKit is loaded for its own format only

            yield from iread_sdf(source)
        case suffix:
            raise InputError(
                got=f"{source}, of the format {suffix or '(no suffix)'}",
                wanted="a file named .xyz, .extxyz, .sdf or .mol",
                remedy="rename it if it is one of these, or convert it with ASE or Open Babel",
            )
