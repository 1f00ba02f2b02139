r"""Toys of ``genmol benchmark sample``: distances to exact draws, and gradients for an effective one.

*Distances.* Two exact sets of n draws differ by chance, by an amount that the literature's tables seldom
print. Here it is measured: pairs of disjoint subsets of a long independent run give the law of the
energy W2, of the total variation of pair distances (200 bins) and of the largest difference of a state's
share, and the 95 % quantile of each is the end of the *band of exact against exact*. A sampler is inside
when the median over as many subsets of its own draws, each against one of the exact ones, is below that
end. A median, since one set in twenty of a perfect sampler is outside; a law that is off moves it.

States of DW4 are numbers of short pairs; those of Lennard-Jones clusters thirds of the radius of gyration
by the exact draws.

*Cost.* Gradients after the burn-in over the smallest effective size of energy and listed states, with the
settings of :data:`TUNED`: trajectories of a length that scans of 10⁶ gradients found best, and a step
size that keeps four of five. Longer steps lose more to refusals than they gain; shorter trajectories
diffuse.

Baselines, at as many gradients: Hamiltonian Monte Carlo with its defaults, whose step size is learnt, and
Langevin dynamics (BAOAB, friction 1) without a Metropolis step, at half the step size of the tuned runs.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor

from genmol.boltzmann.draws import Draws
from genmol.boltzmann.observables import smallest_effective
from genmol.boltzmann.sweep import Frozen
from genmol.boltzmann.views import codes_of
from samplers.clusters import Cluster
from samplers.distances import pair_distances, wasserstein
from samplers.hmc import HMC
from samplers.langevin import BAOAB
from samplers.rng import Streams
from samplers.run import Run, run
from samplers.sampler import Sampler
from samplers.tempering import ParallelTempering
from samplers.toys import TOYS

__all__ = ["TUNED", "Seen", "Tuned", "against", "cost_row", "exact_draws", "spread_of", "toy_row"]

_BINS = 200
_PAIRS = 200  # of subsets


@dataclass(frozen=True)
class Tuned:
    """Settings of a toy.

    Attributes:
        step_size: ε.
        leaps: L.
        chains: independent runs.
        burn_in: trajectories.
        thin: trajectories between draws that count as exact.
        ladder: λ of replicas, each of which learns its own step size in the burn-in.
        jitter: of ε.
    """

    step_size: float
    leaps: int
    chains: int
    burn_in: int
    thin: int
    ladder: tuple[float, ...] = ()
    jitter: float = 0.2

    @property
    def sampler(self) -> Sampler:
        """Without replicas, nothing is learnt."""
        if self.ladder:
            inner = HMC(step_size=0.1 * self.step_size, leaps=self.leaps, target_acceptance=0.85)
            return ParallelTempering(inner, self.ladder)
        return Frozen(HMC(step_size=self.step_size, leaps=self.leaps, jitter=self.jitter))

    def start(self, toy: Cluster, seed: int) -> Tensor:
        """Where chains, or groups of replicas, begin."""
        x = toy.start(Streams.of(seed=seed, chains=self.chains))
        return x.repeat_interleave(max(1, len(self.ladder)), dim=0)


TUNED: Final = {
    "dw4": Tuned(0.13, 8, 100, 150, 12, (0.3, 0.55, 1.0)),
    "lj13": Tuned(0.022, 14, 100, 300, 20),
    "lj13-bgflow": Tuned(0.025, 24, 200, 150, 14),
    "lj55": Tuned(0.016, 16, 40, 250, 20),
    "lj55-bgflow": Tuned(0.018, 32, 40, 150, 10),
}


def toy_row(name: str, *, draws: int, sizes: tuple[int, ...], seed: int = 0) -> dict[str, Any]:
    """Distances of our draws and of the baselines' to exact ones, each with the end of its band.

    Args:
        name: of the toy.
        draws: of each sampler, nearly independent; at least twice the largest of ``sizes``.
        sizes: n of the subsets.
        seed: of everything.
    """
    toy, tuned = TOYS[name](), TUNED[name]
    assert isinstance(toy, Cluster)
    exact = Seen.of_run(toy, exact_draws(name, draws=draws, seed=seed + 1))
    began = time.monotonic()
    ours = _drawn(toy, tuned.sampler, tuned, draws=draws, thin=tuned.thin, seed=seed)
    seconds = time.monotonic() - began
    gradients = _gradients(ours)
    others = {
        "plain HMC": _equal(
            toy, HMC(step_size=0.1 * tuned.step_size), 10, tuned, gradients, draws, seed
        ),
        "Langevin": _equal(
            toy, BAOAB(step_size=0.5 * tuned.step_size), 1, tuned, gradients, draws, seed
        ),
    }
    u = -ours.log_density
    row: dict[str, Any] = {
        "settings": tuned.__dict__,
        "draws": draws,
        "gradients": gradients,
        "seconds": seconds,
        "mean_energy": float(u.mean()),
        "mean_energy_error": float(u.mean(dim=0).std() / math.sqrt(u.shape[1])),
        "exact_mean_energy": float(exact.energy.mean()),
        "truths": {key: [t.value, t.error] for key, t in toy.truths.items()},
        "virial": float(_virial(toy, ours)),
        "sizes": {},
    }
    samples = {"genmol": Seen.of_run(toy, ours, exact)}
    samples |= {key: Seen.of_run(toy, found, exact) for key, found in others.items()}
    for n in sizes:
        generator = np.random.default_rng([seed, n])
        floor = against(exact, None, n, generator)
        row["sizes"][str(n)] = {
            "floor": {key: spread_of(values) for key, values in floor.items()},
            **{
                key: {
                    metric: float(np.median(values))
                    for metric, values in against(exact, seen, n, generator).items()
                }
                for key, seen in samples.items()
            },
        }
    return row


def cost_row(name: str, *, gradients: int, seed: int = 0) -> dict[str, Any]:
    """Gradients for an effective draw, after the burn-in; and of the baselines.

    Args:
        name: of the toy.
        gradients: to spend, of each sampler.
        seed: of everything.
    """
    toy, tuned = TOYS[name](), TUNED[name]
    assert isinstance(toy, Cluster)
    start = toy.start(Streams.of(seed=seed, chains=tuned.chains))
    ours = tuned.leaps * max(1, len(tuned.ladder))
    ways: dict[str, tuple[Sampler, int, Tensor]] = {
        "genmol": (tuned.sampler, ours, tuned.start(toy, seed)),
        "plain HMC": (HMC(step_size=0.1 * tuned.step_size), 10, start),
        "Langevin": (BAOAB(step_size=0.5 * tuned.step_size), 1, start),
    }
    row: dict[str, Any] = {"settings": tuned.__dict__, "chains": tuned.chains}
    for way, (sampler, each, x) in ways.items():
        thin = max(1, 10 // each)
        found = run(
            sampler, toy, x, seed=seed, warm_up=tuned.burn_in * ours // each, thin=thin,
            draws=max(8, gradients // (tuned.chains * each * thin)),
        )  # fmt: skip
        spent = found.calls["production"].gradients
        size, limited_by = _effective(toy, found)
        row[way] = {
            "gradients": spent,
            "burn_in_gradients": found.calls["warm-up"].gradients + found.calls["start"].gradients,
            "n_effective": size,
            "limited_by": limited_by,
            "gradients_per_effective": spent / size if size else math.inf,
            "acceptance": float(found.details["acceptance"].mean()),
            "mean_energy": float(-found.log_density.mean()),
            "seconds": found.seconds,
        }
    return row


def exact_draws(name: str, *, draws: int, seed: int) -> Run:
    """Nearly independent draws of a toy.

    Args:
        name: of the toy.
        draws: at least so many.
        seed: of the streams.
    """
    toy, tuned = TOYS[name](), TUNED[name]
    assert isinstance(toy, Cluster)
    return _drawn(toy, _exact(tuned), tuned, draws=draws, thin=tuned.thin, seed=seed)


def _exact(tuned: Tuned) -> Sampler:
    """Another kernel for the exact draws: smaller steps, trajectories of more varied lengths."""
    if tuned.ladder:
        return tuned.sampler
    return Frozen(HMC(step_size=0.9 * tuned.step_size, leaps=tuned.leaps, jitter=0.5))


def _drawn(
    toy: Cluster, sampler: Sampler, tuned: Tuned, *, draws: int, thin: int, seed: int
) -> Run:
    return run(
        sampler, toy, tuned.start(toy, seed), seed=seed, warm_up=tuned.burn_in, thin=thin,
        draws=-(-draws // tuned.chains),
    )  # fmt: skip


def _equal(
    toy: Cluster, sampler: Sampler, each: int, tuned: Tuned, gradients: int, draws: int, seed: int
) -> Run:
    """As many gradients in all, as many draws, and the same share of them for the burn-in."""
    kept = -(-draws // tuned.chains)
    steps = gradients // (tuned.chains * each)
    share = tuned.burn_in / (tuned.burn_in + kept * tuned.thin)
    burn_in = int(share * steps)
    start = toy.start(Streams.of(seed=seed, chains=tuned.chains))
    return run(
        sampler, toy, start, seed=seed, warm_up=burn_in, draws=kept,
        thin=max(1, (steps - burn_in) // kept),
    )  # fmt: skip


def _gradients(found: Run) -> int:
    return sum(calls.gradients for calls in found.calls.values())


def _effective(toy: Cluster, found: Run) -> tuple[float, str]:
    """Over the energy and the states that a toy has."""
    u = -found.log_density.mT.double()
    draws = Draws.of(u.numel(), runs=torch.arange(len(u)).repeat_interleave(u.shape[1]))
    codes, labels = codes_of(toy), None
    if codes is not None:
        labels = codes(found.x.transpose(0, 1).flatten(0, 1))
    return smallest_effective(draws, u.flatten(), labels=labels)


def _virial(toy: Cluster, found: Run) -> float:
    """⟨x · ∇U⟩ over the degrees of freedom: 1 for draws of the toy."""
    x = found.x[:: max(1, len(found.x) // 20)].flatten(0, 1)
    gradient = toy.evaluate(x).gradient
    return float(-(x * gradient).flatten(1).sum(dim=1).mean() / toy.space.dimension)


@dataclass(frozen=True, eq=False)
class Seen:
    """What is compared of draws: energies (m,), histograms (m, bins + 2), states (m, s)."""

    energy: Tensor
    histogram: Tensor
    states: Tensor
    edges: Tensor
    cuts: Tensor

    @classmethod
    def of_run(cls, toy: Cluster, found: Run, exact: Seen | None = None) -> Seen:
        """All draws of all chains."""
        return cls.of(toy, found.x.flatten(0, 1), -found.log_density.flatten(), exact)

    @classmethod
    def of(cls, toy: Cluster, x: Tensor, energy: Tensor, exact: Seen | None = None) -> Seen:
        """With the edges of bins and states of the exact draws.

        Args:
            toy: whose.
            x: draws of equal weight.
            energy: of each.
            exact: the exact draws; these are them when None.
        """
        distances = pair_distances(x)
        radius = x.square().flatten(1).sum(dim=1)
        codes = codes_of(toy)
        if exact is None:
            low, high = distances.aminmax()
            edges = torch.linspace(float(low), float(high), _BINS + 1, dtype=torch.float64)
            cuts = torch.quantile(radius, torch.tensor([1 / 3, 2 / 3], dtype=torch.float64))
        else:
            edges, cuts = exact.edges, exact.cuts
        state = torch.bucketize(radius, cuts) if codes is None else codes(x)
        count = 3 if codes is None else 1 + toy.space.particles * (toy.space.particles - 1) // 2
        # distances beyond the ends count as wrong, in bins of their own
        place = torch.bucketize(distances, edges, right=True).clamp_max(_BINS + 1)
        histogram = torch.zeros(len(x), _BINS + 2, dtype=torch.float32)
        histogram.scatter_add_(1, place, torch.ones_like(distances, dtype=torch.float32))
        return cls(
            energy, histogram / distances.shape[1],
            torch.nn.functional.one_hot(state, count).double(), edges, cuts,
        )  # fmt: skip


def against(
    exact: Seen, seen: Seen | None, n: int, generator: np.random.Generator
) -> dict[str, list[float]]:
    """Distances between random subsets of n.

    Args:
        exact: the exact draws.
        seen: other ones; the exact draws themselves, in disjoint subsets, when None.
        n: draws of a subset.
        generator: of the subsets.
    """
    found: dict[str, list[float]] = {"energy_w2": [], "distance_tv": [], "populations": []}
    for _ in range(_PAIRS):
        order = torch.from_numpy(generator.permutation(len(exact.energy)))
        one, other, of = order[:n], order[n : 2 * n], exact
        if seen is not None:
            of = seen
            other = torch.from_numpy(generator.permutation(len(seen.energy)))[:n]
        energies = of.energy[other]
        lost = not bool(energies.isfinite().all())  # without a Metropolis step, some may be
        w2 = math.inf if lost else float(wasserstein(energies, exact.energy[one]))
        h = of.histogram[other].mean(dim=0) - exact.histogram[one].mean(dim=0)
        p = of.states[other].mean(dim=0) - exact.states[one].mean(dim=0)
        found["energy_w2"].append(w2)
        found["distance_tv"].append(float(h.abs().sum() / 2))
        found["populations"].append(float(p.abs().max()))
    return found


def spread_of(values: list[float]) -> dict[str, float]:
    """Quantiles of 5, 50 and 95 %."""
    low, median, high = np.quantile(values, [0.05, 0.5, 0.95])
    return {"low": float(low), "median": float(median), "high": float(high)}
