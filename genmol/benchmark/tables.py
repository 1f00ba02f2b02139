"""The tables of ``genmol benchmark scf`` as Markdown, from its JSON and nothing else."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from statistics import median
from typing import Any

from genmol.benchmark.molecules import structure
from genmol.benchmark.scf import FULL, QUICK
from genmol.benchmark.summary import Target, energy_excess, right_within_two, scf_targets

__all__ = ["markdown", "table", "target_table", "targets"]

_VERDICTS = {
    "goal": "goal reached", "must": "met", "missed": "**MISSED**", "few": "too few to judge"
}  # fmt: skip


def targets(data: Mapping[str, Any]) -> list[Target]:
    """The targets of a benchmark file, for the scope it was measured in."""
    plan = FULL if data["scope"] == "full" else QUICK
    wanted = {
        "pairs": len(plan.pairs),
        "single": plan.singles,
        "trajectory": plan.frames,
        "memory": len(plan.memory),
    }
    large = sum(len(structure(pair.molecule)) >= 9 for pair in plan.pairs)
    return scf_targets(data["rows"], wanted, large)


def markdown(data: Mapping[str, Any], *, details: bool = True) -> str:
    """All tables: targets, baselines, and with ``details`` every pair.

    Args:
        data: content of the benchmark's JSON file.
        details: one line for each pair of a molecule and a level.
    """
    rows = data["rows"]
    parts = [_conditions(data), target_table(targets(data))]
    if ladder := rows.get("ladder"):
        parts.append(_ladder(ladder))
    if details and (pairs := rows.get("pairs")):
        parts.append(_pairs(pairs.values()))
    if details and (single := rows.get("single")):
        parts.append(_single(single))
    if details and (memory := rows.get("memory")):
        parts.append(_memory(memory))
    return "\n\n".join(parts) + "\n"


def table(head: Sequence[str], body: Iterable[Sequence[object]]) -> str:
    """A Markdown table; the first column is text, the others are numbers."""
    rule = ["---", *["---:"] * (len(head) - 1)]
    return "\n".join("| " + " | ".join(map(str, row)) + " |" for row in [head, rule, *body])


def target_table(found: Iterable[Target]) -> str:
    """Targets with thresholds, values and verdicts."""
    head = ("quantity", "must", "goal", "reached", "of", "verdict")
    body = [
        (
            t.quantity,
            _limit(t.must, t),
            "" if t.goal is None else _limit(t.goal, t),
            _reached(t),
            f"{t.rows}/{t.wanted}",
            _VERDICTS.get(t.verdict, t.verdict),
        )
        for t in found
    ]
    return table(head, body)


def _conditions(data: Mapping[str, Any]) -> str:
    record = data["record"]
    machine, installed = record["hardware"], record["versions"]
    shown = ("genmol", "pyscf", "numpy", "python")
    packages = ", ".join(f"{name} {installed[name]}" for name in shown)
    return (
        f"`genmol benchmark {data['benchmark']} --{data['scope']}`: {machine['processor']}, "
        f"{record['threads']} thread{'s' * (record['threads'] > 1)}; {packages}. "
        f"Baseline: {record['baseline']}. Times are processor seconds of the whole solve."
    )


def _reached(target: Target) -> str:
    if target.value is None:
        return "not measured"
    return _number(target.value) + (f" ({target.note})" if target.note else "")


def _limit(value: float, target: Target) -> str:
    if math.isinf(value):
        return "stated"
    return f"{'≥' if target.at_least else '≤'} {_number(value)}"


def _number(value: float) -> str:
    if value == 0 or 1e-3 <= abs(value) < 1e5:
        return f"{value:.3g}"
    return f"{value:.1e}"


def _ladder(ladder: Mapping[str, Mapping[str, Any]]) -> str:
    """One line for each way to converge: medians over the molecules, total time, largest errors."""
    names = list(next(iter(ladder.values())))
    base = _sum(ladder, "minao")
    body = []
    for name in names:
        runs = [systems[name] for systems in ladder.values()]
        good = [run for run in runs if run["converged"] and run["energy_error_hartree"] is not None]
        label = f"{name} (PySCF's default)" if name == "minao" else name
        body.append(
            (
                label,
                _spread([run["exact_fock_builds"] for run in runs]),
                _spread([run["cheap_fock_builds"] for run in runs]),
                _spread([run["cycles"] for run in runs]),
                f"{_sum(ladder, name):.1f}",
                f"{_sum(ladder, name) / base:.2f}",
                f"{max(run['energy_error_hartree'] for run in good):.0e}" if good else "–",
                f"{max(run['orbital_gradient_norm'] for run in good):.0e}" if good else "–",
                f"{len(good)}/{len(runs)}",
            )
        )
    head = (
        "start or solver", "exact builds", "cheap builds", "cycles", "CPU s, all", "CPU / minao",
        "largest ΔE / Hartree", "largest \\|g\\|", "converged",
    )  # fmt: skip
    title = f"Baselines, medians over {len(ladder)} molecules (least to most): {', '.join(ladder)}."
    return f"{title}\n\n{table(head, body)}"


def _sum(ladder: Mapping[str, Mapping[str, Any]], name: str) -> float:
    return float(sum(systems[name]["cpu_seconds"] for systems in ladder.values()))


def _spread(values: Sequence[int]) -> str:
    low, high = min(values), max(values)
    return f"{low}" if low == high else f"{median(values):g} ({low}–{high})"


def _pairs(rows: Iterable[Mapping[str, Any]]) -> str:
    head = (
        "molecule", "level", "atoms", "2S+1", "solver", "exact (PySCF)", "cheap", "CPU s",
        "PySCF CPU s", "ratio", "ΔE / Hartree", "\\|g\\|",
    )  # fmt: skip
    body: list[tuple[object, ...]] = []
    apart: list[tuple[object, ...]] = []
    for row in rows:
        plain = row["pyscf"]
        line = (
            row["molecule"].replace("_", " "),
            row["level"],
            row["atoms"],
            row["multiplicity"],
            row["solver"] if len(row["strategies"]) == 1 else " → ".join(row["strategies"]),
            f"{row['exact_fock_builds']} ({plain['exact_fock_builds']})",
            row["cheap_fock_builds"],
            f"{row['cpu_seconds']:.2f}",
            f"{plain['cpu_seconds']:.2f}",
            f"{row['cpu_ratio']:.2f}",
            f"{energy_excess(row):+.0e}",
            "–" if row["orbital_gradient_norm"] is None else f"{row['orbital_gradient_norm']:.0e}",
        )
        (body if row["degenerate"] is None else apart).append(line)
    text = f"Every pair of a molecule and a level.\n\n{table(head, body)}"
    if apart:
        text += (
            "\n\nDegenerate radicals: the energy depends on how the partly filled level lies on "
            f"the grid, in PySCF as well.\n\n{table(head, apart)}"
        )
    return text


def _single(rows: Mapping[str, Mapping[str, Any]]) -> str:
    wrong = [(name, row) for name, row in rows.items() if not right_within_two(row)]
    if not wrong:
        return f"Single build: all {len(rows)} error estimates are right within a factor 2."
    head = ("molecule", "estimate / Hartree", "true error / Hartree")
    body = [
        (name, f"{row['estimate_hartree']:.1e}", f"{row['energy_error_hartree']:.1e}")
        if row["delivered"]
        else (name, "not converged", "–")
        for name, row in wrong
    ]
    return f"Single build: estimates off by more than a factor 2.\n\n{table(head, body)}"


def _memory(rows: Mapping[str, Mapping[str, Any]]) -> str:
    head = ("peak memory", "plain PySCF / MiB", "two-level / MiB", "ratio")
    body = [
        (key, f"{row['plain_mib']:.0f}", f"{row['two_level_mib']:.0f}", f"{row['ratio']:.2f}")
        for key, row in rows.items()
    ]
    return table(head, body)
