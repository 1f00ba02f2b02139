"""``genmol train hamiltonian``: train a model of the Fock matrix, resumable."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from genmol.cli.train_common import Row, options_of, recipe_of, shown
from genmol.core.errors import InputError
from genmol.core.files import check_writable, write_json
from genmol.core.threads import set_threads
from genmol.train.fock_recipe import FockRecipe

__all__ = ["Config", "run"]

if TYPE_CHECKING:
    Options = Any
else:
    Options = options_of(FockRecipe)


@dataclass(frozen=True)
class Config:
    """Train a model of Fock matrices on labels of "genmol label"; writes its weights and card.

    A run interrupted or killed at any moment goes on when its command is repeated. Options override
    the recipe; without --recipe that of the run in --out, if there is one. Exit code 2 when the
    loss is no longer finite; the last good state is kept.

    Attributes:
        data: label folders or packed files, of closed shells at one level of theory.
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
    recipe = recipe_of(FockRecipe, config.options, file=config.recipe, out=config.out)
    for path in (*config.data, *config.calibration):
        if not path.exists():
            raise InputError(
                got=f"the data {path}, which do not exist",
                wanted="a folder of genmol label, or a packed file of labels",
                remedy=f"check the name; the current folder is {Path.cwd()}",
            )
    from genmol.train.hamiltonian import train

    def spoken(row: Row) -> str:
        return f"{1e6 * row['fock_mae']:.0f} µEh"

    with shown(recipe, spoken, minutes=60.0) as (prepared, trained):
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
