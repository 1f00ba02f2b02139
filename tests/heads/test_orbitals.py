"""Slots and layouts: the order of PySCF's own, and no element of a matrix lost or moved."""

import numpy as np
import pytest
import torch
from pyscf import gto

from genmol.core.errors import InputError
from genmol.heads.orbitals import MatrixLayout, OrbitalSlots
from genmol.qc.orbitals import shells_of, to_irreps_order

SVP = OrbitalSlots({1: (0, 0, 1), 6: (0, 0, 0, 1, 1, 2), 8: (0, 0, 0, 1, 1, 2)})
MOLECULES = [[8, 1, 1], [6], [1, 6, 1, 1, 8, 1], [1]]


def symbols_at_random(rng) -> gto.Mole:
    symbols = rng.permutation(["H", "C", "N", "O", "F", "P", "S", "H", "C"])
    return [(str(s), tuple(x)) for s, x in zip(symbols, rng.normal(size=(9, 3)) * 3, strict=True)]


@pytest.mark.parametrize("basis", ["def2-svp", "6-31g*", "def2-tzvp", "cc-pvdz", "sto-3g"])
def test_the_order_is_pyscfs(basis, rng):
    mol = gto.M(atom=symbols_at_random(rng), basis=basis, spin=None, verbose=0)
    slots = OrbitalSlots(shells_of(mol))
    numbers = [gto.charge(s) for s in mol.elements]
    np.testing.assert_array_equal(slots.order(numbers), to_irreps_order(mol))
    assert slots.size(numbers) == mol.nao


def test_slots_hold_the_shells_of_the_richest_element():
    slots = OrbitalSlots({1: (0, 0, 1), 6: (0, 0, 0, 1, 1, 2), 21: (0, 0, 0, 0, 0, 1, 2, 2)})
    assert slots.slots == (0, 0, 0, 0, 0, 1, 1, 2, 2)
    assert slots.width == 21
    assert slots.positions(1) == [0, 1, 5, 6, 7]
    assert slots.positions(6) == [0, 1, 2, *range(5, 11), *range(11, 16)]
    assert slots.positions(21) == [*range(8), *range(11, 21)]


def test_an_unknown_element_is_named():
    with pytest.raises(InputError, match="atomic number 16"):
        SVP.order([1, 16])
    with pytest.raises(InputError, match="atomic number 9"):
        MatrixLayout.of([[9, 1]], SVP)


def padded_matrices(generator) -> torch.Tensor:
    sizes = [SVP.size(numbers) for numbers in MOLECULES]
    matrices = torch.zeros(len(sizes), max(sizes), max(sizes)).double()
    for k, n in enumerate(sizes):
        matrices[k, :n, :n] = torch.randn(n, n, generator=generator, dtype=torch.float64)
    return matrices


def all_pairs(layout: MatrixLayout) -> tuple[torch.Tensor, torch.Tensor]:
    same = layout.graph_index[:, None] == layout.graph_index
    return tuple(same.nonzero().T)


def test_matrices_become_blocks_and_matrices_again(generator):
    layout, matrices = MatrixLayout.of(MOLECULES, SVP), padded_matrices(generator)
    left, right = all_pairs(layout)
    order = torch.randperm(len(left), generator=generator)
    left, right = left[order], right[order]
    blocks = layout.blocks(matrices, left, right)
    assert blocks.shape == (9 + 1 + 36 + 1, 14, 14)
    assert torch.equal(layout.matrices(blocks, left, right), matrices)
    assert layout.mask.sum(1).tolist() == [24, 14, 48, 5]
    assert torch.equal(matrices.any(2), layout.mask)


def test_a_block_is_where_the_atoms_say(generator):
    layout, matrices = MatrixLayout.of(MOLECULES, SVP), padded_matrices(generator)
    # water's oxygen (atom 0) and second hydrogen (2); methanol-like: carbon (5) and oxygen (8)
    blocks = layout.blocks(matrices, torch.tensor([0, 5]), torch.tensor([2, 8]))
    hydrogen = SVP.positions(1)
    assert torch.equal(blocks[0][:, hydrogen], matrices[0, :14, 19:24])
    assert torch.equal(blocks[1], matrices[2, 5:19, 29:43])
    missing = [k for k in range(14) if k not in hydrogen]
    assert not blocks[0][:, missing].any()


def test_what_lies_in_missing_slots_goes_nowhere(generator):
    layout = MatrixLayout.of(MOLECULES, SVP)
    left, right = all_pairs(layout)
    full = torch.ones(len(left), 14, 14).double().requires_grad_()
    matrices = layout.matrices(full, left, right)
    mask = layout.mask.double()
    assert torch.equal(matrices, mask[:, :, None] * mask[:, None, :])
    (slope,) = torch.autograd.grad(matrices.sum(), full)
    assert torch.equal(slope, layout.blocks(torch.ones_like(matrices), left, right).ne(0).double())


def test_pairs_that_are_left_out_are_zero(generator):
    layout, matrices = MatrixLayout.of([[8, 1, 1]], SVP), padded_matrices(generator)[:1, :24, :24]
    left, right = torch.tensor([0, 1]), torch.tensor([0, 0])
    got = layout.matrices(layout.blocks(matrices, left, right), left, right)
    wanted = torch.zeros_like(matrices)
    wanted[:, :19, :14] = matrices[:, :19, :14]
    assert torch.equal(got, wanted)


def test_a_layout_moves_as_a_whole():
    layout = MatrixLayout.of(MOLECULES, SVP).to("meta")
    assert {x.device.type for x in (layout.orbital, layout.graph_index, layout.mask)} == {"meta"}
