"""Structures become molecules: units, charges, ghosts, core potentials, refusals."""

import numpy as np
import pytest
from ase import Atoms
from scfcases import ase_fluoride, ase_water

from genmol.core.errors import InputError
from genmol.core.units import BOHR_TO_ANGSTROM
from genmol.qc.functional import resolve
from genmol.qc.molecule import build_mean_field, build_molecule, positions


def test_angstrom_becomes_bohr_once():
    atoms = ase_fluoride()
    mol = build_molecule(atoms, basis="6-31g")
    distance = np.linalg.norm(np.diff(mol.atom_coords(), axis=0))
    assert distance == pytest.approx(0.92 / 0.529177210903, rel=1e-9)
    assert distance == pytest.approx(0.92 / BOHR_TO_ANGSTROM, rel=1e-14)
    np.testing.assert_allclose(positions(mol), atoms.positions, atol=1e-14)


def test_integer_positions():
    assert build_molecule(Atoms("HF", [[0, 0, 0], [0, 0, 1]]), basis="sto-3g").nelectron == 10


@pytest.mark.parametrize(
    ("charge", "multiplicity", "expected"),
    [(None, None, (0, 0)), (1, None, (1, 1)), (0, 3, (0, 2)), (-1, 2, (-1, 1))],
)
def test_charge_and_multiplicity(charge, multiplicity, expected):
    mol = build_molecule(ase_water(), basis="sto-3g", charge=charge, multiplicity=multiplicity)
    assert (mol.charge, mol.spin) == expected


def test_the_structures_own_charge_and_multiplicity():
    atoms = ase_water()
    atoms.info |= {"charge": 1, "multiplicity": 4}
    mol = build_molecule(atoms, basis="sto-3g")
    assert (mol.charge, mol.spin) == (1, 3)
    assert build_molecule(atoms, basis="sto-3g", charge=0, multiplicity=1).spin == 0


def test_ghosts_keep_their_functions_only():
    atoms = Atoms("HFO", [[0, 0, 0], [0, 0, 0.92], [0, 0, 4]])
    mol = build_molecule(atoms, basis="6-31g", ghost_atoms=(2,))
    assert mol.nelectron == 10
    assert mol.nao == build_molecule(atoms, basis="6-31g").nao
    assert mol.atom_charges().tolist() == [1, 9, 0]


def test_core_potentials_come_with_the_basis():
    iodide = Atoms("HI", [[0, 0, 0], [0, 0, 1.6]])
    mol = build_molecule(iodide, basis="def2-svp")
    assert mol.nelectron == 1 + 53 - 28
    assert mol.atom_nelec_core(1) == 28
    assert build_molecule(iodide, basis="lanl2dz").nelectron == 1 + 7
    assert build_molecule(iodide, basis="sto-3g").nelectron == 54
    assert build_molecule(iodide, basis={"H": "def2-svp", "I": "def2-svp"}).nelectron == 26
    assert build_molecule(ase_fluoride(), basis="def2-svp").nelectron == 10


def test_cartesian_functions():
    sizes = [build_molecule(ase_water(), basis="6-31g*", cartesian=c).nao for c in (False, True)]
    assert sizes[1] == sizes[0] + 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"basis": "def3-svp"}, "basis 'def3-svp'"),
        ({"basis": ""}, "basis"),
        ({"multiplicity": 2}, "multiplicity 2 for 10 electrons"),
        ({"multiplicity": 13}, "multiplicity 13"),
        ({"charge": 10}, "0 electrons"),
        ({"charge": 40}, "electrons"),
        ({"ghost_atoms": (3,)}, "ghost atoms"),
        ({"ghost_atoms": (-1,)}, "ghost atoms"),
        ({"ghost_atoms": (0, 1, 2)}, "ghost atoms"),
        ({"ecp": "nonsense"}, "core potential"),
    ],
)
def test_refusals(options, message):
    with pytest.raises(InputError, match=message):
        build_molecule(ase_water(), **{"basis": "sto-3g", **options})


def test_a_bare_proton_is_refused():
    with pytest.raises(InputError, match="0 electrons"):
        build_molecule(Atoms("H", [[0, 0, 0]]), basis="sto-3g", charge=1)


def test_a_basis_that_lacks_an_element():
    with pytest.raises(InputError, match="does not have for every one of"):
        build_molecule(Atoms("HI", [[0, 0, 0], [0, 0, 1.6]]), basis="cc-pcvdz")


@pytest.mark.parametrize(
    ("spin_treatment", "multiplicity", "name"),
    [
        ("auto", 1, "RKS"),
        ("auto", 3, "UKS"),
        ("restricted", 1, "RKS"),
        ("unrestricted", 1, "UKS"),
        ("restricted-open", 3, "ROKS"),
    ],
)
def test_spin_treatments(spin_treatment, multiplicity, name):
    mol = build_molecule(ase_water(), basis="sto-3g", multiplicity=multiplicity)
    mf = build_mean_field(mol, resolve("pbe"), spin_treatment=spin_treatment, grid_level=2)
    assert type(mf).__name__ == name
    assert (mf.xc, mf.grids.level, mf.chkfile) == ("pbe", 2, None)
    hf = build_mean_field(mol, resolve("hf"), spin_treatment=spin_treatment)
    assert type(hf).__name__ == name.replace("KS", "HF")


def test_a_restricted_triplet_is_refused():
    mol = build_molecule(ase_water(), basis="sto-3g", multiplicity=3)
    with pytest.raises(InputError, match="multiplicity 3"):
        build_mean_field(mol, resolve("pbe"), spin_treatment="restricted")


@pytest.mark.parametrize(("name", "eps"), [("water", 78.3553), ("THF", 7.4257), ("4.5", 4.5)])
def test_solvents(name, eps):
    mol = build_molecule(ase_water(), basis="sto-3g")
    mf = build_mean_field(mol, resolve("pbe"), solvent=name)
    assert (mf.with_solvent.method, mf.with_solvent.eps) == ("IEF-PCM", eps)


@pytest.mark.parametrize("name", ["watter", "", "0.5", "-3", "nan", "inf"])
def test_impossible_solvents(name):
    mol = build_molecule(ase_water(), basis="sto-3g")
    with pytest.raises(InputError, match="solvent"):
        build_mean_field(mol, resolve("pbe"), solvent=name)
