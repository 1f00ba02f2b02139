r"""What an ensemble says, with intervals of 95 %: populations, free energies, energy, heat capacity.

All of them are functions of weighted means, of which independent runs know the errors:
:func:`samplers.bootstrap.bootstrap` draws runs anew, "studentised", which was measured to cover the truth
as often as it says. Fewer than eight runs are cut into blocks of 20 autocorrelation times
(:meth:`genmol.boltzmann.draws.Draws.blocks`), which know nothing of what no run has seen; where that
makes less than eight, the interval is Student's; of one short run nothing is known but the effective
number of its draws.

.. math::
    p_b = \langle 1_b \rangle, \qquad F_b = -kT \ln (p_b/p_0), \qquad
    C/k_B = \frac{\langle U^2 \rangle - \langle U \rangle^2}{(kT)^2},

with basin 0 the most populated one. C is the configurational heat capacity; momenta add 3/2 for each
atom.

An end of an interval that the bootstrap leaves open, because a repeat of it has no draw in a basin, and
both ends where all draws or none are in the basin, are those of Clopper and Pearson (1934) for
:math:`p\,n_\mathrm{eff}` successes in :math:`n_\mathrm{eff}` trials.

``n_effective`` is the smallest effective size over U, cosines and sines of torsions, and indicators of
basins with a population of at least 5 %. What never varies (a single basin, a torsion in a ring) is not
asked.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import astuple, dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from genmol.boltzmann.draws import Draws
from genmol.boltzmann.intervals import Interval, Thermal, free_energy_interval, share_interval
from samplers.bootstrap import Statistic, bootstrap, condense
from samplers.rng import Streams

__all__ = [
    "LISTED",
    "Histogram",
    "Observables",
    "StateOf",
    "measure",
    "smallest_effective",
]

LISTED = 0.05
"""Population from which a basin is listed in a verdict."""

_STUDENTISED = 8  # runs
_BLOCKS = 40


@dataclass(frozen=True)
class StateOf:
    """What is known of a basin.

    Attributes:
        name: of the basin.
        population: share of the weight.
        free_energy: relative to the most populated basin, in the unit of the report.
        effective: independent draws that its population is worth.
    """

    name: str
    population: Interval
    free_energy: Interval
    effective: float


@dataclass(frozen=True)
class Histogram:
    """Probability of equal parts of [−π, π) for one torsion."""

    shares: tuple[Interval, ...]


@dataclass(frozen=True)
class Observables:
    """What an ensemble says.

    Attributes:
        states: basins, the most populated one first.
        mean_energy: ⟨U⟩ − the lowest energy of the draws, in the unit of the report.
        heat_capacity: configurational, in k_B.
        histograms: of the torsions.
        n_effective: smallest effective size.
        limited_by: the quantity that has it.
        blocks: how many parts the errors are from.
        kind: of interval.
        level: share of intervals that should hold the truth.
        unit: of energies.
    """

    states: tuple[StateOf, ...]
    mean_energy: Interval
    heat_capacity: Interval
    histograms: tuple[Histogram, ...]
    n_effective: float
    limited_by: str
    blocks: int
    kind: str
    level: float
    unit: str

    @property
    def listed(self) -> tuple[StateOf, ...]:
        """Basins of at least 5 %."""
        return tuple(state for state in self.states if state.population.value >= LISTED)


def smallest_effective(
    draws: Draws,
    energies: Float[Tensor, " m"],
    *,
    angles: Float[Tensor, "m t"] | None = None,
    labels: Int[Tensor, " m"] | None = None,
) -> tuple[float, str]:
    """The smallest effective size, and whose it is.

    Args:
        draws: weights and runs.
        energies: of each draw.
        angles: torsions, rad.
        labels: basins, 0, 1, ...
    """
    columns, names = [energies.double()], ["energy"]
    if angles is not None:
        for k, angle in enumerate(angles.double().unbind(dim=1)):
            columns += [angle.cos(), angle.sin()]
            names += [f"cos torsion {k}", f"sin torsion {k}"]
    if labels is not None:
        shares = torch.zeros(int(labels.max()) + 1).double().index_add(0, labels, draws.weights)
        for b in (shares >= LISTED).nonzero().flatten().tolist():
            columns.append((labels == b).double())
            names.append(f"basin {b}")
    values = torch.stack(columns, dim=1)
    varies = values.amax(dim=0) - values.amin(dim=0) > 1e-9 * values.abs().amax(dim=0)
    if not bool(varies.any()):
        return 0.0, "nothing varies"
    found = torch.where(varies, draws.effective(values), torch.inf)
    worst = int(found.argmin())
    return float(found[worst]), names[worst]


def measure(
    draws: Draws,
    energies: Float[Tensor, " m"],
    thermal: Thermal,
    streams: Streams,
    *,
    labels: Int[Tensor, " m"] | None = None,
    names: Sequence[str] = (),
    angles: Float[Tensor, "m t"] | None = None,
    bins: int = 36,
    level: float = 0.95,
    repeats: int = 1000,
) -> Observables:
    """Observables with their intervals.

    Args:
        draws: weights and runs.
        energies: of each draw, in the unit of ``thermal.kT``.
        thermal: kT and units.
        streams: of the bootstrap.
        labels: basin of each draw, 0 the most populated one; all in one basin when None.
        names: of the basins.
        angles: torsions, rad, for histograms and ``n_effective``.
        bins: of a histogram.
        level: of the intervals.
        repeats: of the bootstrap.
    """
    m = draws.count
    basin = torch.zeros(m, dtype=torch.int64) if labels is None else labels
    phi = torch.zeros(m, 0) if angles is None else angles.double()
    count, t = int(basin.max()) + 1, phi.shape[1]
    n_effective, limited_by = smallest_effective(draws, energies, angles=phi, labels=basin)
    inside = torch.nn.functional.one_hot(basin, count).double()
    part = ((phi / (2 * math.pi) + 0.5) * bins).floor().long().remainder(bins)
    shares = torch.cat([inside, torch.nn.functional.one_hot(part, bins).double().flatten(1)], dim=1)
    u = (energies.double() - energies.min()) / thermal.kT
    values = torch.cat([shares, u[:, None], u.square()[:, None]], dim=1)

    def statistic(means: Tensor, weights: Tensor) -> Tensor:
        found = weights @ means.flatten(1) / weights.sum(dim=1, keepdim=True)
        p, energy, square = found[:, :count], found[:, -2], found[:, -1]
        first = p[:, :1]
        free = torch.where(first > 0, first.log() - p.log(), -torch.inf)
        free = torch.where(p > 0, free, torch.inf)
        return torch.cat([found[:, :-1], (square - energy**2)[:, None], free], dim=1)

    estimate, low, high, kind, blocks = _intervals(
        statistic, draws, values, n_effective, streams, level, repeats
    )
    sizes = [*_sizes(draws, inside, n_effective), *[n_effective] * (t * bins)]
    ends = [Interval(*map(float, one)) for one in zip(estimate, low, high, strict=True)]
    populations = [share_interval(ends[i], sizes[i], level) for i in range(count + t * bins)]
    e, unit = len(populations), thermal.reported
    states = tuple(
        StateOf(
            names[b] if b < len(names) else f"basin {b}",
            populations[b],
            free_energy_interval(ends[e + 2 + b], populations, b, unit),
            sizes[b],
        )
        for b in range(count)
    )
    energy = Interval(*(end * unit for end in astuple(ends[e])))
    capacity = ends[e + 1]
    cut = [populations[count + k * bins : count + (k + 1) * bins] for k in range(t)]
    return Observables(
        states=states,
        mean_energy=energy,
        heat_capacity=Interval(capacity.value, max(capacity.low, 0.0), capacity.high),
        histograms=tuple(Histogram(tuple(one)) for one in cut),
        n_effective=n_effective,
        limited_by=limited_by,
        blocks=blocks,
        kind=kind,
        level=level,
        unit=thermal.unit,
    )


def _intervals(
    statistic: Statistic,
    draws: Draws,
    values: Tensor,
    n_effective: float,
    streams: Streams,
    level: float,
    repeats: int,
) -> tuple[Tensor, Tensor, Tensor, str, int]:
    """Estimate, lower and upper ends, kind of interval, and how many parts it is from."""
    parts = draws.blocks(n_effective, most=_BLOCKS)
    means, log_weights = condense(parts.arrange(values), parts.log_weights)
    if parts.runs < 2:
        found = statistic(means[:, 0], torch.ones(1, 1, dtype=torch.float64))[0]
        open_end = torch.full_like(found, torch.inf)
        return found, -open_end, open_end, "none, from a single short run", 1
    result = bootstrap(
        statistic, means, streams, log_weights=log_weights, repeats=repeats, level=level
    )
    if parts.runs >= _STUDENTISED and result.studentised is not None:
        low, high = result.studentised
        return result.estimate, low, high, "studentised", parts.runs
    low, high = result.student
    return result.estimate, low, high, "student", parts.runs


def _sizes(draws: Draws, indicators: Tensor, n_effective: float) -> list[float]:
    """Effective size of each share; of those that are 0 or 1 throughout, that of the whole."""
    found = draws.effective(indicators)
    constant = indicators.amax(dim=0) == indicators.amin(dim=0)
    return torch.where(constant, n_effective, found).tolist()
