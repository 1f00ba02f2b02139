"""Reverse diffusions: published steps, exact cases, weak order one, weights that forgive any score."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import Tensor

from samplers.mixtures import GaussianMixture
from samplers.rng import Streams
from samplers.schedules import Cosine, Geometric, Interpolant, LinearBeta, Schedule, uniform_times
from samplers.sde import Ancestral, EulerMaruyama, Paths, Reverse, generate, noising, retrace
from samplers.spaces import Euclidean, MeanFree, Space, SymmetricMatrices
from samplers.wells import DoubleWell, TwoBasins

SCHEDULE = LinearBeta(0.1, 10.0)
PAIR = GaussianMixture.of([0.3, 0.7], [[-1.2], [0.8]], [0.5, 0.4])
PLANE = GaussianMixture.of([0.4, 0.6], [[-1.5, 0.0], [1.0, 1.0]], [0.6, 0.8])


def score_of(law: GaussianMixture, schedule: Schedule = SCHEDULE):
    def score(x: Tensor, t: Tensor) -> Tensor:
        return law.noised(schedule.alpha(t), schedule.sigma(t)).evaluate(x).gradient

    return score


def normal_score(schedule: Schedule, variance: float):
    def score(x: Tensor, t: Tensor) -> Tensor:
        return -x / (schedule.alpha(t).square() * variance + schedule.sigma(t).square())

    return score


def within(found: Tensor, expected: float, sigmas: float = 4.5) -> bool:
    """Whether the mean of independent numbers is what it should be."""
    error = float(found.std()) / math.sqrt(len(found))
    return abs(float(found.mean()) - expected) < sigmas * error


@pytest.mark.parametrize("schedule", [LinearBeta(), Cosine(), Geometric(), Interpolant()], ids=repr)
def test_steps_are_the_published_ones(schedule: Schedule) -> None:
    s, t = torch.tensor(0.3), torch.tensor(0.35)
    x, score = torch.tensor([[1.0, -2.0]]), torch.tensor([[0.4, 0.7]])
    a_s, a_t, n_s, n_t = (
        float(f(time)) for f in (schedule.alpha, schedule.sigma) for time in (s, t)
    )
    beta = n_t**2 - (a_t / a_s) ** 2 * n_s**2  # σ_ts²
    # Ho et al. (2020), equations 11 and 7, in the form of any α and σ
    found = Ancestral(schedule).kernel(x, score, t, s)
    torch.testing.assert_close(found.mean, (x + beta * score) * a_s / a_t)
    assert found.scale**2 == pytest.approx(beta * n_s**2 / n_t**2)
    wide = Ancestral(schedule, spread=1e6).kernel(x, score, t, s)
    torch.testing.assert_close(wide.mean, found.mean, rtol=1e-4, atol=1e-4)
    assert wide.scale**2 == pytest.approx(beta * (a_s / a_t) ** 2, rel=1e-3)
    # Song, Meng and Ermon (2021), equations 12 and 16
    eta, noise = 0.4, -n_t * score
    deviation = eta * n_s / n_t * math.sqrt(beta)
    expected = a_s * (x - n_t * noise) / a_t + math.sqrt(n_s**2 - deviation**2) * noise
    found = Ancestral(schedule, eta=eta).kernel(x, score, t, s)
    torch.testing.assert_close(found.mean, expected)
    assert found.scale == pytest.approx(deviation)
    # and both kinds agree over a short time
    s = t - 1e-5
    for eta in (0.0, 0.5, 1.0):
        one = Ancestral(schedule, eta=eta).kernel(x, score, t, s)
        other = EulerMaruyama(schedule, eta=eta).kernel(x, score, t, s)
        torch.testing.assert_close(
            (one.mean - x) / 1e-5, (other.mean - x) / 1e-5, rtol=2e-3, atol=0
        )
        assert one.scale == pytest.approx(other.scale, rel=1e-3)


def test_noising_is_the_forward_kernel() -> None:
    x = torch.ones(2, 3)
    found = noising(Interpolant(), x, torch.tensor(0.2), torch.tensor(0.6))
    torch.testing.assert_close(found.mean, 0.5 * x)
    assert found.scale == pytest.approx(math.sqrt(0.36 - 0.25 * 0.04))


@pytest.mark.parametrize("space", [Euclidean(4), MeanFree(3, 2), SymmetricMatrices(2)], ids=repr)
@pytest.mark.parametrize(("steps", "eta"), [(1, 1.0), (8, 1.0), (1, 0.5), (8, 0.5)])
def test_normal_laws_are_exact_with_constant_weights(space: Space, steps: int, eta: float) -> None:
    c, n = 0.49, 50
    scale = float(
        (SCHEDULE.alpha(torch.ones(())) ** 2 * c + SCHEDULE.sigma(torch.ones(())) ** 2).sqrt()
    )
    options = {"space": space, "scale": scale}
    reverse, score = Ancestral(SCHEDULE, spread=c, eta=eta), normal_score(SCHEDULE, c)
    times, streams = uniform_times(steps), Streams.of(seed=1, chains=n)
    found = generate(score, reverse, times, streams, **options)
    assert found.weight is not None
    assert float((space.project(found.x) - found.x).abs().max()) < 1e-12
    log_weights = found.weight.end(space.log_normal(found.x, math.sqrt(c)))
    torch.testing.assert_close(log_weights, torch.zeros(n), rtol=0, atol=1e-9)
    back = retrace(score, reverse, found.x, times, streams, **options)
    assert back.weight is not None
    log_weights = back.weight.end(space.log_normal(back.x, math.sqrt(c)))
    torch.testing.assert_close(log_weights, torch.zeros(n), rtol=0, atol=1e-9)


@pytest.mark.parametrize("eta", [0.0, 0.6, 1.0])
def test_the_spread_of_normal_laws_is_exact_at_every_eta(eta: float) -> None:
    """x_s = a x_t + b z is linear for a linear score, so variances are known without drawing."""
    c, reverse = 2.0, Ancestral(SCHEDULE, spread=2.0, eta=eta)
    score = normal_score(SCHEDULE, c)
    width = lambda t: SCHEDULE.alpha(t) ** 2 * c + SCHEDULE.sigma(t) ** 2  # noqa: E731
    times, one = uniform_times(4), torch.ones(1, 1)
    variance = float(width(times[0]))
    for t, s in pairwise(times):
        step = reverse.kernel(one, score(one, t), t, s)
        variance = float(step.mean) ** 2 * variance + step.scale**2
        assert variance == pytest.approx(float(width(s)))


@pytest.mark.parametrize(
    "reverse",
    [
        EulerMaruyama(SCHEDULE),
        EulerMaruyama(SCHEDULE, eta=0.5),
        Ancestral(SCHEDULE),
        Ancestral(SCHEDULE, spread=0.5),
        Ancestral(SCHEDULE, spread=0.5, eta=0.7),
    ],
    ids=repr,
)
def test_weak_order_is_one(reverse: Reverse) -> None:
    """Without drawing: the density of a chain with the exact score, propagated by quadrature."""
    x = torch.linspace(-6.5, 6.5, 391)
    h, end, score = float(x[1] - x[0]), 0.2, score_of(PAIR)

    def law(t: float) -> Tensor:
        time = torch.tensor(t)
        return PAIR.noised(SCHEDULE.alpha(time), SCHEDULE.sigma(time)).log_density(x[:, None]).exp()

    tests = [x, x.square(), (2 * x).sin()]
    expected = torch.stack([(law(end) * f).sum() * h for f in tests])
    steps, errors = np.array([20, 40, 80]), []
    for n in steps:
        p = law(1.0)
        times = uniform_times(int(n), end=end)
        for t, s in pairwise(times):
            mean, scale = reverse.kernel(x[:, None], score(x[:, None], t), t, s)
            kernel = (-0.5 * ((x[:, None] - mean.T) / scale) ** 2).exp()
            p = kernel @ p * (h / (scale * math.sqrt(2 * math.pi)))
        assert float(p.sum() * h) == pytest.approx(1, abs=1e-6)  # the grid is fine enough
        found = torch.stack([(p * f).sum() * h for f in tests])
        errors.append(float((found - expected).abs().max()))
    order = -np.polyfit(np.log(steps), np.log(errors), 1)[0]
    assert 0.85 < order < 1.25
    assert errors[-1] < 0.03


def test_samples_of_a_mixture() -> None:
    n = 3000
    found = generate(
        score_of(PLANE),
        Ancestral(SCHEDULE, spread=0.5),
        uniform_times(50),
        Streams.of(seed=3, chains=n),
        space=PLANE.space,
    )
    for i in range(2):
        assert within(found.x[:, i], float(PLANE.mean[i]))
        for j in range(2):
            product = (found.x[:, i] - PLANE.mean[i]) * (found.x[:, j] - PLANE.mean[j])
            assert within(product, float(PLANE.covariance[i, j]))
    weights = found.log_weights(PLANE).exp()
    assert within(weights, 1.0)
    assert float(weights.sum() ** 2 / weights.square().sum()) > 0.8 * n


def wavy(x: Tensor, t: Tensor) -> Tensor:
    """The score of one shifted normal law, and waves that belong to no density's noising."""
    a = SCHEDULE.alpha(t)
    return normal_score(SCHEDULE, 1.0)(x - 0.4 * a, t) + 0.3 * a * x.sin()


