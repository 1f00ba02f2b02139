"""``genmol sample --check``: certify samples that somebody else has drawn."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from genmol.cli.sample_common import parsed_budget
from genmol.cli.sample_config import Config
from genmol.core.errors import InputError

if TYPE_CHECKING:
    import numpy as np

    from genmol.boltzmann.check import Checked

__all__ = ["check"]


def check(config: Config) -> int:
    """Certify the samples of a file; returns the exit code."""
    from genmol.core.files import check_readable, write_json

    assert config.check is not None
    check_readable(config.check)
    for name in ("from_", "cheap", "effective"):
        if getattr(config, name) is not None:
            raise InputError(
                got=f"--{name.strip('_')} with --check",
                wanted="options of a check",
                remedy="leave it out",
            )
    found = _toy(config) if config.toy is not None else _molecule(config)
    certificate = found.certificate
    print(f"{config.check}: {len(found.looked_at)} samples looked at")
    print(
        f"calls: {certificate.energy_calls} energies, {certificate.gradient_calls} gradients in "
        f"{certificate.seconds:.0f} s\n"
    )
    print(certificate.table())
    if config.out is not None:
        config.out.mkdir(parents=True, exist_ok=True)
        write_json(config.out / "certificate.json", certificate.to_dict())
        print(f"files: {config.out}/")
    return certificate.exit_code


def _molecule(config: Config) -> Checked:
    from genmol.boltzmann.check import Evidence, check_samples
    from genmol.boltzmann.systems import System
    from genmol.chem.species import species_from_file, species_from_smiles
    from genmol.chem.structures import read_any
    from genmol.cli.sample_molecule import options_of
    from genmol.core.threads import available_cores
    from genmol.potentials.named import named
    from genmol.potentials.pool import Spread

    assert config.check is not None
    species, positions = species_from_file(
        config.check, charge=config.charge, multiplicity=config.multiplicity
    )
    if config.input is not None:
        wanted = species_from_smiles(config.input)
        if wanted.smiles != species.smiles:
            raise InputError(
                got=f"samples of {species.smiles} for {wanted.smiles}",
                wanted="samples of the molecule named",
                remedy="leave the SMILES away: it is read from the file",
            )
    frames = read_any(config.check)
    make = named(config.potential, species, solvent=config.solvent, options=options_of(config))
    calls, _ = parsed_budget(config.budget)
    with Spread(make, workers=config.workers or available_cores()) as potential:
        return check_samples(
            positions,
            System.of(potential, config.temperature or 300.0, species=species),
            weights=_column([atoms.info for atoms in frames], "weight"),
            runs=_column([atoms.info for atoms in frames], "run"),
            evidence=Evidence(energies=_column([atoms.info for atoms in frames], "REF_energy")),
            gradients=calls or _affordable(potential.name),
            seed=config.seed,
        )


def _affordable(name: str) -> int | None:
    """Gradients of a check: minutes with GFN2, an hour or so with a density functional."""
    return None if name.startswith("MMFF") else 20_000 if name.startswith("GFN2") else 2_000


def _column(infos: list[dict[str, Any]], name: str) -> list[float] | None:
    """A number of every frame; None where none has it.

    Raises:
        InputError: some have it and some do not.
    """
    found = [info.get(name) for info in infos]
    if all(value is None for value in found):
        return None
    try:
        return [float(value) for value in found]  # type: ignore[arg-type]
    except (TypeError, ValueError) as error:
        raise InputError(
            got=f"{name} of some frames that is no number ({error})",
            wanted=f"{name}=NUMBER in the comment of every frame, or of none",
            remedy="write it for all frames, or remove it",
        ) from error


def _toy(config: Config) -> Checked:
    from genmol.boltzmann.check import Evidence, check_samples
    from genmol.boltzmann.systems import System
    from samplers.toys import TOYS

    assert config.check is not None
    assert config.toy is not None
    content = _arrays(config.check)
    toy = TOYS[config.toy]()
    calls, _ = parsed_budget(config.budget)
    x, shape = content["positions"], toy.space.shape
    if x[:1].size == math.prod(shape):  # rows of numbers
        x = x.reshape(-1, *shape)
    return check_samples(
        x,
        System.of(toy, config.temperature or 1.0),
        weights=content.get("weights"),
        runs=content.get("run"),
        evidence=Evidence(energies=content.get("energies")),
        gradients=calls,
        seed=config.seed,
    )


def _arrays(path: Path) -> dict[str, np.ndarray]:
    """Samples of a file, and what came with them."""
    import numpy as np

    if path.suffix == ".npy":
        return {"positions": np.load(path, allow_pickle=False)}
    if path.suffix == ".npz":
        with np.load(path, allow_pickle=False) as file:
            content = dict(file)
        if "positions" not in content:
            raise InputError(
                got=f"{path} with {', '.join(content) or 'nothing'}",
                wanted="an array called positions, (samples, ...)",
                remedy="save it as np.savez(file, positions=x)",
            )
        return content
    from genmol.core.structure import read_structures

    return {"positions": np.stack([atoms.positions for atoms in read_structures(path)])}
