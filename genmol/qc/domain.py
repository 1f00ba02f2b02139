"""Which mean-field objects a model of closed-shell Fock matrices can be asked about."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from pyscf import gto, scf
from pyscf.dft.rks import KohnShamDFT
from pyscf.lib.exceptions import BasisNotFoundError

from genmol.core.jsonable import dumps
from genmol.qc.functional import redefined

__all__ = ["basis_fault", "numbers", "object_fault"]


def object_fault(mf: Any) -> str | None:
    """Why ``mf`` is not a plain closed-shell molecule in spherical functions; None if it is."""
    mol = mf.mol
    if not isinstance(mol, gto.Mole):
        return "the structure is periodic"
    if not isinstance(mf, scf.hf.RHF) or isinstance(mf, scf.rohf.ROHF) or mol.spin:
        return f"it has open shells or spin-dependent orbitals ({type(mf).__name__})"
    if mol.cart:
        return "its d and f functions are Cartesian"
    if any(gto.charge(symbol) == 0 for symbol in mol.elements):
        return "it has ghost atoms"
    if mol.has_ecp() or mol._pseudo:
        return "it has effective core potentials"
    if getattr(mf, "with_solvent", None):
        return "it is in a solvent"
    if isinstance(mf, KohnShamDFT) and redefined(mf):
        return "its functional is code of its own"
    if mf.istype("_SmearingSCF"):
        return "its occupations are smeared"
    own = "get_hcore" in vars(mf) or type(mf).get_hcore is not scf.hf.SCF.get_hcore
    if own or getattr(mf, "with_x2c", None) or mol.nucmod:
        return "its core Hamiltonian is not the usual one"
    return None


def basis_fault(mol: gto.Mole, basis: str) -> str | None:
    """Why the basis functions of ``mol`` are not those that PySCF calls ``basis``; None if they are."""
    for label, functions in sorted(mol._basis.items()):  # PySCF fills it in the order of a set
        symbol = gto.mole._std_symbol(label)
        try:
            expected = _functions(symbol, basis)
        except (BasisNotFoundError, KeyError):
            return f"PySCF has no {basis} for {symbol}"
        if dumps(functions) != expected:
            return f"the basis functions of {symbol} are not those of {basis}"
    return None


@lru_cache
def _functions(symbol: str, basis: str) -> str:
    """Exponents and coefficients as a molecule holds them, as text."""
    return dumps(gto.mole.format_basis({symbol: basis})[symbol])


def numbers(mol: gto.Mole) -> np.ndarray:
    """Atomic numbers (n_atoms,), whatever core potentials there are."""
    return np.array([gto.charge(symbol) for symbol in mol.elements], dtype=np.int64)