@pytest.mark.parametrize("steps", [1, 2, 7, 30])
@pytest.mark.parametrize("eta", [1.0, 0.7])
@pytest.mark.parametrize("kind", [EulerMaruyama, Ancestral])
def test_weights_are_right_for_a_wrong_score_and_any_number_of_steps(
    kind: type[Reverse], eta: float, steps: int
) -> None:
    target, n = DoubleWell(1, quadratic=2.0), 8000
    found = generate(
        wavy,
        EulerMaruyama(SCHEDULE, eta) if kind is EulerMaruyama else Ancestral(SCHEDULE, 1.0, eta),
        uniform_times(steps, end=0.15),
        Streams.of(seed=11, chains=n),
        space=target.space,
        scale=1.2,
    )
    w = (found.log_weights(target) - target.log_z).exp()
    assert float(w.sum() ** 2 / w.square().sum()) > 0.05 * n  # or the bounds mean nothing
    assert within(w, 1.0)
    for name, values in target.observables(found.x).items():
        assert within(w * values, target.truths[name].value)
    # the score was wrong indeed
    assert not within(found.x[:, 0].square(), target.truths["square"].value)


def test_weights_on_a_circle() -> None:
    """No score at all, and noise that goes all the way around."""
    target, n = TwoBasins(1, barrier=2.0), 20_000
    found = generate(
        lambda x, t: torch.zeros_like(x),
        EulerMaruyama(Geometric(0.3, 3.0)),
        uniform_times(5),
        Streams.of(seed=2, chains=n),
        space=target.space,
    )
    w = (found.log_weights(target) - target.log_z).exp()
    assert within(w, 1.0)
    assert within(w * target.basin(found.x), float(target.populations[1]))


