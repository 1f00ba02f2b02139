r"""Muon: the momentum of every weight matrix, orthogonalised, for AdamW's moments.

Adam scales every weight by itself and knows nothing of the matrix it stands in; a gradient of
a matrix is mostly a few strong directions, and the weak ones hardly move. Muon (Jordan, 2024)
keeps a momentum M ← μ M + (1 − μ) G and steps along the nearest semi-orthogonal matrix U Vᵀ of
(1 − μ) G + μ M = U Σ Vᵀ (Nesterov), so that all directions move alike. U Vᵀ comes from a few steps of
the Newton–Schulz iteration

    X ← a X + (b A + c A²) X,   A = X Xᵀ,

which drives singular values from (0, 1] to about 1 without a decomposition. The step is scaled by
0.2 √max(m, n), which gives it the root mean square of AdamW's steps (Moonshot, 2025), so both share
one learning rate. Vectors, scalars, embeddings and read-outs take AdamW, as is usual.

An SO(2) layer is nothing but such matrices, one per order m; stacks of matrices (one per degree
or element) are orthogonalised one by one.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

__all__ = ["Muon", "orthogonalise"]

_COEFFICIENTS = (3.4445, -4.7750, 2.0315)  # steepest at zero; singular values end in 0.7 to 1.2
_SMALLEST = 8  # rows and columns of what is orthogonalised; below, little is gained


def orthogonalise(
    matrices: Float[Tensor, "*stack m n"], *, steps: int = 5
) -> Float[Tensor, "*stack m n"]:
    """U Vᵀ of every matrix U Σ Vᵀ, approximately: singular values between 0.7 and 1.2.

    Args:
        matrices: any scale; of zeros, zeros.
        steps: Newton–Schulz steps.
    """
    a, b, c = _COEFFICIENTS
    wide = matrices.shape[-2] <= matrices.shape[-1]
    x = matrices if wide else matrices.mT
    x = x / x.norm(dim=(-2, -1), keepdim=True).clamp_min(1e-20)
    for _ in range(steps):
        gram = x @ x.mT
        x = a * x + (b * gram + c * (gram @ gram)) @ x
    return x if wide else x.mT


class Muon(torch.optim.AdamW):
    """Muon for matrices, AdamW for everything else.

    Args:
        weights: the trained ones.
        lr: highest change of a weight in a step, as of AdamW.
        weight_decay: decoupled, of all weights.
        momentum: μ.
    """

    def __init__(
        self,
        weights: Iterable[nn.Parameter],
        *,
        lr: float,
        weight_decay: float = 0.0,
        momentum: float = 0.95,
    ) -> None:
        matrices: list[nn.Parameter] = []
        others: list[nn.Parameter] = []
        for weight in weights:
            is_matrix = weight.ndim >= 2 and min(weight.shape[-2:]) >= _SMALLEST
            (matrices if is_matrix else others).append(weight)
        groups: list[dict[str, Any]] = [
            {"params": matrices, "momentum": momentum},
            {"params": others, "momentum": None},
        ]
        super().__init__([g for g in groups if g["params"]], lr=lr, weight_decay=weight_decay)

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        """Take a step."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            if group["momentum"] is not None:
                self._step_matrices(group)
        super().step()
        return loss

    def _step_matrices(self, group: dict[str, Any]) -> None:
        """Move matrices; without a gradient they are then AdamW's no more."""
        by_shape: dict[tuple[int, int], list[nn.Parameter]] = defaultdict(list)
        for weight in group["params"]:
            if weight.grad is not None:
                by_shape[weight.shape[-2], weight.shape[-1]].append(weight)
        for (m, n), weights in by_shape.items():
            directions = []
            for weight in weights:
                gradient, weight.grad = weight.grad, None
                assert gradient is not None
                state = self.state[weight]
                if not state:  # AdamW looks for its step when a state is loaded
                    state.update(step=torch.zeros(()), exp_avg=torch.zeros_like(weight))
                state["exp_avg"].lerp_(gradient, 1 - group["momentum"])
                directions.append(gradient.lerp(state["exp_avg"], group["momentum"]))
            stacks = [d.reshape(-1, m, n) for d in directions]
            steps = orthogonalise(torch.cat(stacks)) * (0.2 * max(m, n) ** 0.5 * group["lr"])
            parts = steps.split([len(s) for s in stacks])
            for weight, part in zip(weights, parts, strict=True):
                weight.mul_(1 - group["lr"] * group["weight_decay"])
                weight.sub_(part.reshape(weight.shape))
