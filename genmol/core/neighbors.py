"""Who is next to whom: all pairs of a molecule, or every pair within a cutoff.

An edge runs from a sender to a receiver, and its vector is receiver − sender. Each pair appears in
both directions, an atom is never its own neighbour except through a periodic image, and there is no
cap on the number of neighbours. Edges come in a fixed order (sender, receiver, image), so equal
inputs give equal graphs.
"""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from vesin import NeighborList

from genmol.core.errors import InputError

__all__ = ["all_pairs", "neighbor_pairs"]


def all_pairs(n_atoms: int) -> Int[Tensor, "2 n_edges"]:
    """Return the n_atoms (n_atoms − 1) ordered pairs of different atoms, as (sender, receiver)."""
    sender, receiver = torch.ones(n_atoms, n_atoms).fill_diagonal_(0).nonzero(as_tuple=True)
    return torch.stack([sender, receiver])


def neighbor_pairs(
    positions: Float[Tensor, "n_atoms 3"],
    cutoff: float,
    *,
    cell: Float[Tensor, "3 3"] | None = None,
    pbc: Bool[Tensor, "3"] | None = None,
) -> tuple[Int[Tensor, "2 n_edges"], Float[Tensor, "n_edges 3"]]:
    """Return every pair closer than ``cutoff`` and the image offset of its receiver.

    Args:
        positions: Å.
        cutoff: Å.
        cell: lattice vectors as rows, Å; needed along periodic directions.
        pbc: which lattice vectors repeat; none without it.

    Returns:
        ``edge_index`` as (sender, receiver), and ``offsets`` in Å, so that the edge vector is
        ``positions[receiver] - positions[sender] + offsets``. The latter has no gradient.

    Raises:
        InputError: the cutoff is not positive, or the cell is missing or singular along a periodic
            direction.
    """
    if not cutoff > 0:
        raise InputError(
            got=f"a cutoff of {cutoff} Å", wanted="a positive length", remedy="5 Å is usual"
        )
    periodic = np.zeros(3, dtype=bool) if pbc is None else pbc.cpu().numpy()
    rows = torch.zeros(3, 3) if cell is None else cell.detach().cpu()
    vectors = rows.to(torch.float64).numpy()
    if np.linalg.matrix_rank(vectors[periodic]) < periodic.sum():
        raise InputError(
            got=f"periodic directions {periodic.tolist()} with the cell {vectors.tolist()}",
            wanted="linearly independent lattice vectors (rows, Å) along every periodic direction",
            remedy="set the cell, or pbc=False for a molecule",
        )
    finder = NeighborList(cutoff=cutoff, full_list=True)
    points = positions.detach().cpu().to(torch.float64).numpy()
    senders, receivers, shifts = finder.compute(points, vectors, periodic, quantities="ijS")
    order = np.lexsort((*shifts.T[::-1], receivers, senders))
    pairs = np.stack([senders, receivers])[:, order].astype(np.int64)
    offsets = shifts[order].astype(np.float64) @ vectors
    return (
        torch.from_numpy(pairs).to(positions.device),
        torch.from_numpy(offsets).to(positions),
    )
