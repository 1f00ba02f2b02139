"""Pictures of a learned Fock matrix: the matrix, its errors, what it is worth, how it was trained."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.colorbar import Colorbar
from matplotlib.colors import LogNorm, SymLogNorm
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter, NullLocator

from genmol.plots.scf import History, columns
from genmol.plots.style import BLACK, GREY, MARKERS, PALETTE, styled

__all__ = ["block_errors", "fock_matrices", "gradient_ladder", "training_curves"]

Matrix = Float[np.ndarray, "n n"]
Kind = tuple[int, str, str]
"""Of an atomic orbital: index of its atom, element, shell type (s, p, d, f)."""

_LEARNED = "learned"


def fock_matrices(
    predicted: Matrix, true: Matrix, kinds: Sequence[Kind], *, title: str = ""
) -> Figure:
    """Predicted and true matrix on one scale, and their difference on its own.

    Args:
        predicted, true: Hartree.
        kinds: of the orbitals, in the order of the matrices.
        title: of the whole.
    """
    difference = 1e6 * (predicted - true)
    largest = float(np.abs(true).max())
    worst = float(max(np.abs(difference).max(), 1e-3))
    with styled():
        figure = Figure(figsize=(12.0, 4.9), layout="constrained")
        axes = figure.subplots(1, 3)
        norm = SymLogNorm(linthresh=1e-2, vmin=-largest, vmax=largest)
        for ax, matrix, name in ((axes[0], predicted, "Predicted"), (axes[1], true, "Solved")):
            image = ax.imshow(matrix, norm=norm, cmap="RdBu_r", interpolation="nearest")
            _atoms(ax, kinds)
            ax.set_title(name)
        bar = figure.colorbar(image, ax=axes[:2], location="bottom", shrink=0.6, aspect=40)
        bar.set_label("F / Hartree")
        _symmetric_ticks(bar, 1e-2, largest)
        own = SymLogNorm(linthresh=worst / 100, vmin=-worst, vmax=worst)
        image = axes[2].imshow(difference, norm=own, cmap="PuOr_r", interpolation="nearest")
        _atoms(axes[2], kinds)
        axes[2].set_title(f"Difference, mean {np.abs(difference).mean():.0f} µEh")
        bar = figure.colorbar(image, ax=axes[2], location="bottom", shrink=0.9, aspect=28)
        bar.set_label("predicted − solved / µEh")
        _symmetric_ticks(bar, worst / 100, worst)
        figure.suptitle(title, x=0.01, ha="left", fontsize=12, color=BLACK)
    return figure


def block_errors(error: Matrix, kinds: Sequence[Kind], *, title: str = "") -> Figure:
    """Mean absolute error of every kind of block: on an atom, and between two atoms.

    Args:
        error: predicted minus true, Hartree.
        kinds: of the orbitals.
        title: of the whole.
    """
    atom = np.array([k[0] for k in kinds])
    order = {"s": 0, "p": 1, "d": 2, "f": 3}
    types = sorted(
        {k[1:] for k in kinds}, key=lambda t: (t[0] != "C", t[0] == "H", t[0], order[t[1]])
    )
    labels = [f"{element} {shell}" for element, shell in types]
    index = np.array([types.index(k[1:]) for k in kinds])
    same = atom[:, None] == atom[None, :]
    grids = []
    for chosen in (same, ~same):
        grid = np.full((len(types), len(types)), np.nan)
        for a in range(len(types)):
            for b in range(a + 1):
                block = chosen & (
                    (index[:, None] == a) & (index[None, :] == b)
                    | (index[:, None] == b) & (index[None, :] == a)
                )
                if block.any():
                    grid[a, b] = 1e6 * np.abs(error[block]).mean()
        grids.append(grid)
    shown = np.concatenate([grid[np.isfinite(grid)] for grid in grids])
    norm = LogNorm(max(shown.min(), 1e-2), max(shown.max(), 2e-2))
    with styled():
        figure = Figure(figsize=(12.0, 5.4), layout="constrained")
        axes = figure.subplots(1, 2)
        for ax, grid, name in zip(axes, grids, ("On an atom", "Between two atoms"), strict=True):
            image = ax.imshow(grid, norm=norm, cmap="YlOrRd", interpolation="nearest")
            for (a, b), value in np.ndenumerate(grid):
                if np.isfinite(value):
                    dark = norm(value) > 0.65
                    ax.text(
                        b, a, f"{value:.0f}" if value >= 10 else f"{value:.1f}", ha="center",
                        va="center", fontsize=11 if len(types) < 9 else 9,
                        color="white" if dark else BLACK,
                    )  # fmt: skip
            ax.set_xticks(
                range(len(labels)), labels, rotation=45, ha="right", rotation_mode="anchor"
            )
            ax.set_yticks(range(len(labels)), labels)
            ax.grid(visible=False)
            ax.set_title(name)
        bar = figure.colorbar(image, ax=axes, location="right", shrink=0.85)
        bar.set_label("mean |error| / µEh")
        figure.suptitle(title, x=0.01, ha="left", fontsize=12, color=BLACK)
    return figure


def gradient_ladder(
    starts: Mapping[str, Sequence[float]],
    paths: Mapping[str, History],
    *,
    threshold: float,
    title: str = "",
) -> Figure:
    """How far every start is from the solution, and how it gets there.

    Args:
        starts: name -> ``|g|`` of its first orbitals at the exact level (Hartree), a number for every
            molecule; names that begin with ``learned`` stand out.
        paths: name -> pairs of exact Fock builds and ``|g|``; the same rule.
        threshold: of ``|g|`` (Hartree).
        title: of the whole.
    """
    with styled():
        figure = Figure(figsize=(12.0, 5.2), layout="constrained")
        left, right = figure.subplots(1, 2, width_ratios=(2, 3))
        _starts(left, starts)
        _paths(right, paths, threshold)
        figure.suptitle(title, x=0.01, ha="left", fontsize=12, color=BLACK)
    return figure


def training_curves(runs: Mapping[str, Sequence[Mapping[str, Any]]], *, title: str = "") -> Figure:
    """Fock error, orbital gradient and wrong occupations against training time.

    Args:
        runs: name -> lines of ``metrics.jsonl`` (:mod:`genmol.train.journal`).
        title: of the whole.
    """
    panels = {
        "Fock matrix": ("mean |error| / µEh", 1e6, {"train": "mae", "validation": "fock_mae"}),
        "Orbital gradient": ("median |g| / Hartree", 1.0, {"validation": "gradient_median"}),
        "Wrong occupations": ("share of molecules", 1.0, {"validation": "wrong"}),
    }
    with styled():
        figure = Figure(figsize=(12.0, 4.4), layout="constrained")
        for ax, (name, (label, factor, keys)) in zip(
            figure.subplots(1, 3), panels.items(), strict=True
        ):
            logarithmic = name != "Wrong occupations"
            for i, (run, lines) in enumerate(runs.items()):
                for kind, key in keys.items():
                    rows = [row for row in lines if row["kind"] == kind and key in row]
                    minutes = [row["minutes"] for row in rows]
                    values = [factor * float(row[key]) for row in rows]
                    held = kind == "validation"
                    ax.plot(
                        minutes, values, color=PALETTE[i % 6], linestyle="-" if held else ":",
                        linewidth=2.0 if held else 1.4, marker=MARKERS[i % 6] if held else None,
                        markersize=5, label=f"{run}, {'held out' if held else 'training'}",
                    )  # fmt: skip
            if logarithmic:
                ax.set_yscale("log")
                _plain_ticks(ax)
            else:
                ax.set_ylim(bottom=0.0)
            ax.set_xlim(left=0.0)
            ax.set_xlabel("minutes of training")
            ax.set_ylabel(label)
            ax.set_title(name)
        handles, labels = figure.axes[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=min(len(labels), 4))
        figure.suptitle(title, x=0.01, ha="left", fontsize=12, color=BLACK)
    return figure


def _atoms(ax: Axes, kinds: Sequence[Kind]) -> None:
    """Lines between atoms, their symbols in the middle of their orbitals."""
    atom = np.array([k[0] for k in kinds])
    firsts = np.flatnonzero(np.diff(atom, prepend=-1))
    ends = [*firsts[1:], len(atom)]
    for first in firsts[1:]:
        for line in (ax.axhline, ax.axvline):
            line(first - 0.5, color=GREY, linewidth=0.4)
    middle = [(a + b - 1) / 2 for a, b in zip(firsts, ends, strict=True)]
    wide = [i for i, (a, b) in enumerate(zip(firsts, ends, strict=True)) if b - a > len(atom) / 60]
    ticks, names = [middle[i] for i in wide], [kinds[firsts[i]][1] for i in wide]
    ax.set_xticks(ticks, names)
    ax.set_yticks(ticks, names)
    ax.tick_params(length=0, labelsize=10 if len(wide) <= 12 else 8)
    ax.grid(visible=False)


def _symmetric_ticks(bar: Colorbar, linear: float, largest: float) -> None:
    """Powers of ten on both sides, none so near to zero that labels would touch."""
    powers = np.arange(np.ceil(np.log10(4 * linear)), np.floor(np.log10(largest)) + 1)
    positive = [10.0**power for power in powers]
    ticks = [*(-value for value in positive[::-1]), 0.0, *positive]
    bar.set_ticks(ticks, labels=[f"{tick:g}".replace("-", "−") for tick in ticks])
    bar.minorticks_off()


def _starts(ax: Axes, starts: Mapping[str, Sequence[float]]) -> None:
    names = list(starts)
    for row, (name, values) in enumerate(starts.items()):
        colour = PALETTE[5] if name.startswith(_LEARNED) else PALETTE[0]
        ax.plot(values, [row] * len(values), "o", color=colour, alpha=0.55, markersize=7)
        middle = float(np.median(values))
        ax.plot([middle, middle], [row - 0.3, row + 0.3], color=BLACK, linewidth=2.2)
    ax.set_xscale("log")
    ax.set_yticks(range(len(names)), names)
    ax.set_ylim(len(names) - 0.4, -0.6)
    ax.set_xlabel("|g| of the first orbitals / Hartree")
    many = max((len(values) for values in starts.values()), default=0) > 1
    ax.set_title("Starts" + (", one point a molecule" if many else ""))
    ax.grid(visible=False, axis="y")


def _paths(ax: Axes, paths: Mapping[str, History], threshold: float) -> None:
    styles: dict[bool, int] = defaultdict(int)
    for name, points in paths.items():
        own = name.startswith(_LEARNED)
        i = styles[own]
        styles[own] += 1
        x, y = columns(points)
        if own:
            ax.plot(
                x, y, color=PALETTE[5], marker="o", markersize=8, linewidth=2.6,
                linestyle=("-", "--", "-.", ":")[i % 4], label=name, zorder=5,
            )  # fmt: skip
        else:
            ax.plot(x, y, color=PALETTE[i % 5], marker=MARKERS[i % 6], label=name, alpha=0.9)
    ax.axhline(threshold, color=GREY, linestyle=(0, (5, 3)), linewidth=1.3)
    ax.annotate(
        f"threshold {threshold:.1e} Hartree", (2.3, threshold), xytext=(0, -4),
        textcoords="offset points", va="top", color="#5f5f5f",
        fontsize=10.5,
    )  # fmt: skip
    ax.set_yscale("log")
    ax.xaxis.set_major_locator(MaxNLocator(nbins=14, integer=True))
    builds = [x for points in paths.values() for x, _ in points]
    ax.set_xlim(0.5, max([*builds, 4.0]) + 0.5)
    ax.set_xlabel("exact Fock builds")
    ax.set_ylabel("orbital gradient norm |g| / Hartree")
    ax.set_title("The way to the solution")
    ax.legend(loc="best", handlelength=3.2)


def _plain_ticks(ax: Axes) -> None:
    """Numbers such as 20, 50, 100 on a logarithmic axis that spans little."""
    low, high = ax.get_ylim()
    if high / low < 300:
        ax.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        ax.yaxis.set_minor_locator(NullLocator())
        ax.yaxis.set_minor_formatter(NullFormatter())
