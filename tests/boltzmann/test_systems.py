"""Systems: units, descriptions with a hash, and refusals."""

from __future__ import annotations

import pytest
import torch

from genmol.boltzmann.systems import System
from genmol.chem.species import species_from_smiles
from genmol.core.errors import InputError
from genmol.potentials.lennard_jones import LennardJones as Argon
from genmol.potentials.mmff import MMFF
from samplers.clusters import DW4, LennardJones
from samplers.spaces import Euclidean
from samplers.target import Density


def test_a_molecule() -> None:
    species = species_from_smiles("CO")
    system = System.of(MMFF(species.mol), 300.0, species=species)
    assert system.thermal.unit == "kcal/mol"
    assert system.molecule is not None
    assert system.description["smiles"] == "CO"
    assert system.description["temperature_k"] == 300.0
    warmer = System.of(MMFF(species.mol), 301.0, species=species)
    assert system.description["sha256"] != warmer.description["sha256"]
    again = System.of(MMFF(species.mol), 300.0, species=species)
    assert system.description["sha256"] == again.description["sha256"]


def test_atoms_without_bonds() -> None:
    system = System.of(Argon(), 30.0, numbers=[18, 18, 18])
    assert system.molecule is None
    assert system.target.space.shape == (3, 3)
    with pytest.raises(InputError, match="no atoms"):
        System.of(Argon(), 30.0)


def test_a_density_and_its_temperature() -> None:
    toy = DW4()
    x = torch.randn(5, 4, 2, generator=torch.Generator().manual_seed(0))
    hot = System.of(toy, 2.0)
    torch.testing.assert_close(hot.target.log_density(x), toy.log_density(x) / 2)
    assert hot.thermal.kT == 2.0
    assert hot.codes is not None
    assert hot.starts(7, 0) is not None
    assert System.of(LennardJones.dem(13), 1.0).description["parameters"].endswith("factor=2.0)")
    other = System.of(LennardJones.bgflow(13), 1.0).description
    assert other["sha256"] != System.of(LennardJones.dem(13), 1.0).description["sha256"]
    own = System.of(Density(lambda x: -x.square().sum(dim=1), Euclidean(3)), 1.0)
    assert own.starts(7, 0) is None
    assert "parameters" not in own.description


@pytest.mark.parametrize("temperature", [0.0, -3.0, float("nan"), float("inf")])
def test_no_temperature(temperature: float) -> None:
    with pytest.raises(InputError, match="a temperature of"):
        System.of(DW4(), temperature)
