"""One self-consistent-field problem, whatever its spin treatment.

Restricted, unrestricted and restricted open-shell problems differ in how a density becomes a Fock
matrix to diagonalise and in what stationarity means. :class:`Problem` takes those rules from the
PySCF mean-field object itself, so that every method PySCF knows (symmetry, effective core
potentials, relativistic cores, a user's own ``get_hcore``) keeps its meaning:

    potential V (of a density D)  ->  Fock matrices F = h + V, one per spin
    F                             ->  the matrix R to diagonalise (Roothaan's for open shells)
    R                             ->  orbitals C, energies, occupations, the next density
    C, F                          ->  orbital gradient g; ``|g|`` is PySCF's convergence measure
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from pyscf import scf
from pyscf.scf.rohf import get_roothaan_fock

__all__ = ["Orbitals", "Problem"]


@dataclass(frozen=True)
class Orbitals:
    """Molecular orbitals: energies (Hartree), coefficients, occupations, and their density."""

    energy: np.ndarray
    coeff: np.ndarray
    occ: np.ndarray
    dm: np.ndarray


class Problem:
    """The parts of ``mf`` that do not depend on how the potential is computed.

    Args:
        mf: PySCF RHF, UHF, ROHF, RKS, UKS or ROKS object.
    """

    def __init__(self, mf: Any) -> None:
        self.mf = mf
        self.hcore = mf.get_hcore()
        self.overlap = mf.get_ovlp()
        # PySCF's own choice of directions to drop where the basis is nearly linearly dependent
        self._eig_basis = mf.check_linear_dependency(self.overlap)
        self.open_shell = isinstance(mf, scf.rohf.ROHF)
        self.unrestricted = isinstance(mf, scf.uhf.UHF)

    @cached_property
    def orthonormaliser(self) -> np.ndarray:
        """X with XᵀSX = 1, near-singular directions dropped, (nao, n)."""
        value, vector = np.linalg.eigh(self.overlap)
        keep = value > scf.hf.overlap_zero_eigenvalue_threshold
        return vector[:, keep] / np.sqrt(value[keep])

    def fock(self, potential: np.ndarray) -> np.ndarray:
        """H + V, (nao, nao) or (2, nao, nao)."""
        return self.hcore + potential

    def roothaan(self, fock: np.ndarray, dm: np.ndarray) -> np.ndarray:
        """The matrix whose eigenvectors are the next orbitals."""
        if self.open_shell:
            return get_roothaan_fock(fock, dm, self.overlap)
        return fock

    def diagonalise(
        self, matrix: np.ndarray, *, level_shift: float = 0.0, dm: Any = None
    ) -> Orbitals:
        """Orbitals of ``matrix``; virtual levels of ``dm`` raised by ``level_shift`` (Hartree)."""
        if level_shift:
            matrix = self._shifted(matrix, dm, level_shift)
        energy, coeff = self.mf.eig(matrix, self.overlap, x=self._eig_basis)
        return self.occupy(energy, coeff)

    def occupy(self, energy: Any, coeff: Any) -> Orbitals:
        """Fill the orbitals as the mean-field object does, lowest first unless it says otherwise."""
        occ = self.mf.get_occ(energy, coeff)
        return Orbitals(
            np.asarray(energy), np.asarray(coeff), np.asarray(occ), self.mf.make_rdm1(coeff, occ)
        )

    def _shifted(self, matrix: np.ndarray, dm: np.ndarray, shift: float) -> np.ndarray:
        s = self.overlap
        if self.unrestricted:
            return matrix + shift * np.stack([s - s @ d @ s for d in dm])
        half = 0.5 * (dm[0] + dm[1] if self.open_shell else dm)
        return matrix + shift * (s - s @ half @ s)

    def gradient_norm(self, orbitals: Orbitals, fock: np.ndarray) -> float:
        """PySCF's ``norm_gorb``: Frobenius norm of the occupied-virtual gradient (Hartree)."""
        return float(np.linalg.norm(self.mf.get_grad(orbitals.coeff, orbitals.occ, fock)))

    def error(self, fock: np.ndarray, dm: np.ndarray) -> np.ndarray:
        """Pulay's commutator Xᵀ(FDS − SDF)X, flattened over spins."""
        matrix = self.roothaan(fock, dm)
        density = dm[0] + dm[1] if self.open_shell else dm
        x, s = self.orthonormaliser, self.overlap
        pairs = zip(matrix, density, strict=True) if self.unrestricted else [(matrix, density)]
        errors = []
        for f, d in pairs:
            fds = (x.T @ f) @ (d @ (s @ x))
            errors.append((fds - fds.T).ravel())
        return np.concatenate(errors)

    def gap(self, orbitals: Orbitals) -> float:
        """Smallest LUMO − HOMO over the spins (Hartree); infinite where a side is empty."""
        pairs = (
            zip(orbitals.energy, orbitals.occ, strict=True)
            if self.unrestricted
            else [(orbitals.energy, orbitals.occ)]
        )
        gaps = [
            e[n == 0].min() - e[n > 0].max() for e, n in pairs if (n > 0).any() and (n == 0).any()
        ]
        return float(min(gaps, default=np.inf))

    def spin_square(self, orbitals: Orbitals) -> float | None:
        """⟨S²⟩ of an unrestricted determinant; None for restricted ones, where it is exact."""
        if not self.unrestricted:
            return None
        occupied = tuple(c[:, n > 0] for c, n in zip(orbitals.coeff, orbitals.occ, strict=True))
        return float(self.mf.spin_square(occupied, self.overlap)[0])

    def canonicalise(self, orbitals: Orbitals, fock: np.ndarray) -> Orbitals:
        """Rotate orbitals of equal occupation among themselves until ``fock`` is diagonal in them.

        The density, and with it the energy that was computed for it, stays the same to rounding.
        """
        matrix = self.roothaan(fock, orbitals.dm)
        if not self.unrestricted:
            energy, coeff = _rotate(matrix, orbitals.coeff, orbitals.occ)
        else:
            spins = zip(matrix, orbitals.coeff, orbitals.occ, strict=True)
            energy, coeff = (np.stack(x) for x in zip(*(_rotate(*s) for s in spins), strict=True))
        return Orbitals(energy, coeff, orbitals.occ, self.mf.make_rdm1(coeff, orbitals.occ))


def _rotate(
    matrix: np.ndarray, coeff: np.ndarray, occ: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    energy, rotated = np.empty(len(occ)), np.array(coeff)
    for n in np.unique(occ):
        block = np.flatnonzero(occ == n)
        c = coeff[:, block]
        energy[block], u = np.linalg.eigh(c.T @ matrix @ c)
        rotated[:, block] = c @ u
    return energy, rotated
