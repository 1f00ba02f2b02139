"""Basins: combinations of states, equivalent copies merged, populations and free energies."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from genmol.boltzmann.basins import find_basins
from genmol.core.errors import InputError
from genmol.core.units import EV_TO_KCAL_MOL, KB

CENTRES = np.radians([180.0, 65.0, -65.0])


def two_torsions(rng: np.random.Generator, m: int = 4000) -> tuple[np.ndarray, np.ndarray]:
    """Well numbers (m, 2) and angles; state 0 twice as likely as each of the others."""
    state = rng.choice(3, size=(m, 2), p=[0.5, 0.25, 0.25])
    return state, CENTRES[state] + rng.normal(0, math.radians(12), size=(m, 2))


def test_combinations_and_their_numbers(rng: np.random.Generator) -> None:
    state, angles = two_torsions(rng)
    energies = rng.normal(size=len(angles))
    found = find_basins(angles, energies, 300.0)
    assert found.count == 9
    assert found.populations.sum() == pytest.approx(1)
    assert (np.diff(found.populations) <= 0).all()
    assert found.names[0].replace("-", "+").startswith("+1")  # ±180 and its neighbour
    code = 3 * state[:, 0] + state[:, 1]
    pairs = {(int(a), int(b)) for a, b in zip(code, found.labels, strict=True)}
    # nearly one to one: 12° wells, boundaries 55° away
    counts = []
    for b in range(9):
        members = code[found.labels == b]
        counts.append((members == np.bincount(members).argmax()).mean())
    assert min(counts) > 0.99
    assert len(pairs) < 40
    expected = -KB * 300 * np.log(found.populations / found.populations[0]) * EV_TO_KCAL_MOL
    np.testing.assert_allclose(found.free_energies, expected, atol=1e-12)
    assert found.free_energies[0] == 0
    for b, frame in enumerate(found.representatives):
        members = np.flatnonzero(found.labels == b)
        assert frame == members[energies[members].argmin()]
    assert (found.label(angles) == found.labels).all()


def test_equivalent_copies_are_one_basin(rng: np.random.Generator) -> None:
    # a permutation exchanges the torsions, as for the two ends of a symmetric chain
    state, angles = two_torsions(rng)
    copies = np.stack([angles, angles[:, ::-1]])
    found = find_basins(copies, np.zeros(len(angles)), 300.0)
    assert found.count == 6
    exchanged = find_basins(copies[::-1], np.zeros(len(angles)), 300.0)
    assert (found.labels == exchanged.labels).all()
    same = (state[:, 0] == state[:, 1]).astype(int)
    wells = found.copies(copies)
    # one well where both torsions are alike, two where they are not, but for draws at a boundary
    assert (wells == 2 - same).mean() > 0.99
    unmerged = find_basins(angles, np.zeros(len(angles)), 300.0)
    assert unmerged.count == 9


def test_weights(rng: np.random.Generator) -> None:
    state, angles = two_torsions(rng)
    weights = np.where(state[:, 0] == 0, 3.0, 1.0)
    found = find_basins(angles, np.zeros(len(angles)), 300.0, weights=weights)
    first = found.states[0].assign(angles[:, 0])
    alone = first == first[np.flatnonzero(state[:, 0] == 0)[0]]
    assert found.populations[np.unique(found.labels[alone])].sum() == pytest.approx(
        weights[alone].sum() / weights.sum()
    )


def test_what_was_not_sampled(rng: np.random.Generator) -> None:
    state, angles = two_torsions(rng)
    seen = ~((state[:, 0] == 1) & (state[:, 1] == 2))
    seen &= np.abs(angles[:, 0] - CENTRES[state[:, 0]]) < 0.6
    seen &= np.abs(angles[:, 1] - CENTRES[state[:, 1]]) < 0.6
    found = find_basins(angles[seen], np.zeros(seen.sum()), 300.0)
    assert found.count == 8
    missing = CENTRES[[1, 2]][None]
    assert found.label(missing).tolist() == [-1]
    assert found.name(int(found.code(missing)[0])) not in found.names
    # a torsion that never left its well, and a search that has
    alone = state[:, 0] == 0
    trans = find_basins(angles[alone], np.zeros(alone.sum()), 300.0, searched=missing)
    assert trans.label(missing).tolist() == [-1]


def test_no_torsions_and_torch() -> None:
    found = find_basins(torch.zeros(5, 0), torch.tensor([3.0, 1, 2, 5, 4]), 300.0)
    assert found.count == 1
    assert found.names == ("all",)
    assert found.representatives.tolist() == [1]
    assert found.free_energies.tolist() == [0.0]


def test_refusals() -> None:
    with pytest.raises(InputError, match="an energy for each frame"):
        find_basins(np.zeros((4, 2)), np.zeros(3), 300.0)
    with pytest.raises(InputError, match="a fold for each torsion"):
        find_basins(np.zeros((4, 2)), np.zeros(4), 300.0, folds=(3,))
    with pytest.raises(InputError, match="2 not finite"):
        find_basins(np.full((1, 2), math.nan), np.zeros(1), 300.0)
