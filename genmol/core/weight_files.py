"""Where weights lie: shipped names, folders and paths.

The small models that come with genmol are the files ``genmol/weights/NAME.safetensors`` of the
package and go by their NAME. Nothing here opens a file.
"""

from __future__ import annotations

import difflib
import os
from pathlib import Path
from typing import Final

from genmol.core.errors import InputError

__all__ = ["find_weights", "is_shipped", "shipped", "shipped_names", "weights_and_card"]

_SHIPPED: Final = Path(__file__).parents[1] / "weights"


def shipped() -> list[str]:
    """Return the names of the weights inside the package, sorted."""
    return sorted(file.stem for file in _weights_in(_SHIPPED))


def is_shipped(path: Path) -> bool:
    """Return whether ``path`` lies in the package's own folder of weights."""
    return path.parent == _SHIPPED


def _weights_in(folder: Path) -> list[Path]:
    """Return the weights of a folder, without the temporary files of a save in progress."""
    return sorted(f for f in folder.glob("*.safetensors") if not f.name.startswith("."))


def shipped_names() -> str:
    """Return the shipped names for a message."""
    return ", ".join(shipped()) or "none with this version"


def weights_and_card(path: str | os.PathLike[str]) -> tuple[Path, Path]:
    """Return NAME.safetensors and NAME.json for NAME with either suffix or without."""
    given = Path(path)
    stem = given.stem if given.suffix in (".safetensors", ".json") else given.name
    return given.with_name(f"{stem}.safetensors"), given.with_name(f"{stem}.json")


def find_weights(name_or_path: str | os.PathLike[str]) -> Path:
    """Return the safetensors file that is meant; its content is not looked at.

    Args:
        name_or_path: a shipped name; or a folder that holds one weights file; or a path with or
            without suffix. A file in the current folder that is called like a shipped model is
            reached as ``./NAME``.

    Raises:
        InputError: nothing there, or a folder with more or fewer than one.
    """
    given = Path(name_or_path)
    if os.fspath(name_or_path) in shipped():
        return _SHIPPED / f"{given}.safetensors"
    if given.is_dir():
        found = _weights_in(given)
        if len(found) == 1:
            return found[0]
        listed = f": {', '.join(file.name for file in found)}" if found else ""
        raise InputError(
            got=f"the folder {given} with {len(found)} weights files{listed}",
            wanted="a folder with one file NAME.safetensors",
            remedy="name the file",
        )
    path = weights_and_card(given)[0]
    if path.exists():
        return path
    if given.is_file() and given.suffix != ".json":
        raise InputError(
            got=f"the file {given}, which is not called NAME.safetensors",
            wanted="a pair NAME.safetensors and NAME.json; pickled checkpoints are never opened",
            remedy="export the weights with genmol.core.weights.save_weights",
        )
    near = difflib.get_close_matches(given.name, shipped(), n=1)
    raise InputError(
        got=f"no weights called {given}",
        wanted=f"the path of a file NAME.safetensors, or a shipped name ({shipped_names()})",
        remedy=f"did you mean {near[0]}"
        if near
        else f"check the name; current folder: {Path.cwd()}",
    )
