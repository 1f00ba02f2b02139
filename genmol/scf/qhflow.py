r"""QHFlow: flow matching on Hamiltonians, and plain regression as its limit.

Kim, Kim, Kim, Ahn, *High-order equivariant flow matching for DFT Hamiltonian prediction* (NeurIPS
2025), arXiv 2505.18817. The target is :math:`\Delta H = F - F_{init}`. A prior matrix
:math:`H_0` becomes the target along the straight path

.. math::
    H_t = (1-t)\, H_0 + t\, \Delta H, \qquad t \sim U[0.01, 0.99],

the network predicts the end point :math:`\hat H_1(H_t, t)`, and a sample is drawn by integrating
:math:`\dot H = (\hat H_1 - H)/(1-t)` from t = 0.01 to 1. The last Euler step returns the prediction
itself: with one step a flow is regression from noise. Here *all* blocks flow, with one t a molecule.

**Priors**, both equivariant in distribution: ``goe``, symmetric with independent normal elements;
``expansion``, every block the Clebsch-Gordan expansion of one set of normal irreps with equal path
weights, as the head expands them.

**Objective.** With :math:`\Delta = \hat H_1 - \Delta H` and the orbitals C of the true F:

.. math::
    L = a\,\langle|\Delta_{\mu\nu}|\rangle + b\,\langle\Delta^2_{\mu\nu}\rangle^{1/2}
      + c\,\langle X^2\rangle^{1/2} + d\,\Bigl\langle
        \Bigl(\frac{X_{ov}}{\epsilon_v-\epsilon_o}\Bigr)^2\Bigr\rangle^{1/2}
      + e\,\langle|X_{oo}|\rangle, \qquad X = C^T \Delta\, C .

X is the error in orthonormal functions, :math:`\|X\|_F = \|S^{-1/2}\Delta S^{-1/2}\|_F`: it sees the
errors along small eigenvalues of S, which make ghost states and which the elements of Δ hide. Its
occupied-virtual part over the gaps is the first-order error of the density. Wavefunction alignment
(WA: Li et al. 2025, WANet) is :math:`\|C^T \hat F C - \epsilon\|^2 = \|X\|_F^2`, that is the third
term alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from genmol.heads.orbitals import MatrixLayout
from genmol.scf.fock_batch import FockBatch, FockTargets
from genmol.scf.fock_model import FockModel

__all__ = ["Objective", "Prior", "draw_prior", "objective", "orbital_errors", "sample"]

Prior = Literal["goe", "expansion"]
_FIRST, _LAST = 0.01, 0.99  # times seen in training
_GAP = 0.02  # Hartree: the least that an error of mixing is divided by


@dataclass(frozen=True)
class Objective:
    """Weights of the loss and, for a flow, its prior.

    Attributes:
        mae: a, elements of Δ.
        rmse: b.
        orbital: c, all of X (WA).
        mixing: d, occupied-virtual elements over the gaps.
        occupied: e, occupied-occupied elements: orbital energies.
        prior: of a flow.
        sigma: spread of the prior's elements, Hartree.
    """

    mae: float = 1.0
    rmse: float = 0.5
    orbital: float = 0.1
    mixing: float = 0.2
    occupied: float = 0.1
    prior: Prior = "goe"
    sigma: float = 0.02


def objective(
    model: FockModel, batch: FockBatch, settings: Objective, generator: torch.Generator
) -> tuple[Tensor, dict[str, Tensor]]:
    """Loss of a batch with targets, and its parts (Hartree, detached)."""
    assert batch.targets is not None
    delta = batch.targets.delta
    if model.config.flow:
        first = draw_prior(batch, model, settings.prior, settings.sigma, generator)
        uniform = torch.rand(len(delta), generator=generator, device=generator.device)
        time = (_FIRST + (_LAST - _FIRST) * uniform).to(delta)
        t = time[:, None, None]
        predicted = model(batch, (1 - t) * first + t * delta, time)
    else:
        predicted = model(batch)
    parts = orbital_errors(predicted - delta, batch.layout, batch.targets)
    weights = {
        "mae": settings.mae,
        "rmse": settings.rmse,
        "orbital": settings.orbital,
        "mixing": settings.mixing,
        "occupied": settings.occupied,
    }
    loss = sum(
        (weight * parts[name].mean() for name, weight in weights.items()), delta.new_zeros(())
    )
    return loss, {name: parts[name].mean().detach() for name in weights}


def orbital_errors(
    error: Float[Tensor, "n_graphs size size"], layout: MatrixLayout, targets: FockTargets
) -> dict[str, Float[Tensor, " n_graphs"]]:
    """The five measures of the module's docstring for every molecule."""
    mask = layout.mask.to(error.dtype)
    count = mask.sum(1)
    rows = torch.arange(layout.size, device=error.device)
    occupied = (rows < targets.occupied[:, None]).to(error.dtype)
    virtual = mask - occupied
    x = targets.coefficients.mT @ error @ targets.coefficients
    gaps = targets.energies[:, None, :] - targets.energies[:, :, None]
    pairs = occupied[:, :, None] * virtual[:, None, :]
    ratio = pairs * x / torch.where(pairs > 0, gaps.clamp(min=_GAP), torch.ones_like(gaps))
    both = occupied[:, :, None] * occupied[:, None, :]
    return {
        "mae": error.abs().sum((1, 2)) / count**2,
        "rmse": _root(error.square().sum((1, 2)) / count**2),
        "orbital": _root(x.square().sum((1, 2)) / count**2),
        "mixing": _root(ratio.square().sum((1, 2)) / pairs.sum((1, 2)).clamp(min=1)),
        "occupied": (both * x).abs().sum((1, 2)) / both.sum((1, 2)),
    }


