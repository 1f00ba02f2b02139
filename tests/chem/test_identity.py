"""Frames at 1000 K are the molecule; a moved proton, a broken bond and a mirrored centre are not."""

from __future__ import annotations

import numpy as np
import pytest
from chemcases import geometries, hot, species
from rdkit import Chem
from rdkit.Chem import rdMolTransforms

from genmol.chem.identity import differences, same_molecule
from genmol.chem.relaxation import with_conformers


@pytest.mark.parametrize(
    "smiles",
    [
        "C[C@H](O)C(=O)O",
        "CC(=O)N[C@@H](C)C(=O)NC",
        "OCC(O)CO",
        "C1C2CC1C2",  # the bridgeheads of bicyclo[1.1.1]pentane are 1.87 Å apart
        "C1CC1/C=C/C#N",
        "CS(=O)(=O)NCl",
        "O=C/C=C\\O",
    ],
)
def test_hot_frames_are_the_molecule(smiles: str, rng: np.random.Generator) -> None:
    frames = hot(smiles, temperature=1000, frames=60, rng=rng)
    assert differences(species(smiles), frames) == ((),) * 60


def test_a_moved_proton() -> None:
    """Half way between its oxygen and another one it is a matter of who is nearer."""
    one, x = species("O=C/C=C\\O"), geometries("O=C/C=C\\O", 20)
    i, o = (int(k) for k in np.flatnonzero(one.numbers == 8))
    h = next(k for k in one.neighbours[o] if one.numbers[k] == 1)
    distance = np.linalg.norm(x[:, i] - x[:, h], axis=1)
    frame = x[distance.argmin()]
    assert distance.min() < 2.2  # a hydrogen bond
    axis = (frame[i] - frame[o]) / np.linalg.norm(frame[i] - frame[o])
    frames = np.repeat(frame[None], 3, axis=0)
    for k, along in enumerate((1.0, 0.7, 1.35)):
        frames[k, h] = (frame[o] if k == 0 else frame[i]) + axis * (along if k == 0 else -1.0)
        frames[k, i] += 0.0 if k == 0 else 0.2 * axis
    assert same_molecule(one, frames).tolist() == [True, False, False]
    assert any(f"H{h}" in words for words in differences(one, frames)[1])


def test_a_broken_bond_and_a_new_one() -> None:
    one, x = species("CCO"), geometries("CCO")[:1]
    stretched = x.copy()
    moved = [0, *(k for k in one.neighbours[0] if k != 1)]
    axis = (x[0, 0] - x[0, 1]) / np.linalg.norm(x[0, 0] - x[0, 1])
    for by, words in ((0.3, ()), (0.8, ("C0–C1 is broken",))):
        stretched[0] = x[0]
        stretched[0, moved] += by * axis
        assert differences(one, stretched) == (words,)
    close = x.copy()
    a, b = [k for k in one.neighbours[0] if one.numbers[k] == 1][:2]
    middle = (x[0, a] + x[0, b]) / 2
    direction = (x[0, b] - x[0, a]) / np.linalg.norm(x[0, b] - x[0, a])
    close[0, a], close[0, b] = middle - 0.37 * direction, middle + 0.37 * direction
    assert f"H{a}–H{b} has formed" in differences(one, close)[0]


def test_chirality() -> None:
    smiles = "C[C@H](O)[C@@H](F)Cl"
    one, x = species(smiles), geometries(smiles)
    assert same_molecule(one, x).all()
    assert differences(one, -x) == (("centre C1 is inverted", "centre C3 is inverted"),) * len(x)
    swapped = (
        x.copy()
    )  # fluorine and chlorine exchanged: one centre is inverted, bonds are not ordinary
    swapped[:, [4, 5]] = x[:, [5, 4]]
    assert all("centre C3 is inverted" in words for words in differences(one, swapped))


def test_double_bonds() -> None:
    """E from Z, by RDKit's own rotation of one end."""
    one = species("C/C=C\\C")
    mol = with_conformers(one.mol, geometries("C/C=C\\C")[:1])
    rw = Chem.RWMol(mol)
    rw.GetBondBetweenAtoms(1, 2).SetBondType(Chem.BondType.SINGLE)
    rdMolTransforms.SetDihedralDeg(rw.GetConformer(), 0, 1, 2, 3, 180.0)
    turned = rw.GetConformer().GetPositions()[None]
    assert differences(one, turned) == (("double bond C1=C2 has become trans",),)
    assert same_molecule(species("C/C=C/C"), turned).all()


def test_frames_that_are_no_numbers() -> None:
    one, x = species("CCO"), np.repeat(geometries("CCO")[:1], 2, axis=0)
    x[1, 0, 0] = np.nan
    assert differences(one, x) == ((), ("coordinates that are not finite",))
    assert same_molecule(one, x[:0]).shape == (0,)
