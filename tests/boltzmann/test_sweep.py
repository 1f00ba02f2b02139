"""Sweeps: their order and cost, reversibility, confinement, and what is frozen."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from chaincases import FOUR, TRIOXIDE, Chain, angles, exact, same_sign, share, trioxide
from chemcases import species
from torch import Tensor

from genmol.boltzmann.sweep import Confined, Frozen, Moves, Sweep
from samplers.hmc import HMC
from samplers.moves import DelayedAcceptance, MetropolisHastings, RandomWalk
from samplers.rng import Streams
from samplers.sampler import Sampler, State
from samplers.target import Counted

N = 3000
MOVES = Moves(leaps=4, step_size=0.05, jumps=1, doubles=1, darts=1)
ODD: list[Callable[[Tensor, Tensor], Tensor]] = [
    lambda a, b: (a**2 * b - a * b**2).sum(dim=1),
    lambda a, b: a[:, 0] * b[:, 1] ** 3 - b[:, 0] * a[:, 1] ** 3,
    lambda a, b: same_sign(a) * b.cos()[:, 0] - same_sign(b) * a.cos()[:, 0],
]


def stepped(sampler: Sampler, rng: np.random.Generator, steps: int = 1) -> tuple[State, State]:
    """Before and after, from exact draws."""
    streams = Streams.of(seed=5, chains=N)
    state = sampler.init(trioxide().target(), exact(TRIOXIDE, FOUR, N, rng), streams)
    start = state
    for k in range(steps):
        state, _ = sampler.step(state, streams.at(k + 1))
    return start, state


def z(values: Tensor) -> float:
    return abs(float(values.mean() / (values.std() / math.sqrt(len(values))).clamp_min(1e-12)))


def test_the_density_is_kept(rng: np.random.Generator) -> None:
    problem = trioxide()
    before, after = stepped(problem.sweep(MOVES, dart=problem.dart), rng)
    changed = (before.x != after.x).flatten(1).any(dim=1)
    assert float(changed.double().mean()) > 0.9
    phi = angles(TRIOXIDE, after.x)
    for what in (same_sign, lambda a: a.cos().sum(dim=1), lambda a: (2 * a).cos().sum(dim=1)):
        assert z(what(phi) - share(TRIOXIDE, FOUR, what)) < 4.5
    # a chain of five atoms: ⟨x·∇U⟩ = 12 kT
    assert z(-(after.gradient * after.x).flatten(1).sum(dim=1) - 12) < 4.5
    lengths = (after.x[:, 0] - after.x[:, 1]).norm(dim=1)
    assert z(lengths - (before.x[:, 0] - before.x[:, 1]).norm(dim=1)) < 4.5


def test_a_palindrome_is_reversible(rng: np.random.Generator) -> None:
    problem = trioxide()
    sweep = problem.sweep(MOVES, dart=problem.dart, palindrome=True)
    assert sweep.names == sweep.names[::-1]
    assert sweep.names.count("HMC") == 1
    before, after = (angles(TRIOXIDE, s.x) for s in stepped(sweep, rng))
    for odd in ODD:
        assert z(odd(before, after)) < 4.5


@pytest.mark.parametrize("palindrome", [False, True])
def test_calls_are_those_that_are_made(palindrome: bool) -> None:
    problem = trioxide()
    sweep = problem.sweep(MOVES, dart=problem.dart, palindrome=palindrome)
    counted = Counted.of(problem.target())
    streams = Streams.of(seed=1, chains=3)
    state = sweep.init(counted, problem.begin(3), streams)
    begun = counted.calls.gradients
    sweep.step(state, streams.at(1))
    assert counted.calls.gradients - begun == 3 * sweep.calls
    assert counted.calls.energies == 0


def test_a_molecule_gets_the_moves_that_it_has_a_use_for() -> None:
    def names(smiles: str) -> tuple[str, ...]:
        return Sweep.of(species(smiles), Moves(doubles=1)).names

    assert names("c1ccccc1") == ("HMC",)
    assert names("OO") == ("jump", "HMC")
    assert names("OCCO") == ("double jump", "jump", "HMC")
    assert names("C1CCCCC1") == ("ring mirror", "ring mirror", "HMC")
    assert names("OC1CCCCC1") == ("ring mirror", "ring mirror", "jump", "HMC")


def test_details_are_means_over_the_moves_of_a_kind() -> None:
    problem = trioxide()
    sweep = problem.sweep(Moves(leaps=2, jumps=3), dart=problem.dart)
    streams = Streams.of(seed=1, chains=5)
    state = sweep.init(problem.target(), problem.begin(5), streams)
    _, info = sweep.step(state, streams.at(1))
    assert set(info.details) == {"renumbering", "dart", "jump", "HMC"}
    _, raw = sweep.cycle.step(state, streams.at(1))
    jumps = [raw.details[f"{k} acceptance"] for k, n in enumerate(sweep.names) if n == "jump"]
    torch.testing.assert_close(info.details["jump"], torch.stack(jumps).mean(dim=0))
    torch.testing.assert_close(info.acceptance, info.details["HMC"])


def half(x: Tensor) -> Tensor:
    """A region that cuts through wells: the first torsion within ±100°."""
    return angles(TRIOXIDE, x)[:, 0].abs() < math.radians(100)


@pytest.mark.parametrize(
    "inner", [HMC(step_size=0.06, leaps=3), MetropolisHastings(RandomWalk(0.03))]
)
def test_a_confined_kernel_keeps_the_restricted_density(
    inner: Sampler, rng: np.random.Generator
) -> None:
    sampler, streams = Confined(inner, half), Streams.of(seed=5, chains=N)
    draws = exact(TRIOXIDE, FOUR, 3 * N, rng)
    state = sampler.init(trioxide().target(), draws[half(draws)][:N], streams)
    start, refused = state, 0.0
    for k in range(3):
        before = state
        state, info = sampler.step(state, streams.at(k + 1))
        refused += float(info.details["refused"].mean()) / 3
        assert bool(half(state.x).all())
        a, b = (angles(TRIOXIDE, s.x) for s in (before, state))
        for odd in ODD:
            assert z(odd(a, b)) < 4.5
    assert refused > 0.005
    a, b = (angles(TRIOXIDE, s.x) for s in (start, state))
    for what in (same_sign, lambda phi: phi[:, 0].cos(), lambda phi: phi[:, 0].cos() ** 2):
        assert z(what(a) - what(b)) < 4.5


def test_what_is_remembered_belongs_to_the_point(rng: np.random.Generator) -> None:
    """Delayed acceptance carries the cheap density along; a refused step must take it back."""
    cheap = trioxide(potential=Chain(TRIOXIDE, FOUR, shift=0.01)).target()
    sampler = Confined(DelayedAcceptance(HMC(step_size=0.06, leaps=3), cheap, steps=2), half)
    draws, streams = exact(TRIOXIDE, FOUR, 1200, rng), Streams.of(seed=5, chains=400)
    state = sampler.init(trioxide().target(), draws[half(draws)][:400], streams)
    refused = 0.0
    for k in range(2):
        state, info = sampler.step(state, streams.at(k + 1))
        refused += float(info.details["refused"].sum())
    assert refused > 2
    expected = cheap.evaluate(state.x)
    torch.testing.assert_close(state.memory["inner log_density"], expected.log_density)
    torch.testing.assert_close(state.memory["inner gradient"], expected.gradient)


def test_only_what_moved_is_asked_about() -> None:
    asked: list[int] = []

    def inside(x: Tensor) -> Tensor:
        asked.append(len(x))
        return torch.ones(len(x), dtype=torch.bool)

    problem, streams = trioxide(), Streams.of(seed=5, chains=40)
    sampler = Confined(MetropolisHastings(RandomWalk(0.02)), inside)
    state = sampler.init(problem.target(), problem.begin(40), streams)
    new, _ = sampler.step(state, streams.at(1))
    assert asked == [int((new.x != state.x).flatten(1).any(dim=1).sum())]


def test_a_step_size_is_learnt_and_frozen() -> None:
    problem, streams = trioxide(), Streams.of(seed=5, chains=20)
    sweep = problem.sweep(Moves(leaps=2, step_size=0.2, acceptance=0.7, jumps=0), dart=None)
    for sampler, learns in ((sweep, True), (Frozen(sweep), False)):
        state = sampler.init(problem.target(), problem.begin(20), streams)
        begun = state.memory["log_step"]
        for k in range(1, 25):
            state, info = sampler.step(state, streams.at(k))
            state = sampler.adapt(state, info, k)
        state = sampler.adapted(state)
        assert bool((state.memory["log_step"] != begun).any()) == learns
        if not learns:
            continue
        rates = [sampler.step(state, streams.at(k))[1].acceptance.mean() for k in range(30, 42)]
        assert 0.5 < float(torch.stack(rates).mean()) < 0.97


def test_frozen_steps_are_the_inner_ones() -> None:
    problem, streams = trioxide(), Streams.of(seed=5, chains=4)
    sweep = problem.sweep(Moves(leaps=2), dart=None)
    state = sweep.init(problem.target(), problem.begin(4), streams)
    one, other = (s.step(state, streams.at(1))[0] for s in (sweep, Frozen(sweep)))
    assert torch.equal(one.x, other.x)
