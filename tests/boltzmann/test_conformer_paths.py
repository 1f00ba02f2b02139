"""Molecules by chains with moves to fresh paths: exact lengths, record, hopeless scores, resumed runs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from genmol.boltzmann import conformer_psm
from genmol.boltzmann.conformer_paths import sample_paths
from genmol.boltzmann.conformer_psm import fold_of
from genmol.boltzmann.ensemble import Ensemble
from genmol.boltzmann.generator import ScoreGenerator
from genmol.boltzmann.problem import Problem
from genmol.boltzmann.score_files import LoadedScore
from genmol.boltzmann.score_model import ScoreModel, ScoreModelConfig
from genmol.boltzmann.score_systems import particles_of_molecule
from genmol.boltzmann.settings import Settings
from genmol.boltzmann.starts import find_starts
from genmol.boltzmann.weighted import weighted_draws
from genmol.chem.species import species_from_smiles
from genmol.potentials.mmff import MMFF
from samplers.run import Budget
from samplers.target import Counted

CHLORINE = species_from_smiles("ClCl")
SETTINGS = Settings(burn_in=30)


def problem() -> Problem:
    starts = find_starts(CHLORINE, seed=0, most=8)
    return Problem(
        species=CHLORINE, potential=MMFF(CHLORINE.mol), temperature=300.0, starts=starts.positions,
        confined=False,
    )  # fmt: skip


def generator(spread: float) -> ScoreGenerator:
    """Of a normal law: a bond whose length scatters as much as it is long."""
    config = ScoreModelConfig(
        stiffness={17: 1 / spread}, spread=spread, low=0.02, high=4.0, attributes=9, channels=8,
        vectors=4, layers=1, n_radial=8,
    )  # fmt: skip
    torch.manual_seed(3)
    model = ScoreModel(config).eval()
    torch.nn.init.zeros_(model.readout.weight)
    return ScoreGenerator(model, particles_of_molecule(CHLORINE), 4)


def sampled(
    folder: Path, *, spread: float = 0.4, effective: float = 150.0, calls: int | None = None
):
    of, own = generator(spread), problem()
    zero = float(own.start_energies.min())
    target = Counted.of(own.target(reference_energy=zero))
    found, _ = weighted_draws(
        of, target, seed=1, effective=lambda _: 0.0, wanted=1.0, budget=Budget(calls=1),
        folder=folder, identity="a",
    )  # fmt: skip
    return sample_paths(
        own, of, found, fold=fold_of(CHLORINE), seed=2, folder=folder, settings=SETTINGS,
        budget=Budget(effective=effective, calls=calls), progress=lambda _: None,
    )  # fmt: skip


def lengths(x: Tensor) -> Tensor:
    return (x[:, 0] - x[:, 1]).norm(dim=1)


def test_lengths_are_those_of_the_law(tmp_path: Path) -> None:
    found = sampled(tmp_path)
    assert found is not None
    r = torch.linspace(1.6, 2.6, 2001, dtype=torch.float64)
    pair = torch.stack([r, -r], dim=1)[:, :, None] / 2
    x = torch.cat([pair, torch.zeros(len(r), 2, 2)], dim=2)
    weight = 2 * r.log() + problem().target(reference_energy=0.0).log_density(x)
    expected = float((weight.softmax(dim=0) * r).sum())
    length = lengths(found.positions)
    by_run = length.unflatten(0, (8, -1)).mean(dim=1)
    assert abs(float(length.mean()) - expected) < 4.5 * float(by_run.std()) / 8**0.5
    assert found.n_effective >= 150
    assert found.method == "chains with moves to fresh paths of a score"
    assert found.notes["path moves accepted"] > 0.1
    assert found.settings["paths_tried"] in (4, 8, 16)
    assert found.calls["sampling"].energies > 0
    assert found.calls["sampling"].gradients > 0
    assert found.replicas is not None
    assert 0.1 < found.replicas.acceptances["fresh path"][0] <= 1


def test_a_killed_run_goes_on_to_the_same_draws(tmp_path: Path) -> None:
    (tmp_path / "whole").mkdir()
    (tmp_path / "parts").mkdir()
    whole = sampled(tmp_path / "whole")
    part = sampled(tmp_path / "parts", calls=7000)
    assert part is not None
    assert part.stopped == "calls"
    resumed = sampled(tmp_path / "parts")
    assert whole is not None
    assert resumed is not None
    assert torch.equal(resumed.positions, whole.positions)
    assert resumed.calls == whole.calls
    assert np.isfinite(whole.energies.numpy()).all()


def test_a_score_that_knows_nothing_is_left_alone(tmp_path: Path) -> None:
    assert sampled(tmp_path, spread=40_000.0) is None


def test_chains_come_before_other_methods(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conformer_psm, "_HEAVY", -10.0)  # no weights are good enough
    card = {"domain": {"temperature": 300.0}, "sha256": "none", "generator": {"steps": 4}}
    score = LoadedScore("normal", generator(0.4).model, card)

    def instead(left: Budget) -> Ensemble:
        raise AssertionError(left)

    found = conformer_psm.sample_psm(
        problem(), score, seed=1, instead=instead, budget=Budget(effective=60.0)
    )
    assert found.method == (
        "chains with moves to fresh paths of a score, as weights of the score vary too much"
    )
    assert {"conformers", "generation", "burn-in", "sampling"} == found.calls.keys()
    assert found.n_effective >= 60
    with pytest.raises(AssertionError):
        conformer_psm.sample_psm(
            problem(), score, seed=1, instead=instead, chains=lambda: False,
            budget=Budget(effective=60.0),
        )  # fmt: skip


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("genmol.boltzmann.rounds._EACH", 8)
