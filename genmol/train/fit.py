"""Run a task: resume or begin, train until a limit or an interruption, hand back the average.

Lightning brings devices, processes and checkpoints; the loop is one endless epoch whose batches are
numbered (:mod:`genmol.train.batches`), so that resuming is asking for the next number.
"""

from __future__ import annotations

import logging
import signal
import sys
import threading
import types
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import lightning.pytorch as pl
from lightning.pytorch.loggers import TensorBoardLogger
from torch import nn
from torch.utils.data import DataLoader

from genmol.train.batches import BatchStream, group_by_size
from genmol.train.checkpoints import find_checkpoint
from genmol.train.journal import Journal, Row, trim_metrics
from genmol.train.module import NamedBatch, Task, TrainingModule
from genmol.train.recipe import Recipe

__all__ = ["Examples", "Trained", "fit", "in_order"]


@dataclass(frozen=True)
class Examples:
    """Examples with what a batch must know of them.

    Attributes:
        items: anything that the task collates.
        names: of the items.
        sizes: cost of each, as the recipe's budget counts it.
    """

    items: Sequence[Any]
    names: Sequence[str]
    sizes: Sequence[int]


@dataclass(frozen=True)
class Trained:
    """How a run ended.

    Attributes:
        model: with the averaged weights.
        step: optimizer steps of all parts of the run.
        minutes: of all parts of the run.
        metrics: of the last validation; empty if this part had none.
        resumed_from: step at which this part began.
    """

    model: nn.Module
    step: int
    minutes: float
    metrics: dict[str, float]
    resumed_from: int


class _Data(pl.LightningDataModule):
    """Batches from the step on that the trainer stands at."""

    def __init__(self, examples: Examples, task: Task, recipe: Recipe, loaders: int) -> None:
        super().__init__()
        self.examples, self.task, self.recipe, self.loaders = examples, task, recipe, loaders

    def train_dataloader(self) -> DataLoader[Any]:
        trainer = self.trainer
        assert trainer is not None
        stream = BatchStream(
            self.examples.sizes,
            budget=self.recipe.batch_pairs,
            most=self.recipe.batch_molecules,
            seed=self.recipe.seed,
            start=trainer.global_step,
            rank=trainer.global_rank,
            world=trainer.world_size,
        )
        return DataLoader(
            range(len(self.examples.items)),  # type: ignore[arg-type]
            batch_sampler=stream,
            collate_fn=self.collate,
            num_workers=self.loaders,
        )

    def collate(self, indices: Sequence[int]) -> NamedBatch:
        return _join(self.examples, self.task, indices)

    def transfer_batch_to_device(self, batch: Any, device: Any, dataloader_idx: int) -> Any:
        del dataloader_idx
        return NamedBatch(batch.names, batch.content.to(device))


def _join(examples: Examples, task: Task, indices: Sequence[int]) -> NamedBatch:
    content = task.collate([examples.items[i] for i in indices])
    return NamedBatch(tuple(examples.names[i] for i in indices), content)


def in_order(examples: Examples, recipe: Recipe) -> list[list[int]]:
    """Indices of all examples in batches, by size; for what needs no random order."""
    order = sorted(range(len(examples.items)), key=lambda i: examples.sizes[i])
    return group_by_size(
        order, examples.sizes, budget=recipe.batch_pairs, most=recipe.batch_molecules
    )


def fit(
    task: Task,
    recipe: Recipe,
    training: Examples,
    validation: Examples,
    *,
    out: Path,
    device: Literal["auto", "cpu", "cuda"] = "auto",
    devices: int = 1,
    loaders: int = 0,
    report: Callable[[Row], None] | None = None,
) -> Trained:
    """Train, from the newest checkpoint in ``out`` if there is one.

    Args:
        task: what is trained; its model holds the first weights.
        recipe: how; at least one of its limits is set.
        training: to train on.
        validation: to validate with; may be empty.
        out: folder of checkpoints, metrics and TensorBoard's files.
        device: where.
        devices: processes, one device each.
        loaders: processes that prepare batches; 0 prepares them in between.
        report: called with each line of the metrics.

    Raises:
        InputError: a step was not finite; the state before it is saved.
        InputError: all checkpoints are damaged.
        KeyboardInterrupt: interrupted; the state is saved.
    """
    assert recipe.max_steps is not None or recipe.max_minutes is not None
    start, checkpoint = find_checkpoint(out / "checkpoints")
    trim_metrics(out / "metrics.jsonl", start)
    with _stoppable() as stop, _quiet():
        module = TrainingModule(task, recipe)
        trainer = pl.Trainer(
            accelerator="gpu" if device == "cuda" else device,
            devices=devices,
            strategy="ddp" if devices > 1 else "auto",
            max_epochs=-1,
            max_steps=recipe.max_steps or -1,
            logger=TensorBoardLogger(
                out, name="", version="tensorboard", purge_step=start + 1 if start else None
            ),
            use_distributed_sampler=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            limit_val_batches=0,
        )
        journal = Journal(
            out,
            [
                _join(validation, task, batch)
                for batch in in_order(validation, recipe)[trainer.global_rank :: trainer.world_size]
            ],
            interrupted=lambda: bool(stop),
            report=report,
        )
        trainer.callbacks.append(journal)  # type: ignore[attr-defined]
        try:
            trainer.fit(
                module,
                datamodule=_Data(training, task, recipe, loaders),
                ckpt_path=checkpoint,
                weights_only=True,
            )
        except SystemExit as error:  # Lightning's answer to a second Ctrl-C
            raise KeyboardInterrupt from error
        if stop:
            raise KeyboardInterrupt
        minutes = module.seconds / 60
        if not trainer.is_global_zero:
            sys.exit(0)  # the first process hands back the result for all
    return Trained(module.average.cpu(), trainer.global_step, minutes, journal.metrics, start)


@contextmanager
def _stoppable() -> Iterator[list[int]]:
    """Turn the first Ctrl-C or SIGTERM into a request to stop after the step; a second one is final."""
    requests: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield requests  # signals are the main thread's
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def request(number: int, frame: types.FrameType | None) -> None:
        requests.append(number)
        earlier = before[signal.Signals(number)]
        if len(requests) > 1 and callable(earlier):
            earlier(number, frame)

    for number in before:
        signal.signal(number, request)
    try:
        yield requests
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep Lightning's advice and announcements off the screen."""
    logger = logging.getLogger("lightning.pytorch")
    level = logger.level
    logger.setLevel(logging.WARNING)
    try:
        with warnings.catch_warnings():
            for text in (
                ".*does not have many workers.*",
                ".*GPU available but not used.*",
                ".*isinstance\\(treespec, LeafSpec\\).*",
                ".*torch\\.jit\\.script.*",
            ):
                warnings.filterwarnings("ignore", message=text)
            yield
    finally:
        logger.setLevel(level)
