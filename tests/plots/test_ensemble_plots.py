"""What is drawn is what is in the data, and pictures can stand side by side in one page."""

from __future__ import annotations

import math
import re
from itertools import pairwise
from typing import Any
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from matplotlib.figure import Figure

from genmol.boltzmann.intervals import Interval
from genmol.boltzmann.observables import Histogram, StateOf
from genmol.plots.ensemble import energies, torsion, torsions
from genmol.plots.ensemble_basins import (
    MOST_BASINS,
    basin_colour,
    populations,
    run_shares,
    running_populations,
)
from genmol.plots.ensemble_runs import mixing, sorted_weights
from genmol.plots.style import svg

KT = 0.596


def histogram(shares: np.ndarray) -> Histogram:
    shares = shares / shares.sum()
    return Histogram(tuple(Interval(float(p), float(0.5 * p), float(1.5 * p)) for p in shares))


def state(k: int, p: float) -> StateOf:
    return StateOf(f"+{k}", Interval(p, 0.9 * p, 1.2 * p), Interval(0.0, -0.1, 0.1), 100.0)


def outline(figure: Figure) -> tuple[np.ndarray, np.ndarray]:
    """Values and edges of the last stairs of the axes."""
    values, edges, _ = figure.axes[0].patches[-1].get_data()
    return np.asarray(values), np.asarray(edges)


@pytest.mark.parametrize("fold", [1, 2, 3])
def test_the_density_of_a_torsion_sums_to_one_turn(fold: int, rng: np.random.Generator) -> None:
    shares = rng.random(36)
    values, edges = outline(torsion(histogram(shares), fold=fold))
    assert (values * np.diff(edges) / 10).sum() == pytest.approx(100.0)
    assert edges[-1] - edges[0] == pytest.approx(360 / fold)


def test_a_torsion_is_drawn_where_it_is_and_a_peak_at_the_end_of_a_fold_is_not_cut() -> None:
    shares = np.full(36, 0.1)
    shares[20] = 3.0  # 20° to 30° of fφ
    values, edges = outline(torsion(histogram(shares)))
    assert edges[values.argmax()] == pytest.approx(20.0)
    values, edges = outline(torsion(histogram(shares), fold=3))
    assert edges[values.argmax()] == pytest.approx(20.0 / 3)
    shares = np.full(36, 0.1)
    shares[[0, 35]] = 3.0  # 180° of fφ: 60° of a methyl group
    values, edges = outline(torsion(histogram(shares), fold=3))
    assert edges[values.argmax()] == pytest.approx(60.0 - 10 / 3)
    assert values[edges[:-1].searchsorted(60.0)] == pytest.approx(values.max())


def test_the_band_of_a_torsion_is_its_interval() -> None:
    figure = torsion(histogram(np.arange(1.0, 37.0)))
    values, _ = outline(figure)
    band = figure.axes[0].collections[0].get_paths()[0].vertices[:, 1]
    assert {round(float(y), 9) for y in band} == {
        round(float(f * y), 9) for f in (0.5, 1.5) for y in values
    }


def test_all_torsions_in_one_figure() -> None:
    figure = torsions([histogram(np.ones(36))] * 5, names=list("abcde"), columns=3)
    assert [a.get_title(loc="left") for a in figure.axes] == ["a", "b", "c", "d", "e", ""]


