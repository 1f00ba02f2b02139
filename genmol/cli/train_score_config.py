"""The options of ``genmol train score``."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from genmol.cli.train_common import options_of
from genmol.data.force_units import ForceUnit
from genmol.train.loop_recipe import LoopRecipe

__all__ = ["Config"]

if TYPE_CHECKING:
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
            is to be sampled without data: gfn2, mmff94, mmff94s, FUNCTIONAL/BASIS such as
            pbe/def2-svp, or ase:MODULE:CLASS.
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
