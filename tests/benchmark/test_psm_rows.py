"""Small real rows of the psm benchmark, and laws of what they are made of."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from genmol.benchmark import psm_cost, psm_data, sample_toys
from genmol.benchmark.psm import (
    Places,
    PsmPlan,
    psm_row,
    quick_psm,
)
from genmol.benchmark.psm_data import Look, differences
from genmol.benchmark.psm_expensive import EXPENSIVE, expensive_row, torsion_states
from genmol.benchmark.psm_mixture import MIXED, mixture, mixture_row
from genmol.benchmark.psm_training import toy_frames, trained
from genmol.benchmark.sample_toys import TUNED
from genmol.boltzmann import density_chains, difference, rounds
from genmol.boltzmann.difference import DifferenceSettings
from genmol.boltzmann.ensemble import Ensemble
from genmol.boltzmann.problem import Problem
from genmol.boltzmann.score_files import LoadedScore
from genmol.chem.automorphisms import automorphisms
from genmol.chem.conformers import embed
from genmol.chem.species import species_from_smiles
from genmol.core.errors import InputError
from genmol.core.graph import AtomicGraph
from genmol.potentials.contract import Answer
from genmol.potentials.gfn2 import Gfn2
from genmol.potentials.mmff import MMFF
from genmol.potentials.target import MoleculeTarget
from samplers.rng import Streams
from samplers.toys import TOYS


class TestMixture:
    def test_the_score_is_learnt_and_forces_help_at_low_noise(self) -> None:
        row = mixture_row(0, steps=900, rules=("smooth", "denoising"))
        smooth, denoising = row["errors"]["smooth"], row["errors"]["denoising"]
        assert smooth[0] < 0.5 * denoising[0]
        assert max(smooth) < 0.3  # knowing nothing gives 1 where noise is low

    def test_every_rule_has_its_errors(self) -> None:
        row = mixture_row(1, steps=3)
        assert row == mixture_row(1, steps=3) != mixture_row(2, steps=3)
        assert set(row["errors"]) == set(MIXED)
        assert {len(errors) for errors in row["errors"].values()} == {len(row["levels"])} == {10}

    def test_its_directions_differ(self) -> None:
        law = mixture()
        assert float(law.mean.norm()) < 1e-12
        x = law.draw(Streams.of(seed=0, chains=4000))
        stiff = torch.linalg.eigvalsh(law.evaluate(x).gradient.T.cov())
        assert float(stiff[1] / stiff[0]) > 10


@pytest.fixture
def cheap_toy(monkeypatch: pytest.MonkeyPatch) -> None:
    tuned = replace(TUNED["dw4"], chains=50, leaps=4, burn_in=20, thin=2, ladder=(0.5, 1.0))
    monkeypatch.setitem(TUNED, "dw4", tuned)


class TestData:
    def test_what_is_the_same_differs_by_nothing(self) -> None:
        toy = TOYS["dw4"]()
        x = toy.start(Streams.of(seed=0, chains=40))
        one = Look.of_toy(toy, x)
        assert differences(one, one) == {"distance_tv": 0.0, "energy_w2": 0.0}
        other = differences(Look.of_toy(toy, 1.1 * x), one)
        assert min(other.values()) > 0.1

    def test_frames_without_hope_are_counted(self) -> None:
        toy = TOYS["dw4"]()
        x = toy.start(Streams.of(seed=0, chains=40))
        one = Look.of_toy(toy, x)
        assert one.energies is not None
        for far in (30.0, 300.0):  # however far
            wrong = torch.cat([far * x[:10], x[10:]])
            spread = float(one.energies.max() - one.energies.min())
            w2 = differences(Look.of_toy(toy, wrong), one)["energy_w2"]
            assert 50.0 <= w2 <= 0.5 * (100.0 + spread)

    def test_a_molecule_is_itself_whatever_its_atoms_are_called(self) -> None:
        species = species_from_smiles("CCO")
        x = torch.from_numpy(embed(species, 12, 0).positions)
        target = MoleculeTarget(
            potential=MMFF(species.mol), numbers=torch.tensor(species.numbers.tolist()),
            temperature=300.0,
        )  # fmt: skip
        w = torch.ones(len(x), dtype=torch.float64)
        one = Look.of_molecule(species, target, x, w)
        swapped = Look.of_molecule(species, target, x[:, list(automorphisms(species))[-1]], w)
        found = differences(swapped, one)
        assert one.angles.shape == (len(x), 2)
        assert max(found.values()) < 1e-6
        gone = differences(Look.of_molecule(species, target, 3 * x, w), one)
        assert gone == {"distance_tv": pytest.approx(1.0, abs=0.4), "energy_w2": math.inf,
                        "torsion_js": 1.0}  # fmt: skip

    def test_a_toy_row(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cheap_toy: None
    ) -> None:
        monkeypatch.setattr(psm_data, "POOL", 60)
        plan = PsmPlan("quick", {}, {"": 0.02}, steps=10, count={"": 30})
        row = psm_row(("data", "dw4 40 springs 1"), plan=plan, places=Places(tmp_path))
        assert (row["system"], row["frames"], row["rule"], row["seed"]) == ("dw4", 40, "springs", 1)
        assert row["training"]["minutes"] == pytest.approx(0.02, abs=0.02)
        assert set(row["metrics"]) == set(row["floor"]) == {"distance_tv", "energy_w2"}
        assert row["floor"]["energy_w2"] < row["metrics"]["energy_w2"]
        assert [file.name for file in (tmp_path / "toys").iterdir()] == ["dw4-120.npz"]

    def test_a_molecule_row(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(psm_data, "POOL", 30)
        species = species_from_smiles("CCO")
        x = torch.from_numpy(embed(species, 4, 0).positions).repeat(50, 1, 1)[:50]
        x = x + 0.02 * torch.randn(x.shape, generator=torch.Generator().manual_seed(0)).double()
        target = MoleculeTarget(
            potential=Gfn2(), numbers=torch.tensor(species.numbers.tolist()), temperature=300.0
        )
        forces = target.evaluate(x).gradient * target.kT
        np.savez(
            tmp_path / "ethanol.npz", positions=x.numpy(), forces=forces.numpy(),
            numbers=species.numbers, temperature=300.0,
        )  # fmt: skip
        plan = PsmPlan("quick", {}, {"": 0.02}, steps=5, count={"": 1000})
        places = Places(tmp_path / "cache", tmp_path)
        row = psm_row(("data", "ethanol 20 denoising 0"), plan=plan, places=places)
        assert row["generated"] == 10  # half of what is not trained on
        assert set(row["floor"]) == {"distance_tv", "energy_w2", "torsion_js"}
        assert math.isfinite(row["floor"]["energy_w2"])
        # forces of another potential: its energies are not compared
        np.savez(
            tmp_path / "ethanol.npz", positions=x.numpy(), forces=1.1 * forces.numpy(),
            numbers=species.numbers, temperature=300.0,
        )  # fmt: skip
        row = psm_row(("data", "ethanol 20 denoising 0"), plan=plan, places=places)
        assert set(row["metrics"]) == {"distance_tv", "torsion_js"}

    def test_no_frames_no_row(self, tmp_path: Path) -> None:
        for folder, words in ((None, "no --data"), (tmp_path, "ethanol.extxyz")):
            places = Places(tmp_path, folder)
            row = psm_row(("data", "ethanol 100 springs 0"), plan=quick_psm(), places=places)
            assert list(row) == ["skipped"]
            assert words in row["skipped"]


def test_biased_rows(tmp_path: Path, cheap_toy: None) -> None:
    plan = PsmPlan("quick", {}, {"": 0.02}, steps=10, biased=5.0)
    row = psm_row(("biased", "springs 0"), plan=plan, places=Places(tmp_path))
    assert row["data"] == 0.9
    value, low, high = row["corrected"]
    assert low <= value <= high
    assert row["inside"] is (low <= row["truth"] <= high)
    assert row["paths"] >= 512


def test_costs_bands_and_time_of_a_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cheap_toy: None
) -> None:
    monkeypatch.setattr(sample_toys, "_PAIRS", 10)
    monkeypatch.setattr(LoadedScore, "steps", 10)
    monkeypatch.setattr(density_chains, "_PILOT", 20)
    monkeypatch.setattr(rounds, "_EACH", 4)
    other = {"gradients_per_effective": 100.0}
    budgets: list[int] = []

    def others(name: str, *, gradients: int, seed: int) -> dict[str, Any]:
        budgets.append(gradients)
        return {"genmol": other, "plain HMC": other}

    monkeypatch.setattr(psm_cost, "cost_row", others)
    from genmol.train.score import train
    from genmol.train.score_recipe import ScoreRecipe

    train(ScoreRecipe(max_steps=30), toy_frames("dw4", 200, tmp_path), tmp_path / "run", toy="dw4")
    plan = PsmPlan(
        "quick", {}, {"": 0.02}, effective=5, gradients={"dw4": 1000, "lj13": 1}, bands=(10, 40),
        states=5,
    )  # fmt: skip
    places = Places(tmp_path, model=str(tmp_path / "run"))
    row = psm_row(("cost", "dw4"), plan=plan, places=places)
    ours = row["ours"]
    assert ours["calls_per_effective"] == ours["calls"] / ours["n_effective"]
    assert ours["by_weights"] is ours["method"].startswith("psm: ")
    assert (ours["calls_before"] == 0) is ours["by_weights"]
    assert budgets == [max(1000, ours["calls"] + ours["calls_before"])]
    assert row["tuned HMC"] == other
    assert row["break_even"] is None
    found = psm_row(("bands", "dw4"), plan=plan, places=places)
    assert set(found["found"]) == set(found["floor"])
    timed = psm_row(("time", "dw4"), plan=plan, places=places)
    assert 0 < timed["sampling_seconds"] < timed["seconds"]
    assert timed["processes"] == 2
    monkeypatch.setattr("genmol.benchmark.psm_cost.score_for_toy", _none)
    assert "skipped" in psm_row(("cost", "lj13"), plan=plan, places=places)


def _none(name: str) -> None:
    raise InputError(got=name, wanted="a model", remedy="train one")


class TestExpensive:
    @pytest.mark.parametrize("name", list(EXPENSIVE))
    def test_states_know_no_names_of_atoms_and_no_hand(self, name: str) -> None:
        species = species_from_smiles(EXPENSIVE[name])
        x = torch.from_numpy(embed(species, 40, 0).positions)
        every = torch.cat([x, -x, *(x[:, g] for g in automorphisms(species))])
        labels, names = torsion_states(species, every)
        parts = labels.reshape(-1, len(x))
        assert bool((parts == parts[0]).all())
        counts = torch.bincount(labels)
        assert len(counts) == len(names) == len(set(names))
        assert counts.tolist() == sorted(counts.tolist(), reverse=True)
        assert {part for name in names for part in name.split(" ")} <= {"g+", "t", "g-"}
        if name == "ethanol":
            assert sorted(names) == ["g+", "t"]
        else:
            assert "g+ g+ t" in names or "g+ g+ g-" in names or "g+ g- t" in names

    def test_a_row_goes_on_with_what_it_has(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        species = species_from_smiles("CCO")
        sampled: list[str] = []
        asked: list[bool] = []

        def delayed(problem: Problem, *_: object, seed: int, **__: object) -> Ensemble:
            sampled.append(problem.potential.name)
            generator = torch.Generator().manual_seed(seed)
            x = problem.starts[torch.randint(len(problem.starts), (96,), generator=generator)]
            x = x + 0.02 * torch.randn(x.shape, generator=generator, dtype=torch.float64)
            energies = -problem.target().log_density(x) * problem.kT
            run = torch.arange(96) // 12
            return Ensemble(
                positions=x, energies=energies, run=run, numbers=problem.numbers,
                log_weights=torch.full((96,), -math.log(96), dtype=torch.float64),
                temperature=problem.temperature, potential="", level={}, method="", settings={},
                seed=seed, n_effective=96.0, limited_by="", stopped="", calls={}, seconds=1.0,
            )  # fmt: skip

        monkeypatch.setattr(difference, "sample_delayed", delayed)
        settings = DifferenceSettings(lessons=(16, 24), weighted=32)
        dear_one, middle = MMFF(species.mol), MMFF(species.mol)
        answer = dear_one.answer

        def counted(graph: AtomicGraph, *, forces: bool) -> Answer:
            asked.extend([forces] * graph.n_graphs)
            return answer(graph, forces=forces)

        monkeypatch.setattr(dear_one, "answer", counted)

        def row() -> dict[str, Any]:
            return expensive_row(
                "ethanol",
                seed=0,
                cache=tmp_path,
                settings=settings,
                expensive=dear_one,
                middle=middle,
            )

        found = row()
        # one potential: nothing to correct, and all weights are the same
        assert found["direct"]["share"] == pytest.approx(1.0)
        assert found["reweighting"]["share"] > 0.99
        assert found["calls"] == 16 + 24 + 32
        assert asked == [True] * (16 + 24) + [False] * 32
        assert sampled == ["MMFF94", "MMFF94, corrected", "MMFF94, corrected"]
        assert sum(state[0] for state in found["states"].values()) == pytest.approx(1.0)
        file = tmp_path / "weighed.pt"
        kept = torch.load(file, weights_only=True)
        for name in ("x", "energies", "forces"):  # killed there
            kept[name] = kept[name][:20]
        torch.save(kept, file)
        again = row()
        assert asked[16 + 24 + 32 :] == [False] * 12
        assert again["states"] == found["states"]


def test_trainings_take_their_time(tmp_path: Path, cheap_toy: None) -> None:
    frames = toy_frames("dw4", 60, tmp_path)
    same = toy_frames("dw4", 60, tmp_path)
    assert np.array_equal(frames.positions, same.positions)
    assert frames.gradient_calls == 0  # forces are kept with them
    found = trained(frames, rule="denoising", minutes=0.03, seed=0, toy="dw4")
    assert 0.03 <= found.minutes < 0.06
    assert found.steps > 1
