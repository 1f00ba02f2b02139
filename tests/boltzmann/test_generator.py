"""Score models as generators: exact for normal laws, unbiased for others, the same in any batches."""

from __future__ import annotations

import math

import pytest
import torch
from scorecases import SPREAD, generator, harmonic
from torch import Tensor

from genmol.boltzmann.generator import ScoreGenerator, noise_levels
from samplers.reweight import kish
from samplers.rng import Streams
from samplers.sde import Paths

N = 400


def within(found: Tensor, expected: float) -> bool:
    """Whether the mean of independent numbers is what it should be."""
    return abs(float(found.mean()) - expected) < 4.5 * float(found.std()) / math.sqrt(len(found))


def test_levels_fall_in_equal_ratios_and_then_to_none() -> None:
    levels = noise_levels(0.02, 8.0, 7)
    assert [float(levels[0]), float(levels[-2]), float(levels[-1])] == pytest.approx([8.0, 0.02, 0])
    torch.testing.assert_close(levels[1:-1] / levels[:-2], levels.new_full((6,), 400 ** (-1 / 6)))
    assert noise_levels(0.02, 8.0, 1).tolist() == pytest.approx([8.0, 0.0])
    one = generator(steps=7)
    torch.testing.assert_close(one.schedule.sigma(one.times), one.levels, rtol=1e-9, atol=0)
    assert bool((one.times.diff() < 0).all())


@pytest.mark.parametrize("dimension", [2, 3])
def test_scores_are_those_of_the_network(dimension: int) -> None:
    normal, other = (generator(steps=3, learnt=learnt, dimension=dimension) for learnt in (0, 1))
    x, t = normal.space.normal(Streams.of(seed=2, chains=300), "x"), normal.times[1]
    expected = -x / (SPREAD + float(normal.levels[1]) ** 2)
    torch.testing.assert_close(normal.score(x, t), expected)
    assert not torch.allclose(other.score(x, t), expected, rtol=0.01)
    assert other.score(x.float(), t).dtype == torch.float32
    # 300 frames are two parts
    torch.testing.assert_close(other.score(x[-5:], t), other.score(x, t)[-5:])


@pytest.mark.parametrize("steps", [1, 2, 8])
@pytest.mark.parametrize(("particles", "dimension"), [(4, 2), (3, 3)])
def test_normal_laws_are_exact(steps: int, particles: int, dimension: int) -> None:
    one = generator(steps=steps, particles=particles, dimension=dimension)
    target, log_z = harmonic(one, SPREAD)
    found = one.draw(Streams.of(seed=3, chains=N))
    assert found.x.shape == (N, particles, dimension)
    assert float(found.x.mean(dim=1).abs().max()) < 1e-12
    expected = torch.full((N,), log_z)
    torch.testing.assert_close(found.log_weights(target), expected, rtol=0, atol=1e-9)
    assert within(found.x.square().sum(dim=(1, 2)), SPREAD * one.space.dimension)
    # and along paths that noise takes from them
    back = one.retrace(found.x, Streams.of(seed=4, chains=N))
    assert torch.equal(back.x, found.x)
    torch.testing.assert_close(back.log_weights(target), expected, rtol=0, atol=1e-9)


@pytest.mark.parametrize("learnt", [False, True], ids=["normal", "untrained"])
@pytest.mark.parametrize("steps", [2, 8])
@pytest.mark.parametrize("piloted", [False, True], ids=["formula", "pilot"])
def test_wrong_scores_are_unbiased(*, learnt: bool, steps: int, piloted: bool) -> None:
    """A cluster that is narrower than the model thinks."""
    one = generator(steps=steps, learnt=learnt)
    if piloted:
        one = ScoreGenerator.piloted(one.model, one.system, steps=steps, seed=1)
    variance, n = 0.7 * SPREAD, 4000
    target, log_z = harmonic(one, variance)
    found = one.draw(Streams.of(seed=6, chains=n))
    weights = (found.log_weights(target) - log_z).exp()
    assert 0.05 * n < float(kish(weights.log())) < 0.98 * n
    assert within(weights, 1.0)
    square = found.x.square().sum(dim=(1, 2))
    assert within(weights * square, variance * one.space.dimension)
    assert not within(square, variance * one.space.dimension)


