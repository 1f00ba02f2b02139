"""The tables of ``genmol benchmark learned`` as Markdown, from its JSON and nothing else."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean, median
from typing import Any

from genmol.benchmark import held_out
from genmol.benchmark.learned import full_plan, quick_plan
from genmol.benchmark.learned_targets import learned_targets
from genmol.benchmark.summary import Target
from genmol.benchmark.tables import table, target_table

__all__ = ["learned_markdown", "targets_of"]

Row = Mapping[str, Any]
Section = Mapping[str, Row]


def targets_of(data: Mapping[str, Any]) -> list[Target]:
    """The targets of a benchmark file, for the scope it was measured in."""
    plan = full_plan() if data["scope"] == "full" else quick_plan()
    wanted: dict[str, list[Row]] = {
        section: [{"atoms": len(held_out.by_key(key))} for key in keys]
        for section, keys in plan.keys.items()
    }
    return [t for t in learned_targets(data["rows"], wanted) if t.wanted]  # of this scope


def learned_markdown(data: Mapping[str, Any], *, details: bool = True) -> str:
    """All tables: targets, predict mode beside the cheap SCF, ladder; with ``details`` the rest.

    Args:
        data: content of the benchmark's JSON file.
        details: sizes, blocks, times, and one line for each solve.
    """
    rows = data["rows"]
    held = {**rows.get("accuracy", {}), **rows.get("transfer", {})}
    parts = [_conditions(data), target_table(targets_of(data))]
    if held:
        parts.append(_properties(held.values()))
    if ladder := rows.get("ladder"):
        parts.append(_ladder(ladder))
    if details and held:
        parts += [_sizes(held.values()), _blocks(held.values())]
        if refused := {k: r for k, r in held.items() if r["wrong"] or not r["accepted"]}:
            parts.append(_refused(refused))
    if details and (times := rows.get("times")):
        parts.append(_times(times))
    if details and (solver := rows.get("solver")):
        parts.append(_solver(solver))
    if details and (warm := rows.get("warm")):
        parts.append(_warm(warm))
    return "\n\n".join(parts) + "\n"


def _conditions(data: Mapping[str, Any]) -> str:
    record = data["record"]
    installed, model = record["versions"], record["model"]
    packages = ", ".join(f"{n} {installed[n]}" for n in ("genmol", "torch", "pyscf", "python"))
    labels = (model.get("labels") or {}).get("train")
    trained = f", trained on {labels} labels" if labels else ""
    threads = record["threads"]
    return (
        f"`genmol benchmark learned --{data['scope']}`: {record['hardware']['processor']}, "
        f"{threads} thread{'s' * (threads > 1)}; {packages}. Model {model['name']} "
        f"({model['kind']} from {model['start']}, {model['megabytes']} MB{trained}), "
        f"B3LYP/def2-SVP. Times are processor seconds; what is compared took turns "
        f"{record['repeat']} times. No molecule of these tables was trained on, but for other "
        "frames of ethanol."
    )


def _properties(rows: Iterable[Row]) -> str:
    groups = _by_size(rows)
    keys = {"HOMO / meV": "homo_mev", "LUMO / meV": "lumo_mev", "gap / meV": "gap_mev",
            "dipole / D": "dipole_debye", "dipole vector / D": "dipole_vector_debye"}  # fmt: skip
    body = []
    for name, group in groups.items():
        for title, source in (("predict", "predicted"), ("cheap SCF", "cheap")):
            cells = [f"{fmean(abs(r[source][key]) for r in group):.3g}" for key in keys.values()]
            shares = [s for r in group for s in r["covered"].values()] if title == "predict" else []
            body.append((f"{title}, {name}", len(group), *cells, _percent(shares)))
    head = ("mean absolute errors, heavy atoms", "structures", *keys, "inside intervals")
    return f"Predict mode and its rival, the unlearned cheap SCF.\n\n{table(head, body)}"


def _ladder(ladder: Mapping[str, Section]) -> str:
    names = list(next(iter(ladder.values())))
    base = sum(systems["minao"]["cpu_seconds"] for systems in ladder.values())
    body = []
    for name in names:
        runs = [systems[name] for systems in ladder.values() if name in systems]
        good = [run for run in runs if run["converged"]]
        seconds = sum(run["cpu_seconds"] for run in runs)
        body.append(
            (
                f"{name} (PySCF's default)" if name == "minao" else name,
                _spread([run["exact_fock_builds"] for run in runs]),
                _spread([run["cheap_fock_builds"] for run in runs]),
                _spread([run["cycles"] for run in runs]),
                f"{seconds:.1f}",
                f"{seconds / base:.2f}",
                f"{max(run['energy_error_hartree'] for run in runs):.0e}",
                _mean(runs, "fock_mae", 1e6, 0),
                _mean(runs, "ov_mae", 1e6, 0),
                _mean(runs, "orbital_mae", 27211.386, 0),
                _mean(runs, "gradient", 1.0, 4),
                f"{len(good)}/{len(runs)}",
            )
        )
    head = (
        "start or solver", "exact builds", "cheap builds", "cycles", "CPU s, all", "CPU / minao",
        "largest ΔE / Hartree", "Fock MAE / µEh", "ov / µEh", "occupied ε / meV", "\\|g\\| of the start",
        "converged",
    )  # fmt: skip
    title = (
        f"Learned beside unlearned, medians over {len(ladder)} held-out molecules (least to most): "
        f"{', '.join(f'`{key}`' for key in ladder)}. Errors are of the matrix whose orbitals come "
        "first, at the exact level."
    )
    return f"{title}\n\n{table(head, body)}"


def _sizes(rows: Iterable[Row]) -> str:
    body = []
    for heavy, group in sorted(_grouped(rows, lambda r: r["heavy"]).items()):
        body.append(
            (
                heavy,
                len(group),
                _mean([r["learned"] for r in group], "fock_mae", 1e6, 0),
                _mean([r["learned"] for r in group], "ov_mae", 1e6, 0),
                _mean([r["initial"] for r in group], "fock_mae", 1e6, 0),
                f"{median(r['gradient'] for r in group):.3f}",
                f"{median(r['gradient_minao'] for r in group):.3f}",
                f"{median(r['energy_error_hartree'] for r in group):.1e}",
                f"{fmean(abs(r['predicted']['gap_mev']) for r in group):.0f}",
                f"{sum(r['wrong'] for r in group)} ({sum(r['wrong_unfiltered'] for r in group)})",
                sum(not r["accepted"] for r in group),
            )
        )
    head = (
        "heavy atoms", "structures", "Fock MAE / µEh", "ov / µEh", "of F_init / µEh", "\\|g\\|",
        "\\|g\\| minao", "ΔE of one build / Hartree", "gap MAE / meV", "wrong (unfiltered)",
        "refused",
    )  # fmt: skip
    return f"By size.\n\n{table(head, body)}"


def _blocks(rows: Iterable[Row]) -> str:
    sums: dict[str, list[float]] = defaultdict(lambda: [0.0, 0.0])
    for row in rows:
        for name, (total, count) in row["blocks"].items():
            sums[name][0] += total
            sums[name][1] += count
    ordered = sorted(sums, key=lambda name: ("-" in name, name))
    body = [
        (name, int(sums[name][1]), f"{1e6 * sums[name][0] / sums[name][1]:.0f}") for name in ordered
    ]
    head = ("block", "elements", "Fock MAE / µEh")
    return f"By block: on an atom, between two atoms of these elements.\n\n{table(head, body)}"


def _refused(rows: Section) -> str:
    body = [
        (
            f"`{key}`",
            "wrong" if row["wrong"] else "right",
            f"{row['gradient']:.2f} ({row['gradient_minao']:.2f})",
            "passed" if row["accepted"] else "refused",
        )
        for key, row in rows.items()
    ]
    head = ("structure", "occupation", "\\|g\\| (minao)", "guard")
    return f"Wrong occupations, and what the guard refused.\n\n{table(head, body)}"


def _times(rows: Section) -> str:
    head = ("structure", "atoms", "predict / s", "cheap SCF / s", "ratio", "F_init / s",
            "network / ms", "exact build / s")  # fmt: skip
    body = [
        (
            f"`{key}`",
            row["atoms"],
            f"{row['predict']:.2f}",
            f"{row['cheap SCF']:.2f}",
            f"{row['predict'] / row['cheap SCF']:.2f}",
            f"{row['initial']:.2f}",
            f"{1e3 * row['network']:.0f}",
            f"{row['exact build']:.2f}",
        )
        for key, row in sorted(rows.items(), key=lambda item: item[1]["atoms"])
    ]
    return f"Predict mode in time.\n\n{table(head, body)}"


def _solver(rows: Section) -> str:
    head = ("structure", "atoms", "guess taken", "exact", "cheap", "CPU s", "time / without",
            "exact + cheap, always learned")  # fmt: skip
    body = []
    for key, row in sorted(rows.items(), key=lambda item: item[1]["atoms"]):
        auto, without, learned = row["auto"], row["cheap-scf"], row["learned"]
        body.append(
            (
                f"`{key}`",
                row["atoms"],
                auto["guess"],
                f"{auto['exact_fock_builds']} ({without['exact_fock_builds']})",
                f"{auto['cheap_fock_builds']} ({without['cheap_fock_builds']})",
                f"{auto['cpu_seconds']:.2f} ({without['cpu_seconds']:.2f})",
                f"{auto['cpu_seconds'] / without['cpu_seconds']:.2f}",
                f"{learned['exact_fock_builds']} + {learned['cheap_fock_builds']}",
            )
        )
    return f"Two-level solver, automatic guess (without learning).\n\n{table(head, body)}"


def _warm(rows: Section) -> str:
    head = ("structure", "atoms", "cycles from 1e", "from minao", "from the prediction", "builds",
            "same energy")  # fmt: skip
    body = []
    for key, row in rows.items():
        learned, base = row["learned"], row["minao"]
        same = abs(learned["energy_hartree"] - base["energy_hartree"]) < 1e-7
        body.append(
            (
                f"`{key}`",
                row["atoms"],
                row["1e"]["cycles"],
                base["cycles"],
                learned["cycles"],
                f"{learned['exact_fock_builds']} ({base['exact_fock_builds']})",
                "yes" if same and learned["converged"] else "no",
            )
        )
    return f"Plain PySCF (builds from minao in brackets).\n\n{table(head, body)}"


def _by_size(rows: Iterable[Row]) -> dict[str, list[Row]]:
    groups = _grouped(rows, lambda r: r["heavy"] <= 7)
    names = {True: "at most 7", False: "8 and more"}
    return {names[key]: groups[key] for key in (True, False) if key in groups}


def _grouped(rows: Iterable[Row], key: Any) -> dict[Any, list[Row]]:
    groups: dict[Any, list[Row]] = defaultdict(list)
    for row in rows:
        groups[key(row)].append(row)
    return dict(groups)


def _mean(rows: Sequence[Row], key: str, factor: float, digits: int) -> str:
    values = [row[key] for row in rows if key in row]
    return f"{factor * fmean(values):.{digits}f}" if values else "–"


def _percent(shares: Sequence[float]) -> str:
    return f"{100 * fmean(shares):.0f} %" if shares else "–"


def _spread(values: Sequence[int]) -> str:
    low, high = min(values), max(values)
    return f"{low}" if low == high else f"{median(values):g} ({low}–{high})"
