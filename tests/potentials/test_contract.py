"""Counts, failures, answers that are not numbers, and domains."""

from __future__ import annotations

import json

import ase.build
import pytest
import torch
from ase import Atoms
from potentialcases import METHANOL, WATER, Spring, batch, hydrogens

from genmol.core.errors import DeliveryError, InputError
from genmol.core.graph import AtomicGraph
from genmol.core.jsonable import dumps, jsonable
from genmol.potentials.contract import Answer, Calls
from genmol.potentials.domain import Domain
from genmol.potentials.gfn2 import Gfn2
from genmol.potentials.lennard_jones import LennardJones
from genmol.potentials.one_by_one import structures


def test_energies_and_gradients_are_counted_apart() -> None:
    spring = Spring()
    found = spring.evaluate(hydrogens(0, 1, 2))
    assert found.energies.dtype == found.forces.dtype == torch.float64
    torch.testing.assert_close(found.energies, torch.tensor([55.0, 56, 59]))
    torch.testing.assert_close(found.forces, -2 * hydrogens(0, 1, 2).positions)
    spring.energies(hydrogens(3))
    assert spring.calls == Calls(energies=1, gradients=3)


@pytest.mark.parametrize("forces", [True, False])
def test_a_failure_is_an_infinite_energy_with_a_reason_and_stays_alone(forces: bool) -> None:
    spring, graph = Spring(), hydrogens(1, 100, 3, 101)
    energies = spring.evaluate(graph).energies if forces else spring.energies(graph)
    assert energies.tolist() == [56, torch.inf, 64, torch.inf]
    assert spring.calls.failures == 2
    assert spring.calls.reasons == [
        "no field at 100 (H2, charge 0)",
        "no field at 101 (H2, charge 0)",
    ]
    if forces:
        found = spring.evaluate(graph).forces.reshape(4, 2, 3)
        assert not found[[1, 3]].any()
        assert found[[0, 2]].abs().min(dim=2).values.max() > 0


def test_only_the_first_reasons_are_kept() -> None:
    spring = Spring()
    for start in (100, 110):
        spring.evaluate(hydrogens(*range(start, start + 4)))
    assert spring.calls.failures == 8
    assert len(spring.calls.reasons) == 5
    assert json.loads(dumps(spring.calls))["failures"] == 8


@pytest.mark.parametrize("bad", [torch.nan, torch.inf])
def test_coordinates_that_are_no_numbers_are_failures_and_nobody_is_asked(bad: float) -> None:
    spring, graph = Spring(), hydrogens(bad, 2, bad, 100, 5)
    found = spring.evaluate(graph)
    assert found.energies.tolist() == [torch.inf, 59, torch.inf, torch.inf, 80]
    assert spring.calls.failures == 3
    assert "coordinates that are not numbers" in spring.calls.reasons[0]
    assert "no field at 100" in spring.calls.reasons[2]
    clean = Spring().evaluate(hydrogens(2, 5)).forces
    assert torch.equal(found.forces.reshape(5, 2, 3)[[1, 4]], clean.reshape(2, 2, 3))
    assert not found.forces.reshape(5, 2, 3)[[0, 2, 3]].any()
    assert Spring().energies(hydrogens(bad)).tolist() == [torch.inf]


def test_nan_is_an_error_that_names_the_structure() -> None:
    with pytest.raises(
        DeliveryError, match=r"energy nan .* structure 2 of 3 \(H2, charge 0; .*200"
    ):
        Spring().evaluate(hydrogens(0, 1, 200))


class Odd(LennardJones):
    """Answers as told."""

    energy, force = 1.0, 0.0

    def answer(self, graph: AtomicGraph, *, forces: bool) -> Answer:
        energies = torch.zeros(graph.n_graphs)
        energies[-1] = self.energy
        all_forces = torch.zeros(len(graph.numbers), 3)
        all_forces[-1, 1] = self.force
        return Answer(energies, all_forces if forces else None, {})


