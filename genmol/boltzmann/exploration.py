"""An independent look at a density: parallel tempering from starts that know nothing of the draws.

States that the draws lack, or have with a wrong weight, show in the comparison. Runs begin where the user
or the toy says; replicas go up to a temperature 1/λ at which barriers of ten kT are no more.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from genmol.boltzmann.agreement import check_two_sets
from genmol.boltzmann.draws import Draws
from genmol.boltzmann.findings import Finding, left_out
from genmol.boltzmann.invariance import Observe
from genmol.boltzmann.views import Codes
from samplers.hmc import HMC
from samplers.run import run
from samplers.sampler import StartError
from samplers.target import Target, TargetError
from samplers.tempering import ParallelTempering, geometric_ladder

__all__ = ["Exploration", "check_exploration"]

_SECTION = "coverage"
_LEAPS = 10
_KEPT = 40
"""Draws of each run."""
_STATES = 50
_LOOKED = 64
"""Draws whose forces set the step size."""
_FEWEST_RUNS = 8


@dataclass(frozen=True)
class Exploration:
    """How long to look.

    Attributes:
        runs: independent ones.
        replicas: in each.
        lowest: λ of the hottest.
        moves: of each replica, of which a third is warm-up.
    """

    runs: int = 64
    replicas: int = 4
    lowest: float = 0.25
    moves: int = 450

    @classmethod
    def within(cls, gradients: int) -> Exploration:
        """As long as a number of gradient calls allows: runs are saved before moves."""
        own = cls()
        each = own.replicas * _LEAPS
        runs = min(own.runs, max(_FEWEST_RUNS, gradients // (each * own.moves)))
        return replace(own, runs=runs, moves=min(3 * own.moves, gradients // (each * runs)))


def check_exploration(
    target: Target,
    starts: Tensor,
    draws: Draws,
    x: Tensor,
    log_density: Tensor,
    *,
    local: Observe,
    codes: Codes | None,
    seed: int,
    settings: Exploration,
) -> list[Finding]:
    """Populations and observables of the draws against those of independent runs.

    Args:
        target: what is sampled.
        starts: points (k, *shape) of positive density; runs begin there in turn.
        draws: weights and runs.
        x: points (m, *shape).
        log_density: (m,).
        local: observables; must be finite.
        codes: of states; None for a density without.
        seed: of the runs.
        settings: how long to look.
    """
    if settings.moves < 60:
        why = "no calls were left for independent runs"
        return [left_out("independent runs", section=_SECTION, part="weights", why=why)]
    ladder = geometric_ladder(settings.lowest, settings.replicas)
    runs = max(settings.runs, len(starts))  # few starts are used again: errors need runs
    begin = starts[torch.arange(runs) % len(starts)].repeat_interleave(settings.replicas, dim=0)
    try:
        # forces where the draws are say how far a step may go; starts may be at maxima, without any
        some = x[torch.linspace(0, len(x) - 1, min(len(x), _LOOKED)).long()]
        square = target.evaluate(some).gradient.flatten(1).square().sum(dim=1).median()
        step = 0.3 * float((target.space.dimension / square.clamp_min(1e-300)).sqrt())
        warm_up = settings.moves // 3
        thin = max(1, (settings.moves - warm_up) // _KEPT)
        sampler = ParallelTempering(HMC(step_size=step, leaps=_LEAPS), ladder)
        found = run(sampler, target, begin, seed=seed, warm_up=warm_up, draws=_KEPT, thin=thin)
    except (StartError, TargetError) as error:
        return [left_out("independent runs", section=_SECTION, part="weights", why=str(error))]
    k, n = found.x.shape[:2]
    others = found.x.transpose(0, 1).flatten(0, 1)
    label = torch.arange(n).repeat_interleave(k)
    other_draws = Draws.of(k * n, runs=label.numpy())
    findings = []
    if codes is not None:
        first, second = codes(x), codes(others)
        states = torch.cat([first, second]).unique(return_counts=True)
        common = states[0][states[1].argsort(descending=True)][:_STATES].tolist()
        pairs = [(f"state {s}", (first == s).double(), (second == s).double()) for s in common]
        findings.append(
            check_two_sets(
                "populations against independent runs", draws, other_draws, pairs, section=_SECTION
            )
        )
    mine, theirs = local(x), local(others)
    pairs = [("energy, in kT", -log_density, -found.log_density.T.flatten())]
    pairs += [(name, value, theirs[name]) for name, value in mine.items()]
    findings.append(
        check_two_sets(
            "observables against independent runs", draws, other_draws, pairs, section=_SECTION
        )
    )
    return findings
