"""Targets: the true score in the mean, least variance where said, biased data's optimum, the loss."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from genmol.boltzmann.psm import Mixing, modes_of, objective, squared_error, stiffness_of
from genmol.boltzmann.rules import RULES as EVERY
from genmol.boltzmann.rules import Rule
from genmol.boltzmann.score_batch import Particles, ScoreBatch, ScoreFrame
from genmol.boltzmann.score_model import ScoreModel, ScoreModelConfig
from genmol.core.errors import InputError
from samplers.mixtures import GaussianMixture
from samplers.rng import Streams
from samplers.spaces import MeanFree

N, PARTICLES = 10_000, 3
NUMBERS = torch.tensor([1, 6, 6])
LEVELS = [0.03, 0.08, 0.15, 0.3, 0.5, 0.8, 1.5, 4.0]
# Three particles on a line, the first two held together; and two places for all of them
SPRINGS = torch.tensor([[12.0, -10.0, 0.0], [-10.0, 12.0, -1.0], [0.0, -1.0, 2.0]])
CHAIN = GaussianMixture(torch.ones(1), torch.zeros(1, 3), SPRINGS.inverse()[None])
WELLS = GaussianMixture(
    torch.tensor([0.3, 0.7]),
    torch.tensor([[-1.0, -0.8, 0.0], [1.0, 1.2, 0.5]]),
    torch.stack([SPRINGS.inverse(), 0.6 * SPRINGS.inverse()]),
)
laws = pytest.mark.parametrize("law", [CHAIN, WELLS], ids=["chain", "wells"])
RULES = tuple(rule for rule in EVERY if rule != "springs")  # tests/boltzmann/test_springs.py
rules = pytest.mark.parametrize("rule", RULES)


class Draws:
    """Exact draws of a law with their forces, noised by one and the same noise at every level."""

    def __init__(self, law: GaussianMixture) -> None:
        self.law = law
        streams = Streams.of(seed=5, chains=N)
        self.x, self.noise = law.draw(streams), streams.normal("noise", PARTICLES)
        self.forces = law.evaluate(self.x).gradient

    @property
    def frames(self) -> Tensor:
        return self.forces[:, :, None]

    def mixing(self, rule: Rule) -> Mixing:
        ones = torch.ones(N)
        square = self.forces.square().mean(dim=0)
        table = {1: float(square[0]), 6: float(square[1:].mean())}
        return Mixing(rule, table, modes_of(self.frames, ones) if rule == "modes" else None)

    def target(self, mixing: Mixing, sigma: float) -> Tensor:
        """Of each draw, (n, particles)."""
        flat = (self.noise.reshape(-1, 1), self.forces.reshape(-1, 1))
        levels = torch.full((N * PARTICLES,), sigma)
        return mixing.target(*flat, levels, NUMBERS.repeat(N)).reshape(N, PARTICLES)

    def noised(self, sigma: float) -> Tensor:
        return self.x + sigma * self.noise

    def score(self, sigma: float) -> Tensor:
        return self.law.noised(1.0, sigma).evaluate(self.noised(sigma)).gradient


def within(found: Tensor, expected: float | Tensor = 0.0, sigmas: float = 4.5) -> bool:
    """Whether means over rows of independent draws are what they should be."""
    error = found.std(dim=0) / math.sqrt(len(found))
    return bool(((found.mean(dim=0) - expected).abs() <= sigmas * error).all())


def product(draws: Draws, rule: Rule, sigma: float) -> Tensor:
    """Of the target's error with functions of the noised point, which are zero in the mean."""
    x = draws.noised(sigma)
    error = draws.target(draws.mixing(rule), sigma) - draws.score(sigma)
    tests = torch.cat(
        [torch.ones(N, 1), x, x.square(), (2 * x).sin(), (x.abs() < 0.7) * 1.0], dim=1
    )
    return (error[:, :, None] * tests[:, None, :]).flatten(1)


@laws
@rules
@pytest.mark.parametrize("sigma", LEVELS[::2])
def test_every_target_has_the_score_as_its_mean(
    law: GaussianMixture, rule: Rule, sigma: float
) -> None:
    assert within(product(Draws(law), rule, sigma))


@laws
def test_forces_of_another_law_are_told(law: GaussianMixture) -> None:
    draws = Draws(law)
    draws.forces = 1.1 * draws.forces
    for rule in RULES:
        assert within(product(draws, rule, 0.15)) == (rule == "denoising"), rule


@laws
@rules
def test_second_moments(law: GaussianMixture, rule: Rule) -> None:
    draws = Draws(law)
    mixing = draws.mixing("smooth" if rule == "modes" else rule)  # as documented
    for sigma in LEVELS:
        square = draws.target(mixing, sigma).square()
        levels = torch.full((PARTICLES,), sigma)
        # over the atoms of an element, as B is
        expected = mixing.second_moment(levels, NUMBERS)
        assert within(square[:, 0], expected[0])
        assert within(square[:, 1:].mean(dim=1), expected[1])


