"""Edge frames, and what may be done in them: all that is O(2)-equivariant, and nothing else."""

import math

import pytest
import torch
from e3nn import o3
from laws.oracle import random_rotations, representation, turn_orders, turns

from genmol.algebra.so2 import (
    CircleProduct,
    EdgeFrames,
    O2Linear,
    edge_rotations,
    entering_channels,
    orders,
)
from genmol.algebra.so3 import dimension
from genmol.backbones.features import Features, irreps_of, pack_nodes, unpack_nodes

Y = torch.tensor([0.0, 1.0, 0.0]).double()
MIRROR = torch.diag(torch.tensor([-1.0, 1.0, 1.0]).double())


def close(got, wanted, tolerance=1e-12):
    torch.testing.assert_close(got, wanted, atol=tolerance, rtol=0)


def all_close(got, wanted, tolerance=1e-12):
    assert len(got) == len(wanted)
    for x, y in zip(got, wanted, strict=True):
        close(x, y, tolerance)


def axial_elements(n, generator):
    """Turns about the y axis, every other one with a mirror."""
    angle = torch.rand(n, generator=generator, dtype=torch.float64) * 2 * math.pi
    mirror = torch.where((torch.arange(n) % 2 == 1)[:, None, None], MIRROR, torch.eye(3).double())
    return turns(angle) @ mirror


def random_features(channels, n, generator):
    """Features in frames with these channels of 0+, 0-, 1, ..."""
    sizes = [1, 1, *[2] * (len(channels) - 2)]
    return [
        torch.randn(n, s, c, generator=generator, dtype=torch.float64)
        for s, c in zip(sizes, channels, strict=True)
    ]


def directions(generator):
    """At random, along ± every axis, close to them by 1e-3 to 1e-12, between them; any length."""
    eye = torch.eye(3).double()
    near = [eye + tilt * eye.roll(1, 0) for tilt in (1e-3, 1e-6, 1e-9, 1e-12)]
    ties = torch.tensor([[1.0, 1, 1], [1, -1, 1], [1, 1, 0], [0, -1, 1]]).double()
    scattered = torch.randn(20, 3, generator=generator, dtype=torch.float64)
    vectors = torch.cat([scattered, eye, -eye, *near, *[-x for x in near], ties])
    return torch.cat([vectors, 1e-6 * vectors, 1e6 * vectors])


def test_a_frame_is_a_rotation_of_the_bond_onto_the_y_axis(generator):
    vectors = directions(generator)
    rotation = edge_rotations(vectors)
    close(rotation @ rotation.mT, torch.eye(3).expand(len(vectors), 3, 3).double(), 1e-14)
    close(torch.linalg.det(rotation), torch.ones(len(vectors)).double(), 1e-14)
    length = vectors.norm(dim=1, keepdim=True)
    close((rotation @ (vectors / length)[:, :, None])[:, :, 0], Y.expand(len(vectors), 3), 1e-14)


def test_frames_have_slopes_everywhere(generator):
    vectors = directions(generator).requires_grad_()
    matrices = EdgeFrames.of(vectors, 3).natural
    (slope,) = torch.autograd.grad(matrices.sin().sum(), vectors)
    assert slope.isfinite().all()


@pytest.mark.parametrize("l_max", [0, 1, 4])
def test_leaving_undoes_entering(l_max, generator):
    frames = EdgeFrames.of(directions(generator), l_max)
    n, dim = len(frames.natural), dimension(l_max)
    natural = torch.randn(n, dim, 3, generator=generator, dtype=torch.float64)
    other = torch.randn(n, dim, 2, generator=generator, dtype=torch.float64)
    entered = frames.enter(natural, other)
    assert [x.shape[2] for x in entered] == entering_channels(l_max, 3, 2)
    assert [x.shape[1] for x in entered] == [2 if m else 1 for m in orders(l_max)]
    all_close(frames.leave(entered, 3, 2), (natural, other), 1e-13)
    square = sum(x.square().sum((1, 2)) for x in entered)
    close(square, natural.square().sum((1, 2)) + other.square().sum((1, 2)), 1e-10)


def test_the_harmonics_of_a_bond_are_scalars_in_its_frame(generator):
    vectors = directions(generator)
    natural = torch.cat(
        [o3.spherical_harmonics(l, vectors, normalize=True) for l in range(5)], dim=1
    )[:, :, None]
    entered = EdgeFrames.of(vectors, 4).enter(natural, natural[..., :0])
    expected = o3.spherical_harmonics([0, 1, 2, 3, 4], Y, normalize=True)
    expected = expected[[l * l + l for l in range(5)]]
    close(entered[0][:, 0], expected.expand(len(vectors), 5))
    assert all(x.abs().max() < 1e-12 for x in entered[2:])


