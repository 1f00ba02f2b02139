"""From a density to draws with a certificate: any log-density in torch, a toy among them.

The same promise as for molecules, with less to know: independent runs of Hamiltonian Monte Carlo begin
at the points that the user gives. A pilot shows whether they agree; where they do not, barriers separate
them, and parallel tempering with flattened copies of the density takes over. The certificate looks for
itself, with runs of its own from the same points.

>>> target = Density(lambda x: -(x**4).sum(dim=1), Euclidean(2))
>>> found = sample_density(target, starts=torch.randn(16, 2, dtype=torch.float64))
>>> found.certificate.verdict
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor

from genmol.boltzmann.certificate import Bias, BoltzmannCertificate
from genmol.boltzmann.check import Evidence, check_samples
from genmol.boltzmann.drawn import Drawn, effective_of
from genmol.boltzmann.engine import remaining
from genmol.boltzmann.generator import ScoreGenerator
from genmol.boltzmann.ladder import first_ladder
from genmol.boltzmann.settings import working_folder
from genmol.boltzmann.systems import System
from genmol.boltzmann.views import Codes
from genmol.boltzmann.weighted import Weighted, weighted_draws
from genmol.core.errors import InputError
from samplers.diagnostics import rhat
from samplers.hmc import HMC
from samplers.reweight import systematic
from samplers.rng import Streams
from samplers.run import Budget, Progress, ResumeError, Run, run
from samplers.sampler import Sampler, StartError
from samplers.target import Calls, Counted, GradientError, Target, TargetError, check_gradient
from samplers.tempering import ParallelTempering

__all__ = ["DensityMethod", "SampledDensity", "sample_density"]

DensityMethod = Literal["auto", "hmc", "tempering", "psm"]

_LEAPS = 10
_PILOT = 200  # draws of each run, after as many moves to warm up
_APART = (
    1.2  # R-hat beyond which runs of the pilot disagree; slow ones reach 1.1 in such a short time
)
_HOTTEST = 20.0  # temperatures of tempering
_SWAP = 0.3
_HEAVY = 0.7  # Pareto's k beyond which weights are of no use
_MOST = 20_000  # draws of each run
_LONGEST, _SHORTEST, _BEARABLE = 16.0, 1e-9, 0.8  # first step size, and its acceptance


@dataclass(frozen=True, eq=False, kw_only=True)
class SampledDensity:
    """A density, sampled and certified.

    Attributes:
        x: (m, *shape) all draws, run by run.
        energies: (m,) −log density at the temperature, times it.
        run: (m,) independent run of each.
        weights: (m,) of the draws, of any sum.
        states: (m,) number of the state of each; None where the density has none.
        delivered: (n,) which draws are handed over.
        method: taken, and why.
        calls: by phase.
        seconds: of sampling.
        stopped: what ended it.
        certificate: verdict and reasons.
    """

    x: Float[Tensor, "m *shape"]
    energies: Float[Tensor, " m"]
    run: Int[Tensor, " m"]
    weights: Float[Tensor, " m"]
    states: Int[Tensor, " m"] | None
    delivered: Int[Tensor, " n"]
    method: str
    calls: Mapping[str, Calls]
    seconds: float
    stopped: str
    certificate: BoltzmannCertificate


def sample_density(
    target: Target,
    *,
    starts: Float[Tensor, "k *shape"],
    temperature: float = 1.0,
    n: int = 1000,
    method: DensityMethod = "auto",
    generator: ScoreGenerator | None = None,
    states: Codes | None = None,
    budget: Budget | None = None,
    runs: int = 16,
    checking: int | None = None,
    seed: int = 0,
    workers: int = 1,
    folder: Path | None = None,
    progress: Callable[[Progress], None] = lambda _: None,
) -> SampledDensity:
    """Sample a density, or go on with the work in ``folder``.

    Args:
        target: log-density, such as :class:`samplers.target.Density` of a function of a batch.
        starts: points of positive density; runs begin there in turn.
        temperature: the density to this power is sampled: 1 as it is.
        n: draws wanted, and effective draws that all runs together should be worth.
        method: Hamiltonian Monte Carlo, parallel tempering, or as the pilot says; ``psm`` takes weighted
            draws of ``generator``, and where their weights are of no use begins chains at them.
        generator: a trained score of the density, at the temperature.
        states: whole numbers of states, of which populations are wanted; those of a toy are known.
        budget: seconds and calls of the sampling.
        runs: independent ones; errors need eight.
        checking: gradients that the certificate may spend; five million when None.
        seed: of everything that is random.
        workers: processes that paths of ``generator`` are shared over; the draws are the same.
        folder: for checkpoints; none are kept when None.
        progress: called after every step.

    Raises:
        InputError: a gradient that is not that of the density, starts of zero density or another shape,
            numbers that are not positive, a folder of other work.
    """
    if n < 1 or runs < 1 or not len(starts):
        raise InputError(
            got=f"{n} draws from {runs} runs with {len(starts)} starts",
            wanted="at least one of each",
            remedy="leave the defaults, and give some points of positive density",
        )
    if (method == "psm") != (generator is not None):
        raise InputError(
            got=f"method {method!r} {'without' if generator is None else 'with'} a generator",
            wanted="both, or neither",
            remedy="give a generator for the method 'psm' alone",
        )
    system = System.of(
        target, temperature, codes=None if states is None else lambda x: states(x).long()
    )
    x = starts[torch.arange(runs) % len(starts)].double()
    budget = budget or Budget()
    with working_folder(folder) as where:
        try:
            _check_starts(system, x)
            check_gradient(system.target, x, Streams.of(seed=seed, chains=runs).fold("gradient"))
            first: Weighted | None = None
            if generator is not None:
                first, stopped = _generated(
                    system, generator, n, budget, seed, workers, where, progress
                )
                if stopped != "weights" and first.tail <= _HEAVY:
                    return _certified(
                        system, starts, Drawn.of_weighted(first, system.thermal.kT, stopped), n=n,
                        method="psm: weighted draws of a trained score", checking=checking, seed=seed,
                    )  # fmt: skip
                x = _resampled(first, runs, seed)
                budget = remaining(budget, first.energies, first.seconds)
            taken, why, piloted = _chosen(system, x, method, seed, where)
            sampler, begin, ladder = _kernel(system, taken, piloted)
            found = run(
                sampler, system.target, begin, seed=seed + 1, draws=_MOST, warm_up=_PILOT,
                budget=Budget(seconds=budget.seconds, calls=budget.calls, effective=float(n),
                              observables=_observables(system, piloted.x.flatten(0, 1)),
                              check_draws=50),
                checkpoint=where / "sampling.pt", identity=f"{system.description['sha256']} {n}",
                progress=progress,
            )  # fmt: skip
        except GradientError as error:
            raise InputError(
                got=f"a density whose gradient is not its derivative ({error})",
                wanted="evaluate() that returns the gradient of log_density()",
                remedy="leave evaluate() away: the base class differentiates by itself",
            ) from error
        except StartError as error:
            raise InputError(
                got=f"starts that cannot be used ({error})",
                wanted=f"points of positive density of shape {tuple(target.space.shape)}",
                remedy="begin nearer to a maximum of the density",
            ) from error
        except TargetError as error:
            raise InputError(
                got=f"a density that is no number ({error})",
                wanted="a finite log-density, or −inf where there is none",
                remedy="check the points that it names",
            ) from error
        except ResumeError as error:
            raise InputError(
                got=f"{where} with the checkpoint of other work ({error})",
                wanted="an empty folder, or the same density, numbers and seed",
                remedy="choose another output folder",
            ) from error
    drawn = Drawn.of_chains(found, piloted, system.thermal.kT, ladder)
    if first is not None:
        drawn = drawn.after(
            "generation", Calls(energies=first.energies), first.seconds,
            effective_share=first.share, pareto_k=first.tail, paths=len(first.x),
        )  # fmt: skip
        why = (
            f"weights of {len(first.x)} draws of a trained score vary too much (Pareto k "
            f"{first.tail:.2f}, {first.share:.2%} effective), chains begin at them; {why}"
        )
    return _certified(
        system, starts, drawn, n=n, method=f"{taken}: {why}", checking=checking, seed=seed
    )


def _generated(
    system: System,
    generator: ScoreGenerator,
    n: int,
    budget: Budget,
    seed: int,
    workers: int,
    where: Path,
    progress: Callable[[Progress], None],
) -> tuple[Weighted, str]:
    """Weighted draws, and what ended them."""

    def told(found: Weighted, size: float) -> None:
        done = min(int(size), n)
        progress(Progress("production", done, n, found.seconds, found.share))

    return weighted_draws(
        generator, Counted.of(system.target), seed=seed, budget=budget, folder=where,
        effective=lambda found: effective_of(system, found), wanted=float(n), workers=workers,
        identity=f"{system.description['sha256']} {n} {generator.identity}", progress=told,
    )  # fmt: skip


def _resampled(found: Weighted, runs: int, seed: int) -> Tensor:
    """Where chains begin: at draws chosen by their weights."""
    if not bool(found.alive.any()):
        raise StartError("no draw of the trained score has a density")
    return found.x[systematic(found.log_weights, Streams.of(seed=seed, chains=1), count=runs)]


def _check_starts(system: System, x: Tensor) -> None:
    shape = system.target.space.shape
    if tuple(x.shape[1:]) != tuple(shape):
        raise StartError(f"they are of shape {tuple(x.shape[1:])}")
    if bool((lost := ~system.target.log_density(x).isfinite()).any()):
        raise StartError(f"no density at {x[lost][0].tolist()}")


def _chosen(
    system: System, x: Tensor, method: DensityMethod, seed: int, where: Path
) -> tuple[Literal["hmc", "tempering"], str, Run]:
    """A pilot of Hamiltonian Monte Carlo, and what it says."""
    hmc = HMC(step_size=_bearable(system, x, seed), leaps=_LEAPS)
    pilot = run(
        hmc, system.target, x, seed=seed, draws=_PILOT, warm_up=_PILOT,
        checkpoint=where / "pilot.pt", identity=system.description["sha256"],
    )  # fmt: skip
    if method in ("hmc", "tempering"):
        return method, "asked for", pilot
    series = [pilot.log_density.mT]
    flat = pilot.x.flatten(0, 1)
    series += [
        f(flat).reshape(pilot.log_density.shape).double().mT
        for f in _observables(system, flat).values()
    ]
    worst = max(float(rhat(one)) for one in series)
    if worst <= _APART:
        return "hmc", f"runs of a pilot agree (R-hat {worst:.3f})", pilot
    return "tempering", f"runs of a pilot disagree (R-hat {worst:.2f})", pilot


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


def _kernel(
    system: System, method: Literal["hmc", "tempering"], pilot: Run
) -> tuple[Sampler, Tensor, int]:
    """The sampler, where it begins, and how many replicas it has."""
    step = float(pilot.state.memory["log_step"].exp().median())
    hmc = HMC(step_size=step, leaps=_LEAPS)
    if method == "hmc":
        return hmc, pilot.state.x, 1
    dimension = system.target.space.dimension
    ladder = first_ladder(dimension, 1 / _HOTTEST, acceptance=_SWAP)
    begin = pilot.state.x.repeat_interleave(len(ladder), dim=0)
    return ParallelTempering(hmc, ladder), begin, len(ladder)


def _observables(system: System, x: Tensor) -> dict[str, Callable[[Tensor], Tensor]]:
    """What effective sizes are asked of; of states, if the points are in more than one."""

    def one(name: str, points: Tensor) -> Tensor:
        return system.local(points)[name]

    found: dict[str, Callable[[Tensor], Tensor]] = {
        name: partial(one, name) for name in system.local(x)
    }
    if (codes := system.codes) is not None and len(codes(x).unique()) > 1:
        found["state"] = lambda points: codes(points).double()
    return found


def _certified(
    system: System,
    starts: Tensor,
    drawn: Drawn,
    *,
    n: int,
    method: str,
    checking: int | None,
    seed: int,
) -> SampledDensity:
    if not len(drawn.x):
        raise InputError(
            got="a budget that ended before the first draw",
            wanted="draws",
            remedy="give more calls or seconds",
        )
    delivered = systematic(drawn.weights.log(), Streams.of(seed=seed, chains=1), count=n)
    ledger = list(drawn.ledger)
    if (copies := n - len(delivered.unique())) > 0:
        what = f"{copies} of {n} draws delivered are copies of others: fewer draws differ"
        ledger.append(Bias("copies delivered", 0.0, what))
    calls = drawn.calls
    checked = check_samples(
        drawn.x,
        system,
        weights=drawn.weights,
        runs=drawn.run,
        evidence=Evidence(
            energies=drawn.energies,
            starts=starts,
            round_trips=drawn.round_trips,
            bias_ledger=tuple(ledger),
            energy_calls=sum(c.energies for c in calls.values()),
            gradient_calls=sum(c.gradients for c in calls.values()),
            seconds=drawn.seconds,
            record={
                "sampling": {
                    "method": method,
                    "stopped": drawn.stopped,
                    "calls": {name: vars(one) for name, one in calls.items()},
                    "seed": seed,
                    **drawn.notes,
                }
            },
        ),
        gradients=checking,
        seed=seed + 2,
    )
    return SampledDensity(
        x=drawn.x,
        energies=drawn.energies,
        run=drawn.run,
        weights=drawn.weights,
        states=None if system.codes is None else system.codes(drawn.x),
        delivered=delivered,
        method=method,
        calls=calls,
        seconds=drawn.seconds,
        stopped=drawn.stopped,
        certificate=checked.certificate,
    )