def test_weights_along_noised_samples() -> None:
    """E[1/w] = 1/Z from samples of the target, and the two mean log-weights hold log Z between them."""
    n = 8000
    times, reverse = uniform_times(10), Ancestral(SCHEDULE, spread=0.6)
    options = {"space": PLANE.space}
    wrong = lambda x, t: 0.9 * score_of(PLANE)(x, t)  # noqa: E731
    streams = Streams.of(seed=4, chains=n)
    forth = generate(wrong, reverse, times, streams, **options).log_weights(PLANE)
    back = retrace(wrong, reverse, PLANE.draw(streams), times, streams, **options)
    log_weights = back.log_weights(PLANE)
    assert within(log_weights.neg().exp(), 1.0)
    assert float(forth.mean()) < 0 < float(log_weights.mean())


def test_batches_change_nothing() -> None:
    streams, rows = Streams.of(seed=5, chains=40), torch.tensor([3, 31, 8])

    def run(streams: Streams) -> Paths:
        return generate(
            score_of(PLANE),
            EulerMaruyama(SCHEDULE),
            uniform_times(6, end=0.1),
            streams,
            space=PLANE.space,
        )

    whole = run(streams)
    for part in (rows, slice(7, 8)):
        some = run(streams.take(part))
        assert torch.equal(some.x, whole.x[part])
        assert torch.equal(some.log_weights(PLANE), whole.log_weights(PLANE)[part])


def test_without_noise() -> None:
    streams, space = Streams.of(seed=6, chains=5), Euclidean(2)
    arguments = (normal_score(SCHEDULE, 1.0), Ancestral(SCHEDULE), uniform_times(3), streams)
    with pytest.raises(ValueError, match="weights need both positive"):
        generate(*arguments, space=space)
    found = generate(*arguments, space=space, weighted=False, dtype=torch.float32)
    assert found.x.dtype == torch.float32
    with pytest.raises(ValueError, match="weighted=True"):
        found.log_weights(PLANE)
    with pytest.raises(ValueError, match="two or more that fall"):
        generate(*arguments[:2], torch.tensor([0.1, 0.5]), streams, space=space)