def test_energies_are_a_density_above_the_lowest_and_the_harmonic_law_has_their_mean(
    rng: np.random.Generator,
) -> None:
    modes, m = 24, 4000
    u = rng.gamma(modes / 2, KT, m) - 1234.0
    run = np.repeat(np.arange(8), m // 8)
    axes = energies(u, run, kT=KT, modes=modes).axes[0]
    values, edges, _ = axes.patches[-1].get_data()
    assert (values * np.diff(edges)).sum() == pytest.approx(1.0)
    assert edges[0] == 0
    assert edges[-1] == pytest.approx(np.ptp(u))
    lines = {line.get_label(): line for line in axes.lines}
    assert len(axes.lines) == 8 + 1
    x, y = lines[f"harmonic, {modes} modes, same mean"].get_data()
    step = x[1] - x[0]
    mean = (x * y).sum() * step
    # the window ends at the largest draw
    assert mean == pytest.approx((u - u.min()).mean(), rel=0.01)
    width = math.sqrt(((x - mean) ** 2 * y).sum() * step)
    assert width == pytest.approx(KT * math.sqrt(modes / 2), rel=0.01)


def test_energies_count_by_weight_and_many_runs_are_not_drawn_apart() -> None:
    u, w = np.array([0.0, 1.0, 2.0, 3.0]), np.array([1.0, 0.0, 0.0, 3.0])
    values, edges, _ = energies(u, np.zeros(4), weights=w).axes[0].patches[-1].get_data()
    share = values * np.diff(edges)
    assert share[[0, -1]].tolist() == pytest.approx([0.25, 0.75])
    assert not energies(np.arange(100.0), np.arange(100)).axes[0].lines


def test_populations_show_values_intervals_and_runs() -> None:
    states = [state(k, p) for k, p in enumerate((0.5, 0.3, 0.2))]
    runs = np.array([[0.6, 0.3, 0.1], [0.4, 0.3, 0.3]])
    axes = populations(states, runs=runs).axes[0]
    assert [bar.get_width() for bar in axes.patches] == pytest.approx([50.0, 30.0, 20.0])
    errors = next(c for c in axes.containers if hasattr(c, "has_xerr"))
    ends = [s[:, 0].tolist() for s in errors.lines[2][0].get_segments()]
    assert np.array(ends) == pytest.approx(np.array([[45.0, 60.0], [27.0, 36.0], [18.0, 24.0]]))
    dots = [c.get_offsets()[:, 0].tolist() for c in axes.collections if len(c.get_offsets()) == 2]
    assert np.array(dots) == pytest.approx(100 * runs.T)
    assert axes.yaxis_inverted()


def test_no_more_than_twelve_basins_are_drawn_and_open_ends_stay_in_the_picture() -> None:
    many = [StateOf(f"{k}", Interval(0.05, -math.inf, math.inf), Interval(0.0, 0.0, 0.0), 1.0)
            for k in range(20)]  # fmt: skip
    axes = populations(many).axes[0]
    assert len(axes.patches) == MOST_BASINS
    assert axes.get_xlim()[1] == pytest.approx(105.0)
    assert len({basin_colour(k) for k in range(6)}) == 6
    assert basin_colour(6) == basin_colour(30)


def test_shares_of_runs_are_weighted_counts(rng: np.random.Generator) -> None:
    labels, run = rng.integers(0, 4, 300), np.array([5, 9, 2])[rng.integers(0, 3, 300)]
    weights = rng.random(300)
    found = run_shares(labels, run, weights=weights)
    for row, one in enumerate((2, 5, 9)):
        own = run == one
        expected = np.bincount(labels[own], weights=weights[own], minlength=4) / weights[own].sum()
        assert found[row] == pytest.approx(expected)


def test_the_strip_is_the_labels_and_runs_may_be_of_different_length() -> None:
    labels = np.array([0, 1, 2, 9, 0, 7, 1])
    run = np.array([0, 0, 0, 0, 1, 1, 1])
    axes = mixing(labels, run, trips=(3, 4)).axes[0]
    picture = axes.images[0].get_array()
    assert picture.tolist() == [[0, 1, 2, 6], [0, 6, 1, None]]
    assert [t.get_text() for t in axes.get_legend().get_texts()] == ["1", "2", "3", "other"]
    assert {"3", "4"} <= {t.get_text() for t in axes.texts}


def test_long_runs_are_thinned_evenly() -> None:
    labels = np.tile(np.repeat([0, 1], 5000), 2)
    picture = mixing(labels, np.repeat([0, 1], 10_000)).axes[0].images[0].get_array()
    assert picture.shape == (2, 1500)
    assert np.asarray(picture).mean() == pytest.approx(0.5)


def test_running_populations_end_at_the_populations(rng: np.random.Generator) -> None:
    labels, run = rng.integers(0, 3, 400), np.repeat(np.arange(4), 100)
    weights = rng.random(400)
    states = [state(k, 0.3) for k in range(3)]
    axes = running_populations(labels, run, weights=weights, states=states).axes[0]
    lines = {line.get_label(): line.get_ydata() for line in axes.lines}
    shares = 100 * np.bincount(labels, weights=weights) / weights.sum()
    for k in range(3):
        assert lines[f"basin {k + 1}"][-1] == pytest.approx(shares[k])
        mine = [line for line in axes.lines if line.get_color() == basin_colour(k)]
        ends = sorted(line.get_ydata()[-1] for line in mine if len(line.get_ydata()) > 1)
        each = 100 * run_shares(labels, run, weights=weights)[:, k]
        assert ends == pytest.approx(sorted([*each, shares[k]]))


def test_a_run_that_ends_earlier_has_a_shorter_line() -> None:
    labels, run = np.zeros(30, dtype=int), np.repeat([0, 1], [10, 20])
    axes = running_populations(labels, run).axes[0]
    assert [int(np.isfinite(line.get_ydata()).sum()) for line in axes.lines] == [10, 20, 20]


def test_weights_are_sorted_and_their_worth_is_said(rng: np.random.Generator) -> None:
    w = rng.lognormal(size=500)
    axes = sorted_weights(w).axes[0]
    drawn = axes.lines[0].get_ydata()
    assert all(a >= b for a, b in pairwise(drawn))
    assert drawn.mean() == pytest.approx(1.0)
    kish = w.sum() ** 2 / (w**2).sum()
    assert any(f"worth {kish:.0f} of 500" in t.get_text() for t in axes.texts)


def ids(text: str) -> list[str]:
    return re.findall(r'\bid="([^"]*)"', text)


def test_pictures_share_a_page(rng: np.random.Generator) -> None:
    first = svg(torsion(histogram(rng.random(36))))
    second = svg(mixing(rng.integers(0, 3, 60), np.repeat([0, 1], 30)))
    again, other = (svg(torsion(histogram(np.ones(36))), key=key) for key in ("a", "b"))
    assert again == svg(torsion(histogram(np.ones(36))), key="a")
    everything = [i for text in (first, second, again, other) for i in ids(text)]
    assert len(everything) == len(set(everything)) > 100
    for text in (first, second):
        root: Any = ET.fromstring(text)  # noqa: S314
        assert root.get("viewBox")
        assert root.get("width") is None
        assert not re.findall(r"<style|<script|<!--|<metadata|xlink", text)
        assert set(re.findall(r"https?://[^\"]*", text)) == {"http://www.w3.org/2000/svg"}
        used = re.findall(r'(?:href="|url\()#([^")]*)', text)
        assert used
        assert set(used) <= set(ids(text))


def test_what_a_user_calls_a_torsion_is_no_markup() -> None:
    text = svg(torsion(histogram(np.ones(36)), name="<b> & --> x"))
    assert ET.fromstring(text) is not None  # noqa: S314
    assert "<b>" not in text
