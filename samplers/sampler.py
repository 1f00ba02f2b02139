r"""What every sampler is: ``init``, ``step``, ``Info``, for a batch of independent chains.

A sampler is a frozen set of parameters. All that changes is in the :class:`State`, whose tensors have
one row for each chain; all randomness comes from :class:`samplers.rng.Streams`. So a step is a pure
function, a chain does not know how many others there are, and a state with its step number is a
checkpoint. The loop around it is :mod:`samplers.run`.

Metropolis et al. (1953) and Hastings (1970): a move x → x' that is proposed with density q(x' | x)
and accepted with probability

.. math::
    \min\bigl(1,\ \frac{\pi(x')\,q(x \mid x')}{\pi(x)\,q(x' \mid x)}\bigr)

leaves π as it is. A point of zero density is never accepted.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from samplers.rng import Streams
from samplers.target import Target

__all__ = ["Info", "Sampler", "StartError", "State", "metropolis"]


class StartError(ValueError):
    """Chains that begin where the density is zero or not a number."""


@dataclass(frozen=True, eq=False)
class State:
    """Where the chains are.

    Attributes:
        target: what they sample.
        x: (n, *shape).
        log_density: (n,).
        gradient: of the log-density, (n, *shape).
        memory: what the sampler carries on, such as step sizes; rows are chains.
    """

    target: Target
    x: Tensor
    log_density: Tensor
    gradient: Tensor
    memory: Mapping[str, Tensor] = field(default_factory=dict)

    def remember(self, **entries: Tensor) -> State:
        """The same with these entries of the memory replaced."""
        return replace(self, memory={**self.memory, **entries})

    def moved(self, x: Tensor) -> State:
        """At other points, evaluated."""
        x = self.target.space.wrap(x)
        return replace(self, x=x, **self.target.evaluate(x)._asdict())

    def where(self, chosen: Bool[Tensor, " n"], other: State) -> State:
        """Points of ``other`` where ``chosen``, own ones elsewhere; the own memory."""

        def pick(new: Tensor, old: Tensor) -> Tensor:
            return torch.where(chosen.reshape(-1, *[1] * (old.ndim - 1)), new, old)

        return replace(
            self,
            x=pick(other.x, self.x),
            log_density=pick(other.log_density, self.log_density),
            gradient=pick(other.gradient, self.gradient),
        )


@dataclass(frozen=True, eq=False)
class Info:
    """What a step did.

    Attributes:
        acceptance: probability with which each chain's move was accepted, (n,).
        details: further numbers of each chain.
    """

    acceptance: Float[Tensor, " n"]
    details: Mapping[str, Tensor] = field(default_factory=dict)


class Sampler(ABC):
    """A Markov kernel that leaves the target as it is (or nearly so, where its docstring says it)."""

    def init(self, target: Target, x: Float[Tensor, "n *shape"], streams: Streams) -> State:
        """Begin at ``x``.

        Args:
            target: to sample.
            x: one point a chain.
                streams: of the run; drawn from where the memory begins at random.

        Raises:
            StartError: a point has no density.
        """
        target = self.bind(target, len(x))
        x = target.space.wrap(x)
        state = State(target, x, *target.evaluate(x))
        if bad := torch.nonzero(~state.log_density.isfinite()).flatten().tolist():
            raise StartError(
                f"the log-density at the start of chain {bad[0]} is "
                f"{float(state.log_density[bad[0]])} ({len(bad)} of {len(x)} chains); wanted finite "
                "numbers: start at points where the density is positive"
            )
        return self.begin(state, streams)

    def bind(self, target: Target, chains: int) -> Target:  # noqa: ARG002
        """What the chains sample, row by row: the target itself unless rows differ."""
        return target

    def begin(self, state: State, streams: Streams) -> State:  # noqa: ARG002
        """Add the memory that the sampler starts with."""
        return state

    @abstractmethod
    def step(self, state: State, streams: Streams) -> tuple[State, Info]:
        """One move of every chain.

        Args:
            state: before.
            streams: at this step.
        """

    def visible(self, rows: Tensor) -> Tensor:
        """Of values for each chain, those of the chains that sample the target.

        All of them, except where chains help each other.
        """
        return rows

    def adapt(self, state: State, info: Info, round_: int) -> State:  # noqa: ARG002
        """Learn from a step of the warm-up (rounds 1, 2, ...); nothing is learnt after it."""
        return state

    def adapted(self, state: State) -> State:
        """The warm-up ends: what was learnt is frozen."""
        return state


def metropolis(
    state: State, proposal: State, log_ratio: Float[Tensor, " n"], streams: Streams
) -> tuple[State, Info]:
    """Accept the rows of ``proposal`` with probability min(1, exp(log_ratio)).

    Args:
        state: before.
        proposal: after.
        log_ratio: log π(x') q(x | x') − log π(x) q(x' | x); NaN counts as −∞.
        streams: draws ``accept``.
    """
    probability = log_ratio.double().nan_to_num(nan=-torch.inf).clamp_max(0.0).exp()
    probability = torch.where(proposal.log_density.isfinite(), probability, 0.0)
    accepted = streams.uniform("accept") < probability
    return state.where(accepted, proposal), Info(probability, {"accepted": accepted})
