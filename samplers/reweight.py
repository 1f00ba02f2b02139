r"""Importance weights: samples of one density made to speak for another.

Draws :math:`x_i` of a density q with weights :math:`w_i = \tilde\pi(x_i)/q(x_i)`, where π̃ = Z π, give

.. math::
    \hat Z = \frac1n\sum_i w_i, \qquad
    \hat\mu = \sum_i \bar w_i f(x_i), \qquad \bar w_i = w_i \Big/ \sum_j w_j .

Ẑ is unbiased; μ̂ is biased by O(1/n), with variance :math:`\sum_i\bar w_i^2 (f(x_i)-\hat\mu)^2` to
first order, as if there were :math:`\mathrm{ESS} = 1/\sum_i\bar w_i^2` equal draws (Kish, 1965). Weights
are kept as logarithms and a common factor never matters, save to Ẑ. An ESS cannot see what q misses:
hold it against the tail (:mod:`samplers.pareto`), and against independent searches.

**Resampling** turns weights into copies. Systematic resampling (Kitagawa, 1996) takes the points
(u + j)/m of the cumulative weights, with one uniform u: draw i comes ⌊m w̄_i⌋ or ⌈m w̄_i⌉ times, on
average m w̄_i times.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from samplers.rng import Streams

__all__ = [
    "EqualWeight",
    "Estimate",
    "equal_weight",
    "expectation",
    "kish",
    "largest",
    "log_normaliser",
    "multinomial",
    "normalise",
    "perplexity",
    "systematic",
]


def normalise(log_weights: Float[Tensor, "*sets n"]) -> Float[Tensor, "*sets n"]:
    """Weights with the sum 1.

    Args:
        log_weights: up to a constant in each set; −∞ is a weight of zero.
    """
    w = log_weights.double()
    top = w.amax(dim=-1)  # NaN where there is one
    if not top.isfinite().all():
        raise ValueError(
            f"the largest log-weight of a set is {float(top[~top.isfinite()][0])}; wanted a finite "
            "one: NaN and +inf are no weights, and some draw must have a positive one"
        )
    return w.softmax(dim=-1)


def kish(log_weights: Float[Tensor, "*sets n"]) -> Float[Tensor, "*sets"]:
    """Effective sample size 1/Σ w̄², in draws, from 1 to n.

    Args:
        log_weights: up to a constant in each set.
    """
    return 1 / normalise(log_weights).square().sum(dim=-1)


def perplexity(log_weights: Float[Tensor, "*sets n"]) -> Float[Tensor, "*sets"]:
    """Effective sample size exp(−Σ w̄ log w̄), in draws, from 1 to n; at least :func:`kish`.

    Args:
        log_weights: up to a constant in each set.
    """
    w = normalise(log_weights)
    return (-torch.special.xlogy(w, w).sum(dim=-1)).exp()


def largest(log_weights: Float[Tensor, "*sets n"]) -> Float[Tensor, "*sets"]:
    """The largest normalised weight.

    Args:
        log_weights: up to a constant in each set.
    """
    return normalise(log_weights).amax(dim=-1)


@dataclass(frozen=True, eq=False)
class Estimate:
    """A number with its standard error.

    Attributes:
        value: found.
        error: to first order, for independent draws.
    """

    value: Tensor
    error: Tensor


def expectation(values: Float[Tensor, "n *k"], log_weights: Float[Tensor, " n"]) -> Estimate:
    """Self-normalised means, (*k).

    Args:
        values: of each draw.
        log_weights: up to a constant.
    """
    w, f = normalise(log_weights), values.double().reshape(len(values), -1)
    mean = w @ f
    spread = w.square() @ (f - mean).square() * (len(w) / max(len(w) - 1, 1))
    shape = values.shape[1:]
    return Estimate(mean.reshape(shape), spread.sqrt().reshape(shape))


def log_normaliser(log_weights: Float[Tensor, " n"]) -> Estimate:
    """The logarithm of the mean weight, log Ẑ; of several runs' log Ẑ, the one of all together.

    Args:
        log_weights: with their constant.
    """
    n = len(log_weights)
    variance = (n / kish(log_weights) - 1) / max(n - 1, 1)
    value = log_weights.double().logsumexp(dim=0) - math.log(n)
    return Estimate(value, variance.clamp_min(0).sqrt())


def systematic(
    log_weights: Float[Tensor, "*sets n"], streams: Streams, *, count: int | None = None
) -> Int[Tensor, "*sets count"]:
    """Draw by systematic resampling; in the order of the draws, so neighbours share their luck.

    Args:
        log_weights: up to a constant in each set, (n,) or (sets, n).
        streams: one for each set; of a single set the first one is drawn from.
        count: how many to draw of each set; n when None.
    """
    u = _first(log_weights, streams).uniform("systematic", 1)
    count = log_weights.shape[-1] if count is None else count
    steps = torch.arange(count, device=u.device)
    return _pick(log_weights, (u + steps) / count)


def multinomial(
    log_weights: Float[Tensor, "*sets n"], streams: Streams, *, count: int | None = None
) -> Int[Tensor, "*sets count"]:
    """Draw independently.

    Args:
        log_weights: up to a constant in each set, (n,) or (sets, n).
        streams: one for each set; of a single set the first one is drawn from.
        count: how many to draw of each set; n when None.
    """
    count = log_weights.shape[-1] if count is None else count
    return _pick(log_weights, _first(log_weights, streams).uniform("multinomial", count))


def _first(log_weights: Tensor, streams: Streams) -> Streams:
    if log_weights.ndim == 1:
        return streams.take(slice(0, 1))
    if log_weights.ndim != 2 or len(log_weights) != len(streams.chains):
        raise ValueError(
            f"got log-weights of shape {tuple(log_weights.shape)} and {len(streams.chains)} streams; "
            "wanted (n,), or (sets, n) with a stream for each set"
        )
    return streams


def _pick(log_weights: Tensor, levels: Tensor) -> Tensor:
    """The draws at which cumulative weights pass the levels, (sets, count)."""
    shares = normalise(log_weights).cumsum(dim=-1)
    top = shares[..., -1:]
    levels = levels.reshape(*log_weights.shape[:-1], -1) * top
    # below the top even after rounding, so that no weight of zero is ever drawn
    levels = torch.minimum(levels, torch.nextafter(top, torch.zeros_like(top)))
    return torch.searchsorted(shares, levels, right=True)


@dataclass(frozen=True, eq=False)
class EqualWeight:
    """A weighted set made into one of equal weights.

    Attributes:
        index: which draws, (count,), in their order.
        distinct: how many different ones; the rest are copies, and no observations of their own.
    """

    index: Int[Tensor, " count"]
    distinct: int


def equal_weight(log_weights: Float[Tensor, " n"], streams: Streams, *, count: int) -> EqualWeight:
    """Exactly ``count`` draws of equal weight; no copies when no weight exceeds 1/count.

    Args:
        log_weights: up to a constant.
        streams: its first stream is drawn from.
        count: at least 1.
    """
    if count < 1:
        raise ValueError(f"got count = {count}; wanted at least 1")
    index = systematic(log_weights, streams, count=count)
    return EqualWeight(index, len(index.unique()))
