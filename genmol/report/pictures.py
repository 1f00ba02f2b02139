"""The pictures of a page, each with a sentence that says what good looks like."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from genmol.boltzmann.observables import Histogram, StateOf
from genmol.plots import ensemble as drawn
from genmol.plots import ensemble_basins, ensemble_runs
from genmol.plots.style import svg
from genmol.report.page import Html, details, element, figure, pictures, section

__all__ = ["basin_pictures", "run_pictures", "torsions"]

_MOST_TORSIONS = 12  # shown at once


def torsions(histograms: Sequence[Histogram], folds: Sequence[int], names: Sequence[str]) -> Html:
    """Histograms of the torsions; empty without any.

    Args:
        histograms: over f·φ.
        folds: f.
        names: titles.
    """
    if not histograms:
        return Html("")
    shown = [
        element("figure", Html(svg(drawn.torsion(h, fold=fold, name=name), key=name)))
        for h, fold, name in zip(histograms, folds, names, strict=True)
    ]
    note = (
        "Line: share of the ensemble; dark band: its 95 % interval. Good: the band is narrow against "
        "the peaks, and equivalent wells are equally high. Atoms are numbered as in the drawing, from 0."
    )
    parts = [element("p", note, class_="note"), pictures(shown[:_MOST_TORSIONS], small=True)]
    if rest := shown[_MOST_TORSIONS:]:
        parts.append(details(f"{len(rest)} more", pictures(rest, small=True)))
    return section("Torsions", *parts)


def basin_pictures(
    states: Sequence[StateOf],
    labels: ArrayLike,
    run: ArrayLike,
    *,
    weights: ArrayLike | None = None,
    level: float = 0.95,
    chains: bool = True,
) -> Html:
    """Populations, and how they settle.

    Args:
        states: the most populated one first.
        labels: (m,) state of each draw.
        run: (m,) run of each draw, each in its order.
        weights: (m,); equal when None.
        level: of the intervals.
        chains: whether draws have an order in time.
    """
    runs = ensemble_basins.run_shares(labels, run, weights=weights)
    found = [
        figure(
            Html(svg(ensemble_basins.populations(states, runs=runs, level=level))),
            "Population of each basin. Good: the dots of the runs gather around the bar, and intervals "
            "are short against the populations.",
        )
    ]
    if chains:
        picture = ensemble_basins.running_populations(labels, run, weights=weights, states=states)
        found.append(
            figure(
                Html(svg(picture)),
                "Populations of the first draws; bars at the right are the final intervals. Good: thick "
                "lines are flat over the second half, and thin lines of the runs come together.",
            )
        )
    return pictures(found)


def run_pictures(
    energies: ArrayLike,
    run: ArrayLike,
    *,
    labels: ArrayLike | None = None,
    weights: ArrayLike | None = None,
    unit: str,
    kT: float | None = None,
    modes: int | None = None,
    trips: Sequence[int] = (),
    chains: bool = True,
) -> Html:
    """Energies, the basin of each draw, and weights where they are not equal.

    Args:
        energies: (m,) in ``unit``, up to a constant.
        run: (m,) run of each draw, each in its order.
        labels: (m,) basin of each draw; None where there are none.
        weights: (m,); equal when None.
        unit: of energies.
        kT: in ``unit``, with ``modes``: vibrations of a molecule.
        modes: how many.
        trips: round trips of each run.
        chains: whether draws have an order in time.
    """
    picture = drawn.energies(energies, run, weights=weights, unit=unit, kT=kT, modes=modes)
    width = "" if modes is None else (
        ", and the width is near that of a harmonic molecule at this temperature (dashed)"
    )  # fmt: skip
    found = [figure(Html(svg(picture)), f"Energies of the draws. Good: the runs agree{width}.")]
    if chains and labels is not None:
        found.append(
            figure(
                Html(svg(ensemble_runs.mixing(labels, run, trips=trips))),
                "Which basin each draw is in. Good: colours change often, and every run has all of "
                "the common ones.",
            )
        )
    w = np.ones(1) if weights is None else np.asarray(weights, dtype=np.float64)
    if np.ptp(w) > 1e-9 * float(w.max()):
        found.append(
            figure(
                Html(svg(ensemble_runs.sorted_weights(w))),
                "Weights by rank. Good: a flat line that falls only at the end; a steep start means "
                "that few draws decide.",
            )
        )
    return section("Energies and runs", pictures(found))
