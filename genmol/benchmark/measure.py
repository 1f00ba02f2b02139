"""One row of each section of ``genmol benchmark scf``: what is run, and which figures are kept.

Times are processor seconds of the whole solve, integrals, grid, guess and certificate included,
imports not. Energies and gradients are in Hartree.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Container, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from genmol.benchmark.molecules import Pair, structure
from genmol.benchmark.peak import measure_peak
from genmol.qc import baselines
from genmol.qc.extrapolate import GrassmannExtrapolator
from genmol.qc.plain import plain_kernel
from genmol.scf.certified import mean_field, solve
from genmol.scf.compare import compare
from genmol.scf.settings import Mode, Settings

if TYPE_CHECKING:
    from ase import Atoms

    from genmol.scf.report import Report

__all__ = [
    "TIGHT",
    "ladder_row",
    "memory_row",
    "pair_row",
    "settings_of",
    "single_row",
    "trajectory",
]

TIGHT = 1e-12
"""Energy threshold (Hartree) of reference energies; the gradient's is 1e-6."""


def settings_of(pair: Pair) -> Settings:
    """The level of theory of ``pair``; everything else at its default."""
    return Settings(xc=pair.xc, basis=pair.basis)


def pair_row(pair: Pair, *, repeat: int, degenerate: str | None = None) -> dict[str, Any]:
    """Our solve and plain PySCF, ``repeat`` times each in alternating order; times are medians.

    Args:
        pair: molecule and level.
        repeat: runs of each.
        degenerate: why the energy of this molecule depends on its orientation, or None.
    """
    atoms = structure(pair.molecule)
    solved, pyscf = compare(atoms, settings_of(pair), repeat=repeat)
    return {
        "molecule": pair.molecule,
        "level": f"{pair.xc}/{pair.basis}",
        "atoms": len(atoms),
        "orbitals": solved.report.settings["n_orbitals"],
        "charge": solved.report.settings["charge"],
        "multiplicity": solved.report.settings["multiplicity"],
        **_costs(solved.report),
        "energy_hartree": solved.report.energy_hartree,
        "verdict": solved.report.certificate.verdict if solved.report.certificate else None,
        "cpu_seconds": pyscf["genmol_cpu_seconds"],
        "seconds": pyscf["genmol_seconds"],
        "pyscf": {
            name: pyscf[name]
            for name in (
                "energy_hartree",
                "converged",
                "exact_fock_builds",
                "cpu_seconds",
                "seconds",
            )
        },
        "energy_difference_hartree": pyscf["energy_difference_hartree"],
        "cpu_ratio": pyscf["cpu_ratio"],
        "repeat": repeat,
        "degenerate": degenerate,
    }


def _costs(report: Report) -> dict[str, Any]:
    return {
        "converged": report.converged,
        "solver": report.solver,
        "strategies": [attempt.strategy for attempt in report.attempts],
        "exact_fock_builds": report.exact_fock_builds,
        "cheap_fock_builds": report.cheap_fock_builds,
        "orbital_gradient_norm": report.orbital_gradient_norm,
    }


def single_row(atoms: Atoms) -> dict[str, Any]:
    """One exact build: its error estimate against the energy of a tight, independent solve."""
    single = solve(atoms, Settings(mode="single-build")).report
    tight = solve(atoms, Settings(conv_tol=TIGHT)).report
    row = {"atoms": len(atoms), **_costs(single), "cpu_seconds": single.cpu_seconds}
    if single.energy_hartree is None or tight.energy_hartree is None or not tight.converged:
        return {**row, "delivered": False}
    return {
        **row,
        "delivered": True,
        "energy_hartree": single.energy_hartree,
        "reference_hartree": tight.energy_hartree,
        "energy_error_hartree": single.energy_hartree - tight.energy_hartree,
        "estimate_hartree": single.energy_error_estimate_hartree,
    }


