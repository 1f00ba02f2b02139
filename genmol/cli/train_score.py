"""``genmol train score``: train a diffusion score of the Boltzmann law, resumable."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from genmol.cli.train_common import recipe_of, shown
from genmol.cli.train_score_config import Config
from genmol.core.errors import InputError
from genmol.core.files import check_writable, write_json
from genmol.core.threads import set_threads
from genmol.train.loop_recipe import LOOP_FIELDS
from genmol.train.score_recipe import ScoreRecipe

__all__ = ["Config", "run"]

if TYPE_CHECKING:
    from genmol.data.ensembles import Ensembles
    from genmol.data.frames import Frames
    from genmol.potentials.contract import Potential


def run(config: Config) -> int:
    """Run the command; returns the exit code."""
    set_threads(config.threads)
    _refuse(config)
    if config.json is not None:
        check_writable(config.json)
    if not config.data:
        from genmol.cli.train_score_loop import run_loop

        return run_loop(config)
    out = config.out or Path(f"score_{config.data[0].stem}")
    recipe = recipe_of(ScoreRecipe, config.options, file=config.recipe, out=out)
    frames = _frames(config, seed=recipe.seed)

    from genmol.train.score import train

    with shown(recipe, lambda row: f"{row['loss']:.3g}", minutes=10.0) as (_, trained):
        model = train(
            recipe,
            frames,
            out,
            resume=config.resume,
            start_from=config.from_,
            device=config.device,
            licence=config.licence,
            toy=config.toy,
            report=trained,
        )
    print(f"{model.steps} steps in {model.minutes:.1f} minutes: {model.path}")
    if config.json is not None:
        write_json(config.json, {"path": model.path, "steps": model.steps, "card": model.card})
    return 0


def _refuse(config: Config) -> None:
    """What can be said without reading anything."""
    given = sorted(
        name for name in LOOP_FIELDS if getattr(config.options, name) is not None and config.data
    )
    if given:
        raise InputError(
            got=f"--data with --{given[0].replace('_', '-')}, which is of a training without",
            wanted="one of them",
            remedy="leave --data away to train without data, --rounds and its like to train on them",
        )
    if not config.data and config.units is not None:
        raise InputError(
            got="--units without --data", wanted="a unit of data", remedy="leave it out"
        )
    for name in ("units", "temperature", "potential", "charge", "multiplicity", "smiles"):
        if config.toy is not None and getattr(config, name) is not None:
            raise InputError(
                got=f"--{name} for a toy", wanted="options that a toy has", remedy="leave it out"
            )
    if config.molecules == "many":
        for name in ("charge", "multiplicity", "smiles", "toy"):
            if getattr(config, name) is not None or not config.data:
                raise InputError(
                    got=f"--molecules many with --{name}"
                    if config.data
                    else "--molecules many alone",
                    wanted="--data with a file or folder for each molecule, which says what it is of",
                    remedy="leave --molecules out for one molecule",
                )


def _frames(config: Config, *, seed: int) -> Frames | Ensembles:
    """The data, all of them checked, with the warning of their check on stderr and noted for the card."""
    from genmol.data.ensembles import read_ensembles
    from genmol.data.frames import read_frames

    if config.molecules == "many":
        every = read_ensembles(
            config.data, units=config.units, temperature=config.temperature, seed=seed
        )
        return every.changed(
            lambda frames: _checked(config, frames).limited(config.limit, seed=seed)
        )
    frames = read_frames(
        config.data,
        units=config.units,
        temperature=config.temperature,
        charge=config.charge,
        multiplicity=config.multiplicity,
        smiles=config.smiles,
        toy=config.toy,
        limit=None if config.toy is None else config.limit,  # whose forces are not for nothing
        seed=seed,
    )
    return _checked(config, frames).limited(config.limit, seed=seed)


def _checked(config: Config, frames: Frames) -> Frames:
    """One molecule's, or points of a toy."""
    from genmol.cli.console import console
    from genmol.data.frame_checks import check_law

    warning = check_law(frames, potential=_potential(config, frames))
    if warning is not None:
        which = f"{frames.sources[0]}: " if config.molecules == "many" else ""
        console().print(f"warning: {which}{warning}.", markup=False)
    return frames.noted(warning)


def _potential(config: Config, frames: Frames) -> Potential | None:
    if config.potential is None:
        return None
    from genmol.chem.species import species_from_atoms
    from genmol.potentials.named import named

    return named(config.potential, species_from_atoms(frames.atoms(0)))()
