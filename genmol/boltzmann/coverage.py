r"""Whether the draws have been everywhere: what an effective size never tells.

*Search.* An independent search gives minima, each in a basin. What a basin without a draw would hold is
estimated from its lowest minimum in the harmonic approximation (:mod:`genmol.boltzmann.minima`), times
the number of equivalent wells that make up the basin (:meth:`genmol.boltzmann.basins.Basins.copies`).
The approximation is held against the basins that were sampled: the median of ln p − ln z calibrates it,
and the root mean square deviation σ from there (at least 0.5) says how far it can be trusted. The share
that is missing is :math:`\sum e^{-\sigma} \hat p_b`: a low guess, so that a correct run is not accused
of a basin that the approximation makes too large. It fails where the share reaches 1 % and n_eff draws
should have hit the basins with a probability above 1 − α, n_eff share > 6.9; a basin of 5 % needs 140
independent draws, and 230 where σ is 0.5. Less is a warning.

*Good-Turing* (1953): the mass of all states never seen is about the share of draws that are the only
one of their state. Draws are thinned to independent ones first, and the share is an upper end of 95 %
for a Poisson number of singletons.

*Round trips* between the coldest and hottest replica (or restarts) say how often basins were left for
good.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaincinv

from genmol.boltzmann.draws import Draws
from genmol.boltzmann.findings import ALPHA, Finding, Part
from genmol.boltzmann.observables import LISTED
from genmol.core.certificate import Check, Status

__all__ = [
    "Search",
    "check_good_turing",
    "check_round_trips",
    "check_search",
]

_SECTION = "coverage"
_SCATTER = 0.5
_WELL_SAMPLED = 0.01
_SHARE = 0.01
_UNSEEN, _MUCH = 0.01, 0.1
_TRIPS = 10


@dataclass(frozen=True, eq=False)
class Search:
    """Basins that an independent search has found.

    Attributes:
        codes: (s,) of the minima, such as :meth:`genmol.boltzmann.basins.Basins.code`.
        log_masses: (s,) ln z with the logarithm of the number of equivalent wells, up to a constant;
            of several minima in a basin the largest one counts.
        names: of codes, for people.
    """

    codes: NDArray[np.int64]
    log_masses: NDArray[np.float64]
    names: Mapping[int, str]


def check_search(
    draws: Draws, codes: NDArray[np.int64], effective: float, search: Search
) -> Finding:
    """The share that basins of the search without a draw should hold.

    Args:
        draws: weights.
        codes: combination of states of each draw.
        effective: independent draws that these are worth.
        search: the basins found, with masses.
    """
    seen, inverse = np.unique(codes, return_inverse=True)
    shares = np.bincount(inverse, weights=draws.weights.numpy())
    sampled = dict(zip(seen.tolist(), shares.tolist(), strict=True))
    masses: dict[int, float] = {}
    for code, mass in zip(search.codes.tolist(), search.log_masses.tolist(), strict=True):
        masses[code] = max(masses.get(code, -math.inf), mass)
    gaps = [
        math.log(sampled[code]) - mass
        for code, mass in masses.items()
        if sampled.get(code, 0.0) >= _WELL_SAMPLED
    ]
    missing = {code: mass for code, mass in masses.items() if sampled.get(code, 0.0) == 0.0}
    scatter, offset = _SCATTER, -float(np.logaddexp.reduce(list(masses.values())))
    if gaps:
        offset = float(np.median(gaps))
        scatter = max(_SCATTER, math.sqrt(float(np.mean(np.square(np.array(gaps) - offset)))))
    share = sum(math.exp(min(mass + offset - scatter, 0.0)) for mass in missing.values())
    share = share / (1 + share)  # of the whole, which the draws do not make up alone
    expected = effective * share
    certain = share >= _SHARE and expected > -math.log(ALPHA)
    largest = max(missing, key=lambda code: missing[code], default=None)
    name = "nothing" if largest is None else search.names.get(largest, str(largest))
    status: Status = "pass" if share < _SHARE / 5 else "fail" if certain else "warn"
    check = Check(
        "share of basins that a search found and no draw is in",
        share,
        _SHARE,
        status,
        f"start runs in the basins that are missing, the largest one at {name}, or run longer",
    )
    return Finding(
        check,
        "weights" if check.status == "fail" or share >= _SHARE else "note",
        _SECTION,
        {
            "basins_searched": len(masses),
            "basins_missing": len(missing),
            "scatter_kt": scatter,
            "calibrated_on": len(gaps),
            "fault": "a missing basin of 5 %",
            "draws_needed": -math.log(ALPHA) / (LISTED * math.exp(-scatter)),
            "draws": effective,
        },
    )


def check_good_turing(draws: Draws, codes: NDArray[np.int64], effective: float) -> Finding:
    """The mass of combinations of states that were never seen.

    Args:
        draws: weights and runs.
        codes: combination of states of each draw.
        effective: independent draws that these are worth.
    """
    chosen = draws.some(max(1, int(effective)))
    _, counts = np.unique(codes[chosen.numpy()], return_counts=True)
    singles = int((counts == 1).sum())
    n = len(chosen)
    high = float(gammaincinv(singles + 1, 0.95)) / n
    check = Check.at_most(
        "mass of states never seen, by Good-Turing",
        singles / n,
        _UNSEEN,
        warn=math.inf,
        advice="many states were seen once, so there are more: draw more",
    )
    part: Part = "weights" if singles / n > _MUCH else "note"
    return Finding(
        check,
        part,
        _SECTION,
        {"singletons": singles, "states": len(counts), "independent_draws": n, "high_95": high},
    )


def check_round_trips(trips: int) -> Finding:
    """How often points went from the target to the hottest replica and back.

    Args:
        trips: of all runs together, after the warm-up.
    """
    check = Check.at_least(
        "round trips to the hottest replica",
        trips,
        _TRIPS,
        warn=0,
        advice="basins were seldom left for good: run longer, or take a denser ladder",
    )
    return Finding(check, "note" if trips else "weights", _SECTION)
