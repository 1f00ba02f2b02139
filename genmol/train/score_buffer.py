"""The buffer of a score that learns from its own corrected samples: new ones in, the oldest ones out."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float, Int
from torch import Tensor

from genmol.core.files import atomic_path

__all__ = ["Buffer"]


@dataclass(frozen=True, eq=False)
class Buffer:
    """Samples of a density with the gradients of its logarithm.

    Attributes:
        x: (m, *shape), the oldest ones first.
        log_density: (m,).
        gradient: (m, *shape).
        round: that each is from.
    """

    x: Float[Tensor, "m *shape"]
    log_density: Float[Tensor, " m"]
    gradient: Float[Tensor, "m *shape"]
    round: Int[Tensor, " m"]

    def followed(self, newer: Buffer, *, most: int) -> Buffer:
        """With further samples, and without the oldest ones beyond ``most``."""
        return Buffer(**{
            name: torch.cat([values, getattr(newer, name)])[-most:]
            for name, values in vars(self).items()
        })  # fmt: skip

    def save(self, file: str | os.PathLike[str]) -> None:
        """All or nothing."""
        with atomic_path(file) as temporary:
            torch.save(vars(self), temporary)

    @classmethod
    def load(cls, file: Path) -> Buffer:
        """Undo :meth:`save`."""
        return cls(**torch.load(file, weights_only=True))