@pytest.mark.parametrize("improper", [1.0, -1.0])
def test_entered_features_are_irreps_of_both_parities(improper, generator):
    """Rotated and mirrored molecules differ, in their frames, by a turn and a mirror of O(2)."""
    l_max = 3
    vectors = directions(generator)
    natural = torch.randn(len(vectors), 16, 3, generator=generator, dtype=torch.float64)
    other = torch.randn(len(vectors), 16, 2, generator=generator, dtype=torch.float64)
    element = improper * random_rotations(1, generator)[0]
    packed, layout = pack_nodes(natural, other)
    moved = unpack_nodes(Features(packed @ representation(irreps_of(layout), element).T, layout))
    before, after = EdgeFrames.of(vectors, l_max), EdgeFrames.of(vectors @ element.T, l_max)
    relative = after.wigner[1] @ element @ before.wigner[1].mT
    close(relative @ Y, Y.expand(len(vectors), 3))
    all_close(after.enter(*moved), turn_orders(before.enter(natural, other), relative), 1e-11)


def test_linear_maps_commute_with_turns_and_mirrors(generator):
    channels = [4, 3, 5, 2]
    element = axial_elements(10, generator)
    features = random_features(channels, 10, generator)
    linear = O2Linear(channels, [2, 5, 3, 4])
    torch.nn.init.normal_(linear.bias, generator=generator)
    all_close(linear(turn_orders(features, element)), turn_orders(linear(features), element))


def test_linear_maps_are_all_of_e3nns_clebsch_gordan_paths(generator):
    """Both parities, every path with the harmonics of the bond; one set of weights for every bond."""
    l_max, channels, other_channels = 3, (2, 1), (1, 2)
    signs, degrees = (1, -1), range(l_max + 1)
    inputs, outputs = (
        irreps_of(
            [(n, l, sign * (-1) ** l) for l in degrees for n, sign in zip(both, signs, strict=True)]
        )
        for both in (channels, other_channels)
    )
    harmonics = o3.Irreps.spherical_harmonics(2 * l_max)
    product = o3.FullyConnectedTensorProduct(inputs, harmonics, outputs)
    with torch.no_grad():
        product.weight.normal_(generator=generator)

    def apply(n):
        vectors = torch.randn(n, 3, generator=generator, dtype=torch.float64)
        x = torch.randn(n, inputs.dim, generator=generator, dtype=torch.float64)
        y = product(x, o3.spherical_harmonics(harmonics, vectors, normalize=True)).detach()
        frames = EdgeFrames.of(vectors, l_max)
        x, y = (
            unpack_nodes(Features(v, tuple((c, ir.l, ir.p) for c, ir in irreps)))
            for v, irreps in ((x, inputs), (y, outputs))
        )
        return frames, x, y

    frames, x, y = apply(60)
    linear = O2Linear(
        entering_channels(l_max, *channels), entering_channels(l_max, *other_channels)
    )
    for weight, into, out in zip(linear.weights, frames.enter(*x), frames.enter(*y), strict=True):
        weight.data = torch.linalg.lstsq(into.flatten(0, 1), out.flatten(0, 1)).solution
    frames, x, y = apply(20)
    all_close(frames.leave(linear(frames.enter(*x)), *other_channels), y, 1e-10)
    # and they have no freedom beyond these paths
    assert sum(w.numel() for w in linear.weights) == product.weight_numel


def complex_product(a, b, m_max):
    """c_m = sum over all orders m1 + m2 = m, of either sign, of a_m1 b_m2."""

    def series(x):
        found = {0: x[0][:, 0].to(torch.complex128)}
        for m in range(1, m_max + 1):
            found[m] = torch.complex(x[1 + m][:, 0], -x[1 + m][:, 1]) / 2**0.5
            found[-m] = found[m].conj()
        return found

    f, g = series(a), series(b)
    c = {m: sum(f[k] * g[m - k] for k in f if m - k in g) for m in range(m_max + 1)}
    pairs = [torch.stack([c[m].real, -c[m].imag], dim=1) * 2**0.5 for m in range(1, m_max + 1)]
    return [c[0].real[:, None], *pairs]


def side_by_side(a, b):
    return [torch.cat(both, dim=2) for both in zip(a, b, strict=True)]


@pytest.mark.parametrize("m_max", [0, 1, 2, 5])
def test_the_product_on_the_circle_is_the_sum_of_complex_products(m_max, generator):
    channels = [3, 0, *[3] * m_max]
    a, b = (random_features(channels, 7, generator) for _ in range(2))
    c = CircleProduct(m_max)(side_by_side(a, b))
    all_close([c[0], *c[2:]], complex_product(a, b, m_max))
    odd = sum((x[:, 0] * y[:, 1] - x[:, 1] * y[:, 0] for x, y in zip(a[2:], b[2:], strict=True)), 0)
    assert isinstance(odd, int) or odd.abs().max() > 0.1
    close(c[1][:, 0], torch.zeros(7, 3).double() + odd / max(2 * m_max, 1) ** 0.5)


def test_the_product_commutes_with_turns_and_mirrors(generator):
    channels = [3, 0, 3, 3, 3, 3]
    element = axial_elements(12, generator)
    a, b = (random_features(channels, 12, generator) for _ in range(2))
    product = CircleProduct(4)
    both = side_by_side(a, b)
    got = product(turn_orders(both, element))
    all_close(got, turn_orders(product(both), element))
    assert all(x.abs().max() > 0.1 for x in got)