@pytest.mark.parametrize(
    ("learnt", "piloted", "steps"),
    [(False, False, 2), (False, False, 8), (False, True, 8), (True, False, 2), (True, False, 8)],
)
def test_noise_on_exact_samples_knows_the_same_integral(
    *, learnt: bool, piloted: bool, steps: int
) -> None:
    """E[1/w] = 1/Z; and Z is between both means of log w."""
    one = generator(steps=steps, learnt=learnt)
    if piloted:
        one = ScoreGenerator.piloted(one.model, one.system, steps=steps, seed=1)
    n, variance = 4000, 0.7 * SPREAD
    target, log_z = harmonic(one, variance)
    streams = Streams.of(seed=7, chains=n)
    exact = math.sqrt(variance) * one.space.normal(streams, "exact")
    found = one.retrace(exact, streams).log_weights(target) - log_z
    assert float(kish(found.neg())) > 0.2 * n
    assert within(found.neg().exp(), 1.0)
    drawn = one.draw(streams).log_weights(target) - log_z
    assert float(drawn.mean()) < 0 < float(found.mean())


def test_batches_change_nothing() -> None:
    one = generator(steps=4, learnt=True)
    streams, (target, _) = Streams.of(seed=8, chains=300), harmonic(one, SPREAD)

    def weights(of: Paths) -> tuple[Tensor, Tensor]:
        return of.x, of.log_weights(target)

    whole = one.draw(streams)
    parts = [one.draw(streams.take(rows)) for rows in (slice(0, 100), slice(100, 300))]
    for k, expected in enumerate(weights(whole)):
        torch.testing.assert_close(torch.cat([weights(part)[k] for part in parts]), expected)
    again = weights(one.retrace(whole.x, streams))
    rows = torch.tensor([7, 290, 31])
    some = weights(one.retrace(whole.x[rows], streams.take(rows)))
    for found, expected in zip(some, again, strict=True):
        torch.testing.assert_close(found, expected[rows])


def test_the_pilot_measures_the_information_and_is_its_own() -> None:
    one, steps = generator(steps=8), 8
    pilot = ScoreGenerator.piloted(one.model, one.system, steps=steps, seed=1)
    assert len(pilot.information) == steps
    # J = 1/(v + σ²) of normal data; 64 paths of 6 coordinates know it to 10 %, and 4.5 of these are
    expected = 1 / (SPREAD + one.levels[:-1].square())
    ratio = torch.tensor(pilot.information) / expected
    assert float((ratio - 1).abs().max()) < 4.5 * math.sqrt(2 / (64 * one.space.dimension))
    assert not torch.allclose(ratio, torch.ones(steps), rtol=1e-6)
    # a production of the same seed has other noise, and changes nothing of the pilot
    pilot.draw(Streams.of(seed=1, chains=10))
    again = ScoreGenerator.piloted(one.model, one.system, steps=steps, seed=1)
    assert again.information == pilot.information
    assert (
        again.information
        != ScoreGenerator.piloted(one.model, one.system, steps=8, seed=2).information
    )
    drawn = one.draw(Streams.of(seed=1, chains=64))
    shifted = one.draw(Streams.of(seed=1, chains=64).fold("pilot"))
    assert float((drawn.x - shifted.x).abs().min()) > 0
    # nearly constant weights all the same
    target, log_z = harmonic(one, SPREAD)
    found = pilot.draw(Streams.of(seed=9, chains=N)).log_weights(target)
    assert 0.7 * N < float(kish(found)) < 0.9999 * N
    assert within((found - log_z).exp(), 1.0)


def test_widths_are_those_of_the_levels() -> None:
    """J given for each step is used at that step: of the paths only this step's scatter changes."""
    plain = generator(steps=3)
    information = [1 / (SPREAD + float(level) ** 2) for level in plain.levels[:-1]]
    exact = ScoreGenerator(plain.model, plain.system, 3, tuple(information))
    streams = Streams.of(seed=10, chains=N)
    torch.testing.assert_close(exact.draw(streams).x, plain.draw(streams).x)
    # no information at the last noisy level: the whole of its noise is left
    wide = ScoreGenerator(plain.model, plain.system, 3, (*information[:2], 0.0)).draw(streams)
    low = float(plain.levels[2])
    kept = 1 - low**2 / (SPREAD + low**2)
    noise = plain.space.normal(streams.at(2), "noise")
    expected = plain.draw(streams).x + low * (1 - math.sqrt(kept)) * noise
    torch.testing.assert_close(wide.x, expected)
