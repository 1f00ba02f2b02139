"""MMFF94 and MMFF94s for samplers: a force field of one molecule, whose bonds must be given."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from ase import Atoms

from genmol.chem.bonds import bonded
from genmol.chem.mmff import MerckForceField, MMFFVariant
from genmol.core.errors import DeliveryError
from genmol.potentials.domain import Domain
from genmol.potentials.one_by_one import OneByOne, Structure

__all__ = ["MMFF"]


class MMFF(OneByOne):
    """MMFF94 of one bond graph: it knows the molecule it was made for, and no other.

    Args:
        molecule: RDKit molecule with all hydrogens as atoms.
        variant: MMFF94s makes conjugated nitrogens more planar.

    Raises:
        InputError: an atom without parameters, a radical, or missing hydrogens.
    """

    def __init__(self, molecule: Any, *, variant: MMFFVariant = "MMFF94") -> None:
        super().__init__()
        self._field = MerckForceField(molecule, variant=variant)
        formula = Atoms(self._field.numbers).get_chemical_formula()
        self._domain = Domain(
            words=f"the molecule {formula} of charge {self._field.charge}, its atoms in the order given",
            atoms=self._field.numbers,
            charges=frozenset({self._field.charge}),
            multiplicities=frozenset({1}),
        )

    @classmethod
    def of(cls, smiles: str, atoms: Atoms, *, variant: MMFFVariant = "MMFF94") -> MMFF:
        """From the bonds of a SMILES and the atoms of a geometry (Å), in the order of the latter.

        Raises:
            InputError: the two are not the same molecule, or as above.
        """
        return cls(bonded(smiles, atoms), variant=variant)

    @property
    def name(self) -> str:
        """For people."""
        return self._field.variant

    @property
    def level(self) -> dict[str, Any]:
        """Variant, and the RDKit that it is from."""
        return {
            "method": self._field.variant,
            "rdkit": self._field.rdkit_version,
            "dielectric": "constant, 1",
            "cutoff": None,
        }

    @property
    def domain(self) -> Domain:
        """The molecule."""
        return self._domain

    def single(self, structure: Structure, *, forces: bool) -> tuple[float, np.ndarray | None]:
        """From RDKit; no energy where angles are not defined, since their atoms lie on each other."""
        found: np.ndarray | None = None
        if forces:
            energy, found = self._field.energy_and_forces(structure.positions)
        else:
            energy = self._field.energy(structure.positions)
        if not math.isfinite(energy if found is None else energy + found.sum()):
            raise DeliveryError(
                got=f"a geometry at which {self._field.variant} is not defined",
                wanted="atoms that do not lie on each other",
                remedy="start from an embedded or relaxed geometry",
            )
        return energy, found
