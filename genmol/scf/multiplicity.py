"""Which spin state is lowest: solve the likely multiplicities and compare."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from ase import Atoms

from genmol.core.errors import DeliveryError
from genmol.core.structure import charge_and_multiplicity
from genmol.scf.certified import Solved, solve
from genmol.scf.settings import Settings

__all__ = ["multiplicity_scan"]


def multiplicity_scan(
    atoms: Atoms,
    settings: Settings,
    *,
    states: int = 3,
    on_state: Callable[[int, Solved], None] = lambda multiplicity, solved: None,
) -> tuple[Solved, list[dict[str, Any]]]:
    """Solve the ``states`` lowest multiplicities and return the lowest energy's solve and all energies.

    Every state is treated as ``settings.spin_treatment`` says, singlets of ``auto`` with the stability
    test, so that an open-shell singlet counts as well.

    Raises:
        DeliveryError: no multiplicity converged.
    """
    charge, _ = charge_and_multiplicity(atoms, charge=settings.charge, multiplicity=None)
    electrons = int(atoms.numbers.sum()) - charge
    lowest = 1 + electrons % 2
    candidates = [m for m in range(lowest, lowest + 2 * states, 2) if m <= electrons + 1]
    table: list[dict[str, Any]] = []
    best: Solved | None = None
    for multiplicity in candidates:
        solved = solve(
            atoms, replace(settings, charge=charge, multiplicity=multiplicity, stability=True)
        )
        on_state(multiplicity, solved)
        energy = solved.report.energy_hartree
        table.append(
            {
                "multiplicity": multiplicity,
                "energy_hartree": energy,
                "converged": solved.report.converged,
                "spin_square": solved.report.properties.get("spin_square"),
                "exact_fock_builds": solved.report.exact_fock_builds,
            }
        )
        if energy is None:
            continue
        if (
            best is None
            or best.report.energy_hartree is None
            or energy < best.report.energy_hartree
        ):
            best = solved
    if best is None:
        raise DeliveryError(
            got=f"no converged solution for the multiplicities {candidates}",
            wanted="at least one",
            remedy="check charge and geometry, or start from --guess atom",
        )
    return best, table
