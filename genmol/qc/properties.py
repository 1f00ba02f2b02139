"""Properties of a converged mean field in genmol's units."""

from __future__ import annotations

from typing import Any

import numpy as np

from genmol.core.units import E_BOHR_TO_DEBYE, HARTREE_PER_BOHR_TO_EV_PER_ANGSTROM, HARTREE_TO_EV

__all__ = ["forces", "orbitals_placed", "summary"]


def forces(mf: Any) -> np.ndarray:
    """Forces on the nuclei (n_atoms, 3), eV/Å, from PySCF's analytic gradient.

    The gradient assumes a stationary density: an orbital gradient of ``|g|`` leaves an error of
    about ``|g|`` in Hartree/Bohr. The response of the quadrature grid is neglected, as PySCF does.
    """
    gradient = mf.nuc_grad_method()
    gradient.verbose = 0
    return -np.asarray(gradient.kernel()) * HARTREE_PER_BOHR_TO_EV_PER_ANGSTROM


def orbitals_placed(mf: Any, energy: np.ndarray, coeff: np.ndarray, n_occupied: int) -> Any:
    """A copy of a restricted object with these orbitals, the lowest doubly occupied; not converged.

    Args:
        mf: PySCF RHF or RKS object.
        energy: (n,) Hartree, ascending.
        coeff: (nao, n).
        n_occupied: doubly occupied orbitals.
    """
    placed = mf.copy()
    placed.converged = False
    placed.mo_energy, placed.mo_coeff = energy, coeff
    placed.mo_occ = np.where(np.arange(len(energy)) < n_occupied, 2.0, 0.0)
    return placed


def summary(mf: Any) -> dict[str, Any]:
    """Dipole (Debye, frame of the input), Mulliken charges (e), frontier levels (eV), ⟨S²⟩."""
    dm = mf.make_rdm1()
    dipole = np.asarray(mf.dip_moment(mf.mol, dm, "AU", verbose=0)) * E_BOHR_TO_DEBYE
    charges = np.asarray(mf.mulliken_pop(mf.mol, dm, verbose=0)[1])
    energy, occ = np.asarray(mf.mo_energy), np.asarray(mf.mo_occ)
    result: dict[str, Any] = {
        "dipole_debye": dipole.tolist(),
        "mulliken_charges": charges.tolist(),
        "homo_ev": float(energy[occ > 0].max() * HARTREE_TO_EV),
    }
    if (occ == 0).any():
        result["lumo_ev"] = float(energy[occ == 0].min() * HARTREE_TO_EV)
    if mf.istype("UHF"):
        result["spin_square"] = float(mf.spin_square()[0])
    return result
