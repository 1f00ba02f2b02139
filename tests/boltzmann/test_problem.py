"""The problem: its density, where chains begin, which symmetry it has, and how it is told from others."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, final

import numpy as np
import pytest
import torch
from chaincases import FOUR, KT, TRIOXIDE, WELLS, Chain, Failing, angles, at, exact, trioxide
from torch import Tensor

from genmol.boltzmann.sweep import Moves
from genmol.core.errors import InputError
from genmol.core.graph import AtomicGraph
from genmol.potentials.contract import Answer, Potential
from genmol.potentials.domain import Domain


@final
class Handed(Potential):
    """A chain that likes one mirror image better, as no molecule without a field does."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = Chain(TRIOXIDE, FOUR)

    @property
    def name(self) -> str:
        return "handed"

    @property
    def level(self) -> Mapping[str, Any]:
        return self.inner.level

    @property
    def domain(self) -> Domain:
        return self.inner.domain

    def answer(self, graph: AtomicGraph, *, forces: bool) -> Answer:
        found = self.inner.answer(graph, forces=forces)
        phi = angles(TRIOXIDE, graph.positions.reshape(graph.n_graphs, -1, 3))
        return found._replace(energies=found.energies + 0.01 * phi.sin().sum(dim=1))


def test_the_density_is_that_of_the_energy(rng: np.random.Generator) -> None:
    problem = trioxide()
    x = exact(TRIOXIDE, FOUR, 5, rng)
    zero = problem.target(reference_energy=0.0).log_density(x)
    moved = problem.target(reference_energy=0.1).log_density(x)
    torch.testing.assert_close(moved - zero, torch.full((5,), 0.1 / KT))
    assert problem.kT == pytest.approx(0.025852, rel=1e-4)


def test_symmetry_is_used_where_the_potential_has_it() -> None:
    assert trioxide().group is not None
    handed = trioxide(potential=Handed(), starts=at(TRIOXIDE, WELLS[0]))
    assert handed.group is None
    assert "renumbering" not in handed.sweep(Moves(), dart=None).names


def test_calls_before_the_start_are_counted() -> None:
    problem = trioxide()
    assert problem.group is not None
    assert problem.dart is not None
    made = problem.forgiving.calls
    assert (problem.start_calls.energies, problem.start_calls.gradients) == (
        made.energies, made.gradients,
    )  # fmt: skip


def test_chains_begin_at_the_lowest_conformers_in_turn() -> None:
    problem = trioxide()
    x = problem.begin(5)
    assert float(x.mean(dim=1).abs().max()) < 1e-12
    order = problem.start_energies.argsort()
    lowest = FOUR.value(np.radians([[90.0, -90.0]]))[0]
    assert float(problem.start_energies[order[0]]) == pytest.approx(lowest, abs=1e-9)
    expected = problem.conformers[order[torch.tensor([0, 1, 0, 1, 0])]]
    assert torch.equal(x, expected)


def test_conformers_without_an_energy_are_left_out() -> None:
    starts = at(TRIOXIDE, *WELLS[:2])
    half = trioxide(potential=Failing(Chain(TRIOXIDE, FOUR), 1), starts=starts[:1])
    assert bool(half.start_energies.isfinite().all())
    none = trioxide(potential=Failing(Chain(TRIOXIDE, FOUR), 0))
    with pytest.raises(InputError, match="no energy from chain for any of 2 starting conformers"):
        _ = none.start_energies


@pytest.mark.parametrize(
    ("starts", "message"),
    [
        (torch.zeros(0, 5, 3), "starting conformers of shape"),
        (torch.zeros(1, 4, 3), "for 5 atoms"),
        (2 * at(TRIOXIDE, WELLS[0]), "1 of 1 starting conformers that are another molecule"),
    ],
)
def test_bad_starts(starts: Tensor, message: str) -> None:
    with pytest.raises(InputError, match=message):
        trioxide(starts=starts)


def test_the_region_is_the_molecule() -> None:
    assert trioxide().inside is None
    inside = trioxide(confined=True).inside
    assert inside is not None
    x = at(TRIOXIDE, *WELLS)
    assert inside(torch.cat([x, 1.6 * x])).tolist() == [True] * 4 + [False] * 4


def test_the_identity_is_all_that_decides() -> None:
    problem = trioxide()
    same = trioxide()
    assert problem.identity({"a": 1}) == same.identity({"a": 1})
    others = [
        problem.identity({"a": 2}),
        trioxide(temperature=301.0).identity({"a": 1}),
        trioxide(confined=True).identity({"a": 1}),
        trioxide(potential=Chain(TRIOXIDE, replace(FOUR, c=0.011))).identity({"a": 1}),
        trioxide(starts=at(TRIOXIDE, WELLS[0])).identity({"a": 1}),
    ]
    assert len({problem.identity({"a": 1}), *others}) == 6


def test_the_effective_size_of_independent_draws(rng: np.random.Generator) -> None:
    """All of them, less what the estimate itself scatters."""
    problem, n = trioxide(), 1600
    x = exact(TRIOXIDE, FOUR, n, rng)
    energies = -problem.target().log_density(x) * problem.kT
    size, _ = problem.effective(x, energies, torch.arange(n) // 200)
    assert 0.6 * n < size <= n
    # each draw four times in a row is worth no more
    four = torch.arange(n // 4).repeat_interleave(4)
    less, _ = problem.effective(x[four], energies[four], torch.arange(n) // 200)
    assert 0.4 * n / 4 < less < 1.6 * n / 4


def test_weights_and_labels_of_a_user(rng: np.random.Generator) -> None:
    x = exact(TRIOXIDE, FOUR, 800, rng)
    states = (torch.arange(800) // 100) % 2  # changes seven times
    problem = trioxide(labels=lambda _, __: states)
    energies = -problem.target().log_density(x) * problem.kT
    run = torch.arange(800) // 200
    size, name = problem.effective(x, energies, run)
    assert name.startswith("basin")
    assert size < 80
    w = torch.where(torch.arange(800) % 10 == 0, 1.0, 1e-9)
    assert trioxide().effective(x, energies, run, w / w.sum())[0] <= 80 * (1 + 1e-6)
