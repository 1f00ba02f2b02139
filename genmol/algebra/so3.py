r"""Rotations of irreducible features: Wigner matrices straight from rotation matrices.

Real spherical harmonics in e3nn's basis: degree *l* has the components m = -l..l, degree 1 is
(x, y, z), the polar axis is y. :math:`D^l(R)` follows from :math:`D^1 = R` by coupling,

.. math::
    D^{l+1} = C^T \, (D^1 \otimes D^l) \, C, \qquad
    C_{(mn),k} = \sqrt{2l+3}\; \bigl(\begin{smallmatrix} 1 & l & l+1 \\ m & n & k
    \end{smallmatrix}\bigr),

a polynomial in the elements of R: no Euler angles, so no direction is singular. The coefficients
are Racah's sum in exact fractions, carried to the real basis; e3nn has the same and is the oracle of
the tests, but importing it takes two seconds, which a single prediction would have to wait for.
"""

from __future__ import annotations

from fractions import Fraction
from functools import cache
from math import factorial

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

__all__ = ["coupling", "dimension", "wigner_matrices"]


def dimension(l_max: int) -> int:
    """Components of the degrees 0 to ``l_max`` together."""
    return (l_max + 1) ** 2


@cache
def coupling(l1: int, l2: int, l3: int) -> Float[Tensor, "m1 m2 m3"]:
    """Orthonormal Clebsch-Gordan coefficients of the real basis, float64: |l1-l2| <= l3 <= l1+l2."""
    table = np.zeros((2 * l1 + 1, 2 * l2 + 1, 2 * l3 + 1))
    for m1 in range(-l1, l1 + 1):
        for m2 in range(max(-l2, -l3 - m1), min(l2, l3 - m1) + 1):
            table[l1 + m1, l2 + m2, l3 + m1 + m2] = _racah(l1, m1, l2, m2, l3)
    left, right, out = (_real_basis(l) for l in (l1, l2, l3))
    real = np.einsum("ij,kl,nm,ikn->jlm", left, right, out.conj(), table).real
    return torch.from_numpy(real * ((2 * l3 + 1) ** 0.5 / np.linalg.norm(real)))


def _racah(l1: int, m1: int, l2: int, m2: int, l3: int) -> float:
    """The coefficient (l1 m1 l2 m2 | l3 m1+m2) of the complex basis."""
    f, m3 = factorial, m1 + m2
    square = Fraction(
        (2 * l3 + 1)
        * f(l3 + l1 - l2)
        * f(l3 - l1 + l2)
        * f(l1 + l2 - l3)
        * f(l3 + m3)
        * f(l3 - m3),
        f(l1 + l2 + l3 + 1) * f(l1 - m1) * f(l1 + m1) * f(l2 - m2) * f(l2 + m2),
    )
    total = sum(
        (
            (-1) ** (k + l2 + m2)
            * Fraction(
                f(l2 + l3 + m1 - k) * f(l1 - m1 + k),
                f(k) * f(l3 - l1 + l2 - k) * f(l3 + m3 - k) * f(k + l1 - l2 - m3),
            )
            for k in range(
                max(l2 - l1 + m3, m1 - l1, 0), min(l2 + l3 + m1, l3 - l1 + l2, l3 + m3) + 1
            )
        ),
        Fraction(0),
    )
    return float(square) ** 0.5 * float(total)


def _real_basis(degree: int) -> np.ndarray:
    """Columns: the real harmonics in terms of the complex ones, (2l+1, 2l+1)."""
    q = np.zeros((2 * degree + 1, 2 * degree + 1), dtype=complex)
    q[degree, degree] = 1
    for m in range(1, degree + 1):
        q[degree - m, [degree + m, degree - m]] = np.array([1, -1j]) / 2**0.5
        q[degree + m, [degree + m, degree - m]] = np.array([1, 1j]) * (-1) ** m / 2**0.5
    return (-1j) ** degree * q


def wigner_matrices(rotation: Float[Tensor, "n 3 3"], l_max: int) -> list[Float[Tensor, "n _ _"]]:
    """D^0 to D^l_max of proper rotations, each (n, 2l+1, 2l+1), in e3nn's basis."""
    matrices = [rotation.new_ones(len(rotation), 1, 1), rotation][: l_max + 1]
    for degree in range(1, l_max):
        products = rotation.flatten(1)[:, :, None] * matrices[-1].flatten(1)[:, None]
        rise = products.flatten(1) @ torch.from_numpy(_ascent(degree)).to(rotation)
        matrices.append(rise.unflatten(1, (2 * degree + 3, 2 * degree + 3)))
    return matrices


@cache
def _ascent(degree: int) -> Float[np.ndarray, "products elements"]:
    """Elements of D^(l+1) from the products of those of D^1 and D^l, all row by row."""
    c = coupling(1, degree, degree + 1).numpy()
    table = np.einsum("mnk,MNK->mMnNkK", c, c)
    return table.reshape(c[..., 0].size ** 2, -1)
