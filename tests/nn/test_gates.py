"""Norms and gates: what they make of scale, that they commute with their group, how they start."""

import pytest
import torch
from laws.oracle import degree_matrix, random_rotations, turn_orders, turns

from genmol.nn.gates import DegreeLinear, DegreeNorm, OrderGate, OrderNorm, degree_index

CHANNELS = [4, 3, 5, 2, 0]


def close(got, wanted, tolerance=1e-12):
    torch.testing.assert_close(got, wanted, atol=tolerance, rtol=0)


def features(generator, n=6):
    sizes = [1, 1, 2, 2, 2]
    return [
        torch.randn(n, s, c, generator=generator, dtype=torch.float64)
        for s, c in zip(sizes, CHANNELS, strict=True)
    ]


def elements(n):
    mirror = torch.diag(torch.tensor([-1.0, 1.0, 1.0]).double())
    return turns(torch.linspace(0.1, 6.0, n).double()) @ mirror


def atoms(l_max, channels, generator):
    shape = (5, (l_max + 1) ** 2, channels)
    return torch.randn(shape, generator=generator, dtype=torch.float64)


def scrambled(module, generator):
    for parameter in module.parameters():
        parameter.data.normal_(generator=generator)
    return module


def rotation_matrix(l_max, generator):
    element = random_rotations(1, generator)[0]
    return torch.block_diag(*[degree_matrix(l, element) for l in range(l_max + 1)])


def test_degrees_are_counted_component_by_component():
    assert degree_index(2).tolist() == [0, 1, 1, 1, 2, 2, 2, 2, 2]


@pytest.mark.parametrize(
    "make", [lambda: DegreeNorm(3, 4), lambda: DegreeLinear(3, 4, 5, bias=True)]
)
def test_what_acts_on_atoms_commutes_with_rotations(make, generator):
    module = scrambled(make(), generator)
    x, matrix = atoms(3, 4, generator), rotation_matrix(3, generator)
    close(module(matrix @ x), matrix @ module(x))


@pytest.mark.parametrize("make", [lambda: OrderNorm(CHANNELS), lambda: OrderGate(CHANNELS)])
def test_what_acts_on_edges_commutes_with_turns_and_mirrors(make, generator):
    module = scrambled(make(), generator)
    x, element = features(generator), elements(6)
    turned = module(turn_orders(x, element))
    for got, wanted in zip(turned, turn_orders(module(x), element), strict=True):
        close(got, wanted)


@pytest.mark.parametrize("size", [1e2, 1e6])
def test_norms_bring_large_features_to_unit_size(size, generator):
    x = DegreeNorm(3, 4)(size * atoms(3, 4, generator))
    for l in range(4):
        mean = x[:, l * l : (l + 1) ** 2].square().mean((1, 2))
        close(mean, torch.ones(5).double(), 1e-3)
    for x in OrderNorm(CHANNELS)([size * v for v in features(generator)]):
        if x.numel():
            close(x.square().mean((1, 2)), torch.ones(6).double(), 1e-3)


def test_norms_do_not_blow_up_what_vanishes(generator):
    """Rounding errors of what is zero by symmetry must not grow: less than tenfold a norm."""
    tiny = 1e-12 * atoms(3, 4, generator)
    assert (DegreeNorm(3, 4)(tiny).abs() <= 10 * tiny.abs()).all()
    small = [1e-12 * v for v in features(generator)]
    for before, after in zip(small, OrderNorm(CHANNELS)(small), strict=True):
        assert (after.abs() <= 10 * before.abs()).all()


def test_norms_have_slopes_at_zero(generator):
    x = torch.zeros(2, 16, 4).double().requires_grad_()
    (slope,) = torch.autograd.grad(DegreeNorm(3, 4)(x).sum(), x)
    assert slope.isfinite().all()
    z = [v.detach().mul(0).requires_grad_() for v in features(generator)]
    slopes = torch.autograd.grad(sum(v.sum() for v in OrderNorm(CHANNELS)(z)), z)
    assert all(s.isfinite().all() for s in slopes)


def test_a_norm_of_one_atom_knows_nothing_of_the_others(generator):
    x = atoms(3, 4, generator)
    norm = DegreeNorm(3, 4)
    close(norm(x)[2:3], norm(x[2:3]), 0)
    assert DegreeNorm(3, 0)(x[..., :0]).shape == (5, 16, 0)


def test_gates_are_open_on_average_at_the_start(generator):
    gate = OrderGate(CHANNELS)
    with torch.no_grad():
        for parameter in gate.parameters():
            parameter.zero_()
    x = features(generator)
    scalars, *rest = gate(x)
    close(scalars, torch.nn.functional.silu(x[0]))
    for got, wanted in zip(rest, x[1:], strict=True):
        close(got, wanted)


def test_a_bias_reaches_degree_zero_only(generator):
    linear = DegreeLinear(2, 3, 4, bias=True)
    linear.bias.data.normal_(generator=generator)
    nothing = linear(torch.zeros(1, 9, 3).double())
    close(nothing[:, 0], linear.bias[None].detach())
    assert not nothing[:, 1:].any()
    assert DegreeLinear(2, 3, 4, bias=False).bias is None


def test_linear_maps_keep_the_scale(generator):
    x = atoms(2, 400, generator)
    with torch.random.fork_rng():
        torch.manual_seed(5)
        y = DegreeLinear(2, 400, 300, bias=True, gain=0.5)(x)
    assert y.square().mean().item() == pytest.approx(0.25, rel=0.05)
