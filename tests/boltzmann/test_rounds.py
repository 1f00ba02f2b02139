"""Rounds of paths: the same by any number of processes, in order, and from any of them on."""

from __future__ import annotations

import pickle
from contextlib import closing
from itertools import islice
from pathlib import Path

import pytest
import torch
from scorecases import SPREAD, generator, harmonic

from genmol.boltzmann import rounds as module
from genmol.boltzmann.rounds import POPULATIONS, populations, rounds
from genmol.boltzmann.weighted import Weighted, weighted_draws
from samplers.rng import Streams
from samplers.run import Budget
from samplers.sde import Paths
from samplers.target import Counted


def drawn(
    folder: Path, *, workers: int, wanted: float = 600.0, calls: int | None = None
) -> tuple[Weighted, str]:
    of = generator(steps=4, learnt=True)
    target, _ = harmonic(of, SPREAD)
    folder.mkdir(exist_ok=True)
    return weighted_draws(
        of, Counted.of(target), seed=3, effective=lambda found: found.share * len(found.x),
        wanted=wanted, budget=Budget(calls=calls), folder=folder, identity="a", hopeless=None,
        workers=workers,
    )  # fmt: skip


def made(*, first: int, count: int) -> list[Paths]:
    with closing(rounds(generator(steps=3, learnt=True), seed=1, first=first)) as found:
        return list(islice(found, count))


def test_a_generator_goes_to_other_processes_as_it_is() -> None:
    of = generator(steps=3, learnt=True)
    again = pickle.loads(pickle.dumps(of))
    assert again.identity == of.identity
    streams = Streams.of(seed=1, chains=5)
    assert torch.equal(again.draw(streams).x, of.draw(streams).x)


def test_chains_are_numbered() -> None:
    first, second = made(first=0, count=2)
    (later,) = made(first=1, count=1)
    assert torch.equal(second.x, later.x)
    assert second.weight is not None
    assert later.weight is not None
    assert torch.equal(second.weight.log_weight, later.weight.log_weight)
    assert len(first.x) == len(populations()) == 512
    assert populations().bincount().tolist() == [32] * POPULATIONS
    assert not torch.equal(first.x, second.x)


def test_draws_do_not_depend_on_the_number_of_processes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_EACH", 8)
    alone, ended = drawn(tmp_path / "alone", workers=1)
    assert len(alone.x) >= 5 * 128  # several rounds
    shared, other = drawn(tmp_path / "shared", workers=2)
    assert other == ended == "effective"
    # killed after two rounds, and gone on with by more processes
    part, stopped = drawn(tmp_path / "killed", workers=1, calls=200)
    assert stopped == "calls"
    assert len(part.x) == 2 * 128
    resumed, _ = drawn(tmp_path / "killed", workers=2)
    for found in (shared, resumed):
        for name in ("x", "log_density", "log_weights", "run"):
            assert torch.equal(getattr(found, name), getattr(alone, name))
        assert found.energies == alone.energies
    # what was made ahead is not kept
    files = {path.name for path in (tmp_path / "alone").iterdir()}
    assert {path.name for path in (tmp_path / "shared").iterdir()} == files
