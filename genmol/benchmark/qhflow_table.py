"""The table of ``genmol benchmark qhflow`` as Markdown, from its JSON and nothing else."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from statistics import fmean, stdev
from typing import Any

from genmol.benchmark.qhflow import VARIANTS
from genmol.benchmark.tables import table
from genmol.core.units import HARTREE_TO_EV

__all__ = ["comparison", "qhflow_markdown"]

# column -> key in the rows, factor, digits
_COLUMNS: dict[str, tuple[str, float, int]] = {
    "Fock MAE / µEh": ("fock_mae", 1e6, 0),
    "ov mixing / 10⁻³": ("mixing", 1e3, 2),
    "\\|g\\| / mEh": ("gradient", 1e3, 1),
    "occupied ε / meV": ("occupied", 1e3 * HARTREE_TO_EV, 0),
    "gap / meV": ("gap", 1e3 * HARTREE_TO_EV, 0),
    "wrong / %": ("wrong", 1e2, 1),
    "steps": ("steps", 1.0, 0),
    "CPU s": ("seconds", 1.0, 0),
}


def qhflow_markdown(data: Mapping[str, Any]) -> str:
    """Conditions and table: means over seeds ± their standard deviation.

    Args:
        data: content of the benchmark's JSON file.
    """
    body = [
        (title, *(_cell(rows, *column) for column in _COLUMNS.values()), seeds or "–")
        for title, rows, seeds in _measured(data)
    ]
    return f"{_conditions(data)}\n\n{table(('variant', *_COLUMNS, 'seeds'), body)}\n"


def comparison(data: Mapping[str, Any]) -> dict[str, Any]:
    """The table as a model's card holds it: means over seeds, in Hartree and shares.

    Args:
        data: content of the benchmark's JSON file.
    """
    keys = [key for key, _, _ in _COLUMNS.values()]
    return {
        "minutes": data["record"]["minutes"],
        "data": data["record"]["data"],
        "variants": {
            title: {"seeds": seeds}
            | {key: fmean(row[key] for row in rows) for key in keys if key in rows[0]}
            for title, rows, seeds in _measured(data)
        },
    }


def _measured(data: Mapping[str, Any]) -> Iterator[tuple[str, list[Mapping[str, Any]], int]]:
    """Title, rows and number of trainings of what was measured."""
    for name, variant in VARIANTS.items():
        for n in variant.steps:
            key = name if variant.steps == (1,) else f"{name} N={n}"
            if rows := list(data["rows"].get(key, {}).values()):
                title = variant.title if variant.steps == (1,) else f"{variant.title}, N = {n}"
                yield title, rows, len(rows) if variant.trained else 0


def _cell(rows: Sequence[Mapping[str, Any]], key: str, factor: float, digits: int) -> str:
    values = [factor * row[key] for row in rows if key in row]
    if not values:
        return "–"
    spread = f" ± {stdev(values):.{digits}f}" if len(values) > 1 else ""
    return f"{fmean(values):.{digits}f}{spread}"


def _conditions(data: Mapping[str, Any]) -> str:
    record = data["record"]
    installed, labels = record["versions"], record["data"]["labels"]
    packages = ", ".join(f"{n} {installed[n]}" for n in ("genmol", "torch", "pyscf", "python"))
    rows = [row for section in data["rows"].values() for row in section.values()]
    sizes = sorted({row["parameters"] for row in rows if "parameters" in row})
    network = record["recipe"]["model"]
    size = f"{sizes[-1] / 1e6:.2f} million parameters, " if sizes else ""
    return (
        f"`genmol benchmark qhflow`: {record['hardware']['processor']}, {record['threads']} "
        f"thread{'s' * (record['threads'] > 1)}; {packages}. {record['data']['level']}; "
        f"{labels['train']} labels to train on, {labels['test']} of other molecules to test with. "
        f"Every line is {record['minutes']:g} minutes of processor time of one small network "
        f"({size}{network.get('channels')} channels, {network.get('layers')} layers; the shipped one "
        f"is larger and trained for longer); of fine-tuned ones the last {record['share']:.0%} are "
        "fine-tuning. N Euler steps for a sample of a flow. Errors are means over the test labels; "
        "\\|g\\| is taken at the exact Fock matrix. Mean ± standard deviation over seeds."
    )
