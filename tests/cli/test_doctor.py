"""The doctor reports what is there and names the command for what is not."""

import json
import tomllib
from pathlib import Path

import pytest
import torch

from genmol.cli import doctor, main
from genmol.core import environment, extras, weight_files
from genmol.core.weights import save_weights

PYPROJECT = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text("utf-8"))


def names(requirements: list[str]) -> tuple[str, ...]:
    return tuple(requirement.split(">=")[0] for requirement in requirements)


def test_the_lists_are_those_of_pyproject():
    project = PYPROJECT["project"]
    assert environment.CORE_PACKAGES == names(project["dependencies"])
    optional = project["optional-dependencies"]
    developers = {"test", "lint", "dev"}
    assert dict(extras.EXTRAS) == {k: names(v) for k, v in optional.items() if k not in developers}


def test_healthy_installation(tmp_path, capsys):
    path = tmp_path / "report.json"
    assert main.main(["doctor", "--json", str(path)]) == 0
    text = capsys.readouterr().out
    report = json.loads(path.read_text())
    assert report["broken"] == {}
    assert report["versions"]["torch"] == torch.__version__
    assert f"torch              {torch.__version__}\n" in text
    assert text.endswith("The core works.\n")


def test_missing_and_broken_packages_are_told_apart_and_cost_the_exit_code(monkeypatch, capsys):
    monkeypatch.setattr(doctor, "CORE_PACKAGES", ("numpy", "absent-package", "pytest"))
    monkeypatch.setattr(doctor, "IMPORT_NAMES", {"pytest": "pytest_without_this_module"})
    assert main.main(["doctor"]) == 3
    lines = capsys.readouterr().out.splitlines()
    faults = {words[0]: words[1] for line in lines if len(words := line.split(maxsplit=1)) == 2}
    assert faults["absent-package"] == "not installed"
    assert faults["pytest"].startswith("ModuleNotFoundError")
    assert lines[-1] == (
        "The core is not usable. Try: pip install --force-reinstall absent-package pytest"
    )


@pytest.mark.parametrize("installed", [True, False])
def test_extras_name_the_command_that_installs_them(monkeypatch, capsys, installed):
    package = "numpy" if installed else "absent-package"
    monkeypatch.setattr(doctor, "EXTRAS", {"farm": ("rich", package)})
    assert main.main(["doctor"]) == 0
    expected = "installed" if installed else "missing absent-package: pip install 'genmol[farm]'"
    assert f"  farm               {expected}\n" in capsys.readouterr().out


def test_an_output_that_cannot_be_written_is_noticed_before_the_work(tmp_path, capsys):
    assert main.main(["doctor", "--json", str(tmp_path)]) == 2
    captured = capsys.readouterr()
    assert "as an output file" in captured.err
    assert captured.out == ""


def ship(folder: Path, name: str, level: object) -> None:
    domain = {"elements": [1]} | ({} if level is None else {"level": level})
    card: dict = {key: {} for key in ("config", "units", "data", "metrics")}
    card |= {
        "class": "FockModel",
        "domain": domain,
        "licence": "MIT",
        "reproduce": "genmol train x",
    }
    save_weights(folder / name, {"a": torch.zeros(2500)}, card)


LEVELS = {
    "text": "b3lyp/def2-svp",
    "none": "level of theory not stated",
    "labels": "b3lypg/def2-svp",
    "tight-binding": "GFN2-xTB",
}


def test_shipped_weights_are_verified_and_described(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(weight_files, "_SHIPPED", tmp_path)
    assert main.main(["doctor"]) == 0
    assert "  none are shipped with this version\n" in capsys.readouterr().out
    ship(tmp_path, "text", "b3lyp/def2-svp")
    ship(tmp_path, "none", None)
    ship(tmp_path, "labels", {"functional": {"code": "b3lypg"}, "basis": "def2-svp"})
    ship(tmp_path, "tight-binding", {"potential": "gfn2", "method": "GFN2-xTB"})
    report = tmp_path / "report.json"
    assert main.main(["doctor", "--json", str(report)]) == 0
    lines = capsys.readouterr().out.splitlines()
    found = json.loads(report.read_text())["weights"]
    for name, level in LEVELS.items():
        sha256 = found[name]["sha256"]
        state = f"FockModel, {level}, 0.02 MB, sha256 {sha256[:12]}... verified"
        assert f"  {name:<18} {state}" in lines
        assert found[name]["fault"] is None


def test_damaged_weights_cost_the_exit_code(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(weight_files, "_SHIPPED", tmp_path)
    ship(tmp_path, "good", "b3lyp/def2-svp")
    ship(tmp_path, "bad", "b3lyp/def2-svp")
    (tmp_path / "bad.safetensors").write_bytes(b"half")
    assert main.main(["doctor"]) == 3
    lines = capsys.readouterr().out.splitlines()
    (row,) = [line for line in lines if line.startswith("  bad ")]
    assert "whose SHA-256 is" in row
    assert "pip install --force-reinstall --no-deps genmol" in row
    assert any(line.startswith("  good ") and line.endswith("verified") for line in lines)
    assert lines[-2:] == ["Weights cannot be used: see above.", "The core works."]
