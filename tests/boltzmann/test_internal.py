"""Internal coordinates: values against the formulas of others, slopes against differences."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from chemcases import geometries, species
from torch import Tensor

from genmol.boltzmann.internal import Internal
from genmol.chem.torsions import dihedral

SMILES = ("OO", "CCO", "CC#CC", "OC1CCCCC1", "CC(=O)NC")


def frames(smiles: str, rng: np.random.Generator) -> Tensor:
    x = geometries(smiles, 2)
    return torch.from_numpy(x + 0.05 * rng.standard_normal(x.shape))


@pytest.mark.parametrize("smiles", SMILES)
def test_slopes_are_those_of_differences(smiles: str, rng: np.random.Generator) -> None:
    """A weighted sum of all coordinates, along random directions of all atoms."""
    internal, x = Internal.of(species(smiles)), frames(smiles, rng)
    found = internal.at(x)
    weights = [torch.tensor(rng.normal(size=c.values.shape)) for c in found]
    slope = internal.gradient(found, weights, x.shape[1])
    for _ in range(5):
        direction, h = torch.tensor(rng.normal(size=x.shape)), 1e-6
        ends = [internal.at(x + sign * h * direction) for sign in (1, -1)]
        change = torch.zeros(len(x))
        for up, down, w in zip(*ends, weights, strict=True):
            # dihedrals near ±π go round
            step = torch.remainder(up.values - down.values + math.pi, 2 * math.pi) - math.pi
            change += (w * step).sum(dim=1) / (2 * h)
        torch.testing.assert_close(
            (slope * direction).flatten(1).sum(dim=1), change, rtol=1e-6, atol=1e-5
        )


@pytest.mark.parametrize("smiles", SMILES)
def test_values(smiles: str, rng: np.random.Generator) -> None:
    internal, x = Internal.of(species(smiles)), frames(smiles, rng)
    bonds, angles, dihedrals, pairs = internal.at(x)
    for found, index in ((bonds, internal.bonds), (pairs, internal.pairs)):
        expected = (x[:, index[:, 0]] - x[:, index[:, 1]]).norm(dim=2)
        torch.testing.assert_close(found.values, expected)
    u, v = (x[:, internal.angles[:, k]] - x[:, internal.angles[:, 1]] for k in (0, 2))
    cosine = torch.nn.functional.cosine_similarity(u, v, dim=2)
    torch.testing.assert_close(angles.values, cosine.acos())
    torch.testing.assert_close(
        torch.remainder(
            dihedrals.values - dihedral(x, internal.dihedrals.numpy()) + 1, 2 * math.pi
        ),
        torch.ones_like(dihedrals.values),
    )


@pytest.mark.parametrize("smiles", SMILES)
def test_rigid_motions_change_nothing(smiles: str, rng: np.random.Generator) -> None:
    """Slopes have no net force and no net torque."""
    internal, x = Internal.of(species(smiles)), frames(smiles, rng)
    found = internal.at(x)
    slope = internal.gradient(found, [torch.ones_like(c.values) for c in found], x.shape[1])
    assert float(slope.sum(dim=1).abs().max()) < 1e-9
    assert float(torch.linalg.cross(x, slope).sum(dim=1).abs().max()) < 1e-9


@pytest.mark.parametrize("smiles", [s for s in SMILES if s != "CC#CC"])
def test_every_pair_of_atoms_counts_once(smiles: str) -> None:
    one = species(smiles)
    internal = Internal.of(one)
    ends = internal.angles[:, [0, 2]].sort(dim=1).values
    all_pairs = torch.cat([internal.bonds, ends, internal.pairs]).tolist()
    expected = list(itertools.combinations(range(one.n_atoms), 2))
    assert sorted({tuple(p) for p in all_pairs}) == expected
    # Σ over bonds of the numbers of neighbours on both sides
    near = [len(n) - 1 for n in one.neighbours]
    assert len(internal.dihedrals) == sum(near[i] * near[j] for i, j in one.bonds)


def test_linear_angles_are_left_out() -> None:
    internal = Internal.of(species("CC#CC"))
    assert not {1, 2} & set(internal.angles[:, 1].tolist())
    assert len(internal.dihedrals) == 0
    found = internal.at(torch.from_numpy(geometries("CC#CC", 1).copy()))
    assert all(bool(s.isfinite().all()) for c in found for s in c.slopes)
