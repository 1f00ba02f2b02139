r"""Free-energy differences between densities that were all sampled.

Densities :math:`\pi_k = e^{f_k - u_k}` with reduced energies :math:`u_k` and free energies
:math:`f_k = -\log\int e^{-u_k}`; n_k draws of each. Every draw, wherever it comes from, is one of the
mixture :math:`\sum_k n_k\pi_k`, and as such speaks for every state with the weight

.. math::
    W_{ni} = \frac{e^{f_i - u_i(x_n)}}{\sum_k n_k e^{f_k - u_k(x_n)}}, \qquad \sum_n W_{ni} = 1,

which is an equation for f: the multistate Bennett acceptance ratio (Shirts and Chodera, 2008). It is
where the convex function :math:`\sum_n\log\sum_k n_k e^{f_k-u_k(x_n)} - \sum_k n_k f_k` is least; here
by Newton's method. The covariance of f is, to first order and with N = diag(n_k),

.. math::
    \Theta = W^\top (1 - W N W^\top)^+ W .

Of two states it is Bennett's (1976) acceptance ratio, for which the works w = u₁ − u₀ of the draws of
state 0 and w = u₀ − u₁ of those of state 1 suffice; they may be the works of driven paths as well
(Crooks, 1999). With p₀ and p₁ the shares of the two in the mixture at a draw, its variance is
:math:`1/\sum_n p_0p_1 - 1/n_0 - 1/n_1`, which has no bound as the overlap vanishes.

All errors take draws as independent. Draws of chains are worth fewer: thin them to their effective
number, or take errors from independent runs (:mod:`samplers.bootstrap`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

__all__ = ["Difference", "Mbar", "OverlapError", "bar", "mbar"]

_OVERLAP = 1e-9  # below it the states do not know of each other


class OverlapError(ValueError):
    """States whose draws say nothing about each other."""


@dataclass(frozen=True)
class Difference:
    """A difference of free energies.

    Attributes:
        value: f₁ − f₀, in units of kT.
        error: standard error.
    """

    value: float
    error: float


def bar(forward: Float[Tensor, " n"], reverse: Float[Tensor, " m"]) -> Difference:
    """Bennett's acceptance ratio: f₁ − f₀.

    Args:
        forward: u₁ − u₀ of draws of state 0; +∞ where state 1 does not go.
        reverse: u₀ − u₁ of draws of state 1.
    """
    w, v = forward.double(), reverse.double()
    for name, work in (("forward", w), ("reverse", v)):
        if work.isnan().any() or (work == -torch.inf).any() or not work.isfinite().any():
            raise OverlapError(
                f"the {name} works have {int(work.isfinite().sum())} finite values of {len(work)}, and "
                f"{int(work.isnan().sum())} NaN; wanted some finite ones, the others +inf: sample "
                "states between the two"
            )
    shift = math.log(len(w) / len(v))

    def excess(f: float) -> float:
        up = torch.sigmoid(f - shift - w).sum()
        return float(up - torch.sigmoid(shift - f - v).sum())

    finite = torch.cat([w[w.isfinite()], -v[v.isfinite()]])
    low, high = float(finite.min()) - abs(shift) - 1, float(finite.max()) + abs(shift) + 1
    while excess(low) > 0:
        low -= high - low
    while excess(high) < 0:
        high += high - low
    while high - low > 1e-12 * max(abs(low), abs(high), 1.0):
        middle = (low + high) / 2
        low, high = (middle, high) if excess(middle) < 0 else (low, middle)
    f = (low + high) / 2
    # p₀ p₁ of every draw, the shares of the two states in the mixture there, by logarithms
    both = torch.cat([f - shift - w, shift - f - v])
    shared = torch.nn.functional.logsigmoid(torch.stack([both, -both])).sum(dim=0).logsumexp(dim=0)
    variance = float((-shared).exp()) - 1 / len(w) - 1 / len(v)
    return Difference(f, math.sqrt(max(variance, 0.0)))


@dataclass(frozen=True, eq=False)
class Mbar:
    """Free energies of many states.

    Attributes:
        free_energies: f_k with f_0 = 0, in units of kT, (k).
        covariance: Θ, (k, k); that of differences is what counts.
        overlap: 1 − the second eigenvalue of the matrix of overlaps WᵀW N, from 0 for states that fall
            into separate groups to 1 for equal ones (Klimovich, Shirts and Mobley, 2015).
        log_mixture: log Σ n_k exp(f_k − u_k(x_n)) of every draw, (n).
        steps: of Newton's method.
    """

    free_energies: Float[Tensor, " k"]
    covariance: Float[Tensor, "k k"]
    overlap: float
    log_mixture: Float[Tensor, " n"]
    steps: int

    def difference(self, start: int, end: int) -> Difference:
        """f_end − f_start.

        Args:
            start: number of a state.
            end: number of another one.
        """
        c = self.covariance
        variance = float(c[start, start] + c[end, end] - 2 * c[start, end])
        value = float(self.free_energies[end] - self.free_energies[start])
        return Difference(value, math.sqrt(max(variance, 0.0)))

    def log_weights(self, energies: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
        """Log-weights that make all draws speak for any state, normalised.

        Args:
            energies: reduced energies of the state at every draw, in the order of :func:`mbar`.
        """
        return torch.log_softmax(-energies.double() - self.log_mixture, dim=0)


def mbar(energies: Float[Tensor, "k n"], counts: Int[Tensor, " k"]) -> Mbar:
    """Free energies of all states from the draws of all.

    Args:
        energies: u_k(x_n) of every state at every draw, the draws of state 0 first, then those of
            state 1, and so on; +∞ where a state does not go.
        counts: draws of each state; states without any are reweighted to.
    """
    u, n = energies.double(), counts.double()
    sampled = counts > 0
    if int(counts.sum()) != u.shape[1] or (counts < 0).any() or not sampled.any():
        raise ValueError(
            f"got energies of {u.shape[1]} draws and counts with the sum {int(counts.sum())}; wanted "
            "the same number, and counts that are not negative"
        )
    state = torch.arange(len(u), device=u.device).repeat_interleave(counts)
    own = u.gather(0, state[None])[0]
    if u.isnan().any() or (u == -torch.inf).any() or not own.isfinite().all():
        raise ValueError(
            "got energies that are NaN, −inf, or infinite for draws of their own state; wanted finite "
            "ones, or +inf where another state does not go"
        )
    f = torch.zeros_like(n)
    f[sampled], steps = _newton(u[sampled], n[sampled])
    log_mixture = _log_mixture(f[sampled], u[sampled], n[sampled])
    f = -(-u - log_mixture).logsumexp(dim=1)
    if not f.isfinite().all():
        raise OverlapError("a state has no finite energy at any draw; wanted one: sample it")
    w = (f[:, None] - u - log_mixture).exp()
    gram = w @ w.T
    overlap = _overlap(gram[sampled][:, sampled], n[sampled])
    if overlap < _OVERLAP:
        raise OverlapError(
            f"the states fall into groups that overlap by {overlap:.3g}; wanted at least {_OVERLAP:g}: "
            "sample states between them"
        )
    return Mbar(f - f[0], _covariance(gram, n), overlap, log_mixture, steps)


def _log_mixture(f: Tensor, u: Tensor, n: Tensor) -> Tensor:
    return (n.log()[:, None] + f[:, None] - u).logsumexp(dim=0)


def _newton(u: Tensor, n: Tensor) -> tuple[Tensor, int]:
    """Where the convex function is least; f_0 is held at 0."""

    def loss(f: Tensor) -> float:
        return float(_log_mixture(f, u, n).sum() - n @ f)

    f = torch.zeros_like(n)
    for _ in range(10):  # self-consistent steps, which go in the right direction from anywhere
        f = -(-u - _log_mixture(f, u, n)).logsumexp(dim=1)
        f = f - f[0]
    for step in range(100):
        share = (n.log()[:, None] + f[:, None] - u - _log_mixture(f, u, n)).exp()  # n_k W
        total = share.sum(dim=1)
        slope = (total - n)[1:]
        if bool((slope.abs() <= 1e-10 * n.sum()).all()):
            return f, step
        curvature = (torch.diag(total) - share @ share.T)[1:, 1:]
        move = torch.zeros_like(f)
        ridge = 1e-12 * curvature.diagonal().mean() * torch.eye(len(slope)).to(f)
        move[1:] = -torch.linalg.solve(curvature + ridge, slope)
        length, here = 1.0, loss(f)
        while loss(f + length * move) > here + 1e-12 * abs(here) and length > 1e-8:
            length /= 2
        f = f + length * move
    raise OverlapError(
        f"100 steps of Newton's method left a slope of {float(slope.abs().max()):.3g} draws; wanted "
        f"{1e-10 * float(n.sum()):.3g}: the states overlap too little, sample some between them"
    )


def _overlap(gram: Tensor, n: Tensor) -> float:
    """From WᵀW of the sampled states, by the symmetric form of WᵀW N."""
    root = n.sqrt()
    values = torch.linalg.eigvalsh(root[:, None] * gram * root)
    return 1 - float(values[-2]) if len(n) > 1 else 1.0


def _covariance(gram: Tensor, n: Tensor) -> Tensor:
    """Θ from WᵀW = V S² Vᵀ, as V S (1 − S Vᵀ N V S)⁺ S Vᵀ."""
    squares, v = torch.linalg.eigh(gram)
    vs = v * squares.clamp_min(0).sqrt()
    inner = torch.eye(len(n)).to(gram) - vs.T @ (n[:, None] * vs)
    return vs @ torch.linalg.pinv(inner, rtol=1e-10, hermitian=True) @ vs.T
