"""How Markov chains sample a density: a pilot first, and then what it says.

The pilot is Hamiltonian Monte Carlo from where the chains begin. Where its runs agree, it goes on;
where they do not, barriers separate them, and parallel tempering takes over. With a trained score,
moves to its fresh paths cross the barriers instead, if they will be accepted now and then: one of them
for about every effective draw that local moves make.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final, Literal

from torch import Tensor

from genmol.boltzmann.generator import ScoreGenerator
from genmol.boltzmann.ladder import first_ladder
from genmol.boltzmann.path_chains import WORTH, fitting_moves
from genmol.boltzmann.systems import System
from genmol.boltzmann.weighted import Weighted
from samplers.diagnostics import ess_bulk, rhat
from samplers.hmc import HMC
from samplers.moves import Cycle
from samplers.path_moves import PathMoves
from samplers.rng import Streams
from samplers.run import Run, run
from samplers.sampler import Sampler
from samplers.tempering import ParallelTempering

__all__ = ["Chains", "chains_for", "observables"]

_LEAPS = 10
_PILOT = 200  # draws of each run, after as many moves to warm up
_APART = (
    1.2  # R-hat beyond which runs of the pilot disagree; slow ones reach 1.1 in such a short time
)
_HOTTEST = 20.0  # temperatures of tempering
_SWAP = 0.3
_LONGEST, _SHORTEST, _BEARABLE = 16.0, 1e-9, 0.8  # first step size, and its acceptance
_LOOKS = 8  # draws of each run of the pilot, of which it is asked how well a score knows them
_SELDOM: Final = 50
"""Steps for each move to fresh paths, at most."""


@dataclass(frozen=True, eq=False)
class Chains:
    """What is to be run.

    Attributes:
        sampler: the kernel.
        begin: where, (chains, *shape).
        replicas: chains for each one that is seen.
        warm_up: steps.
        method: its name.
        reason: why it was taken.
        pilot: that has been run.
    """

    sampler: Sampler
    begin: Tensor
    replicas: int
    warm_up: int
    method: Literal["hmc", "tempering", "paths"]
    reason: str
    pilot: Run

    def told(self, found: Run) -> dict[str, float]:
        """What the run of the sampler says of it, for the record."""
        if self.method != "paths":
            return {}
        assert isinstance(self.sampler, Cycle)
        *_, moves = self.sampler.parts
        assert isinstance(moves, PathMoves)
        rate = float(found.details["1 acceptance"].mean()) * moves.every
        return {
            "steps_for_a_path_move": moves.every,
            "paths_tried": moves.tries,
            "path_moves_accepted": rate,
        }


def chains_for(
    system: System,
    x: Tensor,
    method: str,
    *,
    seed: int,
    folder: Path,
    score: tuple[ScoreGenerator, Weighted] | None = None,
) -> Chains:
    """Run the pilot and go by it.

    Args:
        system: what is sampled.
        x: where runs begin.
        method: ``hmc`` or ``tempering``; anything else goes by the pilot.
        seed: of the streams.
        folder: of its checkpoint.
        score: a generator and draws of it, to make moves of.
    """
    hmc = HMC(step_size=_bearable(system, x, seed), leaps=_LEAPS)
    pilot = run(
        hmc, system.target, x, seed=seed, draws=_PILOT, warm_up=_PILOT,
        checkpoint=folder / "pilot.pt", identity=system.description["sha256"],
    )  # fmt: skip
    last = pilot.state
    local = HMC(step_size=float(last.memory["log_step"].exp().median()), leaps=_LEAPS)
    if score is not None:
        generator, found = score
        some = slice(None, None, max(len(pilot.x) // _LOOKS, 1))
        x, log_density = (values[some].flatten(0, 1) for values in (pilot.x, pilot.log_density))
        moves, rate = fitting_moves(generator, x, log_density, found, every=_pace(pilot), seed=seed)
        if rate >= WORTH:
            why = (
                f"with a choice among {moves.tries} fresh paths of the score every {moves.every} steps, "
                f"to be taken in {rate:.1%} of cases"
            )
            return Chains(Cycle((local, moves)), last.x, 1, _PILOT, "paths", why, pilot)
    asked = method in ("hmc", "tempering")
    taken, why = (method, "asked for") if asked else _agreed(system, pilot)
    if taken == "hmc":
        return Chains(local, last.x, 1, _PILOT, "hmc", why, pilot)
    ladder = first_ladder(system.target.space.dimension, 1 / _HOTTEST, acceptance=_SWAP)
    begin = last.x.repeat_interleave(len(ladder), dim=0)
    tempered = ParallelTempering(local, ladder)
    return Chains(tempered, begin, len(ladder), _PILOT, "tempering", why, pilot)


def _agreed(system: System, pilot: Run) -> tuple[str, str]:
    """A method by what its runs have in common, and why."""
    series = [pilot.log_density.mT]
    flat = pilot.x.flatten(0, 1)
    series += [
        f(flat).reshape(pilot.log_density.shape).double().mT
        for f in observables(system, flat).values()
    ]
    worst = max(float(rhat(one)) for one in series)
    if worst <= _APART:
        return "hmc", f"runs of a pilot agree (R-hat {worst:.3f})"
    return "tempering", f"runs of a pilot disagree (R-hat {worst:.2f})"


def _pace(pilot: Run) -> int:
    """Steps for one effective draw of the density."""
    effective = float(ess_bulk(pilot.log_density.mT))
    steps = pilot.log_density.numel() / max(effective, 1.0) if math.isfinite(effective) else _SELDOM
    return int(min(max(round(steps), 1), _SELDOM))


def _bearable(system: System, x: Tensor, seed: int) -> float:
    """A step size that most single steps from the starts are accepted with: forces alone do not tell.

    At a maximum of the density there are none, and far out they are larger than anywhere else.
    """
    streams, step = Streams.of(seed=seed, chains=len(x)).fold("first step"), _LONGEST
    while step > _SHORTEST:
        sampler = HMC(step_size=step, leaps=1)
        _, info = sampler.step(sampler.init(system.target, x, streams), streams.at(1))
        if float(info.acceptance.median()) > _BEARABLE:
            break
        step /= 2
    return step


def observables(system: System, x: Tensor) -> dict[str, Callable[[Tensor], Tensor]]:
    """What effective sizes are asked of; of states, if the points are in more than one."""

    def one(name: str, points: Tensor) -> Tensor:
        return system.local(points)[name]

    found: dict[str, Callable[[Tensor], Tensor]] = {
        name: partial(one, name) for name in system.local(x)
    }
    if (codes := system.codes) is not None and len(codes(x).unique()) > 1:
        found["state"] = lambda points: codes(points).double()
    return found
