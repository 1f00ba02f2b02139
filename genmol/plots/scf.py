"""Pictures of a solve: how ``|g|`` falls with exact Fock builds, and where the orbitals lie."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from genmol.core.units import HARTREE_TO_EV
from genmol.plots.style import BLACK, GREY, MARKERS, PALETTE, save, styled

__all__ = [
    "History",
    "columns",
    "convergence",
    "convergence_and_levels",
    "own_histories",
    "save_convergence",
    "show_convergence",
    "show_levels",
]

History = Sequence[Sequence[float]]
"""Pairs of exact Fock builds so far and ``|g|`` (Hartree)."""

_BELOW, _ABOVE = 22.0, 10.0  # eV shown below the HOMO and above the LUMO
_SAME = 0.12  # eV; closer levels are drawn side by side
_KINDS = {"empty": PALETTE[1], "half filled": PALETTE[2], "occupied": PALETTE[0]}


def convergence_and_levels(result: Mapping[str, Any]) -> Figure:
    """Convergence on the left, orbital energies on the right.

    Args:
        result: what ``Report.to_dict()`` gives (``attempts`` and ``settings`` are read), and if they
            are to be shown also ``baselines``, name -> pairs of exact Fock builds and ``|g|``
            (Hartree), and ``orbitals`` with ``energy_hartree`` and ``occupation``, (n,) or (2, n).
    """
    with styled():
        levels = "orbitals" in result
        figure = Figure(figsize=(12.0, 5.6), layout="constrained")
        axes = figure.subplots(1, 2, width_ratios=(3, 2)) if levels else [figure.subplots()]
        threshold = float(result["settings"]["conv_tol"]) ** 0.5
        show_convergence(
            axes[0], own_histories(result), result.get("baselines", {}), threshold=threshold
        )
        if levels:
            orbitals = result["orbitals"]
            show_levels(axes[1], orbitals["energy_hartree"], orbitals["occupation"])
        figure.suptitle(_headline(result), x=0.01, ha="left", fontsize=12, color=BLACK)
    return figure


def convergence(
    own: Mapping[str, History], baselines: Mapping[str, History], *, threshold: float
) -> Figure:
    """The convergence alone; arguments as in :func:`show_convergence`."""
    with styled():
        figure = Figure(figsize=(12.0, 5.6), layout="constrained")
        show_convergence(figure.subplots(), own, baselines, threshold=threshold)
    return figure


def save_convergence(path: str | os.PathLike[str], result: Mapping[str, Any]) -> None:
    """Write :func:`convergence_and_levels` to ``path`` (.png, .pdf, .svg)."""
    save(convergence_and_levels(result), path)


def own_histories(result: Mapping[str, Any]) -> dict[str, History]:
    """Exact builds and ``|g|`` of every attempt; the builds count on from one to the next.

    The two-level solver measures ``|g|`` at every build. PySCF's iterations measure none at their first
    build, and their record does not tell at which builds Newton did: only its end is shown.
    """
    histories: dict[str, History] = {}
    before = 0
    for attempt in result["attempts"]:
        strategy, norms, builds = (
            attempt[k] for k in ("strategy", "gradient_norms", "exact_builds")
        )
        if strategy == "newton":
            points = [(before + builds, norm) for norm in norms[-1:]]
        else:
            first = 1 if len(norms) == builds else 2
            points = [(before + first + i, norm) for i, norm in enumerate(norms)]
        if points:
            histories[strategy] = points
        before += builds
    return histories


def show_convergence(
    axes: Axes, own: Mapping[str, History], baselines: Mapping[str, History], *, threshold: float
) -> None:
    """Draw ``|g|`` against exact Fock builds.

    Args:
        axes: where.
        own: our attempts by name, drawn in front.
        baselines: plain PySCF by guess.
        threshold: of ``|g|`` (Hartree).
    """
    for i, (name, points) in enumerate(baselines.items()):
        x, y = columns(points)
        label = f"PySCF from {name}" + (" (its default)" if name == "minao" else "")
        axes.plot(
            x,
            y,
            color=PALETTE[i % 6],
            marker=MARKERS[i % 6],
            label=label,
            alpha=0.9,
            markersize=5.5,
        )
    for i, (name, points) in enumerate(own.items()):
        x, y = columns(points)
        axes.plot(
            x, y, color=BLACK, marker="o", markersize=9, linewidth=2.6,
            linestyle=("-", "--", "-.", ":")[i % 4], label=f"genmol, {name}", zorder=5,
        )  # fmt: skip
    axes.axhline(threshold, color=GREY, linestyle=(0, (5, 3)), linewidth=1.3)
    axes.set_yscale("log")
    builds = [x for points in (*own.values(), *baselines.values()) for x, _ in points]
    axes.set_xlim(0.5, max([*builds, 5.0]) + 0.5)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=16, integer=True))
    axes.annotate(
        f"threshold {threshold:.1e} Hartree", (2.4, threshold), xytext=(0, 4),
        textcoords="offset points", va="bottom", color="#5f5f5f", fontsize=10.5,
    )  # fmt: skip
    axes.set_xlabel("exact Fock builds")
    axes.set_ylabel("orbital gradient norm |g| / Hartree")
    axes.set_title("Convergence")
    handles, labels = axes.get_legend_handles_labels()
    ours_first = [*range(len(baselines), len(handles)), *range(len(baselines))]
    axes.legend(
        [handles[i] for i in ours_first], [labels[i] for i in ours_first], loc="upper right"
    )


def show_levels(axes: Axes, energy_hartree: Any, occupation: Any) -> None:
    """Draw orbital energies around the gap, occupied and empty ones, one column a spin.

    Args:
        axes: where.
        energy_hartree: (n,) or (2, n).
        occupation: the same shape; 2, 1 or 0.
    """
    energies = np.atleast_2d(np.asarray(energy_hartree, dtype=float)) * HARTREE_TO_EV
    occupations = np.atleast_2d(np.asarray(occupation, dtype=float))
    names = ("α", "β") if len(energies) == 2 else ()
    edges = [_edges(e, n) for e, n in zip(energies, occupations, strict=True)]
    low = min(homo for homo, _ in edges if np.isfinite(homo)) - _BELOW
    high = max(edge for pair in edges for edge in pair if np.isfinite(edge)) + _ABOVE
    for column, (e, n) in enumerate(zip(energies, occupations, strict=True)):
        _column(axes, column, e, n, (low, high))
        _mark_gap(axes, column, *edges[column])
        hidden = int(np.sum((e < low) & (n > 0)))
        if hidden:
            axes.annotate(
                f"{hidden} core orbital{'s' * (hidden > 1)} below", (column, 0.0),
                xycoords=("data", "axes fraction"), xytext=(0, 5), textcoords="offset points",
                ha="center", color="#5f5f5f", fontsize=10,
            )  # fmt: skip
    axes.set_ylim(low - 3.0, high + 3.5)  # room for the notes below and the legend above
    axes.set_xlim(-0.6, len(energies) - 0.05)
    axes.set_xticks(range(len(names)), names)
    axes.grid(visible=False, axis="x")
    axes.set_ylabel("orbital energy / eV")
    axes.set_title("Orbitals")
    shown = {kind for n in occupations for kind in _kinds(n)}
    axes.legend(
        handles=[
            Line2D([], [], color=colour, linewidth=2.6, label=kind)
            for kind, colour in _KINDS.items()
            if kind in shown
        ],
        loc="upper left",
        ncols=len(shown),
    )


def _column(
    axes: Axes, column: int, energy: np.ndarray, occupation: np.ndarray, window: tuple[float, float]
) -> None:
    """The levels of one spin as bars; nearly equal ones share the width."""
    inside = np.flatnonzero((energy >= window[0]) & (energy <= window[1]))
    inside = inside[np.argsort(energy[inside], kind="stable")]
    kinds = _kinds(occupation)
    groups = np.split(inside, np.flatnonzero(np.diff(energy[inside]) > _SAME) + 1)
    for group in groups:
        width = 0.62 / max(len(group), 1)
        for place, i in enumerate(group):
            left = column - 0.31 + place * width
            axes.hlines(
                energy[i], left + 0.012, left + width - 0.012,
                color=_KINDS[kinds[i]], linewidth=2.2,
            )  # fmt: skip


def _mark_gap(axes: Axes, column: int, homo: float, lumo: float) -> None:
    if not (np.isfinite(homo) and np.isfinite(lumo)):
        return
    place = column + 0.42
    axes.annotate(
        "", (place, lumo), (place, homo),
        arrowprops={"arrowstyle": "<->", "color": BLACK, "shrinkA": 0, "shrinkB": 0},
    )  # fmt: skip
    axes.annotate(
        f"gap\n{lumo - homo:.2f} eV", (place, 0.5 * (homo + lumo)), xytext=(6, 0),
        textcoords="offset points", va="center", fontsize=11, color=BLACK,
    )  # fmt: skip


def _edges(energy: np.ndarray, occupation: np.ndarray) -> tuple[float, float]:
    """HOMO and LUMO (eV); -inf and inf where a side is empty."""
    homo = energy[occupation > 0].max(initial=-np.inf)
    return float(homo), float(energy[occupation == 0].min(initial=np.inf))


def _kinds(occupation: np.ndarray) -> list[str]:
    """``occupied``, ``half filled`` (of a restricted open shell) or ``empty``, for each orbital."""
    full = occupation.max(initial=0.0)
    return ["empty" if n == 0 else "occupied" if n == full else "half filled" for n in occupation]


def columns(points: History) -> tuple[list[float], list[float]]:
    """Builds and norms apart."""
    return [float(x) for x, _ in points], [float(y) for _, y in points]


def _headline(result: Mapping[str, Any]) -> str:
    settings = result["settings"]
    level = f"{settings['functional']['code']}/{settings['basis']}"
    size = f"{settings['n_atoms']} atoms, {settings['n_orbitals']} orbitals"
    return f"{settings['method']} {level}, {size}"
