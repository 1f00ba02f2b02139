r"""Two temperatures of one potential: the ratio of their energy distributions (Shirts, 2013).

Of draws at β₁ and β₂ = 1/kT₂ the densities of states cancel,

.. math::
    \ln\frac{P(2 \mid U)}{P(1 \mid U)} = \text{const} + s\,(\beta_1 - \beta_2)\,U, \qquad s = 1,

whatever the potential is. s is found by logistic regression of the number of the set on the energy,
which is its maximum likelihood (Shirts, J. Chem. Theory Comput. 9, 909, 2013). The constant is of no
interest. s is the mean of the slopes of neighbouring replicas. Its error is that of independent runs,
each of which has draws at all temperatures, so that exchanges between replicas do no harm: with g_r the
derivative of the log-likelihood of run r and H its curvature, run r adds :math:`(H^{-1} g_r)_s`, and

.. math:: \text{error}^2 = \tfrac{R}{R-1} \sum_r (H^{-1} g_r)_s^2

(the sandwich of Huber, 1967). Temperatures that are off by a common factor c make s = 1/c, as do
energies in a wrong unit.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor

from genmol.boltzmann.findings import Fault, Finding, judged, left_out
from samplers.diagnostics import autocorrelation_time
from samplers.identities import Identity

__all__ = ["check_two_temperatures", "energy_ratio_slope"]

_FEWEST = 8
_TIMES = 10.0


def check_two_temperatures(
    energies: Float[Tensor, "replicas runs draws"], inverse_temperatures: Sequence[float]
) -> Finding:
    """The slope as a finding.

    Args:
        energies: of every draw of every replica of every run.
        inverse_temperatures: β of the replicas, in the inverse unit of the energies.
    """
    name = "energy ratio of neighbouring temperatures"
    try:
        found = energy_ratio_slope(energies, inverse_temperatures)
    except ValueError as error:
        return left_out(name, section="identities", part="note", why=str(error))
    return judged(
        found,
        section="identities",
        part="local",
        draws=energies.numel(),
        fault=Fault("temperatures off by 5 %", 0.05),
        advice="the replicas are not at the temperatures they say: check the ladder and the exchanges",
    )


def energy_ratio_slope(
    energies: Float[Tensor, "replicas runs draws"], inverse_temperatures: Sequence[float]
) -> Identity:
    """The slope s of the module's docstring, expected to be 1.

    Args:
        energies: of every draw of every replica of every run; less than 8 runs are cut into blocks of 10
            autocorrelation times or more.
        inverse_temperatures: β of the replicas, in the inverse unit of the energies.

    Raises:
        ValueError: not as many β as replicas, less than two, or runs too short for an error.
    """
    u = energies.double()
    if not 2 <= len(inverse_temperatures) == len(u) or not u.isfinite().all():
        raise ValueError(
            f"got {len(u)} sets of energies and {len(inverse_temperatures)} temperatures; wanted as "
            "many, at least two, and finite energies"
        )
    u = _blocks(u)
    runs = u.shape[1]
    slope, influence = 0.0, torch.zeros(runs, dtype=torch.float64)
    for (one, beta), (two, other) in pairwise(zip(u, inverse_temperatures, strict=True)):
        s, of_run = _slope(one, two)
        slope += s / (beta - other) / (len(u) - 1)
        influence += of_run / (beta - other) / (len(u) - 1)
    error = math.sqrt(runs / (runs - 1) * float(influence.square().sum()))
    return Identity("energy ratio of neighbouring temperatures", slope, 1.0, error, runs - 1)


def _blocks(u: Tensor) -> Tensor:
    """Cut few runs into blocks, (replicas, runs or blocks, draws)."""
    replicas, runs, draws = u.shape
    if runs >= _FEWEST:
        return u
    times = autocorrelation_time(u.permute(1, 2, 0)) if draws >= 4 else torch.tensor(torch.inf)
    blocks = min(int(draws / (_TIMES * float(times.max().clamp_min(1.0)))), 64)
    if runs * blocks < _FEWEST:
        raise ValueError(
            f"got {runs} runs of {draws} draws, worth {runs * blocks} blocks of 10 autocorrelation "
            f"times; wanted {_FEWEST}: run longer, or run more"
        )
    return u[:, :, draws % blocks :].reshape(replicas, runs * blocks, -1)


def _slope(one: Tensor, two: Tensor) -> tuple[float, Tensor]:
    """Slope of ln P(two)/P(one) by U, by Newton's method, and how much each run adds to it.

    Args:
        one: energies (runs, draws).
        two: likewise.
    """
    u = torch.cat([one, two], dim=1)
    middle, scale = u.mean(), u.std().clamp_min(1e-300)
    z = (u - middle) / scale
    design = torch.stack([torch.ones_like(z), z], dim=2)
    is_two = torch.zeros_like(z)
    is_two[:, one.shape[1] :] = 1.0
    a = torch.zeros(2, dtype=torch.float64)
    for _ in range(50):
        p = torch.sigmoid(design @ a)
        gradient = ((is_two - p)[..., None] * design).sum(dim=1)  # of each run
        curvature = torch.einsum("rd,rdi,rdj->ij", p * (1 - p), design, design)
        if not float(torch.linalg.det(curvature)) > 1e-12 * float(curvature[0, 0]) ** 2:
            raise ValueError(
                "the energies of neighbouring temperatures do not overlap; wanted a closer ladder"
            )
        inverse = torch.linalg.inv(curvature)
        step = inverse @ gradient.sum(dim=0)
        size = float(step.abs().amax())
        a = a + min(1.0, 2.0 / max(size, 1e-300)) * step  # far away Newton's step is too long
        if size < 1e-9:
            break
    return float(a[1] / scale), gradient @ inverse[1] / scale
