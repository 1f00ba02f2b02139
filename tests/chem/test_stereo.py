"""Forms of stereo units: signs from labels are those of geometries, and RDKit agrees."""

from __future__ import annotations

import re

import numpy as np
import pytest
from chemcases import geometries, species
from rdkit import Chem

from genmol.chem.relaxation import with_conformers
from genmol.chem.stereo import StereoUnit, forms, label_by_geometry, specified_units

HANDED = [
    "C[C@H](O)F",
    "C[C@@H](O)F",
    "OC(=O)[C@H](O)[C@@H](O)C(=O)O",
    "C[S@](=O)CC",
    "C[P@@](CC)c1ccccc1",
    "C[C@H]1C[N@@]1CC",
    "C[C@H]1CC[C@@H](C)CC1",
    "C[N@@H+](CC)C1CC1",
    "C/C=C/C=C\\C",
    "C/N=N/C",
    "F/C(Cl)=C(Br)\\C",
    "[H]/N=C(/C)CC",
]


@pytest.mark.parametrize("smiles", HANDED)
def test_labels_and_geometries_agree(smiles: str) -> None:
    one, x = species(smiles), geometries(smiles)
    units = specified_units(one.mol)
    signs = np.array([unit.sign for unit in units])
    assert len(signs) == len(re.findall(r"@+|=[CN]", smiles))
    assert (forms(units, x) * signs > 0.2).all()
    mirrored = np.array([-1 if unit.kind == "centre" else 1 for unit in units])
    np.testing.assert_allclose(forms(units, -x), forms(units, x) * mirrored, atol=1e-12)


@pytest.mark.parametrize("smiles", [s for s in HANDED if "[H]" not in s])
def test_labels_from_a_geometry(smiles: str) -> None:
    one = species(smiles)
    labelled = with_conformers(one.mol, geometries(smiles)[:1])
    label_by_geometry(labelled)
    assert Chem.MolToSmiles(Chem.RemoveHs(labelled)) == one.smiles
    mirror = with_conformers(one.mol, -geometries(smiles)[:1])
    label_by_geometry(mirror)
    opposite = {unit.at: -unit.sign for unit in specified_units(one.mol) if unit.kind == "centre"}
    found = {unit.at: unit.sign for unit in specified_units(mirror) if unit.kind == "centre"}
    assert found == opposite


def test_a_dihedral_of_a_double_bond() -> None:
    unit = StereoUnit("double bond", (1, 2), (0, 1, 2, 3))
    twisted = StereoUnit("cumulene", (1, 2), (0, 1, 2, 3))
    angles = np.linspace(-3, 3, 13)
    x = np.zeros((13, 4, 3))
    x[:, 0] = [1.0, -0.5, 0.0]
    x[:, 2] = [0.0, 1.4, 0.0]
    x[:, 3] = np.stack([np.cos(angles), np.full(13, 1.9), -np.sin(angles)], axis=1)
    found = forms([unit, twisted], x)
    np.testing.assert_allclose(found[:, 0], np.cos(angles), atol=1e-12)
    np.testing.assert_allclose(np.abs(found[:, 1]), np.abs(np.sin(angles)), atol=1e-12)
    assert (np.sign(found[:, 1]) * np.sign(np.sin(angles)))[angles != 0].var() == 0
