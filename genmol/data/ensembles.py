"""Ensembles: frames of several molecules under one law, a file or folder for each molecule.

>>> ensembles = read_ensembles(["labels/ethanol", "labels/glycine"])
>>> [frames.count for frames in ensembles.members]

One law means one temperature and one level of theory. Molecules may differ in everything else, and a
molecule may come in several files, the order of its atoms being that of each file.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from genmol.core.errors import InputError
from genmol.data.force_units import ForceUnit
from genmol.data.frames import Frames, read_frames

__all__ = ["Ensembles", "read_ensembles"]


@dataclass(frozen=True, eq=False)
class Ensembles:
    """Samples of several molecules.

    Attributes:
        members: of one molecule each, their weights of mean 1.
    """

    members: tuple[Frames, ...]

    @property
    def count(self) -> int:
        """Of all frames."""
        return sum(frames.count for frames in self.members)

    @property
    def temperature(self) -> float:
        """Kelvin."""
        return self.members[0].temperature

    @property
    def level(self) -> str:
        """Of theory."""
        return self.members[0].level

    @cached_property
    def sha256(self) -> str:
        """Hash of those of the members."""
        return hashlib.sha256(
            "".join(frames.sha256 for frames in self.members).encode()
        ).hexdigest()

    def changed(self, change: Callable[[Frames], Frames]) -> Ensembles:
        """With every member changed."""
        return replace(self, members=tuple(change(frames) for frames in self.members))

    def summary(self) -> dict[str, Any]:
        """What a card says of them."""
        every = [frames.summary() for frames in self.members]
        return every[0] | {
            "sha256": self.sha256,
            "frames": self.count,
            "molecules": len(every),
            "sources": [source for one in every for source in one["sources"]],
            "gradient_calls": sum(one["gradient_calls"] for one in every),
            "warnings": [
                f"{one['sources'][0]}: {warning}" for one in every for warning in one["warnings"]
            ],
        }


def read_ensembles(
    paths: Sequence[str | Path],
    *,
    units: ForceUnit | None = None,
    temperature: float | None = None,
    limit: int | None = None,
    seed: int = 0,
) -> Ensembles:
    """Read the frames of many molecules, checked.

    Args:
        paths: a file or folder for each molecule.
        units: of the forces, as :func:`genmol.data.frames.read_frames` takes them.
        temperature: Kelvin; that of the files if None, else 300.
        limit: most frames of each molecule.
        seed: of the choice.

    Raises:
        InputError: no file, or files that cannot be used or are not of one law.
    """
    if not paths:
        raise InputError(
            got="no files", wanted="geometries with forces", remedy="name some with --data"
        )
    members = [
        read_frames(path, units=units, temperature=temperature, limit=limit, seed=seed)
        for path in paths
    ]
    for name in ("temperature", "level"):
        first = getattr(members[0], name)
        for path, frames in zip(paths, members, strict=True):
            if getattr(frames, name) != first:
                raise InputError(
                    got=f"{path} at the {name} {getattr(frames, name)}, {paths[0]} at {first}",
                    wanted="samples of one law: one level of theory, one temperature",
                    remedy="train on those of one of them",
                )
    return Ensembles(tuple(members))
