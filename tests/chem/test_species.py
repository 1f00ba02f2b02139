"""What becomes a species, and what is refused, with the reason."""

from __future__ import annotations

from pathlib import Path

import ase.io
import numpy as np
import pytest
from ase import Atoms
from chemcases import geometries, species
from potentialcases import alanine_dipeptide
from rdkit import Chem

from genmol.chem.sdf import write_sdf
from genmol.chem.species import (
    species_from_atoms,
    species_from_file,
    species_from_smiles,
    stereoisomers,
)
from genmol.core.errors import InputError


def test_a_smiles_becomes_a_species() -> None:
    one = species_from_smiles("  [O-]C(=O)C acetate ion ")
    assert one.numbers.tolist() == [8, 6, 8, 6, 1, 1, 1]
    assert one.bonds == ((0, 1), (1, 2), (1, 3), (3, 4), (3, 5), (3, 6))
    assert (one.charge, one.multiplicity, one.smiles, one.name) == (
        -1,
        1,
        "CC(=O)[O-]",
        "acetate ion",
    )
    assert one.neighbours[3] == (1, 4, 5, 6)
    assert one.formula == "C2H3O2"
    assert one.mol.GetNumConformers() == 0
    assert one.geometry is None
    atoms = one.atoms(np.zeros((7, 3)))
    assert atoms.info == {
        "charge": -1,
        "multiplicity": 1,
        "name": "acetate ion",
        "smiles": "CC(=O)[O-]",
    }


