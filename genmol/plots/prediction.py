"""Picture of a prediction: frontier orbitals and atomic charges, each with its interval."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from genmol.core.units import HARTREE_TO_EV
from genmol.plots.style import BLACK, GREY, PALETTE, save, styled

__all__ = ["frontier_and_charges", "save_prediction", "show_charges", "show_frontier"]

_EACH_SIDE = 4  # occupied and empty orbitals shown


def frontier_and_charges(result: Mapping[str, Any], symbols: Sequence[str]) -> Figure:
    """Orbital energies around the gap on the left, charges of the atoms on the right.

    Args:
        result: what :meth:`genmol.scf.prediction.Prediction.to_dict` gives.
        symbols: of the atoms.
    """
    with styled():
        figure = Figure(figsize=(12.0, 5.6), layout="constrained")
        left, right = figure.subplots(1, 2, width_ratios=(2, 3))
        intervals = result["intervals"]
        show_frontier(
            left,
            result["orbital_energies_hartree"],
            result["n_occupied"],
            intervals.get("orbital_energies_hartree"),
        )
        show_charges(right, symbols, result["mulliken_charges"], intervals.get("mulliken_charges"))
        figure.suptitle(_headline(result), x=0.01, ha="left", fontsize=12, color=BLACK)
    return figure


def save_prediction(
    path: str | os.PathLike[str], result: Mapping[str, Any], symbols: Sequence[str]
) -> None:
    """Write :func:`frontier_and_charges` to ``path`` (.png, .pdf, .svg)."""
    save(frontier_and_charges(result, symbols), path)


def show_frontier(axes: Axes, energy_hartree: Any, n_occupied: int, intervals: Any) -> None:
    """Draw the orbitals on either side of the gap, from left to right by energy.

    Args:
        axes: where.
        energy_hartree: (n,), ascending.
        n_occupied: doubly occupied orbitals.
        intervals: (n, 2) in Hartree, or None.
    """
    energies = np.asarray(energy_hartree, dtype=float) * HARTREE_TO_EV
    first, last = max(0, n_occupied - _EACH_SIDE), min(len(energies), n_occupied + _EACH_SIDE)
    place = np.arange(first, last) - n_occupied + 0.5
    for kind, colour in (("occupied", PALETTE[0]), ("empty", PALETTE[1])):
        side = place < 0 if kind == "occupied" else place > 0
        x, y = place[side], energies[first:last][side]
        axes.hlines(y, x - 0.4, x + 0.4, color=colour, linewidth=2.4, label=kind)
        if intervals is not None:
            bounds = np.asarray(intervals, dtype=float)[first:last][side] * HARTREE_TO_EV
            _bars(axes, x, y, bounds, colour)
    axes.set_xticks(place, [_name(int(x // 1)) for x in place], fontsize=10)
    axes.grid(visible=False, axis="x")
    axes.set_ylabel("orbital energy / eV")
    axes.set_title("Frontier orbitals")
    handles, _ = axes.get_legend_handles_labels()
    if intervals is not None:
        handles.append(Line2D([], [], color=GREY, linewidth=1.4, label="interval"))
    axes.legend(handles=handles, loc="upper left")


def show_charges(axes: Axes, symbols: Sequence[str], charges: Any, intervals: Any) -> None:
    """Draw Mulliken charges (e) as bars.

    Args:
        axes: where.
        symbols: of the atoms, as many as there are charges.
        charges: (n_atoms,).
        intervals: (n_atoms, 2), or None.
    """
    x, y = np.arange(len(symbols)), np.asarray(charges, dtype=float)
    axes.bar(x, y, width=0.7, color=[PALETTE[5] if q < 0 else PALETTE[4] for q in y])
    if intervals is not None:
        _bars(axes, x, y, np.asarray(intervals, dtype=float), BLACK)
    axes.axhline(0.0, color=BLACK, linewidth=0.9)
    names = [f"{symbol}{i + 1}" for i, symbol in enumerate(symbols)]
    step = 1 + len(names) // 40
    axes.set_xticks(x[::step], names[::step], fontsize=10, rotation=90 if len(names) > 15 else 0)
    axes.grid(visible=False, axis="x")
    axes.set_ylabel("Mulliken charge / e")
    axes.set_title("Charges")


def _name(place: int) -> str:
    """Of an orbital counted from the lowest empty one."""
    return {-1: "HOMO", 0: "LUMO"}.get(place, f"−{-1 - place}" if place < 0 else f"+{place}")


def _bars(axes: Axes, x: np.ndarray, y: np.ndarray, bounds: np.ndarray, colour: str) -> None:
    around = np.abs(bounds.T - y)
    axes.errorbar(
        x, y, yerr=around, fmt="none", ecolor=colour, elinewidth=1.4, capsize=4, alpha=0.8
    )


def _headline(result: Mapping[str, Any]) -> str:
    settings, coverage = result["settings"], result["coverage"]
    level = f"{settings['functional']['code']}/{settings['basis']}"
    bars = f", intervals of {coverage:.0%} coverage" if coverage else ""
    return f"predicted {level} by {result['learned']['model']}, no solve{bars}"
