r"""The Boltzmann law of a molecule: what :mod:`samplers` sample.

.. math::
    \log \pi(x) = -\frac{U(x) - U_0}{k_B T}, \qquad \nabla \log \pi(x) = \frac{F(x)}{k_B T},

on configurations with their centre at the origin, with the volume element of :math:`3n - 3` Cartesian
coordinates. Masses do not appear: momenta integrate out. Overall rotations are not removed; they are
uniform, and cost nothing. The constant :math:`U_0` changes no probability. It keeps numbers small: −U/kT
of a density functional is a million, of which single precision would leave one digit behind the point.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, final

import torch
from ase import Atoms
from jaxtyping import Float, Int
from torch import Tensor

from genmol.core.errors import DeliveryError, InputError
from genmol.core.graph import AtomicGraph
from genmol.core.structure import charge_and_multiplicity
from genmol.core.units import KB
from genmol.potentials.contract import Potential
from samplers.spaces import MeanFree
from samplers.target import Evaluation, Target

__all__ = ["MoleculeTarget"]

_TEMPLATES = 64  # batch sizes whose graphs are kept, all but the positions


@final
@dataclass(frozen=True, eq=False, kw_only=True)
class MoleculeTarget(Target):
    """exp(−(U − U₀)/kT) of one molecule. Points are positions (n_atoms, 3), Å.

    Where the potential has no energy the density is zero.

    Attributes:
        potential: U.
        numbers: atomic numbers.
        temperature: K.
        charge: e.
        multiplicity: 2S+1; None leaves it to the potential.
        reference_energy: U₀, eV; the same in runs that are to be compared or resumed.

    Raises:
        InputError: a temperature that is not positive.
    """

    potential: Potential
    numbers: Int[Tensor, " n_atoms"]
    temperature: float
    charge: int = 0
    multiplicity: int | None = None
    reference_energy: float = 0.0
    _templates: dict[Any, AtomicGraph] = field(default_factory=dict, init=False, repr=False)

    def __post_init__(self) -> None:
        if not 0 < self.temperature < float("inf"):
            raise InputError(
                got=f"a temperature of {self.temperature} K",
                wanted="a positive number of Kelvin",
                remedy="298.15 K is room temperature",
            )

    @classmethod
    def at(cls, potential: Potential, atoms: Atoms, *, temperature: float) -> MoleculeTarget:
        """The target whose reference is the energy at a geometry, which costs one call.

        Args:
            potential: U.
            atoms: structure, Å; ``atoms.info`` may hold ``charge`` and ``multiplicity``.
            temperature: K.

        Raises:
            InputError: outside the potential's domain, or a temperature that is not positive.
            DeliveryError: no energy at this geometry.
        """
        charge, multiplicity = charge_and_multiplicity(atoms)
        target = cls(
            potential=potential,
            numbers=torch.from_numpy(atoms.numbers.astype("int64")),
            temperature=temperature,
            charge=charge,
            multiplicity=multiplicity,
        )
        energy = float(potential.energies(target.graph(torch.tensor(atoms.positions)[None])))
        if energy == float("inf"):
            raise DeliveryError(
                got=f"no energy from {potential.name} at the geometry given "
                f"({potential.calls.reasons[-1:]})",
                wanted="a geometry that the potential can compute",
                remedy="relax it first, or check charge and multiplicity",
            )
        return replace(target, reference_energy=energy)

    @property
    def kT(self) -> float:  # noqa: N802
        """Thermal energy, eV."""
        return KB * self.temperature

    @property
    def space(self) -> MeanFree:
        """Positions with their centre at the origin."""
        return MeanFree(len(self.numbers), 3)

    def graph(self, x: Float[Tensor, "n n_atoms 3"]) -> AtomicGraph:
        """The structures at ``x``, Å, with the edges that the potential reads."""
        x, cutoff = x.detach().to(torch.float64), self.potential.cutoff
        key = len(x), x.device
        if cutoff == 0 and (template := self._templates.get(key)) is not None:
            return replace(template, positions=x.reshape(-1, 3))
        graph = AtomicGraph.copies(
            self.numbers, x, charge=self.charge, multiplicity=self.multiplicity, cutoff=cutoff
        )
        if len(self._templates) == _TEMPLATES:
            self._templates.clear()
        self._templates[key] = graph
        return graph

    def log_density(self, x: Float[Tensor, "n n_atoms 3"]) -> Float[Tensor, " n"]:
        """−(U − U₀)/kT; without a derivative for torch, which :meth:`evaluate` gives."""
        return self._log_density(self.potential.energies(self.graph(x)), x)

    def evaluate(self, x: Float[Tensor, "n n_atoms 3"]) -> Evaluation:
        """With F/kT, projected; its mean over atoms is zero anyway, to rounding."""
        energies, forces = self.potential.evaluate(self.graph(x))
        gradient = self.space.project(forces.reshape(x.shape)) / self.kT
        return Evaluation(self._log_density(energies, x), gradient.to(x.dtype))

    def _log_density(self, energies: Tensor, x: Tensor) -> Tensor:
        return ((self.reference_energy - energies) / self.kT).to(x.dtype)