@pytest.mark.parametrize(
    ("smiles", "words"),
    [
        ("C1CC", "RDKit cannot read"),
        ("", "RDKit cannot read"),
        ("[He]", "a single atom"),
        ("O.O", "consists of 2 molecules"),
        ("C[NH3+].[O-]C=O", "consists of 2 molecules"),
        ("C[Mg]Br", "with Mg"),
        ("[Fe]", "a single atom"),
        ("*CC", r"dummy atom \* \(atom 0\)"),
        ("C" * 67, "with 203 atoms; wanted at most 200"),
        ("[CH3]", "multiplicity 1 for 9 electrons"),
        ("CC(O)F", "undefined stereo: centre C1;"),
        ("CC=CC(N)O", "undefined stereo: centre C3, double bond C1=C2;"),
        ("CC1CCC(C)CC1", "undefined stereo: centre C1, centre C4;"),
        ("CN=NC", "undefined stereo: double bond N1=N2;"),
        ("CC=C=CC", "the cumulene C1 to C3"),
        ("CC=C=C=CC", "the cumulene C1 to C4"),
    ],
)
def test_refused(smiles: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        species_from_smiles(smiles)


def test_the_example_in_the_message_is_accepted() -> None:
    with pytest.raises(InputError) as caught:
        species_from_smiles("CC=CC(N)O")
    example = caught.value.remedy.split("for example ")[1].split(",")[0]
    assert species_from_smiles(example).smiles == example


def test_a_radical_needs_its_multiplicity() -> None:
    assert species_from_smiles("[CH3]", multiplicity=2).multiplicity == 2
    with pytest.raises(InputError, match="multiplicity 2 for 10 electrons"):
        species_from_smiles("C", multiplicity=2)


@pytest.mark.parametrize(
    "smiles",
    [
        "C1CC2CCC1C2",  # norbornane: the bridgeheads have no choice
        "C1C2CC3CC1CC(C2)C3",  # adamantane
        "C12C3C4C1C5C2C3C45",  # cubane
        "CC(=N)N",  # C=N-H is a torsion
        "CNC(=[NH+]C)N",  # so is the C=N of a guanidinium ion
        "CC=C=C",
        "CC(C)=NO",
        "[H][H]",
    ],
)
def test_what_needs_no_marks(smiles: str) -> None:
    one = species_from_smiles(smiles)
    assert species_from_smiles(one.smiles).smiles == one.smiles


@pytest.mark.parametrize(
    ("smiles", "count"),
    [
        ("CCO", 1),
        ("CC(O)F", 2),
        ("CC=CC", 2),
        ("OC(=O)C(O)C(O)C(=O)O", 3),  # tartaric acid: two enantiomers and meso
        ("CC1CCC(C)CC1", 2),
        ("CC1CN1C", 4),  # nitrogen of an N-substituted aziridine counts
        ("C1CCC2CCCCC2C1", 2),  # decalin: cis and trans
        ("C1CC2CCC1C2", 1),
        ("C[C@H](O)C(O)C", 2),  # one centre is given
        ("CC(O)C(F)C(C)O", 4),  # pseudoasymmetric: two meso forms and a pair
    ],
)
def test_numbers_of_stereoisomers(smiles: str, count: int) -> None:
    found = stereoisomers(smiles)
    assert len({one.smiles for one in found}) == len(found) == count
    for one in found:
        assert species_from_smiles(one.smiles).smiles == one.smiles
    if count > 1:
        assert found[0].name == f"{smiles} isomer 1"


def test_inositol_has_nine_isomers() -> None:
    assert len(stereoisomers("OC1C(O)C(O)C(O)C(O)C1O")) == 9


def test_too_many_isomers() -> None:
    with pytest.raises(InputError, match=r"8 stereoisomers .* wanted 1 to 4"):
        stereoisomers("CC(F)C(Cl)C(O)N", limit=4)
    with pytest.raises(InputError, match="12 undefined stereo units"):
        stereoisomers("C" + "C(O)" * 12 + "CC")


def test_stereo_of_a_bare_xyz_is_that_of_the_geometry(tmp_path: Path) -> None:
    atoms = alanine_dipeptide()
    for sign, smiles in ((1, "CNC(=O)[C@H](C)NC(C)=O"), (-1, "CNC(=O)[C@@H](C)NC(C)=O")):
        ase.io.write(tmp_path / "a.xyz", Atoms(atoms.numbers, sign * atoms.positions), format="xyz")
        one, x = species_from_file(tmp_path / "a.xyz")
        assert one.smiles == smiles
        assert one.name == "a"
        np.testing.assert_array_equal(one.numbers, atoms.numbers)
        np.testing.assert_allclose(x, sign * atoms.positions[None], atol=1e-8)
        np.testing.assert_array_equal(one.geometry, x[0])


def test_double_bonds_of_an_xyz(tmp_path: Path) -> None:
    for smiles in ("C/C=C/C", "C/C=C\\C", "C/N=N/C"):
        atoms = species(smiles).atoms(geometries(smiles)[0])
        ase.io.write(tmp_path / "a.xyz", atoms, format="xyz")
        assert species_from_file(tmp_path / "a.xyz")[0].smiles == smiles
    ase.io.write(tmp_path / "a.xyz", species("CC=N").atoms(geometries("CC=N")[0]), format="xyz")
    assert species_from_file(tmp_path / "a.xyz")[0].smiles == "CC=N"


@pytest.mark.parametrize(
    ("smiles", "charge"), [("CC(=O)[O-]", -1), ("C[NH3+]", 1), ("C12C3C4C1C5C2C3C45", 0)]
)
def test_charge_and_cages_of_an_xyz(tmp_path: Path, smiles: str, charge: int) -> None:
    one = species(smiles)
    ase.io.write(tmp_path / "a.xyz", Atoms(one.numbers, geometries(smiles)[0]), format="xyz")
    found, _ = species_from_file(tmp_path / "a.xyz", charge=charge)
    assert (found.smiles, found.charge) == (one.smiles, charge)
    with pytest.raises(InputError):
        species_from_file(tmp_path / "a.xyz", charge=charge + 2)


def test_a_radical_from_a_file(tmp_path: Path) -> None:
    methyl = Atoms("CHHH", [[0, 0, 0], [1.08, 0, 0], [-0.54, 0.935, 0], [-0.54, -0.935, 0]])
    ase.io.write(tmp_path / "a.xyz", methyl, format="xyz")
    one, _ = species_from_file(tmp_path / "a.xyz", multiplicity=2)
    assert (one.smiles, one.multiplicity) == ("[CH3]", 2)
    with pytest.raises(InputError, match="multiplicity 1 for 9 electrons"):
        species_from_file(tmp_path / "a.xyz")


def test_frames_of_a_file(tmp_path: Path) -> None:
    one, x = species("OCCO"), geometries("OCCO")
    path = tmp_path / "a.extxyz"
    ase.io.write(path, [one.atoms(frame) for frame in x], format="extxyz")
    found, frames = species_from_file(path)
    np.testing.assert_allclose(frames, x, atol=1e-7)
    assert found.name == one.name
    ase.io.write(path, [one.atoms(x[0]), one.atoms(x[0])[::-1]], format="extxyz")
    with pytest.raises(InputError, match=r"frame 1 of .* whose atoms or their order differ"):
        species_from_file(path)


def test_sdf(tmp_path: Path) -> None:
    one, x = species("C[C@H](N)C(=O)O"), geometries("C[C@H](N)C(=O)O")
    write_sdf(tmp_path / "a.sdf", [one.atoms(frame) for frame in x])
    found, frames = species_from_file(tmp_path / "a.sdf")
    assert found.smiles == one.smiles
    np.testing.assert_allclose(frames, x, atol=5.1e-5)
    with pytest.raises(InputError, match=r"--charge \+1 .* whose bonds carry \+0"):
        species_from_file(tmp_path / "a.sdf", charge=1, multiplicity=1)


def test_bonds_declared_in_the_comment(tmp_path: Path) -> None:
    smiles = "C[C@H](O)F"
    atoms = species(smiles).atoms(geometries(smiles)[0])
    ase.io.write(tmp_path / "a.extxyz", atoms, format="extxyz")
    assert species_from_file(tmp_path / "a.extxyz")[0].smiles == Chem.CanonSmiles(smiles)
    atoms.positions *= -1
    ase.io.write(tmp_path / "a.extxyz", atoms, format="extxyz")
    with pytest.raises(InputError, match="wanted the same stereoisomer"):
        species_from_file(tmp_path / "a.extxyz")


def test_an_unknown_format(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"of the format \.pdb"):
        species_from_file(tmp_path / "a.pdb")


def test_a_geometry_is_the_species_of_its_file(tmp_path: Path) -> None:
    atoms = alanine_dipeptide()
    ase.io.write(tmp_path / "a.xyz", atoms)
    from_file, _ = species_from_file(tmp_path / "a.xyz")
    found = species_from_atoms(atoms)
    assert (found.smiles, found.bonds) == (from_file.smiles, from_file.bonds)
    assert found.name == atoms.info.pop("name")
    assert species_from_atoms(atoms).name == atoms.get_chemical_formula()
    atoms.info["smiles"] = from_file.smiles
    assert species_from_atoms(atoms).smiles == from_file.smiles
    atoms.info["smiles"] = "CCO"
    with pytest.raises(InputError, match="for the SMILES 'CCO'"):
        species_from_atoms(atoms)
