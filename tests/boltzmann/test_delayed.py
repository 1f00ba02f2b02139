"""Delayed acceptance: exact whatever the cheap potential is; lessons; counts; killed and resumed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from chaincases import (
    CHEAP,
    FOUR,
    MOVES,
    OTHER,
    TRIOXIDE,
    Chain,
    Failing,
    KilledError,
    Killer,
    same_sign,
    share,
    trioxide,
    worth,
)

from genmol.boltzmann import production
from genmol.boltzmann.delayed import DelayedSettings, sample_delayed
from genmol.boltzmann.settings import Settings
from genmol.boltzmann.sweep import Moves
from genmol.core.errors import InputError
from samplers.run import Budget

QUICK = DelayedSettings(runs=32, sweeps=1, lessons=(), burn_in=4, moves=MOVES, cheap=CHEAP)


@pytest.fixture(autouse=True)
def early(monkeypatch: pytest.MonkeyPatch) -> None:
    """A first look at ten draws rather than forty."""
    monkeypatch.setattr(production, "_FIRST_LOOK", 10)


def test_exact_with_a_cheap_potential_that_is_wrong() -> None:
    p, wrong = (share(TRIOXIDE, v, same_sign) for v in (FOUR, OTHER))
    assert wrong - p > 0.3
    problem = trioxide()
    cheap = Failing(Chain(TRIOXIDE, OTHER, shift=0.005), 10**9)  # which counts
    found = sample_delayed(
        problem, cheap, seed=1, settings=QUICK,
        budget=Budget(effective=80.0),
    )  # fmt: skip
    assert found.stopped == "effective"
    assert abs(worth(found.positions, p, found.n_effective)) < 4.5
    assert worth(found.positions, wrong, found.n_effective) < -4.5
    # the expensive potential was asked once a decision
    made = problem.forgiving.calls
    assert (found.energy_calls, found.gradient_calls) == (made.energies, made.gradients)
    assert found.calls["sampling"].gradients == found.count
    assert found.calls["burn-in"].gradients == 32 * (1 + 4)
    assert set(found.calls_of) == {"chain"}
    assert sum(c.energies + c.gradients for c in found.calls_of.values()) == 10**9 - cheap.left
    assert found.replicas is not None
    assert 0.1 < found.replicas.acceptances["decision"][0] < 0.9


def test_lessons_make_decisions_agree() -> None:
    """A difference that the terms have is learnt: nearly everything is accepted."""
    settings = replace(QUICK, runs=8, burn_in=2, cheap=replace(CHEAP, replicas=1))
    cheap = Chain(TRIOXIDE, replace(FOUR, a=0.03, c=0.0), shift=0.02)
    rates = {}
    for lessons in ((), (32,)):
        found = sample_delayed(
            trioxide(), cheap, seed=1, settings=replace(settings, lessons=lessons),
            budget=Budget(calls=150),
        )  # fmt: skip
        assert found.replicas is not None
        rates[lessons] = found.replicas.acceptances["decision"][0]
        assert found.calls["lessons"].gradients == sum(lessons)
        errors = found.notes["error at unseen frames (kT)"]
        assert len(errors) == len(lessons)
    assert errors[0] > 0.3
    assert rates[(32,)] > max(0.85, rates[()] + 0.1)
    assert set(found.calls_of) == {"chain", "chain, corrected"}


def test_killed_and_resumed_is_the_same_to_the_last_bit(tmp_path: Path) -> None:
    moves = Moves(leaps=2, step_size=0.03, darts=0)
    few = Settings(runs=4, replicas=1, tuning=0, burn_in=3, most=4 * 10, moves=moves)
    settings = DelayedSettings(
        runs=4, sweeps=1, lessons=(16,), burn_in=1, most=4 * 11, moves=moves, cheap=few
    )
    cheap = Chain(TRIOXIDE, OTHER)
    whole = sample_delayed(trioxide(), cheap, seed=3, settings=settings, folder=tmp_path / "whole")
    parts = tmp_path / "parts"
    for stage, step in (("cheap burn-in", 2), ("cheap sampling", 14), ("sampling", 5)):
        with pytest.raises(KilledError):
            sample_delayed(
                trioxide(), cheap, seed=3, settings=settings, folder=parts,
                progress=Killer(stage, step),
            )  # fmt: skip
    found = sample_delayed(trioxide(), cheap, seed=3, settings=settings, folder=parts)
    assert found.positions.numpy().tobytes() == whole.positions.numpy().tobytes()
    assert found.energies.numpy().tobytes() == whole.energies.numpy().tobytes()
    for name in ("calls", "calls_of", "failures", "n_effective", "replicas", "notes"):
        assert getattr(found, name) == getattr(whole, name)
    with pytest.raises(InputError, match="checkpoints of other work"):
        sample_delayed(trioxide(temperature=320.0), cheap, seed=3, settings=settings, folder=parts)


def test_bad_settings() -> None:
    with pytest.raises(InputError, match="frames in every lesson"):
        DelayedSettings(lessons=(0,))
