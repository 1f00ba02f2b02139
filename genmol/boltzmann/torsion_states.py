r"""The states of a torsion, from its angles in an ensemble.

A torsion of fold k (3 for a methyl, 2 for a phenyl group) is the same after a turn by 2π/k, so it is
looked at as θ = kφ on one circle. Its density is a kernel estimate: a histogram of 720 bins, convolved
with a wrapped normal law of standard deviation h = 8° in φ (12° to 20° are the widths of wells at room
temperature). Maxima of the density are states, the minima between them boundaries. A boundary is taken
away, the highest in relation to its maxima first, until each one left

1. is a pass of the density p at most half as high as the lower one of its two maxima: a barrier of at
   least kT ln 2 in the potential of mean force;
2. differs from that maximum by three times what noise makes, :math:`\sqrt{(p_{max} + p_{min})/(2\sqrt\pi
   h n)}`, with n the number of draws (Kish's where weighted); the slow exchange between wells, which
   makes them worth less, adds no noise to the shape of a well;

and then, while a state holds less than ``least`` of all draws (0.1 %), it joins the neighbour across its
higher pass. A free rotor has one state.

Angles of an independent search can be added: they count for a tenth of the density. A state with one of
them needs neither significance nor mass: a state without draws is what a search is for.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from genmol.core.errors import InputError

__all__ = ["Array", "TorsionStates", "checked_weights", "find_states"]

_BINS = 720
_BANDWIDTH = math.radians(8.0)
_PASS = 0.5
_SIGMAS = 3.0
_SEARCH_SHARE = 0.1

Array = np.ndarray | Tensor
"""Numbers, of either kind."""


@dataclass(frozen=True, eq=False)
class TorsionStates:
    """The states of one torsion.

    Attributes:
        fold: k.
        boundaries: kφ in [0, 2π), rising; state i is from boundary i to the next one, the last one
            around to the first. Empty when there is one state.
        centres: φ of the highest density of each state, rad in (−π/k, π/k].
    """

    fold: int
    boundaries: NDArray[np.float64]
    centres: NDArray[np.float64]

    @property
    def count(self) -> int:
        """How many states."""
        return len(self.centres)

    def assign(self, angles: NDArray[np.float64]) -> NDArray[np.int64]:
        """State of each angle φ, rad, of any shape."""
        theta = np.mod(self.fold * angles, 2 * math.pi)
        if self.count == 1:
            return np.zeros(theta.shape, dtype=np.int64)
        # below the first boundary is where the last state goes around
        return (np.searchsorted(self.boundaries, theta, side="right") - 1) % self.count


def find_states(
    angles: Array,
    *,
    fold: int = 1,
    weights: Array | None = None,
    searched: Array | None = None,
    least: float = 1e-3,
) -> TorsionStates:
    """States of a torsion, by the rules of the module's docstring.

    Args:
        angles: (m,), rad.
        fold: k.
        weights: (m,), of any sum; equal when None.
        searched: (s,) angles of an independent search, rad.
        least: smallest share of a state without a searched angle.
    """
    phi = _flat(angles)
    w = checked_weights(weights, len(phi))
    n = 1 / float(np.square(w).sum())  # Kish's number
    width = fold * _BANDWIDTH  # in θ
    found = np.empty(0) if searched is None else _flat(searched)
    share = _SEARCH_SHARE if len(found) else 0.0
    sampled = (1 - share) * _density(fold * phi, w, width)
    extra = share * _density(fold * found, np.full(len(found), 1 / max(len(found), 1)), width)
    density = sampled + extra
    density = np.maximum(density, 1e-12 * density.max())  # rounding of nothing has no shape
    valleys = _minima(density)
    while len(valleys) > 1:
        arcs = _arcs(valleys)
        peaks = np.array([_highest(density, *ends) for ends in arcs])
        # a state with a searched angle needs neither significance nor mass
        known = np.array([_within(extra, *ends) for ends in arcs]) > 0.5 * share / max(
            len(found), 1
        )
        state = np.arange(len(arcs))
        lower = np.where(density[peaks] <= density[np.roll(peaks, 1)], state, np.roll(state, 1))
        top, bottom = density[peaks[lower]], density[valleys]
        noise = np.sqrt((top + bottom) / (2 * math.sqrt(math.pi) * width * max(n, 1.0)))
        bad = (bottom > _PASS * top) | ((top - bottom < _SIGMAS * noise) & ~known[lower])
        if bad.any():
            worst = int(np.argmax(np.where(bad, bottom / top, -1.0)))
        else:
            masses = np.array([_within(sampled, *ends) for ends in arcs])
            small = int(np.argmin(np.where(known, np.inf, masses)))
            if known[small] or masses[small] >= (1 - share) * least:
                break
            after = (small + 1) % len(valleys)
            worst = small if bottom[small] >= bottom[after] else after
        valleys = np.delete(valleys, worst)
    if len(valleys) < 2:
        boundaries, peaks = np.empty(0), np.array([int(np.argmax(density))])
    else:
        boundaries = _place(valleys)
        peaks = np.array([_highest(density, *ends) for ends in _arcs(valleys)])
    return TorsionStates(fold, boundaries, _wrapped(_place(peaks) / fold, fold))


def _flat(angles: Array) -> NDArray[np.float64]:
    found = np.asarray(angles, dtype=np.float64)
    if found.ndim != 1 or not len(found) or not np.isfinite(found).all():
        raise InputError(
            got=f"angles of shape {found.shape}, {int((~np.isfinite(found)).sum())} not finite",
            wanted="a list of at least one finite angle in radians",
            remedy="leave out frames whose torsions are not defined",
        )
    return found


def checked_weights(weights: Array | None, m: int) -> NDArray[np.float64]:
    """Weights of sum 1, or an :class:`InputError`."""
    w = np.ones(m) if weights is None else np.asarray(weights, dtype=np.float64)
    if w.shape != (m,) or not (np.isfinite(w).all() and (w >= 0).all() and w.sum() > 0):
        raise InputError(
            got=f"weights of shape {w.shape} for {m} frames",
            wanted="one for each frame: finite, not negative, and not all zero",
            remedy="leave weights out if all are equal",
        )
    return w / w.sum()


def _density(
    theta: NDArray[np.float64], weights: NDArray[np.float64], width: float
) -> NDArray[np.float64]:
    """Kernel estimate on the circle, per radian of θ, at the middles of the bins."""
    if not len(theta):
        return np.zeros(_BINS)
    place = (np.mod(theta, 2 * math.pi) * _BINS / (2 * math.pi)).astype(np.int64) % _BINS
    histogram = np.bincount(place, weights=weights, minlength=_BINS) * _BINS / (2 * math.pi)
    waves = np.arange(_BINS // 2 + 1)
    damped = np.fft.rfft(histogram) * np.exp(-0.5 * np.square(width * waves))
    return np.fft.irfft(damped, n=_BINS)


def _minima(density: NDArray[np.float64]) -> NDArray[np.int64]:
    """Places of the local minima of a circular list, the middles of flat ones, in order."""
    change = np.flatnonzero(density != np.roll(density, 1))  # where a level begins
    if not len(change):
        return np.empty(0, dtype=np.int64)
    level = density[change]
    low = (level < np.roll(level, 1)) & (level < np.roll(level, -1))
    length = np.mod(np.roll(change, -1) - change - 1, len(density)) + 1
    return np.sort(((change + length // 2) % len(density))[low])


def _arcs(valleys: NDArray[np.int64]) -> list[tuple[int, int]]:
    """From each valley to the next one, around the circle."""
    return [(int(a), int(b)) for a, b in zip(valleys, np.roll(valleys, -1), strict=True)]


def _indices(start: int, end: int) -> NDArray[np.int64]:
    return (start + np.arange((end - start) % _BINS)) % _BINS


def _highest(density: NDArray[np.float64], start: int, end: int) -> int:
    inside = _indices(start, end)
    return int(inside[np.argmax(density[inside])])


def _within(density: NDArray[np.float64], start: int, end: int) -> float:
    return float(density[_indices(start, end)].sum()) * 2 * math.pi / _BINS


def _place(bins: NDArray[np.int64]) -> NDArray[np.float64]:
    """θ at the beginning of a bin, where it goes from one state to the next."""
    return bins * 2 * math.pi / _BINS


def _wrapped(angle: NDArray[np.float64], fold: int) -> NDArray[np.float64]:
    period = 2 * math.pi / fold
    return period / 2 - np.mod(period / 2 - angle, period)
