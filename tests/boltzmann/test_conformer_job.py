"""From a molecule to a certified set, on a model of hydrogen peroxide: two mirror-image basins."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import ase.io
import numpy as np
import pytest
import torch
from chaincases import KT, PEROXIDE, SIDES, Chain, Failing, share
from rdkit import Chem

from genmol.boltzmann import conformer_job, production
from genmol.boltzmann.conformer_job import Request, sample_molecule
from genmol.boltzmann.engine import sample
from genmol.boltzmann.outputs import write_outputs
from genmol.boltzmann.sampled import Sampled
from genmol.boltzmann.settings import Settings
from genmol.boltzmann.starts import find_starts
from genmol.boltzmann.sweep import Moves
from genmol.chem.species import Species, species_from_smiles
from genmol.core.errors import DeliveryError, InputError

REQUEST = Request(n=40, seed=1, effective=60)
POTENTIAL = Chain(PEROXIDE, SIDES)


@pytest.fixture(autouse=True, scope="module")
def small() -> Iterator[None]:
    """Short stages, an early first look, and a certificate of few calls."""
    settings = Settings(
        runs=8, replicas=2, tuning=4, burn_in=10, moves=Moves(leaps=4, step_size=0.03)
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(conformer_job, "sample", partial(sample, settings=settings))
        patch.setattr(production, "_FIRST_LOOK", 10)
        patch.setattr(conformer_job, "_CHECKS", (2000, 2000))
        yield


@pytest.fixture(scope="module")
def peroxide() -> Species:
    return species_from_smiles("OO peroxide")


@pytest.fixture(scope="module")
def sampled(peroxide: Species) -> Sampled:
    given = find_starts(peroxide, seed=5, most=2).positions.numpy()
    return sample_molecule(peroxide, POTENTIAL, request=REQUEST, given=given)


class TestSampled:
    def test_exactly_n_of_equal_weight(self, sampled: Sampled) -> None:
        chosen = sampled.delivered.ensemble
        assert chosen.count == REQUEST.n
        torch.testing.assert_close(chosen.weights, torch.full((40,), 1 / 40, dtype=torch.float64))

    def test_labels_are_the_populations_of_the_certificate(self, sampled: Sampled) -> None:
        weights = sampled.ensemble.weights.numpy()
        for b, state in enumerate(sampled.certificate.observables.states):
            assert weights[sampled.labels == b].sum() == pytest.approx(state.population.value)
            assert state.name == sampled.names[b]

    def test_representatives_are_the_lowest_of_their_basins(self, sampled: Sampled) -> None:
        energies = sampled.ensemble.energies.numpy()
        for b, k in enumerate(sampled.representatives):
            assert sampled.labels[k] == b
            assert energies[k] == energies[sampled.labels == b].min()

    def test_mirror_images_are_equally_populated(self, sampled: Sampled) -> None:
        # the error of a share of one half among n effective draws is 1/(2 sqrt(n))
        states = sampled.certificate.observables.states
        assert len(states) == 2
        error = 0.5 / np.sqrt(states[0].effective)
        assert states[0].population.value == pytest.approx(0.5, abs=4 * error)

    def test_the_mean_energy_is_that_of_the_model(self, sampled: Sampled) -> None:
        # three bonds and two angles of kT/2 each, to a few per cent, and the torsion
        expected = 2.5 * KT + share(
            PEROXIDE, SIDES, lambda phi: torch.from_numpy(SIDES.value(phi.numpy()))
        )
        energies = sampled.ensemble.energies
        error = float(energies.std()) / np.sqrt(sampled.ensemble.n_effective)
        assert float(energies.mean()) == pytest.approx(expected, abs=4 * error + 0.1 * KT)

    def test_everything_is_counted(self, sampled: Sampled) -> None:
        record = sampled.certificate.record
        spent = record["sampling"]["calls"].values()
        gradients = sum(calls["gradients"] for calls in spent)
        gradients += record["check"]["gradient_calls"]
        assert sampled.certificate.gradient_calls == gradients

    def test_it_is_repeatable(self, peroxide: Species, sampled: Sampled) -> None:
        given = find_starts(peroxide, seed=5, most=2).positions.numpy()
        again = sample_molecule(peroxide, POTENTIAL, request=REQUEST, given=given)
        assert torch.equal(again.delivered.ensemble.positions, sampled.delivered.ensemble.positions)


class TestFolder:
    def test_a_potential_that_gives_up_costs_nothing_that_was_saved(
        self, peroxide: Species, tmp_path: Path
    ) -> None:
        request = replace(REQUEST, effective=60)
        broken = Failing(Chain(PEROXIDE, SIDES), after=3000)
        with pytest.raises(DeliveryError, match="out of order"):
            sample_molecule(peroxide, broken, request=request, folder=tmp_path)
        found = sample_molecule(peroxide, POTENTIAL, request=request, folder=tmp_path)
        whole = sample_molecule(peroxide, POTENTIAL, request=request)
        # the same until the potential failed, which Metropolis took as refused moves
        assert torch.equal(found.ensemble.positions[0], whole.ensemble.positions[0])
        assert found.ensemble.stopped == "effective"

    def test_other_work_is_refused(self, peroxide: Species, tmp_path: Path) -> None:
        request = replace(REQUEST, effective=20, n=8)
        sample_molecule(peroxide, POTENTIAL, request=request, folder=tmp_path)
        with pytest.raises(InputError, match="other work"):
            sample_molecule(peroxide, POTENTIAL, request=replace(request, seed=2), folder=tmp_path)

    def test_the_choice_is_kept(self, peroxide: Species, tmp_path: Path) -> None:
        request = replace(REQUEST, effective=20, n=8)
        first = sample_molecule(peroxide, POTENTIAL, request=request, folder=tmp_path)
        again = sample_molecule(peroxide, POTENTIAL, request=request, folder=tmp_path)
        assert again.choice == first.choice  # with the seconds that were measured the first time
        assert torch.equal(again.ensemble.positions, first.ensemble.positions)


@pytest.fixture(scope="module")
def folder(sampled: Sampled, tmp_path_factory: pytest.TempPathFactory) -> Path:
    found: Path = tmp_path_factory.mktemp("out")
    write_outputs(sampled, found)
    return found


class TestOutputs:
    def test_sdf_and_extxyz_hold_the_same(self, sampled: Sampled, folder: Path) -> None:
        molecules = list(Chem.SDMolSupplier(str(folder / "conformers.sdf"), removeHs=False))
        frames = ase.io.read(folder / "conformers.extxyz", index=":")
        assert len(molecules) == len(frames) == REQUEST.n
        labels = sampled.delivered_labels
        for k, (mol, atoms) in enumerate(zip(molecules, frames, strict=True)):
            x = sampled.delivered.ensemble.positions[k].numpy()
            np.testing.assert_allclose(mol.GetConformer().GetPositions(), x, atol=6e-5)
            np.testing.assert_allclose(atoms.positions, x, atol=6e-9)
            energy = float(sampled.delivered.ensemble.energies[k])
            assert float(mol.GetProp("energy_ev")) == pytest.approx(energy, abs=1e-8)
            assert atoms.info["REF_energy"] == pytest.approx(energy, abs=1e-8)
            assert float(mol.GetProp("weight")) == atoms.info["weight"] == 1.0
            assert int(mol.GetProp("basin")) == atoms.info["basin"] == labels[k]

    def test_basins(self, sampled: Sampled, folder: Path) -> None:
        with (folder / "basins.csv").open() as handle:
            rows = list(csv.DictReader(handle))
        names = ["basin", "population", "population_low", "population_high"]
        assert [*rows[0]][:5] == [*names, "free_energy_kcal_mol"]
        assert sum(float(row["population"]) for row in rows) == pytest.approx(1.0, abs=1e-5)
        for row in rows:
            low, value, high = (
                float(row[k]) for k in ("population_low", "population", "population_high")
            )
            assert low <= value <= high

    def test_given_conformers_share_the_population_of_their_basin(self, folder: Path) -> None:
        with (folder / "given.csv").open() as handle:
            rows = list(csv.DictReader(handle))
        by_basin: dict[str, float] = {}
        for row in rows:
            by_basin[row["basin"]] = by_basin.get(row["basin"], 0.0) + float(row["weight"])
        for row in rows:
            assert by_basin[row["basin"]] == pytest.approx(float(row["basin_population"]), abs=1e-5)

    def test_certificate_and_draws(self, sampled: Sampled, folder: Path) -> None:
        content = json.loads((folder / "certificate.json").read_text())
        wanted = {"verdict", "checks", "n_effective", "energy_calls", "gradient_calls", "seconds"}
        assert wanted | {"bias_ledger"} <= set(content)
        with np.load(folder / "draws.npz") as draws:
            assert len(draws["energies"]) == sampled.ensemble.count
            assert draws["weights"].mean() == pytest.approx(1.0)


@pytest.mark.parametrize(
    "options", [{"n": 0}, {"temperature": 0.0}, {"temperature": -300.0}, {"calls": 0}, {"seed": -1}]
)
def test_numbers_that_make_no_sense(options: dict[str, float]) -> None:
    with pytest.raises(InputError, match=r"more than zero|not negative"):
        Request(**options)


def test_conformers_of_another_molecule(peroxide: Species) -> None:
    far = np.arange(12.0).reshape(1, 4, 3) * 3
    with pytest.raises(InputError, match="none of which"):
        find_starts(peroxide, seed=0, most=2, given=far)
