"""Schedules: kernels compose, rates and coefficients are derivatives, the ratio falls, grids fall."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from samplers.schedules import (
    Cosine,
    Exploding,
    Geometric,
    Interpolant,
    LinearBeta,
    Schedule,
    karras_times,
    log_snr_times,
    uniform_times,
)

SCHEDULES = [
    LinearBeta(),
    LinearBeta(0.5, 8.0),
    Cosine(),
    Geometric(),
    Exploding(),
    Interpolant(),
]
each = pytest.mark.parametrize("schedule", SCHEDULES, ids=repr)
inside = torch.linspace(0.02, 0.98, 49)


def slope(function, t: Tensor) -> Tensor:
    leaf = t.clone().requires_grad_()
    (found,) = torch.autograd.grad(function(leaf).sum(), leaf, materialize_grads=True)
    return found


@each
def test_rates_are_derivatives(schedule: Schedule) -> None:
    def close(found: Tensor, expected: Tensor) -> None:
        torch.testing.assert_close(found, expected, rtol=1e-11, atol=1e-11)

    close(schedule.alpha_rate(inside), slope(lambda t: schedule.alpha(t) + 0 * t, inside))
    close(schedule.sigma_rate(inside), slope(schedule.sigma, inside))
    # Song et al. (2021): f = d log α / dt and g² = dσ²/dt − 2 f σ²
    close(schedule.drift(inside), slope(lambda t: schedule.alpha(t).log() + 0 * t, inside))
    growth = slope(lambda t: schedule.sigma(t).square(), inside)
    loss = 2 * schedule.drift(inside) * schedule.sigma(inside).square()
    close(schedule.diffusion(inside), growth - loss)
    assert bool((schedule.diffusion(inside) > 0).all())


@each
def test_kernels_compose(schedule: Schedule) -> None:
    r, s, t = torch.tensor([0.1, 0.3, 0.7]), torch.tensor([0.2, 0.6, 0.71]), torch.tensor(0.9)
    a_sr, n_sr = schedule.forward(r, s)
    a_ts, n_ts = schedule.forward(s, t.expand(3))
    a_tr, n_tr = schedule.forward(r, t.expand(3))
    torch.testing.assert_close(a_ts * a_sr, a_tr)
    torch.testing.assert_close((a_ts * n_sr).square() + n_ts.square(), n_tr.square())
    # and from the marginal at s to that at t
    a, n = schedule.alpha, schedule.sigma
    torch.testing.assert_close(a_ts * a(s), a(t).expand(3))
    torch.testing.assert_close((a_ts * n(s)).square() + n_ts.square(), n(t).square().expand(3))


@each
def test_short_kernels_are_steps_of_the_diffusion(schedule: Schedule) -> None:
    h = 1e-6
    alpha, sigma = schedule.forward(inside, inside + h)
    torch.testing.assert_close((alpha - 1) / h, schedule.drift(inside), rtol=1e-3, atol=1e-4)
    # the difference of two λ of up to 20, near 1e-6, keeps eight digits
    torch.testing.assert_close(sigma.square() / h, schedule.diffusion(inside), rtol=1e-3, atol=1e-6)


@each
def test_signal_to_noise_falls_and_is_inverted(schedule: Schedule) -> None:
    t = torch.linspace(1e-4, 1 - 1e-4, 1001)
    found = schedule.log_snr(t)
    assert bool((found.diff() < 0).all())
    torch.testing.assert_close(schedule.time_of(found), t, rtol=1e-9, atol=1e-12)


def test_ends() -> None:
    zero, one = torch.tensor(0.0), torch.tensor(1.0)
    for schedule in (LinearBeta(), Cosine(), Exploding(), Interpolant()):
        assert float(schedule.alpha(zero)) == 1
        assert float(schedule.sigma(zero)) == 0
        # from no noise at all the kernel is the marginal
        alpha, sigma = schedule.forward(zero, torch.tensor(0.4))
        torch.testing.assert_close(alpha, schedule.alpha(torch.tensor(0.4)))
        torch.testing.assert_close(sigma, schedule.sigma(torch.tensor(0.4)))
    # DDPM's continuous limit: ∫β = 10.05
    assert float(LinearBeta().alpha(one)) == pytest.approx(math.exp(-5.025))
    assert float(Geometric(0.01, 50.0).sigma(one)) == pytest.approx(50.0)
    assert float(Cosine().alpha(one)) == pytest.approx(math.sin(math.pi * 0.0025))
    assert float(Interpolant().forward(zero, one)[1]) == 1
    for schedule in (LinearBeta(), Cosine()):
        torch.testing.assert_close(
            schedule.alpha(inside).square() + schedule.sigma(inside).square(), torch.ones(49)
        )


def test_levels_of_noise_have_their_time() -> None:
    schedule = Exploding(0.02, 30.0)
    levels = torch.tensor([0.0, 1e-6, 1e-3, 0.02, 1.0, 29.9])
    torch.testing.assert_close(schedule.sigma(schedule.when(levels)), levels, rtol=1e-12, atol=0)
    torch.testing.assert_close(schedule.when(schedule.sigma(inside)), inside)
    # far above σ₀ it is the geometric schedule
    late, other = torch.linspace(0.5, 1, 6), Geometric(0.02, 30.0)
    torch.testing.assert_close(schedule.sigma(late), other.sigma(late), rtol=4e-4, atol=0)
    torch.testing.assert_close(schedule.diffusion(late), other.diffusion(late))


@each
def test_grids(schedule: Schedule) -> None:
    end, start = 0.01, 0.99
    ratio = lambda t: (-schedule.log_snr(t) / 2).exp()  # noqa: E731
    grids = {
        "uniform": uniform_times(12, start=start, end=end),
        "log-SNR": log_snr_times(schedule, 12, start=start, end=end),
        "Karras": karras_times(schedule, 12, start=start, end=end),
    }
    for times in grids.values():
        assert len(times) == 13
        assert [float(times[0]), float(times[-1])] == [start, end]
        assert bool((times.diff() < 0).all())
    even = {
        "uniform": grids["uniform"],
        "log-SNR": schedule.log_snr(grids["log-SNR"]),
        "Karras": ratio(grids["Karras"]) ** (1 / 7),
    }
    for numbers in even.values():
        steps = numbers.diff()
        torch.testing.assert_close(steps, steps.mean().expand(12), rtol=1e-8, atol=1e-10)


def test_karras_grid_is_theirs() -> None:
    """Karras et al. (2022), equation 5, for σ from 80 to 0.002."""
    schedule, n = Geometric(0.002, 80.0), 18
    times = karras_times(schedule, n - 1, end=0.0)
    i = torch.arange(n) / (n - 1)
    expected = (80 ** (1 / 7) + i * (0.002 ** (1 / 7) - 80 ** (1 / 7))) ** 7
    torch.testing.assert_close(schedule.sigma(times), expected, rtol=1e-9, atol=0)


def test_what_cannot_be() -> None:
    with pytest.raises(ValueError, match="got 0 steps"):
        uniform_times(0)
    with pytest.raises(ValueError, match="times that fall"):
        uniform_times(3, start=0.1, end=0.2)
    with pytest.raises(ValueError, match="take times further inside"):
        log_snr_times(LinearBeta(), 4, end=0.0)
    with pytest.raises(ValueError, match="take times further inside"):
        karras_times(Interpolant(), 4)
