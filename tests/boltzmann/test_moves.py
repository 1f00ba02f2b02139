"""Torsion jumps: volume, way back, what they keep, and the density that they leave as it is."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from chaincases import FOUR, TRIOXIDE, WELLS, angles, at, exact, same_sign, share, trioxide
from chemcases import geometries, species
from scipy import stats
from torch import Tensor

from genmol.boltzmann.internal import Internal
from genmol.boltzmann.moves import Angles, TorsionJump, turned
from genmol.chem.torsions import Torsion, rotatable_torsions
from genmol.core.errors import InputError
from samplers.moves import MetropolisHastings
from samplers.rng import Streams
from samplers.sampler import State
from samplers.spaces import MeanFree
from samplers.target import Flat

N = 4000
LAW = Angles()


def law(n: int) -> Tensor:
    u = Streams.of(seed=5, chains=n).uniform("u", 2)
    return LAW.at(u[:, 0], u[:, 1])


def jumped(smiles: str, count: int, n: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Before and after a proposal, from one geometry."""
    x = torch.from_numpy(geometries(smiles, 1)[0].copy()).expand(n, -1, -1)
    jump = TorsionJump.of(rotatable_torsions(species(smiles)), x.shape[1], count=count)
    state = State(Flat(MeanFree(x.shape[1], 3)), x, torch.zeros(n), torch.zeros_like(x))
    return x, jump.propose(state, Streams.of(seed=seed, chains=n)).x


def test_the_law_of_angles_is_even() -> None:
    phi = law(20_000)
    assert stats.ks_2samp(phi.numpy(), -phi.numpy()).pvalue > 1e-4
    # sin is odd: its mean is 0, with a variance of at most 1
    assert abs(float(phi.sin().mean())) < 4 / math.sqrt(len(phi))


def test_the_law_of_angles_is_the_mixture_it_says() -> None:
    phi, w = law(20_000), LAW.width
    wrapped = torch.remainder(phi + math.pi, 2 * math.pi) - math.pi
    # E cos kφ of a normal of width w is exp(−k²w²/2), times cos of 2πk/3 about a third of a turn
    for k in (1, 2, 3):
        normal = math.exp(-((k * w) ** 2) / 2)
        expected = normal * (LAW.small + LAW.thirds * math.cos(2 * math.pi * k / 3))
        found = (k * wrapped).cos().mean()
        assert float(found) == pytest.approx(expected, abs=4 / math.sqrt(2e4))


@pytest.mark.parametrize("law", [(-0.1, 0.5, 0.3), (0.6, 0.5, 0.3), (0.2, 0.5, 0.0)])
def test_bad_laws(law: tuple[float, float, float]) -> None:
    with pytest.raises(InputError, match="shares that are not negative"):
        Angles(*law)


def test_the_volume_is_kept() -> None:
    """|det ∂x'/∂x| = 1, all atoms free to move."""
    x = torch.from_numpy(geometries("OCCO", 1)[0].copy())
    jump = TorsionJump.of(rotatable_torsions(species("OCCO")), len(x))
    for bond, angle in ((0, 0.7), (1, -2.1), (2, 3.0)):
        one = torch.tensor([bond])

        def move(flat: Tensor, one: Tensor = one, angle: float = angle) -> Tensor:
            there = turned(
                flat.reshape(1, -1, 3), jump.ends[one, 0], jump.ends[one, 1], jump.moved[one],
                torch.tensor([angle]),
            )  # fmt: skip
            return there.flatten()

        jacobian = torch.autograd.functional.jacobian(move, x.flatten())
        assert float(jacobian.det()) == pytest.approx(1, abs=1e-10)
        # the same by differences, without trust in the derivative of the code
        step = 1e-6 * torch.eye(x.numel())
        columns = [(move(x.flatten() + h) - move(x.flatten() - h)) / 2e-6 for h in step]
        assert float(torch.stack(columns, dim=1).det()) == pytest.approx(1, abs=1e-6)


