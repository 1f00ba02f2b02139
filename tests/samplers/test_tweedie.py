"""Steps of measured width: exact for normal laws, nearest for others, right for any score."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from samplers.mixtures import GaussianMixture
from samplers.reweight import kish, log_normaliser
from samplers.rng import Streams
from samplers.schedules import Exploding, Geometric
from samplers.sde import Ancestral, Reverse, generate, noising, retrace
from samplers.spaces import Euclidean, MeanFree, Space
from samplers.tweedie import Tweedie
from samplers.wells import DoubleWell

NOISE = Exploding(0.05, 4.0)
MIXED = GaussianMixture(  # two wells along a soft coordinate, and a stiff one that differs in them
    torch.tensor([0.35, 0.65]),
    torch.tensor([[-1.5, 0.0], [1.0, 0.3]]),
    torch.diag_embed(torch.tensor([[0.5, 0.01], [0.3, 0.006]])),
)


def times(steps: int) -> Tensor:
    """From σ = 4 in equal ratios to 0.05, and then to none."""
    levels = torch.logspace(math.log10(4.0), math.log10(0.05), steps)
    return NOISE.when(torch.cat([levels, torch.zeros(1)]))


def score_of(law: GaussianMixture):
    return lambda x, t: law.noised(1.0, NOISE.sigma(t)).evaluate(x).gradient


def information_of(law: GaussianMixture):
    """J, the mean square of the score on noised exact samples."""
    clean = Streams.of(seed=99, chains=4000)

    def information(t: float) -> float:
        noised = law.noised(1.0, NOISE.sigma(torch.tensor(t)))
        return float(noised.evaluate(noised.draw(clean)).gradient.square().mean())

    return information


def steps_of(law: GaussianMixture) -> Tweedie:
    return Tweedie(NOISE, information_of(law))


def test_the_step_has_the_first_two_moments_of_the_reversal() -> None:
    """E[x_s | x_t] and the mean of var(x_s | x_t), by quadrature over x_s."""
    law = GaussianMixture.of([0.3, 0.7], [[-1.2], [0.8]], [0.5, 0.4])
    t, s = torch.tensor(0.8), torch.tensor(0.6)
    grid = torch.linspace(-16, 16, 1601)[:, None]
    before, after = (law.noised(1.0, NOISE.sigma(at)).evaluate(grid) for at in (s, t))
    width = float(NOISE.forward(s, t)[1])
    joint = before.log_density[None] - 0.5 * ((grid - grid.T) / width).square()
    share = joint.softmax(dim=1)  # of x_s, for every x_t
    mean, square = share @ grid, share @ grid.square()
    density = after.log_density.softmax(dim=0)
    information = float(density @ after.gradient.flatten().square())
    found = Tweedie(NOISE, lambda _: information).kernel(grid, after.gradient, t, s)
    inner = grid.flatten().abs() < 9
    torch.testing.assert_close(found.mean[inner], mean[inner], rtol=1e-9, atol=1e-9)
    expected = float(density @ (square - mean.square()).flatten())
    assert found.scale**2 == pytest.approx(expected, rel=1e-9)
    back = Tweedie(NOISE, lambda _: information).back(grid, score_of(law), s, t)
    assert torch.equal(back.mean, grid)
    assert back.scale == noising(NOISE, grid, s, t).scale


@pytest.mark.parametrize("space", [Euclidean(4), MeanFree(3, 2)], ids=repr)
@pytest.mark.parametrize("steps", [1, 2, 9])
def test_normal_laws_are_exact_with_constant_weights(space: Space, steps: int) -> None:
    c, n = 1.44, 40

    def information(t: float) -> float:
        return 1 / (c + float(NOISE.sigma(torch.tensor(t))) ** 2)

    def score(x: Tensor, t: Tensor) -> Tensor:
        return -x * information(float(t))

    reverse, streams = Tweedie(NOISE, information), Streams.of(seed=1, chains=n)
    options = {"space": space, "scale": math.hypot(4.0, math.sqrt(c))}
    log_z = 0.5 * space.dimension * math.log(2 * math.pi * c)
    found = generate(score, reverse, times(steps), streams, **options)
    back = retrace(score, reverse, found.x, times(steps), streams, **options)
    for paths in (found, back):
        assert paths.weight is not None
        log_density = -0.5 * paths.x.flatten(1).square().sum(dim=1) / c
        log_weights = paths.weight.end(log_density)
        torch.testing.assert_close(log_weights, torch.full((n,), log_z), rtol=0, atol=1e-9)
    # and it is the step of Ancestral that knows the variance
    one, t, s = torch.ones(1, 1), torch.tensor(0.9), torch.tensor(0.4)
    mine, theirs = (
        kind.kernel(one, score(one, t), t, s) for kind in (reverse, Ancestral(NOISE, spread=c))
    )
    torch.testing.assert_close(mine.mean, theirs.mean)
    assert mine.scale == pytest.approx(theirs.scale)


def test_no_spread_of_ancestral_steps_does_as_well() -> None:
    """Of one width a step, these are nearest to the reversal: least E[log w] along noised samples."""
    n = 4000
    streams = Streams.of(seed=3, chains=n)
    score, exact = score_of(MIXED), MIXED.draw(Streams.of(seed=4, chains=n))
    options = {"space": MIXED.space, "scale": math.hypot(4.0, 1.0)}

    def both(reverse: Reverse) -> tuple[Tensor, Tensor]:
        forth = generate(score, reverse, times(20), streams, **options).log_weights(MIXED)
        back = retrace(score, reverse, exact, times(20), streams, **options).log_weights(MIXED)
        return forth, back

    forth, back = both(steps_of(MIXED))
    z = log_normaliser(forth)
    assert abs(float(z.value)) < 4.5 * float(z.error)
    for spread in torch.logspace(
        -3, 0.5, 8
    ).tolist():  # from below the stiffest to above the softest
        theirs_forth, theirs_back = both(Ancestral(NOISE, spread=spread))
        excess = theirs_back - back
        assert float(excess.mean()) > 4.5 * float(excess.std()) / math.sqrt(n)
        assert float(kish(forth)) > 1.1 * float(kish(theirs_forth))
        assert float(forth.var()) < float(theirs_forth.var())


@pytest.mark.parametrize("steps", [4, 8, 20])
def test_weights_are_right_for_a_wrong_score(steps: int) -> None:
    """Half a score, of another law, with the widths of that law."""
    target, law, n = DoubleWell(1, quadratic=2.0), GaussianMixture.of([1.0], [[0.2]], [1.1]), 8000
    found = generate(
        lambda x, t: 0.5 * score_of(law)(x, t),
        steps_of(law),
        times(steps),
        Streams.of(seed=11, chains=n),
        space=target.space,
    )
    weights = (found.log_weights(target) - target.log_z).exp()
    assert float(kish(weights.log())) > 0.05 * n  # or the bounds mean nothing
    assert abs(float(weights.mean()) - 1) < 4.5 * float(weights.std()) / math.sqrt(n)
    for name, values in target.observables(found.x).items():
        error = float((weights * values).std()) / math.sqrt(n)
        assert abs(float((weights * values).mean()) - target.truths[name].value) < 4.5 * error
    square = found.x[:, 0].square()
    off = abs(float(square.mean()) - target.truths["square"].value)
    assert off > 10 * float(square.std()) / math.sqrt(n)  # the score was wrong indeed


def test_weights_along_noised_samples() -> None:
    """E[1/w] = 1/Z from samples of the target, and the two mean log-weights hold log Z between them."""
    n, law = 8000, GaussianMixture.of([0.4, 0.6], [[-1.5, 0.0], [1.0, 1.0]], [0.6, 0.8])
    wrong = lambda x, t: 0.85 * score_of(law)(x, t)  # noqa: E731
    options = {"space": law.space, "scale": 4.3}
    streams, reverse = Streams.of(seed=4, chains=n), steps_of(law)
    forth = generate(wrong, reverse, times(8), streams, **options).log_weights(law)
    back = retrace(wrong, reverse, law.draw(streams), times(8), streams, **options)
    found = back.log_weights(law)
    inverse = found.neg().exp()
    assert float(kish(found.neg())) > 0.05 * n
    assert abs(float(inverse.mean()) - 1) < 4.5 * float(inverse.std()) / math.sqrt(n)
    assert float(forth.mean()) < 0 < float(found.mean())


def test_the_width_never_vanishes() -> None:
    """More information than noise allows, as a bad score has, leaves a narrow step."""
    t, s = torch.tensor(0.9), torch.tensor(0.4)
    x = torch.ones(1, 1)
    taken_off = float(Geometric(0.05, 4.0).forward(s, t)[1])
    found = Tweedie(Geometric(0.05, 4.0), lambda _: 1e9).kernel(x, -x, t, s)
    assert 0.1 * taken_off < found.scale < 0.5 * taken_off
