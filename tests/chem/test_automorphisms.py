"""Permutations of equal atoms: all that a molecule in motion allows, and no others."""

from __future__ import annotations

import numpy as np
import pytest
from chemcases import geometries, graph_automorphisms, hydrogens_shuffled, species

from genmol.chem.automorphisms import automorphisms, mirror_permutation, relabelled
from genmol.chem.configuration import held_units, reference_geometry
from genmol.chem.equivalence import atom_classes, leaf_hydrogens
from genmol.chem.identity import same_molecule
from genmol.chem.species import Species
from genmol.chem.stereo import forms

SMALL = [
    "CCCC",
    "OCCO",
    "OCC(O)CO",
    "Cc1ccccc1",
    "C1CCCCC1",
    "CC(C)C",
    "CC(C)=CC",
    "C=C",
    "C[C@H](O)[C@@H](C)O",
    "C[C@H](O)[C@H](C)O",
    "CN(C)CC(=O)[O-]",
    "CC(C)(C)O",
    "C1CC2CCC1C2",
    "C[C@H]1CC[C@@H](C)CC1",
    "CC=C=C",
    "NC(=[NH2+])N",
    "CP(C)C",
    "[H][H]",
]


def skeleton(one: Species) -> list[int]:
    leaves = {h for group in leaf_hydrogens(one) for h in group}
    return [i for i in range(one.n_atoms) if i not in leaves]


@pytest.mark.parametrize("smiles", SMALL)
def test_they_are_those_that_brute_force_finds(smiles: str) -> None:
    """All graph automorphisms whose renumbered reference has the forms of the reference."""
    one = species(smiles)
    units, x = held_units(one), reference_geometry(one)
    wanted = np.array([unit.sign for unit in units])
    heavy = skeleton(one)
    expected = {
        tuple(g[heavy])
        for g in graph_automorphisms(one, limit=100_000)
        if (forms(units, x[None, g])[0] * wanted > 0).all()
    }
    group = automorphisms(one)
    found = [tuple(g[heavy]) for g in group]
    assert group.complete
    assert len(found) == len(set(found)) == len(group)
    assert set(found) == expected
    for g in group:
        assert (forms(units, x[None, g])[0] * wanted > 0).all()


@pytest.mark.parametrize(
    ("smiles", "count"),
    [
        ("CCCC", 2),
        ("OCC(O)CO", 1),  # the exchange of both ends is a mirror image
        ("C1CCCCC1", 12),
        ("C12C3C4C1C5C2C3C45", 24),  # the rotations of a cube
        ("C1C2CC3CC1CC(C2)C3", 12),  # and of a tetrahedron
        ("c1ccccc1P(c1ccccc1)c1ccccc1", 24),
        ("C[Si](C)(C)[Si]([Si](C)(C)C)([Si](C)(C)C)[Si](C)(C)C", 972),
        ("CC(C)(C)CC(C)(C)C", 18),
    ],
)
def test_numbers(smiles: str, count: int) -> None:
    assert len(automorphisms(species(smiles))) == count


def test_many_rotors_are_a_product() -> None:
    """Six tert-butyl groups on three rings: 3 · 2³ · 3⁶ permutations, and no list of them."""
    smiles = (
        "P(c1cc(C(C)(C)C)cc(C(C)(C)C)c1)(c1cc(C(C)(C)C)cc(C(C)(C)C)c1)c1cc(C(C)(C)C)cc(C(C)(C)C)c1"
    )
    group = automorphisms(species(smiles))
    assert group.complete
    assert len(group) == 3 * 2**3 * 3**6
    assert len(group.representatives) + sum(map(len, group.factors)) < 100


def test_a_product_is_closed() -> None:
    one = species("CC(C)(C)CC(C)(C)C")
    heavy = skeleton(one)
    elements = {tuple(g[heavy]): g for g in automorphisms(one)}
    for g in elements.values():
        for h in elements.values():
            assert tuple(g[h][heavy]) in elements


@pytest.mark.parametrize("smiles", SMALL)
def test_any_numbering_is_brought_back(smiles: str, rng: np.random.Generator) -> None:
    one = species(smiles)
    x = geometries(smiles)
    units = held_units(one)
    wanted = np.array([unit.sign for unit in units])
    found = graph_automorphisms(one, limit=100_000)
    y = np.concatenate([x[:, found[k]] for k in rng.integers(len(found), size=6)])
    y = relabelled(one, hydrogens_shuffled(one, y, rng))
    assert (forms(units, y) * wanted > 0).all()
    assert same_molecule(one, y).all()


@pytest.mark.parametrize(
    ("smiles", "handed"),
    [("CCCC", False), ("OCC(O)CO", False), ("C[C@H](O)F", True), ("C[C@H](O)[C@@H](C)O", False)],
)
def test_mirror_images(smiles: str, handed: bool) -> None:
    """Of a molecule without handedness, the mirror image can be renumbered into its forms."""
    one = species(smiles)
    g = mirror_permutation(one)
    assert (g is None) == handed
    if g is not None:
        units = held_units(one)
        signs = np.array([unit.sign for unit in units])
        assert (forms(units, -reference_geometry(one)[None, g])[0] * signs > 0).all()


def test_another_isomer_stays_as_it_is() -> None:
    x = geometries("C[C@H](O)F")
    np.testing.assert_array_equal(relabelled(species("C[C@@H](O)F"), x)[:, :4], x[:, :4])


def test_classes() -> None:
    """Resonance does not distinguish, handedness does."""
    acetate = atom_classes(species("CC(=O)[O-]"))
    assert acetate[2] == acetate[3]
    meso, chiral = (atom_classes(species(s)) for s in ("C[C@H](O)[C@@H](C)O", "C[C@H](O)[C@H](C)O"))
    assert (meso[1] == meso[3], chiral[1] == chiral[3]) in ((False, True), (True, False))
    dienol = atom_classes(species("C/C=C/C=C\\C"))
    assert dienol[0] != dienol[5]
    assert len(set(atom_classes(species("C1CCCCC1")))) == 2
    assert atom_classes(species("C[13CH3]"))[0] != atom_classes(species("C[13CH3]"))[1]
    assert leaf_hydrogens(species("C([2H])O"))[0] == (3, 4)
