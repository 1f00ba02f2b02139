"""``genmol sample`` of molecules: read, sample, write, say."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from genmol.cli.console import console
from genmol.cli.sample_common import CHECKPOINT, parsed_budget, prepared, showing
from genmol.cli.sample_config import Config
from genmol.core.errors import InputError

if TYPE_CHECKING:
    import numpy as np

    from genmol.boltzmann.conformer_job import Request
    from genmol.boltzmann.sampled import Sampled
    from genmol.chem.species import Species
    from genmol.potentials.contract import Potential

__all__ = ["options_of", "sample_input", "species_of"]

_SUFFIXES = (".xyz", ".extxyz", ".sdf", ".mol")
_SHOWN = 8  # basins on the screen; basins.csv has all


def sample_input(config: Config) -> int:
    """Sample what the command line names; returns the exit code, the worst of several isomers."""
    found = species_of(config)
    codes = []
    for k, (species, given) in enumerate(found, start=1):
        out = config.out or Path(_folder_name(species, config))
        codes.append(_one(config, species, given, out if len(found) == 1 else out / f"isomer-{k}"))
    return max(codes)


def species_of(config: Config) -> list[tuple[Species, np.ndarray | None]]:
    """The molecules of the input, each with the conformers that it came with.

    Raises:
        InputError: it cannot be read, or is refused for a reason.
    """
    from genmol.chem.species import species_from_file, species_from_smiles, stereoisomers

    assert config.input is not None
    text, given = config.input, None
    if Path(text).suffix.lower() in _SUFFIXES or Path(text).exists():
        species, given = species_from_file(
            text, charge=config.charge, multiplicity=config.multiplicity
        )
        found = [species]
    else:
        if config.charge is not None:
            raise InputError(
                got=f"--charge {config.charge:+d} with the SMILES {text!r}",
                wanted="the charge in the SMILES itself",
                remedy="write it as in CC(=O)[O-]",
            )
        spin = 1 if config.multiplicity is None else config.multiplicity
        if config.undefined_stereo == "enumerate":
            found = list(stereoisomers(text, multiplicity=spin))
        else:
            found = [species_from_smiles(text, multiplicity=spin)]
    if config.from_ is not None:
        return [_ensemble(config, found)]
    return [(species, given) for species in found]


def _ensemble(config: Config, found: Sequence[Species]) -> tuple[Species, np.ndarray]:
    """The molecule with its atoms in the order of --from, and the conformers there."""
    from genmol.chem.species import species_from_file

    assert config.from_ is not None
    if len(found) > 1:
        raise InputError(
            got="--from with several stereoisomers",
            wanted="one molecule",
            remedy="give the SMILES of one of them",
        )
    other, positions = species_from_file(
        config.from_, charge=found[0].charge, multiplicity=found[0].multiplicity
    )
    if other.smiles != found[0].smiles:
        raise InputError(
            got=f"conformers of {other.smiles} in {config.from_} for {found[0].smiles}",
            wanted="the same stereoisomer",
            remedy="compare the two, or give the file alone",
        )
    return other, positions


def _one(config: Config, species: Species, given: np.ndarray | None, out: Path) -> int:
    from genmol.boltzmann.choice import Choice
    from genmol.boltzmann.conformer_job import sample_molecule
    from genmol.boltzmann.forecast import Forecast
    from genmol.boltzmann.outputs import write_outputs
    from genmol.boltzmann.score_files import score_for_molecule, shipped_score
    from genmol.boltzmann.settings import Stage
    from genmol.core.threads import available_cores
    from genmol.report.conformers import write_report

    request = _request(config)
    forecast = Forecast(float("inf"), request.goal, request.seconds)
    with ExitStack() as stack:
        potential, cheaper = _potentials(config, species, stack)
        score = None
        if config.method == "psm" or config.model is not None:
            score = score_for_molecule(species, config.model)
        elif config.method == "auto":
            warm = request.temperature
            score = shipped_score(species, temperature=warm, level=potential.level)
        if score is not None and (warning := score.warning(potential.name)) is not None:
            console().print(f"warning: {warning}.", markup=False)
        folder = prepared(out, resume=config.resume)
        show = stack.enter_context(showing(species.formula))

        def chosen(choice: Choice) -> None:
            forecast.expected = choice.expected

        def progress(stage: Stage) -> None:
            worth = "" if stage.effective is None else f", {stage.effective:.0f} effective draws"
            doing = f"{stage.name} {stage.done}/{stage.total}{worth}"
            show(doing, stage.seconds, forecast.left(stage))

        sampled = sample_molecule(
            species, potential, request=request, cheaper=cheaper, given=given, score=score,
            workers=config.workers or available_cores(), folder=folder / CHECKPOINT,
            progress=progress, chosen=chosen,
        )  # fmt: skip
    write_report(sampled, folder / "report.html")
    write_outputs(sampled, folder)
    shutil.rmtree(folder / CHECKPOINT)
    print("\n".join(_lines(sampled, out)))
    stopped = sampled.ensemble.stopped
    if stopped == "potential":
        print(f"stopped: {potential.name} gave no energies any more ({sampled.ensemble.trouble})")
        return 3
    return sampled.certificate.exit_code


def _request(config: Config) -> Request:
    from genmol.boltzmann.conformer_job import Request

    calls, seconds = parsed_budget(config.budget)
    assert config.method != "hmc"
    return Request(
        n=config.n,
        temperature=300.0 if config.temperature is None else config.temperature,
        method=config.method,
        effective=config.effective,
        calls=calls,
        seconds=seconds,
        seed=config.seed,
    )


def _potentials(
    config: Config, species: Species, stack: ExitStack
) -> tuple[Potential, list[Potential]]:
    """The one that decides, spread over processes, and those that may propose."""
    from genmol.core.threads import available_cores
    from genmol.potentials.named import Make, cheaper, named
    from genmol.potentials.pool import Spread

    workers = config.workers or available_cores()
    make = named(config.potential, species, solvent=config.solvent, options=options_of(config))
    if config.cheap is None:
        others = cheaper(config.potential, species, solvent=config.solvent)
    elif config.cheap == "none":
        others = []
    else:
        others = [named(config.cheap, species)]

    def spread(one: Make) -> Potential:
        # a message to another process takes longer than a force field
        cheap = one().name.startswith("MMFF")
        return stack.enter_context(Spread(one, workers=1 if cheap else workers))

    return spread(make), [spread(one) for one in others]


def options_of(config: Config) -> Mapping[str, Any] | None:
    """``--options``.

    Raises:
        InputError: no JSON object.
    """
    if config.options is None:
        return None
    try:
        found = json.loads(config.options)
    except json.JSONDecodeError as error:
        found = str(error)
    if not isinstance(found, dict):
        raise InputError(
            got=f"--options {config.options!r} ({found})",
            wanted="an object in JSON",
            remedy="""--options '{"accuracy": 0.01}'""",
        )
    return found


def _folder_name(species: Species, config: Config) -> str:
    given = Path(config.input or "")
    name = given.stem if given.suffix.lower() in _SUFFIXES else species.formula
    warm = 300.0 if config.temperature is None else config.temperature
    parts = [name, config.potential, *([config.solvent] if config.solvent else []), f"{warm:g}K"]
    return re.sub(r"[^\w.+-]+", "-", "_".join(parts))


def _lines(sampled: Sampled, out: Path) -> list[str]:
    """What a person wants to know first."""
    certificate, ensemble = sampled.certificate, sampled.ensemble
    observables = certificate.observables
    worth = f"worth {certificate.n_effective:.0f} (limited by {observables.limited_by})"
    lines = [
        (
            f"{sampled.species.name}: {sampled.species.formula}, {sampled.species.smiles}, at "
            f"{ensemble.temperature:g} K with {ensemble.potential}"
        ),
        f"method      {sampled.choice}",
        (
            f"draws       {ensemble.count} from {ensemble.runs} runs, {worth}; ended by "
            f"{ensemble.stopped}"
        ),
        (
            f"calls       {certificate.energy_calls} energies, {certificate.gradient_calls} gradients in "
            f"{certificate.seconds:.0f} s, all included"
        ),
        "",
        "basin   population (95 %)          free energy (kcal/mol)    torsions (degrees)",
    ]
    states = observables.states
    for k, state in enumerate(states[:_SHOWN]):
        p, f = state.population, state.free_energy
        lines.append(
            f"{k:5d}   {100 * p.value:5.1f} % ({100 * p.low:.1f} to {100 * p.high:.1f})".ljust(35)
            + f"{f.value:.2f} ({f.low:.2f} to {f.high:.2f})".ljust(26)
            + state.name
        )
    if rest := states[_SHOWN:]:
        share = 100 * sum(state.population.value for state in rest)
        lines.append(f"        and {len(rest)} more with {share:.1f} % together, in basins.csv")
    lines += ["", certificate.table(), f"files: {out}/"]
    return lines
