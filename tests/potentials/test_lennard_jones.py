"""Lennard-Jones: the dimer, known clusters, additivity, and the laws of every potential."""

from __future__ import annotations

import ase.calculators.lj
import numpy as np
import pytest
import torch
from ase import Atoms
from potentialcases import (
    batch,
    check_batch_is_single,
    check_forces,
    check_motions,
    check_permutation,
)

from genmol.core.errors import InputError
from genmol.core.graph import AtomicGraph
from genmol.potentials.lennard_jones import LennardJones

R = 3.405 * 2 ** (1 / 6)
EPSILON = 119.8 * 8.617333262e-5  # eV


def cluster(n: int, rng: np.random.Generator) -> Atoms:
    grid = np.stack(np.meshgrid(*[np.arange(4)] * 3), axis=-1).reshape(-1, 3)[:n]
    return Atoms(f"Ar{n}", 3.9 * grid + 0.15 * rng.standard_normal((n, 3)))


def test_the_dimer() -> None:
    r = torch.tensor([3.405, R, 1.7 * R])
    graph = AtomicGraph.copies(
        torch.tensor([18, 18]), torch.stack([torch.zeros(3, 3), r[:, None] * torch.eye(3)], dim=1)
    )
    found = LennardJones().evaluate(graph)
    sixth = 1.7**-6
    expected = EPSILON * torch.tensor([0, -1, sixth**2 - 2 * sixth])
    torch.testing.assert_close(found.energies, expected, rtol=1e-7, atol=1e-12)
    forces = found.forces.reshape(3, 2, 3)
    assert forces[0, 1, 0] == pytest.approx(24 * EPSILON / 3.405)  # pushed apart
    assert forces[1].abs().max() < 1e-14
    assert forces[2, 1, 2] < 0  # pulled together
    torch.testing.assert_close(forces[:, 0], -forces[:, 1], rtol=0, atol=1e-16)


def test_the_tetrahedron_and_ase(rng: np.random.Generator) -> None:
    tetrahedron = R / np.sqrt(8) * np.array([[1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]])
    found = LennardJones(epsilon=1.0).energies(AtomicGraph.from_atoms(Atoms("Ar4", tetrahedron)))
    assert float(found) == pytest.approx(-6.0, rel=1e-13)
    atoms = cluster(13, rng)
    atoms.calc = ase.calculators.lj.LennardJones(epsilon=0.3, sigma=3.0, rc=1e4)
    own = LennardJones(epsilon=0.3, sigma=3.0).evaluate(AtomicGraph.from_atoms(atoms))
    assert float(own.energies) == pytest.approx(atoms.get_potential_energy(), abs=1e-10)
    np.testing.assert_allclose(own.forces, atoms.get_forces(), rtol=0, atol=1e-10)


def test_far_clusters_add_up(rng: np.random.Generator) -> None:
    one, other = cluster(6, rng), cluster(9, rng)
    far = one + Atoms(other.numbers, other.positions + np.array([0, 0, 1e4]))
    a, b, both = LennardJones().energies(batch([one, other, far])).tolist()
    assert both == pytest.approx(a + b, abs=1e-12)


def test_laws(rng: np.random.Generator) -> None:
    potential, frames = LennardJones(), [cluster(n, rng) for n in (2, 13, 1, 7, 13)]
    check_forces(potential, batch(frames), rng, tolerance=1e-9)
    check_batch_is_single(potential, frames)
    check_motions(potential, frames[1], rng, tolerance=1e-11)
    check_permutation(potential, frames[1], rng, tolerance=1e-12)


@pytest.mark.parametrize("distance", [0.0, 1e-30, 1e-10, 1e-3])
def test_atoms_on_each_other_are_never_accepted(distance: float) -> None:
    graph = AtomicGraph.from_atoms(Atoms("Ar3", [[0, 0, 0], [0, 0, distance], [0, 5, 0]]))
    potential = LennardJones()
    found = potential.evaluate(graph)
    assert float(found.energies) > 1e30
    assert found.forces.isfinite().all()
    assert potential.energies(graph).tolist() == found.energies.tolist()


def test_single_precision_positions_give_double_answers() -> None:
    graph = AtomicGraph.from_atoms(Atoms("Ar2", [[0, 0, 0], [0, 0, 4]]), dtype=torch.float32)
    assert LennardJones().evaluate(graph).forces.dtype == torch.float64


def test_it_knows_one_element_and_positive_parameters() -> None:
    with pytest.raises(InputError, match=r"atom 1 is Kr .* wanted neutral clusters of Ar"):
        LennardJones().evaluate(AtomicGraph.from_atoms(Atoms("ArKr", [[0, 0, 0], [0, 0, 4]])))
    for wrong in ({"epsilon": 0.0}, {"sigma": -1.0}, {"epsilon": float("nan")}, {"element": 0}):
        with pytest.raises(InputError, match="wanted positive parameters"):
            LennardJones(**wrong)  # type: ignore[arg-type]
