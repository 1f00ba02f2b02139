"""``genmol benchmark qhflow``: flow against regression and the fine-tunings, at equal compute.

Every variant trains the same small network on the same labels for the same processor time; a
fine-tuned one spends the last share of that time on fine-tuning. Errors are those on the test part of
the data, molecule by molecule (:func:`genmol.train.fock_errors.fock_errors`).

===================  ===========================================================================
variant              what is trained
===================  ===========================================================================
``start-semilocal``  nothing: the starting point itself, for comparison
``start-minao``      the same
``start-sap``        the same
``regression``       the correction to the semilocal Fock matrix of superposed atoms
``flow-goe``         a flow to it from independent normal elements; sampled with N = 1 and 3
``flow-expansion``   a flow from expanded normal irreps; sampled with N = 1 and 3
``wa``               regression, then wavefunction alignment
``commutator``       regression, then the orbital gradient at the cheap level, without labels
``minao``            regression from the cheap Fock matrix of superposed atoms
``sap``              regression from core Hamiltonian and superposed atomic potentials
===================  ===========================================================================

A finished row is never measured again, and a killed training goes on at its last checkpoint.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, cast, get_args

from genmol.benchmark.store import Store
from genmol.core.environment import CORE_PACKAGES, hardware, versions
from genmol.core.errors import InputError
from genmol.data.hamiltonian import RawLabel, data_hash, prepare, read_labels
from genmol.train.fock_recipe import FockRecipe

if TYPE_CHECKING:
    from genmol.scf.fock_model import FockModel

__all__ = ["RECIPE", "VARIANTS", "Variant", "VariantName", "measure_qhflow"]

VariantName = Literal[
    "start-semilocal", "start-minao", "start-sap", "regression", "flow-goe", "flow-expansion", "wa",
    "commutator", "minao", "sap",
]  # fmt: skip
Rows = Iterator[tuple[str, dict[str, Any]]]

MODEL: Final = {
    "channels": 16,
    "other_channels": 8,
    "edge_channels": [64, 16, 48, 32, 16, 8],
    "product_channels": 8,
    "layers": 2,
}
"""Smaller than the shipped network, so that minutes tell."""

RECIPE: Final = FockRecipe(
    model=MODEL,
    start="semilocal",
    learning_rate=5e-3,
    warmup_steps=50,
    ema=0.99,
    batch_pairs=900,
    validation_share=0.0,  # nothing is chosen by validation
    validate_steps=1_000_000,
    clock="processor",
)
SHARE: Final = 0.3
"""Of the time that goes to fine-tuning."""


@dataclass(frozen=True)
class Variant:
    """One way to train.

    Attributes:
        title: in the table.
        options: fields of the recipe that differ.
        finetune: those of the fine-tuning that follows, if any.
        steps: numbers of Euler steps to sample with.
        trained: False for the starting point alone.
    """

    title: str
    options: Mapping[str, Any] = field(default_factory=dict)
    finetune: Mapping[str, Any] | None = None
    steps: tuple[int, ...] = (1,)
    trained: bool = True


_FLOW = {"generator": "flow"}
VARIANTS: Final[dict[VariantName, Variant]] = {
    "start-semilocal": Variant("semilocal, untrained", trained=False),
    "start-minao": Variant("minao, untrained", {"start": "minao"}, trained=False),
    "start-sap": Variant("sap, untrained", {"start": "sap"}, trained=False),
    "regression": Variant("regression"),
    "flow-goe": Variant("flow, goe", _FLOW, steps=(1, 3)),
    "flow-expansion": Variant("flow, expansion", {**_FLOW, "prior": "expansion"}, steps=(1, 3)),
    "wa": Variant("regression + WA", finetune={"finetune": "wa", "learning_rate": 1e-3}),
    "commutator": Variant(
        "regression + commutator",
        finetune={
            "finetune": "commutator",
            "learning_rate": 3e-4,
            "warmup_steps": 5,
            "batch_molecules": 4,
            "max_labels": 16,  # cheap levels stay in memory: making one costs as much as ten steps
        },
    ),
    "minao": Variant("regression from minao", {"start": "minao"}),
    "sap": Variant("regression from sap", {"start": "sap"}),
}
assert tuple(VARIANTS) == get_args(VariantName)


def measure_qhflow(
    path: Path,
    data: Sequence[str | Path],
    *,
    minutes: float = 4.0,
    seeds: int = 3,
    runs: Path,
    cache: Path | None = None,
    recipe: FockRecipe = RECIPE,
    threads: int = 1,
    workers: int = 1,
    resume: bool = False,
    only: Sequence[VariantName] = tuple(VARIANTS),
    progress: Callable[[Rows, str, int], Rows] = lambda rows, *_: rows,
) -> dict[str, Any]:
    """Measure what ``path`` does not hold yet, keep every row, and return all of it.

    Args:
        path: JSON file.
        data: label folders or packed files, with test molecules among them.
        minutes: processor time of every variant and seed.
        seeds: 0, 1, ..., of weights, noise and order.
        runs: folder of the trainings, one below it for each.
        cache: folder of what is computed for each label; one in ``runs`` if None.
        recipe: of all variants, but for their own options.
        threads: recorded; the caller has set them.
        workers: processes that prepare the data.
        resume: go on with an existing file.
        only: variants to measure.
        progress: wraps the rows, given a title and the number of trainings to come.

    Raises:
        InputError: no data or no test labels; the file exists and is not to be resumed, or its
            conditions were others.
    """
    if not data:
        raise InputError(
            got="no labels to train on",
            wanted="label folders or packed files; none are part of the package",
            remedy="genmol benchmark qhflow --data DIR, with labels that genmol label made",
        )
    labels = read_labels(list(data), split=recipe.split)
    counts = {part: sum(x.part == part for x in labels) for part in ("train", "test")}
    if not all(counts.values()):
        raise InputError(
            got=f"{counts['train']} labels to train on and {counts['test']} to test with",
            wanted="some of both",
            remedy="label more molecules: one of ten is a test molecule",
        )
    record = {
        "hardware": hardware(),
        "versions": versions(*CORE_PACKAGES, "lightning"),
        "threads": threads,
        "minutes": minutes,
        "share": SHARE,
        "recipe": recipe.to_dict(),
        "variants": {name: [v.options, v.finetune] for name, v in VARIANTS.items()},
        "data": {"sha256": data_hash(labels), "labels": counts, "level": str(labels[0].level)},
    }
    store = Store(path, benchmark="qhflow", record=record, scope="ablation", resume=resume)
    bench = _Bench(recipe, labels, list(data), minutes, runs, cache or runs / "cache", workers)
    cells = [
        (name, seed)
        for seed in range(seeds)
        for name in only
        if (VARIANTS[name].trained or seed == 0)
        and not all(str(seed) in store.rows(key) for key in _keys(name))
    ]

    def rows() -> Rows:
        for name, seed in cells:
            for key, row in bench.cell(name, seed).items():
                store.add(key, str(seed), row)
            yield f"{name} {seed}", {}

    for _ in progress(rows(), "trainings", len(cells)):
        pass
    return store.data


def _keys(name: VariantName) -> list[str]:
    """Sections of a variant: one for each number of sampling steps."""
    steps = VARIANTS[name].steps
    return [name] if steps == (1,) else [f"{name} N={n}" for n in steps]


@dataclass(frozen=True)
class _Bench:
    """Trains and tests one variant with one seed."""

    recipe: FockRecipe
    labels: Sequence[RawLabel]
    data: Sequence[str | Path]
    minutes: float
    runs: Path
    cache: Path
    workers: int

    def cell(self, name: VariantName, seed: int) -> dict[str, dict[str, Any]]:
        """Rows by section."""
        variant = VARIANTS[name]
        recipe = self.recipe.changed(**variant.options, seed=seed)
        if not variant.trained:
            return {name: self._test(None, recipe, 1)}
        folder = self.runs / f"seed_{seed}"
        if variant.finetune is None:
            found = self._train(recipe, self.minutes, folder / name)
        else:
            first = self._train(recipe, (1 - SHARE) * self.minutes, folder / "before")
            tuned = recipe.changed(**variant.finetune)
            found = self._train(
                tuned, SHARE * self.minutes, folder / name, start_from=folder / "before" / "model"
            )
            found = {key: found[key] + first[key] for key in found}
        model = _load(folder / name / "model")
        size = sum(p.numel() for p in model.parameters())
        return {
            key: {**found, "parameters": size, **self._test(model, recipe, n)}
            for key, n in zip(_keys(name), variant.steps, strict=True)
        }

    def _train(
        self, recipe: FockRecipe, minutes: float, out: Path, start_from: Path | None = None
    ) -> dict[str, float]:
        from genmol.train.hamiltonian import train

        trained = train(
            recipe.changed(max_minutes=minutes) if recipe.max_steps is None else recipe,
            self.data,
            out,
            start_from=start_from,
            cache=self.cache,
            device="cpu",
            workers=self.workers,
        )
        return {"steps": trained.steps, "seconds": 60 * trained.minutes}

    def _test(self, model: FockModel | None, recipe: FockRecipe, steps: int) -> dict[str, Any]:
        """Means over the test labels, processor seconds of a prediction included."""
        from genmol.scf.fock_batch import FockBatch
        from genmol.scf.qhflow import Objective
        from genmol.train.fock_errors import fock_errors
        from genmol.train.fock_task import fock_task
        from genmol.train.journal import summarise

        assert recipe.start is not None
        held = [label for label in self.labels if label.part == "test"]
        examples = prepare(held, start=recipe.start, cache=self.cache, workers=self.workers)
        if model is None:  # one that predicts no correction
            model = cast("FockModel", fock_task(recipe, self.labels, None, examples).model).float()
            model.forward = lambda batch: 0 * batch.initial  # type: ignore[assignment,misc]
        cutoff = model.config.cutoff
        settings = Objective(prior=recipe.prior, sigma=recipe.prior_width)
        found = []
        began = time.process_time()
        for example in examples:
            batch = FockBatch.collate([example], model.slots, cutoff=cutoff)
            found += fock_errors(model, batch, settings, steps=steps)
        seconds = (time.process_time() - began) / len(examples)
        return {**summarise(found), "labels": len(examples), "test_seconds": seconds}


def _load(path: Path) -> FockModel:
    from genmol.core.weights import load_weights, restore
    from genmol.scf.fock_model import FockModel, FockModelConfig

    weights = load_weights(path, expected_class="FockModel")
    model = FockModel(FockModelConfig.from_dict(weights.card["config"]))
    restore(model, weights)
    return model.float().eval()
