"""Train a model of the Fock matrix: labels in, weights with their card out.

========================  ======================================================================
file of the run's folder  content
========================  ======================================================================
``recipe.json``           how it was trained (:mod:`genmol.train.recipe`)
``run.json``              hash of the data, names of the validation labels, versions
``cache/``                what was computed for each label (:mod:`genmol.data.hamiltonian`), unless
                          another folder is given, for several runs on the same labels
``checkpoints/``          to resume from (:mod:`genmol.train.checkpoints`)
``metrics.jsonl``         learning curves; ``tensorboard/`` has the same
``model.safetensors``     the result, with its card ``model.json``
========================  ======================================================================
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

from ase.data import chemical_symbols

from genmol.core.environment import versions
from genmol.core.errors import InputError, MissingExtraError
from genmol.core.files import check_writable, write_json
from genmol.core.jsonable import jsonable
from genmol.core.weights import Weights, load_weights, save_weights
from genmol.data.hamiltonian import RawLabel, data_hash, prepare, read_labels
from genmol.train.batches import choose, keep_apart
from genmol.train.fock_recipe import FockRecipe
from genmol.train.run_folder import TrainedModel, check_run, open_run

__all__ = ["train"]

_MINUTES = 60.0  # of a run whose recipe sets no limit


def train(
    recipe: FockRecipe,
    data: Sequence[str | Path],
    out: str | Path,
    *,
    resume: bool = True,
    start_from: str | Path | None = None,
    calibration: Sequence[str | Path] = (),
    cache: str | Path | None = None,
    device: Literal["auto", "cpu", "cuda"] = "auto",
    devices: int = 1,
    workers: int = 1,
    loaders: int = 0,
    licence: str = "not stated",
    report: Callable[[dict[str, Any]], None] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> TrainedModel:
    """Train, or go on with the run in ``out``, and export the averaged weights.

    Args:
        recipe: how; without a limit it trains for an hour.
        data: label folders or files, of one level of theory.
        out: folder of the run.
        resume: go on with a run there; False refuses one.
        start_from: weights to start at; their card decides the network. Where the recipe names
            another starting point, inputs and outputs are scaled anew.
        calibration: label folders or files of further molecules, which set the intervals, while
            those that validate choose the filter; neither trained on nor part of the run.
        cache: folder of what is computed for each label; ``out/cache`` if None.
        device: where.
        devices: processes, one device each.
        workers: processes that prepare the data.
        loaders: processes that prepare batches.
        licence: of the weights, for their card.
        report: called with each line of the metrics.
        progress: called with the numbers of labels prepared and of all.

    Raises:
        MissingExtraError: no Lightning or TensorBoard.
        InputError: data, weights, recipe or folder do not fit together.
        InputError: loss or gradient became not finite; the last good state is kept.
        KeyboardInterrupt: interrupted; the run can be resumed.
    """
    for package in ("lightning", "tensorboard"):
        if find_spec(package) is None:  # importing takes seconds, and faulty input is cheap to find
            raise MissingExtraError(package, extra="train")
    out = Path(out)
    check_writable(out / "recipe.json")
    if recipe.max_steps is None and recipe.max_minutes is None:
        recipe = recipe.changed(max_minutes=_MINUTES)
    weights = None if start_from is None else load_weights(start_from, expected_class="FockModel")
    recipe = (
        recipe.changed(start=recipe.start or "semilocal")
        if weights is None
        else _adopt(recipe, weights)
    )
    assert recipe.start is not None
    begun = open_run(out, recipe, resume)

    labels = read_labels(list(data), split=recipe.split)
    _check_level(labels, weights)
    chosen = [label for label in labels if label.part == "train"]
    groups = [label.structure if recipe.split == "frame" else label.source for label in chosen]
    inside, apart = keep_apart(
        groups,
        share=recipe.validation_share,
        seed=recipe.seed,
        by="frame" if recipe.split == "frame" else "molecule",
    )
    names = [chosen[i].name for i in inside]
    inside = [inside[k] for k in choose(names, most=recipe.max_labels, seed=recipe.seed)]
    origin = weights and {"name": weights.name, "sha256": weights.sha256}
    identity: dict[str, Any] = {
        "started_from": origin or (begun or {}).get("started_from"),
        "data": data_hash(labels),
        "validation": [chosen[i].name for i in apart],
        "versions": versions("pyscf"),
    }
    check_run(begun, identity, out)
    further = _further(calibration, labels, by_frame=recipe.split == "frame")
    prepared = prepare(
        [*labels, *further],
        start=recipe.start,
        cache=cache or out / "cache",
        workers=workers,
        progress=progress,
    )
    examples, separate = prepared[: len(labels)], prepared[len(labels) :]
    in_train = [example for example in examples if example.part == "train"]
    in_test = [example for example in examples if example.part == "test"]

    from genmol.train.calibrated import calibrated
    from genmol.train.fit import fit
    from genmol.train.fock_task import fock_task, sized
    from genmol.train.model_card import judge, model_card

    training, validation = ([in_train[i] for i in indices] for indices in (inside, apart))
    task = fock_task(recipe, labels, weights, training)
    recipe.save(out / "recipe.json")
    write_json(out / "run.json", identity)
    trained = fit(
        task,
        recipe,
        sized(training),
        sized(validation),
        out=out,
        device=device,
        devices=devices,
        loaders=loaders,
        report=report,
    )
    metrics = {
        part: judge(task, recipe, trained, sized(held))
        for part, held in {"validation": validation, "test": in_test}.items()
    }
    save_weights(
        out / "model",
        trained.model.state_dict(),
        model_card(
            recipe, labels, identity, trained, metrics, data, licence, identity["started_from"]
        ),
    )
    card = calibrated(out / "model.safetensors", validation, separate)
    return TrainedModel(
        out / "model.safetensors", card, trained.step, trained.minutes, trained.resumed_from
    )


# --- folder and data


def _further(
    paths: Sequence[str | Path], labels: Sequence[RawLabel], *, by_frame: bool
) -> list[RawLabel]:
    """Labels to calibrate with, of no molecule (or structure, if split by frame) of the data."""
    if not paths:
        return []

    def identity(label: RawLabel) -> str:
        return label.structure if by_frame else label.source

    found = read_labels(list(paths), split="frame", level=labels[0].level)
    known = {identity(label) for label in labels}
    if both := [label.name for label in found if identity(label) in known]:
        raise InputError(
            got=f"{len(both)} of {len(found)} labels to calibrate with of molecules that are in the "
            f"data, too ({', '.join(both[:5])})",
            wanted="what the model does not see in training",
            remedy="leave them out of one of the two",
        )
    _check_elements(found, {int(z) for label in labels for z in label.numbers}, "the data")
    return found


def _check_level(labels: Sequence[RawLabel], weights: Weights | None) -> None:
    """Labels must be of the level of theory that the weights were trained for."""
    if weights is None:
        return
    level = labels[0].level
    stated = weights.card["domain"].get("level")
    bare = {k: v for k, v in stated.items() if k != "method"} if isinstance(stated, dict) else {}
    if bare != jsonable(level):
        stated = stated.get("method", "not stated") if isinstance(stated, dict) else stated
        raise InputError(
            got=f"labels of {level}, for weights of another level of theory ({stated})",
            wanted="labels of the level that the weights were trained for",
            remedy="leave --from out, or label with that functional and basis",
        )
    known = {int(z) for z in weights.card["config"]["shells"]}
    _check_elements(labels, known, "the weights to start at")


def _check_elements(labels: Sequence[RawLabel], known: set[int], whose: str) -> None:
    found = {int(z) for label in labels for z in label.numbers}
    if unknown := sorted(found - known):
        raise InputError(
            got=f"labels with the elements {', '.join(chemical_symbols[z] for z in unknown)}",
            wanted=f"those of {whose}: {', '.join(chemical_symbols[z] for z in sorted(known))}",
            remedy="leave these labels out, or train from scratch on labels of all of them",
        )


def _adopt(recipe: FockRecipe, weights: Weights) -> FockRecipe:
    """The recipe with the network of ``weights``."""
    config = dict(weights.card["config"])
    start, flow = config.pop("start"), config.pop("flow")
    if recipe.model and {k: config.get(k) for k in recipe.model} != dict(recipe.model):
        raise InputError(
            got="a network in the recipe that differs from that of the weights",
            wanted="the network of the weights",
            remedy="leave --model out, or --from",
        )
    return recipe.changed(
        model=config, start=recipe.start or start, generator="flow" if flow else "regression"
    )
