"""Solved molecules to compare with: computed by the solver when first asked for, then kept.

What is kept depends on nothing but geometry, level and versions, so that another model, a resumed run
and a second process beside it find the same files. Times are never kept.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float

from genmol.core.environment import package_version
from genmol.core.files import atomic_path, write_json
from genmol.core.units import HARTREE_TO_EV
from genmol.qc import baselines
from genmol.qc.exact import fast_quadrature
from genmol.qc.label import pack, unpack
from genmol.qc.problem import Problem
from genmol.qc.properties import orbitals_placed, summary
from genmol.scf.certified import mean_field, solve
from genmol.scf.settings import Settings

if TYPE_CHECKING:
    from genmol.benchmark.held_out import Geometry

__all__ = ["LEVEL", "Levels", "Reference", "References", "levels_of"]

LEVEL = Settings(guess="cheap-scf", conv_tol=1e-11)
"""B3LYP/def2-SVP, converged until ``|g|`` is below 3e-6 Hartree."""


@dataclass(frozen=True)
class Levels:
    """What a user reads off a solved, predicted or cheaply solved molecule.

    Attributes:
        homo, lumo, gap: eV.
        dipole: Debye, (3,), frame of the input.
    """

    homo: float
    lumo: float
    gap: float
    dipole: tuple[float, ...]

    def errors(self, true: Levels) -> dict[str, float]:
        """Signed errors in meV and Debye; of the dipole's length, and the length of its error."""
        found, wanted = np.array(self.dipole), np.array(true.dipole)
        return {
            "homo_mev": 1e3 * (self.homo - true.homo),
            "lumo_mev": 1e3 * (self.lumo - true.lumo),
            "gap_mev": 1e3 * (self.gap - true.gap),
            "dipole_debye": float(np.linalg.norm(found) - np.linalg.norm(wanted)),
            "dipole_vector_debye": float(np.linalg.norm(found - wanted)),
        }


def levels_of(mf: Any, energy: np.ndarray, coeff: np.ndarray, n_occupied: int) -> Levels:
    """Levels (from Hartree) and dipole of these orbitals; ``mf`` is not changed."""
    found = summary(orbitals_placed(mf, energy, coeff, n_occupied))
    homo, lumo = (float(e) * HARTREE_TO_EV for e in energy[n_occupied - 1 : n_occupied + 1])
    return Levels(homo, lumo, lumo - homo, tuple(found["dipole_debye"]))


@dataclass(frozen=True, eq=False)
class Reference:
    """A converged closed-shell molecule, matrices in PySCF's order.

    Attributes:
        fock: Hartree.
        overlap: S.
        energies: of the orbitals, ascending, Hartree.
        coefficients: S-orthonormal, one orbital a column.
        n_occupied: doubly occupied orbitals.
        energy: total, Hartree.
        levels: frontier levels and dipole.
    """

    fock: Float[np.ndarray, "n n"]
    overlap: Float[np.ndarray, "n n"]
    energies: Float[np.ndarray, "n"]
    coefficients: Float[np.ndarray, "n n"]
    n_occupied: int
    energy: float
    levels: Levels


class References:
    """Reference solutions and the counts of plain PySCF, by geometry.

    Args:
        folder: where they are kept; None keeps nothing.
    """

    def __init__(self, folder: Path | None) -> None:
        self.folder = folder

    def solution(self, geometry: Geometry) -> Reference:
        """The converged molecule."""
        mf = mean_field(geometry.atoms, LEVEL)
        path = None if self.folder is None else self.folder / f"{_digest(geometry)}.npz"
        if path is not None and path.exists():
            with np.load(path, allow_pickle=False) as kept:
                return _reference(mf, unpack(kept["fock"]), float(kept["energy"]))
        solved = solve(mf, LEVEL)
        assert solved.report.energy_hartree is not None, f"{geometry.key} did not converge"
        with fast_quadrature(mf):
            fock = np.asarray(mf.get_fock(dm=mf.make_rdm1()))
        energy = solved.report.energy_hartree
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            with atomic_path(path) as temporary, temporary.open("wb") as file:
                np.savez(file, fock=pack(fock), energy=energy)
        return _reference(mean_field(geometry.atoms, LEVEL), fock, energy)

    def plain(self, geometry: Geometry, guess: str) -> dict[str, Any]:
        """Exact Fock builds, cycles, energy and convergence of plain PySCF from one of its guesses."""
        name = f"{_digest(geometry)}.{guess}.json"
        path = None if self.folder is None else self.folder / name
        if path is not None and path.exists():
            return dict(json.loads(path.read_text()))
        found = counts(baselines.watch(mean_field(geometry.atoms, Settings()), guess=guess))
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_json(path, found)
        return found


def counts(run: baselines.Watched) -> dict[str, Any]:
    """What is compared of a run of plain PySCF."""
    return {
        "exact_fock_builds": run.exact_fock_builds,
        "cycles": run.cycles,
        "energy_hartree": run.energy_hartree,
        "converged": run.converged,
    }


def _reference(mf: Any, fock: np.ndarray, energy: float) -> Reference:
    problem = Problem(mf)
    orbitals = problem.diagonalise(fock)
    n = int(mf.mol.nelectron) // 2
    levels = levels_of(mf, orbitals.energy, orbitals.coeff, n)
    return Reference(fock, problem.overlap, orbitals.energy, orbitals.coeff, n, energy, levels)


def _digest(geometry: Geometry) -> str:
    """Of everything that a reference depends on."""
    atoms = geometry.atoms
    text = f"{LEVEL.xc}/{LEVEL.basis} {LEVEL.conv_tol} pyscf {package_version('pyscf')} "
    text += f"{atoms.numbers.tolist()} {np.round(atoms.positions, 8).tolist()}"
    return hashlib.sha256(text.encode()).hexdigest()[:20]
