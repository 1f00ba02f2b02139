r"""Pictures of an ensemble: torsions and energies.

A torsion of fold f comes back to itself after 2π/f, so that its histogram is over :math:`\theta = f\phi`
on one circle and is drawn over :math:`\theta/f`, from −180°/f to 180°/f, or from 0 to 360°/f where
there is more at the ends than in the middle.

f vibrations of a harmonic molecule have energies of a gamma law (Tolman, 1938),

.. math:: p(U) \propto (U - U_0)^{f/2 - 1}\, e^{-(U - U_0)/kT},

of mean :math:`U_0 + \tfrac f2 kT` and standard deviation :math:`kT\sqrt{f/2}`. :math:`U_0` is one number
for each conformer, so it is set by the mean, and it is the width that can be compared.

Figures are made for a column of a page; ``show_*`` draws into axes of the caller.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, MultipleLocator
from numpy.typing import ArrayLike
from scipy.stats import gamma

from genmol.boltzmann.observables import Histogram
from genmol.plots.ensemble_basins import WIDTH, interval_ends
from genmol.plots.style import BLACK, GREY, PALETTE, styled

__all__ = ["energies", "show_energies", "show_torsion", "torsion", "torsions"]

_MOST_RUNS = 40  # drawn one by one


def torsion(histogram: Histogram, *, fold: int = 1, name: str = "torsion") -> Figure:
    """One torsion; arguments as in :func:`show_torsion`."""
    with styled():
        figure = Figure(figsize=(4.2, 2.9), layout="constrained")
        show_torsion(figure.subplots(), histogram, fold=fold, name=name)
    return figure


def torsions(
    histograms: Sequence[Histogram],
    *,
    folds: Sequence[int] = (),
    names: Sequence[str] = (),
    columns: int = 3,
) -> Figure:
    """All torsions in one figure.

    Args:
        histograms: at least one.
        folds: of the torsions; 1 each when empty.
        names: of the torsions; numbers when empty.
        columns: at most.
    """
    count = len(histograms)
    columns = min(columns, count)
    rows = -(-count // columns)
    with styled():
        figure = Figure(figsize=(4.2 * columns, 2.9 * rows), layout="constrained")
        places = figure.subplots(rows, columns, squeeze=False).ravel()
        for k, axes in enumerate(places):
            if k >= count:
                axes.set_axis_off()
                continue
            fold = folds[k] if folds else 1
            name = names[k] if names else f"torsion {k + 1}"
            show_torsion(axes, histograms[k], fold=fold, name=name)
    return figure


def show_torsion(axes: Axes, histogram: Histogram, *, fold: int = 1, name: str) -> None:
    """Draw the density of a torsion as steps, with its interval as a band.

    Args:
        axes: where.
        histogram: shares of equal parts of [−π, π) for f·φ.
        fold: f.
        name: title.
    """
    share, low, high = interval_ends(histogram.shares)
    bins = len(share)
    edges = np.linspace(-180.0, 180.0, bins + 1) / fold
    if (
        fold > 1
        and bins % 2 == 0
        and share[[0, -1]].sum() > share[[bins // 2 - 1, bins // 2]].sum()
    ):
        # the peak of a methyl group is not cut in two
        share, low, high = (np.roll(y, bins // 2) for y in (share, low, high))
        edges = edges + 180.0 / fold
    each = 1000.0 / (edges[1] - edges[0])  # share of a part to % per 10°
    closed = [np.append(y, y[-1]) * each for y in (low, high)]
    axes.stairs(share * each, edges, fill=True, color=PALETTE[4], alpha=0.35)
    axes.fill_between(edges, closed[0], closed[1], step="post", color=PALETTE[0], alpha=0.3,
                      linewidth=0)  # fmt: skip
    axes.stairs(share * each, edges, color=PALETTE[0], linewidth=1.5)
    axes.set_xlim(edges[0], edges[-1])
    axes.set_ylim(0.0, 1.06 * max(float(closed[1].max()), 1e-9))
    axes.xaxis.set_major_locator(MultipleLocator({1: 60, 2: 30, 3: 20}.get(fold, 60 / fold)))
    axes.yaxis.set_major_locator(MaxNLocator(nbins=4))
    turn = "" if fold == 1 else f", repeats every {360 / fold:g}°"
    axes.set_xlabel(f"angle / °{turn}")
    axes.set_ylabel("% per 10°")
    axes.set_title(name)


def energies(
    values: ArrayLike,
    run: ArrayLike,
    *,
    weights: ArrayLike | None = None,
    unit: str = "kcal/mol",
    kT: float | None = None,
    modes: int | None = None,
) -> Figure:
    """The histogram of energies; arguments as in :func:`show_energies`."""
    with styled():
        figure = Figure(figsize=(WIDTH, 3.9), layout="constrained")
        show_energies(
            figure.subplots(), values, run, weights=weights, unit=unit, kT=kT, modes=modes
        )
    return figure


def show_energies(
    axes: Axes,
    values: ArrayLike,
    run: ArrayLike,
    *,
    weights: ArrayLike | None = None,
    unit: str = "kcal/mol",
    kT: float | None = None,
    modes: int | None = None,
) -> None:
    """Draw the density of U − min U: of all draws, of each run, and of a harmonic molecule.

    Args:
        axes: where.
        values: (m,) U, in ``unit``, up to a constant.
        run: (m,) label of the run of each draw.
        weights: (m,), of any sum; equal when None.
        unit: of energies.
        kT: in ``unit``; for the harmonic law, with ``modes``.
        modes: f, vibrations of the molecule.
    """
    u, label = np.asarray(values, dtype=np.float64), np.asarray(run)
    w = np.ones(len(u)) if weights is None else np.asarray(weights, dtype=np.float64)
    u = u - u.min()
    top = max(float(u.max()), 1e-9)
    runs = np.unique(label)
    edges = np.linspace(0.0, top, _bins(len(u)) + 1)
    pooled = np.histogram(u, edges, weights=w, density=True)[0]
    axes.stairs(pooled, edges, fill=True, color=PALETTE[4], alpha=0.35, label="all runs")
    axes.stairs(pooled, edges, color=PALETTE[0], linewidth=1.6)
    if 1 < len(runs) <= _MOST_RUNS:
        coarse = np.linspace(0.0, top, _bins(len(u) // len(runs)) + 1)
        for k, one in enumerate(runs):
            own = label == one
            if not w[own].sum() > 0:
                continue
            density = np.histogram(u[own], coarse, weights=w[own], density=True)[0]
            axes.plot((coarse[1:] + coarse[:-1]) / 2, density, color=GREY, linewidth=0.8,
                      label="each run" if k == 0 else None)  # fmt: skip
    if kT is not None and modes is not None and modes > 0:
        offset = float(np.average(u, weights=w)) - modes / 2 * kT
        x = np.linspace(0.0, top, 400)
        axes.plot(x, gamma.pdf(x, modes / 2, loc=offset, scale=kT), color=BLACK, linestyle="--",
                  linewidth=1.4, label=f"harmonic, {modes} modes, same mean")  # fmt: skip
    axes.set_xlim(0.0, top)
    axes.set_ylim(0.0, 1.3 * axes.dataLim.y1)  # room for the legend
    axes.set_xlabel(f"U − lowest U / {unit}")
    axes.set_ylabel(f"density / ({unit})⁻¹" if unit == "kcal/mol" else "density")
    axes.set_title("Energy")
    axes.legend(loc="upper right", fontsize=10)


def _bins(m: int) -> int:
    """Rice's rule, not too fine."""
    return int(np.clip(round(2 * m ** (1 / 3)), 8, 60))
