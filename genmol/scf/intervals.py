r"""Error bars of predicted numbers that hold for molecules the model has never seen.

Split-conformal prediction: on molecules that were not trained on, every error is compared with a
scale that is known without the answer,

.. math::
    r = \frac{|\hat y - y|}{\sigma^p \, n^q},

where :math:`\sigma` is the spread of the network's two estimates and n the number of atoms. The
half-width of an interval is :math:`\rho\,\sigma^p n^q` with a quantile :math:`\rho` of r. A molecule may
have several frames and many numbers of a kind (its orbital energies); each molecule counts as one,
its frames as shares of it and their numbers as shares of these, and a further molecule, the one to
come, counts as infinitely wrong:

.. math::
    \rho = \min\Bigl\{ x : \frac{1}{N+1}\sum_{i=1}^{N} \frac{\#\{k : r_{ik} \le x\}}{K_i}
            \ge c \Bigr\} .

Then a number of a new molecule of the same kind lies in its interval with a probability of at least
c, for any N and any distribution (Vovk 2005; Lee, Barber and Willett 2023 for several numbers a
molecule). Fewer than c/(1-c) molecules (19 for 95 %) allow no finite interval. The exponents p and q
are fitted on other molecules or fixed beforehand.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

__all__ = ["calibrate", "fit_powers", "half_width"]

Errors = Sequence[Any]
"""For every molecule one error or an array of them, any sign."""


def calibrate(
    errors: Errors,
    spreads: Sequence[float],
    sizes: Sequence[int],
    *,
    coverage: float = 0.95,
    powers: tuple[float, float] = (0.5, 0.0),
    molecules: Sequence[str] | None = None,
) -> dict[str, Any]:
    """The entry of a card from which :func:`half_width` takes intervals of one kind of number.

    Args:
        errors: of frames of molecules that were not trained on.
        spreads: σ of each, Hartree.
        sizes: atoms of each.
        coverage: c.
        powers: p and q.
        molecules: whose frame each is; one of each if None.

    Returns:
        ``coverage``, ``factor`` (ρ, in the unit of the errors; None if there are too few molecules),
        ``powers`` and ``molecules``.
    """
    names = [str(i) for i in range(len(errors))] if molecules is None else molecules
    frames = Counter(names)
    scores, weights = [], []
    for error, spread, size, name in zip(errors, spreads, sizes, names, strict=True):
        score = np.abs(np.atleast_1d(np.asarray(error, dtype=float))) / _scale(spread, size, powers)
        scores.append(np.where(np.isfinite(score), score, np.inf))
        share = 1 / (len(score) * frames[name] * (len(frames) + 1))
        weights.append(np.full(len(score), share))
    ordered, factor = np.empty(0), math.inf
    if scores:
        joined, weight = np.concatenate(scores), np.concatenate(weights)
        order = np.argsort(joined)
        ordered, reached = joined[order], np.cumsum(weight[order])
        enough = np.flatnonzero(reached >= coverage - 1e-12)
        factor = float(ordered[enough[0]]) if len(enough) else math.inf
    return {
        "coverage": coverage,
        "factor": factor if math.isfinite(factor) else None,
        "powers": {"fock_spread": powers[0], "n_atoms": powers[1]},
        "molecules": len(frames),
    }


def fit_powers(
    errors: Errors, spreads: Sequence[float], sizes: Sequence[int]
) -> tuple[float, float]:
    """Exponents p in [0, 1] and q in [0, 1] by least squares of the logarithms; 0 where undecided."""
    size = np.array([float(np.sqrt(np.mean(np.square(np.atleast_1d(e))))) for e in errors])
    x = np.log(np.column_stack([np.asarray(spreads, dtype=float), np.asarray(sizes, dtype=float)]))
    good = np.isfinite(size) & (size > 0) & np.isfinite(x).all(axis=1)
    if good.sum() < 5:
        return 0.0, 0.0
    x, y = x[good] - x[good].mean(axis=0), np.log(size[good]) - np.log(size[good]).mean()
    x[:, x.std(axis=0) < 1e-6] = 0.0  # what does not vary decides nothing
    slopes, *_ = np.linalg.lstsq(x, y, rcond=1e-6)
    p, q = (round(float(min(max(s, 0.0), 1.0)), 2) for s in slopes)
    return p, q


def half_width(entry: Mapping[str, Any], spread: float, n_atoms: int) -> float:
    """Half the width of an interval, in the unit of the entry's errors; infinite without one."""
    if entry["factor"] is None:
        return math.inf
    powers = entry["powers"]["fock_spread"], entry["powers"]["n_atoms"]
    return float(entry["factor"] * _scale(spread, n_atoms, powers))


def _scale(spread: float, size: int, powers: tuple[float, float]) -> float:
    return float(max(spread, 1e-12) ** powers[0] * size ** powers[1])
