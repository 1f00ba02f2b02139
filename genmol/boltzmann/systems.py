"""A potential or a density with a temperature, as a target with units, names and things to look at."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from genmol.boltzmann.certificate import identity_hash
from genmol.boltzmann.intervals import Thermal
from genmol.boltzmann.invariance import Observe
from genmol.boltzmann.views import Codes, MoleculeView, codes_of, local_observables
from genmol.chem.species import Species
from genmol.core.errors import InputError
from genmol.potentials.contract import Potential
from genmol.potentials.target import MoleculeTarget
from samplers.known import Toy
from samplers.rng import Streams
from samplers.target import Flat, Path, Target

__all__ = ["System"]


@dataclass(frozen=True, eq=False)
class System:
    """What samples are held against.

    Attributes:
        target: density at the temperature.
        plain: the density as given, at kT = 1; None for potentials.
        thermal: kT and units.
        molecule: how to describe it; None for densities and for atoms without bonds.
        codes: states of a density; None where it has none.
        local: observables within states.
        description: plain JSON, with the hash of all else in it.
    """

    target: Target
    plain: Target | None
    thermal: Thermal
    molecule: MoleculeView | None
    codes: Codes | None
    local: Observe
    description: Mapping[str, Any]

    @classmethod
    def of(
        cls,
        potential: Potential | Target,
        temperature: float,
        *,
        species: Species | None = None,
        numbers: ArrayLike | None = None,
        charge: int = 0,
        multiplicity: int | None = None,
        codes: Codes | None = None,
        local: Observe | None = None,
    ) -> System:
        """From what a user has.

        Args:
            potential: of genmol, in eV; or a log-density −U in units of kT at a temperature of 1.
            temperature: K for potentials, in units of the density's own for densities.
            species: the molecule.
            numbers: atomic numbers where there is no species.
            charge, multiplicity: likewise.
            codes: states of a density; those of a toy are known.
            local: observables; those of molecules and toys are known.

        Raises:
            InputError: a temperature that is not positive, or a potential without atoms.
        """
        if not 0 < temperature < float("inf"):
            raise InputError(
                got=f"a temperature of {temperature}",
                wanted="a positive number: Kelvin, or units of the density's own temperature",
                remedy="298.15 for a molecule at room temperature, 1 for a density as it is",
            )
        if isinstance(potential, Potential):
            return cls._molecular(
                potential, temperature, species, numbers, charge, multiplicity, local
            )
        target = potential
        if temperature != 1:
            beta = torch.tensor(1 / temperature, dtype=torch.float64)
            target = Path(Flat(potential.space), potential, beta)
        name = type(potential).__name__
        about = (
            {"density": name, "parameters": repr(potential)}
            if _plain(potential)
            else {"density": name}
        )
        return cls(
            target,
            potential,
            Thermal.reduced(temperature),
            None,
            codes or codes_of(potential),
            local or local_observables(potential),
            _described({**about, "temperature": temperature, "unit": "reduced"}),
        )

    @classmethod
    def _molecular(
        cls,
        potential: Potential,
        temperature: float,
        species: Species | None,
        numbers: ArrayLike | None,
        charge: int,
        multiplicity: int | None,
        local: Observe | None,
    ) -> System:
        if species is None and numbers is None:
            raise InputError(
                got=f"the potential {potential.name} and no atoms",
                wanted="a species, or atomic numbers",
                remedy="give --smiles, or a file with elements",
            )
        kinds = np.array(numbers if species is None else species.numbers, dtype=np.int64)
        if species is not None:
            charge, multiplicity = species.charge, species.multiplicity
        target = MoleculeTarget(
            potential=potential,
            numbers=torch.from_numpy(kinds),
            temperature=temperature,
            charge=charge,
            multiplicity=multiplicity,
        )
        view = None if species is None else MoleculeView.of(species)
        description = {
            "potential": potential.name,
            "level": dict(potential.level),
            "numbers": kinds.tolist(),
            "smiles": None if species is None else species.smiles,
            "charge": charge,
            "multiplicity": multiplicity,
            "temperature_k": temperature,
            "unit": "eV, Å",
        }
        seen = local or (view.local if view is not None else local_observables(target))
        return cls(
            target, None, Thermal.molecule(temperature), view, None, seen, _described(description)
        )

    def starts(self, count: int, seed: int) -> Tensor | None:
        """Where independent runs of a density may begin; None where nobody knows."""
        if not isinstance(self.plain, Toy):
            return None
        return self.plain.start(Streams.of(seed=seed, chains=count).fold("starts"))


def _plain(target: Target) -> bool:
    """Whether its representation says what it is, and nothing else."""
    text = repr(target)
    return " at 0x" not in text and "<function" not in text and "tensor(" not in text


def _described(content: Mapping[str, Any]) -> dict[str, Any]:
    return {**content, "sha256": identity_hash(content)}
