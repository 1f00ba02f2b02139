"""Molecules survive the round trip, and every bad input is refused with its reason."""

import numpy as np
import pytest
from ase import Atoms
from ase.build import molecule
from ase.calculators.singlepoint import SinglePointCalculator

from genmol.core.errors import InputError
from genmol.core.structure import (
    MINIMUM_DISTANCE,
    charge_and_multiplicity,
    check_electrons,
    check_structure,
    iread_structures,
    read_structures,
    write_extxyz,
)

GOOD_FRAME = "2\n\nO 0 0 0\nH 0 0 0.97\n"


def labelled(rng: np.random.Generator) -> Atoms:
    atoms = molecule("CH3CH2OH")
    atoms.info.update(charge=1, multiplicity=2, REF_energy=-154.123456789012)
    atoms.set_array("REF_forces", rng.normal(size=(len(atoms), 3)))
    return atoms


def test_round_trip_keeps_geometry_charge_and_labels(tmp_path, rng):
    path = tmp_path / "run.extxyz"
    frames = [labelled(rng) for _ in range(3)]
    write_extxyz(path, frames)
    for before, after in zip(frames, read_structures(path), strict=True):
        assert after.get_chemical_symbols() == before.get_chemical_symbols()
        np.testing.assert_allclose(after.positions, before.positions, rtol=0, atol=1e-8)
        np.testing.assert_allclose(
            after.arrays["REF_forces"], before.arrays["REF_forces"], rtol=0, atol=1e-8
        )
        assert after.info["REF_energy"] == before.info["REF_energy"]
        assert charge_and_multiplicity(after) == (1, 2)


def test_calculator_results_are_written_under_ref_names_and_the_frame_is_left_alone(tmp_path, rng):
    atoms = molecule("H2O")
    forces = rng.normal(size=(3, 3))
    atoms.calc = SinglePointCalculator(atoms, energy=-5.0, forces=forces)
    write_extxyz(tmp_path / "a.xyz", [atoms])
    header = (tmp_path / "a.xyz").read_text().splitlines()[1]
    assert "REF_energy=-5.0" in header
    assert "REF_forces:R:3" in header
    assert " energy=" not in header
    assert atoms.calc is not None
    assert "REF_forces" not in atoms.arrays


def test_plain_keys_are_read_and_ref_keys_win(tmp_path):
    path = tmp_path / "a.xyz"
    path.write_text(
        "1\nProperties=species:S:1:pos:R:3:forces:R:3 energy=-1.0\nHe 0 0 0 1 2 3\n"
        "1\nProperties=species:S:1:pos:R:3 energy=-1.0 REF_energy=-2.0\nHe 0 0 0\n"
    )
    plain, both = read_structures(path)
    assert plain.info["REF_energy"] == -1.0
    assert plain.arrays["REF_forces"].tolist() == [[1, 2, 3]]
    assert both.info["REF_energy"] == -2.0


def test_a_failed_write_keeps_the_old_file(tmp_path):
    path = tmp_path / "a.xyz"
    path.write_text(GOOD_FRAME)

    def frames():
        yield molecule("H2O")
        raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        write_extxyz(path, frames())
    assert path.read_text() == GOOD_FRAME


