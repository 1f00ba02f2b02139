"""Every pair in each direction, none forgotten: against ASE's list and by counting."""

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import bulk, molecule
from ase.neighborlist import neighbor_list

from genmol.core.errors import InputError
from genmol.core.neighbors import all_pairs, neighbor_pairs


def ours(atoms: Atoms, cutoff: float) -> np.ndarray:
    """Rows (sender, receiver, vector), sorted."""
    positions = torch.from_numpy(atoms.positions)
    pairs, offsets = neighbor_pairs(
        positions,
        cutoff,
        cell=torch.from_numpy(atoms.cell.array.copy()),
        pbc=torch.from_numpy(atoms.pbc.copy()),
    )
    vectors = positions[pairs[1]] - positions[pairs[0]] + offsets
    return canonical(*pairs.numpy(), vectors.numpy())


def canonical(senders, receivers, vectors) -> np.ndarray:
    rows = np.column_stack([senders, receivers, vectors])
    return rows[np.lexsort(np.round(rows.T[::-1], 6))]


def rattled_triclinic(rng) -> Atoms:
    cell = np.diag([3.1, 4.2, 5.3]) + rng.normal(scale=0.4, size=(3, 3))
    return Atoms("H8", positions=rng.uniform(-6, 12, size=(8, 3)), cell=cell, pbc=True)


CASES = {
    "molecule": lambda rng: molecule("C6H6"),
    "copper": lambda rng: bulk("Cu"),
    "triclinic": rattled_triclinic,
    "slab": lambda rng: Atoms(rattled_triclinic(rng), pbc=[True, True, False]),
    "wire": lambda rng: Atoms(rattled_triclinic(rng), pbc=[False, True, False]),
}


@pytest.mark.parametrize("cutoff", [1.5, 6.0])
@pytest.mark.parametrize("case", CASES)
def test_agrees_with_ase(case, cutoff, rng):
    atoms = CASES[case](rng)
    np.testing.assert_allclose(
        ours(atoms, cutoff), canonical(*neighbor_list("ijD", atoms, cutoff)), atol=1e-9
    )


def test_there_is_no_cap_on_neighbours():
    # 500 atoms in a ball smaller than the cutoff: all of them are neighbours of each other
    generator = torch.Generator().manual_seed(1)
    pairs, _ = neighbor_pairs(torch.rand(500, 3, generator=generator), 2.0)
    assert torch.equal(pairs, all_pairs(500))


@pytest.mark.parametrize("n_atoms", [0, 1, 2, 5])
def test_all_pairs_are_the_ordered_pairs(n_atoms):
    expected = [(i, j) for i in range(n_atoms) for j in range(n_atoms) if i != j]
    assert list(map(tuple, all_pairs(n_atoms).T.tolist())) == expected


def test_equal_inputs_give_equal_graphs_and_a_molecule_needs_no_cell(rng):
    atoms = rattled_triclinic(rng)
    np.testing.assert_array_equal(ours(atoms, 5.0), ours(atoms.copy(), 5.0))
    atoms.pbc = False
    pairs, offsets = neighbor_pairs(torch.from_numpy(atoms.positions), 5.0)
    assert len(pairs.T) == len(ours(atoms, 5.0))
    assert not offsets.any()


@pytest.mark.parametrize("cutoff", [0.0, -1.0, float("nan")])
def test_cutoff_must_be_positive(cutoff):
    with pytest.raises(InputError, match="positive length"):
        neighbor_pairs(torch.zeros(1, 3), cutoff)


@pytest.mark.parametrize("cell", [None, torch.ones(3, 3)])
def test_periodic_directions_need_independent_vectors(cell):
    with pytest.raises(InputError, match="linearly independent"):
        neighbor_pairs(torch.zeros(1, 3), 1.0, cell=cell, pbc=torch.tensor([True, True, False]))
