"""Ring mirrors: their own way back, volume, and what they keep of rings and groups."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from chemcases import geometries, hot, species
from torch import Tensor

from genmol.boltzmann.rings import RingMirror
from genmol.chem.identity import differences
from genmol.chem.rings import flexible_rings
from genmol.chem.torsions import dihedral
from genmol.core.units import KB
from genmol.potentials.mmff import MMFF
from genmol.potentials.target import MoleculeTarget
from samplers.moves import MetropolisHastings
from samplers.rng import Streams

SMILES = ("OC1CCCCC1", "C1CCOC1", "C[C@H]1CC[C@@H](C)CC1", "C1CC[C@H]2CCCC[C@@H]2C1", "C1CCNCC1")


def frames(smiles: str, rng: np.random.Generator) -> Tensor:
    """Distorted geometries, so that nothing holds by symmetry."""
    x = geometries(smiles, 3)
    return torch.from_numpy(x + 0.05 * rng.standard_normal(x.shape))


def mirror(smiles: str) -> RingMirror:
    found = RingMirror.of(species(smiles))
    assert found is not None
    return found


def moved(move: RingMirror, x: Tensor, part: int) -> Tensor:
    return move.move(x, torch.full((len(x),), part))


@pytest.mark.parametrize("smiles", SMILES)
def test_twice_is_nothing(smiles: str, rng: np.random.Generator) -> None:
    move, x = mirror(smiles), frames(smiles, rng)
    for part in range(len(move.weights)):
        y = moved(move, x, part)
        assert float((y - x).abs().max()) > 0.1
        torch.testing.assert_close(moved(move, y, part), x)


@pytest.mark.parametrize("smiles", ["OC1CCCCC1", "C1CCOC1", "C1CC[C@H]2CCCC[C@@H]2C1"])
def test_the_volume_is_kept(smiles: str, rng: np.random.Generator) -> None:
    move, x = mirror(smiles), frames(smiles, rng)[0]
    for part in {0, len(move.weights) // 2, len(move.weights) - 1}:

        def flat(y: Tensor, part: int = part) -> Tensor:
            return moved(move, y.reshape(1, -1, 3), part).flatten()

        jacobian = torch.autograd.functional.jacobian(flat, x.flatten())
        assert abs(float(jacobian.det())) == pytest.approx(1, abs=1e-9)
        step = 1e-5 * torch.eye(x.numel())
        columns = [(flat(x.flatten() + h) - flat(x.flatten() - h)) / 2e-5 for h in step]
        assert abs(float(torch.stack(columns, dim=1).det())) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("smiles", SMILES)
def test_rigid_motions_go_along(smiles: str, rng: np.random.Generator) -> None:
    """Which the centre of a configuration needs: moves commute with rotations and translations."""
    move, x = mirror(smiles), frames(smiles, rng)
    turn = torch.linalg.qr(torch.tensor(rng.normal(size=(3, 3)))).Q
    turn = turn * torch.linalg.det(turn)
    for part in range(len(move.weights)):
        there = moved(move, x @ turn + 1.5, part)
        torch.testing.assert_close(there, moved(move, x, part) @ turn + 1.5)


@pytest.mark.parametrize("smiles", SMILES)
def test_bonds_stay(smiles: str, rng: np.random.Generator) -> None:
    """Lengths of all bonds, and the shapes of the groups that follow."""
    move, x = mirror(smiles), frames(smiles, rng)
    bonds = torch.tensor(species(smiles).bonds)

    def lengths(y: Tensor) -> Tensor:
        return (y[:, bonds[:, 0]] - y[:, bonds[:, 1]]).norm(dim=2)

    for part in range(len(move.weights)):
        torch.testing.assert_close(lengths(moved(move, x, part)), lengths(x))


@pytest.mark.parametrize("smiles", SMILES)
def test_no_centre_is_inverted(smiles: str) -> None:
    """Atoms may come too close, which the energy refuses; handedness stays."""
    move, x = mirror(smiles), torch.from_numpy(geometries(smiles, 3).copy())
    for part in range(len(move.weights)):
        for words in differences(species(smiles), moved(move, x, part).numpy()):
            assert not any("inverted" in one or "broken" in one for one in words)


def test_an_inversion_changes_the_sign_of_every_torsion(rng: np.random.Generator) -> None:
    smiles = "OC1CCCCC1"
    move, x = mirror(smiles), frames(smiles, rng)
    (ring,) = flexible_rings(species(smiles))
    around = [[ring[(k + j) % 6] for j in range(4)] for k in range(6)]
    whole = int(move.mirrored.sum(dim=1).argmax())
    assert int(move.mirrored[whole].sum()) == 3
    torch.testing.assert_close(dihedral(moved(move, x, whole), around), -dihedral(x, around))


def test_axial_becomes_equatorial() -> None:
    """Methylcyclohexane: the methyl carbon against the ring, 60° or 180°."""
    smiles = "CC1CCCCC1"
    move = mirror(smiles)
    x = torch.from_numpy(geometries(smiles, 1).copy())
    whole = int(move.mirrored.sum(dim=1).argmax())
    before, after = (
        float(dihedral(y, (0, 1, 2, 3))[0].abs().rad2deg()) for y in (x, moved(move, x, whole))
    )
    assert sorted((before, after)) == pytest.approx([65, 177], abs=15)


def test_an_inversion_comes_as_often_as_all_flaps_of_its_ring() -> None:
    move = mirror("C1CCCCC1")
    whole = move.mirrored.sum(dim=1) == 3  # flaps have one or two atoms
    assert int(whole.sum()) == 1
    assert float(move.weights[whole].sum()) == pytest.approx(float(move.weights[~whole].sum()))


@pytest.mark.parametrize("smiles", ["c1ccccc1", "CCCC", "C1CC1"])
def test_nothing_to_mirror(smiles: str) -> None:
    assert RingMirror.of(species(smiles)) is None


def test_chairs_of_cyclohexane_interchange_and_stay_hot(rng: np.random.Generator) -> None:
    """From frames at 300 K the other chair is accepted, and lands with energies of the same law."""
    smiles = "C1CCCCC1"
    one = species(smiles)
    x = torch.from_numpy(hot(smiles, temperature=300.0, frames=30, rng=rng))
    target = MoleculeTarget(
        potential=MMFF(one.mol), numbers=torch.from_numpy(one.numbers.copy()), temperature=300.0
    )
    kernel, streams = MetropolisHastings(mirror(smiles)), Streams.of(seed=1, chains=len(x))
    state = kernel.init(target, x, streams)
    start, (ring,) = state, flexible_rings(one)
    for k in range(12):
        state, _ = kernel.step(state, streams.at(k + 1))
    sign = [dihedral(s.x, ring[:4]) > 0 for s in (start, state)]
    assert int((sign[0] != sign[1]).sum()) >= 3
    energy = [-s.log_density * KB * 300.0 for s in (start, state)]
    spread = float(energy[0].std())
    assert float((energy[1] - energy[0]).mean().abs()) < 4 * spread / math.sqrt(len(x))
