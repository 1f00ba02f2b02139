"""Renumberings: a group, drawn evenly, under which energies stay and forces turn along."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from chaincases import FOUR, TRIOXIDE, exact, trioxide
from chemcases import geometries, species
from scipy import stats
from torch import Tensor

from genmol.boltzmann.renumbering import Group, Renumbering
from genmol.potentials.mmff import MMFF
from genmol.potentials.target import MoleculeTarget
from samplers.rng import Streams
from samplers.sampler import State

SIZES = {  # proper permutations but for turns of leaves, times two where the molecule is not chiral
    "OO": 2 * 2,
    "CCO": 2,
    "CC": 2 * 2,
    "OCC(O)CO": 2 * 1,
    "Cc1ccccc1": 2 * 2,
    "C[C@H](F)Cl": 1,
    "C1CCCCC1": 2 * 12,
}
CHIRAL = {"C[C@H](F)Cl"}


def energies(smiles: str, x: Tensor) -> Tensor:
    kind = species(smiles)
    target = MoleculeTarget(
        potential=MMFF(kind.mol), numbers=torch.from_numpy(kind.numbers.copy()), temperature=300.0
    )
    return target.log_density(x)


def shaken(smiles: str, rng: np.random.Generator, n: int = 1) -> Tensor:
    x = geometries(smiles, 1)[:1]
    found = torch.from_numpy(x + 0.05 * rng.standard_normal((n, *x.shape[1:])))
    return found - found.mean(dim=1, keepdim=True)


@pytest.mark.parametrize("smiles", SIZES)
def test_every_image_is_the_same_geometry(smiles: str, rng: np.random.Generator) -> None:
    group, x = Group.of(species(smiles)), shaken(smiles, rng)[0]
    images = torch.stack(list(group.images(x, most=1000)))
    assert len(images) == group.size
    assert float((images - x).abs().amax(dim=(1, 2)).min()) == 0  # itself among them
    # all different
    apart = (images[:, None] - images[None]).flatten(2).norm(dim=2)
    assert float((apart + torch.eye(len(images))).min()) > 1e-3
    found = energies(smiles, images)
    assert float((found - found[0]).abs().max()) < 1e-8


@pytest.mark.parametrize(("smiles", "size"), SIZES.items())
def test_sizes(smiles: str, size: int) -> None:
    group = Group.of(species(smiles))
    assert group.size == size
    assert (group.mirror is None) == (smiles in CHIRAL)


@pytest.mark.parametrize("smiles", ["OO", "CC", "CCO", "C1CCCCC1"])
def test_images_of_images_are_images(smiles: str, rng: np.random.Generator) -> None:
    """A group: then a uniform element is a symmetric proposal."""
    group, x = Group.of(species(smiles)), shaken(smiles, rng)[0]
    images = torch.stack(list(group.images(x, most=100)))
    for first in images:
        again = torch.stack(list(group.images(first, most=100)))
        apart = (images[:, None] - again[None]).flatten(2).norm(dim=2)
        assert float(apart.amin(dim=1).max()) < 1e-12


def test_elements_are_drawn_evenly(rng: np.random.Generator) -> None:
    """Cyclohexane: χ² of the counts of all elements."""
    group, n = Group.of(species("C1CCCCC1")), 2400
    x = shaken("C1CCCCC1", rng)
    order, sign = group.draw(x.expand(n, -1, -1), Streams.of(seed=1, chains=n))
    _, count = torch.cat([order, sign[:, None].long()], dim=1).unique(dim=0, return_counts=True)
    assert len(count) == group.size
    assert stats.chisquare(count.numpy()).pvalue > 1e-4


def test_density_and_forces_go_along(rng: np.random.Generator) -> None:
    problem, n = trioxide(), 64
    assert problem.group is not None
    target, streams = problem.target(), Streams.of(seed=3, chains=n)
    x = exact(TRIOXIDE, FOUR, n, rng)
    state = State(target, x, *target.evaluate(x))
    moved, info = Renumbering(problem.group).step(state, streams)
    assert bool((info.acceptance == 1).all())
    assert bool((moved.x != x).flatten(1).any(dim=1).double().mean() > 0.5)
    again = target.evaluate(moved.x)
    torch.testing.assert_close(moved.log_density, again.log_density)
    torch.testing.assert_close(moved.gradient, again.gradient)


def test_equal_rotamers_are_visited_equally() -> None:
    """From one well of HOOOH a single move leads to both of its images, half the time each."""
    problem, n = trioxide(), 2000
    assert problem.group is not None
    target = problem.target()
    x = problem.conformers[:1].expand(n, -1, -1)
    state = State(target, x, *target.evaluate(x))
    moved, _ = Renumbering(problem.group).step(state, Streams.of(seed=1, chains=n))
    assert problem.dart is not None
    where = torch.bincount(problem.dart.nearest(moved.x), minlength=4)
    first = int(where.max())
    assert int((where > 0).sum()) == 2
    assert first == pytest.approx(n / 2, abs=4 * math.sqrt(n / 4))
