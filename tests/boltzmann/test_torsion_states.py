"""States of torsions with known wells."""

from __future__ import annotations

import math

import numpy as np
import pytest

from genmol.boltzmann.torsion_states import find_states
from genmol.core.errors import InputError


def wells(
    rng: np.random.Generator, centres: list[float], shares: list[int], width: float
) -> np.ndarray:
    """Normal wells, degrees in and radians out."""
    parts = [rng.normal(c, width, size=n) for c, n in zip(centres, shares, strict=True)]
    return np.radians(np.concatenate(parts))


def test_the_three_states_of_butane(rng: np.random.Generator) -> None:
    angles = wells(rng, [180, 65, -65], [2800, 600, 600], 14)
    found = find_states(angles)
    assert found.count == 3
    degrees = sorted(np.mod(np.degrees(found.centres), 360))
    # a maximum of 600 draws of width 14° is known to a few degrees
    assert degrees == pytest.approx([65, 180, 295], abs=8)
    states = found.assign(angles)
    assert np.bincount(states[:2800]).max() > 2790
    assert sorted(np.bincount(states)) == pytest.approx([600, 600, 2800], abs=10)
    # a period more is the same angle
    assert (found.assign(angles + 4 * math.pi) == states).all()
    centres = found.assign(found.centres)
    assert centres.tolist() == list(range(3))


def test_a_free_rotor_and_a_single_well_have_one_state(rng: np.random.Generator) -> None:
    for angles in (rng.uniform(-math.pi, math.pi, 500), wells(rng, [180], [500], 10), np.zeros(3)):
        found = find_states(angles)
        assert found.count == 1
        assert (found.assign(angles) == 0).all()


def test_folds(rng: np.random.Generator) -> None:
    methyl = wells(rng, [60, 180, -60], [500, 900, 100], 14)
    assert find_states(methyl).count == 3
    folded = find_states(methyl, fold=3)
    assert folded.count == 1
    assert abs(np.degrees(folded.centres[0])) == pytest.approx(60, abs=5)
    phenyl = wells(rng, [35, 215, -40, 140], [300, 500, 400, 300], 8)
    found = find_states(phenyl, fold=2)
    assert found.count == 2
    assert sorted(np.degrees(found.centres)) == pytest.approx([-40, 35], abs=5)
    assert (found.assign(phenyl) == found.assign(phenyl + math.pi)).all()


def test_shallow_and_noisy_dips_are_no_boundaries(rng: np.random.Generator) -> None:
    # two wells whose pass is 0.85 of the peaks: no barrier of kT ln 2
    near = wells(rng, [0, 40], [5000, 5000], 18)
    assert find_states(near).count == 1
    # the same density drawn with few draws, many times
    assert {find_states(near[rng.integers(len(near), size=60)]).count for _ in range(20)} == {1}


def test_a_state_with_next_to_nothing_joins_its_neighbour(rng: np.random.Generator) -> None:
    angles = wells(rng, [180, -60, 60], [5000, 5000, 5], 12)
    assert find_states(angles, least=1e-2).count == 2
    weights = np.concatenate([np.ones(10_000), np.full(5, 100.0)])
    assert find_states(angles, weights=weights).count == 3


def test_a_search_finds_states_without_draws(rng: np.random.Generator) -> None:
    angles = wells(rng, [180], [2000], 12)
    found = find_states(angles, searched=np.radians([178.0, 62.0, -63.0, 60.0]))
    assert found.count == 3
    assert len(set(found.assign(np.radians([180.0, 61.0, -62.0])))) == 3
    assert find_states(angles, searched=np.radians([170.0, -172.0])).count == 1


def test_states_agree_between_halves(rng: np.random.Generator) -> None:
    angles = wells(rng, [180, 65, -65], [2800, 600, 600], 14)
    order = rng.permutation(len(angles))
    one, two = (find_states(angles[half]) for half in np.array_split(order, 2))
    number = np.array([int(one.assign(centre[None])[0]) for centre in two.centres])
    assert sorted(number) == [0, 1, 2]
    assert (one.assign(angles) == number[two.assign(angles)]).mean() > 0.99


def test_refusals() -> None:
    with pytest.raises(InputError, match="1 not finite"):
        find_states(np.array([0.0, math.nan]))
    with pytest.raises(InputError, match="one for each frame"):
        find_states(np.zeros(3), weights=np.ones(2))
