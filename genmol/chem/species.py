"""A species: one molecule with its bonds, charge, multiplicity and stereo, and no geometry yet.

It comes from a SMILES, or from a structure file whose bonds are read (SDF), given by a SMILES beside
the geometry (the key ``smiles`` of an extxyz comment), or perceived from distances and charge (xyz).
What sampling cannot treat is refused here, with the reason: single atoms, several molecules in one,
metals, more than 200 atoms, an electron count that contradicts the multiplicity, undefined stereo.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from ase.formula import Formula
from jaxtyping import Float, Int
from rdkit import Chem

from genmol.chem.bonds import bonded, parse_smiles, perceived
from genmol.chem.isomers import Isomer, buildable_isomers, check_stereo
from genmol.chem.sdf import iread_molecules
from genmol.chem.stereo import label_by_geometry, tidy_labels
from genmol.core.errors import InputError
from genmol.core.structure import charge_and_multiplicity, check_electrons, iread_structures

__all__ = [
    "MAXIMUM_ATOMS",
    "Species",
    "species_from_atoms",
    "species_from_file",
    "species_from_smiles",
    "stereoisomers",
]

MAXIMUM_ATOMS = 200
"""With hydrogens. Beyond, torsion searches and molecular dynamics of other programs are the tools."""

_NONMETALS = frozenset(
    [1, 2, *range(5, 11), *range(14, 19), *range(32, 37), *range(51, 55), 85, 86]
)  # with the metalloids B, Si, Ge, As, Sb and Te


@dataclass(frozen=True, eq=False)
class Species:
    """One molecule.

    Attributes:
        numbers: atomic numbers, in the order of all geometries.
        bonds: pairs (i, j) with i < j, sorted.
        charge: e.
        multiplicity: 2S+1.
        smiles: canonical, with stereo and without explicit hydrogens.
        name: for people.
        mol: RDKit molecule with all hydrogens, its atoms in the order of ``numbers``, no conformer.
        geometry: one that it was read from or recognised by, Å; None where there was none.
    """

    numbers: Int[np.ndarray, " n_atoms"]
    bonds: tuple[tuple[int, int], ...]
    charge: int
    multiplicity: int
    smiles: str
    name: str
    mol: Any
    geometry: Float[np.ndarray, "n_atoms 3"] | None = None

    @property
    def n_atoms(self) -> int:
        """With hydrogens."""
        return len(self.numbers)

    @cached_property
    def neighbours(self) -> tuple[tuple[int, ...], ...]:
        """The atoms bonded to each, ascending."""
        found: list[list[int]] = [[] for _ in self.numbers]
        for i, j in self.bonds:
            found[i].append(j)
            found[j].append(i)
        return tuple(tuple(sorted(others)) for others in found)

    @property
    def formula(self) -> str:
        """In the order of Hill."""
        return str(Formula.from_list(Atoms(self.numbers).get_chemical_symbols()).format("hill"))

    def atoms(self, positions: Float[np.ndarray, "n_atoms 3"]) -> Atoms:
        """A geometry (Å) as ``ase.Atoms``, with charge, multiplicity, name and smiles."""
        info = {
            "charge": self.charge,
            "multiplicity": self.multiplicity,
            "name": self.name,
            "smiles": self.smiles,
        }
        return Atoms(self.numbers, positions, info=info)


def species_from_smiles(text: str, *, multiplicity: int = 1) -> Species:
    """The molecule of a SMILES, which may be followed by a name.

    Args:
        text: one stereoisomer; a cage that can be built in one way only needs no marks.
        multiplicity: 2S+1.

    Raises:
        InputError: unreadable, refused for a reason above, or several stereoisomers.
    """
    mol, where, name = _read(text, multiplicity)
    return _species(check_stereo(mol, where=where), multiplicity, name)


def stereoisomers(text: str, *, multiplicity: int = 1, limit: int = 64) -> tuple[Species, ...]:
    """All stereoisomers of a SMILES that agree with its marks and can be built; enantiomers are two.

    Args:
        text: SMILES, which may be followed by a name.
        multiplicity: 2S+1.
        limit: how many at most.

    Raises:
        InputError: as :func:`species_from_smiles`, or more than ``limit`` isomers.
    """
    mol, where, name = _read(text, multiplicity)
    found = [
        _species(isomer, multiplicity, name)
        for isomer in buildable_isomers(mol, limit=limit, where=where)
    ]
    found.sort(key=lambda species: species.smiles)
    if len(found) == 1:
        return tuple(found)
    return tuple(replace(s, name=f"{s.name} isomer {k}") for k, s in enumerate(found, start=1))


def species_from_file(
    path: str | os.PathLike[str], *, charge: int | None = None, multiplicity: int | None = None
) -> tuple[Species, Float[np.ndarray, "n_frames n_atoms 3"]]:
    """The molecule of a structure file (.xyz, .extxyz, .sdf, .mol) and its geometries, Å.

    Bonds and stereo are those of the first frame. Later frames must have the same atoms in the same
    order; whether they are the same molecule is for :func:`genmol.chem.identity.same_molecule` to say.

    Args:
        path: of a file with one molecule, in one frame or more.
        charge: e; that of the file, else 0.
        multiplicity: 2S+1; that of the file, else 1.

    Raises:
        InputError: unreadable, no bonds for this charge, frames of different molecules, or refused for
            a reason above.
    """
    source = Path(path)
    structures = _structures(source)
    mol, first = next(structures)
    where = f"the first structure of {source}"
    species = _of_geometry(mol, first, charge, multiplicity, where, name=source.stem)
    positions = [first.positions]
    for index, (_, atoms) in enumerate(structures, start=1):
        if not np.array_equal(atoms.numbers, species.numbers):
            raise InputError(
                got=f"frame {index} of {source} ({atoms.get_chemical_formula()}), whose atoms or "
                f"their order differ from frame 0 ({first.get_chemical_formula()})",
                wanted="geometries of one molecule",
                remedy="give each molecule a file of its own",
            )
        positions.append(atoms.positions)
    return species, np.stack(positions)


def species_from_atoms(
    atoms: Atoms, *, charge: int | None = None, multiplicity: int | None = None
) -> Species:
    """The molecule of a geometry; its bonds are those of the key ``smiles`` if there is one.

    Args:
        atoms: one geometry, Å.
        charge: e; that of ``atoms``, else 0.
        multiplicity: 2S+1; that of ``atoms``, else 1.

    Raises:
        InputError: no bonds for this charge, or refused for a reason above.
    """
    name = atoms.get_chemical_formula()
    return _of_geometry(None, atoms, charge, multiplicity, "the geometry", name=name)


def _of_geometry(
    mol: Any, first: Atoms, charge: int | None, multiplicity: int | None, where: str, *, name: str
) -> Species:
    """The species of a geometry with its RDKit molecule, if a file gave one."""
    spin = int(first.info.get("multiplicity", 1)) if multiplicity is None else multiplicity
    if mol is None:
        total, spin = charge_and_multiplicity(first, charge=charge, multiplicity=spin)
        _check_atoms(first.numbers.tolist(), where)
        smiles = first.info.get("smiles")
        if smiles is not None:
            mol = bonded(str(smiles), first)
        else:
            mol = perceived(first, charge=total, radical=spin > 1)
    label_by_geometry(mol)
    if charge is not None and charge != Chem.GetFormalCharge(mol):
        raise InputError(
            got=f"--charge {charge:+d} for {where}, whose bonds carry {Chem.GetFormalCharge(mol):+d}",
            wanted="one charge",
            remedy="leave --charge away, or correct the file",
        )
    _check(mol, spin, where)
    mol.RemoveAllConformers()
    name = str(first.info.get("name") or name)
    species = _species(check_stereo(mol, where=where), spin, name)
    species = replace(species, geometry=first.positions.copy())
    _check_declared(species, first, where)
    return species


def _structures(source: Path) -> Iterator[tuple[Any, Atoms]]:
    """The structures of a file, with RDKit molecules where it has bonds."""
    if source.suffix.lower() in (".sdf", ".mol"):
        return iread_molecules(source)
    if source.suffix.lower() in (".xyz", ".extxyz"):
        return ((None, atoms) for atoms in iread_structures(source))
    raise InputError(
        got=f"{source}, of the format {source.suffix or '(no suffix)'}",
        wanted=".xyz, .extxyz, .sdf or .mol",
        remedy="convert it with ASE or Open Babel",
    )


def _check_declared(species: Species, first: Atoms, where: str) -> None:
    """The stereo of the geometry is that of the SMILES that the file declares, if it says any."""
    if "smiles" not in first.info:
        return
    declared = parse_smiles(str(first.info["smiles"]))
    tidy_labels(declared)
    found = Chem.MolFromSmiles(species.smiles)
    if not found.HasSubstructMatch(Chem.RemoveHs(declared), useChirality=True):
        raise InputError(
            got=f"{where}, whose geometry is {species.smiles} and whose comment says "
            f"{first.info['smiles']}",
            wanted="the same stereoisomer",
            remedy="correct the comment or the geometry",
        )


def _read(text: str, multiplicity: int) -> tuple[Any, str, str]:
    """A checked molecule, how messages call it, and its name."""
    smiles, _, title = text.strip().partition(" ")
    where = f"the SMILES {smiles!r}"
    mol = parse_smiles(text.strip())
    _check(mol, multiplicity, where)
    tidy_labels(mol)
    return mol, where, title.strip() or smiles


def _check(mol: Any, multiplicity: int, where: str) -> None:
    numbers = [atom.GetAtomicNum() for atom in mol.GetAtoms()]
    _check_atoms(numbers, where)
    if parts := len(Chem.GetMolFrags(mol)) - 1:
        raise InputError(
            got=f"{where}, which consists of {parts + 1} molecules or ions",
            wanted="one molecule: relative motions of separate ones have no bound",
            remedy="give each by itself, with its charge",
        )
    check_electrons(numbers, Chem.GetFormalCharge(mol), multiplicity)


def _check_atoms(numbers: list[int], where: str) -> None:
    if 0 in numbers:
        raise InputError(
            got=f"{where} with the dummy atom * (atom {numbers.index(0)})",
            wanted="a complete molecule",
            remedy="replace it by an element, such as hydrogen",
        )
    if len(numbers) == 1:
        raise InputError(
            got=f"{where}, a single atom",
            wanted="a molecule",
            remedy="give one with at least two atoms: an atom has nothing to sample",
        )
    if metals := sorted({n for n in numbers if n not in _NONMETALS}):
        symbols = ", ".join(Atoms(metals).get_chemical_symbols())
        raise InputError(
            got=f"{where} with {symbols}",
            wanted="nonmetals, whose bonds and stereo have the simple rules that sampling keeps",
            remedy="use a tool for metal complexes, such as CREST",
        )
    if len(numbers) > MAXIMUM_ATOMS:
        raise InputError(
            got=f"{where} with {len(numbers)} atoms",
            wanted=f"at most {MAXIMUM_ATOMS} with hydrogens",
            remedy="cut out the part of interest and cap it",
        )


def _species(isomer: Isomer, multiplicity: int, name: str) -> Species:
    mol = isomer.mol
    numbers = np.array([atom.GetAtomicNum() for atom in mol.GetAtoms()], dtype=np.int64)
    numbers.flags.writeable = False
    pairs = (sorted((b.GetBeginAtomIdx(), b.GetEndAtomIdx())) for b in mol.GetBonds())
    bare = Chem.RemoveHs(mol)
    bare.RemoveAllConformers()
    return Species(
        numbers=numbers,
        bonds=tuple(sorted((i, j) for i, j in pairs)),
        charge=int(Chem.GetFormalCharge(mol)),
        multiplicity=multiplicity,
        smiles=Chem.MolToSmiles(bare),
        name=name,
        mol=mol,
        geometry=isomer.geometry,
    )
