"""MMFF94 as a potential: the laws, and that it knows one molecule only."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from ase import Atoms
from potentialcases import (
    METHANOL,
    alanine_dipeptide,
    batch,
    check_batch_is_single,
    check_forces,
    check_motions,
    shaken,
)

from genmol.chem.bonds import parse_smiles
from genmol.core.errors import InputError
from genmol.core.graph import AtomicGraph
from genmol.core.jsonable import jsonable
from genmol.potentials.mmff import MMFF


def test_laws(rng: np.random.Generator) -> None:
    atoms = alanine_dipeptide()
    for variant in ("MMFF94", "MMFF94s"):
        potential = MMFF.of(atoms.info["smiles"], atoms, variant=variant)
        frames = shaken(atoms, 3, rng)
        check_forces(potential, batch(frames), rng, tolerance=1e-6)
        check_batch_is_single(potential, frames)
        check_motions(potential, frames[0], rng, tolerance=1e-9)
        assert potential.name == potential.level["method"] == variant
        assert jsonable(potential.level) == potential.level
        assert potential.calls.failures == 0


def test_another_order_of_atoms_with_its_bonds_is_the_same(rng: np.random.Generator) -> None:
    atoms = alanine_dipeptide()
    order = rng.permutation(len(atoms))
    one = MMFF.of(atoms.info["smiles"], atoms).evaluate(AtomicGraph.from_atoms(atoms))
    mixed = atoms[order]
    other = MMFF.of(atoms.info["smiles"], mixed).evaluate(AtomicGraph.from_atoms(mixed))
    assert float(one.energies) == pytest.approx(float(other.energies), abs=1e-10)
    np.testing.assert_allclose(one.forces[order], other.forces, rtol=0, atol=1e-9)


def test_it_knows_one_molecule(rng: np.random.Generator) -> None:
    potential = MMFF(parse_smiles("CO"))
    potential.evaluate(AtomicGraph.from_atoms(METHANOL))
    for wrong, message in (
        (METHANOL[::-1], "wanted the molecule CH4O of charge 0, its atoms in the order given"),
        (METHANOL[:5], "a structure of other atoms"),
        (Atoms(METHANOL, info={"charge": 1}), "structure 0 of charge 1"),
        (Atoms(METHANOL, info={"multiplicity": 3}), "structure 0 of multiplicity 3"),
    ):
        with pytest.raises(InputError, match=message):
            potential.evaluate(AtomicGraph.from_atoms(wrong))


def test_no_geometry_is_too_strange() -> None:
    """Collapsed and exploded molecules have high energies, or none, and are never accepted."""
    potential = MMFF(parse_smiles("CO"))
    normal = float(potential.energies(AtomicGraph.from_atoms(METHANOL)))
    for factor in (0, 1e-3, 0.3, 10, 1e4, 1e9, 1e200):
        strange = AtomicGraph.from_atoms(Atoms(METHANOL.numbers, factor * METHANOL.positions))
        found = potential.evaluate(strange)
        assert float(found.energies) > normal + 3
        assert torch.equal(potential.energies(strange), found.energies)
        assert found.forces.isfinite().all()
    assert potential.calls.failures == 6
    assert "at which MMFF94 is not defined (CH4O" in potential.calls.reasons[0]
    assert "not numbers below 1e+06 Å" in potential.calls.reasons[-1]
