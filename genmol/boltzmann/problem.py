r"""What is to be sampled: a molecule, a potential, a temperature, and conformers to begin with.

The density is exp(−U/kT) on centred positions (:mod:`genmol.potentials.target`), restricted to geometries
that are the molecule (:mod:`genmol.chem.identity`) where the potential lets bonds break.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from genmol.boltzmann.basins import find_basins
from genmol.boltzmann.darts import TorsionDart
from genmol.boltzmann.draws import Draws
from genmol.boltzmann.failures import Forgiving
from genmol.boltzmann.observables import smallest_effective
from genmol.boltzmann.renumbering import Group
from genmol.boltzmann.sweep import Inside, Moves, Sweep
from genmol.chem.automorphisms import relabelled
from genmol.chem.identity import same_molecule
from genmol.chem.species import Species
from genmol.chem.torsions import Torsion, dihedral, rotatable_torsions
from genmol.core.errors import InputError
from genmol.core.jsonable import dumps
from genmol.core.units import KB
from genmol.potentials.contract import Potential
from genmol.potentials.target import MoleculeTarget
from samplers.target import Calls

__all__ = ["Labels", "Problem"]

_ALIKE = 1e-3  # kT between the energies of images
_COMPARED = 8  # images

Labels = Callable[[Tensor, Tensor], Tensor]
"""Positions (k, n_atoms, 3), Å, and energies (k,), eV, to basins (k,), 0, 1, ..."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Problem:
    """What is to be sampled.

    Attributes:
        species: the molecule.
        potential: U; spread over processes or not.
        temperature: K.
        starts: conformers, Å, such as the minima of a search: where runs begin and darts land.
        confined: whether steps to other molecules are refused; needless where bonds cannot break, as
            in MMFF.
        labels: basins of frames, for the effective sizes; from torsions when None.
    """

    species: Species
    potential: Potential
    temperature: float
    starts: Float[Tensor, "k n_atoms 3"]
    confined: bool = True
    labels: Labels | None = None

    def __post_init__(self) -> None:
        if not len(self.starts) or self.starts.shape[1] != self.species.n_atoms:
            raise InputError(
                got=f"starting conformers of shape {tuple(self.starts.shape)} for "
                f"{self.species.n_atoms} atoms",
                wanted="at least one, (k, n_atoms, 3)",
                remedy="give the minima of a conformer search",
            )
        strange = ~np.asarray(same_molecule(self.species, self.starts.numpy()))
        if strange.any():
            raise InputError(
                got=f"{int(strange.sum())} of {len(strange)} starting conformers that are another "
                f"molecule, first number {int(strange.nonzero()[0][0])}",
                wanted=f"conformers of {self.species.smiles}",
                remedy="drop them, or search again",
            )

    @property
    def kT(self) -> float:  # noqa: N802
        """Thermal energy, eV."""
        return KB * self.temperature

    @property
    def numbers(self) -> Int[Tensor, " n_atoms"]:
        """Atomic numbers."""
        return torch.tensor(self.species.numbers.tolist())

    @cached_property
    def torsions(self) -> tuple[Torsion, ...]:
        """Rotatable bonds."""
        return rotatable_torsions(self.species)

    @cached_property
    def forgiving(self) -> Forgiving:
        """The potential, with +∞ for failures; counts the calls of the whole work."""
        return Forgiving(self.potential)

    @property
    def inside(self) -> Inside | None:
        """Where chains may go; None for everywhere."""
        if not self.confined:
            return None
        return lambda x: torch.from_numpy(np.asarray(same_molecule(self.species, x.numpy())))

    def target(self, *, reference_energy: float = 0.0) -> MoleculeTarget:
        """exp(−(U − U₀)/kT).

        Args:
            reference_energy: U₀, eV.
        """
        return MoleculeTarget(
            potential=self.forgiving,
            numbers=self.numbers,
            temperature=self.temperature,
            charge=self.species.charge,
            multiplicity=self.species.multiplicity,
            reference_energy=reference_energy,
        )

    @cached_property
    def start_energies(self) -> Float[Tensor, " k"]:
        """Of the conformers to begin with, eV; one call each, the first time.

        Raises:
            InputError: the potential has no energy for any of them.
        """
        target = self.target()
        energies = -target.log_density(self.conformers) * target.kT
        if not bool(energies.isfinite().any()):
            raise InputError(
                got=f"no energy from {self.potential.name} for any of {len(energies)} starting "
                f"conformers ({'; '.join(self.forgiving.calls.reasons[:1])})",
                wanted="at least one that it can compute",
                remedy="relax them first, or check charge and multiplicity",
            )
        return energies

    @cached_property
    def conformers(self) -> Float[Tensor, "k n_atoms 3"]:
        """The starts, centred, with their equal atoms numbered alike (Å)."""
        x = torch.from_numpy(relabelled(self.species, self.starts.double().numpy()))
        return x - x.mean(dim=1, keepdim=True)

    @cached_property
    def group(self) -> Group | None:
        """Symmetry of the molecule; None where the potential does not have it. Some calls, once."""
        group, lowest = Group.of(self.species), int(self.start_energies.argmin())
        if group.size == 1:
            return None
        images = torch.stack(list(group.images(self.conformers[lowest], most=_COMPARED)))
        energies = -self.target().log_density(images) * self.kT
        alike = (energies - self.start_energies[lowest]).abs().max() <= _ALIKE * self.kT
        return group if bool(alike) else None

    @property
    def start_calls(self) -> Calls:
        """Energies of the conformers to begin with, and of images of the lowest one."""
        images = min(Group.of(self.species).size, _COMPARED)
        return Calls(energies=len(self.starts) + (images if images > 1 else 0))

    def begin(self, chains: int) -> Float[Tensor, "chains n_atoms 3"]:
        """A conformer for each chain, the lowest one first, all in turn.

        Args:
            chains: how many.
        """
        order = self.start_energies.argsort()
        usable = order[self.start_energies[order].isfinite()]
        return self.conformers[usable[torch.arange(chains) % len(usable)]]

    @cached_property
    def dart(self) -> TorsionDart | None:
        """Between the conformers to begin with and their images."""
        usable = self.start_energies.isfinite()
        return TorsionDart.of(
            self.torsions,
            self.conformers[usable],
            self.start_energies[usable],
            self.kT,
            self.group,
        )

    def sweep(self, moves: Moves, *, dart: TorsionDart | None, palindrome: bool = False) -> Sweep:
        """The moves that suit the molecule.

        Args:
            moves: how many of each kind.
            dart: with its shares.
            palindrome: in mirrored order after the trajectory.
        """
        return Sweep.of(
            self.species, moves, dart=dart, group=self.group, inside=self.inside,
            palindrome=palindrome,
        )  # fmt: skip

    def effective(
        self,
        x: Float[Tensor, "m n_atoms 3"],
        energies: Float[Tensor, " m"],
        run: Int[Tensor, " m"],
        weights: Float[Tensor, " m"] | None = None,
    ) -> tuple[float, str]:
        """The smallest effective size over U, torsions and basins of at least 5 %, and whose it is.

        Args:
            x: positions, Å, of each run in order.
            energies: eV.
            run: label of each draw.
            weights: of the draws, equal when None.
        """
        draws = Draws.of(
            len(x), runs=run.numpy(), weights=None if weights is None else weights.numpy()
        )
        folds = [torsion.fold for torsion in self.torsions]
        angles = torch.zeros(len(x), 0, dtype=torch.float64)
        if folds:
            angles = dihedral(x, [torsion.atoms for torsion in self.torsions])
        if self.labels is not None:
            labels = self.labels(x, energies)
        else:
            found = find_basins(
                angles, energies, self.temperature, folds=folds, weights=draws.weights
            )
            labels = torch.from_numpy(found.labels)
        # what turns by 2π/fold is the same again
        turned = angles * torch.tensor(folds, dtype=torch.float64)
        return smallest_effective(draws, energies, angles=turned, labels=labels)

    def identity(self, *more: object) -> str:
        """A hash of all that decides the samples.

        Args:
            more: settings that count, plain JSON or dataclasses.
        """
        content = [self.species.smiles, self.species.charge, self.species.multiplicity]
        content += [dict(self.potential.level), self.temperature, self.confined, *more]
        digest = hashlib.sha256(dumps(content).encode())
        digest.update(self.starts.double().numpy().tobytes())
        return digest.hexdigest()[:16]
