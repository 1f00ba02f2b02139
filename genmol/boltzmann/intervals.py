"""Numbers with their intervals, and the unit of energies."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from scipy.special import betaincinv

from genmol.core.units import EV_TO_KCAL_MOL, KB

__all__ = ["Interval", "Thermal", "clopper_pearson", "free_energy_interval", "share_interval"]


@dataclass(frozen=True)
class Thermal:
    """Energies and the unit to report them in.

    Attributes:
        kT: thermal energy, in the unit of the energies given.
        factor: unit of the energies, in units of the report.
        unit: of the report.
    """

    kT: float  # noqa: N815
    factor: float
    unit: str

    @classmethod
    def molecule(cls, temperature: float) -> Thermal:
        """Energies in eV, reports in kcal/mol, temperature in K."""
        return cls(KB * temperature, EV_TO_KCAL_MOL, "kcal/mol")

    @classmethod
    def reduced(cls, temperature: float) -> Thermal:
        """Energies and temperature in one reduced unit."""
        return cls(temperature, 1.0, "reduced units")

    @property
    def reported(self) -> float:
        """Thermal energy in units of the report."""
        return self.kT * self.factor


@dataclass(frozen=True)
class Interval:
    """A number and the ends of its interval."""

    value: float
    low: float
    high: float

    @property
    def half_width(self) -> float:
        """The larger distance to an end."""
        return max(self.high - self.value, self.value - self.low)


def clopper_pearson(share: float, n: float, level: float) -> tuple[float, float]:
    """Ends of the interval of a probability that came true in a share of n independent trials.

    Args:
        share: in [0, 1].
        n: trials, not necessarily whole.
        level: of the interval.
    """
    k, tail = share * n, (1 - level) / 2
    low = float(betaincinv(k, n - k + 1, tail)) if k > 0 else 0.0
    high = float(betaincinv(k + 1, n - k, 1 - tail)) if n - k > 1e-9 * n else 1.0
    return low, high


def share_interval(found: Interval, n: float, level: float) -> Interval:
    """Of a probability: inside [0, 1], never certain, open ends those of :func:`clopper_pearson`.

    Args:
        found: with ends that are perhaps infinite.
        n: independent draws.
        level: of the interval.
    """
    value, low, high = found.value, found.low, found.high
    exact_low, exact_high = clopper_pearson(min(max(value, 0.0), 1.0), n, level)
    if not 1e-12 < value < 1 - 1e-12:
        return Interval(round(value), exact_low, exact_high)
    low = max(low, 0.0) if math.isfinite(low) else exact_low
    high = min(high, 1.0) if math.isfinite(high) else exact_high
    return Interval(value, low, high)


def free_energy_interval(
    found: Interval, populations: Sequence[Interval], b: int, unit: float
) -> Interval:
    """−kT ln(p_b/p_0); open ends are those of the population.

    Args:
        found: in units of kT.
        populations: of the states.
        b: number of the state.
        unit: kT.
    """
    if b == 0:
        return Interval(0.0, 0.0, 0.0)
    first, own, low, high = populations[0].value, populations[b], found.low, found.high
    if first == 0:  # the state that others are compared with was never seen: no lower end
        most = populations[0].high
        high = -math.log(own.low / most) if own.low > 0 and most > 0 else math.inf
        return Interval(-math.inf if own.value > 0 else math.nan, -math.inf, high * unit)
    if not math.isfinite(low):
        low = -math.log(own.high / first) if own.high > 0 else math.inf
    if not math.isfinite(high):
        high = -math.log(own.low / first) if own.low > 0 else math.inf
    return Interval(found.value * unit, low * unit, high * unit)
