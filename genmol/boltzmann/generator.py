r"""A trained score as a generator: samples from noise, each with a weight that makes it right.

Levels of noise fall from σ_high to σ_low in equal ratios and then to none. Every step is a normal kernel
(:mod:`samplers.tweedie`), so that the path weight

.. math::
    \log w = -\beta U(x_0) + \sum_k \log B(x_{k+1} \mid x_k) - \log p(x_K)
             - \sum_k \log F(x_k \mid x_{k+1})

costs one energy and no divergence (:mod:`samplers.path_weight`). Its mean is Z for any error of the score
and any number of steps; its variance says how good both are. What the network wrongly weighs, basins
among it, weights put right as far as the generator goes there at all; :meth:`ScoreGenerator.retrace`
puts noise on samples from elsewhere and finds out.

The width of a step needs J(σ), the mean square of the score under noise. It is measured along paths of a
pilot, with streams of its own, and then fixed: weights stay unbiased.
"""

from __future__ import annotations

import hashlib
import io
import math
from dataclasses import dataclass
from typing import final

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from genmol.boltzmann.score_batch import Particles, ScoreBatch
from genmol.boltzmann.score_model import ScoreModel
from samplers.rng import Streams
from samplers.schedules import Exploding
from samplers.sde import Paths, generate, retrace
from samplers.spaces import MeanFree
from samplers.tweedie import Tweedie

__all__ = ["ScoreGenerator", "noise_levels"]

_PILOT = 256  # paths; fewer cost effective size
_ATOMS = 1024  # of a batch of the network: what fits in a processor's cache


def noise_levels(low: float, high: float, steps: int) -> Float[Tensor, " levels"]:
    """``steps`` + 1 levels, from ``high`` to ``low`` in equal ratios and then zero."""
    levels = torch.logspace(math.log10(high), math.log10(low), steps, dtype=torch.float64)
    return torch.cat([levels, levels.new_zeros(1)])


@final
@dataclass(frozen=True, eq=False)
class ScoreGenerator:
    """A score model of one system, ready to generate.

    Attributes:
        model: the network, in evaluation.
        system: what is generated.
        steps: of a path, and calls of the network.
        information: J at the noisy end of each step; of normal data until :meth:`piloted`.
    """

    model: ScoreModel
    system: Particles
    steps: int
    information: tuple[float, ...] = ()

    @classmethod
    def piloted(
        cls, model: ScoreModel, system: Particles, *, steps: int, seed: int
    ) -> ScoreGenerator:
        """With J measured along paths.

        Args:
            model: the network.
            system: what is generated.
            steps: of a path.
            seed: of the pilot.
        """
        first = cls(model.eval(), system, steps)
        seen: list[float] = []

        def watched(x: Tensor, t: Tensor) -> Tensor:
            score = first.score(x, t)
            seen.append(float(score.square().sum()) / (len(x) * system.degrees))
            return score

        streams = Streams.of(seed=seed, chains=_PILOT).fold("pilot")
        generate(
            watched, first._reverse, first.times, streams, space=first.space,
            scale=first.prior, weighted=False,
        )  # fmt: skip
        return cls(first.model, system, steps, tuple(seen))

    def __reduce__(self) -> tuple[object, tuple[bytes]]:
        """As bytes: tensors on their own would go to other processes as shared memory."""
        buffer = io.BytesIO()
        torch.save((self.model, self.system, self.steps, self.information), buffer)
        return _revived, (buffer.getvalue(),)

    @property
    def identity(self) -> str:
        """A hash of all that decides the draws."""
        digest = hashlib.sha256(f"{self.steps} {self.model.config} {self.information}".encode())
        for weight in self.model.state_dict().values():
            digest.update(weight.contiguous().numpy().tobytes())
        return digest.hexdigest()[:16]

    @property
    def space(self) -> MeanFree:
        """Of the samples."""
        return MeanFree(len(self.system.numbers), self.system.dimension)

    @property
    def schedule(self) -> Exploding:
        """Of the noise; beyond both ends of the levels."""
        return Exploding(self.model.config.low, 1.01 * self.model.config.high)

    @property
    def levels(self) -> Float[Tensor, " levels"]:
        """Of noise, falling to zero."""
        return noise_levels(self.model.config.low, self.model.config.high, self.steps)

    @property
    def times(self) -> Float[Tensor, " levels"]:
        """Of the levels."""
        return self.schedule.when(self.levels)

    @property
    def prior(self) -> float:
        """Standard deviation of what paths begin with."""
        c = self.model.config
        return math.hypot(c.high, math.sqrt(c.spread * self.system.size))

    @property
    def _reverse(self) -> Tweedie:
        c = self.model.config
        b = sum(c.stiffness.values()) / len(c.stiffness)
        if not self.information:

            def normal(t: float) -> float:
                sigma = self.schedule.sigma(torch.tensor(t, dtype=torch.float64))
                return b / (1 + b * float(sigma) ** 2)

            return Tweedie(self.schedule, normal)
        times, measured = self.times[:-1].flip(0).numpy(), np.array(self.information)[::-1]
        return Tweedie(self.schedule, lambda t: float(np.interp(t, times, measured)))

    @torch.no_grad()
    def score(
        self, x: Float[Tensor, "n *shape"], t: Float[Tensor, ""]
    ) -> Float[Tensor, "n *shape"]:
        """The network's score at a time, in the type of x.

        Args:
            x: (n, particles, dimension).
            t: of the schedule.
        """
        sigma, dtype = float(self.schedule.sigma(t)), next(self.model.parameters()).dtype
        found = []
        for part in x.split(max(1, _ATOMS // x.shape[1])):
            batch = ScoreBatch.of(self.system, part.to(dtype))
            levels = torch.full((len(part),), sigma, dtype=dtype)
            flat = self.model(batch, batch.x, levels)
            found.append(flat.reshape(*part.shape[:2], 3)[..., : x.shape[2]])
        return torch.cat(found).to(x.dtype)

    def draw(self, streams: Streams) -> Paths:
        """A sample for each chain, with the weight of its path."""
        return generate(
            self.score, self._reverse, self.times, streams, space=self.space, scale=self.prior
        )

    def retrace(self, x: Float[Tensor, "n *shape"], streams: Streams) -> Paths:
        """The weights that samples would have, from paths that noise takes from them."""
        return retrace(
            self.score, self._reverse, x, self.times, streams, space=self.space, scale=self.prior
        )


def _revived(content: bytes) -> ScoreGenerator:
    """What another process of ours packed."""
    return ScoreGenerator(*torch.load(io.BytesIO(content), weights_only=False))
