"""A run resumed after an interruption or a kill is the undisturbed run; bad steps are refused."""

import copy
import json
import os
import signal
import subprocess
import sys
import time
import warnings
from pathlib import Path

import pytest
import torch
from torch import nn
from traincases import STEPS, toy_examples, toy_fit, toy_recipe

from genmol.core.errors import InputError
from genmol.train.checkpoints import checkpoint_files, find_checkpoint
from genmol.train.fit import Examples
from genmol.train.journal import summarise
from genmol.train.module import update_average


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    out = tmp_path_factory.mktemp("undisturbed")
    return out, toy_fit(out)


def assert_same(found, wanted):
    for name, tensor in wanted.model.state_dict().items():
        torch.testing.assert_close(found.model.state_dict()[name], tensor, rtol=0, atol=1e-12)


def rows(out):
    return [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]


def test_training_learns_and_tells(undisturbed):
    out, trained = undisturbed
    found = rows(out)
    losses = [row["loss"] for row in found if row["kind"] == "train"]
    assert trained.step == len(losses) == STEPS
    assert [row["step"] for row in found if row["kind"] == "validation"] == [8, 16, 24]
    assert trained.metrics["error"] == found[-1]["error"]
    assert found[-1]["error"] < found[8]["error"]
    rates = [row["learning_rate"] for row in found if row["kind"] == "train"]
    assert rates == pytest.approx([toy_recipe().rate(step) for step in range(STEPS)])
    assert list((out / "tensorboard").glob("events.*"))
    assert len(checkpoint_files(out / "checkpoints")) == 3
    assert (out / "checkpoints" / f"step_{STEPS:09d}.ckpt").exists()


def test_interrupted_by_ctrl_c_and_resumed(undisturbed, tmp_path):
    def interrupt(row):
        if row["step"] == 13:
            os.kill(os.getpid(), signal.SIGINT)

    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        toy_fit(tmp_path, report=interrupt, checkpoint_minutes=10.0)
    assert signal.getsignal(signal.SIGINT) is before
    assert list(checkpoint_files(tmp_path / "checkpoints")) == [13]
    resumed = toy_fit(tmp_path, checkpoint_minutes=10.0)
    assert resumed.resumed_from == 13
    assert_same(resumed, undisturbed[1])
    assert [row["step"] for row in rows(tmp_path)] == [row["step"] for row in rows(undisturbed[0])]


def test_killed_resumed_and_a_truncated_checkpoint_passed_over(undisturbed, tmp_path):
    script = Path(__file__).parents[1] / "traincases.py"
    process = subprocess.Popen([sys.executable, str(script), str(tmp_path)])
    try:
        deadline = time.monotonic() + 60
        while len(checkpoint_files(tmp_path / "checkpoints")) < 3 and time.monotonic() < deadline:
            time.sleep(0.02)
    finally:
        process.kill()
        process.wait()
    files = checkpoint_files(tmp_path / "checkpoints")
    assert len(files) >= 3
    assert max(files) < STEPS
    newest = files[max(files)]
    content = newest.read_bytes()
    newest.write_bytes(content[: len(content) // 2])
    with pytest.warns(UserWarning, match="is damaged"):
        resumed = toy_fit(tmp_path)
    assert resumed.resumed_from == sorted(files)[-2]
    assert_same(resumed, undisturbed[1])


def test_all_checkpoints_damaged(tmp_path):
    (tmp_path / "step_000000003.ckpt").write_bytes(b"")
    (tmp_path / "step_000000004.ckpt").write_bytes(b"not a checkpoint")
    with warnings.catch_warnings(), pytest.raises(InputError, match="2 checkpoints"):
        warnings.simplefilter("ignore")
        find_checkpoint(tmp_path)
    assert find_checkpoint(tmp_path / "nothing") == (0, None)


def test_a_finished_run_is_only_read_and_may_be_lengthened(undisturbed, tmp_path):
    out, trained = undisturbed
    again = toy_fit(out)
    assert again.step == again.resumed_from == STEPS
    assert_same(again, trained)
    longer = toy_fit(out, max_steps=STEPS + 3)
    assert (longer.resumed_from, longer.step) == (STEPS, STEPS + 3)


def test_a_time_limit_ends_the_run_for_good(tmp_path):
    trained = toy_fit(tmp_path, max_minutes=2e-4)
    assert 0 < trained.step < STEPS
    assert trained.metrics
    again = toy_fit(tmp_path, max_minutes=2e-4)
    assert again.step == trained.step
    assert_same(again, trained)


def test_a_step_that_is_not_finite_names_its_molecules(tmp_path):
    good = toy_examples(17)
    bad = [(x, y * float("nan")) if i == 11 else (x, y) for i, (x, y) in enumerate(good.items)]
    with pytest.raises(InputError, match=r"molecule_11\b") as caught:
        toy_fit(tmp_path, training=Examples(bad, good.names, good.sizes), checkpoint_minutes=10.0)
    files = checkpoint_files(tmp_path / "checkpoints")
    assert f"step {max(files, default=0) + 1}" in str(caught.value)
    for path in files.values():
        state = torch.load(path, weights_only=True)["state_dict"]
        assert all(bool(tensor.isfinite().all()) for tensor in state.values())


def test_average_of_constant_weights_and_of_a_step(generator):
    model = nn.Linear(3, 2)
    average = copy.deepcopy(model)
    for _ in range(3):
        update_average(average, model, decay=0.9)
    torch.testing.assert_close(average.weight, model.weight)
    with torch.no_grad():
        model.weight.add_(1.0)
    for n in range(1, 6):
        update_average(average, model, decay=0.9)
        torch.testing.assert_close(model.weight - average.weight, torch.full((2, 3), 0.9**n))


def test_summary_of_validation():
    assert summarise([{"a": 1.0}, {"a": 2.0}, {"a": 6.0}]) == {
        "a": 3.0,
        "a_median": 2.0,
        "a_max": 6.0,
    }
    assert summarise([]) == {}
