r"""Clusters of particles that attract in pairs: DW4, and Lennard-Jones in both published forms.

**DW4** (Köhler, Klein and Noé, 2020): four particles in the plane, at kT = 1,

.. math:: U = \sum_{i<j} 0.9\,(d_{ij} - 4)^4 - 4\,(d_{ij} - 4)^2 .

A pair is short (d ≈ 2.5) or long (5.5). Five coordinates remain when the centre and the orientation
are taken out, and the two particles at either side of a pair couple by a convolution: Z, the mean of
U and the shares of states are known by quadrature, and tests/samplers/test_clusters.py repeats it.
Public DW4 samples do not obey them (exactly two short pairs in 0.445 of them, not 0.518).

**Lennard-Jones**: n particles in space, at kT = ε = r_m = 1, held together by a harmonic trap,

.. math:: U = f \sum_{i<j} \bigl(r_{ij}^{-12} - 2 r_{ij}^{-6}\bigr)
              + \frac12 \sum_i |x_i - \bar x|^2 .

Two targets of the name LJ13 are in use, and of LJ55 too; numbers for one say nothing of the other:

==========================  ===  ==============================================================
:meth:`LennardJones.dem`    f=2  the sum is over ordered pairs: Klein, Krämer and Noé, equivariant
                                 flow matching (2023), whose data are public; iDEM (Akhound-Sadegh
                                 et al., 2024); Adjoint Sampling and ASBS (2025). Liquid-like drops.
:meth:`LennardJones.bgflow` f=1  the sum is over unordered pairs, ε/2 over ordered ones: the energy
                                 in bgflow, equivariant flows (Köhler et al., 2020; Satorras et al.,
                                 2021), SE(3) augmented coupling flows (Midgley et al., 2023). A gas.
==========================  ===  ==============================================================

What tells which one a set of samples obeys is the virial, ⟨x · ∇U⟩ = (n − 1) d, which needs no
reference. Coordinates are centred before they are used, so U does not depend on the centre.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import final

import torch
from jaxtyping import Float
from torch import Tensor

from samplers.known import Toy, Truth
from samplers.rng import Streams
from samplers.spaces import MeanFree
from samplers.target import Evaluation

__all__ = ["DW4", "Cluster", "LennardJones"]

_QUADRATURE = "quadrature, tests/samplers/test_clusters.py"


class Cluster(Toy):
    """Particles with pair energies and a harmonic trap; −∞ where an energy is infinite or no number."""

    @property
    @abstractmethod
    def space(self) -> MeanFree:
        """Configurations about the origin."""

    @property
    @abstractmethod
    def stiffness(self) -> float:
        """Of the trap."""

    @abstractmethod
    def pair(self, square: Tensor) -> tuple[Tensor, Tensor]:
        """Energy of a pair at a squared distance, and its derivative by the squared distance."""

    def log_density(self, x: Tensor) -> Tensor:
        """−U."""
        return self._sums(x)[0]

    def evaluate(self, x: Tensor) -> Evaluation:
        """With the forces, zero where the density is."""
        log_density, centred, apart, slope = self._sums(x.detach())
        first, second = self._pairs(x)
        push = apart.mul_(slope.mul_(2)[:, None])
        gradient = -self.stiffness * centred
        gradient.index_add_(0, first, push, alpha=-1).index_add_(0, second, push)
        gradient = self.space.project(gradient.permute(2, 0, 1))
        inside = log_density.isfinite() & gradient.isfinite().flatten(1).all(dim=1)
        return Evaluation(log_density, torch.where(inside[:, None, None], gradient, 0.0))

    def _sums(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """−U, and what forces are made of.

        Chains come last, so that a pair is a row; no sum is taken in an order that depends on how
        many chains there are.

        Returns:
            −U (n,), centred coordinates (particles, d, n), differences of the pairs (p, d, n), and
            slopes of their energies by the squared distance (p, n).
        """
        first, second = self._pairs(x)
        centred = self.space.project(x).permute(1, 2, 0).contiguous()
        apart = centred.index_select(0, first).sub_(centred.index_select(0, second))
        square = apart[:, 0].square()
        for k in range(1, self.space.per_particle):
            square = square.addcmul_(apart[:, k], apart[:, k])
        energy, slope = self.pair(square)
        each = (0.5 * self.stiffness * centred.square().sum(dim=1)).index_add_(0, first, energy)
        total = each.T.contiguous().sum(dim=1)
        return -torch.where(total.isnan(), torch.inf, total), centred, apart, slope

    def distances(self, x: Float[Tensor, "n particles d"]) -> Float[Tensor, "n pairs"]:
        """Of all pairs."""
        first, second = self._pairs(x)
        return (x[:, first] - x[:, second]).norm(dim=2)

    def _pairs(self, x: Tensor) -> Tensor:
        """First and second particles, (2, p)."""
        return torch.triu_indices(self.space.particles, self.space.particles, 1, device=x.device)


def _pose(shape: Float[Tensor, "p d"], jitter: float, streams: Streams) -> Float[Tensor, "n p d"]:
    """Copies of one configuration, each in an order and a pose of its own, and shaken."""
    particles, d = shape.shape
    order = streams.uniform("order", particles).argsort(dim=1)
    # the Q of a normal matrix is uniform over rotations and reflections once R has a positive diagonal
    q, r = torch.linalg.qr(streams.normal("pose", d, d))
    q = q * r.diagonal(dim1=1, dim2=2).sign()[:, None, :]
    posed = (shape[order][..., None] * q[:, None]).sum(dim=2)
    return MeanFree(particles, d).project(posed + jitter * streams.normal("jitter", particles, d))


@final
@dataclass(frozen=True)
class DW4(Cluster):
    """Four particles in the plane with double-well pairs."""

    @property
    def space(self) -> MeanFree:
        """Four, in the plane."""
        return MeanFree(4, 2)

    @property
    def stiffness(self) -> float:
        """No trap."""
        return 0.0

    def pair(self, square: Tensor) -> tuple[Tensor, Tensor]:
        """0.9 (d − 4)⁴ − 4 (d − 4)²; its cusp at d = 0 has no force."""
        d = square.sqrt()
        off = d - 4
        well = off.square()
        slope = off * (1.8 * well - 4) / d.clamp_min(torch.finfo(d.dtype).tiny ** 0.5)
        return well * (0.9 * well - 4), slope

    @property
    def truths(self) -> Mapping[str, Truth]:
        """By quadrature over the five coordinates that matter; log Z is per volume of the space."""
        return {
            "log_z": Truth(29.6672322, 0.0, _QUADRATURE),
            "energy": Truth(-22.5415085, 0.0, _QUADRATURE),
            "two short": Truth(0.5177, 0.0002, _QUADRATURE),
        }

    def observables(self, x: Tensor) -> Mapping[str, Tensor]:
        """Energy, and whether exactly two pairs are shorter than 4."""
        short = (self.distances(x) < 4).sum(dim=1)
        return {"energy": -self.log_density(x), "two short": (short == 2).to(x.dtype)}

    def start(self, streams: Streams) -> Tensor:
        """Squares of side 4, where the pairs are undecided."""
        square = torch.tensor([[0, 0], [4, 0], [4, 4], [0, 4]], dtype=torch.float64)
        return _pose(square, 0.5, streams)


@final
@dataclass(frozen=True)
class LennardJones(Cluster):
    """Lennard-Jones particles in a trap.

    Attributes:
        particles: how many.
        factor: f, of the energy of a pair; 2 and 1 are the two published forms.
    """

    particles: int
    factor: float

    @classmethod
    def dem(cls, particles: int) -> LennardJones:
        """Pairs counted twice: the public data, iDEM, Adjoint Sampling, ASBS."""
        return cls(particles, factor=2.0)

    @classmethod
    def bgflow(cls, particles: int) -> LennardJones:
        """Pairs counted once: bgflow, equivariant flows, augmented coupling flows."""
        return cls(particles, factor=1.0)

    @property
    def space(self) -> MeanFree:
        """Particles in space."""
        return MeanFree(self.particles, 3)

    @property
    def stiffness(self) -> float:
        """One."""
        return 1.0

    def pair(self, square: Tensor) -> tuple[Tensor, Tensor]:
        """Energy f (r⁻¹² − 2 r⁻⁶)."""
        f, inverse = self.factor, square.reciprocal()
        sixth = inverse**3
        energy = torch.addcmul(-2 * f * sixth, sixth, sixth, value=f)
        return energy, torch.add(energy, sixth, alpha=f).mul_(-6) * inverse

    @property
    def truths(self) -> Mapping[str, Truth]:
        """Mean energy, measured."""
        known = _MEASURED.get((self.particles, self.factor))
        return {"energy": known} if known else {}

    def observables(self, x: Tensor) -> Mapping[str, Tensor]:
        """Energy."""
        return {"energy": -self.log_density(x)}

    def start(self, streams: Streams) -> Tensor:
        """The first points of a face-centred lattice, with neighbours at the best distance."""
        shell = range(-4, 5)
        points = [(i, j, k) for i in shell for j in shell for k in shell if (i + j + k) % 2 == 0]
        points.sort(key=lambda point: sum(c * c for c in point))
        lattice = torch.tensor(points[: self.particles], dtype=torch.float64) / math.sqrt(2)
        return _pose(lattice, 0.02, streams)


_HMC = "hybrid Monte Carlo, error from independent chains"
_MEASURED: dict[tuple[int, float], Truth] = {
    (13, 2.0): Truth(-43.0, 0.1, _HMC),
    (13, 1.0): Truth(0.55, 0.02, _HMC),
    (55, 2.0): Truth(-325.4, 0.2, _HMC),
    (55, 1.0): Truth(-49.14, 0.06, _HMC),
}
