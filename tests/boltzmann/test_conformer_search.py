"""Minima of a search and the states that they share with draws."""

from __future__ import annotations

import numpy as np
import torch

from genmol.boltzmann.conformer_search import find_minima, find_states_of
from genmol.boltzmann.coverage import check_search
from genmol.boltzmann.sample_set import read_samples
from genmol.boltzmann.systems import System
from genmol.chem.species import species_from_smiles
from genmol.potentials.mmff import MMFF
from samplers.target import Counted
from samplers.toys import TOYS


def test_butane(rng: np.random.Generator) -> None:
    species = species_from_smiles("CCCC")
    system = System.of(MMFF(species.mol), 300.0, species=species)
    assert system.molecule is not None
    target = Counted.of(system.target)
    minima = find_minima(system.molecule, target, "embed", gradients=2000, seed=3)
    assert minima is not None
    assert target.calls.gradients < 3000
    # trans below gauche by 0.8 kcal/mol at MMFF94, with two mirror images of the latter
    best = minima.log_masses.argsort(descending=True)
    angles = system.molecule.copies(minima.positions)[0][:, 1]
    assert abs(np.degrees(angles[best[0]])) > 170
    gauche = np.abs(np.degrees(angles)) < 80
    assert gauche.sum() == 2
    masses = minima.log_masses.numpy()
    np.testing.assert_allclose(*masses[gauche], atol=1e-3)
    assert 0.5 < masses.max() - masses[gauche][0] < 2.5

    # draws about trans alone: two basins of the search are without one
    x = minima.positions[best[:1]] + torch.tensor(0.02 * rng.normal(size=(300, 14, 3)))
    samples = read_samples(x, target, weights=None, runs=np.arange(300), most=300, gradients=300)
    states = find_states_of(system, samples, minima)
    assert states.basins is not None
    assert states.codes is not None
    assert states.labels is not None
    assert float((states.labels == 0).double().mean()) > 0.9
    search = states.search(system.molecule, minima)
    assert search is not None
    missing = check_search(samples.draws, states.codes, 300.0, search)
    assert (missing.check.status, missing.part) == ("fail", "weights")
    assert missing.detail["basins_missing"] == 2


def test_a_density_has_the_states_of_its_toy(rng: np.random.Generator) -> None:
    system = System.of(TOYS["two-basins"](), 1.0)
    x = torch.tensor(rng.choice([0.0, 3.0], p=[0.3, 0.7], size=100))[:, None]
    x = x + 0.1 * torch.tensor(rng.normal(size=(100, 1)))
    samples = read_samples(x, system.target, weights=None, runs=None, most=100, gradients=100)
    states = find_states_of(system, samples, None)
    assert states.labels is not None
    assert states.names == ("state 1", "state 0")
    assert float((states.labels == 0).double().mean()) > 0.5
    none = System.of(TOYS["lj13"](), 1.0)
    y = 2.0 * torch.tensor(rng.normal(size=(20, 13, 3)))
    samples = read_samples(y, none.target, weights=None, runs=None, most=20, gradients=20)
    assert find_states_of(none, samples, None).codes is None
