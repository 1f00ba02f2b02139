"""The files of a sampled molecule: conformers, basins, all draws, certificate.

========================  ==========================================================================
file                      content
========================  ==========================================================================
``conformers.sdf``        n conformers with ``weight``, ``energy_ev``, ``relative_energy_kcal_mol``,
                          ``basin``, ``run``
``conformers.extxyz``     the same with charge, multiplicity and SMILES
``basins.csv``            population and free energy of each basin with intervals of 95 %
``draws.npz``             all draws: positions (Å), energies (eV), weights, run, basin
``certificate.json``      verdict, checks, calls, ledger, record
``given.csv``             of conformers that a file gave: basin, its population, and their weights:
                          a basin's population is shared out by the Boltzmann factors of those in it
========================  ==========================================================================

Weights have the mean 1: a set of equal weights has 1 throughout.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from ase import Atoms

from genmol.boltzmann.observables import StateOf
from genmol.boltzmann.sampled import Given, Sampled
from genmol.chem.sdf import write_conformers
from genmol.core.files import atomic_path, atomic_write_text, write_json
from genmol.core.structure import write_extxyz
from genmol.core.units import EV_TO_KCAL_MOL, KB

__all__ = ["write_basins", "write_outputs"]


def write_outputs(sampled: Sampled, folder: Path) -> None:
    """All files but the report, each whole or not at all; ``certificate.json`` comes last.

    Args:
        sampled: what to write.
        folder: exists.
    """
    chosen, labels = sampled.delivered.ensemble, sampled.delivered_labels
    weights = (chosen.weights * chosen.count).tolist()
    energies = chosen.energies
    relative = ((energies - sampled.ensemble.energies.min()) * EV_TO_KCAL_MOL).tolist()
    positions = chosen.positions.numpy()
    write_conformers(
        folder / "conformers.sdf",
        sampled.species.mol,
        positions,
        name=sampled.species.name,
        properties={
            "weight": [f"{w:.6g}" for w in weights],
            "energy_ev": [f"{e:.8f}" for e in energies.tolist()],
            "relative_energy_kcal_mol": [f"{e:.4f}" for e in relative],
            "basin": [str(b) for b in labels.tolist()],
            "run": [str(r) for r in chosen.run.tolist()],
        },
    )

    def frame(k: int) -> Atoms:
        atoms = sampled.species.atoms(positions[k])
        atoms.info |= {
            "REF_energy": float(energies[k]),
            "weight": weights[k],
            "basin": int(labels[k]),
            "run": int(chosen.run[k]),
            "temperature_kelvin": sampled.ensemble.temperature,
        }
        return atoms

    write_extxyz(folder / "conformers.extxyz", map(frame, range(chosen.count)))
    write_basins(sampled.certificate.observables.states, folder / "basins.csv")
    if sampled.given is not None:
        _write_csv(folder / "given.csv", _given_rows(sampled, sampled.given))
    everything = sampled.ensemble
    with atomic_path(folder / "draws.npz") as temporary, temporary.open("wb") as handle:
        np.savez_compressed(
            handle,
            positions=everything.positions.numpy(),
            energies=everything.energies.numpy(),
            weights=(everything.weights * everything.count).numpy(),
            run=everything.run.numpy(),
            basin=sampled.labels,
            numbers=sampled.species.numbers,
            smiles=np.array(sampled.species.smiles),
        )
    write_json(folder / "certificate.json", sampled.certificate.to_dict())


def write_basins(states: Sequence[StateOf], path: Path, *, unit: str = "kcal_mol") -> None:
    """Populations and free energies with their intervals of 95 %, most populated basin first.

    Args:
        states: basins.
        path: of the CSV file.
        unit: of the free energies, for the head of the column.
    """
    head = [
        "basin", "population", "population_low", "population_high", f"free_energy_{unit}",
        f"free_energy_{unit}_low", f"free_energy_{unit}_high", "n_effective", "torsions_degrees",
    ]  # fmt: skip
    rows = [
        [
            str(k),
            *(f"{p:.6f}" for p in (s.population.value, s.population.low, s.population.high)),
            *(f"{f:.4f}" for f in (s.free_energy.value, s.free_energy.low, s.free_energy.high)),
            f"{s.effective:.0f}",
            s.name,
        ]
        for k, s in enumerate(states)
    ]
    _write_csv(path, [head, *rows])


def _given_rows(sampled: Sampled, given: Given) -> list[list[str]]:
    """What a file's conformers stand for: their basins, and their shares of these by energy."""
    states = sampled.certificate.observables.states
    kT = KB * sampled.ensemble.temperature
    factor = np.exp(-(given.energies - given.energies.min()) / kT)
    rows = [["conformer", "basin", "basin_population", "weight"]]
    for k, b in enumerate(given.labels.tolist()):
        known = 0 <= b < len(states)
        population = states[b].population.value if known else 0.0
        share = factor[k] / factor[given.labels == b].sum()
        rows.append([str(k), str(b), f"{population:.6f}", f"{population * share:.6f}"])
    return rows


def _write_csv(path: Path, rows: Sequence[Sequence[str]]) -> None:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    atomic_write_text(path, text.getvalue())