def test_the_way_back() -> None:
    """The same turn by −φ undoes a turn, in any molecule."""
    x = torch.from_numpy(geometries("OCC(O)CO", 1)[0].copy())[None]
    jump = TorsionJump.of(rotatable_torsions(species("OCC(O)CO")), x.shape[1])
    for bond in range(len(jump.ends)):
        one, phi = torch.tensor([bond]), torch.tensor([1.3])
        args = jump.ends[one, 0], jump.ends[one, 1], jump.moved[one]
        there = turned(x, *args, phi)
        assert not torch.allclose(there, x)
        torch.testing.assert_close(turned(there, *args, -phi), x)


@pytest.mark.parametrize("count", [1, 3])
def test_only_torsions_change(count: int) -> None:
    x, y = jumped("OCC(O)CO", count, 40)
    internal = Internal.of(species("OCC(O)CO"))
    for one, other in list(zip(internal.at(x), internal.at(y), strict=True))[:2]:
        torch.testing.assert_close(one.values, other.values)
    changed = (internal.at(x)[2].values - internal.at(y)[2].values).abs().amax(dim=1)
    assert bool((changed > 1e-6).all())


def test_bonds_to_alike_groups_are_drawn_less() -> None:
    """Ethanol: the methyl group, of fold 3, once for three turns of the hydroxyl group."""
    x, y = jumped("CCO", 1, N)
    moved = (x != y).any(dim=2)
    methyl = moved.sum(dim=1) == 3
    assert bool((methyl | (moved.sum(dim=1) == 1)).all())
    share = float(methyl.double().mean())
    assert share == pytest.approx(0.25, abs=4 * math.sqrt(0.25 * 0.75 / N))


def test_only_smaller_sides_are_taken() -> None:
    with pytest.raises(InputError, match="the atoms on its smaller side"):
        TorsionJump.of([Torsion((3, 0, 1, 2), (2, 3, 4), 1)], 5)
    with pytest.raises(InputError, match="0 rotatable bonds"):
        TorsionJump.of([], 5)


@pytest.mark.parametrize("count", [1, 2])
def test_the_density_is_kept_and_pairs_are_exchangeable(
    count: int, rng: np.random.Generator
) -> None:
    problem = trioxide()
    kernel = MetropolisHastings(TorsionJump.of(problem.torsions, 5, count=count))
    streams = Streams.of(seed=2, chains=N)
    state = kernel.init(problem.target(), exact(TRIOXIDE, FOUR, N, rng), streams)
    new, info = kernel.step(state, streams.at(1))
    before, after = (angles(TRIOXIDE, s.x) for s in (state, new))
    assert 0.1 < float(info.acceptance.mean()) < 0.9
    for what in (same_sign, lambda phi: phi.cos().sum(dim=1), lambda phi: phi.sin().prod(dim=1)):
        a, b = what(before), what(after)
        assert float(b.mean()) == pytest.approx(
            share(TRIOXIDE, FOUR, what), abs=4.5 * float(b.std()) / math.sqrt(N)
        )
        for odd in (a**2 * b - a * b**2, a * same_sign(after) - b * same_sign(before)):
            assert abs(float(odd.mean())) <= 4.5 * float(odd.std()) / math.sqrt(N)


def test_wells_are_reached_one_torsion_at_a_time() -> None:
    """From one well of HOOOH its neighbours are reached, at the rate of the uniform part at least."""
    problem = trioxide()
    kernel = MetropolisHastings(TorsionJump.of(problem.torsions, 5))
    streams = Streams.of(seed=3, chains=1000)
    state = kernel.init(problem.target(), at(TRIOXIDE, WELLS[1]).expand(1000, -1, -1), streams)
    new, _ = kernel.step(state, streams.at(1))
    phi = angles(TRIOXIDE, new.x)
    left = (phi.sign() != torch.tensor([1.0, -1.0])).sum(dim=1)
    assert int(left.max()) == 1
    assert float((left == 1).double().mean()) > 0.02
