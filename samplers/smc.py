r"""Sequential Monte Carlo: a population carried from a reference to the target, weighted all the way.

Particles begin as exact draws of a normalised :math:`\pi_0` and follow the path :math:`\pi_\lambda
\propto \pi_0^{1-\lambda} \pi_1^\lambda` (Del Moral, Doucet and Jasra, 2006). With the advantage
:math:`\ell = \log\pi_1 - \log\pi_0` a step from λ to λ + δ multiplies weights and estimate by

.. math::
    W_i \propto W_i\, e^{\delta \ell(x_i)}, \qquad
    \log Z \leftarrow \log Z + \log \sum_i W_i\, e^{\delta \ell(x_i)} ;

particles are resampled where few carry the weight, and moved by a kernel that keeps :math:`\pi_\lambda`.
For a ladder fixed in advance and a kernel that does not adapt, Z is unbiased for any number of
particles and moves.

An adaptive ladder takes the largest δ that leaves the *conditional* effective sample size

.. math::
    n\,\frac{\bigl(\sum_i W_i\, e^{\delta\ell(x_i)}\bigr)^2}{\sum_i W_i\, e^{2\delta\ell(x_i)}}

above a share of n (Zhou, Johansen and Aston, 2016); the estimate is then consistent, with a bias of
order 1/n. Particles of one population depend on each other: error bars come from several.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from samplers.adaptation import AdaptiveStep
from samplers.reweight import kish, systematic
from samplers.rng import Streams
from samplers.sampler import Sampler, StartError, State
from samplers.target import Evaluation, Path, Target

__all__ = ["SMC", "Population"]

_HALVINGS = 50  # of the interval in which δ is sought
_GAIN = 1.0  # change of log step size per missing acceptance


@dataclass(frozen=True, eq=False)
class Population:
    """What a run of SMC gave.

    Attributes:
        x: (n, *shape).
        log_density: of the target, (n,).
        log_weights: (n,), normalised.
        log_z: log of the target's integral over that of the reference.
        ladder: λ that were visited, from 0 to 1.
        acceptance: mean of the moves at each λ but the first.
        ancestors: (n,) which starting particle each descends from.
    """

    x: Tensor
    log_density: Tensor
    log_weights: Tensor
    log_z: float
    ladder: tuple[float, ...]
    acceptance: tuple[float, ...]
    ancestors: Tensor

    @property
    def effective(self) -> float:
        """Kish's effective sample size of the weights."""
        return float(kish(self.log_weights))


