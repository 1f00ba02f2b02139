"""Training on many molecules: what is kept apart, what the model knows, what it may be asked for."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from genmol.boltzmann.generator import ScoreGenerator
from genmol.boltzmann.score_files import score_for_molecule
from genmol.chem.etkdg import etkdg
from genmol.chem.species import species_from_smiles
from genmol.core.errors import InputError
from genmol.core.graph import AtomicGraph
from genmol.data.ensembles import Ensembles, read_ensembles
from genmol.potentials.mmff import MMFF
from genmol.train.score import train
from genmol.train.score_recipe import ScoreRecipe
from samplers.rng import Streams

SMILES = ("CO", "CCO", "OCCO", "C[C@H](O)F", "CC=O", "OCF")
RECIPE = ScoreRecipe(
    max_steps=40, log_steps=20, validate_steps=20, batch_molecules=16, learning_rate=0.01,
    warmup_steps=5, steps=8, model={"channels": 8, "vectors": 4, "layers": 1},
)  # fmt: skip


def ensemble(folder: Path, smiles: str, count: int, **changes: object) -> Path:
    """Conformers shaken as much as at room temperature, with their forces."""
    species = species_from_smiles(smiles)
    potential = MMFF(species.mol)
    starts = etkdg(species.mol, n=4, seed=1)
    rng = np.random.default_rng(3)
    x = starts[np.arange(count) % len(starts)]
    x = x + 0.03 * rng.normal(size=x.shape)
    graph = AtomicGraph.copies(
        torch.tensor(species.numbers), torch.from_numpy(x), cutoff=potential.cutoff
    )
    forces = potential.evaluate(graph).forces.reshape(x.shape).numpy()
    path = folder / f"{smiles}.npz"
    kept = {"smiles": smiles, "level": "MMFF94", "temperature": 300.0} | changes
    np.savez(path, positions=x, forces=forces, numbers=species.numbers, **kept)
    return path


@pytest.fixture(scope="module")
def paths(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("ensembles")
    return [ensemble(folder, smiles, 12 + 2 * k) for k, smiles in enumerate(SMILES)]


@pytest.fixture(scope="module")
def ensembles(paths: list[Path]) -> Ensembles:
    return read_ensembles(paths)


def test_reading(paths: list[Path], ensembles: Ensembles, tmp_path: Path) -> None:
    assert [member.count for member in ensembles.members] == [12, 14, 16, 18, 20, 22]
    assert ensembles.count == 102
    assert (ensembles.level, ensembles.temperature) == ("MMFF94", 300.0)
    summary = ensembles.summary()
    assert (summary["frames"], summary["molecules"]) == (102, 6)
    assert summary["sources"][2] == "OCCO.npz"
    noted = ensembles.changed(lambda frames: frames.noted("strange")).summary()["warnings"]
    assert noted[1] == "CCO.npz: strange"
    few = read_ensembles(paths, limit=5)
    assert {member.count for member in few.members} == {5}
    assert len({few.sha256, ensembles.sha256, read_ensembles(paths[::-1]).sha256}) == 3
    hot = ensemble(tmp_path, "CO", 4, temperature=350.0)
    with pytest.raises(InputError, match="one level of theory, one temperature"):
        read_ensembles([*paths, hot])
    other = ensemble(tmp_path, "CCO", 4, level="GFN2-xTB")
    with pytest.raises(InputError, match="at the level GFN2-xTB"):
        read_ensembles([*paths, other])
    with pytest.raises(InputError, match="no files"):
        read_ensembles([])


def test_a_model_of_many(ensembles: Ensembles, tmp_path: Path) -> None:
    found = train(RECIPE, ensembles, tmp_path)
    domain, metrics = found.card["domain"], found.card["metrics"]
    assert domain["amortised"]
    assert domain["elements"] == [1, 6, 8, 9]
    [held] = metrics["validated_with"]
    assert sorted([held, *domain["smiles"]]) == sorted(SMILES)
    member = ensembles.members[[m.smiles for m in ensembles.members].index(held)]
    assert metrics["validation"]["frames"] == member.count
    # a molecule that it has not seen, of its elements
    stranger = species_from_smiles("O[C@@H](F)CO")
    score = score_for_molecule(stranger, tmp_path)
    assert score.model.config.detailed
    system = score.system(stranger)
    generator = ScoreGenerator.piloted(score.model, system, steps=score.steps, seed=1)
    paths = generator.draw(Streams.of(seed=1, chains=4))
    assert bool(paths.x.isfinite().all())
    with pytest.raises(InputError, match="it knows no N"):
        score_for_molecule(species_from_smiles("CN"), tmp_path)
    with pytest.raises(InputError, match=r"it is of charge \[0\]"):
        score_for_molecule(species_from_smiles("C[O-]"), tmp_path)
    with pytest.raises(InputError, match="trained at a temperature of 300"):
        score.check_temperature(310.0)


def test_the_spread_is_that_of_all(ensembles: Ensembles, tmp_path: Path) -> None:
    """Variances of molecules are that of the model times their size, to a fifth."""
    train(RECIPE.changed(max_steps=1), ensembles, tmp_path)
    for member in ensembles.members:
        assert member.smiles is not None
        species = species_from_smiles(member.smiles)
        score = score_for_molecule(species, tmp_path)
        x = member.positions - member.positions.mean(axis=1, keepdims=True)
        variance = np.square(x).sum(axis=(1, 2)).mean() / (3 * (species.n_atoms - 1))
        expected = score.model.config.spread * score.system(species).size
        assert variance == pytest.approx(expected, rel=0.2)


def test_what_is_refused(ensembles: Ensembles, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="the rule 'modes' for many molecules"):
        train(RECIPE.changed(rule="modes"), ensembles, tmp_path / "modes")
    one = Ensembles(ensembles.members[-1:])
    with pytest.raises(InputError, match="at least two molecules"):
        train(RECIPE, one, tmp_path / "one")
    # fluorine is on one side only, whichever is kept apart
    sides = Ensembles((ensembles.members[0], ensembles.members[-1]))
    seeds = [0, 1, 2, 3, 4, 5]
    with pytest.raises(InputError, match="F in molecules that validate only"):
        for seed in seeds:
            train(RECIPE.changed(max_steps=1, seed=seed), sides, tmp_path / f"sides-{seed}")


def test_detail_of_a_single_molecule(ensembles: Ensembles, tmp_path: Path) -> None:
    """Where there is stereo, unless the recipe says otherwise."""
    quick = RECIPE.changed(max_steps=1)
    plain, twice = (member.take([*range(member.count)] * 2) for member in ensembles.members[2:4])
    config = train(quick, plain, tmp_path / "plain").card["config"]
    assert not config["detailed"]
    config = train(quick, twice, tmp_path / "chiral").card["config"]
    assert config["detailed"]
    simple = quick.changed(model={**quick.model, "detailed": False})
    config = train(simple, twice, tmp_path / "simple").card["config"]
    assert not config["detailed"]
    again = train(quick, twice, tmp_path / "again", start_from=tmp_path / "simple").card["config"]
    assert not again["detailed"]


def test_the_other_backbone(ensembles: Ensembles, tmp_path: Path) -> None:
    recipe = RECIPE.changed(max_steps=3, model={"backbone": "so2", "channels": 4, "vectors": 2})
    card = train(recipe, ensembles, tmp_path).card
    assert card["config"]["backbone"] == "so2"
    score_for_molecule(species_from_smiles("FCCO"), tmp_path)
