"""What a network is told of a molecule: bonds, rings, the sides of double bonds."""

from __future__ import annotations

import numpy as np

from genmol.chem.species import species_from_smiles
from genmol.chem.topology import (
    STEREO_ATTRIBUTES,
    bonds_apart,
    formal_charges,
    pair_attributes,
    stereo_attributes,
)


def test_sides_of_double_bonds() -> None:
    cis, trans = (species_from_smiles(smiles) for smiles in ("C/C=C\\F", "C/C=C/F"))
    one, other = stereo_attributes(cis), stereo_attributes(trans)
    methyl, ch, cf, fluorine = range(4)
    assert one.shape == (9, 9, STEREO_ATTRIBUTES)
    assert one[methyl, fluorine].tolist() == [1, 0, 0, 0, 0, 0]
    assert other[methyl, fluorine].tolist() == [0, 1, 0, 0, 0, 0]
    # the hydrogens of the double bond: opposite to the methyl group and to fluorine
    h, g = (next(j for j in cis.neighbours[i] if cis.numbers[j] == 1) for i in (ch, cf))
    assert [one[methyl, g, 0], one[h, fluorine, 0], one[h, g, 0]] == [0, 0, 1]
    assert [one[methyl, g, 1], one[h, fluorine, 1], one[h, g, 1]] == [1, 1, 0]
    for found in (one, other):
        assert np.array_equal(found, found.transpose(1, 0, 2))
        assert found.sum() == 8
    assert np.array_equal(pair_attributes(cis), pair_attributes(trans))
    assert not stereo_attributes(species_from_smiles("C=CF")).any()


def test_rings_by_the_smallest_one() -> None:
    species = species_from_smiles("C1CC12CCC2")  # spiro[2.3]hexane: atom 2 is in both
    found = stereo_attributes(species)
    assert found[0, 1].tolist() == found[0, 2].tolist() == [0, 0, 1, 0, 0, 0]
    assert found[2, 3].tolist() == found[3, 4].tolist() == [0, 0, 0, 1, 0, 0]
    assert not found[0, 3].any()
    assert not found[6:].any()
    fused = stereo_attributes(species_from_smiles("C1C[C@@H]2C[C@H]2C1"))  # 2 and 4 are in both
    assert fused[2, 4].tolist() == [0, 0, 1, 0, 0, 0]
    assert fused[1, 2].tolist() == [0, 0, 0, 0, 1, 0]


def test_bonds_and_charges() -> None:
    acid = species_from_smiles("[NH3+]CC(=O)[O-]")
    assert formal_charges(acid).tolist() == [1, 0, 0, 0, -1] + 5 * [0]
    assert bonds_apart(acid)[0, 4] == 3
    assert (np.diag(bonds_apart(acid)) == 0).all()
