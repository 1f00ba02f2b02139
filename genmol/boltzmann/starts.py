"""Conformers that sampling begins with: of a search, of a file, or of both.

They are places to begin and to aim darts at, not samples: which of them are there decides how fast basins
are found, and nothing about their weights. A file's conformers come first and are not relaxed; frames of
another molecule are left out, and counted.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from genmol.chem.automorphisms import relabelled
from genmol.chem.conformers import Counts, embed
from genmol.chem.identity import differences
from genmol.chem.species import Species
from genmol.core.errors import DeliveryError, InputError

__all__ = ["Starts", "find_starts"]

_EMBEDDED = 50


@dataclass(frozen=True, eq=False)
class Starts:
    """Conformers to begin with.

    Attributes:
        positions: (k, n_atoms, 3), Å, equal atoms numbered alike; those of a file first.
        given: how many are from a file.
        left_out: what was wrong with each frame of the file that is another molecule.
        counts: of the search.
    """

    positions: Float[Tensor, "k n_atoms 3"]
    given: int = 0
    left_out: tuple[str, ...] = ()
    counts: Counts = field(default_factory=Counts)


def find_starts(
    species: Species,
    *,
    seed: int,
    most: int,
    given: Float[np.ndarray, "f n_atoms 3"] | None = None,
) -> Starts:
    """Search, and take in a file's conformers.

    Args:
        species: the molecule.
        seed: of ETKDG.
        most: conformers of the search to keep, the lowest ones in the force field.
        given: of a file, Å.

    Raises:
        InputError: no given frame is the molecule.
        DeliveryError: the search found nothing, and there is no file.
    """
    wrong: list[str] = []
    known = np.zeros((0, species.n_atoms, 3))
    if given is not None:
        found = differences(species, given)
        wrong = [f"frame {k}: {'; '.join(words)}" for k, words in enumerate(found) if words]
        known = given[[not words for words in found]]
        if not len(known):
            raise InputError(
                got=f"{len(given)} conformers, none of which is {species.smiles} ({wrong[0]})",
                wanted="conformers of the molecule, atoms in one order",
                remedy="compare bonds and stereo with the SMILES",
            )
        known = relabelled(species, known - known.mean(axis=1, keepdims=True))
    try:
        searched = embed(species, _EMBEDDED, seed % 2**31)
        counts, more = searched.counts, searched.positions[:most]
    except DeliveryError:
        if not len(known):
            raise
        counts, more = Counts(), known[:0]
    x = torch.from_numpy(np.concatenate([known, more]))
    return Starts(x, len(known), tuple(wrong), counts)