def _root(square: Tensor) -> Tensor:
    return (square + 1e-14).sqrt()  # a finite slope at 0


def draw_prior(
    batch: FockBatch, model: FockModel, prior: Prior, sigma: float, generator: torch.Generator
) -> Float[Tensor, "n_graphs size size"]:
    """Random symmetric matrices H_0, Hartree, of a law that no rotation changes."""
    layout = batch.layout
    if prior == "goe":
        shape = (len(layout.mask), layout.size, layout.size)
        x = torch.randn(shape, generator=generator, device=generator.device).to(batch.initial)
        matrix = (x + x.mT) / 2**0.5
    else:
        site = model.site
        atoms = torch.arange(len(layout.orbital), device=layout.orbital.device)
        sender, receiver = batch.graph.edge_index
        left, right = torch.cat([atoms, receiver]), torch.cat([atoms, sender])
        irreps = []
        for l, counts in enumerate(site.channels):
            draws = torch.randn(
                (len(left), 2 * l + 1, 2), generator=generator, device=generator.device
            ).to(batch.initial)
            irreps.append(
                tuple(draws[..., k : k + 1].expand(-1, -1, n) for k, n in enumerate(counts))
            )
        matrix = layout.matrices(site.to_blocks(irreps), left, right)  # type: ignore[arg-type]
        matrix = (matrix + matrix.mT) / 2**0.5
    mask = layout.mask.to(matrix.dtype)
    return sigma * matrix * mask[:, :, None] * mask[:, None, :]


@torch.no_grad()
def sample(
    model: FockModel,
    batch: FockBatch,
    settings: Objective,
    generator: torch.Generator | None = None,
    *,
    steps: int = 1,
    integrate: Callable[..., Tensor] | None = None,
) -> Float[Tensor, "n_graphs size size"]:
    """ΔH of every molecule, Hartree.

    Args:
        model: a regression model answers at once; a flow is integrated.
        generator: of the prior; needed for a flow.
        steps: of Euler's method; one is enough at deployment.
        integrate: ``torchdiffeq.odeint`` or an alike, called with the velocity, H_0 and the times
            0.01 and 0.99, in place of Euler's method; the prediction at its end is returned.
    """
    if not model.config.flow:
        return model(batch)
    assert generator is not None
    h = draw_prior(batch, model, settings.prior, settings.sigma, generator)

    def predict(t: float | Tensor, h: Tensor) -> Tensor:
        time = torch.as_tensor(t).to(h)
        return model(batch, h, time.expand(len(h)))

    if integrate is not None:
        times = torch.tensor([_FIRST, _LAST]).to(h)
        h = integrate(lambda t, h: (predict(t, h) - h) / (1 - t), h, times)[-1]
        return predict(_LAST, h)
    for t, following in pairwise(torch.linspace(_FIRST, 1.0, steps + 1).tolist()):
        h = h + (predict(t, h) - h) * ((following - t) / (1 - t))
    return h
