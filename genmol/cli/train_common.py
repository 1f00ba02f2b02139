"""What all tasks of ``genmol train`` share: options from a recipe's fields, the recipe, progress."""

from __future__ import annotations

import dataclasses
import json
import typing
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, TypeVar

import tyro

from genmol.core.errors import InputError
from genmol.train.recipe import Recipe

__all__ = ["Row", "options_of", "recipe_of", "shown"]

Kind = TypeVar("Kind", bound=Recipe)
Row = Mapping[str, Any]


def options_of(kind: type[Recipe]) -> type:
    """A dataclass with the fields of a recipe, each of which may be left out."""
    hints = typing.get_type_hints(kind)
    pairs = Annotated[tuple[str, ...], tyro.conf.arg(metavar="NAME=VALUE ...")]
    found: list[tuple[str, Any, Any]] = [
        (name, pairs, ()) if name in _mappings(kind) else (name, hints[name] | None, None)
        for name in (entry.name for entry in dataclasses.fields(kind))
    ]
    # tyro looks for what an option means in the docstrings of all bases
    bases = tuple(
        type(base.__name__, (), {"__doc__": base.__doc__})
        for base in kind.__mro__[1:]
        if dataclasses.is_dataclass(base)
    )
    options = dataclasses.make_dataclass("Options", found, bases=bases, frozen=True)
    options.__doc__ = kind.__doc__
    return options


def recipe_of(kind: type[Kind], options: Any, *, file: Path | None, out: Path) -> Kind:
    """The recipe in ``file``, or of the run in ``out``, or the default, with the options given.

    Args:
        kind: of the task.
        options: of the dataclass that :func:`options_of` makes.
        file: as a run writes it.
        out: folder of the run.
    """
    given = {
        entry.name: value
        for entry in dataclasses.fields(kind)
        if (value := getattr(options, entry.name)) not in (None, ())
    }
    if file is None and (out / "recipe.json").exists():
        file = out / "recipe.json"
    base = kind() if file is None else kind.load(file)
    for name in _mappings(kind) & given.keys():
        given[name] = {**getattr(base, name), **dict(map(_pair, given[name]))}
    return base.changed(**given)


def _mappings(kind: type[Recipe]) -> set[str]:
    """Fields that hold named settings."""
    hints = typing.get_type_hints(kind)
    return {
        entry.name
        for entry in dataclasses.fields(kind)
        if typing.get_origin(hints[entry.name]) is Mapping
    }


def _pair(text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise InputError(
            got=f"the setting {text!r}", wanted="NAME=VALUE", remedy="--model channels=32 layers=3"
        )
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value


@contextmanager
def shown(
    recipe: Recipe, spoken: Callable[[Row], str], *, minutes: float
) -> Iterator[tuple[Any, Any]]:
    """A progress bar on a terminal, fed by the two callbacks it yields; silent elsewhere.

    Args:
        recipe: whose limits make the end of the bar.
        spoken: what to say of a validation.
        minutes: of a run whose recipe sets no limit.

    Yields:
        One that takes the numbers of examples prepared and of all, and one that takes a line of the
        metrics.
    """
    from genmol.cli.console import bar

    progress = bar()
    task = progress.add_task("preparing", total=None)
    latest = {"loss": "", "validation": ""}

    def prepared(done: int, total: int) -> None:
        progress.update(task, completed=done, total=total)

    def trained(row: Row) -> None:
        if row["kind"] == "validation":
            latest["validation"] = f", validation {spoken(row)}"
        else:
            latest["loss"] = f", loss {row['loss']:.2e}"
        shares = [row["step"] / recipe.max_steps] if recipe.max_steps else []
        shares += [row["minutes"] / (recipe.max_minutes or minutes)] if not shares else []
        if recipe.max_minutes:
            shares.append(row["minutes"] / recipe.max_minutes)
        title = f"step {row['step']}{latest['loss']}{latest['validation']}"
        progress.update(task, description=title, completed=min(1.0, max(shares)), total=1.0)

    with progress:
        yield prepared, trained
