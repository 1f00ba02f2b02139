"""MMFF94: one set-up gives what RDKit computes anew for each geometry; atoms without a type are named."""

from __future__ import annotations

import os
import sys

import numpy as np
import pytest
from potentialcases import alanine_dipeptide, shaken
from rdkit import Chem
from rdkit.Chem import AllChem

from genmol.chem.bonds import bonded, parse_smiles
from genmol.chem.mmff import MerckForceField, MMFFVariant
from genmol.core.errors import InputError

KCAL_MOL = 23.0605478306  # of an eV


def fresh(mol: Chem.Mol, positions: np.ndarray, variant: MMFFVariant) -> tuple[float, np.ndarray]:
    """RDKit's own, from a new force field."""
    copy = Chem.Mol(mol)
    copy.RemoveAllConformers()
    conformer = Chem.Conformer(len(positions))
    for index, position in enumerate(positions):
        conformer.SetAtomPosition(index, position.tolist())
    copy.AddConformer(conformer)
    properties = AllChem.MMFFGetMoleculeProperties(copy, variant)
    field = AllChem.MMFFGetMoleculeForceField(copy, properties)
    return field.CalcEnergy(), np.array(field.CalcGrad()).reshape(-1, 3)


@pytest.mark.parametrize("variant", ["MMFF94", "MMFF94s"])
def test_one_set_up_for_all_geometries(variant: MMFFVariant, rng: np.random.Generator) -> None:
    atoms = alanine_dipeptide()
    mol = bonded(atoms.info["smiles"], atoms)
    field = MerckForceField(mol, variant=variant)
    frames = [frame.positions for frame in shaken(atoms, 4, rng, noise=0.1)]
    answers = [field.energy_and_forces(x) for x in frames]
    for x, (energy, forces) in [*zip(frames, answers, strict=True)][::-1]:
        expected, gradient = fresh(mol, x, variant)
        assert energy * KCAL_MOL == pytest.approx(expected, rel=1e-10)
        np.testing.assert_allclose(-forces * KCAL_MOL, gradient, rtol=1e-9, atol=1e-9)
        again = field.energy_and_forces(x)
        assert field.energy(x) == again[0] == energy
        np.testing.assert_array_equal(again[1], forces)


def test_the_variants_differ() -> None:
    atoms = alanine_dipeptide()
    mol = bonded(atoms.info["smiles"], atoms)
    energies = [
        MerckForceField(mol, variant=v).energy(atoms.positions) for v in ("MMFF94", "MMFF94s")
    ]
    assert abs(energies[0] - energies[1]) > 1e-4


def test_pairs_far_apart_at_first_are_not_forgotten(rng: np.random.Generator) -> None:
    """Two ions that were 200 Å apart when the molecule was made attract each other at 3 Å."""
    mol = parse_smiles("[Na+].[Cl-]")
    AllChem.EmbedMolecule(mol, randomSeed=1)
    mol.GetConformer().SetAtomPosition(1, (200.0, 0.0, 0.0))
    field = MerckForceField(mol)
    near = field.energy(np.array([[0.0, 0, 0], [3.0, 0, 0]]))
    assert near == pytest.approx(-332.0716 / 3.05 / KCAL_MOL, abs=0.2)
    assert abs(field.energy(np.array([[0.0, 0, 0], [1e5, 0, 0]]))) < 1e-3


def test_the_molecule_given_is_left_alone() -> None:
    mol = parse_smiles("CO")
    AllChem.EmbedMolecule(mol, randomSeed=1)
    before = mol.GetConformer().GetPositions().copy()
    field = MerckForceField(mol)
    field.energy(2 * before)
    np.testing.assert_array_equal(mol.GetConformer().GetPositions(), before)
    assert (field.numbers, field.charge) == ((6, 8, 1, 1, 1, 1), 0)
    assert MerckForceField(parse_smiles("CC(=O)[O-]")).charge == -1


@pytest.mark.parametrize(
    ("smiles", "message"),
    [
        ("CB(O)O", r"atom 1 \(B\), for which MMFF94 has no type; wanted H, C, N"),
        ("C[Se]C", r"atom 1 \(Se\)"),
        ("[C-]#[O+]", r"atom 1 \(O\)"),
        ("FS(F)(F)(F)(F)F", r"atom 1 \(S\)"),
        ("C[CH2]", r"atom 1 \(C\) with unpaired electrons"),
    ],
)
def test_atoms_without_parameters_are_named(
    smiles: str, message: str, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(InputError, match=message):
        MerckForceField(parse_smiles(smiles))
    sys.stdout.write("still here\n")
    sys.stdout.flush()
    os.write(1, b"and here\n")
    assert capfd.readouterr().out == "still here\nand here\n"


def test_missing_hydrogens() -> None:
    with pytest.raises(InputError, match="lacks 4 hydrogens"):
        MerckForceField(Chem.MolFromSmiles("CO"))
