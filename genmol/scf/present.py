"""A report as text for a person."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from genmol.scf.report import Report

if TYPE_CHECKING:
    from genmol.scf.prediction import Prediction

__all__ = ["prediction_text", "text"]


def text(report: Report, extra: Mapping[str, Any]) -> str:
    """The report as plain lines; no energy is shown unless there is one to stand for."""
    lines = [_title(report.settings)]
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


def prediction_text(prediction: Prediction) -> str:
    """A prediction as plain lines, every number with its interval."""
    p, learned = prediction, prediction.learned
    lines = [
        f"{_title(p.settings)}, PREDICTED by {learned['model']}, not solved",
        f"HOMO              {_with_interval(p.homo_ev, 'eV', p.intervals['homo_ev'])}",
    ]
    if p.lumo_ev is not None:
        lines += [
            f"LUMO              {_with_interval(p.lumo_ev, 'eV', p.intervals['lumo_ev'])}",
            f"gap               {_with_interval(p.gap_ev, 'eV', p.intervals['gap_ev'])}",
        ]
    moment = p.intervals["dipole_moment_debye"]
    charges = np.array(p.mulliken_charges)
    lines += [
        f"dipole moment     {_with_interval(p.dipole_moment_debye, 'Debye', moment)}",
        f"Mulliken charges  {charges.min():+.3f} to {charges.max():+.3f} e",
    ]
    if p.coverage is not None:
        lines.append(f"intervals         hold for {p.coverage:.0%} of new molecules of the domain")
    network = f"network {learned['inference_seconds']:.2f} s"
    times = f"{p.seconds:.2f} s wall, {p.cpu_seconds:.2f} s processor ({network})"
    return "\n".join([*lines, f"time              {times}", "", p.certificate.table()])


def _with_interval(value: float | None, unit: str, bounds: Any) -> str:
    shown = f"{value:.3f} {unit}"
    return shown if bounds is None else f"{shown}  [{bounds[0]:.3f}, {bounds[1]:.3f}]"


def _title(settings: Mapping[str, Any]) -> str:
    level = f"{settings['method']} {settings['functional']['code']}/{settings['basis']}"
    state = f"charge {settings['charge']}, multiplicity {settings['multiplicity']}"
    size = f"{settings['n_atoms']} atoms, {settings['n_orbitals']} orbitals"
    return f"{level}, {state}, {size}"


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
