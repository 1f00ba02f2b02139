"""What a picture shows beside the report: orbital energies, and PySCF from every guess."""

from __future__ import annotations

from typing import Any

from genmol.core.jsonable import jsonable
from genmol.qc import baselines

__all__ = ["baseline_histories", "orbital_kinds", "orbital_levels"]


def orbital_levels(mf: Any) -> dict[str, Any]:
    """Orbital energies (Hartree) and occupations, one row a spin if unrestricted."""
    return {
        "energy_hartree": jsonable(mf.mo_energy),
        "occupation": jsonable(mf.mo_occ),
    }


def orbital_kinds(mf: Any) -> list[tuple[int, str, str]]:
    """Atom, element and shell type (s, p, d, ...) of every atomic orbital, in PySCF's order."""
    labels = mf.mol.ao_labels(fmt=None)
    return [(atom, mf.mol.atom_pure_symbol(atom), shell[-1]) for atom, _, shell, _ in labels]


def baseline_histories(mf: Any) -> dict[str, list[tuple[int, float]]]:
    """Fock builds so far and ``|g|`` (Hartree) of plain PySCF, from every guess that it has.

    This solves the problem of ``mf`` five times; ``mf`` is not changed.
    """
    return {guess: list(baselines.watch(mf, guess=guess).points) for guess in baselines.GUESSES}
