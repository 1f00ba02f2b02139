"""Plain JSON values, without the two traps of Python's own encoder.

``json`` writes ``NaN`` and ``Infinity``, which no other reader accepts, and refuses numpy's scalars
and paths, which every record contains. :func:`jsonable` settles both: non-finite numbers become the
strings ``"nan"``, ``"inf"`` and ``"-inf"`` (``float()`` reads them back), numpy values become
numbers and lists, paths become strings, dataclasses become objects.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from os import PathLike, fspath
from typing import Any

__all__ = ["JSON", "dumps", "jsonable"]

JSON = str | int | float | bool | None | list[Any] | dict[str, Any]
"""A value that ``json`` can write; containers hold JSON again."""


def jsonable(value: object) -> JSON:
    """Return ``value`` as plain JSON types; raise ``TypeError`` where there is none."""
    match value:
        case None | bool() | str():
            return value
        case int():
            return int(value)
        case float():
            return float(value) if math.isfinite(value) else str(float(value))
        case Mapping():
            return {str(key): jsonable(entry) for key, entry in value.items()}
        case PathLike():
            return str(fspath(value))
        case AbstractSet():
            return sorted((jsonable(entry) for entry in value), key=str)
        case Sequence() if not isinstance(value, bytes | bytearray):
            return [jsonable(entry) for entry in value]
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {
            field.name: jsonable(getattr(value, field.name)) for field in dataclasses.fields(value)
        }

    import numpy as np  # after the plain types, so that errors and help never pay for it

    if isinstance(value, np.ndarray | np.generic):
        return jsonable(value.tolist())
    raise TypeError(f"got a {type(value).__name__}, which has no JSON form: {value!r}")


def dumps(value: object, *, indent: int | None = None) -> str:
    """Return ``value`` as strict JSON text."""
    return json.dumps(jsonable(value), indent=indent, allow_nan=False, ensure_ascii=False)
