"""Every way to start or solve, on the same held-out molecules: unlearned and learned side by side.

The matrix of a way is what its first orbitals come from: the exact Fock matrix of a starting density,
the predicted one, or the converged one of the cheap level. Its ``|g|`` is that of those orbitals at the
exact level.
"""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING, Any

import numpy as np

from genmol.benchmark.fock_accuracy import fock_errors
from genmol.qc import baselines
from genmol.qc.cheap import CheapLevel
from genmol.qc.exact import ExactLevel, fast_quadrature
from genmol.qc.guess import guess
from genmol.qc.inner import History
from genmol.qc.problem import Orbitals, Problem
from genmol.qc.two_level import Tactics, cheap_orbitals
from genmol.scf.certified import mean_field, solve
from genmol.scf.settings import Settings

if TYPE_CHECKING:
    from genmol.benchmark.held_out import Geometry
    from genmol.benchmark.references import Reference, References
    from genmol.scf.learned import LearnedModel

__all__ = ["ladder_row"]

Row = dict[str, Any]


def ladder_row(
    geometry: Geometry, references: References, model: LearnedModel, model_name: str
) -> dict[str, Row]:
    """Way -> counts, processor seconds, and errors of the matrix it starts from."""
    true = references.solution(geometry)
    judge = _Judge(geometry, true)
    rows = {
        name: _pyscf(geometry, true, guess=name) | judge.density(name) for name in baselines.GUESSES
    }
    mf = mean_field(geometry.atoms, Settings())
    answer = model.predict(mf)
    kind = "flow" if model.network.config.flow else "regression"
    of_model = judge.matrix(answer.fock, answer.energies, answer.coefficients)
    spent = float(sum(answer.seconds))
    hidden = int(model.start == "minao")
    rows[f"learned {kind}, no SCF"] = {
        "exact_fock_builds": 0,
        "cheap_fock_builds": hidden,
        "cycles": 0,
        "cpu_seconds": spent,
        "energy_error_hartree": of_model.pop("energy_error_hartree"),
        "orbital_gradient_norm": of_model["gradient"],
        "converged": False,
        **of_model,
    }
    rows["learned + plain PySCF"] = _pyscf(geometry, true, density=answer.density) | of_model
    rows["learned + plain PySCF"]["cpu_seconds"] += spent
    rows["learned + plain PySCF"]["cheap_fock_builds"] = hidden
    rows["oracle density"] = _pyscf(
        geometry, true, density=2 * true.coefficients[:, : true.n_occupied]
        @ true.coefficients[:, : true.n_occupied].T,
    )  # fmt: skip
    cheap = judge.cheap()
    rows["cheap SCF + plain"] = _ours(geometry, true, Settings(mode="pyscf", guess="cheap-scf"))
    rows["cheap SCF + plain"] |= cheap
    rows["two-level"] = _ours(geometry, true, Settings(guess="cheap-scf"))
    rows["two-level, automatic guess"] = _ours(
        geometry, true, Settings(guess="auto", model=model_name)
    )
    return rows


class _Judge:
    """Judges matrices and densities of one molecule at the exact level."""

    def __init__(self, geometry: Geometry, true: Reference) -> None:
        self.true = true
        self.mf = mean_field(geometry.atoms, Settings())
        self.problem = Problem(self.mf)
        self.level = ExactLevel(self.problem)

    def density(self, name: str) -> dict[str, float]:
        """Of PySCF's guess ``name``."""
        if name == "1e":
            fock = self.problem.hcore
        else:
            with fast_quadrature(self.mf):
                dm = np.asarray(self.mf.get_init_guess(self.mf.mol, name))
                fock = np.asarray(self.mf.get_fock(dm=dm))
        orbitals = self.problem.diagonalise(fock)
        found = self.matrix(fock, orbitals.energy, orbitals.coeff)
        del found["energy_error_hartree"]
        return found

    def matrix(
        self, fock: np.ndarray, energies: np.ndarray, coefficients: np.ndarray
    ) -> dict[str, float]:
        """Errors of a matrix and ``|g|`` of its orbitals, whose energy is measured as well."""
        return fock_errors(fock, self.true) | self._built(
            self.problem.occupy(energies, coefficients)
        )

    def cheap(self) -> dict[str, float]:
        """Of the converged cheap level; its matrix is rebuilt from the orbitals."""
        orbitals = cheap_orbitals(
            self.problem, CheapLevel(self.mf), History(), guess(self.mf, "minao"), Tactics()
        )
        if orbitals is None:
            return {}
        left = self.problem.overlap @ orbitals.coeff
        fock = (left * orbitals.energy) @ left.T
        found = self.matrix(fock, orbitals.energy, orbitals.coeff)
        del found["energy_error_hartree"]
        return found

    def _built(self, orbitals: Orbitals) -> dict[str, float]:
        with fast_quadrature(self.mf):
            built = self.level.build(orbitals)
        return {
            "gradient": built.gradient_norm,
            "energy_error_hartree": built.energy - self.true.energy,
        }


def _pyscf(geometry: Geometry, true: Reference, **options: Any) -> Row:
    """Plain PySCF, timed alone and counted in a second run."""
    mf = mean_field(geometry.atoms, Settings())
    seconds = baselines.timed(mf, **options)
    run = baselines.watch(mf, **options)
    return {
        "exact_fock_builds": run.exact_fock_builds,
        "cheap_fock_builds": 0,
        "cycles": run.cycles,
        "cpu_seconds": seconds,
        "energy_error_hartree": run.energy_hartree - true.energy,
        "orbital_gradient_norm": run.gradient_norm,
        "converged": run.converged,
    }


def _ours(geometry: Geometry, true: Reference, settings: Settings) -> Row:
    gc.collect()
    report = solve(geometry.atoms, settings).report
    energy = report.energy_hartree
    return {
        "exact_fock_builds": report.exact_fock_builds,
        "cheap_fock_builds": report.cheap_fock_builds,
        "cycles": sum(attempt.cycles for attempt in report.attempts),
        "cpu_seconds": report.cpu_seconds,
        "energy_error_hartree": None if energy is None else energy - true.energy,
        "orbital_gradient_norm": report.orbital_gradient_norm,
        "converged": report.converged,
        "guess": report.guess,
    }
