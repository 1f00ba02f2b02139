"""Density matrices with the orbitals they were made of."""

from __future__ import annotations

import numpy as np

__all__ = ["occupied_factors"]


def occupied_factors(dms: np.ndarray) -> list[np.ndarray] | None:
    """Matrices U with D = U Uᵀ, one for each spin of a density tagged with its orbitals.

    Args:
        dms: density matrix (nao, nao) or (2, nao, nao); PySCF's tags ``mo_coeff`` and ``mo_occ``
            may be those of restricted, unrestricted or restricted open-shell orbitals.

    Returns:
        Arrays (nao, n_occupied), or None for a density that carries no orbitals.
    """
    mo_coeff, mo_occ = getattr(dms, "mo_coeff", None), getattr(dms, "mo_occ", None)
    if mo_coeff is None or mo_occ is None:
        return None
    if dms.ndim == 2:
        pairs = [(mo_coeff, mo_occ)]
    elif np.ndim(mo_occ) == 1:  # restricted open shell: occupations 2, 1 and 0 of one orbital set
        pairs = [(mo_coeff, mo_occ > 0), (mo_coeff, mo_occ == 2)]
    else:
        pairs = list(zip(mo_coeff, mo_occ, strict=True))
    factors = []
    for c, n in pairs:
        n = np.asarray(n, dtype=float)
        factors.append(c[:, n > 0] * np.sqrt(n[n > 0]))
    return factors
