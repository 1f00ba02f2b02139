r"""Toys and molecules as a score model sees them.

A model of one molecule without stereo needs its bonds only. In full detail come the forms of double
bonds, rings, formal charges, the hands of centres, and a size: two atoms with k bonds between them are
about :math:`1.2\,k^{3/4}` Å apart, between the stretched chain's k and the coil's √k, so that mean
squares of distances, and with them the variance of a coordinate, go as the mean of :math:`k^{3/2}` over
all pairs.
"""

from __future__ import annotations

import numpy as np
import torch

from genmol.boltzmann.score_batch import Particles
from genmol.chem.species import Species
from genmol.chem.stereo import specified_units
from genmol.chem.topology import bonds_apart, formal_charges, pair_attributes, stereo_attributes
from samplers.spaces import MeanFree

__all__ = ["needs_detail", "particles_of_molecule", "particles_of_toy", "size_of"]

_GROWTH = 1.5  # of mean square distances with the number of bonds


def needs_detail(species: Species) -> bool:
    """Whether bonds leave it open which stereoisomer it is."""
    return bool(specified_units(species.mol))


def particles_of_molecule(species: Species, *, detailed: bool | None = None) -> Particles:
    """A molecule: elements and bonds, equal atoms renumbered being the same.

    Args:
        species: the molecule.
        detailed: with all that the module's docstring lists, so that stereoisomers are told apart; where
            there are some when None.
    """
    if detailed is None:
        detailed = needs_detail(species)
    numbers = torch.from_numpy(species.numbers.astype("int64"))
    sender, receiver = Particles(numbers).pairs
    if not detailed:
        attributes = torch.from_numpy(pair_attributes(species))[sender, receiver]
        return Particles(numbers, attributes)
    both = np.concatenate([pair_attributes(species), stereo_attributes(species)], axis=2)
    handed = [unit for unit in specified_units(species.mol) if unit.kind == "centre"]
    return Particles(
        numbers,
        torch.from_numpy(both)[sender, receiver],
        features=torch.from_numpy(formal_charges(species)[:, None].astype(np.float64)),
        centres=torch.tensor([(*unit.atoms, *unit.at) for unit in handed]).reshape(-1, 5).long(),
        signs=torch.tensor([unit.sign for unit in handed], dtype=torch.float64),
        size=size_of(species),
    )


def size_of(species: Species) -> float:
    """The mean of k^(3/2) over pairs of atoms, k the number of bonds between them."""
    apart = bonds_apart(species)[np.triu_indices(species.n_atoms, 1)]
    return float((apart**_GROWTH).mean())


def particles_of_toy(space: MeanFree) -> Particles:
    """Equal particles."""
    return Particles(torch.ones(space.particles, dtype=torch.int64), dimension=space.per_particle)
