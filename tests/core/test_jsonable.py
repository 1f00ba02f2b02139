"""Everything a record holds becomes strict JSON, or is refused by name."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch

from genmol.core.jsonable import dumps, jsonable


@dataclass(frozen=True)
class Settings:
    basis: str
    thresholds: tuple[float, ...]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (np.float32(0.5), 0.5),
        (np.bool_(True), True),
        (np.array([[1, 2], [3, 4]]), [[1, 2], [3, 4]]),
        (np.array([1.0, np.nan]), [1.0, "nan"]),
        (-np.inf, "-inf"),
        ({"b", "a"}, ["a", "b"]),
        ({1: Path("x") / "y"}, {"1": str(Path("x") / "y")}),
        (
            Settings("def2-svp", (1e-9, float("inf"))),
            {"basis": "def2-svp", "thresholds": [1e-9, "inf"]},
        ),
        (None, None),
        (True, True),
    ],
)
def test_values(value, expected):
    assert jsonable(value) == expected
    assert type(jsonable(value)) is type(expected)


def test_floats_keep_every_bit():
    assert float(dumps(0.1 + 0.2)) == 0.1 + 0.2


@pytest.mark.parametrize("value", [object(), torch.ones(2), Settings, b"raw"])
def test_no_json_form_is_an_error(value):
    with pytest.raises(TypeError, match="no JSON form"):
        jsonable({"entry": [value]})