@laws
def test_the_mixture_has_least_variance_at_every_level(law: GaussianMixture) -> None:
    draws = Draws(law)
    for sigma in LEVELS:
        score = draws.score(sigma)
        variance = {
            rule: (draws.target(draws.mixing(rule), sigma) - score).square().sum(dim=1)
            for rule in RULES
        }
        for rule in ("piecewise", "denoising", "potential"):
            gain = variance[rule] - variance["smooth"]
            assert float(gain.mean()) > 2 * float(gain.std()) / math.sqrt(N), (rule, sigma)
        gain = variance["smooth"] - variance["modes"]
        assert float(gain.mean()) > 4.5 * float(gain.std()) / math.sqrt(N)
    # at the crossover the gain is not small: half of what the better of the two has
    sigma = float(draws.forces.square().mean()) ** -0.5
    score = draws.score(sigma)
    mean = {r: float((draws.target(draws.mixing(r), sigma) - score).square().mean()) for r in RULES}
    assert mean["smooth"] < 0.8 * min(mean["denoising"], mean["potential"], mean["piecewise"])


def test_targets_of_normal_data_have_no_variance() -> None:
    """Of one width with ``smooth``, of any with ``modes``."""
    one = Draws(GaussianMixture.of([1.0], [[0.0, 0.0, 0.0]], [0.4]))
    chain = Draws(CHAIN)
    values, vectors = torch.linalg.eigh(SPRINGS)
    for sigma in LEVELS:
        smooth = Mixing("smooth", {1: 0.4**-2, 6: 0.4**-2})
        torch.testing.assert_close(one.target(smooth, sigma), one.score(sigma))
        modes = Mixing("modes", {1: 12.0, 6: 7.0}, (values, vectors))
        torch.testing.assert_close(chain.target(modes, sigma), chain.score(sigma))


def test_the_piecewise_rule_goes_over_at_its_threshold() -> None:
    levels, numbers = torch.tensor([0.1, 0.49, 0.51, 2.0]), torch.tensor([1, 6, 1, 6])
    mixing = Mixing("piecewise", {1: 2.0, 6: 6.0})  # mean B = 4
    assert mixing.share(levels, numbers).tolist() == [1, 1, 0, 0]
    later = Mixing("piecewise", {1: 2.0, 6: 6.0}, threshold=3.0)
    assert later.share(levels, numbers).tolist() == [1, 1, 1, 0]


# Of biased data, by quadrature: two wells of equal shares, 14 kT between them, and 90 : 10 in the data

GRID = torch.linspace(-2.5, 2.5, 2001)
WELL = -14 * (GRID.square() - 1).square()
FORCE = -56 * GRID * (GRID.square() - 1)
TRUE = WELL.softmax(dim=0)
BIASED = TRUE * torch.where(GRID < 0, 1.8, 0.2)


def optimum(rule: Rule, data: Tensor, sigma: float, x: Tensor, *, force: Tensor = FORCE) -> Tensor:
    """E[g_K | x_t] over data that are spread over the grid so."""
    noise = (x[:, None] - GRID) / sigma
    posterior = (data.log() - 0.5 * noise.square()).softmax(dim=1)
    mixing = Mixing(rule, {1: float((data * force.square()).sum())})
    flat = (noise.reshape(-1, 1), force.expand_as(noise).reshape(-1, 1))
    levels = torch.full((noise.numel(),), sigma)
    target = mixing.target(*flat, levels, torch.ones(noise.numel(), dtype=torch.int64))
    return (posterior * target.reshape(noise.shape)).sum(dim=1)


def miss(rule: Rule, sigma: float, other: Rule, data: Tensor) -> float:
    """Of the optimum on biased data against that of other data, relative, over the true noised law."""
    x = torch.linspace(-2.5 - 4 * sigma, 2.5 + 4 * sigma, 401)
    weight = (TRUE * (-0.5 * ((x[:, None] - GRID) / sigma).square()).exp()).sum(dim=1)
    found, expected = optimum(rule, BIASED, sigma, x), optimum(other, data, sigma, x)
    norm = lambda values: float((weight * values.square()).sum())  # noqa: E731
    return math.sqrt(norm(found - expected) / norm(expected))


@pytest.mark.parametrize("sigma", [0.02, 0.1, 0.5, 1.0, 2.0, 4.0])
def test_forces_do_not_mend_the_shares_of_basins(sigma: float) -> None:
    on_right_data = miss("denoising", sigma, "potential", TRUE)  # both are the true score
    assert on_right_data == pytest.approx(miss("denoising", sigma, "denoising", TRUE))
    for rule in ("smooth", "piecewise", "potential"):
        assert miss(rule, sigma, "denoising", BIASED) < 2e-3  # a kink at the barrier
        off = miss(rule, sigma, "denoising", TRUE)
        assert off < 2e-3 if sigma <= 0.1 else off > 0.15


