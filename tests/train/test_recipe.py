"""A recipe survives its file, refuses what it does not know, and knows its learning rate."""

import dataclasses
import json

import pytest

from genmol.core.errors import InputError
from genmol.train.fock_recipe import FockRecipe
from genmol.train.recipe import CONTINUABLE, Recipe
from genmol.train.score_recipe import ScoreRecipe


def test_round_trip(tmp_path):
    recipe = FockRecipe(
        model={"channels": 16, "edge_channels": (8, 4, 4)}, loss={"mae": 2}, max_steps=7, ema=0.5
    )
    recipe.save(tmp_path / "recipe.json")
    read = FockRecipe.load(tmp_path / "recipe.json")
    assert read.to_dict() == recipe.to_dict()
    assert read.model["edge_channels"] == [8, 4, 4]
    read.check_continues(recipe)
    assert read.changed(learning_rate=1).learning_rate == 1.0
    assert CONTINUABLE <= {field.name for field in dataclasses.fields(Recipe)}


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"learning_rte": 1e-3}, "learning_rte"),
        ({"start": "core"}, "start"),
        ({"seed": 1.5}, "seed"),
        ({"max_steps": "many"}, "max_steps"),
        ({"batch_pairs": 0}, "batch_pairs"),
        ({"learning_rate": float("nan")}, "learning_rate"),
        ({"validation_share": 0.9}, "validation_share"),
        ({"model": 3}, "model"),
        ([1], "unknown"),
    ],
)
def test_faulty_fields_are_named(values, named, tmp_path):
    (tmp_path / "recipe.json").write_text(json.dumps(values))
    with pytest.raises(InputError, match=named):
        FockRecipe.load(tmp_path / "recipe.json")


def test_not_json(tmp_path):
    (tmp_path / "recipe.json").write_text("{")
    with pytest.raises(InputError, match="not JSON"):
        FockRecipe.load(tmp_path / "recipe.json")


def test_only_some_fields_may_change_in_a_run():
    recipe = FockRecipe(max_steps=10)
    recipe.changed(max_steps=20, learning_rate=1e-4).check_continues(recipe)
    with pytest.raises(InputError, match="seed was 0, is 1"):
        recipe.changed(seed=1).check_continues(recipe)


def test_learning_rate():
    recipe = FockRecipe(learning_rate=1.0, floor=0.1, warmup_steps=4, max_steps=100)
    assert recipe.rate(0) == pytest.approx(0.25)
    assert recipe.rate(50) == pytest.approx(0.55)
    assert recipe.rate(100) == pytest.approx(0.1)
    rates = [recipe.rate(step) for step in range(4, 101)]
    assert rates == sorted(rates, reverse=True)
    # The nearer of two limits decides
    assert recipe.changed(max_minutes=10.0).rate(10, 5.0) == pytest.approx(recipe.rate(50))


def test_a_recipe_belongs_to_a_task(tmp_path):
    """Tasks share the base, and neither takes the other's fields."""
    with pytest.raises(TypeError, match="abstract"):
        Recipe()
    shared = {field.name for field in dataclasses.fields(Recipe)}
    assert shared == set(FockRecipe().to_dict()) & set(ScoreRecipe().to_dict())
    ScoreRecipe(rule="piecewise", threshold=0.5).save(tmp_path / "recipe.json")
    assert ScoreRecipe.load(tmp_path / "recipe.json").threshold == 0.5
    with pytest.raises(InputError, match="rule"):
        FockRecipe.load(tmp_path / "recipe.json")


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"rule": "hard"}, "rule"),
        ({"threshold": 0.0}, "threshold"),
        ({"schedule_low": 2.0, "schedule_high": 1.0}, "less than schedule_high"),
    ],
)
def test_noise_levels_are_in_order(options, named):
    with pytest.raises(InputError, match=named):
        ScoreRecipe().changed(**options)
