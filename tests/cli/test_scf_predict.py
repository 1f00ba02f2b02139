"""``genmol scf --mode predict`` and ``--guess`` from outside: files, exit codes, bad input."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import ase.io
import numpy as np
import pytest
from ase import Atoms
from learnedcases import BASIS, XC, example_of, know, object_of, save_model

from genmol.cli.main import main

LEVEL = ["--xc", XC, "--basis", BASIS, "--grid", "1", "--model", "tiny"]


def water(shift: float = 0.0) -> Atoms:
    return Atoms("OHH", [[0, 0, 0.12], [0, 0.76 + shift, -0.47], [0, -0.76, -0.47]])


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    save_model(tmp_path / "tiny")
    ase.io.write("water.xyz", water(), format="xyz")
    return tmp_path


def knowing(monkeypatch: pytest.MonkeyPatch, frames: list[Atoms]) -> None:
    objects = [
        object_of(list(zip(a.get_chemical_symbols(), a.positions, strict=True))) for a in frames
    ]
    know(monkeypatch, [example_of(mf) for mf in objects], noise=1e-5)


def test_one_structure(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    knowing(monkeypatch, [water()])
    code = main(
        ["scf", "water.xyz", *LEVEL, "--mode", "predict", "--json", "p.json", "--out", "p.extxyz",
         "--save-density", "d.npz", "--plot", "p.png"]
    )  # fmt: skip
    assert code == 0
    printed = capsys.readouterr().out
    assert "PREDICTED by tiny, not solved" in printed
    assert "verdict: warn" in printed  # no calibration
    record = json.loads(Path("p.json").read_text())
    assert record["predicted"] is True
    assert Path("p.png").read_bytes().startswith(b"\x89PNG")
    frame = ase.io.read("p.extxyz")
    assert "REF_energy" not in frame.info
    assert frame.info["predicted_gap"] == pytest.approx(record["gap_ev"])
    np.testing.assert_allclose(frame.info["predicted_dipole"], record["dipole_debye"])
    np.testing.assert_allclose(frame.arrays["predicted_charges"], record["mulliken_charges"])
    capsys.readouterr()
    assert main(["scf", "water.xyz", *LEVEL, "--guess-file", "d.npz", "--json", "s.json"]) == 0
    solved = json.loads(Path("s.json").read_text())
    assert solved["guess"] == "d.npz"
    homo = solved["properties"]["homo_ev"]
    assert record["homo_ev"] == pytest.approx(homo, abs=0.05)


def test_a_failed_certificate(folder: Path, capsys: Any) -> None:
    assert main(["scf", "water.xyz", *LEVEL, "--mode", "predict", "--json", "p.json"]) == 3
    assert json.loads(Path("p.json").read_text())["certificate"]["verdict"] == "fail"
    assert "verdict: fail" in capsys.readouterr().out


def test_many_frames(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    frames = [water(0.01 * i) for i in range(4)]
    knowing(monkeypatch, frames)
    ase.io.write("many.xyz", frames, format="extxyz")
    arguments = ["scf", "many.xyz", *LEVEL, "--mode", "predict"]
    assert main(arguments) == 0
    assert "4 frames predicted, 0 of them doubtful, 0 failed" in capsys.readouterr().out
    lines = [json.loads(line) for line in Path("many.scf.jsonl").read_text().splitlines()]
    assert [line["frame"] for line in lines] == [0, 1, 2, 3]
    assert all(line["predicted"] and line["gap_ev"] > 1 for line in lines)
    stored = ase.io.read("many.scf.extxyz", ":")
    assert [a.info["predicted_gap"] for a in stored] == pytest.approx([x["gap_ev"] for x in lines])
    assert main(arguments) == 2  # the output is there already
    kept = Path("many.scf.jsonl").read_text().splitlines()[:2]
    Path("many.scf.jsonl").write_text("\n".join(kept) + "\n")
    assert main([*arguments, "--resume"]) == 0
    again = [json.loads(line) for line in Path("many.scf.jsonl").read_text().splitlines()]
    assert [line["gap_ev"] for line in again] == pytest.approx([line["gap_ev"] for line in lines])


def test_a_frame_outside_the_domain_is_refused_beforehand(folder: Path, capsys: Any) -> None:
    sulfide = Atoms("SHH", [[0, 0, 0], [0, 0.96, 0.93], [0, -0.96, 0.93]])
    ase.io.write("mixed.xyz", [water(), sulfide], format="extxyz")
    assert main(["scf", "mixed.xyz", *LEVEL, "--mode", "predict"]) == 2
    assert "tiny knows H, O, not S" in capsys.readouterr().err
    assert not Path("mixed.scf.jsonl").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--basis", "sto-3g"], "the basis functions of"),
        (["--xc", "b3lyp"], "not for HYB_GGA_XC_B3LYP"),
        (["--charge", "2"], "not trained on charge +2"),
        (["--multiplicity", "3"], "open shells"),
        (["--solvent", "water"], "solvent"),
        (["--forces"], "--forces"),
        (["--compare"], "--compare"),
        (["--optimize"], "--optimize"),
        (["--model", "nowhere"], "no weights called nowhere"),
    ],
)
def test_bad_input(arguments: list[str], words: str, folder: Path, capsys: Any) -> None:
    assert main(["scf", "water.xyz", *LEVEL, "--mode", "predict", *arguments]) == 2
    error = " ".join(capsys.readouterr().err.split())
    assert words in error
    assert "Try:" in error


def test_corrupt_weights(folder: Path, capsys: Any) -> None:
    path = Path("tiny.safetensors")
    path.write_bytes(path.read_bytes()[:-1])
    for choice in (["--mode", "predict"], ["--guess", "learned"]):
        assert main(["scf", "water.xyz", *LEVEL, *choice]) == 2
        assert "SHA-256" in capsys.readouterr().err


def test_guesses(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    knowing(monkeypatch, [water()])
    taken = {}
    for choice in ("learned", "auto", "cheap-scf"):
        assert main(["scf", "water.xyz", *LEVEL, "--guess", choice, "--json", "o.json"]) == 0
        taken[choice] = json.loads(Path("o.json").read_text())
    assert taken["learned"]["guess"] == "learned"
    assert taken["learned"]["learned"].keys() == {
        "model", "sha256", "inference_seconds", "in_domain", "fock_spread",
    }  # fmt: skip
    assert taken["auto"]["guess"] in ("learned", "cheap-scf")
    assert "cheap builds" in taken["auto"]["guess_reason"]
    assert taken["cheap-scf"]["learned"] is None
    energies = [record["energy_hartree"] for record in taken.values()]
    assert energies == pytest.approx([energies[0]] * 3, abs=1e-9)
    assert "guess             cheap-scf (the default)" in capsys.readouterr().out


def test_another_element_is_solved_and_explained(folder: Path, capsys: Any) -> None:
    sulfide = Atoms("SHH", [[0, 0, 0], [0, 0.96, 0.93], [0, -0.96, 0.93]])
    ase.io.write("sulfide.xyz", sulfide, format="xyz")
    assert main(["scf", "sulfide.xyz", *LEVEL]) == 0
    assert "cheap-scf (the best unlearned guess: tiny knows H, O, not S)" in capsys.readouterr().out
