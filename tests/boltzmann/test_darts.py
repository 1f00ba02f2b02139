"""Darts: the ratio, the way back, symmetric flows, and shares that are learnt."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from chaincases import (
    FOUR,
    KT,
    TRIOXIDE,
    WELLS,
    Chain,
    angles,
    at,
    exact,
    same_sign,
    share,
    trioxide,
)
from chemcases import geometries, species
from torch import Tensor

from genmol.boltzmann.darts import TorsionDart
from genmol.boltzmann.internal import Internal
from genmol.boltzmann.renumbering import Group
from genmol.chem.torsions import rotatable_torsions
from genmol.core.errors import InputError
from samplers.moves import MetropolisHastings, Proposal, Proposed
from samplers.rng import Streams
from samplers.sampler import State

N = 4000
SHARES = torch.tensor([0.5, 0.3, 0.15, 0.05])  # wrong ones


def dart() -> TorsionDart:
    """Between all four wells of HOOOH, in the order of :data:`WELLS`."""
    found = TorsionDart.of(
        rotatable_torsions(species(TRIOXIDE)), at(TRIOXIDE, *WELLS), torch.zeros(4), KT
    )
    assert found is not None
    return replace(found, shares=SHARES)


def start(x: Tensor) -> State:
    target = trioxide().target()
    return State(target, target.space.wrap(x), *target.evaluate(x))


def test_every_torsion_moves_by_the_difference_of_the_minima(rng: np.random.Generator) -> None:
    one, x = dart(), exact(TRIOXIDE, FOUR, 500, rng)
    state = start(x)
    y, ratio = one.propose(state, Streams.of(seed=1, chains=500))
    a, b = one.nearest(x), one.nearest(y)
    back = ratio.isfinite()
    assert bool((a[back] != b[back]).all())
    assert float(back.double().mean()) > 0.9
    offset = angles(TRIOXIDE, y) - angles(TRIOXIDE, x) - (one.minima[b] - one.minima[a])
    offset = torch.remainder(offset + math.pi, 2 * math.pi) - math.pi
    assert float(offset[back].abs().max()) < 1e-9
    # the ratio of the shares with which the way back and the way there are drawn
    w = one.shares
    forth, reverse = w[b] / (1 - w[a]), w[a] / (1 - w[b])
    torch.testing.assert_close(ratio[back], (reverse / forth)[back].log())


def test_lengths_and_angles_are_kept(rng: np.random.Generator) -> None:
    x = exact(TRIOXIDE, FOUR, 50, rng)
    y = dart().propose(start(x), Streams.of(seed=1, chains=50)).x
    internal = Internal.of(species(TRIOXIDE))
    for one, other in list(zip(internal.at(x), internal.at(y), strict=True))[:2]:
        torch.testing.assert_close(one.values, other.values)


def test_the_way_back(rng: np.random.Generator) -> None:
    """From where a dart lands one of the darts leads back to the same geometry, at minus the ratio."""
    one, x = dart(), exact(TRIOXIDE, FOUR, 200, rng)
    y, ratio = one.propose(start(x), Streams.of(seed=1, chains=200))
    home = torch.zeros(200, dtype=torch.bool)
    for seed in range(2, 80):
        z, back = one.propose(start(y), Streams.of(seed=seed, chains=200))
        hit = (one.nearest(z) == one.nearest(x)) & ratio.isfinite()
        z = z - z.mean(dim=1, keepdim=True)
        torch.testing.assert_close(z[hit], x[hit])
        torch.testing.assert_close(back[hit], -ratio[hit])
        home |= hit
    # each dart returns with a probability of at least 0.05: missed in 78 by 1.8 %
    assert float(home[ratio.isfinite()].double().mean()) > 0.93


def test_no_way_back_is_refused() -> None:
    """Near the border of two basins a dart may land where another minimum is nearer."""
    minima = at(TRIOXIDE, (90.0, 90.0), (-90.0, 90.0), (30.0, 90.0))
    one = TorsionDart.of(rotatable_torsions(species(TRIOXIDE)), minima, torch.zeros(3), KT)
    assert one is not None
    # −90 to 90 by +180: from −140 it leads to 40, which is nearer to 30
    x = at(TRIOXIDE, (-140.0, 90.0)).expand(200, -1, -1)
    y, ratio = one.propose(start(x), Streams.of(seed=1, chains=200))
    first = angles(TRIOXIDE, y)[:, 0].rad2deg().round()
    assert set(first.tolist()) == {40.0, -20.0}
    assert bool((ratio[first == 40] == -torch.inf).all())
    assert bool(ratio[first == -20].isfinite().all())


class Unweighted(Proposal):
    """Forgets that the way back is drawn at other odds."""

    def propose(self, state: State, streams: Streams) -> Proposed:
        x, ratio = dart().propose(state, streams)
        return Proposed(x, torch.where(ratio.isfinite(), 0.0, ratio))


def flows(proposal: Proposal, rng: np.random.Generator) -> tuple[Tensor, Tensor, Tensor]:
    """Basins before and after one move from exact draws, and how many went from which to which."""
    kernel, streams = MetropolisHastings(proposal), Streams.of(seed=7, chains=N)
    state = kernel.init(trioxide().target(), exact(TRIOXIDE, FOUR, N, rng), streams)
    new, _ = kernel.step(state, streams.at(1))
    a, b = dart().nearest(state.x), dart().nearest(new.x)
    return state.x, new.x, torch.bincount(4 * a + b, minlength=16).reshape(4, 4).double()


def asymmetry(count: Tensor) -> float:
    """Largest of (n_ab − n_ba)/√(n_ab + n_ba), standard normal under detailed balance."""
    return float(((count - count.T).abs() / (count + count.T).sqrt().clamp_min(1)).max())


def test_the_density_is_kept_whatever_the_shares(rng: np.random.Generator) -> None:
    before, after, count = flows(dart(), rng)
    assert float(count.diagonal().sum()) < 0.8 * N
    assert asymmetry(count) < 4.5
    phi = angles(TRIOXIDE, after)
    for what in (same_sign, lambda phi: phi.cos().sum(dim=1), lambda phi: phi.sin().sum(dim=1)):
        found = what(phi)
        expected = share(TRIOXIDE, FOUR, what)
        assert float(found.mean()) == pytest.approx(
            expected, abs=4.5 * float(found.std()) / math.sqrt(N)
        )
    a, b = (angles(TRIOXIDE, x).cos()[:, 0] for x in (before, after))
    odd = a**2 * b - a * b**2
    assert abs(float(odd.mean())) < 4.5 * float(odd.std()) / math.sqrt(N)


def test_without_the_ratio_it_is_not(rng: np.random.Generator) -> None:
    assert asymmetry(flows(Unweighted(), rng)[2]) > 8


def test_images_are_minima_too() -> None:
    """HOOOH: the chain read backwards, and the mirror image."""
    one, x = species(TRIOXIDE), at(TRIOXIDE, WELLS[0], WELLS[1])
    torsions, group = rotatable_torsions(one), Group.of(one)
    energies = torch.tensor([0.0, -KT])
    plain = TorsionDart.of(torsions, x, energies, KT)
    whole = TorsionDart.of(torsions, x, energies, KT, group)
    assert plain is not None
    assert whole is not None
    assert [len(plain.minima), len(whole.minima)] == [2, 4]
    assert float(plain.shares[0] / plain.shares[1]) == pytest.approx(math.e)
    torch.testing.assert_close(whole.shares[:2], whole.shares[:1].expand(2))
    assert whole.orbit.tolist() == [0, 0, 2, 2]


def test_shares_are_learnt_for_all_images_alike(rng: np.random.Generator) -> None:
    found = trioxide().dart
    assert found is not None
    x = exact(TRIOXIDE, FOUR, 3000, rng)
    learnt = found.learnt(x)
    p = share(TRIOXIDE, FOUR, same_sign)
    expected = torch.tensor([1 - p, 1 - p, p, p]) / 2  # as FOUR favours opposite signs
    assert float(learnt.shares.sum()) == pytest.approx(1)
    torch.testing.assert_close(learnt.shares, expected, rtol=0, atol=4 * 0.5 / math.sqrt(3000))
    # each of a pair of images, exactly
    assert float((learnt.shares[::2] - learnt.shares[1::2]).abs().max()) < 1e-12


def test_turns_of_a_methyl_group_are_no_other_minima() -> None:
    """Angles count modulo 2π/3: ethanol has its three hydroxyl wells, two of them mirror images."""
    one = species("CCO")
    x = torch.from_numpy(geometries("CCO", 20).copy())
    found = TorsionDart.of(rotatable_torsions(one), x, torch.zeros(len(x)), KT, Group.of(one))
    assert found is not None
    assert len(found.minima) == 3


def test_nothing_to_dart_to() -> None:
    torsions = rotatable_torsions(species(TRIOXIDE))
    single = at(TRIOXIDE, WELLS[0])
    assert TorsionDart.of(torsions, single, torch.zeros(1), KT) is None
    assert TorsionDart.of((), single, torch.zeros(1), KT) is None
    with pytest.raises(InputError, match="a finite energy for each"):
        TorsionDart.of(torsions, single, torch.tensor([math.inf]), KT)


def test_the_chain_of_these_tests_is_what_it_says(rng: np.random.Generator) -> None:
    """Exact draws: virial, torsions and lengths of the potential that all of this rests on."""
    x = exact(TRIOXIDE, FOUR, N, rng)
    problem = trioxide(potential=Chain(TRIOXIDE, FOUR))
    found = problem.target().evaluate(x)
    virial = -(found.gradient * x).flatten(1).sum(dim=1) / 12
    assert float(virial.mean()) == pytest.approx(1, abs=4.5 * float(virial.std()) / math.sqrt(N))
    assert float(same_sign(angles(TRIOXIDE, x)).mean()) == pytest.approx(
        share(TRIOXIDE, FOUR, same_sign), abs=4.5 * 0.5 / math.sqrt(N)
    )
