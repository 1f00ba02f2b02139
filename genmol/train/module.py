"""One Lightning module for every task: a model, an objective, and nothing else to know of either.

Each step is a function of the weights, the optimizer's moments, the step's number and the batch:
noise comes from a generator seeded by (seed, step, process), the learning rate from the recipe, the
batch from its number. So a run that was killed and resumed does what the undisturbed one does.

The average of the weights, w̄ ← d w̄ + (1 − d) w with d = min(ema, (1 + n)/(10 + n)) after step n, is
what is validated and exported. A step whose loss or gradient is not finite is never taken.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import lightning.pytorch as pl
import numpy as np
import torch
from torch import Tensor, nn

from genmol.core.errors import InputError
from genmol.train.muon import Muon
from genmol.train.recipe import Recipe

__all__ = ["NamedBatch", "Task", "TrainingModule", "update_average"]


class NamedBatch(NamedTuple):
    """A batch and the names of its molecules."""

    names: tuple[str, ...]
    content: Any


@dataclass(frozen=True)
class Task:
    """What is trained.

    Attributes:
        model: any network.
        objective: (model, batch, generator) -> loss and what to log.
        evaluate: (model, batch) -> named numbers of every item, for validation.
        collate: joins examples to a batch on the CPU; the batch has a method ``to(device)``.
    """

    model: nn.Module
    objective: Callable[[Any, Any, torch.Generator], tuple[Tensor, Mapping[str, Any]]]
    evaluate: Callable[[Any, Any], Sequence[Mapping[str, float]]]
    collate: Callable[[Sequence[Any]], Any]


@torch.no_grad()
def update_average(average: nn.Module, model: nn.Module, *, decay: float) -> None:
    """Move ``average`` towards ``model``; buffers are copied."""
    new = [p.detach() for p in model.parameters()]
    if new:
        torch._foreach_lerp_(list(average.parameters()), new, 1 - decay)
    for old, buffer in zip(average.buffers(), model.buffers(), strict=True):
        old.copy_(buffer)


class TrainingModule(pl.LightningModule):
    """Optimizer, schedule, average, and the refusal of steps that are not finite.

    Args:
        task: what is trained.
        recipe: how.
    """

    def __init__(self, task: Task, recipe: Recipe) -> None:
        super().__init__()
        self.task, self.recipe = task, recipe
        self.model = task.model
        self.average = copy.deepcopy(task.model).requires_grad_(False)
        self.seconds_before = 0.0
        """Trained in earlier parts of the run."""
        self._started = self._now()
        self._names: tuple[str, ...] = ()
        self.latest: dict[str, Any] = {}
        """Loss, norm of the gradient and logs of the last step, as detached tensors."""

    @property
    def seconds(self) -> float:
        """Trained in all parts of the run; the first process's clock counts."""
        own = self.seconds_before + self._now() - self._started
        return float(self.trainer.strategy.broadcast(own)) if self.trainer.world_size > 1 else own

    def _now(self) -> float:
        return time.process_time() if self.recipe.clock == "processor" else time.monotonic()

    @property
    def finished(self) -> bool:
        """A limit of the recipe is reached."""
        steps, minutes = self.recipe.max_steps, self.recipe.max_minutes
        if steps is not None and self.global_step >= steps:
            return True
        return minutes is not None and self.seconds >= 60 * minutes

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """The recipe's, over the trained weights."""
        optimizer = {"muon": Muon, "adamw": torch.optim.AdamW}[self.recipe.optimizer]
        weights = [p for p in self.model.parameters() if p.requires_grad]
        return optimizer(
            weights, lr=self.recipe.learning_rate, weight_decay=self.recipe.weight_decay
        )

    def start_clock(self) -> None:
        """Count :attr:`seconds` from now on."""
        self._started = self._now()

    def noise(self) -> torch.Generator:
        """The generator of this step and process, on the model's device."""
        words = np.random.SeedSequence([self.recipe.seed, self.global_step, self.global_rank])
        seed = int(words.generate_state(1, np.uint64)[0] >> 1)
        return torch.Generator(device=self.device).manual_seed(seed)

    def training_step(self, batch: NamedBatch) -> Tensor:
        """Loss of a batch."""
        self._names = batch.names
        loss, logs = self.task.objective(self.model, batch.content, self.noise())
        self.latest = {"loss": loss.detach(), **logs}
        return loss

    def configure_gradient_clipping(
        self,
        optimizer: torch.optim.Optimizer,
        gradient_clip_val: float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """Clip; refuse a step that is not finite.

        Raises:
            InputError: loss or gradient is not finite; the weights are those before the step.
        """
        del optimizer, gradient_clip_val, gradient_clip_algorithm  # the recipe decides
        weights = [p for p in self.model.parameters() if p.requires_grad]
        norm = nn.utils.clip_grad_norm_(weights, self.recipe.clip)
        self.latest["gradient_norm"] = norm
        own = bool(torch.isfinite(self.latest["loss"]) & torch.isfinite(norm))
        everywhere = own
        if self.trainer.world_size > 1:  # all processes stop together
            everywhere = self.trainer.strategy.reduce_boolean_decision(own, all=True)
        if not everywhere:
            raise InputError(
                got=f"a loss of {float(self.latest['loss'])} and a gradient of norm {float(norm)} in "
                f"step {self.global_step + 1}, with the batch {', '.join(self._names)}",
                wanted="finite numbers; the state before that step is kept as a checkpoint",
                remedy="check the labels of these molecules, or resume with a lower --learning-rate",
            )

    def optimizer_step(
        self,
        epoch: int,
        batch_idx: int,
        optimizer: Any,
        optimizer_closure: Callable[[], Any] | None = None,
    ) -> None:
        """Take a step at the recipe's learning rate and move the average."""
        done = self.global_step
        minutes = self.seconds / 60 if self.recipe.max_minutes else 0.0
        rate = self.recipe.rate(done, minutes)
        for group in optimizer.param_groups:
            group["lr"] = rate
        super().optimizer_step(epoch, batch_idx, optimizer, optimizer_closure)
        update_average(
            self.average, self.model, decay=min(self.recipe.ema, (1 + done) / (10 + done))
        )
        self.latest["learning_rate"] = rate

    @torch.no_grad()
    def validate(self, batches: Sequence[NamedBatch]) -> list[tuple[str, Mapping[str, float]]]:
        """Named numbers of every item of this process's batches, with the averaged weights."""
        self.average.eval()
        found: list[tuple[str, Mapping[str, float]]] = []
        for names, content in batches:
            rows = self.task.evaluate(self.average, content.to(self.device))
            found += zip(names, rows, strict=True)
        return found

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add the clock."""
        checkpoint["seconds"] = self.seconds

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take the clock."""
        self.seconds_before = float(checkpoint["seconds"])
