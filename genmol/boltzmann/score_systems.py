"""Toys and molecules as a score model sees them."""

from __future__ import annotations

import torch

from genmol.boltzmann.score_batch import Particles
from genmol.chem.species import Species
from genmol.chem.topology import pair_attributes
from samplers.spaces import MeanFree

__all__ = ["particles_of_molecule", "particles_of_toy"]


def particles_of_molecule(species: Species) -> Particles:
    """A molecule: elements and bonds. Its mirror image, and equal atoms renumbered, are the same."""
    numbers = torch.from_numpy(species.numbers.astype("int64"))
    bare = Particles(numbers)
    sender, receiver = bare.pairs
    attributes = torch.from_numpy(pair_attributes(species))[sender, receiver]
    return Particles(numbers, attributes)


def particles_of_toy(space: MeanFree) -> Particles:
    """Equal particles."""
    return Particles(torch.ones(space.particles, dtype=torch.int64), dimension=space.per_particle)
