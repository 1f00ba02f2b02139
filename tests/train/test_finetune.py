"""Fine-tuning options of the recipe: terms of the loss, choice of labels, clock."""

from __future__ import annotations

import time

import pytest
from traincases import toy_fit

from genmol.core.errors import InputError
from genmol.scf.qhflow import Objective
from genmol.train.batches import choose
from genmol.train.fock_recipe import FockRecipe
from genmol.train.fock_task import _objective


def test_wa_is_the_orbital_term_unless_the_loss_says_otherwise():
    plain = Objective(mae=0, rmse=0, orbital=1, mixing=0, occupied=0)
    assert _objective(FockRecipe(finetune="wa")) == plain
    both = _objective(FockRecipe(finetune="wa", loss={"mae": 1.0, "orbital": 2.0}))
    assert (both.mae, both.rmse, both.orbital, both.mixing) == (1.0, 0.0, 2.0, 0.0)
    assert _objective(FockRecipe()) == Objective()


@pytest.mark.parametrize(
    ("finetune", "term", "known"),
    [("none", "commutator", "mixing"), ("commutator", "mixing", "consistency")],
)
def test_terms_of_another_loss_are_refused(finetune, term, known):
    with pytest.raises(InputError, match=known):
        _objective(FockRecipe(finetune=finetune, loss={term: 1.0}))


def test_a_larger_choice_of_labels_contains_the_smaller():
    names = [f"molecule_{k}" for k in range(50)]
    few, many = (set(choose(names, most=most, seed=3)) for most in (5, 20))
    assert few < many
    assert len(many) == 20
    assert choose(names, most=None, seed=3) == list(range(50))
    assert choose(names, most=5, seed=4) != sorted(few)


def test_the_processors_clock_does_not_count_waiting(tmp_path):
    trained = toy_fit(tmp_path, clock="processor", report=lambda row: time.sleep(0.1))
    assert 0 < 60 * trained.minutes < 2.0  # 24 lines: 2.4 seconds of sleep
