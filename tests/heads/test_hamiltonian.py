"""Scales, read-out and shell potentials: formulas on hand-made features, and their symmetries."""

import pytest
import torch
from laws.oracle import degree_matrix, random_rotations, representation, turn_orders, turns

from genmol.algebra.blocks import BondBlocks, SiteBlocks, shell_slices
from genmol.backbones.features import Features, irreps_of, pack_nodes, unpack_nodes
from genmol.heads.hamiltonian import BlockScales, HamiltonianHead, ShellPotentials
from genmol.heads.orbitals import MatrixLayout, OrbitalSlots

SHELLS = (0, 0, 1, 2)
WIDTH = 10
EDGE = (6, 3, 5, 4, 3, 2)


def close(got, wanted, tolerance=1e-11):
    torch.testing.assert_close(got, wanted, atol=tolerance, rtol=0)


def normal(*shape, generator):
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


@pytest.fixture
def head(generator) -> HamiltonianHead:
    made = HamiltonianHead(
        SiteBlocks(SHELLS),
        BondBlocks(SHELLS),
        elements=2,
        channels=4,
        other_channels=3,
        edge_channels=EDGE,
    ).double()
    for parameter in made.parameters():
        parameter.data = normal(*parameter.shape, generator=generator)
    for name, buffer in made.named_buffers():
        if "scale" in name.rpartition(".")[2]:
            buffer.copy_(0.5 + torch.rand(buffer.shape, generator=generator))
    made.site_scales.mean0.copy_(normal(*made.site_scales.mean0.shape, generator=generator))
    return made


def orbital_matrix(element):
    sign = torch.linalg.det(element).round()
    return torch.block_diag(*[degree_matrix(l, element * sign) * sign**l for l in SHELLS])


@pytest.mark.parametrize("improper", [1.0, -1.0])
def test_blocks_on_atoms_turn_with_the_features(head, improper, generator):
    natural = normal(5, 36, 4, generator=generator)
    other = normal(5, 36, 3, generator=generator)
    nodes, layout = pack_nodes(natural, other)
    element = improper * random_rotations(1, generator)[0]
    matrix, orbitals = representation(irreps_of(layout), element), orbital_matrix(element)
    kinds = torch.tensor([0, 1, 1, 0, 0])
    before = head.on_sites(natural, other, kinds)
    after = head.on_sites(*unpack_nodes(Features(nodes @ matrix.T, layout)), kinds)
    close(after, orbitals @ before @ orbitals.T, 1e-10)
    assert (before - before.mT).abs().max() > 0.1  # symmetrised later, by the model


def edge_inputs(generator, n=6):
    values = [normal(n, 1 if k < 2 else 2, c, generator=generator) for k, c in enumerate(EDGE)]
    bond = BondBlocks(SHELLS)
    overlap, initial = (normal(n, WIDTH, WIDTH, generator=generator) for _ in range(2))
    return values, bond.to_irreps(overlap), bond.to_irreps(initial), overlap, initial


def test_blocks_of_edges_do_not_depend_on_the_turn_of_the_frame(head, generator):
    values, overlap, initial, *_ = edge_inputs(generator)
    kind = torch.tensor([0, 1, 2, 3, 0, 1])
    rotation = torch.stack([orbital_matrix(r) for r in random_rotations(6, generator)])
    mirror = torch.diag(torch.tensor([-1.0, 1.0, 1.0]).double())
    element = turns(torch.linspace(0.2, 6, 6).double())
    element[1::2] = element[1::2] @ mirror
    before = head.on_edges(values, kind, overlap, initial, rotation)
    after = head.on_edges(
        turn_orders(values, element),
        kind,
        turn_orders(overlap, element),
        turn_orders(initial, element),
        torch.stack([orbital_matrix(q) for q in element]) @ rotation,
    )
    close(after, before, 1e-10)


def test_known_blocks_are_scaled_by_one_number_a_pair_of_shells(head, generator):
    values, overlap, initial, s, h = edge_inputs(generator)
    for weight in head.bond_out.weights:
        weight.data.zero_()
    head.bond_out.bias.data.zero_()
    head.carried.weight.data.zero_()
    identity = torch.eye(WIDTH).double().expand(6, WIDTH, WIDTH)
    got = head.on_edges(values, torch.zeros(6).long(), overlap, initial, identity)
    alpha, beta = (0.02 * head.carried.bias.detach()).reshape(2, 4, 4)
    for a, rows in enumerate(shell_slices(SHELLS)):
        for b, columns in enumerate(shell_slices(SHELLS)):
            wanted = alpha[a, b] * s[:, rows, columns] + beta[a, b] * h[:, rows, columns]
            close(got[:, rows, columns].detach(), wanted)


