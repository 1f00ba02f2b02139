"""`genmol train hamiltonian` from labels to weights, and every input it must refuse."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms

from genmol.cli.main import main
from genmol.core.weights import load_weights
from genmol.qc.label import write_label
from genmol.scf.label_settings import LabelSettings
from genmol.scf.label_structure import label_structure
from genmol.train.fock_recipe import FockRecipe

SETTINGS = LabelSettings(xc="hf", basis="sto-3g", precision="float64")
WATER = Atoms("OHH", [[0, 0, 0.12], [0, 0.76, -0.47], [0, -0.76, -0.47]])
MOLECULES = {
    "hydrogen": Atoms("HH", [[0, 0, 0], [0, 0, 0.75]]),
    "water": WATER,
    "fluoride": Atoms("FH", [[0, 0, 0], [0, 0, 0.92]]),
    "water_again": WATER.copy(),
}
NETWORK = ["--model", "l_max=2", "channels=4", "other_channels=2", "edge_channels=[6,2,4,2]"]
NETWORK += ["product_channels=2", "layers=1", "n_radial=4", "embedding=4"]
SHORT = ["--max-steps", "4", "--validate-steps", "2", "--log-steps", "1", "--warmup-steps", "1"]


@pytest.fixture(scope="module")
def labels(tmp_path_factory):
    """Four labels of three molecules."""
    folder = tmp_path_factory.mktemp("data") / "labels"
    MOLECULES["water_again"].positions[1, 1] += 0.05
    for name, atoms in MOLECULES.items():
        source = name.removesuffix("_again")
        write_label(folder / f"{name}.npz", label_structure(atoms, SETTINGS, source=source))
    return folder


@pytest.fixture(scope="module")
def trained(labels, tmp_path_factory):
    out = tmp_path_factory.mktemp("run") / "out"
    assert (
        main(["train", "hamiltonian", "--data", str(labels), "--out", str(out), *NETWORK, *SHORT])
        == 0
    )
    return out


def command(labels, out, *options):
    return ["train", "hamiltonian", "--data", str(labels), "--out", str(out), *map(str, options)]


def test_weights_card_and_recipe(labels, trained, capsys):
    weights = load_weights(trained / "model", expected_class="FockModel")
    card = weights.card
    assert card["config"]["channels"] == 4
    assert card["config"]["shells"]["8"] == [0, 0, 1]
    assert card["domain"]["elements"] == [1, 8, 9]
    assert card["domain"]["level"]["basis"] == "sto-3g"
    assert card["training"]["steps"] == 4
    held = card["metrics"]["validation"]
    assert held["labels"] >= held["molecules"] == 1
    assert {"fock_mae", "gradient", "mixing", "gap"} <= held["all"].keys()
    run = json.loads((trained / "run.json").read_text())
    assert run["data"] == card["data"]["sha256"]
    assert set(run["validation"]) in ({"hydrogen"}, {"fluoride"}, {"water", "water_again"})
    recipe = FockRecipe.load(trained / "recipe.json")
    assert recipe.model["edge_channels"] == [6, 2, 4, 2]
    assert recipe.max_steps == 4
    kinds = [
        json.loads(line)["kind"] for line in (trained / "metrics.jsonl").read_text().splitlines()
    ]
    assert kinds.count("validation") == 2
    # The same command again changes nothing, a longer one goes on, another one is refused
    assert main(command(labels, trained)) == 0
    assert load_weights(trained / "model").sha256 == weights.sha256
    assert main(command(labels, trained, "--seed", 1)) == 2
    assert "seed was 0, is 1" in capsys.readouterr().err
    assert main(command(labels, trained, "--no-resume")) == 2
    assert "--no-resume" in capsys.readouterr().err
    assert main(command(labels, trained, "--max-steps", 5)) == 0
    assert load_weights(trained / "model").card["training"]["steps"] == 5


def test_further_molecules_calibrate(labels, tmp_path, capsys):
    bent = [[0, 0, 0], [0, 0, 0.97], [0, 1.4, -0.3]]
    for name, symbols in {"hof": "OHF", "carbon": "CHH"}.items():
        atoms = Atoms(symbols, bent)
        write_label(tmp_path / name / "label.npz", label_structure(atoms, SETTINGS, source=name))
    out = tmp_path / "out"
    options = [*NETWORK, "--max-steps", 1, "--calibration"]
    assert main(command(labels, out, *options, labels)) == 2
    assert "4 of 4 labels to calibrate with" in capsys.readouterr().err
    assert main(command(labels, out, *options, tmp_path / "carbon")) == 2
    assert (
        "labels with the elements C; wanted those of the data: H, O, F" in capsys.readouterr().err
    )
    assert not out.exists()
    assert main(command(labels, out, *options, tmp_path / "hof")) == 0
    card = load_weights(out / "model").card
    validation = card["metrics"]["validation"]["labels"]
    assert card["calibration"]["quantities"]["gap_ev"]["molecules"] == validation + 1


def test_fine_tuning_begins_at_the_weights(labels, trained, tmp_path):
    start = load_weights(trained / "model")
    options = ["--from", trained / "model", "--learning-rate", 1e-12, *SHORT]
    one = tmp_path / "one"
    for k in range(5):
        frame = WATER.copy()
        frame.positions[1, 1] += 0.02 * k
        write_label(one / f"{k}.npz", label_structure(frame, SETTINGS, source="water"))
    out = tmp_path / "out"
    assert main(command(one, out, "--split", "frame", "--validation-share", 0.5, *options)) == 0
    tuned = load_weights(out / "model")
    assert tuned.card["config"] == start.card["config"]
    assert tuned.card["training"]["started_from"]["sha256"] == start.sha256
    for name, tensor in start.state.items():
        np.testing.assert_allclose(tuned.state[name], tensor, atol=1e-6)
    # Resumed without --from, it is still the same run
    assert main(command(one, out, "--max-steps", 6)) == 0


def test_one_molecule_and_no_labels(labels, tmp_path, capsys):
    alone = tmp_path / "alone"
    alone.mkdir()
    (alone / "water.npz").write_bytes((labels / "water.npz").read_bytes())
    out = tmp_path / "out"
    assert main(command(alone, out)) == 2
    assert "1 labels of one molecule" in capsys.readouterr().err
    (alone / "water.npz").unlink()
    assert main(command(alone, out)) == 2
    assert main(command(tmp_path / "nowhere", out)) == 2
    assert "do not exist" in capsys.readouterr().err
    assert not out.exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--model", "chanels=4"], "chanels"),
        (["--model", "channels"], "NAME=VALUE"),
        (["--loss", "mea=1"], "mea"),
        (["--ema", "2"], "ema"),
        (["--recipe", "none.json"], "none.json"),
        (["--from", "none"], "none"),
        (["--devices", "0"], "--devices 0"),
    ],
)
def test_faulty_options(labels, tmp_path, capsys, options, message):
    assert main(command(labels, tmp_path / "out", *options)) == 2
    assert message in capsys.readouterr().err


def test_weights_that_do_not_fit(labels, trained, tmp_path, capsys):
    other = tmp_path / "other"
    settings = LabelSettings(xc="hf", basis="6-31g")
    for name in ("water", "fluoride"):
        write_label(other / f"{name}.npz", label_structure(MOLECULES[name], settings, source=name))
    assert main(command(other, tmp_path / "out", "--from", trained / "model")) == 2
    assert "another level of theory" in capsys.readouterr().err
    ammonia = Atoms(
        "NHHH", [[0, 0, 0.1], [0.94, 0, -0.27], [-0.47, 0.81, -0.27], [-0.47, -0.81, -0.27]]
    )
    mixed = tmp_path / "mixed"
    write_label(mixed / "n.npz", label_structure(ammonia, SETTINGS, source="ammonia"))
    write_label(mixed / "o.npz", label_structure(WATER, SETTINGS, source="water"))
    assert main(command(mixed, tmp_path / "out", "--from", trained / "model")) == 2
    assert "elements N" in capsys.readouterr().err
    damaged = tmp_path / "damaged.safetensors"
    content = (trained / "model.safetensors").read_bytes()
    damaged.write_bytes(content[:-1])
    Path(tmp_path / "damaged.json").write_bytes((trained / "model.json").read_bytes())
    assert main(command(labels, tmp_path / "out", "--from", damaged)) == 2
    assert "SHA-256" in capsys.readouterr().err


def test_missing_extra_is_named(labels, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "lightning", None)
    assert main(command(labels, tmp_path / "out")) == 2
    assert "genmol[train]" in capsys.readouterr().err


def test_weights_may_go_on_from_another_start(labels, trained, tmp_path):
    """The network stays as it is; what goes in and out is scaled anew."""
    before = load_weights(trained / "model")
    assert before.card["config"]["start"] == "semilocal"
    out = tmp_path / "out"
    options = ["--from", trained / "model", "--start", "sap", "--learning-rate", 1e-12, *SHORT]
    assert main(command(labels, out, *options)) == 0
    after = load_weights(out / "model")
    assert after.card["config"] == {**before.card["config"], "start": "sap"}
    assert FockRecipe.load(out / "recipe.json").start == "sap"
    moved = {n for n, x in before.state.items() if not np.allclose(x, after.state[n], atol=1e-6)}
    assert "initial_bonds.scale0" in moved
    assert all(".mean" in name or ".scale" in name for name in moved)
