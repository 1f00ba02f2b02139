"""Functions of a distance: bases and cutoffs."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

__all__ = ["ExponentialBasis", "envelope"]


def envelope(distance: Tensor, cutoff: float) -> Tensor:
    """1 at contact, 0 from ``cutoff`` (Å) on, with two continuous derivatives.

    1 - 10 x³ + 15 x⁴ - 6 x⁵ with x = distance/cutoff.
    """
    x = (distance / cutoff).clamp(max=1.0)
    return 1 - x**3 * (10 - 15 * x + 6 * x**2)


class ExponentialBasis(nn.Module):
    """Gaussians in exp(-r), dense where bonds are (Unke & Meuwly 2019, PhysNet).

    Args:
        n_basis: number of functions.
        cutoff: largest distance that is resolved, Å.
        decay: length of the exponential, Å.
    """

    centres: Tensor

    def __init__(self, n_basis: int, cutoff: float, *, decay: float = 2.0) -> None:
        super().__init__()
        self.decay = decay
        lowest = torch.exp(torch.tensor(-cutoff / decay, dtype=torch.float64)).item()
        centres = torch.linspace(lowest, 1.0, n_basis, dtype=torch.float64)
        self.width = (1.0 - lowest) / n_basis * 1.4
        self.register_buffer("centres", centres, persistent=False)

    def forward(self, distance: Float[Tensor, " n"]) -> Float[Tensor, "n n_basis"]:
        """Values at distances in Å."""
        x = torch.exp(-distance / self.decay)[:, None] - self.centres.to(distance.dtype)
        return torch.exp(-0.5 * (x / self.width) ** 2)
