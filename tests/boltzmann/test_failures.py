"""Forgiving: what is no number becomes a place that is never visited, and endless failure ends."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, final

import pytest
import torch
from chaincases import FOUR, TRIOXIDE, WELLS, Chain, Failing, at
from chemcases import species
from torch import Tensor

from genmol.boltzmann.failures import Forgiving
from genmol.core.errors import DeliveryError
from genmol.core.graph import AtomicGraph
from genmol.potentials.contract import Answer, Potential
from genmol.potentials.domain import Domain
from genmol.potentials.target import MoleculeTarget

X = at(TRIOXIDE, *WELLS)


@final
class Spoilt(Potential):
    """A chain whose answer is changed afterwards."""

    def __init__(self, spoil: Callable[[Tensor, Tensor], None]) -> None:
        super().__init__()
        self.inner, self.spoil = Chain(TRIOXIDE, FOUR), spoil

    @property
    def name(self) -> str:
        return "spoilt"

    @property
    def level(self) -> Mapping[str, Any]:
        return self.inner.level

    @property
    def domain(self) -> Domain:
        return self.inner.domain

    def answer(self, graph: AtomicGraph, *, forces: bool) -> Answer:
        found = self.inner.answer(graph, forces=forces)
        push = found.forces if found.forces is not None else torch.zeros(1, 3)
        self.spoil(found.energies, push)
        return found


def target(potential: Potential) -> MoleculeTarget:
    numbers = torch.from_numpy(species(TRIOXIDE).numbers.copy())
    return MoleculeTarget(potential=potential, numbers=numbers, temperature=300.0)


def energy_is(value: float) -> Callable[[Tensor, Tensor], None]:
    return lambda energies, _: energies.__setitem__(1, value)


def force_is(value: float) -> Callable[[Tensor, Tensor], None]:
    return lambda _, push: push.__setitem__((7, 1), value)  # the third atom of structure 1


SPOILS = {
    "nan": energy_is(math.nan),
    "-inf": energy_is(-math.inf),
    "force": force_is(math.nan),
    "force inf": force_is(math.inf),
}


@pytest.mark.parametrize("spoil", SPOILS.values(), ids=SPOILS)
def test_what_is_no_number_is_a_place_of_no_density(
    spoil: Callable[[Tensor, Tensor], None],
) -> None:
    with pytest.raises(DeliveryError):
        target(Spoilt(spoil)).evaluate(X)
    forgiving = Forgiving(Spoilt(spoil))
    found, right = target(forgiving).evaluate(X), target(Chain(TRIOXIDE, FOUR)).evaluate(X)
    assert float(found.log_density[1]) == -math.inf
    assert not bool(found.gradient[1].any())
    others = torch.tensor([0, 2, 3])
    torch.testing.assert_close(found.log_density[others], right.log_density[others])
    torch.testing.assert_close(found.gradient[others], right.gradient[others])
    assert (forgiving.calls.failures, forgiving.calls.gradients) == (1, 4)
    assert "no number" in forgiving.calls.reasons[0]


def test_good_answers_pass_unchanged() -> None:
    plain, forgiving = Chain(TRIOXIDE, FOUR), Forgiving(Chain(TRIOXIDE, FOUR))
    a, b = target(plain).evaluate(X), target(forgiving).evaluate(X)
    assert torch.equal(a.log_density, b.log_density)
    assert torch.equal(a.gradient, b.gradient)
    for name in ("name", "level", "cutoff"):
        assert getattr(forgiving, name) == getattr(plain, name)


def test_a_potential_that_always_fails_ends_the_run() -> None:
    """After at least three calls and 24 structures in a row."""
    many, few = (target(Forgiving(Failing(Chain(TRIOXIDE, FOUR), 0))) for _ in range(2))
    x = X.repeat(6, 1, 1)
    for _ in range(2):
        assert bool((many.log_density(x) == -math.inf).all())
    with pytest.raises(DeliveryError, match=r"last 72 structures \(out of order"):
        many.log_density(x)
    for _ in range(23):
        few.log_density(X[:1])
    with pytest.raises(DeliveryError, match="last 24 structures"):
        few.log_density(X[:1])


def test_one_energy_in_between_starts_the_count_anew() -> None:
    failing = Failing(Chain(TRIOXIDE, FOUR), 0)
    one, x = target(Forgiving(failing)), X.repeat(6, 1, 1)
    for _ in range(4):
        for _ in range(2):
            one.log_density(x)
        failing.left = 24
        assert bool(one.log_density(x).isfinite().all())
