"""The tables of ``genmol benchmark psm`` as Markdown, from its JSON and nothing else."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from statistics import fmean, stdev
from typing import Any

from genmol.benchmark.psm import full_psm, quick_psm
from genmol.benchmark.psm_targets import PSM_COSTS, contests, psm_targets
from genmol.benchmark.sample_tables import machines
from genmol.benchmark.summary import Target
from genmol.benchmark.tables import table, target_table

__all__ = ["psm_markdown", "psm_targets_of"]

Row = Mapping[str, Any]
Section = Mapping[str, Row]

_METRICS = {"distance_tv": "TV of distances", "energy_w2": "energy W2 / kT",
            "torsion_js": "torsions, JS"}  # fmt: skip
_BANDS = {"energy_w2": "energy W2", "distance_tv": "TV of distances", "populations": "populations"}


def psm_targets_of(data: Mapping[str, Any]) -> list[Target]:
    """The targets of a benchmark file, for the scope it was measured in."""
    plan = full_psm() if data["scope"] == "full" else quick_psm()
    wanted = {str(section): keys for section, keys in plan.keys.items()}
    return [target for target in psm_targets(data["rows"], wanted) if target.wanted]


def psm_markdown(data: Mapping[str, Any], *, details: bool = True) -> str:
    """All tables: targets, and with ``details`` those of every section.

    Args:
        data: content of the benchmark's JSON file.
        details: every section.
    """
    rows = data["rows"]
    parts = [_conditions(data), target_table(psm_targets_of(data))]
    shown = {
        "mixture": _mixture, "data": _data, "biased": _biased, "cost": _cost, "loop": _loop,
        "bands": _bands, "time": _time, "expensive": _expensive, "amortised": _amortised,
    }  # fmt: skip
    for section, make in shown.items() if details else ():
        measured = {key: r for key, r in rows.get(section, {}).items() if "skipped" not in r}
        if measured:
            parts.append(make(measured))
        if text := _skipped(section, rows.get(section, {})):
            parts.append(text)
    return "\n\n".join(parts) + "\n"


def _conditions(data: Mapping[str, Any]) -> str:
    record = data["record"]
    installed = record["versions"]
    packages = ", ".join(
        f"{n} {installed[n]}" for n in ("genmol", "torch", "rdkit", "tblite", "python")
    )
    return (
        f"`genmol benchmark psm --{data['scope']}`: {machines(data)}; one thread a process; {packages}. "
        f"Trainings: {record['training']}. Numbers after ± are standard deviations over seeds."
    )


def _skipped(section: str, rows: Section) -> str:
    """What was not measured, and why."""
    reasons: dict[str, list[str]] = {}
    for key, row in rows.items():
        if "skipped" in row:
            reasons.setdefault(row["skipped"], []).append(key.split(" ")[0])
    lines = [f"{', '.join(dict.fromkeys(keys))} ({reason})" for reason, keys in reasons.items()]
    return f"Skipped in {section}: {'; '.join(lines)}." if lines else ""


def _mixture(rows: Section) -> str:
    every = list(rows.values())
    rules = list(every[0]["errors"])
    body = [
        (
            _number(level),
            *(_spread([row["errors"][rule][k] for row in every], percent=True) for rule in rules),
        )
        for k, level in enumerate(every[0]["levels"])
    ]
    title = (
        f"Mixture in the plane, 1000 points with forces, {every[0]['steps']} steps each: mean square "
        "error of the score over its mean square (%)."
    )
    return f"{title}\n\n{table(('σ', *rules), body)}"


def _data(rows: Section) -> str:
    head = ("system", "frames", "metric", "data against data", "springs", "denoising", "better")
    body: list[tuple[object, ...]] = []
    for (name, frames), contest in contests(rows).items():
        first = contest.rows["springs"][0]
        for metric, words in _METRICS.items():
            if metric not in first["metrics"]:
                continue
            ours, theirs = (contest.values(rule, metric) for rule in ("springs", "denoising"))
            body.append(
                (
                    name, frames, words, _number(float(first["floor"][metric])), _spread(ours),
                    _spread(theirs), "springs" if fmean(ours) < fmean(theirs) else "denoising",
                )
            )  # fmt: skip
        factor = math.exp(min(abs(contest.gain), 50.0))
        spread = contest.spread
        surely = "" if spread is None or abs(contest.gain) > spread else ", within the spread"
        better = "springs" if contest.gain > 0 else "denoising"
        body.append((name, frames, "all, geometric mean", "", "", "",
                     f"**{better}** by {_number(factor)}{surely}"))  # fmt: skip
    title = (
        "Generated without correction, against frames not trained on, after equal processor time: "
        "potential score matching (springs) and denoising."
    )
    return f"{title}\n\n{table(head, body)}"


def _biased(rows: Section) -> str:
    head = ("rule, seed", "in the data", "plain draws", "corrected", "truth", "σ", "effective",
            "share", "Pareto k")  # fmt: skip
    body = [
        (
            key,
            f"{row['data']:.3f}",
            _interval(row["plain"]),
            _interval(row["corrected"]),
            f"{row['truth']:.4f}",
            _number(float(row["sigmas"])),
            f"{row['n_effective']:.0f}",
            f"{row['effective_share']:.1%}",
            _number(float(row["pareto_k"])),
        )
        for key, row in rows.items()
    ]
    title = (
        "DW4 from data with wrong shares: states with two short pairs, with intervals of 95 %. Plain "
        "draws keep the shares of the data; weights of paths correct them."
    )
    return f"{title}\n\n{table(head, body)}"


def _cost(rows: Section) -> str:
    head = ("toy", "must · goal", "calls / effective draw", "by", "limited by", "calls before",
            "effective", "HMC, tuned", "HMC, plain", "training calls", "pays from n")  # fmt: skip
    body = []
    for key, row in rows.items():
        ours, (must, goal) = row["ours"], PSM_COSTS[key]
        body.append(
            (
                key,
                f"{'stated' if math.isinf(must) else must} · {goal}",
                _number(float(ours["calls_per_effective"])),
                f"weights ({ours['effective_share']:.0%})" if ours["by_weights"] else "chains",
                ours["limited_by"],
                ours["calls_before"],
                f"{ours['n_effective']:.0f}",
                *(_number(float(row[way]["gradients_per_effective"]))
                  for way in ("tuned HMC", "plain HMC")),
                "not stated" if row["training_calls"] is None else row["training_calls"],
                "–" if row["break_even"] is None else _number(float(row["break_even"])),
            )
        )  # fmt: skip
    title = (
        "Energies and gradients for an effective draw, after those before the first that counts."
    )
    return f"{title}\n\n{table(head, body)}"


def _loop(rows: Section) -> str:
    head = ("toy", "minutes", "energies", "gradients", "effective share by round", "Pareto k",
            "effective by HMC from as many", "pays from n")  # fmt: skip
    body = [
        (
            key,
            _number(float(row["minutes"])),
            row["energies"],
            row["gradients"],
            ", ".join(f"{float(share):.1%}" for share in row["shares"]),
            _number(float(row["pareto_k"])),
            _number(float(row["chains_effective"])),
            _number(float(row["break_even"])),
        )
        for key, row in rows.items()
    ]
    title = "Scores trained without data, in rounds on their own corrected samples."
    return f"{title}\n\n{table(head, body)}"


def _bands(rows: Section) -> str:
    head = ("toy", "n", "metric", "exact against exact (95 % below)", "corrected draws", "distinct")
    body = [
        (
            key,
            row["n"],
            words,
            f"{_number(row['floor'][metric]['median'])} ({_number(row['floor'][metric]['high'])})",
            _number(float(row["found"][metric])),
            row["distinct"],
        )
        for key, row in rows.items()
        for metric, words in _BANDS.items()
    ]
    title = "Corrected draws against exact ones: medians over random sets of n."
    return f"{title}\n\n{table(head, body)}"


def _time(rows: Section) -> str:
    lines = []
    for key, row in rows.items():
        if "peak_mib" in row:
            lines.append(
                f"{key}: peak memory {row['peak_mib']:.0f} MiB in {row['steps']} steps with "
                f"{row['frames']} frames."
            )
        else:
            lines.append(
                f"{key}: {row['seconds']:.0f} s for {row['states']} corrected states by "
                f"{row['processes']} processes, {row['sampling_seconds']:.0f} s for the draws alone "
                f"({row['ours']['method']})."
            )
    return " ".join(lines)


def _expensive(rows: Section) -> str:
    head = ("molecule, seed", "calls", "effective share", "directly from GFN2", "spread / kT",
            "populations")  # fmt: skip
    body = [
        (
            key,
            row["calls"],
            f"{row['reweighting']['share']:.1%}",
            f"{row['direct']['share']:.1%}",
            " against ".join(
                _number(float(row[way]["spread_kt"])) for way in ("reweighting", "direct")
            ),
            "; ".join(
                f"{name} {_interval(state)}"
                for name, state in row["states"].items()
                if float(state[2]) >= 0.05
            ),
        )
        for key, row in rows.items()
    ]
    level = next(iter(rows.values()))["level"]
    return f"Populations at {level}, with intervals of 95 %.\n\n{table(head, body)}"


def _amortised(rows: Section) -> str:
    head = ("molecule", "draws that are the molecule", "effective share of these", "Pareto k",
            "calls / effective draw", "delayed acceptance", "tempering")  # fmt: skip
    body = [
        (
            key,
            f"{float(row['ours']['inside']):.1%}",
            f"{float(row['ours']['effective_share']):.2%}",
            _number(float(row["ours"]["pareto_k"])),
            _number(float(row["ours"]["calls_per_effective"])),
            *(_chains(row[way]) for way in ("delayed", "tempering")),
        )
        for key, row in rows.items()
    ]
    counts = sorted({int(row["molecules"]) for row in rows.values()})
    title = (
        f"One score of {' or '.join(map(str, counts))} molecules, asked for others, beside chains on the "
        "same potential: calls for an effective draw, all phases (after burn-in)."
    )
    return f"{title}\n\n{table(head, body)}"


def _chains(found: Row) -> str:
    every = _number(float(found["calls_per_effective"]))
    return (
        f"{every} ({_number(float(found['after_burn_in']))})" if "after_burn_in" in found else every
    )


def _interval(three: Sequence[float]) -> str:
    value, low, high = map(float, three)
    return f"{value:.3f} [{low:.3f}, {high:.3f}]"


def _spread(values: Sequence[float], *, percent: bool = False) -> str:
    scaled = [100 * float(v) if percent else float(v) for v in values]
    if len(scaled) < 2 or not all(map(math.isfinite, scaled)):
        return _number(fmean(scaled))
    return f"{_number(fmean(scaled))} ± {stdev(scaled):.2g}"


def _number(value: float) -> str:
    if math.isnan(value):
        return "–"
    if math.isinf(value):
        return "∞"
    return f"{value:.0f}" if 100 <= abs(value) < 1e5 else f"{value:.3g}"
