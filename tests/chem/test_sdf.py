"""SDF in and out: charges, several molecules, and refusal of drawings and missing hydrogens."""

import numpy as np
import pytest
from ase import Atoms
from ase.build import molecule
from rdkit import Chem
from rdkit.Chem import AllChem

from genmol.chem.sdf import read_sdf, write_sdf
from genmol.core.errors import InputError


def embedded(smiles: str, *, hydrogens: bool = True) -> Chem.Mol:
    mol = Chem.AddHs(Chem.MolFromSmiles(smiles))
    assert AllChem.EmbedMolecule(mol, randomSeed=7) == 0
    return mol if hydrogens else Chem.RemoveHs(mol)


def write(path, *molecules: Chem.Mol) -> None:
    with Chem.SDWriter(str(path)) as writer:
        for mol in molecules:
            writer.write(mol)


def test_rdkit_molecules_arrive_with_charge_name_and_geometry(tmp_path):
    ions = [embedded(smiles) for smiles in ("CC(=O)[O-]", "C[NH3+]", "C[N+](=O)[O-]")]
    ions[0].SetProp("_Name", "acetate")
    path = tmp_path / "a.sdf"
    write(path, *ions)
    read = read_sdf(path)
    assert [atoms.info["charge"] for atoms in read] == [-1, 1, 0]
    assert read[0].info["name"] == "acetate"
    for atoms, mol in zip(read, ions, strict=True):
        assert atoms.numbers.tolist() == [atom.GetAtomicNum() for atom in mol.GetAtoms()]
        # The format keeps four decimals
        np.testing.assert_allclose(
            atoms.positions, mol.GetConformer().GetPositions(), rtol=0, atol=5.1e-5
        )


@pytest.mark.parametrize(
    ("smiles", "charge"), [("CCO", 0), ("CC(=O)[O-]", -1), ("C[NH3+]", 1), ("c1ccccc1C#N", 0)]
)
def test_round_trip_recovers_the_chemistry(tmp_path, smiles, charge):
    mol = embedded(smiles)
    numbers = [atom.GetAtomicNum() for atom in mol.GetAtoms()]
    atoms = Atoms(numbers, mol.GetConformer().GetPositions(), info={"charge": charge, "name": "x"})
    path = tmp_path / "a.sdf"
    write_sdf(path, [atoms, atoms])
    for read in read_sdf(path):
        assert read.info == {"charge": charge, "name": "x"}
        np.testing.assert_allclose(read.positions, atoms.positions, rtol=0, atol=5.1e-5)
    perceived = Chem.SDMolSupplier(str(path))[0]
    assert Chem.MolToSmiles(perceived) == Chem.CanonSmiles(smiles)


def test_the_second_molecule_is_named_when_it_lacks_hydrogens(tmp_path):
    path = tmp_path / "a.sdf"
    write(path, embedded("CCO"), embedded("CCO", hydrogens=False))
    with pytest.raises(InputError, match=r"molecule 1 of .* lacks 6 hydrogens"):
        read_sdf(path)


def test_a_drawing_is_not_a_structure(tmp_path):
    mol = Chem.AddHs(Chem.MolFromSmiles("CO"))
    AllChem.Compute2DCoords(mol)
    path = tmp_path / "a.sdf"
    write(path, mol)
    with pytest.raises(InputError, match=r"flat drawing \(2D\)"):
        read_sdf(path)


def test_planar_molecules_are_structures(tmp_path):
    water = molecule("H2O")
    assert not water.positions[:, 0].any()
    write_sdf(tmp_path / "a.sdf", [water])
    [read] = read_sdf(tmp_path / "a.sdf")
    np.testing.assert_allclose(read.positions, water.positions, rtol=0, atol=5.1e-5)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "empty file"),
        ("nonsense\n", "molecule 0 of .* RDKit cannot read"),
        (
            "\n     RDKit          3D\n\n  2  1  0  0  0  0  0  0  0  0999 V2000\n"
            "    0.0000    0.0000    0.0000 H   0  0\n    0.0000    0.0000    0.1000 H   0  0\n"
            "  1  2  1  0\nM  END\n$$$$\n",
            "atoms 0 .* and 1 .* are 0.100 Å apart",
        ),
    ],
)
def test_bad_files(tmp_path, content, message):
    path = tmp_path / "a.sdf"
    path.write_text(content)
    with pytest.raises(InputError, match=message):
        read_sdf(path)


def test_writing_refuses_what_has_no_bonding_pattern_and_keeps_the_old_file(tmp_path):
    path = tmp_path / "a.sdf"
    path.write_text("old")
    ammonia = molecule("NH3")
    ammonia.info["charge"] = -3
    with pytest.raises(InputError, match=r"frame 1 \(H3N\), whose bonds RDKit cannot assign"):
        write_sdf(path, [molecule("H2O"), ammonia])
    assert path.read_text() == "old"
