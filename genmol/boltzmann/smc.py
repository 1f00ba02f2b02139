r"""Boltzmann conformers by sequential Monte Carlo: populations cooled from a hot ensemble.

The second, independent method beside parallel tempering: nothing is exchanged, no chain has to cross a
barrier at the temperature asked for, and the shares of basins come from weights. At a temperature
T₀ where barriers are low, chains of sweeps give particles that follow π₀ ∝ exp(−U/kT₀). The path

.. math:: \log\pi_\lambda = -\Bigl[(1-\lambda)\frac{T}{T_0} + \lambda\Bigr] \frac{U}{kT}

is cooling, with both ends from one call of the potential. :class:`samplers.smc.SMC` chooses the steps
of λ, weights and resamples the particles and moves them with sweeps, whose step size follows the
temperature.

Populations are independent, each with its hot chains, its streams and an estimate of Z/Z₀, all of the
same expectation; a particle's weight among all populations is its weight in its own times that estimate.
Particles of a population share ancestors, so errors come from the populations. Resampling keeps
neighbours together, so what shared ancestry costs shows in the effective size of the list as well.

π₀ is sampled by chains rather than exactly; their burn-in is long in correlation times at T₀.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast, final

import torch
from torch import Tensor

from genmol.boltzmann.ensemble import Ensemble
from genmol.boltzmann.ledger import Ledger, failures
from genmol.boltzmann.problem import Problem
from genmol.boltzmann.settings import Stage, Watch, working_folder
from genmol.boltzmann.sweep import Moves
from genmol.boltzmann.tuning import total_calls
from genmol.core.errors import InputError
from genmol.core.files import atomic_path
from genmol.core.jsonable import jsonable
from samplers.rng import Streams
from samplers.run import Budget, ResumeError, Run, run
from samplers.smc import SMC
from samplers.spaces import Space
from samplers.target import Calls, Counted, Evaluation, Target

__all__ = ["SMCSettings", "sample_smc"]

_OTHER_SEED = 0xD1B54A32D192ED03  # of cooling


@dataclass(frozen=True, kw_only=True)
class SMCSettings:
    """How to cool.

    Attributes:
        populations: independent ones; errors need eight.
        particles: of each.
        hottest: T₀, K.
        chains: hot ones for each population.
        burn_in: hot sweeps before the first particle.
        spacing: hot sweeps between particles of a chain.
        sweeps: at each λ.
        conditional: share of particles that a step of λ leaves effective.
        resample: effective share below which particles are resampled.
        moves: of a sweep.
    """

    populations: int = 8
    particles: int = 256
    hottest: float = 1000.0
    chains: int = 32
    burn_in: int = 60
    spacing: int = 4
    sweeps: int = 1
    conditional: float = 0.85
    resample: float = 0.5
    moves: Moves = field(default_factory=Moves)

    def __post_init__(self) -> None:
        counts = self.populations, self.chains, self.spacing, self.sweeps, self.burn_in
        if min(counts) < 1 or self.particles < self.chains or self.particles % self.chains:
            raise InputError(
                got=f"{self}",
                wanted="at least one of everything, and a multiple of the chains as particles",
                remedy="leave the defaults",
            )


@final
class _Once(Target):
    """Another target that answers at once when asked about the same points again."""

    def __init__(self, inner: Target) -> None:
        self.inner = inner
        self._asked: Tensor | None = None
        self._answer: Evaluation

    @property
    def space(self) -> Space:
        """The inner one's."""
        return self.inner.space

    def log_density(self, x: Tensor) -> Tensor:
        """The inner one's."""
        return self.evaluate(x).log_density

    def evaluate(self, x: Tensor) -> Evaluation:
        """The inner one's, or what it said last."""
        if x is not self._asked:
            self._asked, self._answer = x, self.inner.evaluate(x)
        return self._answer


@final
@dataclass(frozen=True, eq=False)
class _Hot(Target):
    """A power of a target: the same energies at another temperature."""

    base: Target
    power: float

    @property
    def space(self) -> Space:
        """The inner one's."""
        return self.base.space

    def log_density(self, x: Tensor) -> Tensor:
        """Scaled."""
        return self.power * self.base.log_density(x)

    def evaluate(self, x: Tensor) -> Evaluation:
        """Scaled."""
        found = self.base.evaluate(x)
        return Evaluation(self.power * found.log_density, self.power * found.gradient)


def sample_smc(
    problem: Problem,
    *,
    seed: int,
    settings: SMCSettings | None = None,
    budget: Budget | None = None,
    folder: Path | None = None,
    progress: Watch = lambda _: None,
) -> Ensemble:
    """Cool populations, or go on with the work in ``folder``.

    Args:
        problem: molecule, potential, temperature, conformers to begin with.
        seed: of the streams.
        settings: how; the defaults when None.
        budget: calls and seconds after which no further population is begun.
        folder: for checkpoints, one file for each population; none are kept when None.
        progress: called after every hot sweep and every population.

    Raises:
        InputError: bad conformers, a folder of other work, or a hottest temperature that is not.
        DeliveryError: the potential failed everywhere; what was finished is saved.
    """
    settings, budget = settings or SMCSettings(), budget or Budget()
    if settings.hottest <= problem.temperature:
        raise InputError(
            got=f"a hottest temperature of {settings.hottest:g} K for {problem.temperature:g} K",
            wanted="a higher one",
            remedy="take 1000 K, or parallel tempering with one replica",
        )
    zero = float(problem.start_energies.min())
    target = problem.target(reference_energy=zero)
    identity = problem.identity(settings)
    found: list[_Cooled] = []
    with working_folder(folder) as where:
        hot = _heated(problem, settings, target, seed, where, identity, progress)
        seconds = hot.seconds
        for k in range(settings.populations):
            spent = total_calls(hot).gradients + sum(p.gradients for p in found)
            late = budget.seconds is not None and seconds >= budget.seconds
            if found and (late or (budget.calls is not None and spent >= budget.calls)):
                break
            file = where / f"population-{k}.pt"
            one = _Cooled.load(file, identity) if file.exists() else None
            if one is None:
                one = _cooled(problem, settings, target, seed, hot, k)
                one.save(file, identity)
            found.append(one)
            seconds += one.seconds
            progress(Stage("cooling", k + 1, settings.populations, seconds,
                           one.acceptance, None))  # fmt: skip
    return _ensemble(problem, settings, seed, zero, hot, found)


