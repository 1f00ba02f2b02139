"""A task small enough to be trained in milliseconds: noisy regression of a scalar, in float64."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from genmol.train.fit import Examples, Trained, fit
from genmol.train.fock_recipe import FockRecipe
from genmol.train.module import Task

STEPS = 24


@dataclass(frozen=True)
class ToyBatch:
    x: Tensor
    y: Tensor

    def to(self, device: torch.device | str) -> ToyBatch:
        return ToyBatch(self.x.to(device), self.y.to(device))


def toy_task() -> Task:
    generator = torch.Generator().manual_seed(3)
    model = nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Linear(8, 1)).double()
    with torch.no_grad():
        for weight in model.parameters():
            weight.copy_(torch.randn(weight.shape, generator=generator, dtype=torch.float64))

    def objective(model, batch, generator):
        noise = torch.randn(batch.y.shape, generator=generator, dtype=torch.float64)
        loss = (model(batch.x)[:, 0] - batch.y - 0.1 * noise).square().mean()
        return loss, {"mse": loss.detach()}

    def evaluate(model, batch):
        return [{"error": float(e)} for e in (model(batch.x)[:, 0] - batch.y).abs()]

    def collate(items):
        return ToyBatch(torch.stack([x for x, _ in items]), torch.stack([y for _, y in items]))

    return Task(model, objective, evaluate, collate)


def toy_examples(count: int, *, first: int = 0) -> Examples:
    generator = torch.Generator().manual_seed(first)
    x = torch.randn(count, 3, generator=generator, dtype=torch.float64)
    items = [(row, row.sum().sin()) for row in x]
    names = [f"molecule_{first + i}" for i in range(count)]
    return Examples(items, names, [4 + i % 5 for i in range(count)])


def toy_recipe(**options: object) -> FockRecipe:
    recipe = FockRecipe(max_steps=STEPS, batch_pairs=24, warmup_steps=4, log_steps=1, ema=0.9)
    recipe = recipe.changed(validate_steps=8, precision="float64", checkpoint_minutes=0.0)
    return recipe.changed(**options)


def toy_fit(out: Path, report=None, training: Examples | None = None, **options: object) -> Trained:
    return fit(
        toy_task(),
        toy_recipe(**options),
        training or toy_examples(17),
        toy_examples(5, first=100),
        out=out,
        device="cpu",
        report=report,
    )


if __name__ == "__main__":  # run by the test that kills it
    import sys
    import time

    torch.set_num_threads(1)
    toy_fit(Path(sys.argv[1]), report=lambda row: time.sleep(0.05))
