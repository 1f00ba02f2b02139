r"""A predicted Fock matrix without ghost states.

Orbitals come from F C = S C ε, in effect from :math:`S^{-1/2} F S^{-1/2}`. Along an eigenvector of S
with a small eigenvalue s, an error e of the elements of F becomes an error e/s of orbital energies:
at s = 1e-3 an accuracy of 100 µEh leaves 0.1 Hartree, enough for a state that does not exist to fall
below the occupied ones. What such a direction can be told about with confidence is nothing, and there
the prediction should fall back to where it started, :math:`F_{init}`, whose elements are free of noise.

With :math:`S = U s U^T`, the correction :math:`\Delta F = F - F_{init}` is therefore damped in the
eigenbasis of S,

.. math::
    \Delta F'_{ab} = \Delta F_{ab} \, \frac{s_a s_b}{s_a s_b + \lambda^2} ,
    \qquad
    Y_{ab} = \frac{\Delta F'_{ab}}{\sqrt{s_a s_b}}
           = \Delta F_{ab} \, \frac{\sqrt{s_a s_b}}{s_a s_b + \lambda^2} .

Y, the correction over orthonormal functions, is Tikhonov's regularised solution of
:math:`s_a^{1/2} Y_{ab} s_b^{1/2} = \Delta F_{ab}` for elements of equal noise: its error never exceeds
that of the elements by more than :math:`1/2\lambda`. It is a function of S and thus turns with the
molecule.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

__all__ = ["DEFAULT_WIDTH", "OverlapBasis"]

DEFAULT_WIDTH = 3e-3
"""λ where the card of a model states none."""


class OverlapBasis:
    """The eigenbasis of an overlap matrix: where corrections are damped and matrices diagonalised.

    Args:
        overlap: S, positive definite.
    """

    def __init__(self, overlap: Float[np.ndarray, "n n"]) -> None:
        value, self._vectors = np.linalg.eigh(overlap)
        self._root = np.sqrt(np.maximum(value, 1e-14))

    def damped(self, delta: Float[np.ndarray, "n n"], width: float) -> Float[np.ndarray, "n n"]:
        """The correction that is left of ``delta`` at λ = ``width``; in the same unit and order."""
        u, product = self._vectors, np.outer(self._root, self._root) ** 2
        inner = (u.T @ delta @ u) * (product / (product + width**2))
        return u @ inner @ u.T

    def diagonalise(
        self, fock: Float[np.ndarray, "n n"]
    ) -> tuple[Float[np.ndarray, "n"], Float[np.ndarray, "n n"]]:
        """Orbital energies, ascending, and S-orthonormal orbitals of a symmetric matrix."""
        x = self._vectors / self._root
        energy, vectors = np.linalg.eigh(x.T @ fock @ x)
        return energy, x @ vectors
