"""A report as text for a person."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from genmol.scf.report import Report

__all__ = ["text"]


def text(report: Report, extra: Mapping[str, Any]) -> str:
    """The report as plain lines; no energy is shown unless there is one to stand for."""
    settings = report.settings
    functional = settings["functional"]
    level = f"{settings['method']} {functional['code']}/{settings['basis']}"
    state = f"charge {settings['charge']}, multiplicity {settings['multiplicity']}"
    size = f"{settings['n_atoms']} atoms, {settings['n_orbitals']} orbitals"
    lines = [f"{level}, {state}, {size}"]
    if report.energy_hartree is None:
        lines.append("NOT CONVERGED: no energy. What was tried:")
        lines += [
            f"  {a.strategy}: {a.reason} ({a.exact_builds} exact, {a.cheap_builds} cheap builds)"
            for a in report.attempts
        ]
        lines.append("Try --multiplicity-scan, another --guess, or a better geometry.")
        return "\n".join(lines)
    error = report.energy_error_estimate_hartree or 0.0
    lines += [
        f"energy            {report.energy_hartree:.10f} Hartree (estimated error {error:.1e})",
        f"solver            {report.solver} ({report.solver_reason})",
        f"Fock builds       {report.exact_fock_builds} exact, {report.cheap_fock_builds} cheap",
        f"guess             {report.guess} ({report.guess_reason})",
        f"time              {report.seconds:.2f} s wall, {report.cpu_seconds:.2f} s processor",
    ]
    lines += _properties(report.properties)
    if "pyscf" in extra:
        lines += _comparison(extra["pyscf"])
    if report.certificate is not None:
        lines += ["", report.certificate.table()]
    return "\n".join(lines)


def _properties(properties: Mapping[str, Any]) -> list[str]:
    lines = []
    if "dipole_debye" in properties:
        lines.append(f"dipole moment     {np.linalg.norm(properties['dipole_debye']):.4f} Debye")
    if "lumo_ev" in properties:
        gap = properties["lumo_ev"] - properties["homo_ev"]
        lines.append(
            f"HOMO, LUMO        {properties['homo_ev']:.3f}, {properties['lumo_ev']:.3f} eV "
            f"(gap {gap:.3f} eV)"
        )
    if "forces_ev_per_angstrom" in properties:
        largest = np.linalg.norm(properties["forces_ev_per_angstrom"], axis=1).max()
        lines.append(f"largest force     {largest:.5f} eV/Å")
    return lines


def _comparison(pyscf: Mapping[str, Any]) -> list[str]:
    difference = pyscf["energy_difference_hartree"]
    builds = f"{pyscf['exact_fock_builds']} exact Fock builds"
    times = f"{pyscf['genmol_cpu_seconds']:.2f} s against {pyscf['cpu_seconds']:.2f} s"
    lines = ["", f"plain PySCF       {pyscf['energy_hartree']:.10f} Hartree, {builds}"]
    if difference is not None:
        lines.append(f"difference        {difference:+.1e} Hartree")
    ratio = f"ratio {pyscf['cpu_ratio']:.2f}, median of {pyscf['repeats']}"
    return [*lines, f"processor time    {times} ({ratio})"]
