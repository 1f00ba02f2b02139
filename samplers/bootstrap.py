r"""Errors of any statistic of weighted samples, from independent runs.

Draws of one run depend on each other in ways that are hard to know; runs do not. So runs are what is
drawn anew, R of R with replacement (Efron, 1979), each with all of its draws, and the statistic T is
computed again with every draw's weight multiplied by how often its run came up, :math:`c_r`. With
:math:`T^*_b` the values of the repeats b and :math:`s^*_b` the error that each of them gives itself,

.. math::
    s = \sqrt{\tfrac{R}{R-1}}\ \operatorname{sd}_b T^*_b, \qquad
    s^{*2} = \tfrac{R}{R-1} \sum_r c_r\,(\partial T^*/\partial c_r)^2,

there are three intervals for a level 1 − α:

- *studentised* (bootstrap-t; Efron, 1982; Hall, 1988): T minus :math:`s_0` times the quantiles of
  :math:`(T^*-T)/s^*`, s₀ being the :math:`s^*` of all runs. It learns the skewness from the runs, and
  is the one to use with 8 runs or more. Where a repeat knows nothing (no run that visits a state is
  in it) the interval is open to that side.
- *student*: :math:`T \pm t_{R-1} s`. Right for runs whose results are nearly normal; needs no
  derivative.
- *percentile*: quantiles of T*. Obeys the bounds of T and is the same for every monotone function of
  it, but is too narrow with few runs, by √(1 − 1/R) and by normal tails in place of Student's.

Copies made by resampling a weighted set are one observation: give weights, not copies.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd import forward_ad

from samplers.rng import Streams
from samplers.student import quantile

__all__ = ["Bootstrap", "Statistic", "bootstrap", "condense", "weighted_mean"]

Statistic = Callable[[Tensor, Tensor], Tensor]
"""Values (n, *k) and weights (b, n) of any sum to m numbers for each row of weights, (b, m)."""

_CHUNK = 4_000_000  # weights at once
_ROUNDING = 1e-12  # of runs that all say the same, as counts of few draws do


def weighted_mean(
    values: Float[Tensor, "n *k"], weights: Float[Tensor, "b n"]
) -> Float[Tensor, "b m"]:
    """Means of all quantities; of indicators of states, their populations.

    Args:
        values: quantities of each draw.
        weights: rows of any sum.
    """
    quantities = values.reshape(len(values), -1).to(weights)
    return weights @ quantities / weights.sum(dim=1, keepdim=True)


def condense(
    values: Float[Tensor, "runs draws *k"], log_weights: Float[Tensor, "runs draws"] | None = None
) -> tuple[Float[Tensor, "runs 1 *k"], Float[Tensor, "runs 1"]]:
    """One draw for each run, with its mean and its weight: the same to functions of means, and quick.

    Args:
        values: quantities of each draw.
        log_weights: of the draws; equal when None.
    """
    if log_weights is None:
        log_weights = torch.zeros(values.shape[:2], dtype=torch.float64, device=values.device)
    total = log_weights.double().logsumexp(dim=1, keepdim=True)
    share = (log_weights - total).exp().nan_to_num(nan=0.0)  # of a run without weight
    mean = torch.einsum("rd,rdk->rk", share, values.reshape(*share.shape, -1).to(share))
    return mean.reshape(len(values), 1, *values.shape[2:]), total


@dataclass(frozen=True, eq=False)
class Bootstrap:
    """A statistic with its errors.

    Attributes:
        estimate: of all runs, (m,).
        standard_error: s, (m,); ∞ where a repeat is infinite.
        student: lower and upper end of the interval, (2, m).
        percentile: the same.
        studentised: the same; None where the statistic has no derivative by its weights.
        replicates: the statistic of every repeat, (repeats, m).
        runs: R.
        level: share of intervals that should hold the truth.
    """

    estimate: Tensor
    standard_error: Tensor
    student: Tensor
    percentile: Tensor
    studentised: Tensor | None
    replicates: Tensor
    runs: int
    level: float


def bootstrap(
    statistic: Statistic,
    values: Float[Tensor, "runs draws *k"],
    streams: Streams,
    *,
    log_weights: Float[Tensor, "runs draws"] | None = None,
    repeats: int = 1000,
    level: float = 0.95,
) -> Bootstrap:
    """Estimate, standard error and intervals of a statistic.

    Args:
        statistic: of weighted draws, such as :func:`weighted_mean`; computed R + 1 times for every
            repeat, so :func:`condense` runs where it can be.
        values: what it needs of every draw, run by run.
        streams: its first stream is drawn from; more repeats continue fewer.
        log_weights: of the draws, comparable between runs; equal when None. −∞ fills up shorter runs.
        repeats: of the bootstrap.
        level: of the intervals.
    """
    runs, draws = values.shape[:2]
    if runs < 2:
        raise ValueError(
            f"got {runs} run; wanted independent ones, 8 or more: cut a long chain into blocks of "
            "20 autocorrelation times"
        )
    weights = torch.ones(runs, draws, dtype=torch.float64, device=values.device)
    if log_weights is not None:
        weights = (log_weights.double() - log_weights.max()).exp()
    drawn = streams.take(slice(0, 1)).integers("runs", runs, repeats, runs)[0]
    counts = torch.zeros(repeats, runs, dtype=torch.float64, device=values.device)
    counts = counts.scatter_add_(1, drawn, torch.ones_like(drawn, dtype=torch.float64))
    rows = max(_CHUNK // (runs * draws), 1)
    flat = values.flatten(0, 1)
    parts = (torch.ones_like(counts[:1]), *counts.split(rows))
    found, errors = zip(*(_evaluate(statistic, flat, c, weights) for c in parts), strict=True)
    estimate, replicates = found[0][0], torch.cat(found[1:])
    if replicates.isnan().any() or estimate.isnan().any():
        raise ValueError(
            f"the statistic is not a number in {int(replicates.isnan().any(dim=1).sum())} of "
            f"{repeats} repeats; wanted numbers, ±∞ allowed: it must bear runs left out, even all "
            "those that visit a state"
        )
    finite = replicates.isfinite().all(dim=0)
    spread = torch.where(finite, replicates, 0.0).std(dim=0) * math.sqrt(runs / (runs - 1))
    error = torch.where(finite, spread, torch.inf)
    half = quantile((1 + level) / 2, runs - 1) * error
    studentised = None
    if all(e is not None for e in errors):
        own, theirs = errors[0][0], torch.cat(errors[1:])
        low, high = _central(_studentise(replicates, estimate, theirs), level)
        studentised = torch.stack([estimate - high * own, estimate - low * own])
    return Bootstrap(
        estimate=estimate,
        standard_error=error,
        student=torch.stack([estimate - half, estimate + half]),
        percentile=_central(replicates, level),
        studentised=studentised,
        replicates=replicates,
        runs=runs,
        level=level,
    )


def _evaluate(
    statistic: Statistic, values: Tensor, counts: Tensor, weights: Tensor
) -> tuple[Tensor, Tensor | None]:
    """The statistic and its error s*, (b, m) each, for rows of multiplicities of the runs."""
    runs = counts.shape[1]
    found = statistic(values, (counts[:, :, None] * weights).flatten(1))
    total = torch.zeros_like(found)
    for run in range(runs):
        # forward, run by run: backward, an infinite slope of one number would spoil all others
        with forward_ad.dual_level():
            along = torch.zeros_like(counts)
            along[:, run] = 1.0
            dual = forward_ad.make_dual(counts, along)
            output = statistic(values, (dual[:, :, None] * weights).flatten(1))
            slope = forward_ad.unpack_dual(output).tangent
            if slope is None:
                return found, None
        share = counts[:, run, None]
        total += torch.where(share > 0, share * slope.square(), 0.0)
    return found, (total * runs / (runs - 1)).sqrt()


def _studentise(replicates: Tensor, estimate: Tensor, errors: Tensor) -> Tensor:
    """(T* − T)/s*; ±∞ where s* is zero, to rounding, or unknown."""
    deviation = replicates - estimate
    known = errors.isfinite() & (errors > _ROUNDING * replicates.abs()) & deviation.isfinite()
    unknown = torch.where(deviation == 0, 0.0, deviation.sign() * torch.inf)
    return torch.where(known, deviation / errors, unknown)


def _central(replicates: Tensor, level: float) -> Tensor:
    """Lower and upper quantile; order statistics, as infinities cannot be interpolated."""
    last = len(replicates) - 1
    low, high = math.floor((1 - level) / 2 * last), math.ceil((1 + level) / 2 * last)
    return replicates.sort(dim=0).values[[low, high]]
