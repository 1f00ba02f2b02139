"""``genmol train score``: train a diffusion score of the Boltzmann law, resumable."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from genmol.cli.train_common import options_of, recipe_of, shown
from genmol.core.errors import InputError
from genmol.core.files import check_writable, write_json
from genmol.core.threads import set_threads
from genmol.data.force_units import ForceUnit
from genmol.train.loop_recipe import LOOP_FIELDS, LoopRecipe
from genmol.train.score_recipe import ScoreRecipe

__all__ = ["Config", "run"]

if TYPE_CHECKING:
    from genmol.data.ensembles import Ensembles
    from genmol.data.frames import Frames
    from genmol.potentials.contract import Potential

    Options = Any
else:
    Options = options_of(LoopRecipe)


@dataclass(frozen=True)
class Config:
    """Train a score model of the Boltzmann law of one molecule on geometries with forces, or on none.

    Forces correct the shapes of basins, at the level of theory that they are of; shares of basins are
    those of the geometries. Before training, the data are checked: forces and geometries should
    belong to one law. Without --data, --rounds N trains on samples that the model makes itself, of --toy
    or of --smiles at --potential, each round corrected by weights and chains. A run interrupted or killed
    at any moment goes on when its command is repeated. Options override the recipe; without --recipe that
    of the run in --out, if there is one.

    Attributes:
        data: files of one molecule with forces (.extxyz, .npz), or label folders; with --toy points.
        out: folder of the run: recipe, checkpoints, metrics, and model.safetensors with its card;
            score_ and the name of the data, of the toy or of the molecule by default.
        limit: train on no more than these many geometries, chosen by the seed; without data the same
            as --buffer.
        temperature: of the law, Kelvin; that of the files by default, else 300.
        units: of the forces; eV/Å by default, except for files as those of MD17, which do not say it.
        potential: level of theory that the forces should be of, to compute a few of them again, or that
            is to be sampled without data: gfn2,
            mmff94, mmff94s, FUNCTIONAL/BASIS such as pbe/def2-svp, or ase:MODULE:CLASS.
        charge: e; that of the files by default, else 0.
        multiplicity: 2S+1.
        molecules: many, of --data with a file or folder for each, make a model that other molecules of
            the same elements may be drawn with; --limit holds for each.
        smiles: of the molecule, where bonds are not to be read off the geometry, or there is none.
        toy: the data are points of this density in its own units, kT = 1; forces are computed.
        from_: weights to start at: a folder or a file; they decide the network.
        recipe: JSON file as a run writes it.
        options: fields of the recipe.
        device: where to train.
        threads: threads of the training process.
        resume: go on with a run in --out; --no-resume refuses one.
        licence: of the weights, for their card.
        json: write a summary here.
    """

    data: tuple[Path, ...] = ()
    out: Path | None = None
    limit: int | None = None
    temperature: float | None = None
    units: ForceUnit | None = None
    potential: str | None = None
    charge: int | None = None
    multiplicity: int | None = None
    molecules: Literal["one", "many"] = "one"
    smiles: str | None = None
    toy: Literal["dw4", "lj13", "lj13-bgflow", "lj55", "lj55-bgflow"] | None = None
    from_: Annotated[Path | None, tyro.conf.arg(name="from")] = None
    recipe: Path | None = None
    options: Annotated[Options, tyro.conf.arg(name="")] = field(default_factory=Options)
    device: Literal["auto", "cpu", "cuda"] = "auto"
    threads: int = 1
    resume: bool = True
    licence: str = "not stated"
    json: Path | None = None


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
                    got=f"--molecules many with --{name}" if config.data else "--molecules many alone",
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
        return every.changed(lambda frames: _checked(config, frames).limited(config.limit, seed=seed))
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
