r"""Moves of a kind of their own: proposals, their Metropolis step, and moves one after the other.

A :class:`Proposal` says where to go, and the log-ratio of the densities of proposing the way back and
the way there, :math:`\log q(x \mid x') - \log q(x' \mid x)`; :class:`MetropolisHastings` does the rest.
A :class:`Cycle` of moves leaves π as it is if every part does.

:class:`DelayedAcceptance` lets a cheap density do most of the work and an expensive one decide (Christen
and Fox, 2005): m steps of a kernel that is reversible for the cheap density c lead from x to x', which
is accepted with probability

.. math::
    \min\Bigl(1,\ \frac{\pi(x')\,c(x)}{\pi(x)\,c(x')}\Bigr),

since such steps obey :math:`c(x) K^m(x, x') = c(x') K^m(x', x)`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from samplers.adaptation import AdaptiveStep
from samplers.rng import Streams
from samplers.sampler import Info, Sampler, State, metropolis
from samplers.target import Target

__all__ = [
    "Cycle",
    "DelayedAcceptance",
    "Independent",
    "MetropolisHastings",
    "Proposal",
    "Proposed",
    "RandomWalk",
]


class Proposed(NamedTuple):
    """Points to go to, and log q(x | x') − log q(x' | x) of each."""

    x: Float[Tensor, "n *shape"]
    log_ratio: Float[Tensor, " n"]


class Proposal(ABC):
    """A way to propose points."""

    @abstractmethod
    def propose(self, state: State, streams: Streams) -> Proposed:
        """A point for every chain."""


@dataclass(frozen=True)
class RandomWalk(Proposal):
    """A normal step.

    Attributes:
        scale: standard deviation of every coordinate.
    """

    scale: float

    def propose(self, state: State, streams: Streams) -> Proposed:
        """X plus noise, as likely there as back."""
        noise = state.target.space.normal(streams, "walk", dtype=state.x.dtype)
        return Proposed(state.x + self.scale * noise, torch.zeros_like(state.log_density))


@dataclass(frozen=True, eq=False)
class Independent(Proposal):
    """Draws that do not depend on where the chain is.

    Attributes:
        draw: streams -> points.
        log_density: of the law that they are drawn from, up to a constant.
    """

    draw: Callable[[Streams], Tensor]
    log_density: Callable[[Tensor], Tensor]

    def propose(self, state: State, streams: Streams) -> Proposed:
        """A draw and the ratio of its density there and here."""
        x = self.draw(streams).to(state.x.dtype)
        return Proposed(x, self.log_density(state.x) - self.log_density(x))


@dataclass(frozen=True)
class MetropolisHastings(Sampler):
    """The Metropolis step of a proposal.

    Attributes:
        proposal: where to go.
    """

    proposal: Proposal

    def step(self, state: State, streams: Streams) -> tuple[State, Info]:
        """Propose and decide."""
        x, log_ratio = self.proposal.propose(state, streams)
        new = state.moved(x)
        return metropolis(
            state, new, new.log_density - state.log_density + log_ratio.to(new.log_density), streams
        )


@dataclass(frozen=True)
class Cycle(Sampler):
    """Moves one after the other.

    Attributes:
        parts: the moves. At most one may adapt its step size.
    """

    parts: Sequence[Sampler]

    def __post_init__(self) -> None:
        if not self.parts or sum(isinstance(part, AdaptiveStep) for part in self.parts) > 1:
            raise ValueError(
                f"a cycle of {len(self.parts)} moves; wanted at least one, and at most one with an "
                "adaptive step size, as their memory is shared"
            )

    def begin(self, state: State, streams: Streams) -> State:
        """With the memory of all parts."""
        for k, part in enumerate(self.parts):
            state = part.begin(state, streams.fold(k))
        return state

    def step(self, state: State, streams: Streams) -> tuple[State, Info]:
        """Every move once; the acceptance is that of the adaptive one, or the last."""
        details: dict[str, Tensor] = {}
        acceptance = torch.ones_like(state.log_density)
        for k, part in enumerate(self.parts):
            state, info = part.step(state, streams.fold(k))
            details |= {f"{k} {name}": value for name, value in info.details.items()}
            details[f"{k} acceptance"] = info.acceptance
            if part is self._main:
                acceptance = info.acceptance
        return state, Info(acceptance, details)

    def adapt(self, state: State, info: Info, round_: int) -> State:
        """The adaptive part learns."""
        return self._main.adapt(state, info, round_)

    def adapted(self, state: State) -> State:
        """The adaptive part is frozen."""
        return self._main.adapted(state)

    @property
    def _main(self) -> Sampler:
        adaptive = [part for part in self.parts if isinstance(part, AdaptiveStep)]
        return adaptive[0] if adaptive else self.parts[-1]


@dataclass(frozen=True, eq=False)
class DelayedAcceptance(Sampler):
    """Steps on a cheap target, decided by the expensive one.

    Attributes:
        inner: a reversible kernel, such as HMC or a Metropolis step; no :class:`Cycle` and no BAOAB.
        cheap: what it samples.
        steps: m, inner steps for each decision.
    """

    inner: Sampler
    cheap: Target
    steps: int = 10

    def begin(self, state: State, streams: Streams) -> State:
        """With the inner kernel's state at the same points."""
        return state.remember(
            **_packed(self.inner.init(self.cheap, state.x, streams.fold("inner")))
        )

    def step(self, state: State, streams: Streams) -> tuple[State, Info]:
        """M inner steps and one decision, for one call of the expensive target."""
        before = inside = self._inside(state)
        acceptance = torch.zeros_like(state.log_density, dtype=torch.float64)
        for k in range(self.steps):
            inside, info = self.inner.step(inside, streams.fold("inner").fold(k))
            acceptance += info.acceptance / self.steps
        new = state.moved(inside.x)
        log_ratio = (new.log_density - state.log_density) - (
            inside.log_density - before.log_density
        )
        chosen, info = metropolis(state, new, log_ratio, streams)
        kept = before.where(info.details["accepted"], inside)
        kept = replace(kept, memory=inside.memory)
        return chosen.remember(**_packed(kept)), Info(
            info.acceptance, {**info.details, "inner acceptance": acceptance}
        )

    def adapt(self, state: State, info: Info, round_: int) -> State:
        """The inner kernel learns from its own acceptance."""
        inner = Info(info.details["inner acceptance"])
        return state.remember(**_packed(self.inner.adapt(self._inside(state), inner, round_)))

    def adapted(self, state: State) -> State:
        """The inner kernel is frozen."""
        return state.remember(**_packed(self.inner.adapted(self._inside(state))))

    def _inside(self, state: State) -> State:
        """The inner kernel's state, at the same points."""
        memory = {k.removeprefix("inner "): v for k, v in state.memory.items()}
        own = memory.pop("log_density"), memory.pop("gradient")
        return State(self.cheap, state.x, *own, memory)


def _packed(inside: State) -> dict[str, Tensor]:
    entries = {"log_density": inside.log_density, "gradient": inside.gradient, **inside.memory}
    return {f"inner {name}": value for name, value in entries.items()}
