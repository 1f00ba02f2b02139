"""``genmol sample``: bad input, folders, budgets, and a short run of each kind."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from genmol.boltzmann import conformer_job, density_chains, density_job, production
from genmol.boltzmann.engine import sample
from genmol.boltzmann.settings import Settings
from genmol.boltzmann.sweep import Moves
from genmol.cli.main import main
from genmol.cli.sample_common import CHECKPOINT, parsed_budget, prepared, spoken
from genmol.core.errors import InputError

SHORT = ["--potential", "mmff94", "--workers", "1", "-n", "16", "--effective", "16"]
FILES = {
    "basins.csv", "certificate.json", "conformers.extxyz", "conformers.sdf", "draws.npz",
    "report.html",
}  # fmt: skip


@pytest.fixture
def small() -> Iterator[None]:
    """Short stages and a certificate of few calls."""
    settings = Settings(runs=8, replicas=2, tuning=4, burn_in=6, moves=Moves(leaps=4))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(conformer_job, "sample", partial(sample, settings=settings))
        patch.setattr(conformer_job, "_CHECKS", (800, 800))
        patch.setattr(production, "_FIRST_LOOK", 10)
        patch.setattr(density_chains, "_PILOT", 40)
        yield


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "nothing to sample"),
        (["CCO", "--toy", "lj13"], "a SMILES or file and --toy"),
        (["not a smiles"], "SMILES"),
        (["O.O"], "consists of 2 molecules"),
        (["[Na+]"], "single atom"),
        (["C[Zn]C"], "with Zn"),
        (["CC(O)F"], "stereo"),
        (["C[CH2]", "--multiplicity", "1"], "multiplicity"),
        (["CCO", "--temperature", "0"], "--temperature 0"),
        (["CCO", "-n", "0"], "-n 0"),
        (["CCO", "--budget", "soon"], "--budget 'soon'"),
        (["CCO", "--charge", "1"], "charge in the SMILES"),
        (["CCO", "--potential", "gfn3"], "the potential 'gfn3'"),
        (["CCO", "--potential", "mmff94", "--solvent", "water"], "gas phase"),
        (["CCO", "--options", "{"], "--options"),
        (["CCO", "--method", "hmc"], "--method hmc"),
        (["CCO", "--potential", "mmff94", "--method", "delayed"], "no cheaper relative"),
        (["CCO", "--potential", "gfn2", "--method", "difference"], "has 1 cheaper"),
        (["--toy", "lj13", "--solvent", "water"], "--solvent for a toy"),
        (["--toy", "lj13", "--method", "smc"], "--method smc for a toy"),
        (["--check", "nowhere.extxyz"], "which does not exist"),
        (["C[B-](C)(C)C", "--potential", "mmff94"], "MMFF94"),
    ],
)
def test_bad_input_is_2_and_leaves_nothing(
    arguments: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["sample", *arguments, "--workers", "1"]) == 2
    assert message in capsys.readouterr().err.replace("\n", " ")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("small")
class TestMolecule:
    def test_all_files_and_no_checkpoint(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        out = tmp_path / "new" / "peroxide"
        code = main(["sample", "OO", *SHORT, "--out", str(out)])
        content = json.loads((out / "certificate.json").read_text())
        assert code == (3 if content["status"] == "fail" else 0)
        assert {path.name for path in out.iterdir()} == FILES
        assert (out / "conformers.sdf").read_text().count("$$$$") == 16
        printed = capsys.readouterr().out
        assert content["verdict"] in printed
        assert "parallel tempering" in printed
        # once more in the same place
        assert main(["sample", "OO", *SHORT, "--out", str(out)]) == 2
        assert main(["sample", "OO", *SHORT, "--out", str(out), "--resume"]) == 2
        assert "finished" in capsys.readouterr().err.replace("\n", " ")

    def test_its_samples_can_be_checked(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        out = tmp_path / "peroxide"
        main(["sample", "OO", *SHORT, "--out", str(out)])
        file = str(out / "conformers.extxyz")
        options = ["--potential", "mmff94", "--workers", "1", "--budget", "600"]
        code = main(["sample", "--check", file, *options, "--out", str(tmp_path / "checked")])
        assert code in (0, 3)
        content = json.loads((tmp_path / "checked" / "certificate.json").read_text())
        assert content["record"]["samples"]["given"] == 16
        # their energies are of another potential than this one
        assert main(["sample", "--check", file, *options, "--temperature", "600"]) in (0, 3)
        assert "verdict" in capsys.readouterr().out

    def test_stereoisomers_have_folders_of_their_own(self, tmp_path: Path) -> None:
        out = tmp_path / "two"
        arguments = ["FC=CF", *SHORT, "--undefined-stereo", "enumerate", "--out", str(out)]
        assert main(["sample", *arguments]) in (0, 3)
        for k in (1, 2):
            assert {path.name for path in (out / f"isomer-{k}").iterdir()} == FILES


@pytest.mark.usefixtures("small")
def test_a_toy_and_its_check(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    check = density_job.check_samples
    monkeypatch.setattr(
        density_job, "check_samples", lambda *a, **k: check(*a, **{**k, "gradients": 20_000})
    )
    assert main(["sample", "--toy", "gaussian", "-n", "100"]) == 0
    out = tmp_path / "gaussian_1"
    assert {"samples.npz", "basins.csv", "certificate.json", "report.html"} == {
        path.name for path in out.iterdir()
    }
    with np.load(out / "samples.npz") as file:
        assert file["positions"].shape == (100, 3)
    samples = str(out / "samples.npz")
    assert main(["sample", "--check", samples, "--toy", "gaussian", "--budget", "20000"]) == 0


@pytest.mark.parametrize(
    ("text", "calls", "seconds"),
    [
        (None, None, None),
        ("20000", 20000, None),
        ("2e4 calls", 20000, None),
        ("90s", None, 90.0),
        ("5min", None, 300.0),
        ("1.5 h", None, 5400.0),
    ],
)
def test_budgets(text: str | None, calls: int | None, seconds: float | None) -> None:
    assert parsed_budget(text) == (calls, seconds)


@pytest.mark.parametrize("text", ["", "0", "-5", "5 fortnights", "min"])
def test_no_budgets(text: str) -> None:
    with pytest.raises(InputError, match="--budget"):
        parsed_budget(text)


class TestFolder:
    def test_of_something_else(self, tmp_path: Path) -> None:
        (tmp_path / "thesis.tex").touch()
        for resume in (False, True):
            with pytest.raises(InputError, match="choose another"):
                prepared(tmp_path, resume=resume)

    def test_interrupted(self, tmp_path: Path) -> None:
        (tmp_path / CHECKPOINT).mkdir()
        with pytest.raises(InputError, match="--resume"):
            prepared(tmp_path, resume=False)
        assert prepared(tmp_path, resume=True) == tmp_path

    def test_new(self, tmp_path: Path) -> None:
        assert not prepared(tmp_path / "a" / "b", resume=False).exists()


def test_times_are_spoken() -> None:
    assert [spoken(s) for s in (12, 200, 8000)] == ["about 12 s", "about 3 min", "about 2.2 h"]
