"""What sampling must and should reach, from the rows of ``genmol benchmark sample``.

A free energy of a right ensemble is outside of two standard errors once in twenty, so of the basins a
share must agree, and no difference above 0.1 kcal/mol may exceed four standard errors. For the same
reason a toy's distance is a median over many sets.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from genmol.benchmark.summary import Target

__all__ = ["COSTS", "METRICS", "estimate_ratio", "sample_targets"]

Row = Mapping[str, Any]
Rows = Mapping[str, Mapping[str, Row]]

METRICS = {
    "energy_w2": "energy W2",
    "distance_tv": "TV of distances",
    "populations": "populations",
}
COSTS: Mapping[str, tuple[float, float | None]] = {
    "lj13": (264, 132),
    "lj55": (284, 142),
}
"""Toy -> gradients for an effective draw that must and should be reached; others are stated."""

_AGREE, _SIGMAS = 0.95, 4.0
_COVERAGE = 0.91, 0.98
_JOB_SECONDS, _JOB_DRAWS = 300.0, (150.0, 500.0)
_DIPEPTIDE_SECONDS, _DIPEPTIDE_SIGMAS = 180.0, 3.0
_FALSE_ALARMS = 0.05
_ESTIMATE = 2.0


def sample_targets(rows: Rows, wanted: Mapping[str, Sequence[str]], sizes: int) -> list[Target]:
    """The targets of section 4 of the conformers.

    Args:
        rows: rows by section and key.
        wanted: section -> keys of the rows that should be there.
        sizes: how many n the distances of a toy have.
    """

    def of(section: str) -> list[Row]:
        return list(rows.get(section, {}).values())

    return [
        *_toy_targets(of("toys"), len(wanted["toys"]), sizes),
        *_cost_targets(rows.get("cost", {}), wanted["cost"]),
        *_molecule_targets(of("mmff"), len(wanted["mmff"]), "MMFF94"),
        *_molecule_targets(of("gfn2"), len(wanted["gfn2"]), "GFN2"),
        *_interval_targets(of("intervals"), len(wanted["intervals"])),
        *_job_targets(of("glycerol"), len(wanted["glycerol"])),
        *_dipeptide_targets(of("alanine"), len(wanted["alanine"])),
        *_detector_targets(rows.get("detector", {}), wanted["detector"]),
    ]


def estimate_ratio(row: Row) -> float:
    """Of the seconds that the job said after 30 s and those of its pace, the larger over the other."""
    said, took = float(row["expected_seconds"]), float(row["would_take"])
    return max(said, took) / max(min(said, took), 1e-9)


def _of(values: Sequence[float], combine: Callable[[Sequence[float]], float]) -> float | None:
    return float(combine(values)) if values else None


def _toy_targets(rows: list[Row], wanted: int, sizes: int) -> list[Target]:
    found = []
    for metric, words in METRICS.items():
        ratios = [
            float(size["genmol"][metric]) / float(size["floor"][metric]["high"])
            for row in rows
            for size in row["sizes"].values()
        ]
        found.append(
            Target(
                f"toys: {words} over the end of the band of exact against exact, maximum",
                _of(ratios, max), 1.0, None, len(ratios), wanted * sizes,
            )
        )  # fmt: skip
    return found


def _cost_targets(rows: Mapping[str, Row], wanted: Sequence[str]) -> list[Target]:
    found = []
    for name in wanted:
        if name not in COSTS:
            continue
        must, goal = COSTS[name]
        values = [float(rows[name]["genmol"]["gradients_per_effective"])] if name in rows else []
        note = ""
        if name in rows:
            plain = float(rows[name]["plain HMC"]["gradients_per_effective"])
            note = f"plain HMC {plain:.0f}"
        found.append(
            Target(
                f"gradients for an effective draw, {name.upper()}",
                _of(values, max), must, goal, len(values), 1, note=note,
            )
        )  # fmt: skip
    return found


def _molecule_targets(rows: list[Row], wanted: int, level: str) -> list[Target]:
    compared = sum(row["compared"] for row in rows)
    inside = sum(row["inside"] for row in rows)
    largest = [float(row["largest_z"]) for row in rows]
    sizes = [float(row["ours"]["n_effective"]) / row["wanted"] for row in rows]
    fewest = [float(row["ours"]["n_effective"]) for row in rows]
    n = len(rows)
    return [
        Target(
            f"{level}: free energies within max(0.1 kcal/mol, 2σ) of two references (share)",
            inside / compared if compared else None, _AGREE, None, n, wanted, at_least=True,
            note=f"{inside} of {compared}" if compared else "",
        ),
        Target(
            f"{level}: largest difference above 0.1 kcal/mol (σ)",
            _of(largest, max), _SIGMAS, None, n, wanted,
        ),
        Target(
            f"{level}: effective draws over those wanted, minimum",
            _of(sizes, min), 1.0, None, n, wanted, at_least=True,
            note=f"fewest {min(fewest):.0f}" if rows else "",
        ),
    ]  # fmt: skip


def _interval_targets(rows: list[Row], wanted: int) -> list[Target]:
    shares, (low, high) = [float(row["coverage"]) for row in rows], _COVERAGE
    return [
        Target("intervals of 95 %: share that holds the truth, minimum",
               _of(shares, min), low, None, len(rows), wanted, at_least=True),
        Target("intervals of 95 %: share that holds the truth, maximum",
               _of(shares, max), high, None, len(rows), wanted),
    ]  # fmt: skip


def _job_targets(rows: list[Row], wanted: int) -> list[Target]:
    n, (must, goal) = len(rows), _JOB_DRAWS
    expected = [estimate_ratio(row) for row in rows]
    note = ""
    if rows:
        note = f"said {rows[0]['expected_seconds']:.0f} s, pace {rows[0]['would_take']:.0f} s"
    return [
        Target("glycerol at GFN2, 500 conformers: seconds", _of([r["seconds"] for r in rows], max),
               _JOB_SECONDS, None, n, wanted),
        Target("glycerol at GFN2: effective draws", _of([r["n_effective"] for r in rows], min),
               must, goal, n, wanted, at_least=True),
        Target("glycerol at GFN2: estimate after 30 s against the pace (factor)",
               _of(expected, max), _ESTIMATE, None, n, wanted, note=note),
    ]  # fmt: skip


def _dipeptide_targets(rows: list[Row], wanted: int) -> list[Target]:
    n = len(rows)
    signs = [abs(one["z"]) for row in rows for one in row["phi"].values()]
    share = [row["inside"] / row["compared"] for row in rows if row["compared"]]
    sigmas = [max(float(row["largest_z"]), *signs) for row in rows]
    seen = [row["phi"]["ours"]["share"] for row in rows]
    note = f"φ > 0: {seen[0]:.3f}" if seen else ""
    return [
        Target("alanine dipeptide at MMFF94: seconds", _of([r["seconds"] for r in rows], max),
               _DIPEPTIDE_SECONDS, None, n, wanted),
        Target("alanine dipeptide: free energies within max(0.1 kcal/mol, 2σ) (share)",
               _of(share, min), _AGREE, None, n, wanted, at_least=True),
        Target("alanine dipeptide: largest deviation of a basin or a sign of φ (σ)",
               _of(sigmas, max), _DIPEPTIDE_SIGMAS, None, n, wanted, note=note),
    ]  # fmt: skip


def _detector_targets(rows: Mapping[str, Row], wanted: Sequence[str]) -> list[Target]:
    faults = {key: row for key, row in rows.items() if not key.startswith("correct ")}
    correct = [row for key, row in rows.items() if key.startswith("correct ")]
    skipped = [key for key, row in faults.items() if "skipped" in row]
    missed = [key for key, row in faults.items() if key not in skipped and not row["flagged"]]
    sets = sum(row["sets"] for row in correct)
    alarms = sum(row["flagged"] for row in correct)
    batches = sum(key.startswith("correct ") for key in wanted)
    notes = [f"skipped: {', '.join(skipped)}"] if skipped else []
    notes += [f"not seen: {', '.join(missed)}"] if missed else []
    return [
        Target("detector: faults that are not flagged", float(len(missed)) if faults else None,
               0, None, len(faults), len(wanted) - batches, note="; ".join(notes)),
        Target("detector: false alarms (share of correct sets)", alarms / sets if sets else None,
               _FALSE_ALARMS, None, len(correct), batches,
               note=f"{alarms} of {sets}" if sets else ""),
    ]  # fmt: skip


def worst_error(row: Row, way: str) -> float:
    """The largest error of a baseline, kcal/mol; infinite where a listed basin was not seen."""
    return float(row["baselines"].get(way, {}).get("error", math.nan))
