"""Draws of a law stay what they are under its moves; others show themselves."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from genmol.boltzmann.draws import Draws
from genmol.boltzmann.findings import Finding
from genmol.boltzmann.identities import evaluated
from genmol.boltzmann.invariance import Continuation, check_invariance, chosen_to_move
from samplers.moves import MetropolisHastings, RandomWalk
from samplers.rng import Streams
from samplers.spaces import Euclidean
from samplers.target import Density, Target
from samplers.wells import DoubleWell

DIMENSION = 24
HARMONIC = Density(lambda x: -0.5 * x.square().sum(dim=1), Euclidean(DIMENSION))


def moved(
    target: Target,
    x: Tensor,
    *,
    weights: Tensor | None = None,
    settings: Continuation,
    seed: int = 0,
) -> dict[str, Finding]:
    draws = Draws.of(len(x), runs=np.arange(len(x)), weights=weights)
    found = evaluated(target, draws, x)
    findings = check_invariance(
        found,
        target,
        Streams.of(seed=seed, chains=1),
        settings,
        index=chosen_to_move(found, settings),
        local=lambda y: {"first": y[:, 0], "constant": torch.ones(len(y))},
        states=lambda y: {"right": (y[:, 0] > 0).double()},
    )
    return {f.check.name.split(" ")[0]: f for f in findings}


def test_a_harmonic_law_and_a_temperature(rng: np.random.Generator) -> None:
    settings = Continuation(most=400, moves=24, leaps=5)
    x = torch.tensor(rng.normal(size=(500, DIMENSION)))
    right = moved(HARMONIC, x, settings=settings)
    assert set(right) == {"energy", "local", "states"}
    assert {f.check.status for f in right.values()} == {"pass"}
    # 20 % of temperature change ⟨U⟩ by 2.4 kT; noise √(2 · 12)/√400 = 0.24 kT, less as x' is averaged
    hot = moved(HARMONIC, math.sqrt(1.2) * x, settings=settings)
    assert hot["energy"].check.status == "fail"
    assert hot["energy"].part == "local"
    assert abs(hot["energy"].detail["estimate"] + 2.4) < 4 * 1.2 * 0.24
    assert hot["energy"].detail["draws"] == 400
    # as the docstring has it: (4.57/0.05)² · 2/C with C = 12, and down to half as x' is averaged
    expected = (4.572 / 0.05) ** 2 * 2 / 12
    assert 0.4 * expected < right["energy"].detail["draws_needed"] < 1.2 * expected
    # the same draws with the weights of the right temperature
    weights = torch.exp(-0.5 * 1.2 * x.square().sum(dim=1) * (1 - 1 / 1.2))
    assert moved(HARMONIC, math.sqrt(1.2) * x, weights=weights, settings=settings)[
        "energy"
    ].check.status == "pass"  # fmt: skip


def test_a_missing_state_fills_up(rng: np.random.Generator) -> None:
    target = DoubleWell(quadratic=2.0, linear=0.0)  # a barrier of 1 kT
    grid = torch.linspace(-3, 3, 4001)
    p = target.log_density(grid[:, None]).softmax(dim=0).numpy()
    x = torch.tensor(rng.choice(grid.numpy(), p=p, size=600))[:, None]
    settings = Continuation(most=500, moves=20, leaps=5)
    assert moved(target, x, settings=settings)["states"].check.status == "pass"
    one_sided = moved(target, x[x[:, 0] < 0], settings=settings)
    assert one_sided["states"].check.status == "fail"
    assert one_sided["states"].part == "weights"


def test_a_kernel_of_ones_own() -> None:
    x = HARMONIC.space.normal(Streams.of(seed=3, chains=300), "x")
    settings = Continuation(most=200, moves=10, kernel=MetropolisHastings(RandomWalk(0.3)))
    assert moved(HARMONIC, x, settings=settings)["energy"].check.status == "pass"
    assert moved(HARMONIC, 1.3 * x, settings=settings)["energy"].check.status == "fail"


def test_budget() -> None:
    full = Continuation.within(10**7)
    assert (full.most, full.moves) == (1000, 40)
    small = Continuation.within(20_000)
    assert small.most * small.moves * small.leaps <= 20_000
    assert small.most >= 200
    tiny = Continuation.within(500)
    assert tiny.most * tiny.moves * tiny.leaps <= 500


def test_too_few_draws() -> None:
    x = torch.zeros(20, DIMENSION)
    assert moved(HARMONIC, x, settings=Continuation())["invariance:"].check.status == "warn"
