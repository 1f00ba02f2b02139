"""Molecules from a trained score: forms, mirror images, weights, chains where weights are useless."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from genmol.boltzmann.conformer_job import Request, sample_molecule
from genmol.boltzmann.conformer_psm import fold_of, sample_psm
from genmol.boltzmann.engine import sample
from genmol.boltzmann.problem import Problem
from genmol.boltzmann.score_batch import ScoreBatch
from genmol.boltzmann.score_files import LoadedScore, score_for_molecule, score_for_toy
from genmol.boltzmann.score_model import ScoreModel, ScoreModelConfig
from genmol.boltzmann.score_systems import particles_of_molecule
from genmol.boltzmann.starts import find_starts
from genmol.chem.identity import same_molecule
from genmol.chem.species import Species, species_from_smiles
from genmol.chem.topology import PAIR_ATTRIBUTES, pair_attributes
from genmol.core.errors import InputError
from genmol.potentials.mmff import MMFF
from samplers.run import Budget


def score_of(species: Species, *, temperature: float = 300.0) -> LoadedScore:
    """One that has learnt nothing."""
    torch.manual_seed(2)
    config = ScoreModelConfig(
        stiffness={int(z): 500.0 for z in set(species.numbers.tolist())}, spread=1.5, low=0.01,
        high=6.0, attributes=PAIR_ATTRIBUTES, channels=8, vectors=4, layers=1, n_radial=8,
    )  # fmt: skip
    domain = {"smiles": [species.smiles], "charges": [0], "temperature": temperature}
    card = {"domain": domain, "sha256": "none", "generator": {"steps": 4}}
    return LoadedScore("untrained", ScoreModel(config).eval(), card)


def problem_of(species: Species) -> Problem:
    starts = find_starts(species, seed=0, most=8)
    return Problem(
        species=species, potential=MMFF(species.mol), temperature=300.0, starts=starts.positions,
        confined=False,
    )  # fmt: skip


def test_attributes_know_bonds_and_nothing_of_numbers() -> None:
    species = species_from_smiles("CC=O")
    found = pair_attributes(species)
    assert found.shape == (7, 7, PAIR_ATTRIBUTES)
    assert np.array_equal(found, found.transpose(1, 0, 2))
    carbon, carbonyl, oxygen = 0, 1, 2
    # one, two, three, four bonds apart, more; single, double, triple, aromatic
    assert found[carbon, carbonyl].tolist() == [1, 0, 0, 0, 0, 1, 0, 0, 0]
    assert found[carbonyl, oxygen].tolist() == [1, 0, 0, 0, 0, 0, 1, 0, 0]
    assert found[carbon, oxygen].tolist() == [0, 1, 0, 0, 0, 0, 0, 0, 0]
    assert not found[carbon, carbon].any()
    own = [h for h in species.neighbours[carbon] if species.numbers[h] == 1]
    swapped = list(range(7))
    swapped[own[0]], swapped[own[1]] = own[1], own[0]
    assert np.array_equal(found[swapped][:, swapped], found)


@pytest.mark.parametrize("smiles", ["C[C@H](O)F", "CC(O)F", "OCCO", "C/C=C/O"])
def test_frames_come_to_the_forms_of_the_reference(smiles: str, rng: np.random.Generator) -> None:
    species = species_from_smiles(smiles if "@" in smiles or "F" not in smiles else "CCF")
    right = problem_of(species).conformers
    fold = fold_of(species, detailed=False)
    folded, inside = fold(right)
    assert bool(inside.all())
    torch.testing.assert_close(folded, right)
    # mirror images are the molecule again; exchanged atoms get their numbers back
    mirrored, inside = fold(-right)
    assert bool(inside.all())
    assert same_molecule(species, mirrored.numpy()).all()
    lengths = [
        torch.cdist(x, x).sort(dim=2).values.sum(dim=2).sort(dim=1).values
        for x in (right, mirrored)
    ]
    torch.testing.assert_close(lengths[0], lengths[1])
    noise = torch.from_numpy(rng.normal(size=right.shape))
    torn, inside = fold(right + 3 * noise)
    assert not bool(inside.any())
    assert torn.shape == right.shape


@pytest.mark.parametrize("smiles", ["C[C@H](O)CF", "O[C@H](F)[C@@H](F)O", "C/C=C/CF"])
def test_a_score_that_knows_stereo_is_folded_by_its_own_symmetries(smiles: str) -> None:
    """What is mended, the score draws equally often; what it does not, counts for nothing."""
    species = species_from_smiles(smiles)
    right = problem_of(species).conformers
    fold = fold_of(species, detailed=True)
    folded, inside = fold(right)
    assert bool(inside.all())
    torch.testing.assert_close(folded, right)
    # a reflection turns centres around, also of a meso compound, which is its own mirror image
    _, inside = fold(-right)
    assert bool(inside.any()) == ("/" in smiles)
    assert bool(fold_of(species, detailed=False)(-right)[1].all())
    # exchanged hydrogens get their numbers back, and are the same to the score
    order = list(range(species.n_atoms))
    pairs = [
        [h for h in near if species.numbers[h] == 1]
        for atom, near in enumerate(species.neighbours)
        if species.numbers[atom] == 6
    ]
    for first, second, *_ in (pair for pair in pairs if len(pair) > 1):
        order[first], order[second] = second, first
    renumbered = right[:, order]
    folded, inside = fold(renumbered)
    assert bool(inside.all())
    torch.testing.assert_close(folded, right)
    system = particles_of_molecule(species, detailed=True)
    assert system.attributes is not None
    config = score_of(species).model.config
    net = ScoreModel(
        replace(config, attributes=system.attributes.shape[1], features=1, detailed=True)
    )
    found, other = (
        net(batch, batch.x, torch.ones(len(right))).reshape(right.shape)
        for batch in (ScoreBatch.of(system, right), ScoreBatch.of(system, renumbered))
    )
    torch.testing.assert_close(other, found[:, order])


def test_useless_weights_make_way_for_chains() -> None:
    species = species_from_smiles("CO")
    problem = problem_of(species)
    found = sample_psm(
        problem, score_of(species), seed=1, budget=Budget(effective=50.0),
        instead=lambda left: sample(problem, seed=1, budget=left),
    )  # fmt: skip
    assert "as weights of the score vary too much" in found.method
    assert found.n_effective >= 50
    assert {"generation", "sampling"} <= found.calls.keys()
    assert found.notes["share of paths that are the molecule"] < 0.01


def test_a_job_takes_the_cheapest_method_instead(tmp_path: Path) -> None:
    species = species_from_smiles("CO")
    found = sample_molecule(
        species, MMFF(species.mol), request=Request(n=40, method="psm"), score=score_of(species),
        folder=tmp_path,
    )  # fmt: skip
    assert found.ensemble.method == "parallel tempering, as weights of the score vary too much"
    assert found.certificate.exit_code == 0
    assert found.ensemble.n_effective >= 40
    assert (tmp_path / "instead/choice.json").exists()


def test_what_a_score_is_asked_for() -> None:
    species = species_from_smiles("CO")
    foreign = score_of(species)
    assert foreign.warning("GFN2-xTB") is None
    foreign.card["domain"]["level"] = "GFN2-xTB"  # type: ignore[index]
    assert foreign.warning("GFN2-xTB") is None
    assert "trained at GFN2-xTB, not MMFF94" in str(foreign.warning("MMFF94"))
    with pytest.raises(InputError, match="trained at a temperature of 350"):
        sample_molecule(
            species, MMFF(species.mol), request=Request(method="psm"),
            score=score_of(species, temperature=350.0),
        )  # fmt: skip
    with pytest.raises(InputError, match="no model comes with genmol"):
        score_for_molecule(species_from_smiles("CCCCCCCCC"))
    with pytest.raises(InputError, match="for many-well, for which no model"):
        score_for_toy("many-well")
    with pytest.raises(InputError, match="hamiltonian-small"):
        score_for_toy("dw4", "hamiltonian-small")


def test_equal_atoms_have_equal_scores() -> None:
    species = species_from_smiles("CO")
    system, score = particles_of_molecule(species), score_of(species)
    assert system.attributes is not None
    assert system.attributes.shape == (30, PAIR_ATTRIBUTES)
    assert score.steps == 4
