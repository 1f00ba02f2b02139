r"""Parallel tempering: replicas at several λ of a path, which exchange points.

A group of R replicas samples the product of :math:`\pi_{\lambda_r}`, with :math:`0 < \lambda_1 < \dots <
\lambda_R = 1` (Geyer, 1991); on the path from a constant, λ is the inverse temperature relative to the
target's. After every move of the inner kernel neighbours r, r + 1 exchange their points with
probability

.. math::
    \min\bigl(1,\ \exp\,(\lambda_{r+1} - \lambda_r)\,[\,\ell(x_r) - \ell(x_{r+1})\,]\bigr), \qquad
    \ell = \log\pi_1 - \log\pi_0 ,

pairs of even r at even steps and of odd r at odd ones: this non-reversible order takes points up and
down the ladder in O(R) steps rather than O(R²) (Okabe et al., 2001; Syed et al., 2022). A *round trip* is
a point's way from the target to the other end and back; their number tells how often modes were
left for good.

The chains of a state are groups of R rows, the last of which samples the target. Step sizes stay with
the row, that is with its λ.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from samplers.rng import Streams
from samplers.sampler import Info, Sampler, State
from samplers.target import Flat, Path, Target

__all__ = ["ParallelTempering", "geometric_ladder"]


def geometric_ladder(lowest: float, replicas: int) -> list[float]:
    """λ from ``lowest`` to 1 in equal ratios, which suits a constant heat capacity."""
    if not 0 < lowest <= 1 or replicas < 1 or (replicas == 1 and lowest != 1):
        raise ValueError(
            f"{replicas} replicas from λ = {lowest}; wanted 0 < λ < 1 and at least two, or one at λ = 1"
        )
    return [lowest ** (1 - r / max(1, replicas - 1)) for r in range(replicas)]


@dataclass(frozen=True, eq=False)
class ParallelTempering(Sampler):
    """Replica exchange around another sampler.

    Attributes:
        inner: moves every replica.
        ladder: λ of the replicas, rising to 1.
        reference: at λ = 0; a constant by default.
    """

    inner: Sampler
    ladder: Sequence[float]
    reference: Target | None = None

    def __post_init__(self) -> None:
        rising = all(a < b for a, b in zip(self.ladder, self.ladder[1:], strict=False))
        if not self.ladder or self.ladder[0] <= 0 or self.ladder[-1] != 1 or not rising:
            raise ValueError(
                f"the ladder {list(self.ladder)}; wanted rising positive values, up to 1"
            )

    def bind(self, target: Target, chains: int) -> Path:
        """Every row at its λ.

        Raises:
            ValueError: rows that are no whole groups.
        """
        replicas = len(self.ladder)
        if chains % replicas:
            raise ValueError(
                f"{chains} chains for replicas in groups of {replicas}; wanted whole groups"
            )
        weight = torch.tensor(self.ladder, dtype=torch.float64).repeat(chains // replicas)
        return Path(self.reference or Flat(target.space), target, weight)

    def begin(self, state: State, streams: Streams) -> State:
        """With the inner kernel's memory and a walker on every row."""
        place = torch.arange(len(state.x), device=state.x.device) % len(self.ladder)
        zero = torch.zeros_like(place)
        at_end = torch.where(place == len(self.ladder) - 1, 1, zero)
        state = self.inner.begin(state, streams.fold("inner"))
        # heading 1: was last at the target; 2: has been at the other end since; 0: at neither yet
        return state.remember(walker=place, heading=at_end, round_trips=zero, swaps=zero)

    def step(self, state: State, streams: Streams) -> tuple[State, Info]:
        """A move of every replica, then exchanges between neighbours."""
        state, info = self.inner.step(state, streams.fold("inner"))
        state, swapped = self._exchange(state, streams.fold("exchange"))
        return self._walked(state), Info(info.acceptance, {**info.details, "swap": swapped})

    def adapt(self, state: State, info: Info, round_: int) -> State:
        """The inner kernel learns, each λ for itself."""
        return self.inner.adapt(state, info, round_)

    def adapted(self, state: State) -> State:
        """The inner kernel is frozen; round trips are counted from here."""
        state = self.inner.adapted(state)
        zero = torch.zeros_like(state.memory["swaps"])
        return state.remember(round_trips=zero, swaps=zero)

    def visible(self, rows: Tensor) -> Tensor:
        """The last replica of each group."""
        return rows[len(self.ladder) - 1 :: len(self.ladder)]

    def _exchange(self, state: State, streams: Streams) -> tuple[State, Tensor]:
        """Neighbours exchange points; the probability of each row's exchange (NaN without a partner)."""
        n, replicas = len(state.x), len(self.ladder)
        path = state.target
        assert isinstance(path, Path)
        row = torch.arange(n, device=state.x.device)
        lower = (row % replicas % 2 == streams.step % 2) & (row % replicas < replicas - 1)
        partner = torch.where(lower, row + 1, torch.where(lower.roll(1), row - 1, row))
        first, second = path.parts(state.x, state.log_density, state.gradient)
        advantage = second.log_density - first.log_density
        difference = path.weight[partner] - path.weight
        log_ratio = difference * (advantage - advantage[partner])
        probability = log_ratio.double().clamp_max(0.0).exp()
        draw = streams.uniform("accept")
        draw = torch.where(lower, draw, draw[partner])  # one decision for both
        swap = (draw < probability) & (partner != row)
        source = torch.where(swap, partner, row)
        density, gradient = path.mixed(
            *(type(part)(*(v[source] for v in part)) for part in (first, second))
        )
        moved = replace(state, x=state.x[source], log_density=density, gradient=gradient)
        carried = {k: moved.memory[k][source] for k in ("walker", "heading", "round_trips")}
        moved = moved.remember(**carried, swaps=state.memory["swaps"] + swap)
        return moved, torch.where(partner == row, torch.nan, probability)

    def _walked(self, state: State) -> State:
        """Count a round trip where a walker returns to the target from the other end."""
        replicas, heading = len(self.ladder), state.memory["heading"]
        place = torch.arange(len(heading), device=heading.device) % replicas
        top, bottom = place == replicas - 1, place == 0
        trips = state.memory["round_trips"] + (top & (heading == 2)).long()
        heading = torch.where(top, 1, torch.where(bottom & (heading == 1), 2, heading))
        return state.remember(heading=heading, round_trips=trips)
