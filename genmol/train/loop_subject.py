"""What a score is trained on without data: a toy, or a molecule at a potential and a temperature.

A :class:`Subject` knows where chains begin, which moves they make, which paths of a score are it, and how
samples become frames to train on. Conformers of a molecule are those of genmol's own search; its chains
jump between them, so that even a first short ensemble has nearly the right share of each.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor

from genmol.boltzmann.conformer_psm import fold_of
from genmol.boltzmann.problem import Problem
from genmol.boltzmann.score_batch import Particles
from genmol.boltzmann.score_files import LoadedScore
from genmol.boltzmann.score_systems import particles_of_toy
from genmol.boltzmann.starts import find_starts
from genmol.boltzmann.sweep import Moves
from genmol.boltzmann.systems import System
from genmol.boltzmann.weighted import Fold
from genmol.chem.species import Species
from genmol.data.frames import Frames
from genmol.data.toy_points import particles_of
from genmol.potentials.contract import Potential
from genmol.train.score_buffer import Buffer
from samplers.clusters import Cluster
from samplers.hmc import HMC
from samplers.rng import Streams
from samplers.sampler import Sampler
from samplers.spaces import MeanFree
from samplers.target import Calls, Target

__all__ = ["Subject"]

_CONFORMERS = 20
_STEP = 0.05  # of the chains of a toy, at first


@dataclass(frozen=True, eq=False, kw_only=True)
class Subject:
    """What is learnt.

    Attributes:
        name: for messages.
        toy: its name; None for a molecule.
        species: the molecule; None for a toy.
        target: the density.
        begin: where so many chains begin.
        kernel: moves of a chain, from the leaps of a trajectory and its step size, None for a first one.
        identity: of all that decides the density and the starts.
        before: calls that the conformers took.
        common: fields of the frames that no sample changes.
        unit: energy of a thermal unit, kT in eV; 1 for a toy.
        zero: energy of log-density 0, in the same unit as kT.
    """

    name: str
    toy: str | None
    species: Species | None
    target: Target
    begin: Callable[[int], Tensor]
    kernel: Callable[[int, float | None], Sampler]
    identity: str
    before: Calls
    common: dict[str, Any]
    unit: float = 1.0
    zero: float = 0.0

    @classmethod
    def of_toy(cls, name: str, *, seed: int) -> Subject:
        """A density of :data:`samplers.toys.TOYS`.

        Args:
            name: of the toy.
            seed: of its starts.

        Raises:
            InputError: it is not one of particles.
        """
        toy = particles_of(name)
        assert isinstance(toy, Cluster)
        return cls(
            name=name,
            toy=name,
            species=None,
            target=toy,
            begin=lambda chains: toy.start(Streams.of(seed=seed, chains=chains).fold("starts")),
            kernel=lambda leaps, step: HMC(step_size=step or _STEP, leaps=leaps),
            identity=f"{System.of(toy, 1.0).description['sha256']} {seed}",
            before=Calls(),
            common={
                "numbers": np.ones(toy.space.particles, dtype=np.int64), "temperature": 1.0,
                "reduced": True, "level": name, "charge": 0, "multiplicity": 1, "smiles": None,
            },
        )  # fmt: skip

    @classmethod
    def of_molecule(
        cls, species: Species, potential: Potential, *, temperature: float, seed: int
    ) -> Subject:
        """A molecule, its conformers searched and computed.

        Args:
            species: the molecule.
            potential: of it.
            temperature: K.
            seed: of the search.

        Raises:
            InputError: the potential has no energy for any conformer.
            DeliveryError: no conformer was found.
        """
        starts = find_starts(species, seed=seed, most=_CONFORMERS)
        problem = Problem(
            species=species, potential=potential, temperature=temperature, starts=starts.positions
        )
        zero = float(problem.start_energies.min())
        moves = Moves()

        def kernel(leaps: int, step: float | None) -> Sampler:
            chosen = Moves(leaps=leaps, step_size=step or moves.step_size)
            return problem.sweep(chosen, dart=problem.dart)

        return cls(
            name=f"{species.smiles} with {potential.name}",
            toy=None,
            species=species,
            target=problem.target(reference_energy=zero),
            begin=problem.begin,
            kernel=kernel,
            identity=problem.identity(seed),
            before=problem.start_calls,
            common={
                "numbers": species.numbers.astype(np.int64), "temperature": temperature,
                "reduced": False, "level": potential.name, "charge": species.charge,
                "multiplicity": species.multiplicity, "smiles": species.smiles,
            },
            unit=problem.kT,
            zero=zero,
        )  # fmt: skip

    def system(self, score: LoadedScore) -> Particles:
        """As a score sees it."""
        if self.species is not None:
            return score.system(self.species)
        space = self.target.space
        assert isinstance(space, MeanFree)
        return particles_of_toy(space)

    def fold(self, score: LoadedScore) -> Fold | None:
        """What a path is brought to, and whether it is the molecule; None for a toy."""
        if self.species is None:
            return None
        return fold_of(self.species, detailed=score.model.config.detailed)

    def frames(self, buffer: Buffer, *, gradients: int, source: str) -> Frames:
        """Samples as training reads them.

        Args:
            buffer: samples.
            gradients: that were computed for it, and before it.
            source: where they are from.
        """
        count = len(buffer.x)
        return Frames(
            **self.common,
            positions=buffer.x.numpy(),
            forces=(self.unit * buffer.gradient).numpy(),
            energies=(self.zero - self.unit * buffer.log_density).numpy(),
            weights=np.ones(count),
            units="ev/angstrom",
            sources=(source,),
            gradient_calls=gradients,
        )
