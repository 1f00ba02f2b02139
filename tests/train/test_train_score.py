"""Training of a score: it learns, goes on after a kill as if nothing had been, and refuses other data."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from genmol.boltzmann.generator import ScoreGenerator
from genmol.boltzmann.score_batch import Particles
from genmol.boltzmann.score_files import score_for_toy
from genmol.core.errors import InputError
from genmol.data.frames import Frames, read_frames
from genmol.train.run_folder import TrainedModel
from genmol.train.score import train
from genmol.train.score_recipe import ScoreRecipe
from samplers.clusters import DW4
from samplers.hmc import HMC
from samplers.rng import Streams
from samplers.run import run

RECIPE = ScoreRecipe(
    max_steps=60, log_steps=10, validate_steps=30, batch_molecules=32, learning_rate=0.01,
    warmup_steps=10, model={"channels": 16, "layers": 2}, precision="float64", ema=0.9,
)  # fmt: skip


@pytest.fixture(scope="module")
def frames(tmp_path_factory: pytest.TempPathFactory) -> Frames:
    toy = DW4()
    start = toy.start(Streams.of(seed=1, chains=40))
    found = run(HMC(step_size=0.1, leaps=8), toy, start, seed=1, warm_up=60, draws=6, thin=4)
    path = tmp_path_factory.mktemp("points") / "dw4.npz"
    np.savez(path, positions=found.x.flatten(0, 1).numpy())
    return read_frames([path], toy="dw4")


def trained(frames: Frames, out: Path, recipe: ScoreRecipe = RECIPE, **options) -> TrainedModel:
    return train(recipe, frames, out, toy="dw4", **options)


def test_learns_and_is_found_again(frames: Frames, tmp_path: Path) -> None:
    recipe = RECIPE.changed(max_steps=250, precision="float32", batch_molecules=64)
    found = trained(frames, tmp_path / "run", recipe)
    rows = [json.loads(line) for line in (tmp_path / "run/metrics.jsonl").read_text().splitlines()]
    losses = [row["loss"] for row in rows if row["kind"] == "train"]
    assert losses[0] > 0.2
    assert losses[-1] < 0.85 * losses[0]
    card = found.card
    assert card["domain"]["toy"] == "dw4"
    assert card["data"]["frames"] == 240
    assert card["metrics"]["validation"]["frames"] == 24
    loaded = score_for_toy("dw4", tmp_path / "run")
    generator = ScoreGenerator.piloted(
        loaded.model, Particles(torch.ones(4).long(), dimension=2), steps=30, seed=0
    )
    paths = generator.draw(Streams.of(seed=3, chains=200))
    assert paths.x.shape == (200, 4, 2)
    energies = -DW4().log_density(paths.x)
    assert float(energies.median()) < 0  # of noise of the same width it is far above
    with pytest.raises(InputError, match="of dw4, for lj13"):
        score_for_toy("lj13", tmp_path / "run")


def test_goes_on_after_a_kill(frames: Frames, tmp_path: Path) -> None:
    whole = trained(frames, tmp_path / "whole")
    parts = RECIPE.changed(checkpoint_minutes=1e-9)

    # the schedule is that of the whole run, which is stopped half way
    class KilledError(Exception):
        pass

    def killer(row: dict[str, object]) -> None:
        if row["step"] == 40:
            raise KilledError

    with pytest.raises(KilledError):
        trained(frames, tmp_path / "parts", parts, report=killer)
    again = trained(frames, tmp_path / "parts", parts)
    assert 0 < again.resumed_from < again.steps == whole.steps
    one, other = (
        score_for_toy("dw4", tmp_path / name).model.state_dict() for name in ("whole", "parts")
    )
    assert all(torch.equal(one[key], other[key]) for key in one)


@pytest.mark.parametrize("rule", ["smooth", "modes", "piecewise", "denoising", "potential"])
def test_every_rule(rule: str, frames: Frames, tmp_path: Path) -> None:
    recipe = RECIPE.changed(rule=rule, max_steps=10)
    assert trained(frames, tmp_path, recipe).steps == 10


def test_what_is_refused(frames: Frames, tmp_path: Path) -> None:
    short = RECIPE.changed(max_steps=2)
    trained(frames, tmp_path / "run", short)
    other = replace(frames, positions=1.01 * frames.positions)
    with pytest.raises(InputError, match="other data"):
        trained(other, tmp_path / "run", short)
    with pytest.raises(InputError, match="no-resume"):
        trained(frames, tmp_path / "run", short, resume=False)
    with pytest.raises(InputError, match="rule was springs, is denoising"):
        trained(frames, tmp_path / "run", short.changed(rule="denoising"))
    with pytest.raises(InputError, match="5 frames"):
        trained(frames.take(np.arange(5)), tmp_path / "few", short)
    with pytest.raises(InputError, match="unknown settings of the network chanels"):
        trained(frames, tmp_path / "typo", short.changed(model={"chanels": 8}))
    more = trained(frames, tmp_path / "more", short, start_from=tmp_path / "run")
    assert more.card["training"]["started_from"]["name"] == "model"
