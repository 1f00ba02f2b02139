"""Blocks and their irreps: orthogonal changes of basis that know what a rotation does to orbitals."""

import numpy as np
import pytest
import torch
from laws.oracle import degree_matrix, random_rotations, turn_orders, turns
from pyscf import gto

from genmol.algebra.blocks import BondBlocks, ShellRotation, SiteBlocks, shell_slices
from genmol.algebra.so2 import EdgeFrames
from genmol.qc.orbitals import shells_of, to_irreps_order

SHELLS = [(0,), (0, 0, 1), (0, 0, 0, 1, 1, 2), (0, 1, 2, 3), (1, 3)]
AXES = [1, 2, 0]  # of the network, in those of the molecule


def close(got, wanted, tolerance=1e-12):
    torch.testing.assert_close(got, wanted, atol=tolerance, rtol=0)


def orbital_matrix(shells, element):
    """What an element of O(3) does to orbitals: parity (-1)^l."""
    sign = torch.linalg.det(element).round()
    parts = [degree_matrix(l, element * sign) * sign**l for l in shells]
    return torch.block_diag(*parts)


def random_blocks(shells, n, generator):
    width = sum(2 * l + 1 for l in shells)
    return torch.randn(n, width, width, generator=generator, dtype=torch.float64)


def test_shells_lie_one_after_the_other():
    assert shell_slices((0, 1, 2)) == [slice(0, 1), slice(1, 4), slice(4, 9)]


@pytest.mark.parametrize("shells", SHELLS)
def test_bond_blocks_go_there_and_back(shells, generator):
    bond, blocks = BondBlocks(shells), random_blocks(shells, 5, generator)
    irreps = bond.to_irreps(blocks)
    assert [x.shape[2] for x in irreps] == bond.channels
    assert len(bond.shell_pair) == bond.width**2
    close(bond.to_blocks(irreps), blocks)
    square = sum(x.square().sum((1, 2)) for x in irreps)
    close(square, blocks.square().sum((1, 2)))
    other = bond.split(torch.cat([x.flatten(1) for x in irreps], dim=1))
    assert all(torch.equal(x, y) for x, y in zip(irreps, other, strict=True))


@pytest.mark.parametrize("shells", SHELLS)
def test_irreps_of_a_bond_stay_within_their_pair_of_shells(shells, generator):
    bond = BondBlocks(shells)
    slices = shell_slices(shells)
    for a, rows in enumerate(slices):
        for b, columns in enumerate(slices):
            blocks = torch.zeros(1, bond.width, bond.width).double()
            blocks[:, rows, columns] = 1 + torch.rand(
                blocks[:, rows, columns].shape, generator=generator, dtype=torch.float64
            )
            flat = torch.cat([x.flatten(1) for x in bond.to_irreps(blocks)], dim=1)[0]
            inside = torch.tensor(bond.shell_pair) == a * len(shells) + b
            assert not flat[~inside].any()


@pytest.mark.parametrize("mirror", [1.0, -1.0])
@pytest.mark.parametrize("shells", SHELLS)
def test_bond_blocks_transform_as_their_irreps(shells, mirror, generator):
    bond, blocks = BondBlocks(shells), random_blocks(shells, 6, generator)
    angle = torch.linspace(0.3, 5.0, 6).double()
    element = turns(angle) @ torch.diag(torch.tensor([mirror, 1.0, 1.0]).double())
    matrix = torch.stack([orbital_matrix(shells, q) for q in element])
    got = bond.to_irreps(matrix @ blocks @ matrix.mT)
    for x, y in zip(got, turn_orders(bond.to_irreps(blocks), element), strict=True):
        close(x, y)


@pytest.mark.parametrize("improper", [1.0, -1.0])
@pytest.mark.parametrize("shells", SHELLS)
def test_site_blocks_transform_as_their_irreps(shells, improper, generator):
    site, blocks = SiteBlocks(shells), random_blocks(shells, 3, generator)
    element = improper * random_rotations(1, generator)[0]
    matrix = orbital_matrix(shells, element)
    before, after = site.to_irreps(blocks), site.to_irreps(matrix @ blocks @ matrix.T)
    for l, (old, new) in enumerate(zip(before, after, strict=True)):
        turned = degree_matrix(l, element * improper)
        natural = improper**l
        close(new[0], natural * turned @ old[0])
        close(new[1], -natural * turned @ old[1] if improper < 0 else turned @ old[1])