def test_forces_mend_the_shape_of_basins() -> None:
    """Normal data of variance c, with the forces of a law of variance b: exact optima."""
    b, c, x = 0.16, 0.09, torch.linspace(-0.8, 0.8, 41)
    data, force = (-0.5 * GRID.square() / c).softmax(dim=0), -GRID / b
    for sigma in (0.02, 0.1, 0.4, 1.0):
        denoising = optimum("denoising", data, sigma, x, force=force)
        torch.testing.assert_close(denoising, -x / (c + sigma**2))
        potential = optimum("potential", data, sigma, x, force=force)
        torch.testing.assert_close(potential, -x / b * c / (c + sigma**2))
        stiff = c / b**2  # mean square of βF over the data
        k = 1 / (1 + sigma**2 * stiff)
        smooth = optimum("smooth", data, sigma, x, force=force)
        torch.testing.assert_close(smooth, denoising + k * (potential - denoising))
        if sigma == 0.02:  # the score of the forces' law, not that of the data
            torch.testing.assert_close(smooth, -x / b, rtol=0.01, atol=1e-12)


# Modes, elements, errors


def turn(generator: torch.Generator) -> Tensor:
    return torch.linalg.qr(torch.randn(3, 3, generator=generator)).Q


def test_modes_commute_with_rotations(generator: torch.Generator) -> None:
    forces = torch.randn(50, 4, 3, generator=generator) * torch.tensor([1.0, 3.0, 0.5])
    weights, rotation = torch.rand(50, generator=generator), turn(generator)
    values, vectors = modes_of(forces, weights)
    turned, same = modes_of(forces @ rotation, weights)
    torch.testing.assert_close(turned, values)
    assert bool((values.diff() > 1e-3).all())  # or vectors are not defined
    torch.testing.assert_close((same * vectors).sum(dim=0).abs(), torch.ones(4))
    # by hand: the weighted mean of F_i · F_j / 3
    expected = torch.einsum("m,mid,mjd->ij", weights, forces, forces) / weights.sum() / 3
    torch.testing.assert_close(vectors * values @ vectors.T, expected)
    mixing = Mixing("modes", {1: 1.0}, (values, vectors))
    noise = torch.randn(8, 3, generator=generator)
    sigma, numbers = torch.tensor([0.3, 1.0]).repeat_interleave(4), torch.ones(8).long()
    found = mixing.target(noise, forces[:2].flatten(0, 1), sigma, numbers)
    also = mixing.target(noise @ rotation, forces[:2].flatten(0, 1) @ rotation, sigma, numbers)
    torch.testing.assert_close(also, found @ rotation)


def batch_of(
    x: Tensor, forces: Tensor, numbers: Tensor, weights: Tensor | None = None
) -> ScoreBatch:
    system = Particles(numbers, dimension=x.shape[2])
    weights = torch.ones(len(x)) if weights is None else weights
    frames = zip(x, forces, weights.tolist(), strict=True)
    return ScoreBatch.collate([ScoreFrame(system, *f) for f in frames], dtype=torch.float64)


def test_modes_of_like_particles_are_the_smooth_rule(generator: torch.Generator) -> None:
    """Whose forces have nothing in common but a sum of zero."""
    n, numbers = 4, torch.ones(4).long()
    forces = 3 * (torch.eye(n) - 1 / n)[:, :, None].expand(n, n, 2)  # on one particle at a time
    stiffness = stiffness_of(batch_of(forces, forces, numbers))
    noise = torch.randn(n, 2, generator=generator)
    noise = noise - noise.mean(dim=0)
    for sigma in LEVELS:
        arguments = (noise, forces[0], torch.full((n,), sigma), numbers)
        smooth = Mixing("smooth", stiffness).target(*arguments)
        modes = Mixing("modes", stiffness, modes_of(forces, torch.ones(n))).target(*arguments)
        torch.testing.assert_close(modes, smooth)


def test_stiffness_is_a_weighted_mean_for_each_element() -> None:
    """Per degree of freedom: centred normal data of variance c have B = 1/c."""
    n, c, numbers = 2000, 0.3, torch.tensor([1, 1, 8, 1, 8])
    x = MeanFree(5, 2).normal(Streams.of(seed=1, chains=n), "x") * math.sqrt(c)
    found = stiffness_of(batch_of(x, -x / c, numbers))
    assert set(found) == {1, 8}
    for z, value in found.items():
        each = (x[:, numbers == z] / c).square().mean(dim=(1, 2)) * 5 / 4
        assert value == pytest.approx(float(each.mean()))
        assert within(each, 1 / c)
    part = stiffness_of(batch_of(x, -x / c, numbers, 7.0 * (torch.arange(n) < 100)))
    assert part == pytest.approx(stiffness_of(batch_of(x[:100], -x[:100] / c, numbers)))


