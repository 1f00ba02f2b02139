"""The tables of ``genmol benchmark sample`` as Markdown, from its JSON and nothing else."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from typing import Any

from genmol.benchmark.sample import full_sample, quick_sample
from genmol.benchmark.sample_targets import COSTS, METRICS, sample_targets, worst_error
from genmol.benchmark.summary import Target
from genmol.benchmark.tables import table, target_table

__all__ = ["machines", "sample_markdown", "sample_targets_of"]

Row = Mapping[str, Any]
Section = Mapping[str, Row]

_PUBLISHED = {"lj55": "best published neural sampler: energy W2 21.3"}


def sample_targets_of(data: Mapping[str, Any]) -> list[Target]:
    """The targets of a benchmark file, for the scope it was measured in."""
    plan = full_sample() if data["scope"] == "full" else quick_sample()
    wanted = {str(section): keys for section, keys in plan.keys.items()}
    found = sample_targets(data["rows"], wanted, len(plan.sizes))
    return [target for target in found if target.wanted]  # of this scope


def sample_markdown(data: Mapping[str, Any], *, details: bool = True) -> str:
    """All tables: targets, and with ``details`` every row beside its baselines.

    Args:
        data: content of the benchmark's JSON file.
        details: one line for each row.
    """
    rows = data["rows"]
    parts = [_conditions(data), target_table(sample_targets_of(data))]
    shown = {
        "toys": _toys, "cost": _cost, "mmff": _molecules, "gfn2": _molecules,
        "intervals": _intervals, "glycerol": _glycerol, "alanine": _alanine, "detector": _detector,
    }  # fmt: skip
    if details:
        parts += [make(rows[section]) for section, make in shown.items() if rows.get(section)]
    return "\n\n".join(parts) + "\n"


def _conditions(data: Mapping[str, Any]) -> str:
    record = data["record"]
    installed = record["versions"]
    packages = ", ".join(
        f"{n} {installed[n]}" for n in ("genmol", "torch", "rdkit", "tblite", "python")
    )
    return (
        f"`genmol benchmark sample --{data['scope']}`: {machines(data)}; one thread a process; "
        f"{packages}. "
        f"Baselines: {record['baseline']}. Calls are of everything: search energies, tuning, burn-in, "
        "every replica, cheap potentials apart. Effective draws are the fewest over energy, torsions "
        "and basins of at least 5 %, from independent runs."
    )


def machines(data: Mapping[str, Any]) -> str:
    """Processors, and where there are several, the rows of each: sections, or how many of one."""
    names = [f"{one['processor']} ({one['cores']} cores)" for one in data["machines"]]
    total: Counter[str] = Counter()
    own: dict[str, Counter[str]] = {name: Counter() for name in names}
    for section, rows in data["rows"].items():
        for row in rows.values():
            total[section] += 1
            own[names[row["machine"]]][section] += 1
    if len(own) < 2:
        return "".join(own) or "nothing measured"
    return "; ".join(
        f"{name}: "
        + ", ".join(
            section if count == total[section] else f"{section} ({count} of {total[section]} rows)"
            for section, count in sections.items()
        )
        for name, sections in own.items()
    )


def _toys(rows: Section) -> str:
    ways = ("genmol", "plain HMC", "Langevin")
    head = ("toy", "n", "metric", "exact against exact (95 % below)", *ways)
    body: list[tuple[object, ...]] = []
    for key, row in rows.items():
        for n, size in row["sizes"].items():
            for metric, words in METRICS.items():
                floor = size["floor"][metric]
                shown = [_number(float(size[way][metric])) for way in ways]
                band = f"{_number(floor['median'])} ({_number(floor['high'])})"
                body.append((key, n, words, band, *shown))
    title = "Toys: medians over random sets of n against exact ones, all at as many gradients."
    published = [text for name, text in _PUBLISHED.items() if name in rows]
    return f"{title} {'; '.join(published)}\n\n{table(head, body)}".replace(" \n", "\n")


def _cost(rows: Section) -> str:
    head = ("toy", "must · goal", "gradients / effective draw", "limited by", "L, ε, acceptance",
            "effective draws", "burn-in gradients", "plain HMC", "Langevin (biased)")  # fmt: skip
    body = []
    for key, row in rows.items():
        ours, settings = row["genmol"], row["settings"]
        must, goal = COSTS.get(key, (None, None))
        others = [float(row[way]["gradients_per_effective"]) for way in ("plain HMC", "Langevin")]
        body.append(
            (
                key,
                "stated" if must is None else f"{must} · {goal}",
                f"{float(ours['gradients_per_effective']):.0f}",
                ours["limited_by"],
                f"{settings['leaps']}, {settings['step_size']}, {ours['acceptance']:.2f}",
                f"{ours['n_effective']:.0f}",
                ours["burn_in_gradients"],
                *(_number(value, 0) for value in others),
            )
        )
    return f"Gradients after the burn-in for an effective draw.\n\n{table(head, body)}"


def _molecules(rows: Section) -> str:
    level = next(iter(rows.values()))["level"]
    ways = ("minima", "Langevin", "plain HMC")
    head = ("molecule", "effective", "energies + gradients", "s", "agree", "worst ΔΔF (tolerance)",
            *(f"{way}: largest error" for way in ways))  # fmt: skip
    body = []
    for key, row in rows.items():
        ours, worst = row["ours"], row["worst"]
        body.append(
            (
                key,
                f"{ours['n_effective']:.0f}",
                f"{ours['energies']} + {ours['gradients']}",
                f"{ours['seconds']:.0f}",
                f"{row['inside']}/{row['compared']}",
                "–" if worst is None else
                f"{_number(float(worst['difference']))} ({_number(float(worst['tolerance']))})",
                *(_number(worst_error(row, way)) for way in ways),
            )
        )  # fmt: skip
    references = ", ".join(next(iter(rows.values()))["references"])
    title = (
        f"Molecules at {level}, 300 K, against {references}; free energies of basins of 5 % or more, "
        "kcal/mol; ∞ where a baseline misses one. Langevin and plain HMC at as many calls."
    )
    return f"{title}\n\n{table(head, body)}"


def _intervals(rows: Section) -> str:
    head = ("system", "repeats", "states", "hold the truth", "populations", "free energies",
            "effective draws", "half-width of F")  # fmt: skip
    body = [
        (
            key,
            row["repeats"],
            row["states"],
            f"{100 * row['coverage']:.1f} %",
            *(f"{100 * row[kind]:.1f} %" if kind in row else "–"
              for kind in ("populations", "free energies")),
            f"{row['median_n_effective']:.0f}",
            f"{_number(row['median_half_width'])} {row['unit']}",
        )
        for key, row in rows.items()
    ]  # fmt: skip
    return f"Intervals of 95 %, from eight runs each.\n\n{table(head, body)}"


def _glycerol(rows: Section) -> str:
    head = ("level", "processes", "s", "effective", "conformers (distinct)", "GFN2 calls", "said / s",
            "at its pace / s", "verdict")  # fmt: skip
    body = [
        (
            key,
            row["workers"],
            f"{row['seconds']:.0f}",
            f"{row['n_effective']:.0f}",
            f"{row['conformers']} ({row['distinct']})",
            row["energies"] + row["gradients"],
            f"{row['expected_seconds']:.0f}",
            f"{row['would_take']:.0f}",
            row["verdict"],
        )
        for key, row in rows.items()
    ]
    return f"Glycerol.\n\n{table(head, body)}"


def _alanine(rows: Section) -> str:
    parts = []
    for key, row in rows.items():
        head = ("ensemble", "share of φ > 0", "±", "σ from ours")
        body = [
            (name, f"{one['share']:.3f}", f"{one['error']:.3f}", f"{one['z']:+.1f}")
            for name, one in row["phi"].items()
        ]
        errors = ", ".join(
            f"{way} {_number(worst_error(row, way))}" for way in ("minima", "Langevin", "plain HMC")
        )
        parts.append(
            f"Alanine dipeptide at {key}: {row['seconds']:.0f} s of one process for "
            f"{row['ours']['n_effective']:.0f} effective draws ({row['verdict']}); "
            f"{row['inside']} of {row['compared']} free energies "
            f"within tolerance. Largest errors of the baselines, kcal/mol: {errors}."
            f"\n\n{table(head, body)}"
        )
    return "\n\n".join(parts)


def _detector(rows: Section) -> str:
    head = ("fault", "flagged", "draws", "needed", "by")
    body: list[tuple[object, ...]] = []
    correct: dict[str, list[Row]] = {}
    for key, row in rows.items():
        if key.startswith("correct "):
            kind = key.removeprefix("correct ").rsplit(" ", 1)[0]
            correct.setdefault(kind, []).append(row)
        elif "skipped" in row:
            body.append((key, "skipped", "–", "–", row["skipped"]))
        else:
            needed = row["draws_needed"]
            body.append(
                (
                    key,
                    "yes" if row["flagged"] else "**NO**",
                    row["draws"],
                    "–" if needed is None else f"{float(needed):.0f}",
                    "; ".join(row["failed"]) or "–",
                )
            )
    title = "Seeded faults; draws that the sharpest failed test needs, nine times in ten."
    text = f"{title}\n\n{table(head, body)}"
    if correct:
        lines = [
            f"{kind}: {sum(row['flagged'] for row in group)} of {sum(row['sets'] for row in group)} "
            f"({group[0]['draws']} draws each)"
            for kind, group in correct.items()
        ]
        text += f"\n\nFalse alarms of correct sets: {'; '.join(lines)}."
    return text


def _number(value: float, digits: int = 3) -> str:
    if math.isnan(value):
        return "–"
    if math.isinf(value):
        return "∞"
    return f"{value:.0f}" if digits == 0 else f"{value:.{digits}g}"
