"""Parallel tempering of a molecule whose populations are known; killed, resumed, and out of budget."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from chaincases import (
    FOUR,
    TRIOXIDE,
    Chain,
    Failing,
    KilledError,
    Killer,
    angles,
    exact,
    same_sign,
    share,
    trioxide,
    worth,
)

from genmol.boltzmann import production
from genmol.boltzmann.engine import sample
from genmol.boltzmann.ensemble import Ensemble
from genmol.boltzmann.problem import Problem
from genmol.boltzmann.settings import Settings
from genmol.boltzmann.sweep import Moves
from genmol.chem.identity import same_molecule
from genmol.core.errors import DeliveryError, InputError
from samplers.run import Budget

MOVES = Moves(leaps=4, step_size=0.03, darts=1)
SHORT = Settings(runs=4, replicas=2, tuning=4, burn_in=4, most=4 * 13, moves=MOVES)


@pytest.fixture(autouse=True, scope="module")
def early() -> Iterator[None]:
    """A first look at ten draws rather than forty."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(production, "_FIRST_LOOK", 10)
        yield


@pytest.fixture(scope="module")
def sampled() -> tuple[Problem, Ensemble]:
    problem = trioxide()
    settings = Settings(runs=24, tuning=10, burn_in=12, moves=MOVES)
    return problem, sample(problem, seed=1, settings=settings, budget=Budget(effective=200.0))


def test_populations_are_the_exact_ones(sampled: tuple[Problem, Ensemble]) -> None:
    _, found = sampled
    assert found.stopped == "effective"
    assert found.n_effective >= 200
    p = share(TRIOXIDE, FOUR, same_sign)
    assert abs(worth(found.positions, p, found.n_effective)) < 4.5
    phi = angles(TRIOXIDE, found.positions)
    for what in (lambda a: a.cos().mean(dim=1), lambda a: (2 * a).cos().mean(dim=1)):
        values = what(phi)
        sigma = float(values.std()) / math.sqrt(found.n_effective)
        assert float(values.mean()) == pytest.approx(share(TRIOXIDE, FOUR, what), abs=4.5 * sigma)


def test_energies_are_those_of_exact_draws(
    sampled: tuple[Problem, Ensemble], rng: np.random.Generator
) -> None:
    problem, found = sampled
    target = trioxide().target()
    expected = -target.log_density(exact(TRIOXIDE, FOUR, 4000, rng)) * target.kT
    sigma = float(expected.std()) * math.sqrt(1 / found.n_effective + 1 / 4000)
    assert float(found.energies.mean()) == pytest.approx(float(expected.mean()), abs=4.5 * sigma)
    again = -target.log_density(found.positions) * target.kT
    torch.testing.assert_close(found.energies, again)
    assert found.temperature == problem.temperature


