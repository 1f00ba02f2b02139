"""The bonds of a SMILES find their atoms in a geometry, whatever their order."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from potentialcases import METHANOL, alanine_dipeptide
from rdkit import Chem
from rdkit.Chem import AllChem

from genmol.chem.bonds import bonded, parse_smiles
from genmol.core.errors import InputError


def embedded(smiles: str) -> Atoms:
    mol = Chem.AddHs(Chem.MolFromSmiles(smiles))
    assert AllChem.EmbedMolecule(mol, randomSeed=7) == 0
    return Atoms([a.GetAtomicNum() for a in mol.GetAtoms()], mol.GetConformer().GetPositions())


@pytest.mark.parametrize(
    "smiles",
    [
        "CC(=O)N[C@@H](C)C(=O)NC",
        "OCC(O)CO",
        "c1ccccc1C#N",
        "C[N+](C)(C)CC(=O)[O-]",
        "C[N+](=O)[O-]",
        "O",
        "C1CC1=C",
    ],
)
def test_shuffled_atoms_get_their_bonds(smiles: str, rng: np.random.Generator) -> None:
    atoms = embedded(smiles)
    order = rng.permutation(len(atoms))
    shuffled = atoms[order]
    mol = bonded(smiles, shuffled)
    assert [a.GetAtomicNum() for a in mol.GetAtoms()] == shuffled.numbers.tolist()
    np.testing.assert_allclose(mol.GetConformer().GetPositions(), shuffled.positions, atol=1e-12)
    assert Chem.CanonSmiles(Chem.MolToSmiles(Chem.RemoveHs(mol))) == Chem.CanonSmiles(smiles)
    for bond in mol.GetBonds():
        ends = shuffled.positions[[bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()]]
        assert np.linalg.norm(ends[0] - ends[1]) < 1.7
    assert mol.GetNumConformers() == 1


def test_the_example() -> None:
    atoms = alanine_dipeptide()
    mol = bonded(atoms.info["smiles"], atoms)
    assert mol.GetNumAtoms() == 22
    assert mol.GetBondBetweenAtoms(1, 2).GetBondType() == Chem.BondType.DOUBLE


@pytest.mark.parametrize(
    ("smiles", "atoms"),
    [
        ("CCO", METHANOL),
        ("C", METHANOL),
        ("COC", embedded("CCO")),  # an isomer
        ("CO", Atoms(METHANOL.numbers, 3 * METHANOL.positions)),  # another unit
    ],
)
def test_other_molecules_are_refused(smiles: str, atoms: Atoms) -> None:
    with pytest.raises(InputError, match=r"a geometry of .* bonds for the SMILES .* Å"):
        bonded(smiles, atoms)


@pytest.mark.parametrize("smiles", ["", "C(", "CX", "C(C)(C)(C)(C)C"])
def test_unreadable_smiles(smiles: str) -> None:
    with pytest.raises(InputError, match="RDKit cannot read"):
        parse_smiles(smiles)


def test_hydrogens_are_explicit() -> None:
    assert parse_smiles("CO").GetNumAtoms() == 6
