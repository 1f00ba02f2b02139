"""`genmol train score` as far as the data: what it reads, refuses, warns of and hands to training."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
from ase import Atoms

from genmol.cli.main import main
from genmol.core.graph import AtomicGraph
from genmol.potentials.gfn2 import Gfn2
from samplers.rng import Streams
from samplers.toys import TOYS

WATER = np.array([[0, 0, 0.12], [0, 0.76, -0.47], [0, -0.76, -0.47]])


@pytest.fixture
def calls(monkeypatch):
    """What a training that does nothing was called with."""
    found = []
    module = ModuleType("genmol.train.score")

    def train(recipe, frames, out, **options):
        found.append((recipe, frames, out, options))
        options["report"]({"kind": "validation", "step": 1, "minutes": 0.1, "loss": 2.0})
        return SimpleNamespace(path=out / "model.safetensors", card={"a": 1}, steps=7, minutes=0.5)

    module.train = train
    monkeypatch.setitem(sys.modules, module.__name__, module)
    return found


@pytest.fixture(scope="module")
def water(tmp_path_factory):
    """Stretched and shaken water with forces of GFN2: not of its law."""
    x = 1.06 * WATER + 0.03 * np.random.default_rng(2).normal(size=(80, 3, 3))
    graph = AtomicGraph.batch([AtomicGraph.from_atoms(Atoms("OHH", frame)) for frame in x])
    forces = Gfn2().evaluate(graph).forces.reshape(x.shape).numpy()
    path = tmp_path_factory.mktemp("data") / "water.npz"
    np.savez(path, positions=x, forces=forces, numbers=[8, 1, 1])
    return path


def test_points_of_a_toy_reach_the_training(calls, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    x = TOYS["dw4"]().start(Streams.of(seed=1, chains=9))
    np.save("points.npy", x.flatten(1).numpy())
    options = ["--toy", "dw4", "--rule", "piecewise", "--threshold", "0.2", "--model", "layers=2"]
    options += ["--limit", "5", "--max-steps", "9", "--json", "summary.json"]
    assert main(["train", "score", "--data", "points.npy", *options]) == 0
    [(recipe, frames, out, further)] = calls
    assert (recipe.rule, recipe.threshold, recipe.max_steps) == ("piecewise", 0.2, 9)
    assert recipe.model == {"layers": 2}
    assert (frames.count, frames.gradient_calls, frames.level) == (5, 5, "dw4")
    assert out == Path("score_points")
    assert further["resume"]
    assert further["device"] == "auto"
    assert capsys.readouterr().out.startswith("7 steps in 0.5 minutes")
    assert json.loads(Path("summary.json").read_text())["steps"] == 7


def test_a_warning_is_said_and_kept(calls, water, tmp_path, capsys):
    command = ["train", "score", "--data", str(water), "--out", str(tmp_path / "run")]
    options = ["--temperature", "3", "--potential", "gfn2", "--limit", "4"]
    assert main([*command, *options]) == 0  # all data are checked, whatever is chosen of them
    [(_, frames, _, _)] = calls
    assert frames.count == 4
    [warning] = frames.warnings
    assert f"warning: {warning}." in capsys.readouterr().err
    assert "than 3 K" in warning
    assert "another unit" not in warning  # the potential has ruled it out


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--units", "hartree/bohr", "--potential", "gfn2"], "Try: --units ev/angstrom"),
        (["--potential", "mmff94"], "MMFF94"),
        (["--potential", "nonsense"], "nonsense"),
        (["--temperature", "-1"], "temperature -1"),
        (["--limit", "1"], "limit of 1"),
        (["--toy", "dw4"], "(m, 8)"),
        (["--toy", "dw4", "--smiles", "O"], "--smiles for a toy"),
        (["--threshold", "0"], "threshold"),
        (["--toy", "mixture"], "mixture"),
        (["--units", "kcal"], "kcal"),
    ],
)
def test_faulty_input_does_not_reach_the_training(calls, water, tmp_path, capsys, options, message):
    command = ["train", "score", "--data", str(water), "--out", str(tmp_path / "run")]
    assert main([*command, *options]) == 2
    assert message in capsys.readouterr().err
    assert calls == []
    assert not (tmp_path / "run").exists()
