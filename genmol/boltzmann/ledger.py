"""What a run must know of itself afterwards, kept in the state so that a killed run forgets nothing."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from genmol.potentials.contract import Potential
from samplers.rng import Streams
from samplers.sampler import Info, Sampler, State
from samplers.target import Target

__all__ = ["Ledger", "failures", "swap_rates", "sweeps"]


@dataclass(frozen=True, eq=False)
class Ledger(Sampler):
    """Another sampler, with the failures of a potential and the rates of exchanges on record.

    Attributes:
        inner: the sampler, whose chains are groups of ``replicas`` rows.
        potential: whose failures are counted.
        replicas: rows of a group; 1 without exchanges.
    """

    inner: Sampler
    potential: Potential
    replicas: int = 1

    def bind(self, target: Target, chains: int) -> Target:
        """As the inner sampler."""
        return self.inner.bind(target, chains)

    def begin(self, state: State, streams: Streams) -> State:
        """With empty records."""
        state = self.inner.begin(state, streams)
        zero = torch.zeros_like(state.log_density)
        return state.remember(
            failures=zero, burn_in_failures=zero, sweeps=zero, exchanged=zero, exchanges=zero
        )

    def step(self, state: State, streams: Streams) -> tuple[State, Info]:
        """A step of the inner sampler, noted."""
        before = self.potential.calls.failures
        state, info = self.inner.step(state, streams)
        noted = state.memory["failures"].clone()
        noted[0] += self.potential.calls.failures - before
        state = state.remember(failures=noted, sweeps=state.memory["sweeps"] + 1)
        if (rate := info.details.get("swap")) is not None:
            # the lower row of a pair stands for it; its upper neighbour has the same number
            place = torch.arange(len(rate)) % self.replicas
            lower = (place % 2 == streams.step % 2) & (place < self.replicas - 1)
            state = state.remember(
                exchanged=state.memory["exchanged"] + torch.where(lower, rate, 0.0),
                exchanges=state.memory["exchanges"] + lower.double(),
            )
        return state, info

    def visible(self, rows: Tensor) -> Tensor:
        """As the inner sampler."""
        return self.inner.visible(rows)

    def adapt(self, state: State, info: Info, round_: int) -> State:
        """The inner sampler learns."""
        return self.inner.adapt(state, info, round_)

    def adapted(self, state: State) -> State:
        """The inner sampler is frozen; exchanges and failures are counted anew from here."""
        state = self.inner.adapted(state)
        zero, burn_in = torch.zeros_like(state.memory["exchanged"]), state.memory["failures"]
        return state.remember(
            exchanged=zero, exchanges=zero, failures=zero, burn_in_failures=burn_in
        )


def swap_rates(state: State, replicas: int) -> Float[Tensor, " gaps"]:
    """Mean probability of each exchange between neighbours; NaN where none was tried."""
    done, tried = (
        state.memory[name].reshape(-1, replicas).sum(dim=0)[: replicas - 1]
        for name in ("exchanged", "exchanges")
    )
    return done / tried


def sweeps(state: State) -> int:
    """Steps taken."""
    return int(state.memory["sweeps"][0])


def failures(state: State) -> tuple[int, int]:
    """Calls without an energy in the burn-in, and after it."""
    return int(state.memory["burn_in_failures"].sum()), int(state.memory["failures"].sum())
