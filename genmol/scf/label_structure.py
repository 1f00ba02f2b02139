"""Compute one label: a tight two-level solve, or one tight-binding calculation."""

from __future__ import annotations

from typing import Any

import numpy as np
from ase import Atoms

from genmol.core.environment import versions
from genmol.core.errors import DeliveryError
from genmol.core.structure import charge_and_multiplicity
from genmol.qc.final_fock import PotentialMemory, electronic_arrays
from genmol.qc.functional import resolve
from genmol.qc.gfn2 import LEVEL, check_elements, gfn2
from genmol.qc.label import Label, make_label
from genmol.scf.certified import mean_field, solve
from genmol.scf.label_settings import LabelSettings
from genmol.scf.report import Report
from genmol.scf.settings import Settings

__all__ = ["UnlabelledError", "check_structure_at_level", "label_structure", "level_of_theory"]


class UnlabelledError(DeliveryError):
    """No certified solution was found; ``attempts`` says what was tried."""

    def __init__(self, report: Report) -> None:
        reasons = [f"{attempt.strategy}: {attempt.reason}" for attempt in report.attempts]
        if report.certificate is not None:
            reasons += [c.name for c in report.certificate.checks if c.status == "fail"]
        super().__init__(
            got=f"no certified solution ({'; '.join(reasons)})",
            wanted="a converged calculation whose certificate does not fail",
            remedy="check geometry, charge and multiplicity; genmol scf shows the details",
        )
        self.attempts = report.to_dict()["attempts"]


def level_of_theory(settings: LabelSettings) -> dict[str, Any]:
    """What labels of one folder have in common, as far as it decides their numbers and content."""
    if settings.potential == "gfn2":
        return {"potential": "gfn2", **LEVEL}
    functional = resolve(settings.xc)
    record = functional.record()
    del record["name"]  # the user's spelling
    return {
        "potential": "dft",
        "functional": record,
        "basis": settings.basis,
        "ecp": settings.ecp,
        "cartesian": settings.cartesian,
        "spin_treatment": settings.spin_treatment,
        "grid": None if functional.kind == "HF" else settings.grid,
        "conv_tol": settings.conv_tol,
        "conv_tol_grad": settings.conv_tol_grad,
        "forces": settings.forces,
        "precision": settings.precision,
        "overlap": settings.overlap,
    }


def check_structure_at_level(atoms: Atoms, settings: LabelSettings) -> None:
    """Raise :class:`InputError` where the level of theory does not cover the structure."""
    if settings.potential == "gfn2":
        check_elements(atoms.numbers)
    else:
        mean_field(atoms, _solve_settings(settings))


def label_structure(
    atoms: Atoms, settings: LabelSettings, *, source: str = "", frame: int = 0
) -> Label:
    """The label of one structure.

    Args:
        atoms: structure (Å); ``atoms.info`` may hold ``charge`` and ``multiplicity``.
        settings: level of theory and content.
        source, frame: where the structure comes from, for the record.

    Raises:
        InputError: the structure cannot be treated at this level.
        DeliveryError: the calculation did not converge.
    """
    record = {
        "level": level_of_theory(settings),
        "source": {"file": source, "frame": frame},
        "versions": versions("pyscf", "tblite", "numpy"),
    }
    if settings.potential == "gfn2":
        return _tight_binding(atoms, settings, record)
    return _electronic(atoms, settings, record)


def _tight_binding(atoms: Atoms, settings: LabelSettings, record: dict[str, Any]) -> Label:
    charge, multiplicity = charge_and_multiplicity(
        atoms, charge=settings.charge, multiplicity=settings.multiplicity
    )
    result = gfn2(atoms.numbers, atoms.positions, charge=charge, multiplicity=multiplicity)
    arrays = {
        "charge": charge,
        "multiplicity": multiplicity,
        "energy_hartree": result.energy_hartree,
        "forces": result.forces,
        "dipole": result.dipole,
    }
    return make_label(atoms, arrays, record)


def _electronic(atoms: Atoms, settings: LabelSettings, record: dict[str, Any]) -> Label:
    options = _solve_settings(settings)
    mf = mean_field(atoms, options)
    mf.conv_tol_grad = settings.conv_tol_grad
    memory = PotentialMemory(mf)
    with memory:
        report = solve(mf, options).report
        if report.certificate is None or report.certificate.verdict == "fail":
            raise UnlabelledError(report)
        potential, builds = memory.final()
    arrays: dict[str, Any] = {
        **electronic_arrays(mf, potential, precision=settings.precision, overlap=settings.overlap),
        "charge": mf.mol.charge,
        "multiplicity": mf.mol.spin + 1,
        "energy_hartree": report.energy_hartree,
        "gradient_norm": report.orbital_gradient_norm,
        "exact_fock_builds": report.exact_fock_builds + builds,
        "dipole": np.array(report.properties["dipole_debye"]),
    }
    if settings.forces:
        arrays["forces"] = np.array(report.properties["forces_ev_per_angstrom"])
    basis = {"basis_functions": mf.mol._basis}  # noqa: SLF001
    return make_label(atoms, arrays, record | basis | {"report": report.to_dict()})


def _solve_settings(settings: LabelSettings) -> Settings:
    return Settings(
        xc=settings.xc,
        basis=settings.basis,
        charge=settings.charge,
        multiplicity=settings.multiplicity,
        spin_treatment=settings.spin_treatment,
        grid=settings.grid,
        conv_tol=settings.conv_tol,
        forces=settings.forces,
        cartesian=settings.cartesian,
        ecp=settings.ecp,
        max_memory=settings.max_memory,
    )
