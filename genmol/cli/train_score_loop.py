"""``genmol train score`` without data: of a toy, or of a molecule at a potential."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from genmol.cli.train_common import Row, recipe_of, shown
from genmol.cli.train_score_config import Config
from genmol.core.errors import InputError
from genmol.core.files import write_json
from genmol.train.loop_recipe import LoopRecipe

if TYPE_CHECKING:
    from genmol.train.loop_subject import Subject

__all__ = ["run_loop"]

_TEMPERATURE = 300.0


def run_loop(config: Config) -> int:
    """Run the command; returns the exit code.

    Raises:
        DeliveryError: the score is of no use, although its weights are there.
    """
    _refuse(config)
    out = config.out or Path(f"score_{_named(config)}")
    recipe = recipe_of(LoopRecipe, config.options, file=config.recipe, out=out)
    if config.limit is not None:
        recipe = recipe.changed(buffer=config.limit)
    if not recipe.rounds:
        raise InputError(
            got="neither --data nor --rounds",
            wanted="geometries with forces, or a number of rounds to train without any",
            remedy="--rounds 6; or genmol label FILE --potential gfn2 --out LABELS for forces of data",
        )
    from genmol.train.score_loop import check_loop, train_loop

    with ExitStack() as stack:
        subject = _subject(config, recipe.seed, stack)
        _, told = stack.enter_context(shown(recipe, lambda row: f"{row['loss']:.3g}", minutes=10.0))

        def report(row: Row) -> None:
            if row["kind"] != "round":
                told(row)

        model = train_loop(
            subject, recipe, out, resume=config.resume, start_from=config.from_,
            device=config.device, licence=config.licence, report=report, command=_command(config),
        )  # fmt: skip
    loop = model.card["training"]["loop"]
    print("\n".join(_lines(loop["rounds"])))
    print(
        f"{model.steps} steps in {model.minutes:.1f} minutes, {loop['energies']} energies, "
        f"{loop['gradients']} gradients: {model.path}"
    )
    if config.json is not None:
        write_json(config.json, {"path": model.path, "steps": model.steps, "card": model.card})
    check_loop(model.card)
    return 0


def _refuse(config: Config) -> None:
    """What is to be learnt must be said, once."""
    if (config.toy is None) == (config.smiles is None):
        both = config.toy is not None
        raise InputError(
            got="--toy and --smiles" if both else "no --data, no --toy and no --smiles",
            wanted="data, or one of the two to train without",
            remedy="--toy dw4 --rounds 6, or --smiles CCO --potential mmff94 --rounds 6",
        )
    if config.smiles is not None and config.potential is None:
        raise InputError(
            got=f"--smiles {config.smiles} without data and without --potential",
            wanted="what gives energies and forces",
            remedy="--potential gfn2",
        )
    if config.charge is not None:
        raise InputError(
            got=f"--charge {config.charge:+d} with a SMILES",
            wanted="the charge in the SMILES itself",
            remedy="write it as in CC(=O)[O-]",
        )


def _subject(config: Config, seed: int, stack: ExitStack) -> Subject:
    from genmol.train.loop_subject import Subject

    if config.toy is not None:
        return Subject.of_toy(config.toy, seed=seed)
    from genmol.chem.species import species_from_smiles
    from genmol.potentials.named import named
    from genmol.potentials.pool import Spread

    assert config.smiles is not None
    assert config.potential is not None
    spin = 1 if config.multiplicity is None else config.multiplicity
    species = species_from_smiles(config.smiles, multiplicity=spin)
    make = named(config.potential, species)
    # a message to another process takes longer than a force field
    workers = 1 if make().name.startswith("MMFF") else config.threads
    potential = stack.enter_context(Spread(make, workers=workers))
    temperature = _TEMPERATURE if config.temperature is None else config.temperature
    return Subject.of_molecule(species, potential, temperature=temperature, seed=seed)


def _named(config: Config) -> str:
    """The toy, or formula and potential."""
    if config.toy is not None:
        return config.toy
    from genmol.chem.species import species_from_smiles

    assert config.smiles is not None
    formula = species_from_smiles(config.smiles).formula
    return f"{formula}_{config.potential}".replace("/", "-").replace(":", "-")


def _command(config: Config) -> str:
    """That trains it again."""
    if config.toy is not None:
        return f"genmol train score --toy {config.toy}"
    warm = _TEMPERATURE if config.temperature is None else config.temperature
    spin = "" if config.multiplicity is None else f" --multiplicity {config.multiplicity}"
    return (
        f"genmol train score --smiles {config.smiles!r} --potential {config.potential} "
        f"--temperature {warm:g}{spin}"
    )


def _lines(rows: list[dict[str, Any]]) -> list[str]:
    """A table of the rounds."""
    found = [
        (
            f"{row['round']:5d}  {row['effective_share']:14.1%}  {float(row['pareto_k']):8.2f}  "
            f"{float(row.get('exponent', 'nan')):8.2f}  {row['energies']:8d}  {row['gradients']:9d}"
        )
        for row in rows
        if "paths" in row
    ]
    return ["round  effective share  Pareto k  exponent  energies  gradients", *found]
