"""The graph keeps its contract: receiver − sender, batch = single, differentiable."""

import dataclasses
import pickle

import jaxtyping
import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import bulk, molecule

from genmol.core.errors import InputError
from genmol.core.graph import AtomicGraph


def anion() -> Atoms:
    atoms = molecule("CH3O")
    atoms.info.update(charge=-1, multiplicity=1)
    return atoms


def test_edge_vectors_are_receiver_minus_sender():
    graph = AtomicGraph.from_atoms(molecule("CH3CH2OH"))
    sender, receiver = graph.edge_index
    assert len(sender) == 9 * 8
    assert torch.equal(graph.edge_vectors, graph.positions[receiver] - graph.positions[sender])
    assert graph.charge.tolist() == [0]
    assert graph.multiplicity is None


def test_cutoff_keeps_exactly_the_short_edges():
    everything = AtomicGraph.from_atoms(molecule("C6H6"))
    near = AtomicGraph.from_atoms(molecule("C6H6"), cutoff=2.0)
    short = everything.edge_vectors.norm(dim=1) < 2.0
    assert torch.equal(near.edge_index, everything.edge_index[:, short])
    assert torch.equal(near.edge_vectors, everything.edge_vectors[short])


def test_batch_splits_into_what_it_was_made_of():
    singles = [AtomicGraph.from_atoms(atoms) for atoms in map(molecule, ["H2O", "H", "CH4"])]
    batch = AtomicGraph.batch(singles)
    assert batch.n_graphs == 3
    start = 0
    for index, single in enumerate(singles):
        atoms = batch.graph_index == index
        edges = atoms[batch.edge_index[0]]
        assert torch.equal(atoms[batch.edge_index[1]], edges)
        assert torch.equal(batch.positions[atoms], single.positions)
        assert torch.equal(batch.numbers[atoms], single.numbers)
        assert torch.equal(batch.edge_index[:, edges] - start, single.edge_index)
        assert torch.equal(batch.edge_vectors[edges], single.edge_vectors)
        start += len(single.numbers)


def test_batching_is_associative():
    a, b, c = (AtomicGraph.from_atoms(atoms) for atoms in map(molecule, ["H2O", "CO", "CH4"]))
    left = AtomicGraph.batch([AtomicGraph.batch([a, b]), c])
    flat = AtomicGraph.batch([a, b, c])
    for field in dataclasses.fields(AtomicGraph):
        one, other = getattr(left, field.name), getattr(flat, field.name)
        assert torch.equal(one, other) if isinstance(one, torch.Tensor) else one == other


def test_charge_and_multiplicity_come_from_the_atoms_and_are_not_mixed():
    graph = AtomicGraph.from_atoms(anion())
    assert (graph.charge.tolist(), graph.multiplicity.tolist()) == ([-1], [1])
    assert AtomicGraph.batch([graph, graph]).charge.tolist() == [-1, -1]
    with pytest.raises(InputError, match="2 graphs, 1 of them with a multiplicity"):
        AtomicGraph.batch([graph, AtomicGraph.from_atoms(molecule("H2O"))])
    with pytest.raises(InputError, match="0 graphs"):
        AtomicGraph.batch([])
    wrong = anion()
    wrong.info["multiplicity"] = 2
    with pytest.raises(InputError, match="multiplicity 2 for 18 electrons"):
        AtomicGraph.from_atoms(wrong)


def test_gradients_flow_from_edges_to_positions(generator):
    graph = AtomicGraph.from_atoms(bulk("Cu", cubic=True), cutoff=4.0)
    noise = 0.1 * torch.randn(4, 3, generator=generator)
    positions = (graph.positions + noise).requires_grad_()
    moved = graph.with_positions(positions)
    sender, receiver = graph.edge_index
    # Edges move with their ends, images included
    torch.testing.assert_close(
        moved.edge_vectors - graph.edge_vectors, noise[receiver] - noise[sender]
    )
    energy = (moved.edge_vectors.norm(dim=1) - 2.5).square().sum()
    (gradient,) = torch.autograd.grad(energy, positions)
    # Forces of a translation-invariant energy sum to zero, and they are not all zero
    torch.testing.assert_close(gradient.sum(0), torch.zeros(3), atol=1e-10, rtol=0)
    assert gradient.abs().max() > 0.01


