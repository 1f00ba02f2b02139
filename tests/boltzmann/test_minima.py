"""Harmonic masses against integrals that are known."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from genmol.boltzmann.minima import harmonic_log_mass, relaxed
from samplers.spaces import MeanFree
from samplers.target import Density

PAIRS = ((0, 1), (0, 2), (1, 2))


def triangle(
    lengths: tuple[float, ...], stiffness: tuple[float, ...], depth: float = 0.0
) -> Density:
    """Three atoms held by springs between all pairs."""

    def log_density(x: Tensor) -> Tensor:
        energy = torch.full((len(x),), -depth, dtype=x.dtype)
        for (i, j), r, k in zip(PAIRS, lengths, stiffness, strict=True):
            energy = energy + 0.5 * k * ((x[:, i] - x[:, j]).norm(dim=1) - r).square()
        return -energy

    return Density(log_density, MeanFree(3, 3))


def corners(lengths: tuple[float, ...]) -> Tensor:
    a, b, c = lengths
    x = (a * a + b * b - c * c) / (2 * a)
    points = torch.tensor([[0, 0, 0], [a, 0, 0], [x, math.sqrt(b * b - x * x), 0]])
    return points[None]


def test_masses_of_triangles() -> None:
    # three atoms in space: dx⁶ = const · r₁₂ r₁₃ r₂₃ dr₁₂ dr₁₃ dr₂₃ (and rotations), so a stiff triangle
    # has z = const · Π r √(2π/k) exp(depth)
    one = ((1.1, 1.3, 1.5), (8e3, 9e3, 1e4), 0.0)
    two = ((2.0, 1.2, 1.7), (2e3, 4e4, 7e3), 1.5)

    def exact(lengths: tuple[float, ...], stiffness: tuple[float, ...], depth: float) -> float:
        return depth + sum(
            math.log(r) - 0.5 * math.log(k) for r, k in zip(lengths, stiffness, strict=True)
        )

    found = [float(harmonic_log_mass(triangle(*w), corners(w[0]), step=1e-4)) for w in (one, two)]
    assert found[1] - found[0] == pytest.approx(exact(*two) - exact(*one), abs=1e-4)


def test_relaxation_finds_the_triangle() -> None:
    lengths = (1.1, 1.3, 1.5)
    target = triangle(lengths, (800.0, 900.0, 1000.0))
    start = corners((1.3, 1.2, 1.4)) + 5.0
    found = relaxed(target, torch.cat([start, corners(lengths)]), force=1e-4)
    for x in found:
        for (i, j), r in zip(PAIRS, lengths, strict=True):
            assert float((x[i] - x[j]).norm()) == pytest.approx(r, abs=1e-5)
        assert float(x.mean(dim=0).abs().max()) < 1e-12
