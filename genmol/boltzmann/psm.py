r"""Potential score matching: forces tell the score where noise is low, displacements where it is high.

Guo, Wang, Liu, Li, Hu, Zhu, *Potential score matching* (2025), arXiv 2503.14569; the identity is that of
De Bortoli et al. (2024), arXiv 2402.08667. Data x_0 follow p ∝ exp(−βU) and come with forces
F = −∇U(x_0). Noised, x_t = α x_0 + σ e with standard normal e, they follow p_t, whose score is

.. math:: \nabla \log p_t(x_t) = \mathbb E\,[g_D \mid x_t] = \mathbb E\,[g_P \mid x_t], \qquad
          g_D = -\frac{x_t - \alpha x_0}{\sigma^2}, \qquad g_P = \frac{\beta}{\alpha} F(x_0) .

The first is Tweedie's, the second an integration by parts. So either is what a network s(x_t, t) may be
fitted to by least squares, and with it every mixture

.. math:: g_K = g_D + K\,(g_P - g_D),

K being any matrix that may depend on x_t and t: the difference has mean zero given x_t. K is a control
variate. It decides nothing but the variance of the target.

**The best K.** Since E[g_K | x_t] is the same for all K, the variance is least where E|g_K|² is. The
noise e is independent of x_0, so E[g_D g_Pᵀ] = 0, and with B = β² E[F Fᵀ] (which is the mean curvature
β E[∇∇U] of Boltzmann data)

.. math:: K(t) = \Bigl(1 + \frac{\sigma^2}{\alpha^2} B\Bigr)^{-1}, \qquad
          \mathbb E\,[g_K g_K^T] = B\,(\alpha^2 + \sigma^2 B)^{-1} .

Nothing is left to choose and nothing to tune: B is measured once on the data. For normal data the
target has no variance at all. Noise explodes here, α = 1: any other noising is this one in units of α.
The rules:

=================  =========================================================================
``denoising``      K = 0. Variance 1/σ² as σ → 0: a network that knows no forces
``potential``      K = 1. Variance β²E|F|² at every σ: worse as soon as σ² B > 1
``piecewise``      K = 1 below a level of noise, 0 above it: the rule of the paper
``smooth``         K = k(t) with B one number for each element: :func:`stiffness_of`
``modes``          K with B a matrix between particles, ⅓ β² E[F_i · F_j] in space: stiff motions
                   of groups cross over to g_D at lower noise than soft ones
``springs``        K from the curvature of springs between pairs at x_t, whose stiffness is that of
                   least variance (:mod:`genmol.boltzmann.springs`)
=================  =========================================================================

B between particles is the average of the full one over rotations, so that K commutes with them.

**Bias.** None, if the data follow the law that the forces belong to. Of data of another law q the
optimum at σ → 0 is β F itself, the score of p and not that of q: the shape of basins comes right.
Where noise spans basins, both targets average over q's posterior of x_0, and the share of basins is
that of q. No loss mends that; path weights do (:mod:`genmol.boltzmann.generator`).

Forces with heavy tails, as those of Lennard-Jones particles, are taken as they are: a clipped target
would have another mean.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Float, Int
from torch import Tensor

from genmol.boltzmann.rules import Rule
from genmol.boltzmann.score_batch import ScoreBatch
from genmol.boltzmann.score_model import ScoreModel
from genmol.boltzmann.springs import Springs
from genmol.core.errors import InputError

__all__ = ["Mixing", "modes_of", "objective", "squared_error", "stiffness_of"]


def stiffness_of(batch: ScoreBatch) -> dict[int, float]:
    """B of every element: the mean square of βF for each degree of freedom.

    With the centre fixed, n particles have n − 1 of them in every direction.

    Args:
        batch: frames with forces.
    """
    free = batch.degrees / torch.bincount(batch.graph_index)  # degrees of freedom of an atom
    weight = batch.weight[batch.graph_index]
    square = weight * batch.forces.square().sum(dim=1) / free[batch.graph_index]
    kinds = {int(z): batch.numbers == z for z in batch.numbers.unique()}
    return {z: float(square[rows].sum() / weight[rows].sum()) for z, rows in kinds.items()}


def modes_of(
    forces: Float[Tensor, "m n d"], weights: Float[Tensor, " m"]
) -> tuple[Float[Tensor, " n"], Float[Tensor, "n n"]]:
    """B between particles: its eigenvalues, and its eigenvectors in columns.

    Args:
        forces: βF of m frames.
        weights: of the frames.
    """
    matrix = torch.einsum("m,mid,mjd->ij", weights, forces, forces)
    values, vectors = torch.linalg.eigh(matrix / (weights.sum() * forces.shape[2]))
    return values.clamp_min(0), vectors


@dataclass(frozen=True, eq=False)
class Mixing:
    """How the two targets are mixed.

    Attributes:
        rule: see the module's docstring.
        stiffness: B of every element.
        modes: of :func:`modes_of`, for the rule of that name, which needs frames of one system.
        threshold: σ √B, B the mean over elements, at which the piecewise rule goes over; where both
            targets have the same variance by default.
        springs: for the rule of that name.

    Raises:
        InputError: the rules ``modes`` and ``springs`` without theirs, or another one with them.
    """

    rule: Rule
    stiffness: Mapping[int, float]
    modes: tuple[Tensor, Tensor] | None = None
    threshold: float = 1.0
    springs: Springs | None = None

    def __post_init__(self) -> None:
        if (self.rule == "springs") != (self.springs is not None):
            raise InputError(
                got=f"the rule {self.rule!r} {'without' if self.springs is None else 'with'} springs",
                wanted="springs that were measured for the rule 'springs', and for no other",
                remedy="measure them with measured_springs()",
            )
        if (self.rule == "modes") != (self.modes is not None):
            raise InputError(
                got=f"the rule {self.rule!r} {'with' if self.modes is not None else 'without'} modes",
                wanted="modes of one system for the rule 'modes', and for no other",
                remedy="take 'smooth' for data of several molecules",
            )

    @cached_property
    def _table(self) -> Tensor:
        """B by atomic number."""
        table = torch.zeros(128, dtype=torch.float64)
        table[list(self.stiffness)] = torch.tensor(list(self.stiffness.values())).double()
        return table

    def share(self, sigma: Float[Tensor, " n"], numbers: Int[Tensor, " n"]) -> Float[Tensor, " n"]:
        """K of each atom, for all rules but ``modes`` and ``springs``.

        Args:
            sigma: of each atom.
            numbers: of each atom.
        """
        match self.rule:
            case "denoising":
                return torch.zeros_like(sigma)
            case "potential":
                return torch.ones_like(sigma)
            case "piecewise":
                mean = sum(self.stiffness.values()) / len(self.stiffness)
                return (sigma * mean**0.5 < self.threshold).to(sigma)
            case _:
                return 1 / (1 + sigma.square() * self._table.to(sigma)[numbers])

    def target(
        self,
        noise: Float[Tensor, "n d"],
        forces: Float[Tensor, "n d"],
        sigma: Float[Tensor, " n"],
        numbers: Int[Tensor, " n"],
    ) -> Float[Tensor, "n d"]:
        """What the network is fitted to, g_K.

        Args:
            noise: e, of each atom.
            forces: βF(x_0).
            sigma: of each atom.
            numbers: of each atom.
        """
        denoising = -noise / sigma[:, None]
        difference = forces - denoising
        if self.modes is None:
            return denoising + self.share(sigma, numbers)[:, None] * difference
        values, vectors = (part.to(sigma) for part in self.modes)
        each = (-1, len(values), noise.shape[1])
        k = 1 / (1 + sigma.reshape(each[:2])[:, :1].square() * values)  # (frames, modes)
        turned = k[:, :, None] * torch.einsum("ik,bid->bkd", vectors, difference.reshape(each))
        return denoising + torch.einsum("ik,bkd->bid", vectors, turned).reshape(noise.shape)

    def second_moment(
        self, sigma: Float[Tensor, " n"], numbers: Int[Tensor, " n"]
    ) -> Float[Tensor, " n"]:
        """Mean square of a coordinate of g_K, of each atom; of ``smooth`` for ``modes`` and ``springs``.

        Args:
            sigma: of each atom.
            numbers: of each atom.
        """
        b, k = self._table.to(sigma)[numbers], self.share(sigma, numbers)
        return ((1 - k) / sigma).square() + k.square() * b


def objective(
    model: ScoreModel, batch: ScoreBatch, mixing: Mixing, generator: torch.Generator
) -> tuple[Tensor, dict[str, Tensor]]:
    r"""Mean of σ² |s − g_K|² over all levels of noise, log σ uniform.

    By this weight (maximum likelihood; Song et al. 2021) the loss bounds what is lost in samples: paths
    of the score diverge from those of the data by
    :math:`\int \sigma^2\, E|s - \nabla \log p_\sigma|^2\, d\log\sigma`, which effective sizes fall
    with. For K = 0 it is the usual loss of denoising. Low noise, where forces make errors small, gets
    no more than its due; and no level more than the inverse mean square of its target, which matters
    for K = 1 alone.

    Args:
        model: the score.
        batch: frames; each is noised once.
        mixing: of the targets.
        generator: of noise and its level.

    Returns:
        The loss, and its parts at low and at high noise.
    """
    low, high = math.log(model.config.low), math.log(model.config.high)
    share = torch.rand(
        batch.frames, generator=generator, device=batch.x.device, dtype=batch.x.dtype
    )
    sigma = torch.exp(low + (high - low) * share)
    error = squared_error(model, batch, mixing, sigma, generator)
    loss = (batch.weight * error).sum() / batch.weight.sum()
    early = share < 0.5
    parts = {
        name: ((error * rows).sum() / rows.sum().clamp_min(1)).detach()
        for name, rows in (("low_noise", early), ("high_noise", ~early))
    }
    return loss, parts


def squared_error(
    model: ScoreModel,
    batch: ScoreBatch,
    mixing: Mixing,
    sigma: Float[Tensor, " frames"],
    generator: torch.Generator,
) -> Float[Tensor, " frames"]:
    """σ² |s − g_K|² of each frame, noised to a level of its own, per degree of freedom.

    Args:
        model: the score.
        batch: frames.
        mixing: of the targets.
        sigma: of each frame.
        generator: of the noise.
    """
    noise = torch.randn(
        batch.x.shape, generator=generator, device=batch.x.device, dtype=batch.x.dtype
    )
    noise = batch.centred(noise * batch.axes)
    each = sigma[batch.graph_index]
    x = batch.x + each[:, None] * noise
    score = model(batch, x, sigma)
    if mixing.springs is None:
        target = mixing.target(noise, batch.forces, each, batch.numbers)
    else:
        denoising = -noise / each[:, None]
        target = denoising + mixing.springs(batch, x, sigma, batch.forces - denoising)
    target = batch.centred(target)
    moment = mixing.second_moment(each, batch.numbers)
    weight = each.square().minimum(1 / moment.clamp_min(1e-30))
    square = weight * (score - target).square().sum(dim=1)
    return batch.total(square) / batch.degrees
