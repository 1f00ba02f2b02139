"""A saved pair of weights and card, and ways to damage it."""

from pathlib import Path

import pytest
import torch

from genmol.core.weights import save_weights

CARD = {
    "class": "Toy",
    "config": {"channels": 4},
    "units": {"fock": "Hartree"},
    "data": {"sha256": "0" * 64},
    "metrics": {"fock_mae": float("nan")},
    "domain": {"elements": [1, 6], "level": "b3lyp/def2-svp"},
    "licence": "MIT",
    "reproduce": "genmol train toy",
}


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-3] ^= 0x10
    path.write_bytes(bytes(content))


@pytest.fixture
def saved(tmp_path, generator):
    """A saved pair; the path is without suffix."""
    save_weights(tmp_path / "toy", {"a": torch.randn(3, 2, generator=generator)}, CARD)
    return tmp_path / "toy"
