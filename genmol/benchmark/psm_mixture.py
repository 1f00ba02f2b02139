r"""Error of a score against the exact one, by noise level and rule: a mixture in the plane.

Noised, a mixture is a mixture (:mod:`samplers.mixtures`), so the true score at every σ is known. A small
network is trained by each rule of :mod:`genmol.boltzmann.psm` on the same 1000 points with forces, from
the same first weights and for the same steps, with the normal law taken off as in
:mod:`genmol.boltzmann.score_model`:

.. math:: s(x, \sigma) = -\frac{x}{v + \sigma^2} + c(\sigma) f(x, \log \sigma).

The components are narrow in one direction, which is about the same for all of them, and wide in the other
one. Coordinates are handed to the rules as particles of one dimension: ``modes`` then has the matrix B of
the plane, ``smooth`` its mean. The error is :math:`\mathbb E|s - \nabla \log p_\sigma|^2` over
:math:`\mathbb E|\nabla \log p_\sigma|^2`, at fresh points.
"""

from __future__ import annotations

import math
from typing import Any, Final

import torch
from jaxtyping import Float
from torch import Tensor, nn

from genmol.boltzmann.psm import Mixing, modes_of
from genmol.boltzmann.rules import Rule
from samplers.mixtures import GaussianMixture
from samplers.rng import Streams

__all__ = ["LEVELS", "MIXED", "mixture", "mixture_row"]

MIXED: Final[tuple[Rule, ...]] = ("smooth", "modes", "piecewise", "denoising")
LEVELS: Final = 10
_FRAMES, _TESTS = 1000, 4000
_BATCH, _WIDTH, _TIMES = 256, 64, 8
_RATE, _AVERAGE = 3e-3, 0.995
_LOWEST, _HIGHEST = 0.1, 5.0  # as in genmol.train.score
_LEAST = 1e-3


def mixture() -> GaussianMixture:
    """Three components with their mean at the origin."""
    means = torch.tensor([[-1.2, 0.3], [1.5, 0.5], [0.75, -1.5]], dtype=torch.float64)
    turns = torch.tensor([0.4, 0.6, 0.5], dtype=torch.float64)
    axes = torch.stack([turns.cos(), turns.sin(), -turns.sin(), turns.cos()], dim=1)
    axes = axes.reshape(3, 2, 2)
    widths = torch.tensor([[0.5, 0.06], [0.4, 0.08], [0.3, 0.06]], dtype=torch.float64)
    covariances = torch.einsum("kia,ki,kib->kab", axes, widths.square(), axes)
    return GaussianMixture(torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64), means, covariances)


class _Score(nn.Module):
    """The network of the module's text."""

    def __init__(self, stiffness: float, spread: float) -> None:
        super().__init__()
        self.b, self.v = stiffness, spread
        self.low, self.high = _LOWEST / math.sqrt(stiffness), _HIGHEST * math.sqrt(spread)
        self.centres = torch.linspace(math.log(self.low), math.log(self.high), _TIMES)
        self.body = nn.Sequential(
            nn.Linear(4 + _TIMES, _WIDTH), nn.SiLU(), nn.Linear(_WIDTH, _WIDTH), nn.SiLU(),
            nn.Linear(_WIDTH, _WIDTH), nn.SiLU(), nn.Linear(_WIDTH, 2),
        )  # fmt: skip

    def forward(self, x: Tensor, sigma: Tensor) -> Tensor:
        total = self.v + sigma.square()
        width = self.centres[1] - self.centres[0]
        times = torch.exp(-0.5 * ((sigma.log()[:, None] - self.centres) / width) ** 2)
        rest = self.body(torch.cat([x, x / total.sqrt()[:, None], times], dim=1))
        square = self.b / (1 + sigma.square() * self.b) - 1 / total
        c = torch.maximum(square, _LEAST**2 / total).sqrt()
        return c[:, None] * rest - x / total[:, None]


def mixture_row(seed: int, *, steps: int, rules: tuple[Rule, ...] = MIXED) -> dict[str, Any]:
    """Errors of every rule at every level.

    Args:
        seed: of points, weights and noise.
        steps: of each training.
        rules: to train by.
    """
    law = mixture()
    x = law.draw(Streams.of(seed=seed, chains=_FRAMES).fold("frames"))
    forces = law.evaluate(x).gradient
    b = float(forces.square().mean())
    v = float(x.square().mean())
    levels = torch.logspace(
        math.log10(_LOWEST / math.sqrt(b)), math.log10(_HIGHEST * math.sqrt(v)), LEVELS
    )
    row: dict[str, Any] = {"steps": steps, "levels": levels.tolist(), "errors": {}}
    for rule in rules:
        modes = None
        if rule == "modes":
            modes = modes_of(forces[:, :, None], torch.ones(len(x), dtype=torch.float64))
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            model = _Score(b, v)
        score = _fitted(model, x.float(), forces.float(), Mixing(rule, {1: b}, modes), steps, seed)
        row["errors"][rule] = [_error(score, law, float(s), seed) for s in levels]
    return row


def _fitted(
    model: _Score,
    x: Float[Tensor, "m 2"],
    forces: Float[Tensor, "m 2"],
    mixing: Mixing,
    steps: int,
    seed: int,
) -> _Score:
    """By Adam along a cosine; the average of the weights."""
    generator = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.Adam(model.parameters(), lr=_RATE)
    numbers = torch.ones(2 * _BATCH, dtype=torch.int64)
    average = [p.detach().clone() for p in model.parameters()]
    for step in range(steps):
        optimizer.param_groups[0]["lr"] = _RATE * (0.51 + 0.49 * math.cos(math.pi * step / steps))
        rows = torch.randint(len(x), (_BATCH,), generator=generator)
        share = torch.rand(_BATCH, generator=generator)
        sigma = torch.exp(math.log(model.low) + share * math.log(model.high / model.low))
        noise = torch.randn(_BATCH, 2, generator=generator)
        each = sigma.repeat_interleave(2)
        target = mixing.target(
            noise.reshape(-1, 1), forces[rows].reshape(-1, 1), each, numbers
        ).reshape(-1, 2)
        normal = 1 / (model.v + sigma.square())
        moment = mixing.second_moment(each, numbers)[::2]
        unit = (moment - normal).clamp_min(1e-4 * normal)
        found = model(x[rows] + sigma[:, None] * noise, sigma)
        loss = ((found - target).square().sum(dim=1) / unit).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        decay = min(_AVERAGE, (1 + step) / (10 + step))
        for mean, p in zip(average, model.parameters(), strict=True):
            mean.lerp_(p.detach(), 1 - decay)
    with torch.no_grad():
        for mean, p in zip(average, model.parameters(), strict=True):
            p.copy_(mean)
    return model


@torch.no_grad()
def _error(score: _Score, law: GaussianMixture, sigma: float, seed: int) -> float:
    """Relative mean square at fresh points."""
    streams = Streams.of(seed=seed, chains=_TESTS).fold("tests")
    noised = law.noised(1.0, sigma)
    x = noised.draw(streams)
    exact = noised.evaluate(x).gradient
    found = score(x.float(), torch.full((_TESTS,), sigma)).double()
    return float((found - exact).square().sum() / exact.square().sum())