def trajectory(
    frames: tuple[Atoms, ...], *, plain_every: int, done: Container[str]
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Rows of successive frames, each started from the density extrapolated from those before.

    Frames that are ``done`` are solved again, because the later ones need their densities, but not
    measured.

    Args:
        frames: structures of one molecule.
        plain_every: every how many frames plain PySCF is run too.
        done: keys of the rows that exist.
    """
    settings = Settings()
    extrapolator = GrassmannExtrapolator()
    for index, atoms in enumerate(frames):
        gc.collect()
        began = time.process_time()
        mf = mean_field(atoms, settings)
        density = extrapolator.predict(mf)
        solved = solve(mf, settings, density=density, density_name="extrapolated")
        if solved.report.converged:
            extrapolator.add(solved.mf)
        row = {
            "frame": index,
            **_costs(solved.report),
            "guess": solved.report.guess,
            "energy_hartree": solved.report.energy_hartree,
            "cpu_seconds": time.process_time() - began,
        }
        key = f"{index:03d}"
        if key in done:
            continue
        if index % plain_every == 0:
            gc.collect()
            began = time.process_time()
            row["pyscf"] = plain_kernel(mean_field(atoms, settings))
            row["pyscf"]["cpu_seconds"] = time.process_time() - began
        yield key, row


def memory_row(pair: Pair) -> dict[str, Any]:
    """Peak memory of plain PySCF and of our solve, each in a fresh process (MiB)."""
    mf = mean_field(structure(pair.molecule), settings_of(pair))
    text, xc = baselines.dumped(mf.mol), getattr(mf, "xc", "hf")
    plain, ours = measure_peak(text, xc, "plain"), measure_peak(text, xc, "two-level")
    return {
        "plain_mib": plain["peak_mib"],
        "two_level_mib": ours["peak_mib"],
        "ratio": ours["peak_mib"] / plain["peak_mib"],
    }


def ladder_row(pair: Pair) -> dict[str, Any]:
    """All ways to converge one molecule: builds, cycles, processor seconds, final ΔE and ``|g|``.

    PySCF is run twice in each way: left alone for its time, and watched for its counts. ΔE is
    measured from a tight, independent solve, whose density is also the oracle's.
    """
    settings = settings_of(pair)
    reference = solve(structure(pair.molecule), replace(settings, conv_tol=TIGHT))
    problem, energy = (
        mean_field(structure(pair.molecule), settings),
        reference.report.energy_hartree,
    )
    ways: dict[str, dict[str, Any]] = {name: {"guess": name} for name in baselines.GUESSES}
    ways["newton"] = {"iterations": "newton"}
    ways["oracle density"] = {"density": reference.mf.make_rdm1()}
    rows = {}
    for name, options in ways.items():
        seconds = baselines.timed(problem, **options)
        run = baselines.watch(problem, **options)
        rows[name] = {
            "exact_fock_builds": run.exact_fock_builds,
            "cheap_fock_builds": 0,
            "cycles": run.cycles,
            "cpu_seconds": seconds,
            "energy_error_hartree": _difference(run.energy_hartree, energy),
            "orbital_gradient_norm": run.gradient_norm,
            "converged": run.converged,
            "points": run.points,
        }
    modes: dict[str, Mode] = {"cheap SCF + plain": "pyscf", "two-level": "verified"}
    for name, mode in modes.items():
        gc.collect()
        report = solve(structure(pair.molecule), replace(settings, mode=mode)).report
        rows[name] = {
            "exact_fock_builds": report.exact_fock_builds,
            "cheap_fock_builds": report.cheap_fock_builds,
            "cycles": sum(attempt.cycles for attempt in report.attempts),
            "cpu_seconds": report.cpu_seconds,
            "energy_error_hartree": _difference(report.energy_hartree, energy),
            "orbital_gradient_norm": report.orbital_gradient_norm,
            "converged": report.converged,
        }
    return rows


def _difference(energy: float | None, reference: float | None) -> float | None:
    return None if energy is None or reference is None else energy - reference
