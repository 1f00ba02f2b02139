"""Train a score model: frames with forces in, weights with their card out.

========================  ======================================================================
file of the run's folder  content
========================  ======================================================================
``recipe.json``           how it was trained (:mod:`genmol.train.score_recipe`)
``run.json``              hash of the data, frames that validate
``checkpoints/``          to resume from (:mod:`genmol.train.checkpoints`)
``metrics.jsonl``         learning curves; ``tensorboard/`` has the same
``model.safetensors``     the result, with its card ``model.json``
========================  ======================================================================

The loss is that of :func:`genmol.boltzmann.psm.objective`; validation repeats it at fixed levels of
noise.

Frames of one molecule, or of a toy, make a model of it. Ensembles of many make an *amortised* model,
which may be asked for other molecules of the same elements: it sees each in full detail, the stiffness of
an element is its mean over all of them, and those that validate are molecules not trained on.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import torch
from ase.data import chemical_symbols
from torch import Tensor

from genmol.boltzmann.psm import Mixing, modes_of, objective, squared_error, stiffness_of
from genmol.boltzmann.score_batch import ScoreBatch, ScoreFrame
from genmol.boltzmann.score_model import ScoreModel, ScoreModelConfig
from genmol.boltzmann.springs import Springs, measured_springs
from genmol.core.environment import versions
from genmol.core.errors import InputError
from genmol.core.files import check_writable, write_json
from genmol.core.weights import Weights, load_weights, restore, save_weights
from genmol.data.ensembles import Ensembles
from genmol.data.frames import Frames
from genmol.train.batches import keep_apart
from genmol.train.fit import Examples, fit, in_order
from genmol.train.journal import summarise
from genmol.train.module import Task
from genmol.train.run_folder import TrainedModel, check_run, open_run
from genmol.train.score_card import card_of, history_of
from genmol.train.score_data import ScoreData
from genmol.train.score_recipe import ScoreRecipe

__all__ = ["train"]

_MINUTES = 10.0  # of a run whose recipe sets no limit
_FEWEST = 20  # frames
_LOWEST, _HIGHEST = 0.1, 5.0  # levels of noise: of the stiffest coordinate, and of the whole
_LEVELS = 8  # of a validation


def train(
    recipe: ScoreRecipe,
    frames: Frames | Ensembles,
    out: str | Path,
    *,
    resume: bool = True,
    start_from: str | Path | None = None,
    device: Literal["auto", "cpu", "cuda"] = "auto",
    licence: str = "not stated",
    toy: str | None = None,
    report: Callable[[dict[str, Any]], None] | None = None,
) -> TrainedModel:
    """Train, or go on with the run in ``out``, and export the averaged weights.

    Args:
        recipe: how; without a limit it trains for ten minutes.
        frames: the data, of one molecule or of many.
        out: folder of the run.
        resume: go on with a run there; False refuses one.
        start_from: weights to start at; their card decides the network.
        device: where.
        licence: of the weights, for their card.
        toy: name of the toy that the frames are points of.
        report: called with each line of the metrics.

    Raises:
        InputError: data, weights, recipe or folder do not fit together, or there are too few frames.
        InputError: loss or gradient became not finite; the last good state is kept.
        KeyboardInterrupt: interrupted; the run can be resumed.
    """
    out = Path(out)
    check_writable(out / "recipe.json")
    if frames.count < _FEWEST:
        raise InputError(
            got=f"{frames.count} frames",
            wanted=f"at least {_FEWEST}",
            remedy="sample more, for instance with genmol sample, and label them",
        )
    if recipe.max_steps is None and recipe.max_minutes is None:
        recipe = recipe.changed(max_minutes=_MINUTES)
    weights = None
    if start_from is not None:
        weights = load_weights(start_from, expected_class="ScoreModel")
    begun = open_run(out, recipe, resume)
    data = ScoreData.of(frames, recipe, weights, toy=toy)
    inside, apart = keep_apart(
        data.names, share=recipe.validation_share, seed=recipe.seed, by=data.by
    )
    origin = weights and {"name": weights.name, "sha256": weights.sha256}
    identity: dict[str, Any] = {
        "started_from": origin or (begun or {}).get("started_from"),
        "data": frames.sha256,
        "validation": list(dict.fromkeys(data.names[k] for k in apart)),
        "versions": versions("torch"),
    }
    check_run(begun, identity, out)

    training, held = ([data.examples[k] for k in part] for part in (inside, apart))
    _check_elements(training, held)
    task = _task(recipe, training, weights, detailed=data.detailed)
    recipe.save(out / "recipe.json")
    write_json(out / "run.json", identity)
    validation = _sized(held, apart)
    trained = fit(
        task, recipe, _sized(training, inside), validation, out=out, device=device, report=report
    )
    metrics = {"validation": _judged(task, recipe, trained.model, validation)}
    config: ScoreModelConfig = task.model.config  # type: ignore[assignment]
    card = save_weights(
        out / "model",
        trained.model.state_dict(),
        card_of(frames, data, config, metrics, recipe, identity, toy=toy, licence=licence)
        | {"training": history_of(recipe, identity, trained.step, trained.minutes)},
    )
    return TrainedModel(
        out / "model.safetensors", card, trained.step, trained.minutes, trained.resumed_from
    )


def _check_elements(training: Sequence[ScoreFrame], held: Sequence[ScoreFrame]) -> None:
    """A network has no numbers for an element that it is not trained on."""
    known, asked = (
        {z for system in {frame.system for frame in part} for z in system.numbers.tolist()}
        for part in (training, held)
    )
    if strangers := sorted(asked - known):
        raise InputError(
            got=f"{', '.join(chemical_symbols[z] for z in strangers)} in molecules that validate only",
            wanted="every element among those to train on",
            remedy="add molecules with it, or choose others to validate with by --seed",
        )


def _sized(examples: Sequence[ScoreFrame], places: Sequence[int]) -> Examples:
    """With their numbers of pairs, as the recipe's budget counts them."""
    return Examples(
        examples, [f"frame {k}" for k in places], [e.system.pairs.shape[1] for e in examples]
    )


