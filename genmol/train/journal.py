"""What a run writes down while it trains, and when it stops.

``metrics.jsonl`` has one line every ``log_steps`` steps, means over the lines' steps, and one line for
each validation; TensorBoard gets the same numbers. A run resumed at an earlier step than it had logged
drops the lines after that step.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import numpy as np
import torch

from genmol.core.errors import InputError
from genmol.core.files import append_json_line, atomic_write_text, read_json_lines
from genmol.core.jsonable import dumps
from genmol.train.checkpoints import save_checkpoint
from genmol.train.module import NamedBatch, TrainingModule

__all__ = ["Journal", "summarise", "trim_metrics"]

Row = dict[str, Any]


def summarise(rows: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Mean of each number over items, and its median and largest as ``KEY_median``, ``KEY_max``."""
    found: dict[str, float] = {}
    for key in rows[0] if rows else ():
        values = np.array([float(row[key]) for row in rows])
        found[key] = float(values.mean())
        found[f"{key}_median"] = float(np.median(values))
        found[f"{key}_max"] = float(values.max())
    return found


def trim_metrics(path: Path, step: int) -> None:
    """Drop the lines of steps after ``step``, and a torn last one."""
    if path.exists():
        kept = [row for row in read_json_lines(path) if row["step"] <= step]
        atomic_write_text(path, "".join(dumps(row) + "\n" for row in kept))


class Journal(pl.Callback):
    """Logs, validates, saves and stops; everything at the end of a step.

    Args:
        out: folder of the run.
        validation: batches of this process.
        interrupted: asked after each step; True stops the run.
        report: called with each line, on the first process.
    """

    def __init__(
        self,
        out: Path,
        validation: Sequence[NamedBatch],
        *,
        interrupted: Callable[[], bool],
        report: Callable[[Row], None] | None = None,
    ) -> None:
        self.out, self.validation = out, validation
        self.interrupted, self.report = interrupted, report
        self.checkpoints = out / "checkpoints"
        self.metrics: dict[str, float] = {}
        """Of the last validation."""
        self._sums: dict[str, Any] = {}
        self._count = 0
        self._saved = time.monotonic()
        self._last = -1

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start the clock; do nothing more if the run was finished before."""
        assert isinstance(pl_module, TrainingModule)
        pl_module.start_clock()
        self._saved, self._last = time.monotonic(), trainer.global_step
        if pl_module.finished:
            trainer.should_stop = True

    def on_train_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Log, validate, save and stop where it is time to."""
        del outputs, batch, batch_idx
        assert isinstance(pl_module, TrainingModule)
        step, recipe = trainer.global_step, pl_module.recipe
        for key, value in pl_module.latest.items():
            self._sums[key] = self._sums.get(key, 0.0) + value
        self._count += 1
        finished = pl_module.finished
        if step % recipe.log_steps == 0 or finished:
            means = {key: float(value) / self._count for key, value in self._sums.items()}
            self._write(trainer, pl_module, "train", means)
            self._sums, self._count = {}, 0
        interrupted = self._together(trainer, self.interrupted())
        if finished or (step % recipe.validate_steps == 0 and not interrupted):
            self.validate(trainer, pl_module)
        due = time.monotonic() - self._saved >= 60 * recipe.checkpoint_minutes
        if finished or interrupted or self._together(trainer, due):
            save_checkpoint(trainer, self.checkpoints)
            self._saved, self._last = time.monotonic(), step
        if finished or interrupted:
            trainer.should_stop = True

    def validate(self, trainer: pl.Trainer, module: TrainingModule) -> None:
        """Validate with the averaged weights, over all processes."""
        found: list[Any] = module.validate(self.validation)
        if trainer.world_size > 1:
            parts: list[Any] = [None] * trainer.world_size
            torch.distributed.all_gather_object(parts, found)
            found = [row for part in parts for row in part]
        self.metrics = summarise([row for _, row in found])
        if self.metrics:
            self._write(trainer, module, "validation", self.metrics)

    def on_exception(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException
    ) -> None:
        """Keep the state before a refused step, if it is a good one."""
        if not isinstance(exception, InputError) or trainer.global_step <= self._last:
            return
        if all(bool(torch.isfinite(weight).all()) for weight in pl_module.parameters()):
            save_checkpoint(trainer, self.checkpoints)

    def _together(self, trainer: pl.Trainer, decision: bool) -> bool:
        """True if any process says so."""
        if trainer.world_size == 1:
            return decision
        return bool(trainer.strategy.reduce_boolean_decision(decision, all=False))

    def _write(
        self, trainer: pl.Trainer, module: TrainingModule, kind: str, values: Mapping[str, float]
    ) -> None:
        minutes = module.seconds / 60
        if not trainer.is_global_zero:
            return
        row: Row = {"kind": kind, "step": trainer.global_step, "minutes": round(minutes, 4)}
        row |= values
        append_json_line(self.out / "metrics.jsonl", row)
        for logger in trainer.loggers:
            logger.log_metrics(
                {f"{kind}/{key}": value for key, value in values.items()}, step=trainer.global_step
            )
        if self.report is not None:
            self.report(row)
