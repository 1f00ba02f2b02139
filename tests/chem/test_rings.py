"""Ring systems: which atoms can leave the plane, and which parts turn."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from chemcases import geometries, species

from genmol.chem.rings import Flap, flexible_rings, ring_systems

SYSTEMS = {  # rings, flexible atoms and flaps of each system
    "CCO": [],
    "c1ccccc1": [(1, 0, 0)],
    "C1CC1": [(1, 0, 0)],
    "C1CCC1": [(1, 4, 2)],
    "C1CCCCC1": [(1, 6, 9)],
    "C1CCC=CC1": [(1, 4, 3)],
    "c1ccc2c(c1)CCCC2": [(2, 4, 3)],
    "C1CCCCC1c1ccccc1": [(1, 0, 0), (1, 6, 9)],
    "C1CC2(C1)CCC2": [(2, 7, 4)],
    "C1CC2CCC1C2": [(2, 7, 6)],
    "C1=CC=CC=CC=C1": [(1, 8, 0)],
    "O=C1C=CC(=O)C=C1": [(1, 0, 0)],
}


@pytest.mark.parametrize("smiles", SYSTEMS)
def test_ring_systems(smiles: str) -> None:
    found = [(len(s.rings), len(s.flexible), len(s.flaps)) for s in ring_systems(species(smiles))]
    assert sorted(found) == SYSTEMS[smiles]


def test_cyclohexane() -> None:
    [system] = ring_systems(species("C1CCCCC1"))
    assert system.rings == flexible_rings(species("C1CCCCC1"))
    ring = list(system.rings[0])
    for flap in system.flaps:
        carbons = [i for i in flap.moved if i < 6]
        assert len(flap.moved) == 3 * len(carbons)  # with both hydrogens of each
        between = abs(ring.index(flap.axis[0]) - ring.index(flap.axis[1]))
        assert len(carbons) == min(between, 6 - between) - 1
    assert len([flap for flap in system.flaps if len(flap.moved) == 3]) == 6


@pytest.mark.parametrize("smiles", ["C1CCCCC1", "C1CC2CCC1C2", "c1ccc2c(c1)CCCC2"])
def test_a_flap_keeps_all_bonds(smiles: str, rng: np.random.Generator) -> None:
    one, x = species(smiles), geometries(smiles, 1)[0]
    i, j = np.array(one.bonds).T
    for system in ring_systems(one):
        for flap in system.flaps:
            y = turned(x, flap, float(rng.uniform(-0.5, 0.5)))
            np.testing.assert_allclose(
                np.linalg.norm(y[i] - y[j], axis=1), np.linalg.norm(x[i] - x[j], axis=1), atol=1e-12
            )
    assert all(
        set(a.axis) != set(b.axis) or not set(a.moved) & set(b.moved)
        for system in ring_systems(one)
        for a, b in combinations(system.flaps, 2)
    )


def turned(x: np.ndarray, flap: Flap, angle: float) -> np.ndarray:
    i, j = flap.axis
    axis = (x[j] - x[i]) / np.linalg.norm(x[j] - x[i])
    cross = np.cross(np.eye(3), axis)
    rotation = np.eye(3) - np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross
    found = x.copy()
    found[list(flap.moved)] = x[i] + (x[list(flap.moved)] - x[i]) @ rotation.T
    return found
