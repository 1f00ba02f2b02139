"""Frames as a score is trained on them: centred, with βF, and with what does not move."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch

from genmol.boltzmann.score_batch import Particles, ScoreFrame
from genmol.boltzmann.score_systems import needs_detail, particles_of_molecule
from genmol.chem.species import Species, species_from_atoms
from genmol.core.errors import InputError
from genmol.core.weights import Weights
from genmol.data.ensembles import Ensembles
from genmol.data.frames import Frames
from genmol.train.score_recipe import ScoreRecipe

__all__ = ["ScoreData"]


@dataclass(frozen=True, eq=False)
class ScoreData:
    """The frames of a training.

    Attributes:
        examples: molecule by molecule.
        names: of the examples, alike where they must not be split between training and validation.
        by: what has a name.
        species: of the molecules; none for a toy.
        detailed: whether stereo enters.
    """

    examples: list[ScoreFrame]
    names: list[str]
    by: Literal["frame", "molecule"]
    species: tuple[Species, ...]
    detailed: bool

    @classmethod
    def of(
        cls,
        frames: Frames | Ensembles,
        recipe: ScoreRecipe,
        weights: Weights | None,
        *,
        toy: str | None,
    ) -> ScoreData:
        """Prepared for a model.

        Args:
            frames: of one molecule, of many, or of a toy.
            recipe: of the training.
            weights: that it begins with, which decide what the model sees; else the recipe does, else
                stereo enters where there is some, and for many molecules.
            toy: its name.

        Raises:
            InputError: a rule for one system, and frames of many.
        """
        many = isinstance(frames, Ensembles)
        if many and recipe.rule == "modes":
            raise InputError(
                got="the rule 'modes' for many molecules",
                wanted="a rule that does not need frames of one system",
                remedy="--rule smooth",
            )
        atoms = [] if toy is not None else [member.atoms(0) for member in frames.members]
        species = tuple(map(species_from_atoms, atoms))
        known = recipe.model if weights is None else weights.card["config"]
        default = weights is None and (many or any(map(needs_detail, species)))
        detailed = bool(known.get("detailed", default))
        names = [str(k) for k in range(frames.count)]
        if many:
            each = zip(species, frames.members, strict=True)
            names = [one.smiles for one, member in each for _ in range(member.count)]
        examples = _examples(frames, species, detailed=detailed)
        return cls(examples, names, "molecule" if many else "frame", species, detailed)


def _examples(
    frames: Frames | Ensembles, species: Sequence[Species], *, detailed: bool
) -> list[ScoreFrame]:
    found: list[ScoreFrame] = []
    for k, member in enumerate(frames.members):
        x = torch.from_numpy(member.positions).double()
        forces = torch.from_numpy(member.forces).double() / member.thermal_energy
        x, forces = (part - part.mean(dim=1, keepdim=True) for part in (x, forces))
        if species:
            system = particles_of_molecule(species[k], detailed=detailed)
        else:
            numbers = torch.from_numpy(member.numbers.astype("int64"))
            system = Particles(numbers, dimension=x.shape[2])
        each = zip(x, forces, member.weights.tolist(), strict=True)
        found += [ScoreFrame(system, position, force, weight) for position, force, weight in each]
    return found
