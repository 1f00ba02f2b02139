r"""Weighted draws that came in runs: how to lay them out, and what they are worth.

m draws lie in one list, with a weight each and the label of the run that they came from, in the order
of that run. Weights may be of any sum; those of one set speak for all of its runs together, so that
runs with more weight count for more.

For a quantity f with the weighted mean μ and the variance σ² under the weights, the residuals
:math:`g_i = m \bar w_i (f_i - \mu)` have the mean zero, and the mean of f has, to first order, the error
:math:`s = \operatorname{sd}(g)/\sqrt{\mathrm{ESS}(g)}` with the effective size of dependent draws of
:func:`samplers.diagnostics.ess_mean` (Vehtari et al., 2021), which knows of correlations within runs and
of distances between them. So the draws are worth

.. math:: n_\mathrm{eff}(f) = \min\bigl(\sigma^2 / s^2,\ 1/\textstyle\sum_i\bar w_i^2\bigr)

independent ones of equal weight: with equal weights ESS(f), and for independent draws Kish's number
corrected for how weights and f go together.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from genmol.core.errors import InputError
from samplers.diagnostics import ess_mean

__all__ = ["Draws"]

_FEWEST_RUNS = 8
_BLOCK = 20.0  # autocorrelation times
_AT_ONCE = 4_000_000  # numbers


@dataclass(frozen=True, eq=False)
class Draws:
    """How m draws are weighted and fall into runs.

    Attributes:
        weights: (m,), of sum 1.
        place: (runs, longest) index of each draw of each run in the list; rows of shorter runs are
            filled up with −1 at their end.
        independent: whether the runs are known to be independent; else they are parts of one series.
    """

    weights: Float[Tensor, " m"]
    place: Int[Tensor, "runs longest"]
    independent: bool

    @classmethod
    def of(
        cls,
        m: int,
        *,
        runs: Sequence[int] | np.ndarray | Tensor | None = None,
        weights: Sequence[float] | np.ndarray | Tensor | None = None,
    ) -> Draws:
        """From flat lists.

        Args:
            m: how many draws.
            runs: label of each draw's independent run; all are one series, in their order, when None.
            weights: of each draw, of any sum; equal when None.

        Raises:
            InputError: no draws, or labels or weights that do not fit or are none.
        """
        labels = np.zeros(m, dtype=np.int64) if runs is None else np.asarray(runs)
        w = np.ones(m) if weights is None else np.asarray(weights, dtype=np.float64)
        if m < 1 or labels.shape != (m,) or w.shape != (m,):
            raise InputError(
                got=f"{m} draws with {labels.shape} labels of runs and {w.shape} weights",
                wanted="one of each for every draw, and at least one draw",
                remedy="leave runs or weights out if there are none",
            )
        if not (np.isfinite(w).all() and (w >= 0).all() and w.sum() > 0):
            raise InputError(
                got=f"weights from {w.min():g} to {w.max():g}, {int((~np.isfinite(w)).sum())} not finite",
                wanted="finite numbers that are not negative, and one that is positive",
                remedy="give weights, not log-weights, and drop frames without one",
            )
        _, rank = np.unique(labels, return_inverse=True)
        sizes = np.bincount(rank)
        place = np.full((len(sizes), int(sizes.max())), -1, dtype=np.int64)
        order = np.argsort(rank, kind="stable")
        column = np.concatenate([np.arange(size) for size in sizes])
        place[rank[order], column] = order
        return cls(torch.from_numpy(w / w.sum()), torch.from_numpy(place), runs is not None)

    @property
    def count(self) -> int:
        """How many draws, m."""
        return len(self.weights)

    @property
    def runs(self) -> int:
        """How many runs."""
        return len(self.place)

    @cached_property
    def equal(self) -> bool:
        """Whether all weights are the same, to rounding."""
        return bool((self.weights.amax() - self.weights.amin()) * self.count < 1e-9)

    @property
    def kish(self) -> float:
        """1/Σ w̄², in draws."""
        return float(1 / self.weights.square().sum())

    @cached_property
    def filled(self) -> Bool[Tensor, "runs longest"]:
        """Where :attr:`place` holds a draw."""
        return self.place >= 0

    @cached_property
    def log_weights(self) -> Float[Tensor, "runs longest"] | None:
        """As samplers want them: −∞ fills up; None for equal weights in runs of one length."""
        if self.equal and bool(self.filled.all()):
            return None
        return torch.where(self.filled, self.arrange(self.weights).log(), -torch.inf)

    def arrange(self, values: Float[Tensor, "m *k"]) -> Float[Tensor, "runs longest *k"]:
        """Run by run; what fills up shorter runs is the first draw, which has no weight there."""
        return values[self.place.clamp_min(0)]

    def trimmed(self, values: Float[Tensor, "m *k"]) -> Float[Tensor, "runs shortest *k"]:
        """Run by run, the same number of draws of each: the last ones."""
        sizes = self.filled.sum(dim=1)
        least = int(sizes.min())
        columns = sizes[:, None] - least + torch.arange(least)
        return values[self.place.gather(1, columns)]

    def mean(self, values: Float[Tensor, "m *k"]) -> Float[Tensor, "*k"]:
        """Weighted means."""
        return torch.tensordot(self.weights, values.double(), dims=1)

    def effective(self, values: Float[Tensor, "m k"]) -> Float[Tensor, " k"]:
        """How many independent draws of equal weight each mean is worth; 0 where nothing varies.

        Args:
            values: k quantities of each draw, finite.
        """
        columns = max(1, _AT_ONCE // self.count)
        return torch.cat([self._effective(part.double()) for part in values.split(columns, dim=1)])

    def _effective(self, f: Tensor) -> Tensor:
        centred = f - self.mean(f)
        variance = self.mean(centred.square())
        g = self.count * self.weights[:, None] * centred
        parts = self.trimmed(g)
        if parts.shape[1] >= 4:
            kept = parts.shape[0] * parts.shape[1] / self.count
            square = parts.flatten(0, 1).var(dim=0, correction=0) / ess_mean(parts) * kept
        elif self.runs >= 2:
            sums = torch.where(self.filled[..., None], self.arrange(g), 0.0).sum(dim=1) / self.count
            square = sums.square().sum(dim=0) * self.runs / (self.runs - 1)
        else:
            square = torch.full_like(variance, torch.inf)
        found = (variance / square).nan_to_num(nan=0.0).clamp_max(self.kish)
        return torch.where(f.amax(dim=0) == f.amin(dim=0), 0.0, found)

    def blocks(self, effective: float, *, most: int = 64) -> Draws:
        """The same draws in parts that can be taken as independent, for errors.

        At least eight runs are taken as they are, neighbours together where there are more than
        ``most``. Fewer are cut into blocks of 20 autocorrelation times, m/``effective`` draws each; where
        that makes less than eight blocks, the runs are returned as they are.

        Args:
            effective: number of independent draws that the slowest quantity is worth.
            most: blocks.
        """
        if self.runs >= _FEWEST_RUNS:
            # neighbours may be copies of one ancestor, so they stay together
            return self._regrouped(torch.arange(self.runs) * min(most, self.runs) // self.runs)
        length = self.place.shape[1]
        share = _BLOCK / max(effective / self.runs, 1e-9)
        parts = min(int(1 / share), length, most // self.runs)
        if self.runs * parts < _FEWEST_RUNS:
            return self
        sizes = self.filled.sum(dim=1, keepdim=True)
        part = torch.arange(length) * parts // sizes
        label = torch.arange(self.runs)[:, None] * parts + part
        return self._regrouped(label)

    def _regrouped(self, label: Tensor) -> Draws:
        """With new labels of runs, one for each row or place."""
        flat = torch.empty(self.count, dtype=torch.int64)
        spread = label[:, None].expand_as(self.place) if label.ndim == 1 else label
        flat[self.place[self.filled]] = spread[self.filled]
        order = self.place[self.filled]
        regrouped = Draws.of(
            self.count, runs=flat[order].numpy(), weights=self.weights[order].numpy()
        )
        place = torch.where(regrouped.filled, order[regrouped.place.clamp_min(0)], -1)
        return Draws(self.weights, place, self.independent)

    def some(self, most: int) -> Tensor:
        """Index of at most about ``most`` draws, spread evenly over every run, run by run.

        Args:
            most: draws; at least one of each run is taken, so that it may be exceeded by few.
        """
        if self.count <= most:
            return self.place[self.filled]
        if self.runs > most:
            rows = torch.linspace(0, self.runs - 1, most).round().long()
            return self.place[rows][:, 0]
        keep = max(1, most // self.runs)
        sizes = self.filled.sum(dim=1, keepdim=True)
        steps = (torch.arange(keep) + 0.5) / keep
        columns = (steps * sizes).floor().long().clamp_max(sizes - 1)
        return self.place.gather(1, columns).flatten().unique_consecutive()

    def take(self, index: Int[Tensor, " k"]) -> Draws:
        """Those draws alone, in the order of ``index``."""
        run = torch.empty(self.count, dtype=torch.int64)
        run[self.place[self.filled]] = torch.arange(self.runs)[:, None].expand_as(self.place)[
            self.filled
        ]
        found = Draws.of(len(index), runs=run[index].numpy(), weights=self.weights[index].numpy())
        return Draws(found.weights, found.place, self.independent)

    def weighted(self, weights: Float[Tensor, " m"]) -> Draws:
        """The same with other weights, of any sum."""
        return Draws(weights / weights.sum(), self.place, self.independent)

    @property
    def summary(self) -> str:
        """For people."""
        kind = "independent runs" if self.independent else "series"
        weight = "equal weights" if self.equal else f"weights worth {math.floor(self.kish)} draws"
        return f"{self.count} draws in {self.runs} {kind}, {weight}"
