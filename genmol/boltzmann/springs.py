r"""The best control variate is a local one: springs between pairs, as stiff as the noised geometry says.

:mod:`genmol.boltzmann.psm` mixes targets, g_K = g_D + K (g_P − g_D), by a matrix that may depend on the
noised x_t and on σ. For data that are normal about x_t, of precision H, the target has no variance with

.. math:: K = (1 + \sigma^2 H(x_t))^{-1} ,

and reads K [βF(x_0) − H (x_t − x_0)]: the force at x_t, from that at x_0 by a step along the curvature.
One number for each element takes H to be isotropic, and draws of what was learnt from few frames then
stray along stiff bonds as far as along soft angles. Here

.. math::
    H = b_0 + \sum_{i<j} b_{ij}\, v_{ij} v_{ij}^T, \qquad
    \log b_{ij} = \log b + \sum_m \tau_m(\sigma)\, (w_m \cdot [a_{ij},\, \mathrm{basis}(r_{ij})] + c_m),

with v_ij the unit vector by which i and j part, attributes a of the pair such as the bonds between them,
hat functions τ of log σ, and b₀ likewise a function of σ alone. Walls and bonds are stiff where they are
short, and rotations cost nothing.

**What w, c and b₀ are** is measured on the data before training. All mixtures have the same mean given
x_t, so that of least variance has the least second moment: E|g_K|², which is minimised as it stands.
However good or bad H is, the target stays unbiased.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import final

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from genmol.boltzmann.score_batch import ScoreBatch, ScoreFrame
from genmol.nn.radial import ExponentialBasis

__all__ = ["Springs", "measured_springs"]

_TIMES, _RADIAL = 8, 16
_SOFT = -3.0  # log b_ij/b to begin with
_RANGE = 12.0  # of log b_ij/b
_STEPS, _RATE = 240, 0.06  # of the fit
_BATCHES = 12  # of frames; every step has noise of its own
_FRAMES, _PAIRS = 64, 20_000  # of one of its steps, at most


@final
class Springs(nn.Module):
    """K of the module's docstring; in double precision.

    Args:
        low, high: ends of σ.
        stiffness: b, in the inverse square of the unit of the data.
        attributes: numbers that describe a pair.
        cutoff: of distances that differ.
        decay: length on which they are told apart less well.
    """

    hats: Tensor

    def __init__(
        self,
        *,
        low: float,
        high: float,
        stiffness: float,
        attributes: int = 0,
        cutoff: float = 10.0,
        decay: float = 2.0,
    ) -> None:
        super().__init__()
        self.level = math.log(stiffness)
        self.radial = ExponentialBasis(_RADIAL, cutoff, decay=decay)
        self.register_buffer(
            "hats", torch.linspace(math.log(low), math.log(high), _TIMES, dtype=torch.float64)
        )
        shape = attributes + _RADIAL, _TIMES
        self.weights = nn.Parameter(torch.zeros(*shape, dtype=torch.float64))
        self.offsets = nn.Parameter(torch.full((_TIMES,), _SOFT, dtype=torch.float64))
        self.base = nn.Parameter(torch.zeros(_TIMES, dtype=torch.float64))

    def times(self, sigma: Float[Tensor, " frames"]) -> Float[Tensor, "frames times"]:
        """τ at each level; they sum to one."""
        width = self.hats[1] - self.hats[0]
        place = ((sigma.log()[:, None] - self.hats[0]) / width).clamp(0, _TIMES - 1)
        return (1 - (place - torch.arange(_TIMES, device=sigma.device)).abs()).clamp_min(0)

    def curvature(
        self, batch: ScoreBatch, x: Float[Tensor, "n 3"], sigma: Float[Tensor, " frames"]
    ) -> tuple[Float[Tensor, "frames k k"], Int[Tensor, " n"]]:
        """H of every frame, three rows for each atom of the largest one, and the place of each atom.

        Args:
            batch: what does not move.
            x: noised positions.
            sigma: of each frame.
        """
        sizes = torch.bincount(batch.graph_index, minlength=batch.frames)
        most = int(sizes.max())
        own = torch.arange(len(x), device=x.device) - (sizes.cumsum(0) - sizes)[batch.graph_index]
        forth = batch.edge_index[0] < batch.edge_index[1]
        i, j = batch.edge_index[:, forth]
        frame, t = batch.graph_index[i], self.times(sigma)
        part = x[i] - x[j]
        r = part.norm(dim=1).clamp_min(1e-9)
        v = part / r[:, None]
        features = self.radial(r)
        if batch.attributes is not None:
            features = torch.cat([batch.attributes[forth].to(r), features], dim=1)
        bounded = ((features @ self.weights + self.offsets) * t[frame]).sum(dim=1)
        b = torch.exp(self.level + bounded.clamp(-_RANGE, _RANGE))
        blocks = b[:, None, None] * v[:, :, None] * v[:, None, :]
        whole = blocks.new_zeros(batch.frames, most, most, 3, 3)
        a, c = own[i], own[j]
        for rows, columns, sign in ((a, c, -1), (c, a, -1), (a, a, 1), (c, c, 1)):
            whole = whole.index_put((frame, rows, columns), sign * blocks, accumulate=True)
        whole = whole.transpose(2, 3).reshape(batch.frames, 3 * most, 3 * most)
        base = torch.exp(self.level + (t @ self.base).clamp(-_RANGE, _RANGE))
        return whole + torch.diag_embed(base[:, None].expand(-1, 3 * most)), own

    def forward(
        self,
        batch: ScoreBatch,
        x: Float[Tensor, "n 3"],
        sigma: Float[Tensor, " frames"],
        difference: Float[Tensor, "n 3"],
    ) -> Float[Tensor, "n 3"]:
        """K times a vector of each atom.

        Args:
            batch: what does not move.
            x: noised positions.
            sigma: of each frame.
            difference: that is multiplied.
        """
        self.to(x.device)  # measured on a processor, and used where the batch is
        level = sigma.double()
        h, own = self.curvature(batch, x.double(), level)
        matrix = level.square()[:, None, None] * h
        matrix.diagonal(dim1=1, dim2=2).add_(1)
        right = matrix.new_zeros(batch.frames, matrix.shape[1] // 3, 3)
        right = right.index_put((batch.graph_index, own), difference.double())
        solved = torch.cholesky_solve(right.flatten(1)[:, :, None], torch.linalg.cholesky(matrix))
        found = solved.reshape(right.shape)[batch.graph_index, own]
        return found.to(difference.dtype)


def measured_springs(
    frames: Sequence[ScoreFrame], springs: Springs, *, low: float, high: float, seed: int
) -> Springs:
    """The springs of least second moment, fixed from then on.

    Args:
        frames: with forces.
        springs: to begin with; they are changed.
        low, high: ends of σ.
        seed: of frames, noise and levels.
    """
    generator = torch.Generator().manual_seed(seed)
    pairs = max(frame.system.pairs.shape[1] for frame in frames)
    count = max(4, min(_FRAMES, _PAIRS // pairs))
    optimizer = torch.optim.Adam(springs.parameters(), lr=_RATE)
    fading = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.0, _STEPS)
    picks = torch.randint(len(frames), (_BATCHES, count), generator=generator).tolist()
    batches = [ScoreBatch.collate([frames[k] for k in pick], dtype=torch.float64) for pick in picks]
    for step in range(_STEPS):
        batch = batches[step % _BATCHES]
        share = torch.rand(count, generator=generator, dtype=torch.float64)
        sigma = low * (high / low) ** share
        noise = torch.randn(batch.x.shape, generator=generator, dtype=torch.float64)
        noise, each = batch.centred(noise * batch.axes), sigma[batch.graph_index][:, None]
        denoising = -noise / each
        moved = springs(batch, batch.x + each * noise, sigma, batch.forces - denoising)
        square = batch.total(batch.centred(denoising + moved).square().sum(dim=1)) / batch.degrees
        # in units that depend on σ alone: what depended on x_0 would favour some frames
        usual = sigma.square() + math.exp(-springs.level)
        loss = (batch.weight * usual * square).sum() / batch.weight.sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        fading.step()
    return springs.requires_grad_(False)
