r"""Distances between two sets of weighted samples.

In one dimension the Wasserstein distance of order p joins equal quantiles (Villani, 2003): with
quantile functions :math:`F^{-1}` and :math:`G^{-1}`,

.. math::
    W_p^p = \int_0^1 \bigl|F^{-1}(q) - G^{-1}(q)\bigr|^p\,dq,

a finite sum over the levels at which either one steps. Of energies and p = 2 it is the literature's
energy-W2. The literature's h(r)-TV compares histograms of all distances between particles:
:math:`\frac12\sum_b|h_b - h'_b|` (Akhound-Sadegh et al., 2024).

All of these are positive between two sets of exact samples as well, by an amount that depends on
their sizes: print that floor beside them.

The Wasserstein distance of point sets in more dimensions is a linear assignment, for which torch has
no solver: benchmarks take it from POT (``ot.emd2``).
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

__all__ = ["distance_tv", "pair_distances", "wasserstein"]


def wasserstein(
    x: Float[Tensor, " n"],
    y: Float[Tensor, " m"],
    *,
    order: float = 2.0,
    x_weights: Float[Tensor, " n"] | None = None,
    y_weights: Float[Tensor, " m"] | None = None,
) -> Float[Tensor, ""]:
    """The Wasserstein distance of two sets of numbers, in their unit.

    Args:
        x: one set.
        y: the other one.
        order: p ≥ 1.
        x_weights: not negative, of any sum; equal when None.
        y_weights: the same for ``y``.
    """
    if order < 1:
        raise ValueError(f"got the order {order}; wanted at least 1, below it is no distance")
    x, x_level = _quantiles("x", x, x_weights)
    y, y_level = _quantiles("y", y, y_weights)
    levels = torch.cat([x_level, y_level]).sort().values
    share = levels.diff(prepend=levels.new_zeros(1))
    # a quantile holds from the level below it up to its own
    gap = x[torch.searchsorted(x_level, levels)] - y[torch.searchsorted(y_level, levels)]
    largest = gap.abs().amax().clamp_min(torch.finfo(gap.dtype).tiny)
    return largest * ((gap.abs() / largest) ** order @ share) ** (1 / order)


def _quantiles(name: str, x: Tensor, weights: Tensor | None) -> tuple[Tensor, Tensor]:
    """Values in order with the share of weight up to each."""
    if not len(x) or not x.isfinite().all():
        bad = int((~x.isfinite()).sum())
        raise ValueError(
            f"{name} has {len(x)} values, {bad} not finite; wanted at least one, all finite"
        )
    ordered, index = x.double().sort()
    share = _weights(name, weights, x)[index].cumsum(dim=0)
    share = share / share[-1]
    share[-1] = 1.0
    return ordered, share


def _weights(name: str, weights: Tensor | None, like: Tensor) -> Tensor:
    """As float64, refused when they are no weights."""
    if weights is None:
        return torch.ones(len(like), dtype=torch.float64, device=like.device)
    if not (weights.isfinite().all() and (weights >= 0).all() and weights.sum() > 0):
        raise ValueError(
            f"the weights of {name} range from {float(weights.min())} to {float(weights.max())}; "
            "wanted finite numbers that are not negative, and one that is positive"
        )
    return weights.double()


def pair_distances(x: Float[Tensor, "n particles d"]) -> Float[Tensor, "n pairs"]:
    """Distances between all particles of each configuration; particles · (particles − 1)/2 pairs.

    Args:
        x: configurations.
    """
    first, second = torch.triu_indices(x.shape[1], x.shape[1], 1, device=x.device)
    return (x[:, first] - x[:, second]).norm(dim=2)


def distance_tv(
    x: Float[Tensor, "n particles d"],
    reference: Float[Tensor, "m particles d"],
    *,
    bins: int = 200,
    weights: Float[Tensor, " n"] | None = None,
    reference_weights: Float[Tensor, " m"] | None = None,
    outside: bool = True,
) -> Float[Tensor, ""]:
    """Total variation, in [0, 1], between the histograms of pair distances.

    Args:
        x: configurations.
        reference: configurations whose smallest and largest distance are the ends of the histogram.
        bins: of equal width.
        weights: of the configurations ``x``, of any sum; equal when None.
        reference_weights: the same for ``reference``.
        outside: distances of ``x`` that are beyond the ends count as wrong; the literature's code
            forgets them.
    """
    found, expected = pair_distances(x), pair_distances(reference)
    low, high = expected.aminmax()
    edges = torch.linspace(float(low), float(high), bins + 1, dtype=torch.float64, device=x.device)
    h = _histogram(found, edges, _weights("x", weights, x))
    g = _histogram(expected, edges, _weights("reference", reference_weights, reference))
    if not outside:
        h = h * torch.cat([h.new_zeros(1), h.new_ones(bins), h.new_zeros(1)])
    # with no distance inside there is nothing in common
    return (h / h.sum().clamp_min(torch.finfo(h.dtype).tiny) - g / g.sum()).abs().sum() / 2


def _histogram(distances: Tensor, edges: Tensor, weights: Tensor) -> Tensor:
    """Weight below the first edge, in each bin, above the last edge; the last bin is closed."""
    place = torch.bucketize(distances.double(), edges, right=True)
    place = torch.where(distances == edges[-1], len(edges) - 1, place).flatten()
    spread = weights.repeat_interleave(distances.shape[1])
    return torch.bincount(place, weights=spread, minlength=len(edges) + 1)
