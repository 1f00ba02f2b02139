r"""Reductions over groups: many rows, each with the index of the group it belongs to.

For rows :math:`x_i` of group :math:`g(i)`: sum :math:`\sum_{g(i)=g} x_i`, mean, max, and the
softmax :math:`e^{x_i} / \sum_{g(j)=g(i)} e^{x_j}` with each group's maximum subtracted first. An
empty group has sum, mean and max 0.

``backend="native"`` is torch's own ``index_add_`` and ``scatter_reduce``; on a CPU it is as fast as
``"torch_scatter"``, the optional twin (``pip install 'genmol[scatter]'``), tested equal to it.
"""

from __future__ import annotations

from typing import Any, Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor

from genmol.core.extras import import_extra

__all__ = ["Backend", "scatter_max", "scatter_mean", "scatter_softmax", "scatter_sum"]

Backend = Literal["native", "torch_scatter"]


def scatter_sum(
    source: Float[Tensor, "n_rows *feature"],
    index: Int[Tensor, " n_rows"],
    n_groups: int,
    *,
    backend: Backend = "native",
) -> Float[Tensor, "{n_groups} *feature"]:
    """Return the sum of the rows of each group."""
    if backend == "torch_scatter":
        return _torch_scatter(source, index, n_groups, "sum")
    return source.new_zeros((n_groups, *source.shape[1:])).index_add(0, index, source)


def scatter_mean(
    source: Float[Tensor, "n_rows *feature"],
    index: Int[Tensor, " n_rows"],
    n_groups: int,
    *,
    backend: Backend = "native",
) -> Float[Tensor, "{n_groups} *feature"]:
    """Return the mean of the rows of each group; 0 for an empty one."""
    if backend == "torch_scatter":
        return _torch_scatter(source, index, n_groups, "mean")
    count = torch.bincount(index, minlength=n_groups).clamp(min=1).to(source.dtype)
    return scatter_sum(source, index, n_groups) / count.reshape(-1, *(1,) * (source.ndim - 1))


def scatter_max(
    source: Float[Tensor, "n_rows *feature"],
    index: Int[Tensor, " n_rows"],
    n_groups: int,
    *,
    backend: Backend = "native",
) -> Float[Tensor, "{n_groups} *feature"]:
    """Return the largest value of each group, elementwise; 0 for an empty one.

    Ties share the gradient (torch-scatter gives it to one of them).
    """
    if backend == "torch_scatter":
        return _torch_scatter(source, index, n_groups, "max")
    zeros = source.new_zeros((n_groups, *source.shape[1:]))
    return zeros.scatter_reduce(0, _expand(index, source), source, "amax", include_self=False)


def scatter_softmax(
    source: Float[Tensor, "n_rows *feature"],
    index: Int[Tensor, " n_rows"],
    n_groups: int,
    *,
    backend: Backend = "native",
) -> Float[Tensor, "n_rows *feature"]:
    """Return the softmax of each row within its group, elementwise over the features."""
    if backend == "torch_scatter":
        package: Any = import_extra("torch_scatter", extra="scatter")
        softmax: Tensor = package.scatter_softmax(source, _expand(index, source), dim=0)
        return softmax
    # The shift cancels in the quotient, so it needs no gradient
    largest = scatter_max(source.detach(), index, n_groups)
    weights = (source - largest[index]).exp()
    return weights / scatter_sum(weights, index, n_groups)[index]


def _expand(index: Tensor, source: Tensor) -> Tensor:
    return index.reshape(-1, *(1,) * (source.ndim - 1)).expand_as(source)


def _torch_scatter(source: Tensor, index: Tensor, n_groups: int, reduce: str) -> Tensor:
    package: Any = import_extra("torch_scatter", extra="scatter")
    result: Tensor = package.scatter(source, index, dim=0, dim_size=n_groups, reduce=reduce)
    return result
