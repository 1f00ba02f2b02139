"""Pictures of the basins of an ensemble: populations with intervals, and how they settle.

Basins are numbered from 1 in words, from 0 in code, the most populated one first, and have the same
colour in every picture. Runs that are independent agree within the interval of all of them, and their
running populations come together long before the end; the latter is about chains, whose draws have an
order in time.

A figure is 5.6 inches wide, small enough for a column of a page and readable there; ``show_*`` draws into
axes of the caller.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import ArrayLike, NDArray

from genmol.boltzmann.draws import Draws
from genmol.boltzmann.intervals import Interval
from genmol.boltzmann.observables import StateOf
from genmol.plots.style import BLACK, GREY, PALETTE, styled

__all__ = [
    "MOST_BASINS",
    "WIDTH",
    "basin_colour",
    "interval_ends",
    "populations",
    "run_shares",
    "running_populations",
    "show_populations",
    "show_running_populations",
]

WIDTH = 5.6
"""Of a figure, inches."""
MOST_BASINS = 12
"""Shown one by one."""

_RARE = "#c4c4c4"
_MOST_RUNS = 40  # drawn one by one
_LONGEST_NAME = 18
_POINTS = 300  # of a line
_LINES = 4  # basins


def basin_colour(basin: int) -> str:
    """Of a basin, 0 the most populated one; those after the sixth share a grey."""
    return PALETTE[basin] if basin < len(PALETTE) else _RARE


def populations(
    states: Sequence[StateOf], *, runs: ArrayLike | None = None, level: float = 0.95
) -> Figure:
    """Populations of basins; arguments as in :func:`show_populations`."""
    shown = min(len(states), MOST_BASINS)
    with styled():
        figure = Figure(figsize=(WIDTH, 1.7 + 0.36 * shown), layout="constrained")
        show_populations(figure.subplots(), states, runs=runs, level=level)
    return figure


def show_populations(
    axes: Axes, states: Sequence[StateOf], *, runs: ArrayLike | None = None, level: float = 0.95
) -> None:
    """Draw the population of each basin with its interval, from the top down.

    Args:
        axes: where.
        states: the most populated one first; twelve are shown.
        runs: (r, b) shares of the basins in each run (:func:`run_shares`), drawn as dots below the bar.
        level: of the intervals.
    """
    shown = states[:MOST_BASINS]
    share, low, high = (100 * ends for ends in interval_ends([s.population for s in shown]))
    y = np.arange(len(shown))
    colours = [basin_colour(k) for k in range(len(shown))]
    if runs is not None:
        each = 100 * np.asarray(runs, dtype=np.float64)[:, : len(shown)]
        if 1 < len(each) <= _MOST_RUNS:
            for k in range(each.shape[1]):
                axes.scatter(
                    each[:, k], np.full(len(each), y[k] + 0.28), s=16, color=colours[k],
                    edgecolor=BLACK, linewidth=0.3, alpha=0.75, clip_on=False, zorder=3,
                    label="each run" if k == 0 else None,
                )  # fmt: skip
    axes.barh(y, share, height=0.34, color=colours, alpha=0.55)
    axes.errorbar(
        share, y, xerr=np.stack([share - low, high - share]), fmt="o", color=BLACK, markersize=4,
        elinewidth=1.4, capsize=4, zorder=4, label=f"all runs, {100 * level:.0f} % interval",
    )  # fmt: skip
    axes.set_yticks(y, [_label(k, state.name) for k, state in enumerate(shown)])
    axes.set_ylim(len(shown) - 0.4, -0.6)
    axes.set_xlim(0.0, 1.05 * axes.dataLim.x1)
    axes.grid(visible=False, axis="y")
    axes.set_xlabel("population / %")
    axes.set_title("Basins")
    axes.legend(
        loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=2, borderaxespad=0.1, fontsize=10,
        columnspacing=1.0, handletextpad=0.4,
    )  # fmt: skip


def run_shares(
    labels: ArrayLike, run: ArrayLike, *, weights: ArrayLike | None = None
) -> NDArray[np.float64]:
    """Share of each basin in each run, (r, b), rows of sum 1.

    Args:
        labels: (m,) basin of each draw, 0, 1, ...
        run: (m,) label of the run of each draw.
        weights: (m,); equal when None.
    """
    basin = np.asarray(labels, dtype=np.int64)
    _, row = np.unique(np.asarray(run), return_inverse=True)
    w = np.ones(len(basin)) if weights is None else np.asarray(weights, dtype=np.float64)
    found = np.zeros((int(row.max()) + 1, int(basin.max()) + 1))
    np.add.at(found, (row, basin), w)
    total = found.sum(axis=1, keepdims=True)
    return np.asarray(np.divide(found, total, out=np.full_like(found, np.nan), where=total > 0))


def running_populations(
    labels: ArrayLike,
    run: ArrayLike,
    *,
    weights: ArrayLike | None = None,
    states: Sequence[StateOf] = (),
) -> Figure:
    """Populations as draws come in; arguments as in :func:`show_running_populations`."""
    with styled():
        figure = Figure(figsize=(WIDTH, 3.9), layout="constrained")
        show_running_populations(figure.subplots(), labels, run, weights=weights, states=states)
    return figure


def show_running_populations(
    axes: Axes,
    labels: ArrayLike,
    run: ArrayLike,
    *,
    weights: ArrayLike | None = None,
    states: Sequence[StateOf] = (),
) -> None:
    """Draw the populations of the first draws of all runs, and of each run, against their number.

    Args:
        axes: where.
        labels: (m,) basin of each draw, 0 the most populated one; four are shown.
        run: (m,) label of the run of each draw, each in its order.
        weights: (m,); equal when None.
        states: basins, whose intervals are drawn at the right end.
    """
    basin = np.asarray(labels, dtype=np.int64)
    draws = Draws.of(
        len(basin), runs=np.asarray(run), weights=None if weights is None else np.asarray(weights)
    )
    place, filled = draws.place.numpy(), draws.filled.numpy()
    longest = place.shape[1]
    points = np.unique(np.linspace(1, longest, min(longest, _POINTS)).round().astype(np.int64))
    w = np.where(filled, draws.weights.numpy()[np.maximum(place, 0)], 0.0)
    count, top = min(int(basin.max()) + 1, _LINES), 0.0
    for k in range(count):
        inside = w * (basin[np.maximum(place, 0)] == k)
        colour = basin_colour(k)
        lines = [_running(inside.sum(axis=0), w.sum(axis=0), points)]
        if 1 < len(place) <= _MOST_RUNS:
            lines += [_running(*one, points) for one in zip(inside, w, strict=True)]
        for line in lines[1:]:
            axes.plot(points, line, color=colour, linewidth=0.7, alpha=0.35)
        axes.plot(points, lines[0], color=colour, linewidth=2.4, label=f"basin {k + 1}")
        top = max(top, *(float(np.nanmax(line[len(line) // 5 :], initial=0.0)) for line in lines))
        if k < len(states):
            share, low, high = (
                100 * float(end[0]) for end in interval_ends([states[k].population])
            )
            axes.errorbar(
                [longest * (1.025 + 0.022 * k)], [share], yerr=[[share - low], [high - share]],
                fmt="o", color=colour, markersize=4, elinewidth=1.6, capsize=3,
            )  # fmt: skip
    axes.set_xlim(0.0, longest * (1.04 + 0.022 * count))
    axes.set_ylim(0.0, min(1.35 * top, 125.0))  # what the first draws say is off the scale
    if top > 70:
        axes.set_yticks(range(0, 101, 20))
    axes.set_xlabel("draws of each run")
    axes.set_ylabel("population so far / %")
    axes.set_title("Populations as draws come in")
    handles = axes.get_legend_handles_labels()[0]
    if 1 < len(place) <= _MOST_RUNS:
        handles.append(Line2D([], [], color=GREY, linewidth=0.8, label="each run"))
    axes.legend(handles=handles, loc="upper right", ncols=2, fontsize=10)


def _running(
    inside: NDArray[np.float64], total: NDArray[np.float64], points: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Share (%) of the first draws; NaN where they have no weight, or the run has ended."""
    mass, weight = np.cumsum(inside)[points - 1], np.cumsum(total)[points - 1]
    ended = points > np.flatnonzero(np.append(True, total > 0)).max()
    good = (weight > 0) & ~ended
    return np.divide(100 * mass, weight, out=np.full(len(points), np.nan), where=good)


def interval_ends(
    intervals: Sequence[Interval],
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Values, lower and upper ends of shares; open ends are those of [0, 1]."""
    value, low, high = np.array([(i.value, i.low, i.high) for i in intervals]).T
    return value, np.clip(low, 0.0, value), np.clip(high, value, 1.0)


def _label(k: int, name: str) -> str:
    tidy = name.replace("-", "−")
    return f"{k + 1}:  {tidy}" if len(tidy) <= _LONGEST_NAME else f"{k + 1}"
