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
from genmol.core.errors import DeliveryError
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


@pytest.fixture
def loops(monkeypatch):
    """What a training without data that does nothing was called with."""
    found = []
    module = ModuleType("genmol.train.score_loop")
    rows = [
        {"round": 0, "energies": 3, "gradients": 40},
        {"round": 1, "paths": 512, "effective_share": 0.25, "pareto_k": "inf", "energies": 512,
         "gradients": 0, "exponent": "nan"},
    ]  # fmt: skip
    card = {"training": {"loop": {"energies": 515, "gradients": 40, "rounds": rows}}}

    def train_loop(subject, recipe, out, **options):
        found.append((subject, recipe, out, options))
        options["report"]({"kind": "round", "round": 0})
        options["report"]({"kind": "train", "step": 1, "minutes": 0.1, "loss": 2.0})
        return SimpleNamespace(path=out / "model.safetensors", card=card, steps=7, minutes=0.5)

    def check_loop(card):
        if found[-1][1].rounds == 7:
            raise DeliveryError(got="nothing", wanted="something", remedy="more")

    module.train_loop, module.check_loop = train_loop, check_loop
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


def test_many_molecules(calls, water, tmp_path, capsys):
    peroxide = tmp_path / "peroxide.npz"
    x = np.array([[0, 0.7, 0], [0, -0.7, 0], [0.9, 0.9, 0.3], [-0.9, -0.9, 0.3]])
    x = x + 0.02 * np.random.default_rng(1).normal(size=(20, 4, 3))
    forces = np.random.default_rng(2).normal(size=x.shape)
    np.savez(peroxide, positions=x, forces=forces, numbers=[8, 8, 1, 1], smiles="OO")
    command = [
        "train",
        "score",
        "--out",
        str(tmp_path / "run"),
        "--data",
        str(water),
        str(peroxide),
    ]
    assert main(command) == 2
    assert "--molecules many" in capsys.readouterr().err
    options = ["--molecules", "many", "--limit", "7", "--model", "backbone=so2", "layers=2"]
    assert main([*command, *options]) == 0
    [(recipe, ensembles, _, _)] = calls
    assert recipe.model == {"backbone": "so2", "layers": 2}
    assert [member.count for member in ensembles.members] == [7, 7]
    assert [len(member.warnings) for member in ensembles.members] == [1, 0]
    assert "warning: water.npz: the virial" in capsys.readouterr().err
    assert main([*command, *options, "--smiles", "O"]) == 2
    assert "--molecules many with --smiles" in capsys.readouterr().err
    assert main(["train", "score", "--molecules", "many"]) == 2
    assert "--molecules many alone" in capsys.readouterr().err


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


def test_a_toy_without_data(loops, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    options = ["--rounds", "3", "--limit", "400", "--max-minutes", "2", "--json", "summary.json"]
    assert main(["train", "score", "--toy", "dw4", *options]) == 0
    [(subject, recipe, out, further)] = loops
    assert (subject.toy, out) == ("dw4", Path("score_dw4"))
    assert (recipe.rounds, recipe.buffer, recipe.max_minutes) == (3, 400, 2.0)
    assert further["command"] == "genmol train score --toy dw4"
    said = capsys.readouterr().out
    assert "25.0%       inf" in said
    assert "515 energies, 40 gradients" in said
    summary = json.loads(Path("summary.json").read_text())
    assert summary["card"]["training"]["loop"]["rounds"][1]["effective_share"] == 0.25


def test_a_molecule_without_data(loops, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    options = ["--potential", "mmff94", "--rounds", "7", "--temperature", "350"]
    assert main(["train", "score", "--smiles", "CO", *options]) == 3  # of no use
    [(subject, _, out, further)] = loops
    assert subject.toy is None
    assert subject.common["temperature"] == 350.0
    assert out == Path("score_CH4O_mmff94")
    assert "--smiles 'CO' --potential mmff94 --temperature 350" in further["command"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--rounds", "3"], "no --data, no --toy and no --smiles"),
        (["--toy", "dw4"], "neither --data nor --rounds"),
        (["--toy", "dw4", "--rounds", "0"], "neither --data nor --rounds"),
        (["--toy", "dw4", "--rounds", "3", "--smiles", "CO"], "--smiles for a toy"),
        (["--toy", "dw4", "--rounds", "3", "--potential", "gfn2"], "--potential for a toy"),
        (["--toy", "dw4", "--rounds", "3", "--units", "ev/angstrom"], "--units"),
        (["--toy", "dw4", "--rounds", "3", "--limit", "9"], "buffer = 9"),
        (["--smiles", "CO", "--rounds", "3"], "without --potential"),
        (["--smiles", "CO", "--rounds", "3", "--potential", "nonsense"], "nonsense"),
        (["--smiles", "C[", "--rounds", "3", "--potential", "mmff94"], "C["),
        (["--smiles", "CO", "--rounds", "3", "--potential", "mmff94", "--charge", "1"], "--charge"),
        (["--smiles", "CO", "--rounds", "3", "--potential", "mmff94", "--temperature", "-3"], "-3"),
        (["--data", "points.npy", "--toy", "dw4", "--rounds", "3"], "--data with --rounds"),
        (["--data", "points.npy", "--toy", "dw4", "--paths", "99"], "--data with --paths"),
    ],
)
def test_faults_of_a_training_without_data(
    loops, calls, tmp_path, monkeypatch, capsys, options, message
):
    monkeypatch.chdir(tmp_path)
    assert main(["train", "score", *options, "--out", "run"]) == 2
    assert message in capsys.readouterr().err
    assert loops == calls == []
    assert not Path("run").exists()