def test_long_files_are_read_frame_by_frame(tmp_path):
    path = tmp_path / "a.xyz"
    path.write_text(GOOD_FRAME * 5 + "2\n\nO 0 0 0\nH 0 0 nan\n")
    frames = iread_structures(path)
    for _ in range(5):
        assert next(frames).get_chemical_formula() == "HO"
    with pytest.raises(InputError, match="frame 5"):
        next(frames)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "empty file"),
        ("\n\n", "empty file"),
        ("0\n\n", "without atoms"),
        ("hello\n", "line 1: 'hello' where the number of atoms belongs"),
        ("2\n\nO 0 0 0\nXx 0 0 1\n", "line 4: unknown element symbol 'Xx'"),
        ("2\n\nO 0 0 0\nX 0 0 1\n", "atom 1 has the atomic number 0"),
        ("2\n\nO 0 0 0\nH 0 zero 1\n", "line 4: 'zero' where a coordinate belongs"),
        ("2\n\nO 0 0 0\nH 0 1\n", "line 4: 2 numbers after 'H'"),
        ("3\n\nO 0 0 0\nH 0 0 1\n", "announces 3 atoms in line 1 and ends after 2"),
        (GOOD_FRAME + "9\n\nO 0 0 0\n", "announces 9 atoms in line 5 and ends after 1"),
        (GOOD_FRAME + "1\n\nQq 0 0 0\n", "line 7: unknown element symbol 'Qq'"),
        ("2\n\nO 0 0 0\nH 0 0 nan\n", "atom 1 has the coordinates .*nan"),
        ("2\n\nO 0 0 0\nH 0 0 -inf\n", "atom 1 has the coordinates .*-inf"),
        ("2\n\nO 0 0 0\nH 0 0 0.2\n", r"atoms 0 \(O\) and 1 \(H\) are 0.200 Å apart"),
        ('1\nLattice="5 0 0 0 5 0 0 0 5"\nHe 0 0 0\n', 'periodic .pbc="T T T"'),
        ('1\npbc="F F T"\nHe 0 0 0\n', 'periodic .pbc="F F T"'),
        (
            "1\nProperties=pos:R:3:species:S:1\n0 0 zero He\n",
            "which ASE cannot read .*could not convert string to float",
        ),
    ],
)
def test_bad_files_are_refused_with_the_place(tmp_path, content, message):
    path = tmp_path / "bad.xyz"
    path.write_text(content)
    with pytest.raises(InputError, match=message) as caught:
        read_structures(path)
    assert str(path) in str(caught.value)


def test_a_binary_file_is_refused(tmp_path):
    path = tmp_path / "bad.xyz"
    path.write_bytes(bytes([0x80, 0xF9, 0xFF]) * 9)
    with pytest.raises(InputError, match="not a text file"):
        read_structures(path)


def test_missing_file_and_folder(tmp_path):
    with pytest.raises(InputError, match="does not exist"):
        read_structures(tmp_path / "absent.xyz")
    with pytest.raises(InputError, match="is a folder"):
        read_structures(tmp_path)


@pytest.mark.parametrize("factor", [0.99, 1.01])
def test_the_smallest_distance_is_the_declared_one(factor):
    atoms = Atoms("H2", [[0, 0, 0], [0, 0, factor * MINIMUM_DISTANCE]])
    if factor > 1:
        check_structure(atoms)
    else:
        with pytest.raises(InputError, match="apart"):
            check_structure(atoms)


@pytest.mark.parametrize(
    ("formula", "charge", "possible"),
    [("OH2", 0, {1, 3, 5, 7, 9, 11}), ("BeH", -2, {2, 4, 6, 8}), ("He", 0, {1, 3}), ("H", 0, {2})],
)
def test_multiplicities_follow_the_electrons(formula, charge, possible):
    numbers = Atoms(formula).numbers.tolist()
    for multiplicity in range(1, 14):
        if multiplicity in possible:
            check_electrons(numbers, charge, multiplicity)
        else:
            with pytest.raises(InputError, match=f"--multiplicity {min(possible)}"):
                check_electrons(numbers, charge, multiplicity)


@pytest.mark.parametrize("multiplicity", [0, -1, 4])
def test_impossible_multiplicities(multiplicity):
    with pytest.raises(InputError, match="wanted 2S\\+1 of the right parity, such as 2\\."):
        check_electrons([1], 0, multiplicity)


def test_bare_protons_are_refused():
    with pytest.raises(InputError, match="0 electrons"):
        check_electrons([1], 1, 1)


def test_arguments_overrule_the_file_which_overrules_the_default():
    atoms = molecule("O2")
    assert charge_and_multiplicity(atoms) == (0, 1)
    atoms.info["multiplicity"] = np.int64(3)
    assert charge_and_multiplicity(atoms) == (0, 3)
    assert charge_and_multiplicity(atoms, charge=1, multiplicity=4) == (1, 4)
    with pytest.raises(InputError, match="multiplicity 3 for 15 electrons"):
        charge_and_multiplicity(atoms, charge=1)


@pytest.mark.parametrize("value", [0.5, True, "one", None])
def test_charge_must_be_an_integer(value):
    atoms = molecule("H2O")
    atoms.info["charge"] = value
    with pytest.raises(InputError, match="charge = "):
        charge_and_multiplicity(atoms)
    atoms.info["charge"] = -2.0
    assert charge_and_multiplicity(atoms) == (-2, 1)