@pytest.mark.parametrize(
    ("energy", "force", "message"),
    [
        (-torch.inf, 0.0, "the energy -inf"),
        (1.0, torch.nan, "a force that is not finite for structure 1 of 2"),
        (1.0, torch.inf, "a force that is not finite"),
    ],
)
def test_other_answers_that_are_no_numbers(energy: float, force: float, message: str) -> None:
    odd = Odd()
    odd.energy, odd.force = energy, force
    argon = batch([Atoms("Ar"), Atoms("Ar2", [[0, 0, 0], [0, 0, 4]])])
    with pytest.raises(DeliveryError, match=message):
        odd.evaluate(argon)
    odd.energy = torch.inf  # where forces do not matter
    assert not odd.evaluate(argon).forces.any()
    assert odd.calls.failures == 0


def test_structures_come_apart_as_they_were() -> None:
    ion = Atoms("OH", [[0, 0, 0], [0, 0, 0.97]], info={"charge": -1})
    radical = Atoms("OH", [[0, 0, 0], [0, 0, 0.97]])
    found = list(structures(batch([WATER, ion, radical])))
    assert [(s.charge, s.multiplicity, len(s.numbers)) for s in found] == [
        (0, 1, 3), (-1, 1, 2), (0, 2, 2),
    ]  # fmt: skip
    triplet = WATER.copy()
    triplet.info["multiplicity"] = 3
    [found_triplet] = structures(AtomicGraph.from_atoms(triplet))
    assert found_triplet.multiplicity == 3


@pytest.mark.parametrize(
    ("frames", "message"),
    [
        (
            [WATER, METHANOL],
            r"structure 1, whose atom 0 is C \(Z = 6\); wanted water and hydroxide",
        ),
        ([Atoms("OX")], r"atom 1 is X \(Z = 0\)"),
        ([WATER, Atoms("OH", info={"charge": 1, "multiplicity": 3})], "structure 1 of charge 1"),
        ([Atoms("OHH", info={"multiplicity": 5})], "structure 0 of multiplicity 5"),
    ],
)
def test_domains(frames: list[Atoms], message: str) -> None:
    domain = Domain(
        words="water and hydroxide",
        elements=frozenset({1, 8}),
        charges=frozenset({0, -1}),
        multiplicities=frozenset({1, 3}),
    )
    domain.check(batch([WATER]))
    frames = [atoms.copy() for atoms in frames]
    for atoms in frames:
        atoms.info.setdefault("multiplicity", 1)
    with pytest.raises(InputError, match=message):
        domain.check(batch(frames))


def test_a_domain_of_one_molecule_and_no_crystals() -> None:
    domain = Domain(words="water, oxygen first", atoms=(8, 1, 1))
    domain.check(batch([WATER, WATER]))
    for wrong in ([WATER, WATER[[1, 0, 2]]], [WATER[:2]], [WATER, WATER[:2], METHANOL[:4]]):
        with pytest.raises(InputError, match="other atoms, or in another order; wanted water"):
            domain.check(batch(wrong))
    crystal = AtomicGraph.from_atoms(ase.build.bulk("Ar", "fcc", 5.3), cutoff=4)
    with pytest.raises(InputError, match="structure 0, which is periodic"):
        LennardJones().evaluate(crystal)


def test_the_domain_is_checked_again_when_anything_but_the_positions_changes() -> None:
    spring, graph = Spring(), hydrogens(1, 2)
    spring.evaluate(graph)
    graph_of_helium = AtomicGraph.copies(torch.tensor([2, 2]), graph.positions.reshape(2, 2, 3))
    with pytest.raises(InputError, match="He"):
        spring.evaluate(graph_of_helium)
    with pytest.raises(InputError, match="He"):
        spring.energies(graph_of_helium)
    assert spring.calls == Calls(gradients=2)


@pytest.mark.parametrize("potential", [LennardJones(), Gfn2(), Gfn2(solvent="water")])
def test_levels_are_json_and_names_are_words(potential: LennardJones | Gfn2) -> None:
    assert jsonable(potential.level) == json.loads(dumps(potential.level))
    assert potential.level["method"]
    assert potential.name
