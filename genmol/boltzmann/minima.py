r"""Minima of a potential, and what their wells hold in the harmonic approximation.

With the Hessian H of −log π at a minimum, projected to what is neither translation nor rotation, its
eigenvalues :math:`\lambda_i`, and the tensor of inertia J of unit masses (the volume of the orbit of
rotations), up to a common factor

.. math::
    \ln z = \log\pi(x_\text{min}) - \tfrac12 \sum_i \ln\frac{\lambda_i}{2\pi} + \tfrac12 \ln\det J .

Masses do not appear, as in all configurational averages.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from jaxtyping import Float
from scipy.optimize import minimize
from torch import Tensor

from samplers.target import Target

__all__ = ["harmonic_log_mass", "relaxed"]

_SOFTEST = 1.0
"""1/Å²: no coordinate of a molecule strays more than an Ångström within a well."""


def relaxed(
    target: Target, x: Float[Tensor, "s atoms 3"], *, steps: int = 200, force: float = 0.5
) -> Float[Tensor, "s atoms 3"]:
    """Follow each point to a minimum of −log π, by L-BFGS (Liu and Nocedal, 1989).

    Args:
        target: a gradient call for each step of each point.
        x: positions of free molecules, Å.
        steps: at most, for each.
        force: largest component of the gradient that is left, 1/Å.
    """
    found = []
    for point in target.space.project(x.double()):
        shape = point.shape

        def loss(flat: np.ndarray, shape: torch.Size = shape) -> tuple[float, np.ndarray]:
            value, gradient = target.evaluate(torch.from_numpy(flat).reshape(1, *shape))
            energy = -float(value[0])
            # a step too far is a wall, from which the line search returns
            return energy if math.isfinite(energy) else 1e12, -gradient.flatten().numpy()

        end = minimize(
            loss,
            point.flatten().numpy(),
            jac=True,
            method="L-BFGS-B",
            options={"maxiter": steps, "maxfun": 2 * steps, "gtol": force, "ftol": 0.0},
        )
        found.append(torch.from_numpy(end.x).reshape(shape))
    return target.space.project(torch.stack(found))


def harmonic_log_mass(
    target: Target, minima: Float[Tensor, "s atoms 3"], *, step: float = 0.005
) -> Float[Tensor, " s"]:
    """The logarithm of z of the module's docstring.

    Args:
        target: two gradient calls for each coordinate of each minimum.
        minima: of a free molecule, Å; forces that are left count as if they were zero.
        step: of the differences, Å.
    """
    x = target.space.project(minima.double())
    s, n = x.shape[:2]
    log_density, _ = target.evaluate(x)
    axes = torch.eye(3 * n, dtype=torch.float64).reshape(3 * n, n, 3)
    ahead, behind = (
        target.evaluate((x[:, None] + sign * step * axes).flatten(0, 1)).gradient
        for sign in (1, -1)
    )
    hessian = -(ahead - behind).reshape(s, 3 * n, 3 * n) / (2 * step)
    found = torch.empty(s, dtype=torch.float64)
    for k in range(s):
        h, inside = (hessian[k] + hessian[k].T) / 2, _inner(x[k])
        stiff = torch.linalg.eigvalsh(inside.T @ h @ inside).clamp_min(_SOFTEST)
        inertia = x[k].square().sum() * torch.eye(3, dtype=torch.float64) - x[k].T @ x[k]
        volume = 0.5 * torch.linalg.eigvalsh(inertia).clamp_min(1e-3).log().sum()
        found[k] = log_density[k] - 0.5 * (stiff / (2 * math.pi)).log().sum() + volume
    return found


def _inner(x: Tensor) -> Tensor:
    """Orthonormal directions that are neither translations nor rotations, (3n, 3n − 6 or 5)."""
    n, axes = len(x), torch.eye(3, dtype=x.dtype)
    turns = [torch.linalg.cross(axis.expand(n, 3), x).flatten() for axis in axes]
    outside = torch.cat([axes.repeat(n, 1), torch.stack(turns, dim=1)], dim=1)
    u, singular, _ = torch.linalg.svd(outside, full_matrices=True)
    return u[:, int((singular > 1e-6 * singular[0]).sum()) :]
