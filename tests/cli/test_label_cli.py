from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import ase.io
import numpy as np
import pytest
from ase import Atoms

from genmol.cli.main import main
from genmol.scf.labelling import LabelSet

LEVEL = ["--xc", "hf", "--basis", "sto-3g"]


@pytest.fixture
def molecules(tmp_path: Path, rng: np.random.Generator) -> Path:
    shape = np.array([[0.0, 0.0, 0.0], [0.0, 0.7572, -0.5865], [0.0, -0.7572, -0.5865]])
    frames = [Atoms("OHH", shape + rng.normal(0, 0.05, (3, 3))) for _ in range(16)]
    path = tmp_path / "water.xyz"
    ase.io.write(path, frames, format="extxyz")
    return path


def test_labels_and_summary(
    molecules: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, summary = tmp_path / "labels", tmp_path / "summary.json"
    command = ["label", str(molecules), "--out", str(out), "--limit", "2", *LEVEL]
    assert main([*command, "--json", str(summary)]) == 0
    assert "2 labels computed, 0 there before, 0 failed" in capsys.readouterr().out
    assert json.loads(summary.read_text())["computed"] == 2
    assert main(command) == 0
    assert "0 labels computed, 2 there before" in capsys.readouterr().out
    assert main([*command, "--no-resume"]) == 2
    assert main([*command, "--forces"]) == 2
    assert "another level of theory" in capsys.readouterr().err
    assert len(LabelSet(out)) == 2


def test_gfn2_writes_extxyz(molecules: Path, tmp_path: Path) -> None:
    out = tmp_path / "labels"
    command = ["label", str(molecules), "--out", str(out), "--potential", "gfn2", "--limit", "3"]
    assert main(command) == 0
    frames = ase.io.read(out / "labels.extxyz", ":", format="extxyz")
    assert len(frames) == 3
    assert frames[0].arrays["REF_forces"].shape == (3, 3)
    assert main([*command, "--basis", "sto-3g"]) == 2


def test_failures_set_the_exit_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from genmol.core.errors import DeliveryError
    from genmol.scf import labelling

    def fail(*args: object, **options: object) -> None:
        raise DeliveryError(got="no solution", wanted="one", remedy="another geometry")

    monkeypatch.setattr(labelling, "label_structure", fail)
    ase.io.write(tmp_path / "h2.xyz", Atoms("HH", [[0, 0, 0], [0, 0, 0.74]]), format="extxyz")
    command = ["label", str(tmp_path / "h2.xyz"), "--out", str(tmp_path / "labels"), *LEVEL]
    assert main(command) == 3
    assert main(command) == 3  # listed, and not tried again


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_killed_run_goes_on(molecules: Path, tmp_path: Path, workers: str) -> None:
    out = tmp_path / "labels"
    command = ["label", str(molecules), "--out", str(out), "--workers", workers, *LEVEL]
    process = subprocess.Popen([sys.executable, "-m", "genmol.cli.main", *command])
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and len(list(out.glob("water*.npz"))) < 3:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    time.sleep(0.5)  # workers see their pipe end
    times = {path.name: path.stat().st_mtime_ns for path in out.glob("water*.npz")}
    assert 3 <= len(times) < 16
    assert main(command) == 0
    after = {path.name: path.stat().st_mtime_ns for path in out.glob("water*.npz")}
    assert times.items() <= after.items()  # none was written again
    assert len(after) == len(LabelSet(out)) == 16
    lines = [json.loads(line) for line in (out / "manifest.jsonl").read_text().splitlines()]
    assert sorted(line["name"] for line in lines) == [f"water_{i:06d}" for i in range(16)]
    assert not list(out.glob(".*.npz"))
