"""The toys by name, each with its defaults.

What a toy is, is in :mod:`samplers.known`; their classes come from :mod:`samplers.mixtures`,
:mod:`samplers.wells` and :mod:`samplers.clusters`.

>>> toy = TOYS["lj13"]()
>>> x = toy.start(Streams.of(seed=7, chains=100))
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from samplers.clusters import DW4, Cluster, LennardJones
from samplers.known import Toy, Truth
from samplers.mixtures import GaussianMixture
from samplers.wells import DoubleWell, TwoBasins

__all__ = [
    "DW4",
    "TOYS",
    "Cluster",
    "DoubleWell",
    "GaussianMixture",
    "LennardJones",
    "Toy",
    "Truth",
    "TwoBasins",
]


def _mixture() -> GaussianMixture:
    """Three modes in the plane, five to ten widths apart, with unequal shares."""
    return GaussianMixture.of([0.5, 0.3, 0.2], [[-3, 0], [2, 3], [2, -3]], [1.0, 0.5, 0.7])


def _many_well() -> DoubleWell:
    """The 32-dimensional many-well problem."""
    return DoubleWell(32, wells=16, quadratic=6.0)


TOYS: Mapping[str, Callable[[], Toy]] = {
    "gaussian": lambda: GaussianMixture.of([1.0], [[0.0, 0.0, 0.0]], [1.0]),
    "mixture": _mixture,
    "double-well": DoubleWell,
    "double-well-10d": lambda: DoubleWell(10),
    "many-well": _many_well,
    "two-basins": TwoBasins,
    "dw4": DW4,
    "lj13": lambda: LennardJones.dem(13),
    "lj13-bgflow": lambda: LennardJones.bgflow(13),
    "lj55": lambda: LennardJones.dem(55),
    "lj55-bgflow": lambda: LennardJones.bgflow(55),
}
"""Constructors; ``lj13`` and ``lj55`` are the form of the public data (:meth:`LennardJones.dem`)."""
