"""What the card of a trained model of the Fock matrix says, and the errors it states."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from ase.data import chemical_symbols

from genmol.core.jsonable import jsonable
from genmol.data.hamiltonian import RawLabel, summary
from genmol.scf.examples import ExpectedLevel
from genmol.train.fit import Examples, Trained, in_order
from genmol.train.fock_recipe import FockRecipe
from genmol.train.journal import summarise
from genmol.train.module import Task

__all__ = ["judge", "level_record", "model_card"]


def level_record(level: ExpectedLevel) -> dict[str, Any]:
    """The level of theory as a card states it: its name under ``method``, and what it resolves to."""
    record = jsonable(level)
    assert isinstance(record, dict)
    return {"method": str(level), **record}


def judge(task: Task, recipe: FockRecipe, trained: Trained, held: Examples) -> dict[str, Any]:
    """Errors on held-out labels: all together, by heavy atoms, by element."""
    rows: dict[int, Mapping[str, float]] = {}
    for batch in in_order(held, recipe):
        content = task.collate([held.items[i] for i in batch])
        rows |= dict(zip(batch, task.evaluate(trained.model, content), strict=True))
    by: dict[str, dict[str, list[Mapping[str, float]]]] = {
        "by_heavy_atoms": defaultdict(list),
        "by_element": defaultdict(list),
    }
    for index, example in enumerate(held.items):
        heavy = int(np.sum(example.numbers > 1))
        by["by_heavy_atoms"][str(heavy)].append(rows[index])
        for z in np.unique(example.numbers):
            by["by_element"][chemical_symbols[int(z)]].append(rows[index])
    return {
        "labels": len(held.items),
        "molecules": len({example.source for example in held.items}),
        "all": summarise(list(rows.values())),
        **{
            name: {key: {"labels": len(part), **summarise(part)} for key, part in parts.items()}
            for name, parts in by.items()
        },
    }


def model_card(
    recipe: FockRecipe,
    labels: Sequence[RawLabel],
    identity: Mapping[str, Any],
    trained: Trained,
    metrics: Mapping[str, Any],
    data: Sequence[str | Path],
    licence: str,
    origin: Mapping[str, str] | None,
) -> dict[str, Any]:
    """The card, but for what :func:`genmol.core.weights.save_weights` adds.

    Args:
        recipe: of the run.
        labels: all that were read, training and test.
        identity: the run's ``run.json``.
        trained: how it ended.
        metrics: part of the data -> what :func:`judge` found.
        data: files and folders of the labels.
        licence: of the weights.
        origin: ``name`` and ``sha256`` of the weights it started at, if any.
    """
    config = trained.model.config.to_dict()  # type: ignore[operator, union-attr]
    start = f" --from {origin['name']}" if origin else ""
    named = " ".join(Path(path).name for path in data)
    return {
        "class": "FockModel",
        "config": config,
        "generator": {"prior": recipe.prior, "sigma": recipe.prior_width},
        "units": {"positions": "angstrom", "fock": "hartree", "metrics": "hartree"},
        "data": {"sha256": identity["data"], **summary(labels)},
        "metrics": metrics,
        "domain": {
            "elements": sorted(int(z) for z in config["shells"]),
            "charges": sorted({label.charge for label in labels}),
            "level": level_record(labels[0].level),
        },
        "licence": licence,
        "reproduce": f"genmol train hamiltonian --data {named}{start} --recipe recipe.json "
        "--out RUN",
        "training": {
            "recipe": recipe.to_dict(),
            "started_from": origin,
            "steps": trained.step,
            "minutes": round(trained.minutes, 2),
            "versions": identity["versions"],
        },
    }