def test_periodic_and_molecular_structures_share_a_batch():
    crystal = AtomicGraph.from_atoms(bulk("Cu"), cutoff=3.0)
    water = AtomicGraph.from_atoms(molecule("H2O"))
    batch = AtomicGraph.batch([water, crystal])
    assert len(crystal.edge_index.T) == 12  # nearest neighbours in fcc
    assert batch.pbc.tolist() == [[False] * 3, [True] * 3]
    assert not batch.cell[0].any()
    np.testing.assert_array_equal(batch.cell[1], bulk("Cu").cell.array)
    with pytest.raises(InputError, match="no cutoff"):
        AtomicGraph.from_atoms(bulk("Cu"))


@pytest.mark.parametrize("cutoff", [0.0, 1.3, np.inf])
def test_copies_are_the_batch_of_single_graphs(cutoff, generator):
    atoms = anion()
    x = torch.from_numpy(atoms.positions) + 0.1 * torch.randn(4, 5, 3, generator=generator)
    copies = AtomicGraph.copies(
        torch.from_numpy(atoms.numbers), x, charge=-1, multiplicity=1, cutoff=cutoff
    )
    singles = []
    for positions in x:
        atoms.positions = positions
        singles.append(AtomicGraph.from_atoms(atoms, cutoff=cutoff if 0 < cutoff < 9 else None))
    assert_same(copies, AtomicGraph.batch(singles), edges=cutoff > 0)
    assert (copies.edge_index.shape[1] > 0) == (cutoff > 0)
    leaf = x.clone().requires_grad_()
    moved = AtomicGraph.copies(torch.from_numpy(atoms.numbers), leaf, cutoff=np.inf)
    (gradient,) = torch.autograd.grad(moved.edge_vectors.square().sum(), leaf)
    assert gradient.shape == x.shape
    none = AtomicGraph.copies(torch.tensor([1, 1]), x[:0, :2])
    assert (none.n_graphs, len(none.numbers), none.multiplicity) == (0, 0, None)


def test_parts_put_together_are_the_whole():
    crystal = AtomicGraph.from_atoms(bulk("Cu"), cutoff=3.0)
    graphs = [AtomicGraph.from_atoms(atoms) for atoms in map(molecule, ["H2O", "H", "CH4", "CO"])]
    whole = AtomicGraph.batch([*graphs[:2], crystal, *graphs[2:]])
    assert whole.sizes.tolist() == [3, 1, 1, 5, 2]
    for cut in (0, 1, 3, 5):
        pieces = [whole.part(0, cut), whole.part(cut, 5)]
        assert [piece.n_graphs for piece in pieces] == [cut, 5 - cut]
        assert_same(AtomicGraph.batch(pieces), whole)
    assert_same(whole.part(3, 4), AtomicGraph.batch([graphs[2], crystal]).part(0, 1))
    assert torch.equal(whole.part(2, 3).edge_vectors, crystal.edge_vectors)


def assert_same(one: AtomicGraph, other: AtomicGraph, *, edges: bool = True) -> None:
    for field in dataclasses.fields(AtomicGraph):
        a, b = getattr(one, field.name), getattr(other, field.name)
        if field.name.startswith("edge") and not edges:
            continue
        same = torch.equal(a, b) if isinstance(a, torch.Tensor) else a == b
        assert same, field.name


def test_dtype_changes_real_fields_only():
    graph = AtomicGraph.from_atoms(bulk("Cu"), cutoff=3.0).to("cpu", torch.float32)
    kinds = {f.name: getattr(graph, f.name) for f in dataclasses.fields(graph)}
    tensors = {name: value for name, value in kinds.items() if isinstance(value, torch.Tensor)}
    real = {name for name, value in tensors.items() if value.dtype.is_floating_point}
    assert real == {"positions", "edge_vectors", "cell"}
    assert all(kinds[name].dtype == torch.float32 for name in real)
    assert graph.to().positions.dtype == torch.float32


def test_it_is_frozen_and_crosses_processes():
    graph = AtomicGraph.from_atoms(anion())
    with pytest.raises(dataclasses.FrozenInstanceError):
        graph.n_graphs = 2
    assert torch.equal(pickle.loads(pickle.dumps(graph)).edge_vectors, graph.edge_vectors)


def test_the_test_run_checks_shapes():
    graph = AtomicGraph.from_atoms(molecule("H2O"))
    with pytest.raises(jaxtyping.TypeCheckError, match="numbers"):
        dataclasses.replace(graph, numbers=graph.numbers[:2])
    with pytest.raises(jaxtyping.TypeCheckError, match="positions"):
        graph.with_positions(graph.positions[:, :2])
