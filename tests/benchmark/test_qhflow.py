"""The ablation on three waters: every variant gives a row, none is measured twice."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from ase.build import molecule

from genmol.benchmark import qhflow
from genmol.benchmark.qhflow import RECIPE, VARIANTS, measure_qhflow
from genmol.benchmark.qhflow_table import qhflow_markdown
from genmol.benchmark.store import load
from genmol.cli.main import main
from genmol.core.errors import InputError
from genmol.core.weights import load_weights
from genmol.data.hamiltonian import prepare, read_labels
from genmol.qc.functional import resolve
from genmol.qc.label import pack
from genmol.qc.molecule import build_mean_field, build_molecule

pytestmark = pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")
TINY = RECIPE.changed(
    model={
        "channels": 4, "other_channels": 2, "edge_channels": [8, 4, 4, 4, 4, 4],
        "product_channels": 2, "layers": 1, "n_radial": 8, "embedding": 8,
    },
    max_steps=2,
)  # fmt: skip


@pytest.fixture(scope="module")
def waters(tmp_path_factory) -> Path:
    """Three labels, one of them to test with, in one packed file."""
    rng = np.random.default_rng(0)
    positions, focks = [], []
    for _ in range(3):
        atoms = molecule("H2O")
        atoms.positions += 0.03 * rng.normal(size=(3, 3))
        mol = build_molecule(atoms, basis="def2-svp", charge=0, multiplicity=1)
        mf = build_mean_field(mol, resolve("b3lyp"), spin_treatment="restricted")
        mf.kernel()
        positions.append(atoms.positions)
        focks.append(pack(mf.get_fock()))
    path = tmp_path_factory.mktemp("waters") / "water.npz"
    np.savez(
        path, n_atoms=[3] * 3, n_ao=[24] * 3, numbers=[8, 1, 1] * 3, source=["O"] * 3,
        positions=np.concatenate(positions), fock=np.concatenate(focks),
        part=["train", "train", "test"], name=["a", "b", "c"],
    )  # fmt: skip
    return path


@pytest.fixture(scope="module")
def measured(waters, tmp_path_factory) -> tuple[Path, dict]:
    out = tmp_path_factory.mktemp("ablation")
    data = measure_qhflow(out / "b.json", [waters], seeds=2, runs=out / "runs", recipe=TINY)
    return out, data


def test_every_variant_has_its_rows(measured, waters):
    out, data = measured
    rows = data["rows"]
    assert set(rows) == {
        "start-semilocal", "start-minao", "start-sap", "regression", "flow-goe N=1", "flow-goe N=3",
        "flow-expansion N=1", "flow-expansion N=3", "wa", "commutator", "minao", "sap",
    }  # fmt: skip
    assert json.loads((out / "b.json").read_text()) == data
    for key, section in rows.items():
        assert set(section) == ({"0"} if key.startswith("start") else {"0", "1"})
    assert rows["regression"]["0"]["steps"] == 2
    assert rows["wa"]["0"]["steps"] == 4  # two before
    assert rows["regression"]["0"]["fock_mae"] != rows["regression"]["1"]["fock_mae"]
    assert rows["flow-goe N=1"]["0"]["fock_mae"] != rows["flow-goe N=3"]["0"]["fock_mae"]
    with np.load(waters) as file:
        fock = file["fock"].reshape(3, -1)[2]
    examples = prepare(read_labels(waters)[2:])
    assert np.array_equal(pack(examples[0].fock), fock)
    error = np.abs(examples[0].fock - examples[0].initial).mean()
    assert rows["start-semilocal"]["0"]["fock_mae"] == pytest.approx(error, rel=1e-5)
    assert rows["start-minao"]["0"]["gradient"] < rows["start-sap"]["0"]["gradient"]
    assert rows["wa"]["0"]["gradient"] != rows["commutator"]["0"]["gradient"]


def test_fine_tuning_minimises_what_it_says(measured):
    runs = measured[0] / "runs" / "seed_0"
    logged = {
        name: json.loads((runs / name / "metrics.jsonl").read_text().splitlines()[0])
        for name in ("before", "wa", "commutator")
    }
    assert logged["wa"]["loss"] == pytest.approx(logged["wa"]["orbital"], rel=1e-6)
    assert logged["before"]["loss"] > logged["before"]["mae"]
    found = logged["commutator"]
    assert found["cheap_builds"] == 3
    assert found["loss"] == pytest.approx(
        found["commutator"] + 0.1 * found["consistency"], rel=1e-6
    )


def test_nothing_is_measured_twice(measured, waters, monkeypatch):
    out, data = measured
    before = json.loads((out / "b.json").read_text())
    monkeypatch.setattr(qhflow._Bench, "cell", lambda *_: pytest.fail("measured again"))
    with pytest.raises(InputError, match="which exists"):
        measure_qhflow(out / "b.json", [waters], seeds=2, runs=out / "runs", recipe=TINY)
    again = measure_qhflow(
        out / "b.json", [waters], seeds=2, runs=out / "runs", recipe=TINY, resume=True
    )
    assert again == data == before


def test_other_conditions_are_refused(measured, waters):
    out, _ = measured
    with pytest.raises(InputError, match="minutes"):
        measure_qhflow(
            out / "b.json",
            [waters],
            seeds=2,
            runs=out / "runs",
            recipe=TINY,
            minutes=9,
            resume=True,
        )


def test_the_table_shows_means_and_spreads(measured, capsys):
    out, data = measured
    data = json.loads(json.dumps(data))
    for seed, mae in (("0", 100e-6), ("1", 300e-6)):
        data["rows"]["sap"][seed]["fock_mae"] = mae
    text = qhflow_markdown(data)
    assert "| regression from sap | 200 ± 141 |" in text
    lines = [line for line in text.splitlines() if line.startswith("| ")]
    assert len(lines) == 2 + len(VARIANTS) + 2  # two of them with two numbers of steps
    assert all(line.count("|") == lines[0].replace("\\|", "").count("|") for line in lines[1:])
    assert "2 labels to train on, 1 of other molecules" in text
    assert main(["benchmark", "qhflow", "--table", str(out / "b.json")]) == 0
    assert capsys.readouterr().out == qhflow_markdown(load(out / "b.json", benchmark="qhflow"))


def test_the_comparison_goes_to_a_card(measured, capsys):
    out, data = measured
    path = out / "runs" / "seed_0" / "regression" / "model"
    before = load_weights(path)
    command = ["benchmark", "qhflow", "--table", str(out / "b.json"), "--card", str(path)]
    assert main(command) == 0
    after = load_weights(path)
    assert after.sha256 == before.sha256
    found = after.card["comparison"]["variants"]
    assert len(found) == len(VARIANTS) + 2
    rows = data["rows"]["sap"].values()
    expected = {"seeds": 2, "fock_mae": np.mean([row["fock_mae"] for row in rows])}
    assert found["regression from sap"].items() >= expected.items()
    assert {k: v for k, v in after.card.items() if k != "comparison"} == dict(before.card)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "none are part of the package"),
        (["--quick"], "--minutes"),
        (["--only", "pairs"], "some of start-semilocal"),
        (["--minutes", "0"], "above 0"),
    ],
)
def test_faulty_commands_are_explained(options, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["benchmark", "qhflow", *options]) == 2
    assert message in capsys.readouterr().err


def test_the_command_knows_all_variants():
    from typing import get_args

    from genmol.benchmark.learned import LEARNED_SECTIONS
    from genmol.benchmark.psm import PSM_SECTIONS
    from genmol.benchmark.sample import SAMPLE_SECTIONS
    from genmol.benchmark.scf import SECTIONS
    from genmol.cli.benchmark import Part

    assert set(get_args(Part)) == {
        *SECTIONS, *LEARNED_SECTIONS, *SAMPLE_SECTIONS, *PSM_SECTIONS, *VARIANTS
    }  # fmt: skip
