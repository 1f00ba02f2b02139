r"""Whether importance weights can be trusted, from the shape of their largest ones.

The M = min(n/5, 3√n) largest of n weights exceed a cut-off u by amounts that follow, to leading order
whatever the densities are, the generalised Pareto law

.. math::
    p(y) = \frac1\sigma\Bigl(1 + \frac{k y}{\sigma}\Bigr)^{-1/k-1},

which has 1/k finite moments (Vehtari, Simpson, Gelman, Yao and Gabry, 2024). k is estimated as Zhang
and Stephens (2009) do, as an average over a grid in b = −k/σ, drawn to ½ with the strength of ten
observations. Means over n draws can be trusted below

.. math::
    k < \min(1 - 1/\log_{10} n,\ 0.7),

above which they look fine and are not. Smoothing replaces the M weights by quantiles of the fitted
law, none above the largest weight found; it lowers the variance and adds a bias, so it is done only by
:func:`smooth`, which says what it changed.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from samplers.reweight import normalise

__all__ = ["Smoothed", "Tail", "fit_tail", "smooth"]

_LEAST = 5  # exceedances for a fit
_GRID_PRIOR, _SHAPE_PRIOR = 3, 10  # of Zhang and Stephens; of Vehtari et al.


@dataclass(frozen=True)
class Tail:
    """The fitted tail of a set of weights.

    Attributes:
        k: shape. −∞ where all weights that are not zero are equal, which is perfect; +∞ where the
            tail cannot be judged because its weights are equal to each other or to the cut-off.
        sigma: scale, in units of the largest weight.
        cut: u, in the same unit.
        size: M, weights above the cut.
        ties: weights equal to the largest one, itself included. Continuous densities give 1; more
            of them are the mark of weights that someone has clipped.
        threshold: for k.
    """

    k: float
    sigma: float
    cut: float
    size: int
    ties: int
    threshold: float

    @property
    def reliable(self) -> bool:
        """Whether means with these weights can be trusted."""
        return self.k < self.threshold


@dataclass(frozen=True, eq=False)
class Smoothed:
    """Weights whose tail was replaced.

    Attributes:
        log_weights: (n,), with the constant of those given.
        tail: the fit.
        changed: how many weights were replaced.
        shift: total variation between the normalised weights before and after, in [0, 1].
    """

    log_weights: Float[Tensor, " n"]
    tail: Tail
    changed: int
    shift: float


def fit_tail(log_weights: Float[Tensor, " n"], *, relative_efficiency: float = 1.0) -> Tail:
    """The Pareto shape of weights.

    Args:
        log_weights: at least 25, up to a constant.
        relative_efficiency: ESS over n of the draws themselves; below 1 for those of chains.
    """
    n = len(log_weights)
    if n < 5 * _LEAST:
        raise ValueError(f"got {n} weights; wanted at least {5 * _LEAST} for the fit of a tail")
    normalise(log_weights)  # refuses what are no weights
    ordered = log_weights.double().sort().values
    ratios = (ordered - ordered[-1]).exp()
    size = 3 * math.sqrt(n / relative_efficiency) if n * relative_efficiency > 225 else n / 5
    size = min(math.floor(size), n - 1)
    cut = float(ratios[-size - 1])
    excess = ratios[-size:] - cut
    excess = excess[excess > 0]  # those equal to the cut-off are not above it
    positive = ratios[ratios > 0]
    ties = int((ratios == 1).sum())
    threshold = min(1 - 1 / math.log10(n), 0.7)
    if len(excess) < _LEAST or excess[0] == excess[-1]:
        k = -math.inf if positive[0] == positive[-1] else math.inf
        return Tail(k, math.nan, cut, len(excess), ties, threshold)
    k, sigma = _fit(excess)
    return Tail(k, sigma, cut, len(excess), ties, threshold)


def smooth(log_weights: Float[Tensor, " n"], *, relative_efficiency: float = 1.0) -> Smoothed:
    """Pareto smoothed importance weights; unchanged where the tail has no finite shape.

    Args:
        log_weights: at least 25, up to a constant.
        relative_efficiency: ESS over n of the draws themselves; below 1 for those of chains.
    """
    tail = fit_tail(log_weights, relative_efficiency=relative_efficiency)
    if not math.isfinite(tail.k):
        return Smoothed(log_weights.double(), tail, 0, 0.0)
    order = log_weights.argsort()[-tail.size :]
    levels = (torch.arange(tail.size, dtype=torch.float64, device=order.device) + 0.5) / tail.size
    if abs(tail.k) < 1e-12:
        excess = -tail.sigma * torch.log1p(-levels)
    else:
        excess = tail.sigma * torch.expm1(-tail.k * torch.log1p(-levels)) / tail.k
    found = log_weights.double().clone()
    found[order] = found.max() + (tail.cut + excess).log().clamp_max(0.0)
    shift = (normalise(found) - normalise(log_weights)).abs().sum() / 2
    return Smoothed(found, tail, tail.size, float(shift))


def _fit(excess: Tensor) -> tuple[float, float]:
    """Shape k and scale σ of the generalised Pareto law of positive numbers in order."""
    n = len(excess)
    grid = 30 + math.isqrt(n)
    steps = torch.arange(1, grid + 1, dtype=excess.dtype, device=excess.device) - 0.5
    quartile = excess[int(n / 4 + 0.5) - 1]
    b = 1 / excess[-1] + (1 - (grid / steps).sqrt()) / (_GRID_PRIOR * quartile)
    k = torch.log1p(-b[:, None] * excess).mean(dim=1)
    weights = (n * ((-b / k).log() - k - 1)).softmax(dim=0)  # profile likelihood
    mean = weights @ b
    shape = float(torch.log1p(-mean * excess).mean())
    return (n * shape + 0.5 * _SHAPE_PRIOR) / (n + _SHAPE_PRIOR), -shape / float(mean)
