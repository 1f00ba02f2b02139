"""The folder of a training run: whether one is there to go on with, and what comes out of it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from genmol.core.errors import InputError
from genmol.train.checkpoints import checkpoint_files
from genmol.train.recipe import Recipe

__all__ = ["TrainedModel", "check_run", "open_run"]


@dataclass(frozen=True)
class TrainedModel:
    """The result of a run.

    Attributes:
        path: of the weights.
        card: as written.
        steps: optimizer steps of all parts of the run.
        minutes: of all parts of the run.
        resumed_from: step at which this part began.
    """

    path: Path
    card: Mapping[str, Any]
    steps: int
    minutes: float
    resumed_from: int


def open_run(out: Path, recipe: Recipe, resume: bool) -> dict[str, Any] | None:
    """The ``run.json`` of the run in ``out`` that is to go on, or None.

    Args:
        out: folder of the run.
        recipe: that it shall go on with.
        resume: False refuses to.

    Raises:
        InputError: there is a run and it is not to go on, or not with this recipe, or is damaged.
    """
    if not checkpoint_files(out / "checkpoints"):
        return None
    if not resume:
        raise InputError(
            got=f"the folder {out} with a run in it, and --no-resume",
            wanted="an empty folder",
            remedy="leave --no-resume out to go on with it, or choose another --out",
        )
    try:
        found = json.loads((out / "run.json").read_text())
        assert isinstance(found, dict)
    except (OSError, ValueError) as error:
        raise InputError(
            got=f"the run in {out}, whose run.json cannot be read ({error})",
            wanted="a folder as genmol train wrote it",
            remedy="choose another --out",
        ) from error
    recipe.check_continues(type(recipe).load(out / "recipe.json"))
    return found


def check_run(begun: Mapping[str, Any] | None, identity: Mapping[str, Any], out: Path) -> None:
    """Refuse to go on with other data.

    Args:
        begun: the ``run.json`` of the run that is to go on, if there is one.
        identity: what this one would write there.
        out: folder of the run.

    Raises:
        InputError: they differ.
    """
    for key in ("data", "validation"):
        if begun is not None and begun.get(key) != identity[key]:
            raise InputError(
                got=f"other {key} than the run in {out} began with",
                wanted="the same labels, or another folder",
                remedy=f"choose another --out, with --from {out / 'model'} to start at its weights",
            )
