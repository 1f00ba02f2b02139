"""GFN2-xTB: kept set-ups give the same bits as new ones, and solvents are those that tblite knows."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from potentialcases import METHANOL, alanine_dipeptide, shaken
from tblite.interface import Calculator

from genmol.core.errors import DeliveryError, InputError
from genmol.core.units import BOHR_TO_ANGSTROM
from genmol.qc.gfn2 import SOLVENTS, Gfn2Molecule, check_solvent, gfn2, level_of


@pytest.mark.parametrize("solvent", [None, "water"])
def test_answers_do_not_depend_on_what_was_asked_before(
    solvent: str | None, rng: np.random.Generator
) -> None:
    frames = shaken(METHANOL, 3, rng)
    kept = Gfn2Molecule(METHANOL.numbers, charge=0, multiplicity=1, solvent=solvent)
    before = [kept.at(atoms.positions) for atoms in frames]
    with pytest.raises(DeliveryError, match="no self-consistent GFN2-xTB charges"):
        kept.at(0 * METHANOL.positions)
    for atoms, found in [*zip(frames, before, strict=True)][::-1]:
        again = kept.at(atoms.positions)
        fresh = gfn2(atoms.numbers, atoms.positions, charge=0, multiplicity=1, solvent=solvent)
        for other in (again, fresh):
            assert other.energy_hartree == found.energy_hartree
            np.testing.assert_array_equal(other.forces, found.forces)


def test_solvents_are_those_of_tblite() -> None:
    water = Atoms("OHH", [[0, 0, 0.12], [0, 0.76, -0.47], [0, -0.76, -0.47]])
    gas = gfn2(water.numbers, water.positions, charge=0, multiplicity=1).energy_hartree
    for solvent in SOLVENTS:
        oracle = Calculator("GFN2-xTB", water.numbers, water.positions / BOHR_TO_ANGSTROM)
        oracle.set("verbosity", 0)
        oracle.set("accuracy", 0.01)
        oracle.add("alpb-solvation", solvent)
        found = gfn2(water.numbers, water.positions, charge=0, multiplicity=1, solvent=solvent)
        assert found.energy_hartree == float(oracle.singlepoint()["energy"])
        # between 0 and -10 kcal/mol: -6.3 measured for water in water
        assert -0.016 < found.energy_hartree - gas < 0
    assert level_of(solvent="water")["solvation"]["solvent"] == "water"
    assert level_of()["solvation"] is None


@pytest.mark.parametrize("solvent", ["Water", "glycerol", "", "78.4"])
def test_unknown_solvents_get_the_list(solvent: str) -> None:
    with pytest.raises(InputError, match=r"acetone, .*, water, woctanol"):
        check_solvent(solvent)
    with pytest.raises(InputError, match="ALPB"):
        Gfn2Molecule([1, 1], charge=0, multiplicity=1, solvent=solvent)


def test_what_it_refuses() -> None:
    with pytest.raises(InputError, match="atomic number 92"):
        Gfn2Molecule([92], charge=0, multiplicity=1)
    with pytest.raises(InputError, match="multiplicity 2 for 2 electrons"):
        Gfn2Molecule([1, 1], charge=0, multiplicity=2)


def test_accuracy_is_what_the_docstring_says(rng: np.random.Generator) -> None:
    [atoms] = shaken(alanine_dipeptide(), 1, rng)

    def at(accuracy: float) -> tuple[float, np.ndarray]:
        molecule = Gfn2Molecule(atoms.numbers, charge=0, multiplicity=1, accuracy=accuracy)
        found = molecule.at(atoms.positions)
        return found.energy_hartree * 27.2114, found.forces

    energy, forces = at(1e-4)
    for accuracy, energy_error, force_error in ((1.0, 1e-6, 3e-3), (0.1, 1e-8, 3e-4)):
        found = at(accuracy)
        assert found[0] == pytest.approx(energy, abs=energy_error)
        np.testing.assert_allclose(found[1], forces, rtol=0, atol=force_error)