def test_what_cannot_be() -> None:
    modes = (torch.ones(2), torch.eye(2))
    with pytest.raises(InputError, match="the rule 'modes' without modes"):
        Mixing("modes", {1: 1.0})
    for rule in RULES:
        if rule != "modes":
            with pytest.raises(InputError, match=f"the rule '{rule}' with modes"):
                Mixing(rule, {1: 1.0}, modes)


# The loss

SPACE = MeanFree(4, 2)
SHARES, WIDTHS = torch.tensor([0.4, 0.6]), torch.tensor([0.05, 0.5])  # of two normal laws in one


def scale_mixture(n: int) -> tuple[Tensor, Tensor]:
    """Draws and forces: like particles, and not normal."""
    streams = Streams.of(seed=8, chains=n)
    width = WIDTHS[streams.choice("width", SHARES.tolist())]
    x = SPACE.normal(streams, "x") * width.sqrt()[:, None, None]
    square = x.square().sum(dim=(1, 2))[:, None]
    terms = SHARES.log() - 0.5 * square / WIDTHS - 0.5 * SPACE.dimension * WIDTHS.log()
    return x, -x * (terms.softmax(dim=1) / WIDTHS).sum(dim=1)[:, None, None]


def learner(rule: Rule, *, trained: bool, frames: int = 1000):
    """A model, frames and a mixture."""
    x, forces = scale_mixture(frames)
    batch = batch_of(x, forces, torch.ones(4).long())
    stiffness = stiffness_of(batch)
    modes = modes_of(forces, torch.ones(frames)) if rule == "modes" else None
    mixing = Mixing(rule, stiffness, modes)
    torch.manual_seed(3)
    model = ScoreModel(
        ScoreModelConfig(
            stiffness=stiffness, spread=float(SHARES @ WIDTHS), low=0.02, high=4.0,
            channels=8, vectors=4, layers=2, n_radial=8,
        )
    )  # fmt: skip
    if not trained:
        torch.nn.init.zeros_(model.readout.weight)
    return model, batch, mixing


@rules
def test_the_loss_of_a_network_that_knows_nothing(rule: Rule, generator: torch.Generator) -> None:
    """It is the score of a normal law, so σ² times what the target's mean square has beyond that."""
    model, batch, mixing = learner(rule, trained=False)
    for sigma in (0.02, 0.1, 0.3, 1.0):
        levels = torch.full((batch.frames,), sigma)
        with torch.no_grad():
            error = squared_error(model, batch, mixing, levels, generator)
        normal = 1 / (model.config.spread + sigma**2)
        moment = mixing.second_moment(torch.tensor([sigma]), torch.tensor([1]))
        weight = min(sigma**2, 1 / float(moment))
        assert within(error, weight * (float(moment) - normal)), sigma
    with torch.no_grad():
        loss, parts = objective(model, batch, mixing, generator)
    assert 0 < float(loss) < 1.1
    assert set(parts) == {"low_noise", "high_noise"}
    assert min(map(float, parts.values())) < float(loss) < max(map(float, parts.values()))


@rules
def test_the_loss_reaches_every_weight_and_is_seeded(rule: Rule) -> None:
    model, batch, mixing = learner(rule, trained=True, frames=30)

    def seen(seed: int) -> float:
        model.zero_grad()
        loss, _ = objective(model, batch, mixing, torch.Generator().manual_seed(seed))
        loss.backward()
        return float(loss.detach())

    first, other, again = seen(1), seen(2), seen(1)
    assert first == again != other
    for name, weight in model.named_parameters():
        assert weight.grad is not None, name
        assert float(weight.grad.abs().max()) > 0, name


def test_weights_of_frames_count() -> None:
    model, batch, mixing = learner("smooth", trained=True, frames=6)
    single = lambda b: objective(model, b, mixing, torch.Generator().manual_seed(1))[0]  # noqa: E731
    half = {**vars(batch), "weight": torch.tensor([2.0, 2.0, 2.0, 0.0, 0.0, 0.0])}
    low, high = math.log(0.02), math.log(4.0)
    generator = torch.Generator().manual_seed(1)
    sigma = torch.exp(low + (high - low) * torch.rand(6, generator=generator))
    error = squared_error(model, batch, mixing, sigma, generator)
    torch.testing.assert_close(single(batch), error.mean())
    torch.testing.assert_close(single(ScoreBatch(**half)), error[:3].mean())