@pytest.mark.parametrize("shells", SHELLS)
def test_site_blocks_go_there_and_back(shells, generator):
    site, blocks = SiteBlocks(shells), random_blocks(shells, 4, generator)
    irreps = site.to_irreps(blocks)
    assert len(irreps) == site.l_max + 1 == 2 * max(shells) + 1
    assert [(a.shape[2], b.shape[2]) for a, b in irreps] == site.channels
    close(site.to_blocks(irreps), blocks)
    assert sum((a + b) * (2 * l + 1) for l, (a, b) in enumerate(site.channels)) == site.width**2
    square = sum(x.square().sum((1, 2)) for both in irreps for x in both)
    close(square, blocks.square().sum((1, 2)))


def test_the_other_parity_of_one_shell_is_its_antisymmetric_part(generator):
    blocks = random_blocks((2,), 3, generator)
    site = SiteBlocks((2,))
    symmetric = site.to_irreps(blocks + blocks.mT)
    assert all(not x[1].abs().gt(1e-13).any() for x in symmetric)
    antisymmetric = site.to_irreps(blocks - blocks.mT)
    assert all(not x[0].abs().gt(1e-13).any() for x in antisymmetric)


@pytest.mark.physics
@pytest.mark.parametrize("integral", ["int1e_ovlp", "int1e_kin"])
def test_two_centre_integrals_have_only_order_0_in_the_frame(integral, rng):
    """Slater and Koster's rule, for integrals of PySCF with s, p, d and f functions."""
    positions = rng.normal(scale=0.7, size=(4, 3))
    mol = gto.M(atom=[("C", x) for x in positions], basis="def2-tzvp", verbose=0)
    (shells,) = shells_of(mol).values()
    assert max(shells) == 3
    order, width = to_irreps_order(mol), mol.nao // 4
    matrix = torch.from_numpy(mol.intor(integral)[order][:, order]).reshape(4, width, 4, width)
    left, right = torch.ones(4, 4).fill_diagonal_(0).nonzero().T
    blocks = matrix[left, :, right]
    vectors = torch.from_numpy((positions[left] - positions[right])[:, AXES])
    rotation = ShellRotation(shells)(EdgeFrames.of(vectors, 6).wigner)
    scalars, *rest = BondBlocks(shells).to_irreps(rotation @ blocks @ rotation.mT)
    assert scalars.abs().max() > 0.1
    assert all(x.abs().max() < 1e-12 for x in rest)


@pytest.mark.physics
def test_a_third_atom_brings_all_orders():
    positions = np.array([[0.1, 0.2, -0.3], [0.9, 0.6, 0.4], [-0.3, 1.1, 0.7]])
    mol = gto.M(atom=[("C", x) for x in positions], basis="def2-svp", verbose=0)
    order = to_irreps_order(mol)
    block = torch.from_numpy(mol.intor("int1e_nuc")[order][:, order])[None, :14, 14:28]
    vector = torch.from_numpy((positions[:1] - positions[1:2])[:, AXES])
    shells = shells_of(mol)[6]
    rotation = ShellRotation(shells)(EdgeFrames.of(vector, 4).wigner)
    irreps = BondBlocks(shells).to_irreps(rotation @ block @ rotation.mT)
    # three atoms lie in a plane, so that components odd under its mirror vanish; the plane is at an
    # angle to the frame, so that all else does not
    assert all(x.abs().max() > 1e-5 for x in [irreps[0], *irreps[2:]])
    assert irreps[1].abs().max() < 1e-12


@pytest.mark.physics
def test_orbitals_turn_as_pyscf_turns_them():
    """ShellRotation, of the rotation itself, against PySCF's matrices in its own order."""
    mol = gto.M(atom="O 0 0 0", basis="def2-tzvp", verbose=0)
    order, shells = to_irreps_order(mol), shells_of(mol)[8]
    element = random_rotations(1, torch.Generator().manual_seed(2))[0]
    wanted = mol.ao_rotation_matrix(element.T.numpy())[order][:, order]  # it takes the new axes
    network = element[AXES][:, AXES][None]
    got = ShellRotation(shells)(EdgeFrames.from_rotations(network, 3).wigner)[0]
    np.testing.assert_allclose(got.numpy(), wanted, atol=1e-12)
