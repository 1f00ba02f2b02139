"""Weights are found by shipped name, path or folder, and what ships is whole."""

import subprocess
import sys

import pytest
import torch
from weightcases import CARD, flip, saved

from genmol.core import weight_files
from genmol.core.errors import InputError
from genmol.core.weights import find_weights, load_weights, save_weights, shipped

__all__ = ["saved"]


@pytest.fixture
def shelf(tmp_path, monkeypatch):
    """A folder of shipped weights with two models."""
    folder = tmp_path / "shelf"
    for name in ("toy-small", "toy-ethanol"):
        save_weights(folder / name, {"a": torch.ones(2)}, CARD)
    (folder / ".toy-small.1234.safetensors").write_bytes(b"a save in progress")
    monkeypatch.setattr(weight_files, "_SHIPPED", folder)
    return folder


def test_shipped_names_are_listed_and_found(shelf):
    assert shipped() == ["toy-ethanol", "toy-small"]
    assert find_weights("toy-small") == shelf / "toy-small.safetensors"
    assert load_weights("toy-small").name == "toy-small"


def test_a_path_is_not_a_shipped_name(shelf, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    save_weights("toy-small", {"a": torch.zeros(7)}, CARD)
    assert load_weights("toy-small").state["a"].shape == (2,)
    assert load_weights("./toy-small.safetensors").state["a"].shape == (7,)


@pytest.mark.parametrize("suffix", ["", ".safetensors", ".json"])
def test_paths_with_and_without_suffix(saved, suffix):
    expected = saved.with_suffix(".safetensors")
    assert find_weights(saved.with_name("toy" + suffix)) == expected
    assert find_weights(str(saved) + suffix) == expected


def test_a_folder_stands_for_its_only_weights(saved):
    (saved.parent / "level.json").write_text("{}")
    assert find_weights(saved.parent) == saved.with_suffix(".safetensors")
    save_weights(saved.with_name("second"), {"a": torch.ones(1)}, CARD)
    with pytest.raises(InputError, match=r"with 2 weights files: second.safetensors, toy.safet"):
        find_weights(saved.parent)


def test_what_is_not_there_is_said(shelf, tmp_path):
    with pytest.raises(InputError, match="Try: did you mean toy-small"):
        find_weights("toy-smal")
    with pytest.raises(InputError, match=r"no weights called .*\(toy-ethanol, toy-small\)"):
        load_weights(tmp_path / "absent.safetensors")
    (tmp_path / "bare").mkdir()
    with pytest.raises(InputError, match="with 0 weights files; wanted"):
        load_weights(tmp_path / "bare")
    (tmp_path / "a.safetensors").mkdir()
    with pytest.raises(InputError, match="with 0 weights files"):
        load_weights(tmp_path / "a.safetensors")


def test_damaged_shipped_weights_ask_for_a_new_installation(shelf):
    flip(shelf / "toy-small.safetensors")
    with pytest.raises(InputError, match="Try: pip install --force-reinstall --no-deps genmol"):
        load_weights("toy-small")


def test_the_models_of_the_readme_ship():
    assert {"hamiltonian-small", "hamiltonian-ethanol"} <= set(shipped())


@pytest.mark.parametrize("name", shipped())
def test_what_ships_is_small_whole_and_free(name):
    assert find_weights(name).stat().st_size <= 10e6
    card = load_weights(name).card
    assert card["licence"] == "MIT"
    assert card["reproduce"].startswith("genmol train ")


def test_cards_and_errors_answer_without_torch(saved):
    flip(saved.with_suffix(".safetensors"))
    save_weights(saved.with_name("whole"), {"a": torch.ones(1)}, CARD)
    code = (
        "import sys\n"
        "from genmol.core.weights import load_weights, read_card\n"
        f"assert read_card({str(saved.with_name('whole'))!r})['class'] == 'Toy'\n"
        "try:\n"
        f"    load_weights({str(saved)!r})\n"
        "except ValueError:\n"
        "    sys.exit('torch' in sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
