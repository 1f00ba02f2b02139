r"""Lennard-Jones clusters: the analytic potential on which everything else is tried first.

.. math::
    U = \sum_{i<j} 4\varepsilon \Bigl[\Bigl(\frac{\sigma}{r_{ij}}\Bigr)^{12} -
        \Bigl(\frac{\sigma}{r_{ij}}\Bigr)^{6}\Bigr],
    \qquad
    F_i = \sum_{j \ne i} \frac{24\varepsilon}{r_{ij}^2}
        \Bigl[2\Bigl(\frac{\sigma}{r_{ij}}\Bigr)^{12} -
        \Bigl(\frac{\sigma}{r_{ij}}\Bigr)^{6}\Bigr] (x_i - x_j),

without a cutoff: a pair at :math:`2^{1/6}\sigma` has the energy −ε. Nothing holds a cluster together
that evaporates; the traps of the usual sampling targets are in :mod:`samplers`.

The default is argon: ε = 119.8 K, σ = 3.405 Å (Rahman, Phys. Rev. 136, A405, 1964).
"""

from __future__ import annotations

from typing import Any

import torch
from ase.data import chemical_symbols
from jaxtyping import Float
from torch import Tensor

from genmol.core.errors import InputError
from genmol.core.graph import AtomicGraph
from genmol.core.units import KB
from genmol.potentials.contract import Answer, Potential
from genmol.potentials.domain import Domain

__all__ = ["LennardJones"]

_OVERLAP = 1e60
"""(σ/r)⁶ from where on the energy counts as infinite: its force would leave float64."""


class LennardJones(Potential):
    """Atoms of one element that attract and repel in pairs.

    Args:
        epsilon: depth of the well, eV.
        sigma: where the energy of a pair is zero, Å.
        element: atomic number.

    Raises:
        InputError: a parameter is not positive.
    """

    def __init__(
        self, *, epsilon: float = 119.8 * KB, sigma: float = 3.405, element: int = 18
    ) -> None:
        super().__init__()
        if not (epsilon > 0 and sigma > 0 and 0 < element < len(chemical_symbols)):
            raise InputError(
                got=f"epsilon = {epsilon} eV, sigma = {sigma} Å, element {element}",
                wanted="positive parameters and an element of the periodic table",
                remedy="leave them out for argon",
            )
        self.epsilon, self.sigma, self.element = epsilon, sigma, element

    @property
    def name(self) -> str:
        """For people."""
        return f"Lennard-Jones {chemical_symbols[self.element]}"

    @property
    def level(self) -> dict[str, Any]:
        """Its parameters."""
        return {
            "method": "Lennard-Jones",
            "epsilon_ev": self.epsilon,
            "sigma_angstrom": self.sigma,
            "element": chemical_symbols[self.element],
        }

    @property
    def domain(self) -> Domain:
        """Neutral clusters of the element."""
        return Domain(
            words=f"neutral clusters of {chemical_symbols[self.element]}",
            elements=frozenset({self.element}),
            charges=frozenset({0}),
        )

    def answer(self, graph: AtomicGraph, *, forces: bool) -> Answer:
        """All clusters of one size together."""
        x = graph.positions.detach().to(torch.float64)
        sizes = graph.sizes
        energies = x.new_zeros(graph.n_graphs)
        all_forces = torch.zeros_like(x) if forces else None
        for size in sizes.unique().tolist():
            rows = sizes == size
            atoms = rows[graph.graph_index]
            found, gradient = self._clusters(x[atoms].reshape(-1, size, 3), forces=forces)
            energies[rows] = found
            if all_forces is not None and gradient is not None:
                all_forces[atoms] = -gradient.reshape(-1, 3)
        return Answer(energies, all_forces, {})

    def _clusters(
        self, x: Float[Tensor, "n size 3"], *, forces: bool
    ) -> tuple[Float[Tensor, " n"], Float[Tensor, "n size 3"] | None]:
        """Energies and gradients."""
        vectors = x[:, :, None] - x[:, None, :]
        square = vectors.square().sum(dim=3)
        square.diagonal(dim1=1, dim2=2).fill_(torch.inf)  # no atom meets itself
        sixth = (self.sigma**2 / square) ** 3
        sixth = sixth.where(sixth < _OVERLAP, torch.inf)
        energies = 2 * self.epsilon * (sixth * (sixth - 1)).sum(dim=(1, 2))
        if not forces:
            return energies, None
        slope = -24 * self.epsilon * sixth * (2 * sixth - 1) / square
        return energies, (slope[..., None] * vectors).sum(dim=2)
