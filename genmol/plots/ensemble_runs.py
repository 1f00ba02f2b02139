"""Pictures of how runs went: the basin of each draw, and weights.

A run that mixes changes its colour often, and all runs show the same colours in the same shares. That
picture is about chains, whose draws have an order in time; the particles of a population have none, but
weights.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.transforms import ScaledTranslation
from numpy.typing import ArrayLike

from genmol.boltzmann.draws import Draws
from genmol.plots.ensemble_basins import WIDTH, basin_colour
from genmol.plots.style import BLACK, GREY, PALETTE, styled

__all__ = ["mixing", "show_mixing", "show_weights", "sorted_weights"]

_COLOURS = len(PALETTE)
_WIDEST = 1500  # draws of a strip
_MOST_RUNS = 40


def mixing(labels: ArrayLike, run: ArrayLike, *, trips: Sequence[int] = ()) -> Figure:
    """The basin of each draw; arguments as in :func:`show_mixing`."""
    rows = min(len(np.unique(np.asarray(run))), _MOST_RUNS)
    with styled():
        figure = Figure(figsize=(WIDTH, min(1.9 + 0.25 * rows, 5.0)), layout="constrained")
        show_mixing(figure.subplots(), labels, run, trips=trips)
    return figure


def show_mixing(
    axes: Axes, labels: ArrayLike, run: ArrayLike, *, trips: Sequence[int] = ()
) -> None:
    """Draw one strip for each run, from its first draw to its last.

    Args:
        axes: where.
        labels: (m,) basin of each draw, 0, 1, ...; those after the sixth share a colour.
        run: (m,) label of the run of each draw, each in its order; 40 runs are shown.
        trips: round trips of each run to the highest temperature, written beside its strip.
    """
    basin = np.minimum(np.asarray(labels, dtype=np.int64), _COLOURS)
    draws = Draws.of(len(basin), runs=np.asarray(run))
    place, filled = (part.numpy()[:_MOST_RUNS] for part in (draws.place, draws.filled))
    rows, longest = place.shape
    columns = np.linspace(0, longest, min(longest, _WIDEST), endpoint=False).astype(np.int64)
    picture = np.where(filled, basin[np.maximum(place, 0)], -1)[:, columns]
    used = sorted({int(b) for b in np.unique(picture) if b >= 0})
    axes.imshow(
        np.ma.masked_less(picture, 0), aspect="auto", interpolation="none",
        cmap=ListedColormap([basin_colour(k) for k in range(_COLOURS + 1)]), vmin=-0.5,
        vmax=_COLOURS + 0.5, extent=(0.0, float(longest), rows - 0.5, -0.5),
    )  # fmt: skip
    for k in range(1, rows):
        axes.axhline(k - 0.5, color="white", linewidth=2.0)
    axes.grid(visible=False)
    step = 1 + rows // 12
    axes.set_yticks(range(0, rows, step), [f"{k + 1}" for k in range(0, rows, step)])
    axes.tick_params(axis="y", length=0)
    axes.spines[["left", "bottom"]].set_visible(False)
    if trips:
        for k, count in enumerate(trips[:rows]):
            axes.annotate(f"{count}", (1.0, k), xycoords=("axes fraction", "data"), xytext=(6, 0),
                          textcoords="offset points", va="center", fontsize=10)  # fmt: skip
        axes.annotate("round\ntrips", (1.0, 1.0), xycoords="axes fraction", xytext=(2, 4),
                      textcoords="offset points", va="bottom", fontsize=9.5)  # fmt: skip
    axes.set_xlabel("draw of the run")
    axes.set_ylabel("run")
    axes.set_title("Basin of each draw")
    axes.legend(
        handles=[Patch(color=basin_colour(b), label=f"{b + 1}" if b < _COLOURS else "other")
                 for b in used],
        loc="upper left", bbox_to_anchor=(0.0, 0.0), ncols=len(used), borderaxespad=0.0,
        bbox_transform=axes.transAxes + ScaledTranslation(0.0, -0.62, axes.figure.dpi_scale_trans),
        fontsize=10, handlelength=1.0, handletextpad=0.4, columnspacing=1.0,
    )  # fmt: skip


def sorted_weights(weights: ArrayLike) -> Figure:
    """Weights by rank; arguments as in :func:`show_weights`."""
    with styled():
        figure = Figure(figsize=(WIDTH, 3.9), layout="constrained")
        show_weights(figure.subplots(), weights)
    return figure


def show_weights(axes: Axes, weights: ArrayLike) -> None:
    """Draw m times the normalised weights, the largest first.

    Args:
        axes: where.
        weights: (m,), of any sum.
    """
    w = np.sort(np.asarray(weights, dtype=np.float64))[::-1]
    w = w / w.sum()
    m, rank = len(w), np.arange(1, len(w) + 1)
    shown = w > 0
    axes.plot(rank[shown], m * w[shown], color=PALETTE[0], linewidth=2.0)
    axes.axhline(1.0, color=GREY, linestyle=(0, (5, 3)), linewidth=1.3)
    axes.annotate("equal weights", (0.02, 1.0), xycoords=("axes fraction", "data"), xytext=(0, 4),
                  textcoords="offset points", color="#5f5f5f", fontsize=10)  # fmt: skip
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlim(1.0, m)
    least = float(np.quantile(m * w[shown], 0.02))
    axes.set_ylim(max(least / 2, 1e-6), 2 * m * float(w[0]))
    axes.set_xlabel("rank, heaviest draw first")
    axes.set_ylabel("weight / mean weight")
    axes.set_title("Weights")
    kish = 1 / float((w**2).sum())
    axes.annotate(
        f"worth {kish:.0f} of {m} equal draws\nheaviest {100 * w[0]:.2g} % of all", (0.98, 0.96),
        xycoords="axes fraction", ha="right", va="top", fontsize=10.5, color=BLACK,
    )  # fmt: skip
