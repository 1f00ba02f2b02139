"""Errors carry their fields, their exit code, and survive the way through a pipe."""

import pickle

import pytest

from genmol.core.errors import DeliveryError, GenmolError, InputError, MissingExtraError


@pytest.mark.parametrize(
    ("cls", "code", "builtin"), [(InputError, 2, ValueError), (DeliveryError, 3, RuntimeError)]
)
def test_one_paragraph_and_exit_code(cls, code, builtin):
    error = cls(got="water.", wanted="wine", remedy="ask elsewhere. ")
    assert str(error) == "Got water; wanted wine. Try: ask elsewhere."
    assert error.exit_code == code
    assert isinstance(error, builtin)
    assert isinstance(error, GenmolError)


@pytest.mark.parametrize(
    "error",
    [
        InputError(got="a", wanted="b", remedy="c"),
        MissingExtraError("torch_scatter", extra="scatter"),
    ],
)
def test_pickling_keeps_class_text_fields_and_notes(error):
    error.add_note("from worker 3")
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is type(error)
    assert str(copy) == str(error)
    assert vars(copy) == vars(error)
    assert copy.__notes__ == ["from worker 3"]


def test_missing_extra_names_the_command():
    error = MissingExtraError("torch_scatter", extra="scatter")
    assert "pip install 'genmol[scatter]'" in str(error)
    assert isinstance(error, ImportError)
    assert error.exit_code == 2