@dataclass(frozen=True, eq=False)
class SMC:
    """One population at a time.

    Attributes:
        kernel: moves the particles; an adaptive step size is steered from λ to λ if the ladder adapts.
        moves: steps of the kernel at each λ.
        ladder: λ to visit, rising to 1; None adapts it.
        conditional: share of n that an adapted step leaves effective.
        resample: effective share of n below which particles are resampled.
    """

    kernel: Sampler
    moves: int = 3
    ladder: Sequence[float] | None = None
    conditional: float = 0.9
    resample: float = 0.5

    def __post_init__(self) -> None:
        steps = [0.0, *self.ladder] if self.ladder is not None else [0.0, 1.0]
        if steps[-1] != 1 or any(a >= b for a, b in itertools.pairwise(steps)):
            raise ValueError(f"the ladder {self.ladder}; wanted rising values in (0, 1], up to 1")
        if not (0 < self.conditional < 1 and 0 <= self.resample <= 1 and self.moves >= 0):
            raise ValueError(
                f"conditional {self.conditional}, resample {self.resample}, moves {self.moves}; wanted "
                "shares between 0 and 1, and no negative number of moves"
            )

    def run(
        self,
        reference: Target,
        target: Target,
        x: Float[Tensor, "n *shape"],
        streams: Streams,
    ) -> Population:
        """Carry ``x`` to the target.

        Args:
            reference: normalised.
            target: what to sample.
            x: draws of the reference.
            streams: of the particles; the step counts the moves.

        Raises:
            StartError: no particle lies where the target's density is positive.
        """
        n = len(x)
        path = Path(reference, target, x.new_zeros((), dtype=torch.float64))
        ends = reference.evaluate(x), target.evaluate(x)
        if not (ends[0].log_density.isfinite() & ends[1].log_density.isfinite()).any():
            raise StartError(
                f"none of {n} particles lies where both densities are positive; wanted a reference "
                "that covers the target: widen it, or take more particles"
            )
        state = self.kernel.begin(State(path, x, *path.mixed(*ends)), streams)
        log_weights = torch.full((n,), -math.log(n), dtype=torch.float64)
        ancestors = torch.arange(n, device=x.device)
        weight, log_z, step = 0.0, 0.0, 0
        ladder, acceptance = [0.0], []
        while weight < 1:
            advantage = (ends[1].log_density - ends[0].log_density).double()
            weight, before = self._next(weight, len(ladder), log_weights, advantage), weight
            grown = log_weights + (weight - before) * advantage
            log_z += float(grown.logsumexp(dim=0))
            log_weights = grown - grown.logsumexp(dim=0)
            ladder.append(weight)
            path = path.at(torch.as_tensor(weight, dtype=torch.float64))
            state = replace(state, target=path, **path.mixed(*ends)._asdict())
            if float(kish(log_weights)) < self.resample * n:
                chosen = systematic(log_weights, streams.at(step).fold("resample"))
                state, ancestors = _rows(state, chosen), ancestors[chosen]
                ends = _taken(ends[0], chosen), _taken(ends[1], chosen)
                log_weights = torch.full_like(log_weights, -math.log(n))
            accepted = 0.0
            for _ in range(self.moves):
                step += 1
                state, info = self.kernel.step(state, streams.at(step))
                accepted += float(info.acceptance.mean()) / self.moves
            if self.moves:
                ends = path.parts(state.x, state.log_density, state.gradient)
                acceptance.append(accepted)
                state = self._steered(state, accepted)
        return Population(
            x=state.x,
            log_density=ends[1].log_density,
            log_weights=log_weights,
            log_z=log_z,
            ladder=tuple(ladder),
            acceptance=tuple(acceptance),
            ancestors=ancestors,
        )

    def _next(self, weight: float, place: int, log_weights: Tensor, advantage: Tensor) -> float:
        if self.ladder is not None:
            return self.ladder[place - 1]
        n = len(advantage)

        def effective(delta: float) -> float:
            # particles without weight do not count; −∞ · 0 would be no number
            grown = torch.where(log_weights.isfinite(), log_weights + delta * advantage, -torch.inf)
            return n * math.exp(
                2 * float(grown.logsumexp(dim=0))
                - float((grown + delta * advantage).nan_to_num(nan=-torch.inf).logsumexp(dim=0))
            )

        low, high = 0.0, 1 - weight
        if effective(high) >= self.conditional * n:
            return 1.0
        for _ in range(_HALVINGS):
            middle = (low + high) / 2
            low, high = (
                (middle, high) if effective(middle) >= self.conditional * n else (low, middle)
            )
        # particles of no density cost effective size at any δ: pass them rather than stand still
        return weight + max(low, 1e-6 * (1 - weight), 1e-12)

    def _steered(self, state: State, accepted: float) -> State:
        if self.ladder is not None or not isinstance(self.kernel, AdaptiveStep):
            return state
        change = _GAIN * (accepted - self.kernel.target_acceptance)
        return state.remember(log_step=state.memory["log_step"] + change)


def _taken(part: Evaluation, rows: Tensor) -> Evaluation:
    return Evaluation(*(values[rows] for values in part))


def _rows(state: State, rows: Tensor) -> State:
    return replace(
        state,
        x=state.x[rows],
        log_density=state.log_density[rows],
        gradient=state.gradient[rows],
        memory={name: values[rows] for name, values in state.memory.items()},
    )