def test_the_record(sampled: tuple[Problem, Ensemble]) -> None:
    problem, found = sampled
    made = problem.forgiving.calls
    assert (found.energy_calls, found.gradient_calls) == (made.energies, made.gradients)
    assert sum(found.failures.values()) == made.failures
    assert found.method == "parallel tempering"
    assert found.runs == 24
    assert torch.equal(found.run, torch.arange(24).repeat_interleave(found.count // 24))
    assert float(found.weights.sum()) == pytest.approx(1)
    assert found.kish == pytest.approx(found.count)
    how = found.replicas
    assert how is not None
    np.testing.assert_allclose((how.temperatures[0], how.temperatures[-1]), (1000, 300))
    assert len(how.swap_rates) == len(how.temperatures) - 1
    assert all(0.05 < rate < 1 for rate in how.swap_rates)
    assert how.step_sizes[0] > how.step_sizes[-1]  # hot wells are wider
    assert set(how.acceptances) == {"renumbering", "dart", "jump", "HMC"}
    assert sum(how.round_trips) > 0


def test_killed_and_resumed_is_the_same_to_the_last_bit(tmp_path: Path) -> None:
    whole = sample(trioxide(), seed=2, settings=SHORT, folder=tmp_path / "whole")
    parts = tmp_path / "parts"
    for stage, step in (("tuning", 3), ("burn-in", 2), ("sampling", 4), ("sampling", 8)):
        with pytest.raises(KilledError):
            sample(trioxide(), seed=2, settings=SHORT, folder=parts, progress=Killer(stage, step))
    found = sample(trioxide(), seed=2, settings=SHORT, folder=parts)
    assert found.positions.numpy().tobytes() == whole.positions.numpy().tobytes()
    assert found.energies.numpy().tobytes() == whole.energies.numpy().tobytes()
    for name in (
        "calls",
        "failures",
        "n_effective",
        "limited_by",
        "stopped",
        "replicas",
        "refused",
    ):
        assert getattr(found, name) == getattr(whole, name)
    # once more: nothing is left to do
    problem = trioxide()
    again = sample(problem, seed=2, settings=SHORT, folder=parts)
    assert torch.equal(again.positions, whole.positions)
    assert problem.forgiving.calls.gradients == 0
    assert again.calls == whole.calls
    with pytest.raises(InputError, match="checkpoints of other work"):
        sample(trioxide(temperature=310.0), seed=2, settings=SHORT, folder=parts)


def test_a_budget_of_calls_holds_for_everything() -> None:
    settings = Settings(runs=4, replicas=2, tuning=4, burn_in=4, moves=MOVES)
    found = sample(trioxide(), seed=2, settings=settings, budget=Budget(calls=1100))
    assert found.stopped == "calls"
    one_sweep = 8 * (4 + 2)
    assert 1100 <= found.energy_calls + found.gradient_calls <= 1100 + one_sweep
    with pytest.raises(DeliveryError, match="a budget that ended in the burn-in"):
        sample(trioxide(), seed=2, settings=settings, budget=Budget(calls=60))


def test_a_budget_of_seconds() -> None:
    settings = Settings(runs=2, replicas=1, tuning=0, burn_in=0, moves=MOVES)
    found = sample(trioxide(), seed=2, settings=settings, budget=Budget(seconds=0.4))
    assert found.stopped == "seconds"
    assert found.seconds >= 0.4
    assert found.method == "Hamiltonian Monte Carlo"
    assert found.replicas is not None
    assert found.replicas.swap_rates == ()


def test_a_potential_that_gives_up_leaves_its_draws(tmp_path: Path) -> None:
    settings = Settings(runs=4, replicas=1, tuning=0, burn_in=3, most=4 * 16, moves=MOVES)
    whole = sample(trioxide(), seed=2, settings=settings)
    potential = Failing(Chain(TRIOXIDE, FOUR), 24 * 11)
    found = sample(trioxide(potential=potential), seed=2, settings=settings, folder=tmp_path)
    assert found.stopped == "potential"
    assert "out of order" in found.trouble
    kept = found.count // 4
    assert 4 < kept < 11
    # those that the healthy run has as well
    expected = whole.positions.reshape(4, 16, 5, 3)[:, : kept - 1]
    assert torch.equal(found.positions.reshape(4, kept, 5, 3)[:, : kept - 1], expected)
    # mended, it goes on from there
    more = sample(trioxide(), seed=2, settings=settings, folder=tmp_path)
    assert more.stopped == "draws"
    assert more.count == whole.count


def test_a_potential_that_never_worked_ends_it() -> None:
    settings = Settings(runs=4, replicas=1, tuning=0, burn_in=5, moves=MOVES)
    potential = Failing(Chain(TRIOXIDE, FOUR), 10)
    with pytest.raises(DeliveryError, match="no draw before the potential gave up"):
        sample(trioxide(potential=potential), seed=2, settings=settings)


def test_confined_runs_stay_the_molecule() -> None:
    settings = Settings(runs=2, replicas=2, tuning=0, burn_in=3, most=2 * 10, moves=MOVES)
    problem = trioxide(confined=True)
    found = sample(problem, seed=2, settings=settings)
    assert same_molecule(problem.species, found.positions.numpy()).all()
    assert 0 <= found.refused < 0.5
