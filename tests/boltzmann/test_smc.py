"""Sequential Monte Carlo against exact populations and tempering; weights, budget, killed and resumed."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from chaincases import (
    FOUR,
    TRIOXIDE,
    KilledError,
    Killer,
    angles,
    exact,
    same_sign,
    share,
    trioxide,
)

from genmol.boltzmann.ensemble import Ensemble
from genmol.boltzmann.problem import Problem
from genmol.boltzmann.smc import SMCSettings, sample_smc
from genmol.boltzmann.sweep import Moves
from genmol.core.errors import InputError
from samplers.run import Budget

MOVES = Moves(leaps=4, step_size=0.03, darts=1)
SETTINGS = SMCSettings(
    particles=32, chains=8, hottest=700.0, burn_in=20, spacing=2, conditional=0.7, moves=MOVES
)
SHORT = SMCSettings(
    populations=2, particles=8, chains=4, hottest=500.0, burn_in=4, spacing=1, conditional=0.6,
    moves=MOVES,
)  # fmt: skip


@pytest.fixture(scope="module")
def cooled() -> tuple[Problem, Ensemble]:
    problem = trioxide()
    return problem, sample_smc(problem, seed=1, settings=SETTINGS)


def error(found: Ensemble, values: torch.Tensor) -> tuple[float, float]:
    """Weighted mean, and its standard error from the populations."""
    w = found.weights
    mean = float((w * values).sum())
    sums = torch.zeros(found.runs).index_add(0, found.run, w * (values - mean))
    return mean, math.sqrt(float(sums.square().sum()) * found.runs / (found.runs - 1))


def test_populations_are_the_exact_ones(cooled: tuple[Problem, Ensemble]) -> None:
    _, found = cooled
    phi = angles(TRIOXIDE, found.positions)
    for what in (same_sign, lambda a: a.cos().mean(dim=1), lambda a: (2 * a).cos().mean(dim=1)):
        mean, sigma = error(found, what(phi))
        least = float(what(phi).std()) / math.sqrt(found.count)
        # Student's t of 7 degrees: 6 of its standard errors are 4.5 of a normal law's
        assert mean == pytest.approx(share(TRIOXIDE, FOUR, what), abs=6 * max(sigma, least))


def test_energies_are_those_of_exact_draws(
    cooled: tuple[Problem, Ensemble], rng: np.random.Generator
) -> None:
    _, found = cooled
    target = trioxide().target()
    expected = -target.log_density(exact(TRIOXIDE, FOUR, 4000, rng)) * target.kT
    mean, sigma = error(found, found.energies)
    bound = 6 * math.hypot(max(sigma, float(expected.std()) / math.sqrt(found.count)), 5e-4)
    assert mean == pytest.approx(float(expected.mean()), abs=bound)
    torch.testing.assert_close(found.energies, -target.log_density(found.positions) * target.kT)


def test_the_record(cooled: tuple[Problem, Ensemble]) -> None:
    problem, found = cooled
    made = problem.forgiving.calls
    assert (found.energy_calls, found.gradient_calls) == (made.energies, made.gradients)
    assert sum(found.failures.values()) == made.failures
    assert (found.runs, found.count) == (8, 8 * 32)
    assert found.method == "sequential Monte Carlo"
    assert found.stopped == "draws"
    assert float(found.weights.sum()) == pytest.approx(1)
    assert found.n_effective <= found.kish + 1e-9 <= found.count + 1e-6
    assert all(1 < levels < 40 for levels in found.notes["levels"])
    assert all(1 <= f <= 32 for f in found.notes["surviving ancestors"])
    # a population weighs as much as its estimate of Z
    w = torch.zeros(8).index_add(0, found.run, found.weights).log()
    z = torch.tensor(found.notes["log_z"])
    torch.testing.assert_close(w - w[0], z - z[0])


def test_the_integral_is_that_of_the_chain(cooled: tuple[Problem, Ensemble]) -> None:
    """Log Z/Z₀ of cooling: 7 harmonic coordinates give (T/T₀)^{7/2}, torsions their quadrature."""
    problem, found = cooled
    hot = SETTINGS.hottest / problem.temperature
    zero = float(problem.start_energies.min())
    phi = torch.arange(360) * (2 * math.pi / 360) - math.pi
    v = torch.from_numpy(FOUR.value(torch.cartesian_prod(phi, phi).numpy())) - zero
    kt = problem.kT
    torsions = (-v / kt).logsumexp(0) - (-v / (hot * kt)).logsumexp(0)
    expected = float(torsions) - 3.5 * math.log(hot)
    z = torch.tensor(found.notes["log_z"])
    sigma = float(z.std()) / math.sqrt(8)
    # r² and sin θ change the harmonic integrals by some kT/k r²: 1 %
    assert float(z.mean()) == pytest.approx(expected, abs=6 * sigma + 0.5 * float(z.var()) + 0.03)


def test_killed_and_resumed_is_the_same_to_the_last_bit(tmp_path: Path) -> None:
    whole = sample_smc(trioxide(), seed=2, settings=SHORT, folder=tmp_path / "whole")
    parts = tmp_path / "parts"
    for stage, step in (("hot", 3), ("cooling", 1)):
        with pytest.raises(KilledError):
            sample_smc(
                trioxide(), seed=2, settings=SHORT, folder=parts, progress=Killer(stage, step)
            )
    found = sample_smc(trioxide(), seed=2, settings=SHORT, folder=parts)
    for name in ("positions", "energies", "log_weights"):
        one, other = getattr(found, name), getattr(whole, name)
        assert one.numpy().tobytes() == other.numpy().tobytes()
    for name in ("calls", "failures", "n_effective", "notes"):
        assert getattr(found, name) == getattr(whole, name)
    with pytest.raises(InputError, match="checkpoints of other work"):
        sample_smc(trioxide(temperature=320.0), seed=2, settings=SHORT, folder=parts)


def test_a_budget_ends_after_a_population() -> None:
    found = sample_smc(trioxide(), seed=2, settings=SHORT, budget=Budget(calls=1))
    assert found.runs == 1
    assert found.stopped == "calls or seconds"
    whole = sample_smc(trioxide(), seed=2, settings=SHORT)
    assert torch.equal(found.positions, whole.positions[whole.run == 0])


def test_bad_settings() -> None:
    with pytest.raises(InputError, match="a multiple of the chains"):
        SMCSettings(particles=10, chains=4)
    with pytest.raises(InputError, match="a hottest temperature of 500 K for 600 K"):
        sample_smc(trioxide(temperature=600.0), seed=2, settings=SHORT)
