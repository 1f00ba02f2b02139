"""The method by cost, and how long it still takes."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from typing import Any, final

import pytest
from chaincases import PEROXIDE, SIDES, Chain, at, species

from genmol.boltzmann import choice
from genmol.boltzmann.choice import choose, seconds_per_gradient
from genmol.boltzmann.forecast import Forecast
from genmol.boltzmann.problem import Problem
from genmol.boltzmann.score_choice import Offer
from genmol.boltzmann.settings import Stage
from genmol.core.errors import InputError
from genmol.core.graph import AtomicGraph
from genmol.potentials.contract import Answer, Potential
from genmol.potentials.domain import Domain


@final
class Slow(Potential):
    """Another potential that takes its time."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self.inner, self.seconds = Chain(PEROXIDE, SIDES), seconds

    @property
    def name(self) -> str:
        return f"slow {self.seconds}"

    @property
    def level(self) -> Mapping[str, Any]:
        return self.inner.level

    @property
    def domain(self) -> Domain:
        return self.inner.domain

    def answer(self, graph: AtomicGraph, *, forces: bool) -> Answer:
        time.sleep(self.seconds * graph.n_graphs)
        return self.inner.answer(graph, forces=forces)


def problem(potential: Potential) -> Problem:
    return Problem(
        species=species(PEROXIDE),
        potential=potential,
        temperature=300.0,
        starts=at(PEROXIDE, (95.0,), (-95.0,)),
    )


def test_the_cost_of_a_call_is_measured() -> None:
    # a clock never runs fast; a busy machine adds to it
    assert 0.004 <= seconds_per_gradient(problem(Slow(0.004)), Slow(0.004)) < 0.1


@pytest.mark.parametrize(
    ("costs", "wanted"),
    [
        ((0.01, [1e-4]), "delayed"),
        ((1e-4, [1e-4]), "tempering"),  # nothing to gain
        ((0.01, []), "tempering"),  # nobody to propose
        ((10.0, [0.01, 1e-4]), "delayed"),
    ],
)
def test_the_cheaper_method_is_taken(
    costs: tuple[float, list[float]], wanted: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    own, others = costs
    potential, cheaper = Slow(own), [Slow(c) for c in others]
    monkeypatch.setattr(choice, "seconds_per_gradient", lambda _, p: p.seconds)
    found = choose(problem(potential), cheaper, method="auto", effective=500)
    assert found.method == wanted
    assert potential.name in found.reason
    if found.method == "delayed":
        assert found.cheap == min(range(len(others)), key=others.__getitem__)


def test_what_is_asked_for_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choice, "seconds_per_gradient", lambda _, p: p.seconds)
    for method in ("tempering", "smc", "delayed"):
        found = choose(problem(Slow(1.0)), [Slow(1e-4)], method=method, effective=500)
        assert found.method == method
        assert "asked for" in found.reason
    with pytest.raises(InputError, match="no cheaper relative"):
        choose(problem(Slow(1.0)), [], method="delayed", effective=500)
    two = [Slow(1e-2), Slow(1e-4)]
    assert choose(problem(Slow(5.0)), two, method="difference", effective=60).expected == 3000
    with pytest.raises(InputError, match="has 1 cheaper"):
        choose(problem(Slow(5.0)), two[:1], method="difference", effective=60)


@pytest.mark.parametrize(
    ("own", "cheap", "path", "wanted"),
    [
        (10.0, [1e-4], 0.1, "psm"),  # 1500 draws against 4500 gradients
        (0.01, [1e-4], 0.1, "delayed"),
        (1e-4, [], 1.0, "tempering"),  # cheap gradients, and slow paths
        (0.01, [], 0.1, "psm"),
    ],
)
def test_a_score_is_taken_where_it_is_faster(
    own: float, cheap: list[float], path: float, wanted: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(choice, "seconds_per_gradient", lambda _, p: p.seconds)
    offer, others = Offer("mine", path=path, draws=3.0), [Slow(c) for c in cheap]
    found = choose(problem(Slow(own)), others, method="auto", effective=500, offer=offer)
    assert found.method == wanted
    assert "by draws of mine" in found.reason
    without = choose(problem(Slow(own)), others, method="auto", effective=500)
    assert without.method != "psm"
    if wanted == "psm":
        assert found.expected == pytest.approx((256 + 1500) * path + 1500 * own)
        assert found.expected < without.expected
        asked = choose(problem(Slow(own)), others, method="psm", effective=500, offer=offer)
        assert asked.expected == found.expected
    else:
        assert found.expected == without.expected


class TestForecast:
    def test_counts_first_then_the_rate(self) -> None:
        forecast = Forecast(expected=100.0, goal=500.0)
        assert forecast.left(Stage("tuning", 1, 40, 10.0, 0.7, None)) == pytest.approx(115.0)
        forecast.left(Stage("sampling", 1, 40, 50.0, 0.7, None))
        # 100 effective draws in 50 s of drawing: 200 s more, and a quarter for the certificate
        left = forecast.left(Stage("sampling", 40, 80, 100.0, 0.7, 100.0))
        assert left == pytest.approx(1.25 * 300 - 100)

    def test_a_budget_ends_it(self) -> None:
        forecast = Forecast(expected=1000.0, goal=500.0, seconds=60.0)
        assert forecast.left(Stage("tuning", 1, 40, 10.0, 0.7, None)) == pytest.approx(65.0)

    def test_it_never_promises_that_it_is_over(self) -> None:
        forecast = Forecast(expected=1.0, goal=500.0)
        left = forecast.left(Stage("burn-in", 1, 40, 100.0, 0.7, None))
        assert math.isfinite(left)
        assert left > 0
