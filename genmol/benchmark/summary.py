"""From rows to targets: what must hold, what would be good, and the value reached.

A *must* that is missed is a defect; a *goal* is reported with the value reached. A quantity whose
rows are not all there counts as incomplete, never as met. A mean over a handful of molecules is not
judged where it speaks of all: a quick run shows it, a full one decides.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, median
from typing import Any, Literal

__all__ = ["Target", "energy_excess", "right_within_two", "scf_targets", "time_excess"]

Verdict = Literal["goal", "must", "missed", "incomplete", "few"]
Row = Mapping[str, Any]

_NOISE = 1e-10  # Hartree; less is rounding, and any estimate below it is right
_LARGE = 9  # atoms


@dataclass(frozen=True)
class Target:
    """One quantity, its thresholds (at most, or at least), and what was found.

    Attributes:
        quantity: what it is, with its unit.
        value: what was measured, None where nothing was.
        must: threshold whose miss is a defect.
        goal: a better one, or None.
        rows: how many rows the value is made of.
        wanted: how many there should be.
        at_least: the thresholds are lower limits.
        note: what the reader should know beside the number.
        fewest: rows below which the value is shown and not judged.
    """

    quantity: str
    value: float | None
    must: float
    goal: float | None
    rows: int
    wanted: int
    at_least: bool = False
    note: str = ""
    fewest: int = 0

    @property
    def verdict(self) -> Verdict:
        """``missed`` as soon as it is, even if rows are lacking; ``incomplete`` while they are."""
        if self.value is None:
            return "incomplete"
        if self.rows < self.fewest:
            return "few"
        sign = -1 if self.at_least else 1
        if not sign * self.value <= sign * self.must:  # NaN misses
            return "missed"
        if self.rows < self.wanted:
            return "incomplete"
        reached = self.goal is not None and sign * self.value <= sign * self.goal
        return "goal" if reached else "must"


def time_excess(row: Row) -> float:
    """Processor seconds beyond 1.05 times plain PySCF + 0.2 s; at most 0 is wanted."""
    return float(row["cpu_seconds"] - 1.05 * row["pyscf"]["cpu_seconds"] - 0.2)


def energy_excess(row: Row) -> float:
    """Energy above plain PySCF (Hartree): inf if ours did not converge, -inf if only it did."""
    if not row["converged"] or row["energy_difference_hartree"] is None:
        return math.inf
    return float(row["energy_difference_hartree"]) if row["pyscf"]["converged"] else -math.inf


def right_within_two(row: Row) -> bool:
    """Whether estimate and true error agree within a factor 2, or both are noise."""
    if not row["delivered"]:
        return False
    true, estimate = abs(float(row["energy_error_hartree"])), abs(float(row["estimate_hartree"]))
    return max(true, estimate) < _NOISE or 0.5 * true <= estimate <= 2.0 * true


def _of(values: Sequence[float], combine: Callable[[Sequence[float]], float]) -> float | None:
    return float(combine(values)) if values else None


def scf_targets(
    rows: Mapping[str, Mapping[str, Row]], wanted: Mapping[str, int], large: int
) -> list[Target]:
    """The targets of ``genmol benchmark scf``.

    Args:
        rows: rows by section and key.
        wanted: how many rows each section should have; the ``pairs`` without the degenerate ones.
        large: how many of these pairs have at least nine atoms.
    """
    every = list(rows.get("pairs", {}).values())
    pairs = [row for row in every if row["degenerate"] is None]
    return [
        *_pair_targets(every, pairs, wanted["pairs"], large),
        *_single_targets(list(rows.get("single", {}).values()), wanted["single"]),
        *_trajectory_targets(list(rows.get("trajectory", {}).values()), wanted["trajectory"]),
        _memory_target(list(rows.get("memory", {}).values()), wanted["memory"]),
    ]


def _pair_targets(every: list[Row], pairs: list[Row], wanted: int, large: int) -> list[Target]:
    cheaper = [row for row in pairs if row["strategies"] == ["plain"]]
    builds = [row["exact_fock_builds"] for row in pairs if row not in cheaper]
    counted = wanted - len(cheaper)
    apart = f"{len(cheaper)} solved by plain PySCF as cheaper" if cheaper else ""
    energies, excess = [energy_excess(row) for row in pairs], [time_excess(row) for row in pairs]
    ratios = [row["cpu_ratio"] for row in pairs if row["atoms"] >= _LARGE]
    over = sum(value > 0 for value in excess)
    degenerate = len(every) - len(pairs)
    return [
        Target(
            "exact Fock builds, median",
            _of(builds, median),
            2,
            None,
            len(builds),
            counted,
            note=apart,
        ),
        Target("exact Fock builds, maximum", _of(builds, max), 3, None, len(builds), counted),
        Target(
            "energy above plain PySCF, maximum (Hartree)",
            _of(energies, max),
            1e-8,
            None,
            len(energies),
            wanted,
            note=f"{degenerate} degenerate radicals apart" if degenerate else "",
        ),
        Target(
            f"processor time / plain PySCF, {_LARGE} atoms and more, median",
            _of(ratios, median),
            0.50,
            0.40,
            len(ratios),
            large,
            note=f"{min(ratios):.2f} to {max(ratios):.2f}" if ratios else "",
        ),
        Target(
            "processor time beyond 1.05 x plain PySCF + 0.2 s, maximum (s)",
            _of(excess, max),
            0.0,
            None,
            len(excess),
            wanted,
            note=f"{over} molecules over" if over else "",
        ),
    ]


def _single_targets(rows: list[Row], wanted: int) -> list[Target]:
    share = [float(right_within_two(row)) for row in rows]
    errors = [abs(row["energy_error_hartree"]) if row["delivered"] else math.inf for row in rows]
    return [
        Target(
            "single build: error estimate within a factor 2 (share)",
            _of(share, fmean), 0.95, None, len(share), wanted, at_least=True,
        ),
        Target(
            "single build: energy error, median (Hartree)",
            _of(errors, median), 1e-6, None, len(errors), wanted,
            note=f"largest {max(errors):.1e}" if errors else "",
        ),
    ]  # fmt: skip


def _trajectory_targets(rows: list[Row], wanted: int) -> list[Target]:
    builds = [row["exact_fock_builds"] for row in rows]
    plain = [row["pyscf"]["cpu_seconds"] for row in rows if "pyscf" in row]
    ratio = None
    if plain:
        ratio = fmean(row["cpu_seconds"] for row in rows) / fmean(plain)
    return [
        Target(
            "trajectory: exact Fock builds a frame, maximum",
            _of(builds, max), 2, None, len(rows), wanted,
        ),
        Target(
            "trajectory: processor time / plain PySCF", ratio, 0.35, None, len(rows), wanted,
            note=f"plain PySCF on {len(plain)} frames" if plain else "",
        ),
    ]  # fmt: skip


def _memory_target(rows: list[Row], wanted: int) -> Target:
    ratios = [row["ratio"] for row in rows]
    quantity = "peak memory / plain PySCF, maximum"
    return Target(quantity, _of(ratios, max), 1.3, None, len(rows), wanted)
