"""The filter: nothing at λ = 0, turns with the molecule, bounds the noise, removes a planted ghost."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import ortho_group

from genmol.scf.overlap_filter import OverlapBasis


def symmetric(rng: np.random.Generator, n: int) -> np.ndarray:
    a = rng.normal(size=(n, n))
    return a + a.T


def overlap(rng: np.random.Generator, n: int = 12, smallest: float = 1e-4) -> np.ndarray:
    """Eigenvalues from ``smallest`` to 3."""
    u = ortho_group.rvs(n, random_state=rng)
    return (u * np.geomspace(smallest, 3, n)) @ u.T


def test_no_width_changes_nothing(rng: np.random.Generator) -> None:
    s, delta = overlap(rng), symmetric(rng, 12)
    np.testing.assert_allclose(OverlapBasis(s).damped(delta, 0.0), delta, atol=1e-12)


def test_the_law_in_the_eigenbasis(rng: np.random.Generator) -> None:
    s = np.diag(np.geomspace(1e-4, 2, 6))
    delta, width = symmetric(rng, 6), 3e-3
    product = np.outer(np.diag(s), np.diag(s))
    expected = delta * product / (product + width**2)
    np.testing.assert_allclose(OverlapBasis(s).damped(delta, width), expected, atol=1e-14)


def test_it_turns_with_the_molecule(rng: np.random.Generator) -> None:
    s, delta = overlap(rng), symmetric(rng, 12)
    d = ortho_group.rvs(12, random_state=rng)
    turned = OverlapBasis(d @ s @ d.T).damped(d @ delta @ d.T, 3e-3)
    expected = d @ OverlapBasis(s).damped(delta, 3e-3) @ d.T
    np.testing.assert_allclose(turned, expected, atol=1e-10)


def test_the_result_is_symmetric_and_shrinks_with_the_width(rng: np.random.Generator) -> None:
    basis, delta = OverlapBasis(overlap(rng)), symmetric(rng, 12)
    norms = []
    for width in (0.0, 1e-3, 1e-2, 1e-1, 1.0):
        left = basis.damped(delta, width)
        np.testing.assert_allclose(left, left.T, atol=1e-12)
        norms.append(np.linalg.norm(left))
    assert norms == sorted(norms, reverse=True)


def test_noise_over_orthonormal_functions_is_bounded(rng: np.random.Generator) -> None:
    width = 3e-3
    value, u = np.linalg.eigh(overlap(rng, smallest=1e-6))
    basis = OverlapBasis((u * value) @ u.T)
    noise = symmetric(rng, 12)
    left = u.T @ basis.damped(noise, width) @ u / np.sqrt(np.outer(value, value))
    element = np.abs(u.T @ noise @ u)
    assert np.all(np.abs(left) <= element / (2 * width) * (1 + 1e-6))


def test_energies_and_orbitals_solve_the_generalised_problem(rng: np.random.Generator) -> None:
    s, f = overlap(rng, smallest=1e-2), symmetric(rng, 12)
    energy, c = OverlapBasis(s).diagonalise(f)
    assert np.all(np.diff(energy) >= 0)
    np.testing.assert_allclose(f @ c, s @ c * energy, atol=1e-10)
    np.testing.assert_allclose(c.T @ s @ c, np.eye(12), atol=1e-10)


@pytest.mark.parametrize("seed", range(5))
def test_a_planted_ghost_is_removed(seed: int) -> None:
    """An error of 1 mEh along an eigenvalue of 1e-4 makes a state at -10 Hartree."""
    rng = np.random.default_rng(seed)
    s = overlap(rng)
    value, u = np.linalg.eigh(s)
    root = (u * np.sqrt(value)) @ u.T
    true = root @ np.diag(np.linspace(-1, 4, 12)) @ root  # its energies
    ghost = -1e-3 * np.outer(u[:, 0], u[:, 0])
    basis = OverlapBasis(s)
    assert basis.diagonalise(true + ghost)[0][0] < -8
    energy, _ = basis.diagonalise(true + basis.damped(ghost, 3e-3))
    np.testing.assert_allclose(energy, np.linspace(-1, 4, 12), atol=2e-2)
