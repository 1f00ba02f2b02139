r"""From the paths of a score to samples of the density, with forces: resampled, then moved.

Ends x of paths with weights w (:mod:`genmol.boltzmann.weighted`) stand for the density p, but while a
score has learnt little, a few of them carry all of the weight. They are resampled by :math:`w^\tau`, with
the largest :math:`\tau \le 1` that leaves a share of them effective, which is to sample

.. math:: q^{1-\tau}\, p^\tau

in place of p, q being what the score generates: nearer to p than q is, and p itself as soon as
:math:`\tau = 1`. Each sample then goes a few steps of a Markov chain that leaves p as it is, the more the
smaller τ is. That parts copies and mends the shape of basins; shares of basins it can leave as they are,
so a tempered set is biased, and a score that learns from it generates paths of better weights, and so on.

A score that has learnt little also puts particles into each other, where chains would get stuck. So
weights are truncated first. Older samples have the energies of p, if not its shares, and 96 % of them a
log-density between l and h: a path below l − (h − l) has no weight, which takes next to nothing from p.
Where fewer paths are left than samples are wanted, chains go on from older samples for the rest.

The gradient at the last step is known, so forces cost nothing more.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from genmol.boltzmann.tuning import total_calls
from genmol.boltzmann.weighted import Weighted
from samplers.reweight import kish, systematic
from samplers.rng import Streams
from samplers.run import run
from samplers.sampler import Sampler
from samplers.target import Calls, Target

__all__ = ["Corrected", "corrected", "exponent"]

_HALVINGS = 40
_MOST = 4.0  # times as many steps where weights are tempered, at most
_OUTER = 0.02  # of older samples, on each side


@dataclass(frozen=True, eq=False)
class Corrected:
    """Samples of the density, nearly.

    Attributes:
        x: (m, *shape).
        log_density: (m,).
        gradient: of the log-density, (m, *shape).
        exponent: τ; NaN where no path had a weight.
        kept: share of the paths that had one after truncation.
        resampled: how many began at paths; the others went on from older samples.
        transitions: steps of each.
        acceptance: mean of the steps.
        calls: that the steps took.
    """

    x: Float[Tensor, "m *shape"]
    log_density: Float[Tensor, " m"]
    gradient: Float[Tensor, "m *shape"]
    exponent: float
    kept: float
    resampled: int
    transitions: int
    acceptance: float
    calls: Calls


def exponent(log_weights: Float[Tensor, " n"], share: float) -> float:
    """The largest τ in [0, 1] for which w^τ has an effective size of a share of n.

    Args:
        log_weights: finite, up to a constant.
        share: in (0, 1).
    """
    n = len(log_weights)

    def enough(tau: float) -> bool:
        return float(kish(tau * log_weights)) >= share * n

    if enough(1.0):
        return 1.0
    low, high = 0.0, 1.0
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if enough(middle) else (low, middle)
    return low


def corrected(
    paths: Weighted,
    older: tuple[Float[Tensor, "k *shape"], Float[Tensor, " k"]],
    target: Target,
    kernel: Sampler,
    *,
    count: int,
    transitions: int,
    share: float,
    seed: int,
    checkpoint: Path | None = None,
    identity: str = "",
) -> Corrected:
    """Resample, and move what was resampled.

    Args:
        paths: of a score.
        older: samples and their log-densities, to go on from where paths do not suffice.
        target: the density p.
        kernel: leaves p as it is; its step size stays.
        count: of samples.
        transitions: steps of each where nothing is tempered, 1/τ as many elsewhere, at least one.
        share: of the paths with a weight that resampling leaves effective.
        seed: of the streams.
        checkpoint: file to resume from.
        identity: of the work.
    """
    streams = Streams.of(seed=seed, chains=max(count, 1)).fold("correction")
    points, known = older
    low, high = known.quantile(known.new_tensor([_OUTER, 1 - _OUTER]))
    alive = paths.alive & (paths.log_density >= low - (high - low))
    x, logs = paths.x[alive], paths.log_weights[alive]
    resampled = min(count, len(x))
    tau = exponent(logs, share) if len(x) else float("nan")
    begin = [x[systematic(tau * logs, streams, count=resampled)]] if resampled else []
    if (rest := count - resampled) > 0:
        begin.append(points[torch.linspace(0, len(points) - 1, rest).long()])
    more = min(1 / tau, _MOST) if tau > 0 else _MOST  # NaN is not
    transitions = math.ceil(transitions * more)
    found = run(
        kernel, target, torch.cat(begin), seed=seed, draws=transitions, checkpoint=checkpoint,
        identity=identity,
    )  # fmt: skip
    state = found.state
    return Corrected(
        x=state.x,
        log_density=state.log_density,
        gradient=state.gradient,
        exponent=tau,
        kept=float(alive.double().mean()),
        resampled=resampled,
        transitions=transitions,
        acceptance=float(found.details["acceptance"].mean()),
        calls=total_calls(found),
    )
