"""The envelope is a smoothstep, the basis tells distances apart."""

import pytest
import torch

from genmol.nn.radial import ExponentialBasis, envelope


def derivatives(distance: float, order: int, cutoff: float = 5.0) -> list[float]:
    r = torch.tensor([distance], dtype=torch.float64, requires_grad=True)
    found, value = [], envelope(r, cutoff)
    for _ in range(order + 1):
        found.append(value.item())
        (value,) = torch.autograd.grad(value.sum(), r, create_graph=True)
    return found


def test_the_envelope_ends_with_two_derivatives():
    assert derivatives(5.0 - 1e-9, 2) == pytest.approx([0, 0, 0], abs=1e-8)
    assert derivatives(0.0, 2) == pytest.approx([1, 0, 0], abs=1e-12)
    assert not envelope(torch.tensor([5.0, 5.1, 100.0]), 5.0).any()
    # and no more: the third one jumps
    x = torch.tensor(1 - 1e-3).double()
    assert (envelope(5 * x, 5.0) / 1e-9).item() == pytest.approx(10, rel=0.01)


def test_the_envelope_falls_and_is_half_way_in_the_middle():
    values = envelope(torch.linspace(0, 5, 101).double(), 5.0)
    assert (values.diff() < 0).all()
    assert values[50].item() == pytest.approx(0.5, abs=1e-14)
    torch.testing.assert_close(values + values.flip(0), torch.ones(101).double())


def test_the_basis_resolves_bonds_best():
    basis = ExponentialBasis(32, 12.0)
    r = torch.tensor([0.9, 1.0, 1.5, 1.6, 9.0, 9.1]).double()
    values = basis(r)
    assert values.shape == (6, 32)
    assert ((values >= 0) & (values <= 1)).all()
    assert (values.max(dim=1).values > 0.5).all()
    short, bond, long = ((values[k] - values[k + 1]).norm().item() for k in (0, 2, 4))
    assert short > bond > 5 * long


def test_the_basis_is_a_gaussian_in_the_exponential():
    basis = ExponentialBasis(8, 6.0, decay=1.5)
    lowest = torch.tensor(-6.0 / 1.5).double().exp()
    centres = lowest + (1 - lowest) * torch.arange(8).double() / 7
    width = (1 - lowest) / 8 * 1.4
    r = torch.tensor([0.7, 2.0]).double()
    wanted = torch.exp(-((torch.exp(-r / 1.5)[:, None] - centres) ** 2) / (2 * width**2))
    torch.testing.assert_close(basis(r), wanted)


def test_values_and_slopes_are_right_in_single_precision():
    basis = ExponentialBasis(16, 5.0)
    r = torch.linspace(0.5, 6, 50)
    torch.testing.assert_close(basis(r.float()).double(), basis(r.double()), atol=1e-5, rtol=0)
    assert torch.autograd.gradcheck(basis, r.double().requires_grad_())
