"""ASE calculators: energies and forces arrive unchanged; failures are not bugs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.calculators.calculator import Calculator, SCFError
from ase.calculators.emt import EMT
from ase.calculators.lj import LennardJones as AseLennardJones
from potentialcases import (
    batch,
    check_batch_is_single,
    check_forces,
    check_motions,
    check_permutation,
    shaken,
)

from genmol.core.errors import InputError
from genmol.core.graph import AtomicGraph
from genmol.potentials.ase_calculator import AseCalculator
from genmol.potentials.lennard_jones import LennardJones

COPPER = Atoms("Cu4", [[0, 0, 0], [2.5, 0, 0], [1.2, 2.2, 0], [1.3, 0.7, 2.1]])


class Fussy(Calculator):
    """Fails, or breaks, where told to; has a free energy; remembers what it was given."""

    implemented_properties = ["energy", "free_energy", "forces"]  # noqa: RUF012

    def calculate(
        self, atoms: Any = None, properties: Any = None, system_changes: Any = None
    ) -> None:
        super().calculate(atoms, properties, system_changes)
        self.given = dict(atoms.info), list(properties)
        first = atoms.positions[0, 0]
        if first > 200:
            raise ZeroDivisionError("a bug")
        if first > 100:
            raise SCFError("no convergence in 50 cycles")
        self.results = {"energy": 1.0, "free_energy": 2.0, "forces": np.ones((len(atoms), 3))}


def test_laws(rng: np.random.Generator) -> None:
    potential, frames = AseCalculator(EMT()), shaken(COPPER, 3, rng)
    check_forces(potential, batch(frames), rng, tolerance=1e-6)
    check_batch_is_single(potential, frames)
    check_motions(potential, frames[0], rng, tolerance=1e-9)
    check_permutation(potential, frames[0], rng, tolerance=1e-9)
    found = potential.evaluate(AtomicGraph.from_atoms(frames[0]))
    frames[0].calc = EMT()
    assert float(found.energies) == frames[0].get_potential_energy()
    np.testing.assert_array_equal(found.forces, frames[0].get_forces())


def test_it_agrees_with_our_own_lennard_jones(rng: np.random.Generator) -> None:
    [atoms] = shaken(Atoms("Ar4", 1.5 * COPPER.positions), 1, rng)
    graph = AtomicGraph.from_atoms(atoms)
    theirs = AseCalculator(AseLennardJones(epsilon=0.01, sigma=3.4, rc=1e4)).evaluate(graph)
    ours = LennardJones(epsilon=0.01, sigma=3.4).evaluate(graph)
    torch.testing.assert_close(theirs.energies, ours.energies, rtol=0, atol=1e-11)
    torch.testing.assert_close(theirs.forces, ours.forces, rtol=0, atol=1e-11)


def test_the_energy_is_the_one_that_forces_belong_to_and_info_arrives() -> None:
    calculator = Fussy()
    potential = AseCalculator(calculator, charge=-1, multiplicity=3)
    graph = AtomicGraph.copies(torch.tensor([8]), torch.zeros(1, 1, 3), charge=-1, multiplicity=3)
    assert potential.energies(graph).tolist() == [2.0]
    assert calculator.given == ({"charge": -1, "multiplicity": 3}, ["free_energy"])


def test_failures_are_not_bugs() -> None:
    potential = AseCalculator(Fussy(), name="fussy")
    x = torch.tensor([[[0.0, 0, 0]], [[150.0, 0, 0]]])
    found = potential.evaluate(AtomicGraph.copies(torch.tensor([1]), x))
    assert found.energies.tolist() == [2.0, torch.inf]
    assert potential.calls.reasons == [
        "no answer from fussy: no convergence in 50 cycles (H, charge 0)"
    ]
    with pytest.raises(ZeroDivisionError, match="a bug"):
        potential.evaluate(AtomicGraph.copies(torch.tensor([1]), 2 * x))


def test_domain_and_level() -> None:
    potential = AseCalculator(EMT(), elements=[29], level={"parameters": np.array([1.0])})
    assert potential.name == "emt (ASE)"
    assert potential.level == {
        "method": "emt (ASE)",
        "calculator": "ase.calculators.emt.EMT",
        "parameters": [1.0],
    }
    for atoms, message in (
        (Atoms("Au"), "atom 0 is Au .* wanted structures of charge 0 for emt"),
        (Atoms("Cu", info={"charge": 1}), "structure 0 of charge 1"),
    ):
        with pytest.raises(InputError, match=message):
            potential.evaluate(AtomicGraph.from_atoms(atoms))

    class Forceless(Fussy):
        implemented_properties = ["energy"]  # noqa: RUF012

    with pytest.raises(InputError, match="the calculator forceless without forces"):
        AseCalculator(Forceless())