def test_the_free_term_fades_with_the_overlap(head, generator):
    values, overlap, initial, *_ = edge_inputs(generator)
    head.carried.weight.data.zero_()
    head.carried.bias.data.zero_()
    norm = sum(x.square().sum((1, 2), keepdim=True) for x in overlap).sqrt()
    unit = [x / norm for x in overlap]
    identity = torch.eye(WIDTH).double().expand(6, WIDTH, WIDTH)

    def size(length):
        scaled = [x * length for x in unit]
        blocks = head.on_edges(values, torch.zeros(6).long(), scaled, initial, identity)
        return blocks.norm(dim=(1, 2))

    full = size(1e6)
    close(size(0.05) / full, torch.full((6,), 0.5**0.5).double(), 1e-9)
    close(size(5e-4) / full, torch.full((6,), 0.01).double(), 1e-5)
    assert not size(0.0).any()


def test_scales_make_unit_spread_and_no_mean(generator):
    scales = BlockScales(3, [4, 2], [True, False]).double()
    kind = torch.tensor([0, 2]).repeat(2000)
    spread = torch.tensor([[1.0, 10, 0.1, 3], [5, 0.5, 2, 1], [2, 2, 4, 0.01]])
    x = 7 + spread[kind][:, None] * normal(4000, 1, 4, generator=generator)
    y = normal(4000, 2, 2, generator=generator)
    scales.fit([x, y], kind)
    a, b = scales.normalise([x, y], kind)
    for k in (0, 2):
        close(a[kind == k].mean(0), torch.zeros(1, 4).double())
        close(a[kind == k].square().mean((0, 1)), torch.ones(4).double())
        close(b[kind == k].square().mean((0, 1)), torch.ones(2).double())
    assert not scales.mean1.any()  # what transforms has no mean
    for got, wanted in zip(scales.restore([a, b], kind), (x, y), strict=True):
        close(got, wanted)
    # an element that was not seen takes the root mean square of those that were
    close(scales.scale0[1], (scales.scale0[[0, 2]].square().mean(0)).sqrt())


def test_scales_have_a_floor(generator):
    scales = BlockScales(1, [2], [False], floor=1e-3).double()
    x = torch.stack([torch.full((50, 2), 1e-9), torch.ones(50, 2)], dim=2).double()
    scales.fit([x], torch.zeros(50).long())
    close(scales.scale0, torch.tensor([[1e-3, 1.0]]).double())


def test_scales_do_nothing_before_they_are_fitted(generator):
    x = [normal(5, 1, 4, generator=generator), normal(5, 2, 2, generator=generator)]
    kind = torch.tensor([0, 1, 0, 1, 1])
    for got, wanted in zip(
        BlockScales(2, [4, 2], [True, False]).normalise(x, kind), x, strict=True
    ):
        assert torch.equal(got, wanted)


SLOTS = OrbitalSlots({1: (0, 1), 6: (0, 0, 1, 2)})
MOLECULES = [[6, 1, 1], [1], [1, 6, 6]]


def test_shell_potentials_are_found_again(generator):
    """ΔH = (w S + S w)/2 with any w: the least-squares fit gives w, for shells that exist."""
    potentials = ShellPotentials(SLOTS, 3).double()
    layout = MatrixLayout.of(MOLECULES, SLOTS)
    element = torch.tensor([1, 0, 0, 0, 0, 1, 1])
    w = normal(2, potentials.n_slots, generator=generator)
    diagonal = potentials.spread(w[element], layout)
    overlap = normal(3, layout.size, layout.size, generator=generator)
    mask = layout.mask.double()
    overlap = (overlap + overlap.mT) * mask[:, :, None] * mask[:, None]
    delta = (diagonal[:, :, None] + diagonal[:, None]) / 2 * overlap
    potentials.fit([(element, layout, overlap, delta)])
    exists = torch.tensor([[True, False, True, False], [True, True, True, True]])
    close(potentials.mean[exists], w[exists], 1e-8)
    assert not potentials.mean[~exists].abs().gt(1e-8).any()


def test_shell_potentials_see_the_atom_and_its_molecule_only(generator):
    potentials = ShellPotentials(SLOTS, 3).double()
    together = MatrixLayout.of(MOLECULES, SLOTS)
    element = torch.tensor([1, 0, 0, 0, 0, 1, 1])
    scalars = normal(7, 3, generator=generator)
    got = potentials(scalars, element, together)
    assert torch.equal(got != 0, together.mask)
    start = 0
    for k, numbers in enumerate(MOLECULES):
        mine = slice(start, start + len(numbers))
        alone = potentials(scalars[mine], element[mine], MatrixLayout.of([numbers], SLOTS))
        close(got[k, : alone.shape[1]], alone[0])
        start += len(numbers)
    # the three components of a p shell are alike
    hydrogen = potentials(scalars[:1], element[1:2], MatrixLayout.of([[1]], SLOTS))[0]
    assert hydrogen[1] == hydrogen[2] == hydrogen[3] != hydrogen[0]
