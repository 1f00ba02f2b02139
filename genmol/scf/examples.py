"""What the learned guess is trained and tested on: one solved molecule, ready for the network.

Matrices are in PySCF's order of the atomic orbitals and in Hartree. They are built by
:mod:`genmol.data.hamiltonian`; nothing is checked here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from jaxtyping import Float, Int

__all__ = ["ExpectedLevel", "FockExample", "FockInput"]


@dataclass(frozen=True, eq=False)
class FockExample:
    """One molecule with its converged Fock matrix; n atomic orbitals.

    Attributes:
        name: of the label.
        source: the molecule, a SMILES or a formula: what a split must not tear apart.
        part: ``train`` or ``test``.
        numbers: atomic numbers.
        positions: Å.
        overlap: S.
        initial: F of the starting point, Hartree.
        fock: converged F, Hartree.
        coefficients: C with F C = S C ε and Cᵀ S C = 1, ascending in ε.
        energies: ε, Hartree.
        n_occupied: number of doubly occupied orbitals.
    """

    name: str
    source: str
    part: Literal["train", "test"]
    numbers: Int[np.ndarray, "n_atoms"]
    positions: Float[np.ndarray, "n_atoms 3"]
    overlap: Float[np.ndarray, "n n"]
    initial: Float[np.ndarray, "n n"]
    fock: Float[np.ndarray, "n n"]
    coefficients: Float[np.ndarray, "n n"]
    energies: Float[np.ndarray, "n"]
    n_occupied: int


@dataclass(frozen=True, eq=False)
class FockInput:
    """What a network is given for one molecule whose Fock matrix is to be predicted.

    Attributes:
        name, numbers, positions, overlap, initial: as in :class:`FockExample`.
        fock: not known.
    """

    name: str
    numbers: Int[np.ndarray, "n_atoms"]
    positions: Float[np.ndarray, "n_atoms 3"]
    overlap: Float[np.ndarray, "n n"]
    initial: Float[np.ndarray, "n n"]
    fock: None = None


@dataclass(frozen=True)
class ExpectedLevel:
    """The part of a level of theory that decides a closed-shell Fock matrix in spherical functions.

    The functional counts as what it was resolved to, never by its name. A dispersion correction
    changes the energy only and is left out.

    Attributes:
        components: libxc identifiers with their factors; empty for Hartree-Fock.
        exact_exchange: fraction of exact exchange.
        range_separation: (ω in 1/Bohr, long-range fraction of exact exchange), or None.
        nonlocal_correlation: VV10 is part of the functional.
        basis: name of the orbital basis in lower case.
    """

    components: tuple[tuple[str, float], ...]
    exact_exchange: float
    range_separation: tuple[float, float] | None
    nonlocal_correlation: bool
    basis: str

    @classmethod
    def from_record(cls, functional: Mapping[str, Any], basis: str) -> ExpectedLevel:
        """From :meth:`genmol.qc.functional.Functional.record`, or what JSON made of it."""
        separation = functional["range_separation"]
        return cls(
            components=tuple((str(name), float(f)) for name, f in functional["components"]),
            exact_exchange=float(functional["exact_exchange"]),
            range_separation=None if separation is None else (separation[0], separation[1]),
            nonlocal_correlation=bool(functional["nonlocal_correlation"]),
            basis=basis.strip().lower(),
        )

    def __str__(self) -> str:
        parts = [name if f == 1.0 else f"{f:g} {name}" for name, f in self.components] or ["HF"]
        return f"{' + '.join(parts)}/{self.basis}"
