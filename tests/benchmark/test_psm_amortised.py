"""Rows of molecules that a model of many was not trained on."""

from __future__ import annotations

import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from genmol.benchmark import psm_amortised as module
from genmol.benchmark.psm import Places, psm_row, quick_psm
from genmol.benchmark.psm_molecules import HELD_OUT
from genmol.boltzmann import rounds
from genmol.boltzmann.score_model import ScoreModel, ScoreModelConfig
from genmol.boltzmann.score_systems import particles_of_molecule
from genmol.chem.species import species_from_smiles
from genmol.core.errors import DeliveryError, InputError
from genmol.core.weights import save_weights
from samplers.target import Calls


def model(folder: Path, smiles: list[str], **domain: object) -> Path:
    """Of many molecules; it has learnt nothing."""
    torch.manual_seed(2)
    attributes = particles_of_molecule(species_from_smiles("CO"), detailed=True).attributes
    assert attributes is not None
    config = ScoreModelConfig(
        stiffness={1: 500.0, 6: 900.0, 8: 900.0}, spread=0.25, low=0.01, high=3.0, detailed=True,
        attributes=attributes.shape[1], features=1, channels=8, vectors=4, layers=1, n_radial=8,
    )  # fmt: skip
    net = ScoreModel(config)
    torch.nn.init.zeros_(net.readout.weight)
    known = {"elements": [1, 6, 8], "charges": [0], "smiles": smiles, "temperature": 300.0}
    card = {
        "class": "ScoreModel", "config": config.to_dict(), "generator": {"steps": 2}, "data": {},
        "units": {}, "metrics": {}, "licence": "MIT", "reproduce": "",
        "domain": known | {"amortised": True, "level": "GFN2-xTB"} | domain,
    }  # fmt: skip
    save_weights(folder / "model", net.float().state_dict(), card)
    return folder / "model.safetensors"


@pytest.fixture
def others(monkeypatch: pytest.MonkeyPatch) -> None:
    """Chains that are not run; fewer paths."""
    found = SimpleNamespace(
        calls={"conformers": Calls(energies=9), "burn-in": Calls(gradients=100),
               "sampling": Calls(gradients=300)},
        n_effective=50.0, limited_by="energy", seconds=1.0, stopped="effective",
    )  # fmt: skip

    def tempering(*_: object, **__: object) -> None:
        raise DeliveryError(got="no draw", wanted="one", remedy="more calls")

    monkeypatch.setattr(module, "sample_delayed", lambda *_, **__: found)
    monkeypatch.setattr(module, "sample", tempering)
    monkeypatch.setattr(rounds, "_EACH", 2)
    monkeypatch.setattr(module, "_ROUNDS", 1)
    monkeypatch.setitem(HELD_OUT, "methanol", "CO")


def row(where: Path | None) -> dict[str, Any]:
    places = Places(Path("nowhere"), model=None if where is None else str(where))
    return psm_row(("amortised", "methanol"), plan=quick_psm(), places=places)


@pytest.mark.usefixtures("others")
def test_a_row(tmp_path: Path) -> None:
    found = row(model(tmp_path, ["CCO", "C=O"]))
    assert (found["smiles"], found["molecules"]) == ("CO", 2)
    ours = found["ours"]
    assert ours["paths"] == 512  # all that were planned, although they are of no use
    assert ours["calls"] == 512 * ours["inside"] <= 1  # an energy for each that is methanol
    assert ours["n_effective"] == 0.0
    assert ours["calls_per_effective"] == math.inf
    assert found["delayed"]["calls_per_effective"] == 8.0
    assert found["delayed"]["after_burn_in"] == 6.0
    assert found["tempering"]["calls_per_effective"] == math.inf


@pytest.mark.usefixtures("others")
def test_without_a_model_of_many_there_is_no_row(tmp_path: Path) -> None:
    assert "none is given with --model" in row(None)["skipped"]
    assert "none of many molecules" in row(model(tmp_path, ["CO"], amortised=False))["skipped"]
    with pytest.raises(InputError, match="trained on CO"):
        row(model(tmp_path, ["CO"]))
    with pytest.raises(InputError, match="trained at a temperature of 310"):
        row(model(tmp_path, ["CCO"], temperature=310.0))