def _task(
    recipe: ScoreRecipe, training: Sequence[ScoreFrame], weights: Weights | None, *, detailed: bool
) -> Task:
    """Network, loss and errors."""
    dtype = getattr(torch, recipe.precision)
    whole = ScoreBatch.collate(training, dtype=torch.float64)
    d = int(whole.axes.sum())
    if weights is None:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(recipe.seed)
            model = ScoreModel(_config(recipe, whole, detailed=detailed)).to(dtype)
    else:
        model = ScoreModel(ScoreModelConfig.from_dict(weights.card["config"])).to(dtype)
        restore(model, weights)
    modes = None
    if recipe.rule == "modes":
        shape = (len(training), -1, 3)
        modes = modes_of(whole.forces.reshape(shape)[..., :d], whole.weight)
    springs = None
    if recipe.rule == "springs":
        springs = _springs(model.config, training, recipe.seed)
    mixing = Mixing(recipe.rule, stiffness_of(whole), modes, recipe.threshold, springs)
    pairs = max(e.system.pairs.shape[1] for e in training)
    wanted = min(recipe.batch_molecules, max(1, recipe.batch_pairs // pairs))

    def loss(
        model: ScoreModel, batch: ScoreBatch, generator: torch.Generator
    ) -> tuple[Tensor, Mapping[str, Tensor]]:
        return objective(model, batch.repeated(max(1, wanted // batch.frames)), mixing, generator)

    def evaluate(model: ScoreModel, batch: ScoreBatch) -> list[dict[str, float]]:
        generator = torch.Generator(device=batch.x.device).manual_seed(0)
        c = model.config
        ends = math.log10(c.low), math.log10(c.high)
        levels = torch.logspace(*ends, _LEVELS, dtype=batch.x.dtype, device=batch.x.device)
        errors = torch.stack([
            squared_error(model, batch, mixing, level.expand(batch.frames), generator)
            for level in levels
        ])  # fmt: skip
        return [{"loss": float(error.mean())} for error in errors.T]

    return Task(
        model=model,
        objective=loss,
        evaluate=evaluate,
        collate=lambda items: ScoreBatch.collate(items, dtype=dtype),
    )


def _springs(config: ScoreModelConfig, training: Sequence[ScoreFrame], seed: int) -> Springs:
    """Measured on the data, the same again in a run that is resumed."""
    low, high = config.low, config.high
    stiffness = sum(config.stiffness.values()) / len(config.stiffness)
    springs = Springs(
        low=low, high=high, stiffness=stiffness, attributes=config.attributes,
        cutoff=config.cutoff, decay=config.decay,
    )  # fmt: skip
    return measured_springs(training, springs, low=low, high=high, seed=seed)


def _config(recipe: ScoreRecipe, whole: ScoreBatch, *, detailed: bool) -> ScoreModelConfig:
    """Spread, stiffness and levels of noise of the data, and the shape that the recipe wants."""
    total = whole.total(whole.x.square().sum(dim=1)) / (whole.degrees * whole.size)
    spread = float((whole.weight * total).sum() / whole.weight.sum())
    stiffness = stiffness_of(whole)
    given: dict[str, Any] = {
        "stiffness": stiffness,
        "spread": spread,
        "low": recipe.schedule_low or _LOWEST / math.sqrt(max(stiffness.values())),
        "high": recipe.schedule_high or _HIGHEST * math.sqrt(spread * float(whole.size.max())),
        "attributes": 0 if whole.attributes is None else whole.attributes.shape[1],
        "features": 0 if whole.features is None else whole.features.shape[1],
    }
    known = {entry.name for entry in dataclasses.fields(ScoreModelConfig)} - given.keys()
    given["detailed"] = detailed
    if unknown := sorted(set(recipe.model) - known):
        raise InputError(
            got=f"the unknown settings of the network {', '.join(unknown)}",
            wanted=f"some of {', '.join(sorted(known))}",
            remedy="correct --model",
        )
    return ScoreModelConfig(**{**given, **recipe.model})


def _judged(
    task: Task, recipe: ScoreRecipe, model: torch.nn.Module, held: Examples
) -> dict[str, float]:
    """The loss on frames that were kept apart."""
    rows: list[Mapping[str, float]] = []
    with torch.no_grad():
        for batch in in_order(held, recipe):
            rows += task.evaluate(model, task.collate([held.items[i] for i in batch]))
    return {"frames": len(rows), **summarise(rows)}
