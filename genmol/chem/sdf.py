"""SDF files through RDKit: molecules with bonds, in and out of ``ase.Atoms``.

The charge comes from the mol block. Hydrogens must be explicit and the coordinates
three-dimensional: a drawing is not a structure, and a hydrogen invented in silence would be a wrong
molecule.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from ase import Atoms
from rdkit import Chem, rdBase
from rdkit.Chem import rdDetermineBonds
from rdkit.Geometry import Point3D

from genmol.core.errors import InputError
from genmol.core.files import atomic_write_text, check_readable
from genmol.core.structure import charge_and_multiplicity, check_structure

__all__ = ["iread_sdf", "read_sdf", "write_sdf"]

PathLike = str | os.PathLike[str]


def read_sdf(path: PathLike) -> list[Atoms]:
    """Return every molecule of an SDF file, checked; positions in Å, ``info`` with charge and name.

    Raises:
        InputError: the file is missing, empty or malformed, a molecule has implicit hydrogens or
            flat (2D) coordinates, or fails :func:`genmol.core.structure.check_structure`.
    """
    return list(iread_sdf(path))


def iread_sdf(path: PathLike) -> Iterator[Atoms]:
    """Yield the molecules of an SDF file one by one; errors as in :func:`read_sdf`."""
    source = check_readable(path)
    if not source.read_bytes().strip():
        raise InputError(
            got=f"the empty file {source}",
            wanted="at least one molecule",
            remedy="check that the program which wrote it had finished",
        )
    with rdBase.BlockLogs():
        supplier = Chem.SDMolSupplier(str(source), removeHs=False)
        for index, molecule in enumerate(supplier):
            yield _to_atoms(molecule, where=f"molecule {index} of {source}")


def _to_atoms(molecule: Any, *, where: str) -> Atoms:
    if molecule is None:
        raise InputError(
            got=f"{where}, which RDKit cannot read",
            wanted="a valid mol block with allowed valences",
            remedy="write the file again with RDKit or Open Babel, or give the structure as xyz",
        )
    missing = sum(atom.GetTotalNumHs() for atom in molecule.GetAtoms())
    if missing:
        raise InputError(
            got=f"{where}, which lacks {missing} hydrogen{'s' * (missing > 1)}",
            wanted="all hydrogens as atoms of their own",
            remedy="add them with coordinates (RDKit: Chem.AddHs(mol, addCoords=True))",
        )
    # The dimension is declared in the second header line of the mol block
    if molecule.GetProp("_MolFileInfo")[20:22] == "2D":
        raise InputError(
            got=f"{where}, which is a flat drawing (2D)",
            wanted="three-dimensional coordinates",
            remedy="embed it first (RDKit: AllChem.EmbedMolecule)",
        )
    atoms = Atoms(
        numbers=[atom.GetAtomicNum() for atom in molecule.GetAtoms()],
        positions=molecule.GetConformer().GetPositions() if molecule.GetNumAtoms() else None,
        info={"charge": Chem.GetFormalCharge(molecule), "name": molecule.GetProp("_Name")},
    )
    check_structure(atoms, where=where)
    return atoms


def write_sdf(path: PathLike, frames: Iterable[Atoms]) -> None:
    """Write ``frames`` as an SDF file, all or nothing; bonds follow from geometry and charge.

    Raises:
        InputError: no bonding pattern explains the geometry and charge of a frame.
    """
    blocks = [_to_block(atoms, where=f"frame {index}") for index, atoms in enumerate(frames)]
    atomic_write_text(Path(path), "".join(block + "$$$$\n" for block in blocks))


def _to_block(atoms: Atoms, *, where: str) -> str:
    check_structure(atoms, where=where)
    charge, _ = charge_and_multiplicity(atoms)
    molecule = Chem.RWMol()
    conformer = Chem.Conformer(len(atoms))
    conformer.Set3D(True)
    for index, (number, position) in enumerate(zip(atoms.numbers, atoms.positions, strict=True)):
        atom = Chem.Atom(int(number))
        atom.SetNoImplicit(True)
        molecule.AddAtom(atom)
        conformer.SetAtomPosition(index, Point3D(*map(float, position)))
    molecule.AddConformer(conformer)
    molecule.SetProp("_Name", str(atoms.info.get("name", "")))
    try:
        with rdBase.BlockLogs():
            rdDetermineBonds.DetermineBonds(molecule, charge=charge)
    except ValueError as error:
        formula = atoms.get_chemical_formula()
        raise InputError(
            got=f"{where} ({formula}), whose bonds RDKit cannot assign ({error})",
            wanted=f"a geometry with ordinary bonds for the charge {charge:+d}",
            remedy="check charge and geometry, or write extxyz, which needs no bonds",
        ) from error
    block: str = Chem.MolToMolBlock(molecule)
    return block
