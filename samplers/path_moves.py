r"""Fresh paths of a generator as moves of a chain, chosen by their weights.

A generator draws paths z = (x, y) with the density f(z): its noise first, then the kernels down to the
end x, with all points before it in y. Kernels back from x give y the density b(y | x), which is
normalised. So, with the target π on the ends,

.. math:: w(z) = \pi(x)\,b(y \mid x) / f(z)

is the path weight of :mod:`samplers.path_weight`, and a law on paths whose ends are distributed as π is
:math:`\bar\pi(z) = \pi(x)\,b(y \mid x)`. One move from x, with K fresh paths:

1. *Retrace.* Draw :math:`y_0` from b(· | x), which takes noise, but no call of π. If x was distributed
   as π, :math:`z_0 = (x, y_0)` is as :math:`\bar\pi`, whatever y the chain arrived by: nothing of a path
   need be remembered, and other moves may have changed x in between.
2. *Propose.* Draw :math:`z_1, \dots, z_K` from f, one call of π each.
3. *Choose* one of the K + 1, each with probability :math:`w(z_k) / \sum_j w(z_j)`; its end is the new x.

Put the current path at a random place J of the K + 1. Then places and paths are distributed as

.. math::
    \frac{1}{K+1}\,\bar\pi(z_J) \prod_{k \ne J} f(z_k) = \frac{w(z_J)}{K+1} \prod_k f(z_k) ,

so that J, given the paths, is k with the probability of step 3: the step draws J anew from its
conditional law, which leaves the joint law as it is, and with it :math:`\bar\pi` and its margin π. This
holds for *any* generator, number of steps and K; ends of a bad one are seldom chosen. As x leads to the
paths by their law given x, and these to the new x by its law given them, the move is also reversible. At
K = 1 it is Barker's form of the Metropolis step.

Weights drawn anew instead of Metropolis' ratio with one proposal: the retraced path costs as much as a
fresh one, and is shared by K of them; and where weights scatter, the best of K is taken.

Chains that only vibrate in their wells come to others in this way, and populations follow. The target is
asked K times for each move and once more, for its gradient, where it leads elsewhere.

References: Andrieu, Lee and Vihola (2018), iterated sampling importance resampling; Andrieu and Roberts
(2009), of chains on unbiased weights; Gabrié, Rotskoff and Vanden-Eijnden (2022), of generators and local
moves in turn.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import final

import torch
from jaxtyping import Float
from torch import Tensor

from samplers.rng import Streams
from samplers.sampler import Info, Sampler, State
from samplers.sde import Paths

__all__ = ["PathMoves", "expected_acceptance"]


@final
@dataclass(frozen=True, eq=False)
class PathMoves(Sampler):
    """A choice between where the chain is and the ends of fresh paths.

    Attributes:
        generate: streams to fresh paths, one for each; weights without π, −∞ where it needs no call.
        retrace: points and streams to paths that noise takes from them, weighted in the same way.
        tries: K.
        every: steps of a run for each move; nothing happens at the others.
    """

    generate: Callable[[Streams], Paths]
    retrace: Callable[[Tensor, Streams], Paths]
    tries: int = 8
    every: int = 1

    def step(self, state: State, streams: Streams) -> tuple[State, Info]:
        """One move, if it is time; ``every`` times its mean acceptance is that of a move."""
        if streams.step % self.every:
            return state, Info(torch.zeros_like(state.log_density, dtype=torch.float64))
        # paths count steps of their own
        here, n = streams.fold(f"paths {streams.step}"), len(state.x)
        own = _log_weights(self.retrace(state.x, here)) + state.log_density
        owner = torch.arange(n).repeat_interleave(self.tries)
        chains = self.tries * streams.chains[owner] + torch.arange(self.tries).repeat(n)
        fresh = self.generate(replace(here, chains=chains))
        logs = _log_weights(fresh)
        asked = logs.isfinite()
        if bool(asked.any()):
            known = state.target.rows(owner[asked]).log_density(fresh.x[asked])
            logs[asked] = logs[asked] + known.double()
        shares = torch.cat([own[:, None], logs.unflatten(0, (n, self.tries))], dim=1).softmax(dim=1)
        chosen = here.choice("choose", shares)
        (rows,) = chosen.nonzero(as_tuple=True)
        if len(rows):
            ends = fresh.x.unflatten(0, (n, self.tries))[rows, chosen[rows] - 1]
            state = _placed(state, rows, ends.to(state.x.dtype))
        return state, Info(1 - shares[:, 0], {"accepted": (chosen > 0).double()})


def expected_acceptance(
    own: Float[Tensor, " n"], fresh: Float[Tensor, " m"], *, tries: int, streams: Streams
) -> float:
    """How often a move would lead elsewhere, by weights that are known already.

    Args:
        own: log-weights of retraced paths of the target.
        fresh: of generated ones, −∞ without a weight.
        tries: K.
        streams: as many as ``own``, for the choice of K.
    """
    drawn = fresh[streams.integers("tries", len(fresh), tries)]
    shares = torch.cat([own[:, None], drawn], dim=1).double().softmax(dim=1)
    return float((1 - shares[:, 0]).mean())


def _log_weights(paths: Paths) -> Tensor:
    """Without the target."""
    if paths.weight is None:
        raise ValueError("got paths without weights; generate them with weighted=True")
    return paths.weight.log_weight.double()


def _placed(state: State, rows: Tensor, x: Tensor) -> State:
    """These rows at other points, evaluated."""
    new = state.target.rows(rows).evaluate(x)
    return replace(
        state,
        x=state.x.index_copy(0, rows, x),
        log_density=state.log_density.index_copy(0, rows, new.log_density),
        gradient=state.gradient.index_copy(0, rows, new.gradient),
    )
