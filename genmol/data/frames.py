"""Frames: geometries of one molecule with their forces, from whatever files hold them.

>>> frames = read_frames(["ethanol.extxyz"], temperature=300)
>>> frames.positions.shape, frames.forces.shape  # Å and eV/Å

Formats are in :mod:`genmol.data.frame_files`, refusals in :mod:`genmol.data.frame_faults`; whether forces
and frames belong to one law is for :mod:`genmol.data.frame_checks` to say. Points of a toy of
:mod:`samplers.toys` come in its own units, at kT = 1; forces that they lack are computed.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from jaxtyping import Float, Int

from genmol.core.errors import InputError
from genmol.core.structure import charge_and_multiplicity
from genmol.core.units import KB
from genmol.data.force_units import FORCE_UNITS, ForceUnit
from genmol.data.frame_faults import check_frames, check_shapes
from genmol.data.frame_files import read_part
from genmol.data.frame_parts import Part, check_same_atoms, chosen, joined, some, too_few
from genmol.data.toy_points import particles_of, shaped, with_forces

__all__ = ["Frames", "read_frames"]

_TEMPERATURE = 300.0


@dataclass(frozen=True, eq=False)
class Frames:
    """Samples of one molecule, or of a toy.

    Attributes:
        numbers: atomic numbers; particles of a toy are hydrogen.
        positions: Å, or reduced.
        forces: eV/Å, or reduced.
        energies: eV, or reduced, if the files have them.
        weights: of the frames, mean 1.
        temperature: Kelvin; 1 for a toy.
        reduced: units are those of a toy, with kT = 1.
        level: of theory, as the files say it.
        charge: e.
        multiplicity: 2S+1.
        smiles: if known.
        units: that the forces were read in.
        sources: names of the files.
        gradient_calls: gradients of a toy that were computed.
        warnings: what the checks have to say, for the card of what is trained on them.
    """

    numbers: Int[np.ndarray, " n_atoms"]
    positions: Float[np.ndarray, "m n_atoms d"]
    forces: Float[np.ndarray, "m n_atoms d"]
    energies: Float[np.ndarray, " m"] | None
    weights: Float[np.ndarray, " m"]
    temperature: float
    reduced: bool
    level: str
    charge: int
    multiplicity: int
    smiles: str | None
    units: ForceUnit
    sources: tuple[str, ...]
    gradient_calls: int = 0
    warnings: tuple[str, ...] = ()

    @property
    def count(self) -> int:
        """Of frames."""
        return len(self.positions)

    @property
    def members(self) -> tuple[Frames, ...]:
        """The molecules: one."""
        return (self,)

    @property
    def thermal_energy(self) -> float:
        """kT, eV or reduced."""
        return self.temperature if self.reduced else KB * self.temperature

    @cached_property
    def sha256(self) -> str:
        """Hash of samples and law: all arrays, charge, multiplicity and temperature."""
        law = f"{self.reduced} {self.temperature!r} {self.charge} {self.multiplicity}\n"
        found = hashlib.sha256(law.encode())
        for array in (self.numbers, self.positions, self.forces, self.energies, self.weights):
            if array is not None:
                found.update(f"{array.dtype.str} {array.shape}\n".encode())
                found.update(np.ascontiguousarray(array).tobytes())
        return found.hexdigest()

    def atoms(self, index: int) -> Atoms:
        """One frame of a molecule as ``ase.Atoms``."""
        atoms = Atoms(self.numbers, self.positions[index])
        atoms.info |= {"charge": self.charge, "multiplicity": self.multiplicity}
        if self.smiles is not None:
            atoms.info["smiles"] = self.smiles
        return atoms

    def take(self, index: Sequence[int] | np.ndarray) -> Frames:
        """Some of the frames, their weights again of mean 1."""
        weights = self.weights[index]
        if not weights.any():
            raise too_few("frames without weight only")
        return replace(
            self,
            positions=self.positions[index],
            forces=self.forces[index],
            energies=None if self.energies is None else self.energies[index],
            weights=weights / weights.mean(),
        )

    def limited(self, limit: int | None, *, seed: int) -> Frames:
        """At most ``limit`` of the frames, as :func:`read_frames` chooses them."""
        index = chosen(self.count, limit=limit, seed=seed)
        return self if len(index) == self.count else self.take(index)

    def noted(self, warning: str | None) -> Frames:
        """The same with a further warning, if there is one."""
        return self if warning is None else replace(self, warnings=(*self.warnings, warning))

    def summary(self) -> dict[str, Any]:
        """What a card says of them."""
        return {
            "sha256": self.sha256,
            "frames": self.count,
            "temperature": self.temperature,
            "level": self.level,
            "units": self.units,
            "sources": list(self.sources),
            "gradient_calls": self.gradient_calls,
            "warnings": list(self.warnings),
        }


def read_frames(
    paths: str | Path | Sequence[str | Path],
    *,
    units: ForceUnit | None = None,
    temperature: float | None = None,
    charge: int | None = None,
    multiplicity: int | None = None,
    smiles: str | None = None,
    toy: str | None = None,
    limit: int | None = None,
    seed: int = 0,
) -> Frames:
    """Read the frames of some files, all of one molecule, checked.

    Args:
        paths: files and folders.
        units: of the forces; eV/Å where None, except for files of MD17's form, which must be told.
        temperature: Kelvin; that of the files if None, else 300.
        charge: e; that of the files, else 0.
        multiplicity: 2S+1; that of the files, else the lowest possible.
        smiles: of the molecule; that of the files if None.
        toy: the files are points of this density of :data:`samplers.toys.TOYS`.
        limit: most frames; a larger choice contains every smaller one.
        seed: of the choice.

    Raises:
        InputError: files, units or frames that cannot be used, or fewer than two of them.
    """
    listed = [paths] if isinstance(paths, str | Path) else list(paths)
    _check_options(listed, units, temperature, toy)
    density = None if toy is None else particles_of(toy)
    parts = [read_part(Path(path)) for path in listed]
    if density is not None:
        parts = [shaped(part, density) for part in parts]
    else:
        parts = [_of_molecule(part, units) for part in parts]
        check_same_atoms(parts)
    given = {"charge": charge, "multiplicity": multiplicity, "smiles": smiles}
    whole = joined(parts, {**given, "temperature": temperature})
    whole = some(whole, limit=limit, seed=seed)
    computed = 0
    if density is not None:
        whole, computed = with_forces(whole, density)
        charge, multiplicity, temperature = 0, 1, 1.0
    else:
        info = {"charge": whole.charge, "multiplicity": whole.multiplicity}
        atoms = Atoms(whole.numbers, info={k: v for k, v in info.items() if v is not None})
        charge, multiplicity = charge_and_multiplicity(atoms)
        temperature = _kelvin(_TEMPERATURE if whole.temperature is None else whole.temperature)
    assert whole.numbers is not None
    assert whole.forces is not None
    assert whole.weights is not None
    return Frames(
        numbers=whole.numbers.astype(np.int64),
        positions=whole.positions,
        forces=whole.forces,
        energies=whole.energies,
        weights=whole.weights,
        temperature=temperature,
        reduced=density is not None,
        level=toy or whole.level or "not stated",
        charge=charge,
        multiplicity=multiplicity,
        smiles=whole.smiles,
        units=units or "ev/angstrom",
        sources=tuple(Path(path).name for path in listed),
        gradient_calls=computed,
    )


def _of_molecule(part: Part, units: ForceUnit | None) -> Part:
    """The part in float64 and eV/Å, checked."""
    check_shapes(part)
    _check_unit(part, units)
    factors = FORCE_UNITS[units or "ev/angstrom"]
    assert part.forces is not None
    part = replace(
        part,
        positions=part.positions.astype(np.float64),
        forces=factors.force * part.forces.astype(np.float64),
        energies=None if part.energies is None else factors.energy * part.energies,
    )
    assert part.forces is not None
    check_frames(part.source, part.positions, part.forces)
    return part


def _check_options(
    paths: Sequence[object],
    units: str | None,
    temperature: float | None,
    toy: str | None,
) -> None:
    if not paths:
        raise InputError(
            got="no files", wanted="geometries with forces", remedy="name some with --data"
        )
    if units is not None and units not in FORCE_UNITS:
        raise InputError(
            got=f"forces in {units!r}",
            wanted=f"one of {', '.join(FORCE_UNITS)}",
            remedy="convert them to eV/Å",
        )
    if toy is not None and (units is not None or temperature not in (None, 1.0)):
        raise InputError(
            got="units or a temperature for points of a toy",
            wanted="neither: a toy has its own units, in which kT = 1",
            remedy="leave them out",
        )
    if temperature is not None:
        _kelvin(temperature)


def _kelvin(value: object) -> float:
    if not isinstance(value, int | float | np.number) or not 0 < value < math.inf:
        raise InputError(
            got=f"the temperature {value!r}",
            wanted="a positive number of Kelvin",
            remedy="give the temperature of the law to learn, such as --temperature 300",
        )
    return float(value)


def _check_unit(part: Part, units: ForceUnit | None) -> None:
    if part.unit == "unclear" and units is None:
        raise InputError(
            got=f"{part.source}, whose form is that of MD17: forces in kcal/mol/Å there, and in eV/Å "
            "in some of its descendants",
            wanted="their unit",
            remedy="--units kcal/mol/angstrom if it is the original",
        )
    if part.unit == "sealed" and units not in (None, "ev/angstrom"):
        raise InputError(
            got=f"--units {units} for labels of genmol label in {part.source}",
            wanted="eV/Å, in which they are stored",
            remedy="leave --units out, or train on these labels alone",
        )
