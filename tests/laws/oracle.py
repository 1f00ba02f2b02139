"""How features must transform: from e3nn's spherical harmonics and from angles, not from genmol."""

from __future__ import annotations

from functools import cache

import torch
from e3nn import o3
from torch import Tensor


def random_rotations(n: int, generator: torch.Generator) -> Tensor:
    """(n, 3, 3), uniform: orthogonal matrices of Gaussian ones, with determinant 1."""
    gaussian = torch.randn(n, 3, 3, generator=generator, dtype=torch.float64)
    q, r = torch.linalg.qr(gaussian)
    q = q * r.diagonal(dim1=1, dim2=2).sign()[:, None]
    return q * torch.linalg.det(q)[:, None, None]


@cache
def _points() -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(400, 3, generator=generator, dtype=torch.float64)


def harmonics(l: int, points: Tensor) -> Tensor:
    """Real spherical harmonics of degree l, (n, 2l+1), of directions."""
    return o3.spherical_harmonics(l, points, normalize=True, normalization="component")


def degree_matrix(l: int, rotation: Tensor) -> Tensor:
    """D with Y(R x) = D Y(x) at many points x, by least squares; R proper."""
    before, after = (harmonics(l, x) for x in (_points(), _points() @ rotation.T))
    return torch.linalg.lstsq(before, after).solution.T


def representation(irreps: o3.Irreps, element: Tensor) -> Tensor:
    """Matrix of an element (3, 3) of O(3) on features in e3nn's layout."""
    sign = torch.linalg.det(element).round()
    blocks = []
    for channels, (l, parity) in irreps:
        matrix = degree_matrix(l, element * sign) * (parity if sign < 0 else 1)
        blocks += [matrix] * channels
    return torch.block_diag(*blocks)


def turn_orders(values: list[Tensor], element: Tensor) -> list[Tensor]:
    """Frame features after elements (n, 3, 3) of O(2), which keep the y axis, act on them.

    A turn by α takes the direction (sin φ, 0, cos φ) to φ + α; the mirror takes φ to -φ.
    """
    angle = torch.atan2(element[:, 0, 2], element[:, 2, 2])
    mirror = torch.linalg.det(element).round()[:, None]
    turned = [values[0], values[1] * mirror[:, :, None]]
    for m, x in enumerate(values[2:], start=1):
        cosine, sine = (m * angle).cos()[:, None], (m * angle).sin()[:, None]
        even, odd = x[:, 0], x[:, 1] * mirror
        turned.append(torch.stack([cosine * even - sine * odd, sine * even + cosine * odd], dim=1))
    return turned


def turns(angle: Tensor) -> Tensor:
    """Turns about the y axis by angles (n,): matrices (n, 3, 3)."""
    zero, one = torch.zeros_like(angle), torch.ones_like(angle)
    rows = [[angle.cos(), zero, angle.sin()], [zero, one, zero], [-angle.sin(), zero, angle.cos()]]
    return torch.stack([torch.stack(row, dim=1) for row in rows], dim=1)