def _heated(
    problem: Problem,
    settings: SMCSettings,
    target: Target,
    seed: int,
    where: Path,
    identity: str,
    progress: Watch,
) -> Run:
    """Chains at the hottest temperature, those of a population next to each other."""
    each, burn_in = settings.particles // settings.chains, settings.burn_in
    sweep = problem.sweep(settings.moves, dart=problem.dart)
    return run(
        Ledger(sweep, problem.forgiving), _Hot(target, problem.temperature / settings.hottest),
        problem.begin(settings.populations * settings.chains), seed=seed, draws=each,
        warm_up=burn_in, thin=settings.spacing, checkpoint=where / "hot.pt", identity=identity,
        progress=lambda p: progress(
            Stage("hot", p.done + burn_in * (p.phase == "production"),
                  burn_in + each * settings.spacing, p.seconds, p.acceptance, None)
        ),
    )  # fmt: skip


@dataclass(frozen=True, eq=False)
class _Cooled:
    """A population at the temperature asked for, and what it cost."""

    x: Tensor
    log_density: Tensor
    log_weights: Tensor
    log_z: float
    levels: int
    acceptance: float
    ancestors: Tensor
    gradients: int
    failures: int
    seconds: float

    def save(self, file: Path, identity: str) -> None:
        with atomic_path(file) as temporary:
            torch.save({"identity": identity, **vars(self)}, temporary)

    @classmethod
    def load(cls, file: Path, identity: str) -> _Cooled:
        content = torch.load(file, weights_only=True)
        if content.pop("identity") != identity:
            raise ResumeError(f"{file} is of other work")
        return cls(**content)


def _cooled(
    problem: Problem, settings: SMCSettings, target: Target, seed: int, hot: Run, k: int
) -> _Cooled:
    """Population k."""
    began, before = time.monotonic(), problem.forgiving.calls.failures
    own = slice(k * settings.chains, (k + 1) * settings.chains)
    step = float(hot.state.memory["log_step"].mean().exp())
    sweep = problem.sweep(replace(settings.moves, step_size=step), dart=problem.dart)
    counted = Counted.of(target)
    goal = _Once(counted)
    n = settings.particles
    population = SMC(
        sweep, moves=settings.sweeps, conditional=settings.conditional, resample=settings.resample
    ).run(
        _Hot(goal, problem.temperature / settings.hottest),
        goal,
        hot.x[:, own].flatten(0, 1),
        Streams(seed ^ _OTHER_SEED, torch.arange(k * n, (k + 1) * n)),
    )
    return _Cooled(
        x=population.x,
        log_density=population.log_density,
        log_weights=population.log_weights,
        log_z=population.log_z,
        levels=len(population.ladder) - 1,
        acceptance=sum(population.acceptance) / len(population.acceptance),
        ancestors=population.ancestors,
        gradients=counted.calls.gradients,
        failures=problem.forgiving.calls.failures - before,
        seconds=time.monotonic() - began,
    )


def _ensemble(
    problem: Problem,
    settings: SMCSettings,
    seed: int,
    zero: float,
    hot: Run,
    found: list[_Cooled],
) -> Ensemble:
    """All populations, each with the weight of its estimate of Z."""
    log_weights = torch.cat([p.log_weights + p.log_z for p in found])
    log_weights = log_weights - log_weights.logsumexp(dim=0)
    label = torch.arange(len(found)).repeat_interleave(settings.particles)
    positions = torch.cat([p.x for p in found])
    energies = zero - torch.cat([p.log_density for p in found]) * problem.kT
    inside = energies.isfinite()  # a particle without density has no weight either
    positions, energies = positions[inside], energies[inside]
    log_weights, label = log_weights[inside], label[inside]
    effective, limited_by = problem.effective(positions, energies, label, log_weights.exp())
    burnt, lost = failures(hot.state)
    families = [len(p.ancestors.unique()) for p in found]
    return Ensemble(
        positions=positions, energies=energies, log_weights=log_weights, run=label,
        numbers=problem.numbers, temperature=problem.temperature, potential=problem.potential.name,
        level=dict(problem.potential.level), method="sequential Monte Carlo",
        settings=cast("dict[str, Any]", jsonable(settings)), seed=seed, n_effective=effective,
        limited_by=limited_by,
        stopped="draws" if len(found) == settings.populations else "calls or seconds",
        calls={
            "conformers": problem.start_calls, "hot": total_calls(hot),
            "cooling": Calls(gradients=sum(p.gradients for p in found)),
        },
        failures={"hot": burnt + lost, "cooling": sum(p.failures for p in found)},
        reasons=tuple(problem.forgiving.calls.reasons),
        seconds=hot.seconds + sum(p.seconds for p in found),
        notes={
            "levels": [p.levels for p in found],
            "log_z": [p.log_z for p in found],
            "surviving ancestors": families,
            "acceptance": [p.acceptance for p in found],
        },
    )  # fmt: skip
