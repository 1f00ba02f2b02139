"""Torsions: which there are, what moves, and angles that equivalent atoms do not change."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from chemcases import geometries, graph_automorphisms, hydrogens_shuffled, species
from rdkit.Chem import rdMolTransforms

from genmol.chem.conformers import turned
from genmol.chem.inversions import inversion_angle, inversions
from genmol.chem.relaxation import with_conformers
from genmol.chem.shapes import shape_angles, shape_coordinates
from genmol.chem.torsions import (
    Torsion,
    dihedral,
    linear_chains,
    ring_torsions,
    rotatable_torsions,
    torsion_angles,
)

ALANINE = "CC(=O)N[C@@H](C)C(=O)NC"


def test_dihedral_is_rdkits_in_numpy_and_torch() -> None:
    x = geometries(ALANINE)
    mol = with_conformers(species(ALANINE).mol, x)
    four = [(1, 3, 4, 6), (3, 4, 6, 8), (0, 1, 3, 4), (10, 0, 1, 2)]
    expected = [
        [rdMolTransforms.GetDihedralRad(conformer, *atoms) for atoms in four]
        for conformer in mol.GetConformers()
    ]
    np.testing.assert_allclose(dihedral(x, four), expected, atol=1e-12)
    found = dihedral(torch.tensor(x), four)
    torch.testing.assert_close(found, torch.tensor(expected), rtol=0, atol=1e-12)
    assert dihedral(x[0], four[0]).shape == ()
    assert torch.autograd.gradcheck(
        lambda y: dihedral(y, four), torch.tensor(x[0], requires_grad=True)
    )


BONDS = {  # axis and barrier of every torsion
    "CCCC": "0-1 1-2 2-3",
    "OCC(O)CO": "0-1 1-2 2-3 2-4 4-5",
    "OO": "0-1",
    "O": "",
    "Cc1ccccc1": "0-1",
    "C1CCCCC1": "",
    "C=C": "",
    "C/C=C/C": "0-1 2-3",
    "C=CC=C": "1-2c",
    ALANINE: "0-1 1-3a 3-4 4-5 4-6 6-8a 8-9",
    "COC(C)=O": "0-1 1-2c 2-3",
    "NC(=[NH2+])NC": "0-1a 1-2a 1-3a 3-4",
    "CC(=N)N": "0-1 1-2i 1-3a",
    "[H]/N=C(/C)CC": "2-3 2-4 4-5",
    "CC#N": "",
    "CC#CC": "0-3",
    "OCC#CC#CC": "0-1 1-6",
    "CC=C=C": "0-1",
    "CC(C)=C=C(C)C": "0-1 1-2 4-5 4-6",
    "CN=C=NC": "0-1 1-3i 3-4",
    "CN=C=O": "0-1",
    "C1CCCCCCCCC#C1": "",
    "C[N+](=O)[O-]": "0-1",
    "CS(C)(=O)=NC": "0-1 1-2 1-4 4-5",
    "c1ccccc1-c1ccccc1": "5-6c",
}


@pytest.mark.parametrize("smiles", BONDS)
def test_what_turns(smiles: str) -> None:
    letters = {"single": "", "conjugated": "c", "amide": "a", "imine": "i"}
    found = [
        "{}-{}{}".format(*sorted(torsion.atoms[1:3]), letters[torsion.barrier])
        for torsion in rotatable_torsions(species(smiles))
    ]
    assert " ".join(found) == BONDS[smiles]


FOLDS = {
    "CC": [3],
    "CO": [3],
    "CCC": [3, 3],
    "Cc1ccccc1": [6],
    "C[N+](=O)[O-]": [6],
    "CC(=O)[O-]": [6],
    "Cc1ccc(C)cc1": [3, 3],  # a turn of the ring turns the other methyl group too
    "CCN": [3, 1],  # the lone pair has a direction
    "CC(N)=O": [3, 2],  # a planar NH2 has none
    "CC[NH3+]": [3, 3],
    "Oc1ccccc1": [2],
    "CC(C)(C)Cl": [3, 3, 3],
    "FC(F)(F)CO": [3, 1],
    "CN1CCCCC1": [3],
    "COc1ccccc1": [3, 2],
    "FS(F)(F)(F)(F)CC=C": [4, 1],
    "O=C(N1CCCCC1)CF": [1, 1],  # the ring could pucker the other way
    "O=C(CF)N(C)C": [1, 1, 3, 3],
}


@pytest.mark.parametrize("smiles", FOLDS)
def test_folds(smiles: str) -> None:
    assert [torsion.fold for torsion in rotatable_torsions(species(smiles))] == FOLDS[smiles]


def test_phi_and_psi() -> None:
    atoms = {torsion.atoms[1:3]: torsion.atoms for torsion in rotatable_torsions(species(ALANINE))}
    assert atoms[4, 3] == (6, 4, 3, 1)  # φ: C N CA C, the other way round
    assert atoms[4, 6] == (3, 4, 6, 8)  # ψ: N CA C N


@pytest.mark.parametrize("smiles", [ALANINE, "OCC#CC", "CC(=N)N", "CN=C=NC"])
def test_the_moved_side_is_complete_and_the_smaller_one(smiles: str) -> None:
    """To turn it changes that angle, by as much, and no bond length."""
    one, x = species(smiles), geometries(smiles)[0]
    torsions = rotatable_torsions(one)
    chains = {i for chain in linear_chains(one) for i in chain[1:-1]}
    bonds = [b for b in one.bonds if not chains & set(b)]
    i, j = np.array(bonds).T
    for k, torsion in enumerate(torsions):
        assert 2 * (len(torsion.moved) + 1) <= one.n_atoms
        assert not {*torsion.atoms[:3]} & set(torsion.moved)
        y = turned(x, torsion, 0.7)
        np.testing.assert_allclose(
            np.linalg.norm(y[i] - y[j], axis=1), np.linalg.norm(x[i] - x[j], axis=1), atol=1e-12
        )
        change = torsion_angles(np.stack([y, x]), torsions)
        change = np.angle(np.exp(1j * (change[0] - change[1])))
        assert change[k] == pytest.approx(0.7, abs=1e-9)
        if not chains:
            np.testing.assert_allclose(np.delete(change, k), 0, atol=1e-9)


@pytest.mark.parametrize(
    "smiles",
    ["CCC", "Cc1ccccc1", "CC(N)=O", "CC(C)(C)Cl", "CCN", "FS(F)(F)(F)(F)CC=C", "C[N+](=O)[O-]"],
)
def test_equivalents_change_nothing_but_multiples(smiles: str, rng: np.random.Generator) -> None:
    """Whatever the numbers of equal atoms, each angle stays, up to 2π/m."""
    one = species(smiles)
    x = geometries(smiles) + 0.05 * rng.standard_normal(geometries(smiles).shape)
    torsions = rotatable_torsions(one)
    steps = np.lcm.reduce([torsion.harmonics for torsion in torsions], axis=1)
    before = torsion_angles(x, torsions)
    shuffled = torsion_angles(hydrogens_shuffled(one, x, rng), torsions)
    np.testing.assert_allclose(
        np.exp(1j * steps * shuffled), np.exp(1j * steps * before), atol=1e-9
    )
    local = [
        g
        for g in graph_automorphisms(one)
        if (g[one.numbers > 1] == np.flatnonzero(one.numbers > 1)).all()
    ]
    for g in local[:20]:
        after = torsion_angles(x[:, g], torsions)
        np.testing.assert_allclose(
            np.exp(1j * steps * after), np.exp(1j * steps * before), atol=1e-9
        )


def test_a_common_angle_is_near_the_dihedral(rng: np.random.Generator) -> None:
    """Of an undistorted CH3 it is the dihedral; of a shaken one it is within the shaking."""
    one = species("Cc1ccccc1")
    [torsion] = rotatable_torsions(one)
    x = geometries("Cc1ccccc1", 1) + 0.02 * rng.standard_normal((200, one.n_atoms, 3))
    difference = torsion_angles(x, [torsion])[:, 0] - dihedral(x, torsion.atoms)
    assert np.abs(np.angle(np.exp(1j * difference))).max() < 0.15


def test_the_pair_of_an_amine_points_away_from_its_lone_pair() -> None:
    one, x = species("CCN"), geometries("CCN")
    [torsion] = [t for t in rotatable_torsions(one) if t.atoms[2] == 2]
    assert (torsion.ends, torsion.harmonics) == (((0,), (8, 9)), (1, 1))
    both = dihedral(x, [(*torsion.atoms[:3], h) for h in (8, 9)])
    common = torsion_angles(x, [torsion])
    middle = np.angle(np.exp(1j * both).sum(axis=1, keepdims=True))
    np.testing.assert_allclose(np.cos(common - middle), 1, atol=1e-3)
    np.testing.assert_allclose(np.cos(both - common), np.cos(np.pi / 3), atol=0.1)


def test_inversions() -> None:
    one, x = species("CNCC"), geometries("CNCC")
    [inversion] = inversions(one)
    assert (inversion.centre, inversion.neighbours) == (1, (0, 2, 7))
    angle = inversion_angle(x, inversion)
    assert ((np.abs(angle) > 1.3) & (np.abs(angle) < 2.1)).all()  # near 82° of ammonia and 109°
    np.testing.assert_allclose(inversion_angle(-x, inversion), -angle, atol=1e-12)
    for smiles in ("CN", "CC(=O)N(C)C", "Nc1ccccc1", "C1CN2CCC1CC2", "C[S@](=O)CC"):
        assert inversions(species(smiles)) == ()


def test_shape_coordinates() -> None:
    one = species("CN1CCCCC1")
    coordinates = shape_coordinates(one)
    assert [getattr(one, "barrier", "inversion") for one in coordinates] == [
        "single",
        *["ring"] * 6,
        "inversion",
    ]
    x = geometries("CN1CCCCC1")
    angles = shape_angles(x, coordinates)
    np.testing.assert_array_equal(angles[:, :1], torsion_angles(x, rotatable_torsions(one)))
    np.testing.assert_allclose(
        angles[:, 1:7], dihedral(x, [torsion.atoms for torsion in ring_torsions(one)])
    )
    assert shape_angles(x, ()).shape == (len(x), 0)


def test_ring_torsions_of_small_rings() -> None:
    assert len(ring_torsions(species("C1CCC1"))) == 4
    assert ring_torsions(species("c1ccccc1")) == ring_torsions(species("C1CC1")) == ()
    assert all(isinstance(t, Torsion) and not t.moved for t in ring_torsions(species("C1CCCC1")))
