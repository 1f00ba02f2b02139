r"""A cheap potential taught to follow an expensive one.

The cheap potential V gets a linear correction g in internal coordinates (:mod:`genmol.boltzmann.terms`),

.. math:: V'(x) = V(x) + s(g(x) - \bar g), \qquad s(z) = z\,(1 + (z/L)^4)^{-1/4},

bounded by L = 2 eV where it was not fitted, with ḡ the mean over the frames of the fit.

Nothing rests on how good it is but the acceptance (:mod:`genmol.boltzmann.delayed`): with an error of
standard deviation σ kT, independent proposals are accepted at a rate of erfc(σ/2).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, final

import torch
from torch import Tensor

from genmol.boltzmann.terms import PRODUCTS, Fit, basis
from genmol.core.graph import AtomicGraph
from genmol.potentials.contract import Answer, Potential
from genmol.potentials.domain import Domain

__all__ = ["Corrected"]

_BOUND = 2.0  # eV


@final
class Corrected(Potential):
    """A potential of one molecule with a correction.

    Args:
        inner: V.
        fit: the correction.
    """

    def __init__(self, inner: Potential, fit: Fit) -> None:
        super().__init__()
        self.inner, self.fit = inner, fit
        terms = fit.terms
        rest = list(fit.coefficients.split([w * s for w, s in _widths(fit)]))
        each = [c.reshape(-1, w) for c, (w, _) in zip(rest, _widths(fit), strict=True)]
        # of every term its own coefficients, and of the products one matrix for all
        self._linear = [kind @ c for kind, c in zip(terms.kinds, each[:4], strict=True)]
        self._product = [
            _spread(places, kind @ c, [len(k) for k in terms.internal.kinds], pair)
            for pair, places, kind, c in zip(
                PRODUCTS, terms.partners, terms.product_kinds, each[4:], strict=True
            )
        ]

    @property
    def name(self) -> str:
        """For people."""
        return f"{self.inner.name}, corrected"

    @property
    def level(self) -> Mapping[str, Any]:
        """The inner one's, and how the correction was made."""
        fit = self.fit
        return {
            **self.inner.level,
            "correction": {
                "kinds of terms": len(fit.coefficients),
                "frames": fit.frames,
                "error (eV)": format(fit.error, ".6g"),
                "checksum": format(float(fit.coefficients.abs().sum()), ".6g"),
            },
        }

    @property
    def domain(self) -> Domain:
        """The inner one's."""
        return self.inner.domain

    @property
    def cutoff(self) -> float:
        """The inner one's."""
        return self.inner.cutoff

    def answer(self, graph: AtomicGraph, *, forces: bool) -> Answer:
        """The inner answer and the correction."""
        found = self.inner.answer(graph, forces=forces)
        if not graph.n_graphs:
            return found
        x = graph.positions.detach().reshape(graph.n_graphs, -1, 3).double().cpu()
        coordinates = self.fit.terms.internal.at(x)
        functions = basis(coordinates)
        single = [(f[:, :, :1], df[:, :, :1]) for f, df in functions[:2]] + [functions[2]]
        flat = [f.flatten(1) for f, _ in single]
        total = sum(
            (f * c).sum(dim=(1, 2)) for (f, _), c in zip(functions, self._linear, strict=True)
        )
        # derivatives by the functions that products are made of
        push = [torch.zeros_like(f) for f in flat]
        for (left, right), matrix in zip(PRODUCTS, self._product, strict=True):
            ahead = flat[left] @ matrix
            total = total + (ahead * flat[right]).sum(dim=1)
            push[right] += ahead
            push[left] += flat[right] @ matrix.T
        z = (total - self.fit.offset) / _BOUND
        energies = found.energies + _BOUND * z * (1 + z**4) ** -0.25
        if found.forces is None:
            return Answer(energies, None, found.failures)
        by_value = [(df * c).sum(dim=2) for (_, df), c in zip(functions, self._linear, strict=True)]
        for k, (f, df) in enumerate(single):
            by_value[k] = by_value[k] + (push[k].reshape(f.shape) * df).sum(dim=2)
        slope = self.fit.terms.internal.gradient(coordinates, by_value, x.shape[1])
        slope = slope * ((1 + z**4) ** -1.25)[:, None, None]
        return Answer(energies, found.forces - slope.reshape(-1, 3), found.failures)


def _widths(fit: Fit) -> list[tuple[int, int]]:
    """Functions of each family, and kinds of terms."""
    kinds = (*fit.terms.kinds, *fit.terms.product_kinds)
    functions = (3, 2, 3, 5, 1, 1, 1, 3, 3)
    return [(f, kind.shape[1]) for f, kind in zip(functions, kinds, strict=True)]


def _spread(places: Tensor, c: Tensor, counts: list[int], pair: tuple[int, int]) -> Tensor:
    """Coefficients of products as a matrix between the functions of the left and the right terms."""
    waves = c.shape[1]  # three where the right one is a dihedral
    matrix = torch.zeros(counts[pair[0]], counts[pair[1]] * waves, dtype=torch.float64)
    columns = places[:, 1, None] * waves + torch.arange(waves)
    return matrix.index_put_((places[:, 0, None].expand_as(columns), columns), c, accumulate=True)
