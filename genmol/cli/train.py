"""``genmol train``: train a model and write its weights, resumable."""

from __future__ import annotations

import dataclasses
import json
import typing
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from genmol.core.errors import InputError
from genmol.core.files import check_writable, write_json
from genmol.core.threads import set_threads
from genmol.train.fock_recipe import FockRecipe

__all__ = ["Config", "run"]

if TYPE_CHECKING:
    Options = Any
else:  # the fields of a recipe, each of which may be left out

    def _optional(entry: dataclasses.Field) -> tuple[str, Any, Any]:
        kind = typing.get_type_hints(FockRecipe)[entry.name]
        if entry.name in ("model", "loss"):
            pairs = Annotated[tuple[str, ...], tyro.conf.arg(metavar="NAME=VALUE ...")]
            return entry.name, pairs, ()
        return entry.name, kind | None, None

    Options = dataclasses.make_dataclass(
        "Options", [_optional(entry) for entry in dataclasses.fields(FockRecipe)], frozen=True
    )
    Options.__doc__ = FockRecipe.__doc__


@dataclass(frozen=True)
class Config:
    """Train a model on labels of "genmol label" and write its weights with their card.

    A run interrupted or killed at any moment goes on when its command is repeated. Options override
    the recipe; without --recipe that of the run in --out, if there is one. Exit code 2 when the
    loss is no longer finite; the last good state is kept.

    Attributes:
        task: what to train: hamiltonian, Fock matrices of closed shells.
        data: label folders or packed files, of one level of theory.
        out: folder of the run: recipe, checkpoints, metrics, and model.safetensors with its card.
        from_: weights to start at: a shipped name, a folder or a file; they decide the network.
        calibration: label folders or packed files of further molecules, to set the intervals with.
        recipe: JSON file as a run writes it.
        options: fields of the recipe.
        cache: folder of what is computed for each label, for several runs on the same labels;
            a folder inside --out by default.
        device: where to train.
        devices: processes, one device each.
        workers: processes that prepare the data.
        loaders: processes that prepare batches; 0 prepares them in between.
        threads: threads of the training process.
        resume: go on with a run in --out; --no-resume refuses one.
        licence: of the weights, for their card.
        json: write a summary here.
    """

    task: Annotated[Literal["hamiltonian"], tyro.conf.Positional]
    data: tuple[Path, ...]
    out: Path
    from_: Annotated[Path | None, tyro.conf.arg(name="from")] = None
    calibration: tuple[Path, ...] = ()
    recipe: Path | None = None
    options: Annotated[Options, tyro.conf.arg(name="")] = field(default_factory=Options)
    cache: Path | None = None
    device: Literal["auto", "cpu", "cuda"] = "auto"
    devices: int = 1
    workers: int = 1
    loaders: int = 0
    threads: int = 1
    resume: bool = True
    licence: str = "not stated"
    json: Path | None = None


def run(config: Config) -> int:
    """Run the command; returns the exit code."""
    set_threads(config.threads)
    for name in ("devices", "workers"):
        if getattr(config, name) < 1:
            raise InputError(
                got=f"--{name} {getattr(config, name)}",
                wanted="at least 1",
                remedy=f"--{name} 1",
            )
    if config.json is not None:
        check_writable(config.json)
    recipe = _recipe(config)
    for path in (*config.data, *config.calibration):
        if not path.exists():
            raise InputError(
                got=f"the data {path}, which do not exist",
                wanted="a folder of genmol label, or a packed file of labels",
                remedy=f"check the name; the current folder is {Path.cwd()}",
            )
    from genmol.train.hamiltonian import train

    with _shown(recipe) as (prepared, trained):
        model = train(
            recipe,
            config.data,
            config.out,
            resume=config.resume,
            start_from=config.from_,
            calibration=config.calibration,
            cache=config.cache,
            device=config.device,
            devices=config.devices,
            workers=config.workers,
            loaders=config.loaders,
            licence=config.licence,
            report=trained,
            progress=prepared,
        )
    print(f"{model.steps} steps in {model.minutes:.1f} minutes: {model.path}")
    for part in ("validation", "test"):
        if found := model.card["metrics"][part]["all"]:
            print(
                f"  {part}: Fock MAE {1e6 * found['fock_mae']:.0f} µEh, orbital gradient "
                f"{found['gradient']:.2g} Eh, wrong occupations {found['wrong']:.1%}"
            )
    if config.json is not None:
        write_json(config.json, {"path": model.path, "steps": model.steps, "card": model.card})
    return 0


def _recipe(config: Config) -> FockRecipe:
    """File or earlier run, overridden by the options that were given."""
    given = {
        entry.name: value
        for entry in dataclasses.fields(FockRecipe)
        if (value := getattr(config.options, entry.name)) not in (None, ())
    }
    earlier = config.out / "recipe.json"
    if config.recipe is not None:
        base = FockRecipe.load(config.recipe)
    else:
        base = FockRecipe.load(earlier) if earlier.exists() else FockRecipe()
    for name in ("model", "loss"):
        if name in given:
            given[name] = {**getattr(base, name), **dict(map(_pair, given[name]))}
    return base.changed(**given)


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
def _shown(recipe: FockRecipe) -> Iterator[tuple[Any, Any]]:
    """A progress bar on a terminal, fed by the two callbacks it yields; silent elsewhere."""
    from genmol.cli.console import bar

    progress = bar()
    task = progress.add_task("preparing", total=None)
    shown = {"loss": "", "validation": ""}

    def prepared(done: int, total: int) -> None:
        progress.update(task, completed=done, total=total)

    def trained(row: dict[str, Any]) -> None:
        if row["kind"] == "validation":
            shown["validation"] = f", validation {1e6 * row['fock_mae']:.0f} µEh"
        else:
            shown["loss"] = f", loss {row['loss']:.2e}"
        shares = [row["step"] / recipe.max_steps] if recipe.max_steps else []
        shares += [row["minutes"] / (recipe.max_minutes or 60.0)] if not shares else []
        if recipe.max_minutes:
            shares.append(row["minutes"] / recipe.max_minutes)
        title = f"step {row['step']}{shown['loss']}{shown['validation']}"
        progress.update(task, description=title, completed=min(1.0, max(shares)), total=1.0)

    with progress:
        yield prepared, trained
