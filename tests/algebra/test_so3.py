"""Wigner matrices are representations, the ones of e3nn's spherical harmonics; so is the coupling."""

import numpy as np
import pytest
import torch
from e3nn import o3
from laws.oracle import degree_matrix, harmonics
from scipy.spatial.transform import Rotation

from genmol.algebra.so3 import coupling, dimension, wigner_matrices

L_MAX = 8


def rotations() -> torch.Tensor:
    """At random, none at all, half turns, quarter turns, and hardly any."""
    vectors = np.concatenate(
        [
            Rotation.random(6, random_state=1).as_rotvec(),
            np.zeros((1, 3)),
            np.pi * np.eye(3),
            np.pi / 2 * np.eye(3),
            1e-9 * np.eye(3),
        ]
    )
    return torch.from_numpy(Rotation.from_rotvec(vectors).as_matrix())


def test_they_are_orthogonal_and_special():
    for l, matrices in enumerate(wigner_matrices(rotations(), L_MAX)):
        assert matrices.shape == (16, 2 * l + 1, 2 * l + 1)
        identity = torch.eye(2 * l + 1).expand_as(matrices)
        torch.testing.assert_close(matrices @ matrices.mT, identity, atol=2e-14, rtol=0)
        torch.testing.assert_close(torch.linalg.det(matrices), torch.ones(16))


def test_products_go_to_products():
    first, second = rotations(), rotations().flip(0)
    for both, a, b in zip(
        *(wigner_matrices(r, L_MAX) for r in (first @ second, first, second)), strict=True
    ):
        torch.testing.assert_close(both, a @ b, atol=5e-14, rtol=0)


def test_they_turn_spherical_harmonics(rng):
    points = torch.from_numpy(rng.normal(size=(50, 3)))
    for k, rotation in enumerate(rotations()):
        for l, matrices in enumerate(wigner_matrices(rotations(), L_MAX)):
            turned = harmonics(l, points @ rotation.T)
            torch.testing.assert_close(
                turned, harmonics(l, points) @ matrices[k].T, atol=1e-12, rtol=0
            )


def test_the_oracle_of_the_laws_agrees():
    rotation = rotations()[0]
    for l, matrices in enumerate(wigner_matrices(rotation[None], 4)):
        torch.testing.assert_close(degree_matrix(l, rotation), matrices[0], atol=1e-13, rtol=0)


def test_single_precision_is_single_precision():
    for single, double in zip(
        wigner_matrices(rotations().float(), L_MAX),
        wigner_matrices(rotations(), L_MAX),
        strict=True,
    ):
        assert single.dtype == torch.float32
        torch.testing.assert_close(single.double(), double, atol=1e-5, rtol=0)


def test_no_rotation_is_singular_for_gradients():
    rotation = rotations().requires_grad_()
    total = sum(matrices.square().sum(0).cos().sum() for matrices in wigner_matrices(rotation, 4))
    (slope,) = torch.autograd.grad(total, rotation)
    assert slope.isfinite().all()


@pytest.mark.parametrize("l1", range(5))
@pytest.mark.parametrize("l2", range(5))
def test_coupling_is_e3nns_and_complete(l1, l2):
    degrees = range(abs(l1 - l2), l1 + l2 + 1)
    for l3 in degrees:
        wanted = (2 * l3 + 1) ** 0.5 * o3.wigner_3j(l1, l2, l3, dtype=torch.float64)
        torch.testing.assert_close(coupling(l1, l2, l3), wanted, atol=1e-14, rtol=0)
    matrix = torch.cat([coupling(l1, l2, l3).flatten(0, 1) for l3 in degrees], dim=1)
    torch.testing.assert_close(matrix @ matrix.T, torch.eye(len(matrix)), atol=1e-13, rtol=0)
    assert matrix.shape == (
        matrix.shape[1],
        sum(dimension(l3) - dimension(l3 - 1) for l3 in degrees),
    )
