"""Which rings can pucker."""

from __future__ import annotations

import pytest
from chemcases import species

from genmol.chem.rings import flexible_rings

FLEXIBLE = {  # sizes of the rings that can pucker
    "CCO": [],
    "c1ccccc1": [],
    "C1CC1": [],
    "C1CCC1": [4],
    "C1CCCCC1": [6],
    "C1CCC=CC1": [6],
    "c1ccc2c(c1)CCCC2": [6],
    "C1CCCCC1c1ccccc1": [6],
    "C1CC2(C1)CCC2": [4, 4],
    "C1=CC=CC=CC=C1": [8],
    "O=C1C=CC(=O)C=C1": [],
}


@pytest.mark.parametrize("smiles", FLEXIBLE)
def test_flexible_rings(smiles: str) -> None:
    one = species(smiles)
    rings = flexible_rings(one)
    assert sorted(map(len, rings)) == FLEXIBLE[smiles]
    for ring in rings:  # in order round the ring
        for i, j in zip(ring, (*ring[1:], ring[0]), strict=True):
            assert j in one.neighbours[i]
