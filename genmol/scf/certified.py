"""Solve one molecule and prove the answer."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict
from typing import Any, NamedTuple

import numpy as np
from ase import Atoms

from genmol.core.certificate import Certificate, Check
from genmol.core.environment import versions
from genmol.core.errors import InputError
from genmol.qc import certify, solver
from genmol.qc.attempts import Attempt
from genmol.qc.functional import functional_of, resolve
from genmol.qc.guess import guess
from genmol.qc.molecule import build_mean_field, build_molecule, is_mean_field, is_molecule
from genmol.qc.options import StartName
from genmol.qc.properties import forces, summary
from genmol.scf.guess_choice import LearnedGuess
from genmol.scf.report import Report
from genmol.scf.settings import Settings
from genmol.scf.stabilise import stabilise

__all__ = ["DEFAULTS", "Solved", "mean_field", "settings_record", "solve"]

DEFAULTS = Settings()


class Solved(NamedTuple):
    """A PySCF mean-field object, converged unless the report says otherwise, and the report."""

    mf: Any
    report: Report


def solve(
    problem: Any,
    settings: Settings = DEFAULTS,
    *,
    density: np.ndarray | None = None,
    density_name: str = "given density",
    on_attempt: Callable[[Attempt], None] = lambda attempt: None,
) -> Solved:
    """Solve a Kohn-Sham or Hartree-Fock problem to PySCF's answer in about two exact Fock builds.

    Args:
        problem: ``ase.Atoms`` (Å), PySCF ``Mole``, or a PySCF mean-field object. The mean-field object is
            converged in place; its own functional, grid, thresholds and solvent take precedence over
            those of ``settings``.
        settings: level of theory, accuracy, checks.
        density: density matrix to start from, in PySCF's AO order; refused if it is worse than the guess.
        density_name: how the report calls it.
        on_attempt: called after each attempt of the retry ladder.

    Returns:
        The mean-field object and the report. When nothing converged the object says
        ``converged = False``, and the report has neither energy nor certificate.

    Raises:
        InputError: the molecule, basis, functional or settings cannot be used.

    Examples:
        >>> from pyscf import gto
        >>> import genmol
        >>> mf, report = genmol.scf.solve(gto.M(atom="H 0 0 0; F 0 0 0.92", basis="def2-svp"))
        >>> report.certificate.verdict
        'pass'
    """
    if settings.mode == "predict":
        raise InputError(
            got="the mode predict for a solve",
            wanted="verified, single-build or pyscf",
            remedy="call genmol.scf.predict, which solves nothing",
        )
    began, cpu_began = time.perf_counter(), time.process_time()
    mf = mean_field(problem, settings)
    if settings.guess_file is not None and density is None:
        density, density_name = guess(mf, "file", settings.guess_file), str(settings.guess_file)
    single = settings.mode == "single-build"
    learned: LearnedGuess | None = None
    start: StartName = "cheap-scf"
    if settings.guess == "auto" or settings.guess == "learned":
        learned = LearnedGuess(settings.guess, settings.model)
    else:
        start = settings.guess
    result = solver.run(
        mf,
        guess=start,
        density=density,
        density_name=density_name,
        propose=learned,
        plain=settings.mode == "pyscf",
        single_build=single,
        max_exact_builds=settings.max_exact_builds,
        on_attempt=on_attempt,
    )
    stable: list[Check] = []
    if settings.stability and result.solution is not None:
        result, stable = stabilise(result, settings)
    mf, found = result.problem.mf, result.solution
    checks: list[Check] = []
    properties: dict[str, Any] = {}
    if found is not None:
        checks = certify.density_checks(
            result.problem, found, result.thresholds, single_build=single
        )
        if settings.recheck:
            checks += certify.recheck(mf, found, result.thresholds)
        checks += stable
        properties = summary(mf)
    seconds, cpu_seconds = time.perf_counter() - began, time.process_time() - cpu_began
    if found is not None and settings.forces:
        properties["forces_ev_per_angstrom"] = forces(mf).tolist()
    record = {
        "versions": versions("pyscf", "numpy", "scipy", "pyscf-dispersion"),
        "settings": settings_record(settings, mf),
    }
    return Solved(
        mf,
        Report(
            energy_hartree=found.energy if found else None,
            converged=bool(found and result.thresholds.met_by(found.gradient_norm)),
            solver=result.solver,
            solver_reason=result.solver_reason,
            exact_fock_builds=sum(a.exact_builds for a in result.attempts),
            cheap_fock_builds=result.cheap_builds,
            orbital_gradient_norm=found.gradient_norm if found else None,
            energy_error_estimate_hartree=found.energy_error if found else None,
            guess=result.guess,
            guess_reason=result.guess_reason,
            learned=learned.record() if learned is not None else None,
            seconds=seconds,
            cpu_seconds=cpu_seconds,
            certificate=Certificate(tuple(checks), record) if checks else None,
            attempts=result.attempts,
            settings=record["settings"],
            properties=properties,
        ),
    )


def mean_field(problem: Any, settings: Settings) -> Any:
    """PySCF's mean-field object for a structure or molecule; a mean-field object comes back as it is."""
    if is_mean_field(problem):
        return problem
    functional = resolve(settings.xc)
    if not is_molecule(problem):
        if not isinstance(problem, Atoms):
            raise InputError(
                got=f"an object of type {type(problem).__name__}",
                wanted="a structure (ase.Atoms), a PySCF molecule or a PySCF mean-field object",
                remedy="read a file with genmol.core.structure.read_structures",
            )
        problem = build_molecule(
            problem,
            basis=settings.basis,
            charge=settings.charge,
            multiplicity=settings.multiplicity,
            ecp=settings.ecp,
            ghost_atoms=settings.ghost_atoms,
            cartesian=settings.cartesian,
            max_memory=settings.max_memory,
        )
    return build_mean_field(
        problem,
        functional,
        spin_treatment=settings.spin_treatment,
        grid_level=settings.grid,
        conv_tol=settings.conv_tol,
        solvent=settings.solvent,
    )


def settings_record(settings: Settings, mf: Any) -> dict[str, Any]:
    """The settings as used: what a given mean-field object decided overrides what was asked for."""
    record = asdict(settings)
    functional = functional_of(mf)
    mol = mf.mol
    record |= {
        "functional": functional.record(),
        "basis": mol.basis if isinstance(mol.basis, str) else settings.basis,
        "charge": mol.charge,
        "multiplicity": mol.spin + 1,
        "method": type(mf).__name__,
        "conv_tol": mf.conv_tol,
        "grid": mf.grids.level if functional.kind != "HF" else None,
        "n_atoms": mol.natm,
        "n_orbitals": mol.nao,
        "n_electrons": mol.nelectron,
    }
    return record
