"""A learnt difference: exact by weights, calls counted, killed and resumed; frames are spread."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from chaincases import (
    CHEAP,
    FOUR,
    MOVES,
    OTHER,
    TRIOXIDE,
    Chain,
    KilledError,
    Killer,
    angles,
    same_sign,
    share,
    trioxide,
)

from genmol.boltzmann import production
from genmol.boltzmann.delayed import DelayedSettings
from genmol.boltzmann.difference import DifferenceSettings, sample_difference, spread_order
from genmol.core.errors import InputError
from samplers.run import Budget

MIDDLE = DelayedSettings(runs=16, sweeps=1, lessons=(), burn_in=4, moves=MOVES, cheap=CHEAP)
QUICK = DifferenceSettings(lessons=(16, 16), weighted=40, effective=60.0, middle=MIDDLE)


@pytest.fixture(autouse=True)
def early(monkeypatch: pytest.MonkeyPatch) -> None:
    """A first look at ten draws rather than forty."""
    monkeypatch.setattr(production, "_FIRST_LOOK", 10)


def test_exact_where_lessons_teach_little() -> None:
    """Torsions of the wrong potential are learnt as far as the terms go; weights do the rest."""
    problem = trioxide()
    middle, cheap = Chain(TRIOXIDE, OTHER, shift=0.01), Chain(TRIOXIDE, OTHER, shift=0.02)
    found = sample_difference(
        problem, middle, cheap, seed=1, settings=QUICK, budget=Budget(effective=60.0)
    )
    p, wrong = (share(TRIOXIDE, v, same_sign) for v in (FOUR, OTHER))
    assert wrong - p > 0.3
    signs = same_sign(angles(TRIOXIDE, found.positions))
    value = float((found.weights * signs).sum())
    size = min(found.n_effective, found.kish)
    assert abs(value - p) < 4 * (p * (1 - p) / size) ** 0.5
    assert found.stopped in ("effective", "draws")
    # what the dear potential was asked is what was counted
    made = problem.forgiving.calls
    assert (found.energy_calls, found.gradient_calls) == (made.energies, made.gradients)
    assert found.calls["lessons"].gradients == 32
    assert (
        found.notes["weights"]["share"]
        > found.notes["weights straight from the middle potential"]["share"]
    )


def test_killed_and_resumed_is_the_same_to_the_last_bit(tmp_path: Path) -> None:
    middle, cheap = Chain(TRIOXIDE, OTHER, shift=0.01), Chain(TRIOXIDE, OTHER, shift=0.02)
    settings = replace(QUICK, weighted=16, effective=16.0)
    budget = Budget(calls=60)

    def once(folder: Path, **more: object) -> object:
        return sample_difference(
            trioxide(),
            middle,
            cheap,
            seed=3,
            settings=settings,
            budget=budget,
            folder=folder,
            **more,
        )  # type: ignore[arg-type]

    whole = once(tmp_path / "whole")
    for stage, step in (("lesson 1", 1), ("lesson 2", 1), ("weights", 1)):
        with pytest.raises(KilledError):
            once(tmp_path / "parts", progress=Killer(stage, step))
    found = once(tmp_path / "parts")
    for name in ("positions", "energies", "log_weights"):
        assert torch.equal(getattr(found, name), getattr(whole, name))
    for name in ("calls", "calls_of", "n_effective", "notes"):
        assert getattr(found, name) == getattr(whole, name)
    assert whole.stopped == "calls"
    assert whole.energy_calls + whole.gradient_calls == 60
    with pytest.raises(InputError, match="checkpoints of other work"):
        sample_difference(
            trioxide(temperature=320.0), middle, cheap, seed=3, settings=settings, budget=budget,
            folder=tmp_path / "parts",
        )  # fmt: skip


@pytest.mark.parametrize("count", [1, 7, 16, 40])
def test_first_frames_are_spread(count: int) -> None:
    generator = torch.Generator().manual_seed(0)
    labels = (torch.rand(40, generator=generator) < 0.3).long()
    energies = torch.rand(40, generator=generator, dtype=torch.float64)
    order = spread_order(labels, energies)
    assert order.sort().values.tolist() == list(range(40))
    found = float(labels[order[:count]].double().mean())
    # a radical inverse is off by the logarithm of the count at most
    assert abs(found - float(labels.double().mean())) <= (1 + (count).bit_length()) / count


def test_a_budget_is_shared_out() -> None:
    settings = DifferenceSettings()
    assert settings.within(None) == settings.within(500) == settings
    few = settings.within(100)
    assert sum(few.lessons) <= 60
    assert few.weighted == 33
    with pytest.raises(InputError, match="eight frames"):
        DifferenceSettings(lessons=())
