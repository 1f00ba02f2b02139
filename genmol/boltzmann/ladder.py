r"""How many temperatures, and which: by the acceptance of exchanges.

For energies of a constant heat capacity C (in units of k, configurational, d/2 for d harmonic
coordinates) neighbours at T and T' exchange with the mean probability

.. math:: A = \operatorname{erfc} z, \qquad z \approx \tfrac12\sqrt{C}\,|\ln(T'/T)|

(Kofke, 2002), in which z adds up along the ladder. So a first ladder comes from d alone, and a
measured one is respaced: z = erfc⁻¹(A) of each measured rate, accumulated over ln λ, is cut into equal
parts, as many as it takes to keep A above the wanted rate.

Rates of 0.2 to 0.5 serve equally well for each call: with rejections r = 1 − A of the K gaps, points
make one round trip in 2 + 2 Σ r/(1 − r) exchanges (Syed et al., 2022) of K + 1 replicas, which for 36
coordinates between 300 and 1000 K gives 82, 75 and 77 replica steps for A = 0.25, 0.38 and 0.48. So the
lower rate is taken, which leaves the larger share of the work to the temperature that is asked for.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch

__all__ = ["first_ladder", "respaced"]

_MOST = 16


def first_ladder(
    dimension: int, lowest: float, *, acceptance: float, replicas: int | None = None
) -> list[float]:
    """λ from ``lowest`` to 1 for a molecule that nothing else is known of.

    Args:
        dimension: degrees of freedom.
        lowest: temperature over the highest one.
        acceptance: of exchanges, wanted.
        replicas: how many λ; as many as the acceptance takes when None.
    """
    if lowest >= 1 or replicas == 1:
        return [1.0]
    total = 0.5 * math.sqrt(dimension / 2) * -math.log(lowest)
    return _cut([math.log(lowest), 0.0], [0.0, total], acceptance, replicas)


def respaced(
    ladder: Sequence[float],
    rates: Sequence[float],
    *,
    acceptance: float,
    replicas: int | None = None,
) -> list[float]:
    """A ladder between the same ends with equal rates.

    Args:
        ladder: λ, rising to 1.
        rates: measured, of the exchanges between neighbours; what is not finite changes nothing.
        acceptance: wanted.
        replicas: how many λ; as many as the acceptance takes when None.
    """
    if len(ladder) < 2 or not all(map(math.isfinite, rates)):
        return list(ladder)
    place = [0.0]
    for rate in rates:
        place.append(place[-1] + _distance(min(max(rate, 1e-3), 0.98)))
    return _cut([math.log(weight) for weight in ladder], place, acceptance, replicas)


def _cut(
    logs: Sequence[float], place: Sequence[float], acceptance: float, replicas: int | None
) -> list[float]:
    """Equal parts of ``place``, not longer than the acceptance allows, as λ."""
    gaps = min(max(math.ceil(place[-1] / _distance(acceptance) - 1e-6), 1), _MOST - 1)
    gaps = gaps if replicas is None else replicas - 1
    found = []
    for k in range(gaps):
        goal = place[-1] * k / gaps
        j = max(i for i in range(len(place) - 1) if place[i] <= goal)
        share = (goal - place[j]) / (place[j + 1] - place[j])
        found.append(math.exp(logs[j] + share * (logs[j + 1] - logs[j])))
    return [*found, 1.0]


def _distance(rate: float) -> float:
    """erfc⁻¹."""
    return float(torch.erfinv(torch.tensor(1 - rate, dtype=torch.float64)))
