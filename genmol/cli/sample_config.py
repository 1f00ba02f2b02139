"""The options of ``genmol sample``, and what can be said of them before anything is read."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from genmol.core.errors import InputError

__all__ = ["Config", "refuse"]

Toy = Literal[
    "gaussian", "mixture", "double-well", "double-well-10d", "many-well", "two-basins", "dw4",
    "lj13", "lj13-bgflow", "lj55", "lj55-bgflow",
]  # fmt: skip


@dataclass(frozen=True)
class Config:
    """Draw conformers from the Boltzmann law, with populations, error bars and a certificate.

    Writes conformers.sdf and conformers.extxyz (exactly -n of equal weight), basins.csv, draws.npz,
    certificate.json and report.html. Exit code 0 when the certificate holds or warns, 3 when it fails
    or the run could not deliver, 2 for bad input. A run killed at any moment goes on with --resume.

    With --toy a model density is sampled instead of a molecule; with --check FILE nothing is sampled,
    and the samples in the file (.extxyz, .sdf; .npy, .npz for toys) are certified.

    Attributes:
        input: SMILES, or a structure file (.xyz, .extxyz, .sdf, .mol).
        out: folder of the results; named after molecule, potential and temperature by default.
        n: conformers to deliver.
        temperature: Kelvin, 300 by default; of a toy in its own unit, 1 by default.
        potential: gfn2, mmff94, mmff94s, FUNCTIONAL/BASIS such as pbe/def2-svp, or ase:MODULE:CLASS.
        options: further arguments of the potential as JSON, such as '{"accuracy": 0.01}'.
        solvent: implicit solvent of gfn2 (ALPB) or of a density functional (IEF-PCM).
        charge: of a structure file that does not say it.
        multiplicity: 2S+1.
        from_: ensemble (.xyz, .extxyz, .sdf) of the same molecule, such as one of CREST, to begin with;
            its conformers' weights are written to given.csv.
        undefined_stereo: of a SMILES that is several stereoisomers: refuse it, or sample each of them
            in a folder of its own.
        method: parallel tempering, delayed acceptance with a cheaper potential, a learnt difference
            to a cheaper potential (few calls of a density functional), sequential Monte Carlo, hmc
            (toys), or psm: draws of a trained score, corrected by weights; auto takes the cheapest by
            measured cost and says why.
        model: of psm and auto: folder or file of genmol train score; by default one that comes with
            genmol.
        cheap: potential that proposes under delayed acceptance; chosen by cost, none with "none".
        budget: after which sampling ends: calls of the potential (20000) or time (90s, 5min, 1h).
        effective: draws that all runs together shall be worth; -n by default.
        toy: density to sample or to check against.
        check: file with samples to certify.
        seed: of everything that is random.
        workers: processes that compute the potential, and paths of a trained score; every core by
            default.
        threads: threads of the main process.
        resume: go on with an interrupted run.
    """

    input: Annotated[str | None, tyro.conf.Positional] = None
    out: Path | None = None
    n: Annotated[int, tyro.conf.arg(aliases=["-n"])] = 500
    temperature: float | None = None
    potential: str = "gfn2"
    options: str | None = None
    solvent: str | None = None
    charge: int | None = None
    multiplicity: int | None = None
    from_: Annotated[Path | None, tyro.conf.arg(name="from")] = None
    undefined_stereo: Literal["refuse", "enumerate"] = "refuse"
    method: Literal["auto", "tempering", "delayed", "difference", "smc", "hmc", "psm"] = "auto"
    model: Path | None = None
    cheap: str | None = None
    budget: str | None = None
    effective: float | None = None
    toy: Toy | None = None
    check: Path | None = None
    seed: int = 0
    workers: int | None = None
    threads: int = 1
    resume: bool = False


def refuse(config: Config) -> None:
    """What can be said without reading anything."""
    given = {"a SMILES or file": config.input, "--toy": config.toy, "--check": config.check}
    named = [name for name, value in given.items() if value is not None]
    if not named or {"a SMILES or file", "--toy"} <= set(named):
        raise InputError(
            got=" and ".join(named) or "nothing to sample",
            wanted="one of a SMILES, a structure file, --toy NAME, or --check FILE",
            remedy='genmol sample "OCC(O)CO", or genmol sample --toy lj13',
        )
    if config.n < 1:
        raise InputError(
            got=f"-n {config.n}", wanted="at least 1", remedy="leave it out for 500 conformers"
        )
    if config.temperature is not None and not 0 < config.temperature < float("inf"):
        raise InputError(
            got=f"--temperature {config.temperature:g}",
            wanted="more than zero: Kelvin, or the unit of the toy",
            remedy="leave it out for 300 K",
        )
    if config.workers is not None and config.workers < 1:
        raise InputError(
            got=f"--workers {config.workers}",
            wanted="at least 1",
            remedy="leave it out to use every core",
        )
    of_molecules = ("from_", "solvent", "charge", "multiplicity", "cheap", "options")
    if config.toy is not None:
        for name in of_molecules:
            if getattr(config, name) is not None:
                raise InputError(
                    got=f"--{name.strip('_').replace('_', '-')} for a toy",
                    wanted="options that a density has",
                    remedy="leave it out",
                )
    if config.toy is None and config.method == "hmc":
        raise InputError(
            got="--method hmc for a molecule",
            wanted="auto, tempering, delayed, smc or psm",
            remedy="hmc without jumps stays in the basin where it begins: leave --method away",
        )
    if config.toy is not None and config.method in ("delayed", "difference", "smc"):
        raise InputError(
            got=f"--method {config.method} for a toy",
            wanted="auto, hmc, tempering or psm",
            remedy="leave --method away",
        )
    if config.model is not None and config.method not in ("auto", "psm"):
        raise InputError(
            got=f"--model with --method {config.method}",
            wanted="a trained score for the method that uses one",
            remedy="--method psm, or auto",
        )
