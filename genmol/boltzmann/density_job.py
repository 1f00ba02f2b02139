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
from pathlib import Path
from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor

from genmol.boltzmann.certificate import Bias, BoltzmannCertificate
from genmol.boltzmann.check import Evidence, check_samples
from genmol.boltzmann.density_chains import chains_for, observables
from genmol.boltzmann.drawn import Drawn, effective_of
from genmol.boltzmann.engine import remaining
from genmol.boltzmann.generator import ScoreGenerator
from genmol.boltzmann.path_chains import resampled
from genmol.boltzmann.settings import working_folder
from genmol.boltzmann.systems import System
from genmol.boltzmann.views import Codes
from genmol.boltzmann.weighted import Weighted, weighted_draws
from genmol.core.errors import InputError
from samplers.reweight import systematic
from samplers.rng import Streams
from samplers.run import Budget, Progress, ResumeError, run
from samplers.sampler import StartError
from samplers.target import Calls, Counted, GradientError, Target, TargetError, check_gradient

__all__ = ["DensityMethod", "SampledDensity", "sample_density"]

DensityMethod = Literal["auto", "hmc", "tempering", "psm"]

_HEAVY = 0.7  # Pareto's k beyond which weights are of no use
_MOST = 20_000  # draws of each run


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
            draws of ``generator``, and where their weights are of no use begins chains at them, which
            also go to ends of fresh paths if these are accepted now and then.
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
                x = first.x[resampled(first, runs, seed=seed)]
                budget = remaining(budget, first.energies, first.seconds)
            chains = chains_for(
                system, x, method, seed=seed, folder=where,
                score=None if first is None or generator is None else (generator, first),
            )  # fmt: skip
            found = run(
                chains.sampler, system.target, chains.begin, seed=seed + 1, draws=_MOST,
                warm_up=chains.warm_up,
                budget=Budget(seconds=budget.seconds, calls=budget.calls, effective=float(n),
                              observables=observables(system, chains.pilot.x.flatten(0, 1)),
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
    drawn = Drawn.of_chains(found, chains.pilot, system.thermal.kT, chains.replicas)
    how = f"{chains.method}: {chains.reason}"
    if first is not None:
        drawn = drawn.after(
            "generation", Calls(energies=first.energies), first.seconds,
            effective_share=first.share, pareto_k=first.tail, paths=len(first.x), **chains.told(found),
        )  # fmt: skip
        useless = (
            f"weights of {len(first.x)} draws of a trained score vary too much (Pareto k "
            f"{first.tail:.2f}, {first.share:.2%} effective)"
        )
        how = (
            f"chains: Hamiltonian Monte Carlo {chains.reason}, as {useless}"
            if chains.method == "paths"
            else f"{chains.method}: {useless}, chains begin at them; {chains.reason}"
        )
    return _certified(system, starts, drawn, n=n, method=how, checking=checking, seed=seed)


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


def _check_starts(system: System, x: Tensor) -> None:
    shape = system.target.space.shape
    if tuple(x.shape[1:]) != tuple(shape):
        raise StartError(f"they are of shape {tuple(x.shape[1:])}")
    if bool((lost := ~system.target.log_density(x).isfinite()).any()):
        raise StartError(f"no density at {x[lost][0].tolist()}")


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
