"""Scores by their cost: what is measured, what is taken, counts of the benchmark."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
from scorecases import generator, harmonic

from genmol.boltzmann import score_choice
from genmol.boltzmann.score_choice import DRAWS, GRADIENTS, Offer, choose_for_toy, spoken
from genmol.boltzmann.score_files import LoadedScore, shipped_score
from genmol.chem.species import species_from_smiles
from samplers.rng import Streams

ROWS = json.loads((Path(__file__).parents[2] / "docs/benchmark_psm.json").read_text("utf-8"))[
    "rows"
]


@pytest.mark.parametrize("toy", sorted(ROWS.get("cost", {})))
def test_counts_are_those_of_the_benchmark(toy: str) -> None:
    row = ROWS["cost"][toy]
    if "skipped" in row:
        pytest.skip("no model of it")
    ours, theirs = row["ours"], row["tuned HMC"]
    if ours["by_weights"] and ours["model"] in DRAWS:
        found = float(ours["calls_per_effective"])
        assert abs(math.log(DRAWS[ours["model"]] / found)) < math.log(2)
    assert abs(math.log(GRADIENTS[toy] / float(theirs["gradients_per_effective"]))) < math.log(2)


def test_an_offer_is_measured() -> None:
    of = generator(steps=6)
    card = {"domain": {"temperature": 1.0}, "generator": {"steps": 6}}
    alone = Offer.of(LoadedScore("mine", of.model, card), of.system)
    assert 0 < alone.path < 1
    assert alone.draws > max(DRAWS["score-dw4"], DRAWS["score-lj13"])
    one = Offer("any", path=0.1, draws=2.0)
    assert one.expected(100, 1.0) == pytest.approx(25.6 + 20 + 200)


def test_the_faster_one_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    of = generator(steps=2)
    target, _ = harmonic(of, 1.0)
    x = of.space.normal(Streams.of(seed=1, chains=4), "x")
    offer = Offer("score-dw4", path=0.01, draws=1.6)
    for seconds, taken in ((1e-6, False), (1e-3, True)):
        monkeypatch.setattr(score_choice, "_seconds_per_gradient", lambda *_, s=seconds: s)
        found = choose_for_toy("dw4", target, x, offer, effective=1000)
        assert found.taken is taken
        assert "score-dw4 10 ms" in found.reason
        assert "by Hamiltonian Monte Carlo" in found.reason


def test_only_what_a_model_was_trained_on_is_found() -> None:
    glycol = species_from_smiles("OCCO")
    gfn2 = {"method": "GFN2-xTB", "solvation": None}
    assert shipped_score("dw4", temperature=1.0) is not None
    assert shipped_score("dw4", temperature=2.0) is None
    assert shipped_score("many-well", temperature=1.0) is None
    assert shipped_score(glycol, temperature=300.0, level=gfn2) is not None
    for temperature, level in (
        (310.0, gfn2), (300.0, {"method": "MMFF94"}), (300.0, {**gfn2, "solvation": "water"}),
    ):  # fmt: skip
        assert shipped_score(glycol, temperature=temperature, level=level) is None
    assert shipped_score(species_from_smiles("CCCCCCCC"), temperature=300.0, level=gfn2) is None


def test_seconds_are_spoken() -> None:
    said = [spoken(seconds) for seconds in (2e-6, 3e-3, 4.0, 300.0, 7200.0, math.inf)]
    assert said == ["2 µs", "3 ms", "4 s", "5 min", "2.0 h", "for ever"]
