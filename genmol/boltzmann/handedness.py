r"""Which hand a centre has, in numbers for networks that cannot tell a molecule from its mirror image.

A centre with the corners 1 to 4 (:mod:`genmol.chem.stereo`) has a sign s, a property of the molecule, and
in a frame the unit vectors u_a from corner 4 to corner a. Then

.. math:: h = s\; u_1 \cdot (u_2 \times u_3), \qquad
          g_1 = s\; u_2 \times u_3, \quad g_2 = s\; u_3 \times u_1, \quad g_3 = s\; u_1 \times u_2, \quad
          g_4 = -(g_1 + g_2 + g_3)

say how far the frame has the form that the molecule should have, −1 to 1, and where to each corner must
move to have it. A mirror turns the sign of h around, and so does the other enantiomer's s: to a
network of distances and polar vectors h is a scalar and g a vector, as long as frame and molecule are
mirrored together. Both are the same for every order of the corners, for s changes with it.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor

__all__ = ["HANDS", "handedness"]

HANDS = 2
"""Scalars of an atom: as a centre, and as a corner."""


def handedness(
    x: Float[Tensor, "n 3"], centres: Int[Tensor, "m 5"], signs: Float[Tensor, " m"]
) -> tuple[Float[Tensor, "n 2"], Float[Tensor, "n 3"]]:
    """Scalars h of every atom, as a centre and as a corner, and g; sums over centres, zero without any.

    Args:
        x: positions.
        centres: four corners, and the centre itself.
        signs: s of each.
    """
    *corners, centre = centres.T
    one, two, three, four = (x.index_select(0, corner) for corner in corners)
    u, v, w = (_unit(corner - four) for corner in (one, two, three))
    s = signs[:, None].to(x)
    g = [s * torch.linalg.cross(*pair, dim=1) for pair in ((v, w), (w, u), (u, v))]
    g.append(-(g[0] + g[1] + g[2]))
    h = (g[0] * u).sum(dim=1)
    nothing = x.new_zeros(len(x))
    as_centre = nothing.index_add(0, centre, h)
    as_corner, pull = nothing, torch.zeros_like(x)
    for corner, each in zip(corners, g, strict=True):
        as_corner = as_corner.index_add(0, corner, h)
        pull = pull.index_add(0, corner, each)
    return torch.stack([as_centre, as_corner], dim=1), pull


def _unit(vectors: Float[Tensor, "m 3"]) -> Float[Tensor, "m 3"]:
    return vectors / vectors.norm(dim=1, keepdim=True).clamp_min(1e-12)
