"""What the learned Fock matrix must and should reach, from the rows of ``genmol benchmark learned``."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from statistics import fmean, median
from typing import Any

from genmol.benchmark.summary import Target

__all__ = ["learned_targets", "refused_or_better", "warm_ratio"]

Row = Mapping[str, Any]
Rows = Mapping[str, Mapping[str, Row]]
_LARGE = 20  # atoms from which the learned guess is to save time
_PREDICT = 15  # atoms from which predict mode is to beat the cheap SCF clearly
_FEWEST = 15  # molecules that a mean over all of them needs


def learned_targets(rows: Rows, wanted: Mapping[str, Sequence[Row]]) -> list[Target]:
    """The targets of section 4 of the learned guess.

    Args:
        rows: rows by section and key.
        wanted: section -> for every row that should be there its number of ``atoms``.
    """

    def of(section: str) -> list[Row]:
        return list(rows.get(section, {}).values())

    count = {section: len(expected) for section, expected in wanted.items()}
    held, transfer = of("accuracy"), of("transfer")
    return [
        *_fock_targets(held, count["accuracy"]),
        *_guard_targets([*held, *transfer], count["accuracy"] + count["transfer"]),
        *_warm_targets(of("warm"), count["warm"]),
        *_solver_targets(of("solver"), of("cold"), wanted),
        *_property_targets(held, count["accuracy"], "", (100, 20), dipole=True),
        *_time_targets(of("times"), wanted["times"]),
        *_ethanol_targets(of("ethanol"), count["ethanol"]),
        _equivariance_target(of("equivariance"), count["equivariance"]),
    ]


def warm_ratio(rows: Sequence[Row], base: str) -> float | None:
    """Cycles of plain PySCF from the prediction over those from ``base``, summed over molecules.

    A build hidden in the network's input counts as a cycle.
    """
    if not rows:
        return None
    learned = sum(row["learned"]["cycles"] + row["hidden_builds"] for row in rows)
    return float(learned / sum(row[base]["cycles"] for row in rows))


def refused_or_better(row: Row) -> bool:
    """``|g|`` of the prediction below that of superposed atoms, or else the guard refuses it."""
    return bool(row["gradient"] < row["gradient_minao"] or not row["accepted"])


def _fock_targets(rows: list[Row], wanted: int) -> list[Target]:
    mean = [1e6 * row["learned"]["fock_mae"] for row in rows]
    ov = [1e6 * row["learned"]["ov_mae"] for row in rows]
    return [
        Target(
            "Fock MAE, at most 7 heavy atoms (µEh)",
            _of(mean, fmean), 200, 60, len(rows), wanted,
            note=f"occupied-virtual {fmean(ov):.0f}, largest {max(mean):.0f}" if rows else "",
        )
    ]  # fmt: skip


def _guard_targets(rows: list[Row], wanted: int) -> list[Target]:
    wrong = [row for row in rows if row["wrong"]]
    raw = [row for row in rows if row["wrong_unfiltered"]]
    missed = [row for row in rows if row["wrong"] and row["accepted"]]
    refused = sum(not row["accepted"] for row in rows)
    worse = [row for row in rows if not refused_or_better(row)]
    ratios = [row["gradient"] / row["gradient_minao"] for row in rows]
    n = len(rows)
    return [
        Target(
            "wrong occupations before the guard (share)",
            len(wrong) / n if n else None, 0.01, 0, n, wanted,
            note=f"{len(wrong)} of {n}; {len(raw)} without the small-overlap filter",
        ),
        Target(
            "wrong occupations that the guard lets pass (molecules)",
            float(len(missed)) if n else None, 0, None, n, wanted,
            note=f"{refused} guesses refused" if n else "",
        ),
        Target(
            "\\|g\\| not below that of minao, and not refused (molecules)",
            float(len(worse)) if n else None, 0, None, n, wanted,
            note=f"ratio {median(ratios):.2f}, {min(ratios):.2f} to {max(ratios):.2f}"
            if n else "",
        ),
    ]  # fmt: skip


def _warm_targets(rows: list[Row], wanted: int) -> list[Target]:
    def builds(base: str) -> str:
        if not rows:
            return ""
        ours = sum(r["learned"]["exact_fock_builds"] + r["hidden_builds"] for r in rows)
        return f"builds {ours / sum(r[base]['exact_fock_builds'] for r in rows):.2f}"

    names = {"minao": (0.75, 0.57), "1e": (0.45, 0.317)}
    return [
        Target(
            f"plain PySCF, cycles / those from {name}, hidden builds counted",
            warm_ratio(rows, name), must, goal, len(rows), wanted, note=builds(name),
            fewest=_FEWEST,
        )
        for name, (must, goal) in names.items()
    ]  # fmt: skip


def _solver_targets(
    rows: list[Row], cold: list[Row], wanted: Mapping[str, Sequence[Row]]
) -> list[Target]:
    more = [
        row["auto"]["exact_fock_builds"] - row["cheap-scf"]["exact_fock_builds"] for row in rows
    ]
    slower = [row["slower_seconds"] - 0.2 for row in rows]
    taken = sum(row["auto"]["guess"] == "learned" for row in rows)
    large = [row for row in rows if row["atoms"] >= _LARGE]
    ratios = [row["auto"]["cpu_seconds"] / row["cheap-scf"]["cpu_seconds"] for row in large]
    cheap = [(r["auto"]["cheap_fock_builds"], r["cheap-scf"]["cheap_fock_builds"]) for r in rows]
    fresh = [row["slower_seconds"] - 0.2 for row in cold]
    n, n_cold = len(wanted["solver"]), len(wanted["cold"])
    n_large = sum(row["atoms"] >= _LARGE for row in wanted["solver"])
    note = f"learned guess taken on {taken} of {len(rows)}"
    if rows:
        a, b = (median(x) for x in zip(*cheap, strict=True))
        note += f"; cheap builds {a:g} instead of {b:g}"
    over = sum(value > 0 for value in slower)
    return [
        Target(
            "two-level, automatic guess: more exact builds than without, maximum",
            _of(more, max), 0, None, len(rows), n, note=note,
        ),
        Target(
            "two-level, automatic guess: slower than without by more than 0.2 s, maximum (s)",
            _of(slower, max), 0, None, len(rows), n, note=f"{over} molecules over" if over else "",
        ),
        Target(
            f"two-level, automatic guess: time / without, {_LARGE} atoms and more, median",
            _of(ratios, median), 1, 0.85, len(large), n_large,
            note=f"{min(ratios):.2f} to {max(ratios):.2f}" if ratios else "",
        ),
        Target(
            "the same in a fresh process: slower by more than 0.2 s, maximum (s)",
            _of(fresh, max), 0, None, len(cold), n_cold,
        ),
    ]  # fmt: skip


def _property_targets(
    rows: list[Row], wanted: int, where: str, limits: tuple[float, float], *, dipole: bool
) -> list[Target]:
    def mae(key: str, source: str) -> float | None:
        return _of([abs(row[source][key]) for row in rows], fmean)

    def rival(key: str, digits: int) -> str:
        found = mae(key, "cheap")
        return "" if found is None else f"cheap SCF {found:.{digits}f}"

    found = [
        Target(
            f"predict{where}: {key.upper() if key != 'gap' else key} MAE (meV)",
            mae(f"{key}_mev", "predicted"), *limits, len(rows), wanted,
            note=rival(f"{key}_mev", 1),
        )
        for key in ("homo", "lumo", "gap")
    ]  # fmt: skip
    if not dipole:
        return found
    found.append(
        Target(
            f"predict{where}: dipole MAE (D)",
            mae("dipole_debye", "predicted"), 0.1, 0.02, len(rows), wanted,
            note=rival("dipole_debye", 4),
        )
    )  # fmt: skip
    shares = [share for row in rows for share in row["covered"].values()]
    stated = sum(bool(row["covered"]) for row in rows)
    coverage = _of(shares, fmean)
    return [
        *found,
        Target(
            f"predict{where}: numbers inside their intervals (share)",
            coverage, 0.90, None, stated, wanted, at_least=True,
            note="95 % stated" if shares else "", fewest=_FEWEST,
        ),
        Target(
            f"predict{where}: intervals not wider than needed (the same share)",
            coverage, 0.97, None, stated, wanted, fewest=_FEWEST,
        ),
    ]  # fmt: skip


def _time_targets(rows: list[Row], wanted: Sequence[Row]) -> list[Target]:
    def ratios(chosen: Callable[[Row], bool]) -> tuple[list[float], int]:
        found = [row["predict"] / row["cheap SCF"] for row in rows if chosen(row)]
        return found, sum(chosen(row) for row in wanted)

    large, n_large = ratios(lambda row: row["atoms"] >= _PREDICT)
    dipeptide, n_dipeptide = ratios(lambda row: row["atoms"] == 22)
    network = [1e3 * row["network"] for row in rows if row["atoms"] == 15]
    builds = [row for row in rows if row["atoms"] == 20]
    shares = [(row["network"] + row["diagonalisation"]) / row["exact build"] for row in builds]
    whole = [(row["predict"]) / row["exact build"] for row in builds]
    return [
        Target(
            f"predict: time / cheap SCF, {_PREDICT} atoms and more, maximum",
            _of(large, max), 0.3, None, len(large), n_large,
        ),
        Target(
            "predict: time / cheap SCF, 22 atoms",
            _of(dipeptide, max), 0.3, 0.05, len(dipeptide), n_dipeptide,
        ),
        Target(
            "network alone, 15 atoms (ms)", _of(network, max), 50, None, len(network),
            sum(row["atoms"] == 15 for row in wanted),
        ),
        Target(
            "inference / exact Fock build, 20 atoms", _of(shares, max), 0.25, None, len(shares),
            sum(row["atoms"] == 20 for row in wanted),
            note=f"with integrals and F_init {max(whole):.2f}" if whole else "",
        ),
    ]  # fmt: skip


def _ethanol_targets(rows: list[Row], wanted: int) -> list[Target]:
    mean = [1e6 * row["learned"]["fock_mae"] for row in rows]
    return [
        Target("Fock MAE, ethanol, 500 labels (µEh)", _of(mean, fmean), 40, 15, len(rows), wanted),
        *_property_targets(rows, wanted, ", ethanol", (40, 10), dipole=False),
    ]


def _equivariance_target(rows: list[Row], wanted: int) -> Target:
    worst = [max(row[kind].values()) for row in rows for kind in ("trained", "random")]
    quantity = "equivariance, float64, trained and random weights: relative deviation"
    return Target(quantity, _of(worst, max), 1e-10, None, len(rows), wanted)


def _of(values: Sequence[float], combine: Callable[[Sequence[float]], float]) -> float | None:
    if not values:
        return None
    numbers = [float(value) for value in values]
    return math.nan if any(map(math.isnan, numbers)) else float(combine(numbers))
