r"""Averages that a Boltzmann ensemble must have, for a molecule that is free to move.

A molecule of n atoms has positions x with their centre at the origin: 3n − 3 Cartesian coordinates with
a constant volume element, in which the density is :math:`\pi \propto e^{-U/kT}` (masses belong to
momenta and do not appear). U does not change under translations or rotations of the whole. For any
field f(x) that commutes with translations, integrating by parts (Stein, 1972) gives

.. math::
    \Bigl\langle f\cdot\frac{\nabla U}{kT} \Bigr\rangle = \langle \operatorname{div} f \rangle .

With the projection P to the mean-free space, :math:`P\nabla U = \nabla U`, as forces of a free molecule
add up to zero, and :math:`\operatorname{tr}(P\,\partial f\,P) = \operatorname{tr}\partial f`, as ∂f
takes translations to zero: the divergence may be taken in all 3n coordinates. Rotations need no care:
the fields are not restricted to one orientation, and along a rotation ∇U has no component.

- *Virial*, f = x: :math:`\langle x\cdot\nabla U\rangle = (3n-3)\,kT`, the position relative to the
  centre times the force. It needs forces only. A stiff bond of length r and deviation σ enters with
  fluctuations r/σ ≈ 30, so that butane has a standard deviation of 3.6 times the mean for each draw.
- *Equipartition of stiff pairs*: for atoms i, j at a distance r with the mean r̄, the field moves them
  apart by (r − r̄)/2 each,

  .. math::
      f_i = -f_j = \tfrac12 (r - \bar r)\,\hat r, \qquad
      \operatorname{div} f = 1 + \frac{(d-1)(r-\bar r)}{r}, \qquad
      f\cdot\nabla U = \tfrac12 (r - \bar r)\,\hat r\cdot(\nabla_i U - \nabla_j U),

  in d dimensions. Summed over all pairs whose distance varies by less than 8 % (bonds, angles, rings):
  forces only, and a deviation of 0.35 for butane. It holds with any r̄; the sample's mean is taken.
- *Configurational temperature*, f = ∇U (Butler, Ayton, Jepps and Evans, 1998):
  :math:`\langle|\nabla U|^2\rangle = kT\,\langle\Delta U\rangle`. The Laplacian is
  :math:`\mathbb E[v\cdot\partial(\nabla U)\,v]` over random signs v, projected (Hutchinson, 1989), by
  central differences of forces: two gradient calls for each draw. Deviation 0.41 for butane.

All of them see temperatures, units, factors and potentials that are wrong. None sees the weights of
states between which the density is small: that is what coverage and agreement are for. On other spaces
(a torus, no translations) the same averages are taken where they exist, and f = sin x.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from genmol.boltzmann.draws import Draws
from genmol.boltzmann.findings import Fault, Finding, judged, left_out
from genmol.core.certificate import Check
from samplers.fields import Sine, laplacian
from samplers.identities import Identity
from samplers.rng import Streams
from samplers.spaces import MeanFree, Torus
from samplers.target import Target

__all__ = [
    "Evaluated",
    "check_configurational_temperature",
    "check_forces",
    "check_identities",
    "evaluated",
]

_SECTION = "identities"
_STIFF = 0.08
_STEP = 0.03
"""Finite difference, in thermal deviations of a stiff coordinate."""
_GRADIENT_TOLERANCE = 0.005
_COLD = Fault("a temperature off by 5 %", 0.05)
_ADVICE = (
    "the draws do not obey exp(-U/kT) of this potential at this temperature: check units, temperature "
    "and level of theory, or sample longer"
)


@dataclass(frozen=True, eq=False)
class Evaluated:
    """Draws with their gradients.

    Attributes:
        draws: weights and runs.
        x: (m, *shape), projected to the space.
        log_density: (m,).
        gradient: of the log-density, (m, *shape).
    """

    draws: Draws
    x: Tensor
    log_density: Tensor
    gradient: Tensor

    def take(self, index: Tensor) -> Evaluated:
        """Some of them."""
        parts = (v[index] for v in (self.x, self.log_density, self.gradient))
        return Evaluated(self.draws.take(index), *parts)


def evaluated(target: Target, draws: Draws, x: Float[Tensor, "m *shape"]) -> Evaluated:
    """Evaluate the target at all draws, which counts as gradient calls.

    Args:
        target: what is sampled.
        draws: weights and runs.
        x: points.
    """
    centred = target.space.project(x.double())
    return Evaluated(draws, centred, *target.evaluate(centred))


def check_forces(target: Target, x: Float[Tensor, "k *shape"], streams: Streams) -> Finding:
    """Gradient against fourth-order differences of the log-density, along random directions.

    Args:
        target: what is sampled; four energy calls, or eight, and a gradient for each point.
        x: a few points of positive density.
        streams: one for each point.
    """
    gradient = target.evaluate(x).gradient
    direction = target.space.normal(streams, "direction")
    direction = direction / direction.flatten(1).norm(dim=1).reshape(-1, *[1] * (x.ndim - 1))
    along = (gradient * direction).flatten(1).sum(dim=1)
    errors = []
    # a coarse difference, as where two modes meet, gets better with the step; a wrong gradient does not
    for share in (0.1, 0.025):
        step = share * _thermal_length(target, gradient)
        energy = {k: target.log_density(x + k * step * direction) for k in (-2, -1, 1, 2)}
        expected = (8 * (energy[1] - energy[-1]) - (energy[2] - energy[-2])) / (12 * step)
        scale = torch.maximum(along.abs(), expected.abs()).square().mean().sqrt()
        errors.append(float((along - expected).abs().amax() / scale) if float(scale) > 0 else 0.0)
        if errors[-1] <= _GRADIENT_TOLERANCE:
            break
    check = Check.at_most(
        "force = -gradient (relative error)",
        min(errors),
        _GRADIENT_TOLERANCE,
        advice="the potential's forces are not the gradient of its energy there: use another one, or "
        "tighten its convergence",
    )
    return Finding(check, "local", "target", {"points": len(x)})


def check_identities(found: Evaluated, target: Target) -> list[Finding]:
    """Virial and equipartition, which need no calls beyond the gradients.

    Args:
        found: draws with gradients.
        target: of which the space is asked.
    """
    space = target.space
    draws, x, gradient = found.draws, found.x, found.gradient
    if isinstance(space, Torus):
        values, divergence = Sine().at(x, space)
        balance = (values * gradient).flatten(1).sum(dim=1) + divergence
        return [_mean("Stein identity of sin x", draws, balance, 0.0, None)]
    centre = x if isinstance(space, MeanFree) else x - draws.mean(x)
    virial = -(centre * gradient).flatten(1).sum(dim=1) / space.dimension
    findings = [_mean("virial over degrees of freedom", draws, virial, 1.0, _COLD)]
    if isinstance(space, MeanFree) and (parts := _stiff_pairs(draws, x, gradient)):
        findings.append(_ratio("equipartition of stiff pairs", draws, *parts))
    return findings


def check_configurational_temperature(
    found: Evaluated, target: Target, streams: Streams, *, most: int
) -> Finding:
    """⟨|∇U|²⟩/⟨ΔU⟩ over kT.

    Args:
        found: draws with gradients.
        target: two gradient calls for each draw that is used.
        streams: of which as many are made as there are draws.
        most: draws that are used, spread evenly.
    """
    part = found.take(found.draws.some(most))
    rows = replace(streams, chains=torch.arange(len(part.x))).fold("probes")
    step = _STEP * _thermal_length(target, part.gradient)
    curvature = -laplacian(target, part.x, rows, step=step)
    square = part.gradient.flatten(1).square().sum(dim=1)
    return _ratio("configurational temperature over T", part.draws, square, curvature)


def _thermal_length(target: Target, gradient: Tensor) -> float:
    """κ^−½ with the mean curvature κ = ⟨|∇ log π|²⟩/dimension."""
    curvature = float(gradient.flatten(1).square().sum(dim=1).median()) / target.space.dimension
    return 1 / math.sqrt(max(curvature, 1e-12))


def _stiff_pairs(draws: Draws, x: Tensor, gradient: Tensor) -> tuple[Tensor, Tensor] | None:
    """Σ f·∇U/kT and Σ div f over the stiff pairs, (m,) each."""
    first, second = torch.triu_indices(x.shape[1], x.shape[1], 1)
    apart = x[:, first] - x[:, second]
    r = apart.norm(dim=2)
    mean = draws.mean(r)
    stiff = (draws.mean((r - mean).square()).sqrt() < _STIFF * mean).nonzero().flatten()
    if not len(stiff):
        return None
    first, second, r, off = first[stiff], second[stiff], r[:, stiff], (r - mean)[:, stiff]
    pull = gradient[:, second] - gradient[:, first]
    along = 0.5 * (apart[:, stiff] * pull).sum(dim=2) / r
    return (off * along).sum(dim=1), (1 + (x.shape[2] - 1) * off / r).sum(dim=1)


def _mean(name: str, draws: Draws, values: Tensor, expected: float, fault: Fault | None) -> Finding:
    return _judge(name, draws, values, torch.ones_like(values), expected, fault)


def _ratio(name: str, draws: Draws, numerator: Tensor, denominator: Tensor) -> Finding:
    return _judge(name, draws, numerator, denominator, 1.0, _COLD)


def _judge(
    name: str,
    draws: Draws,
    numerator: Tensor,
    denominator: Tensor,
    expected: float,
    fault: Fault | None,
) -> Finding:
    try:
        identity = Identity.of_ratio(
            name,
            draws.arrange(numerator),
            draws.arrange(denominator),
            expected,
            log_weights=draws.log_weights,
        )
    except ValueError as error:  # too short for an error, or infinite where no draw should be
        return left_out(name, section=_SECTION, part="weights", why=str(error))
    return judged(
        identity, section=_SECTION, part="local", draws=draws.count, fault=fault, advice=_ADVICE
    )
