"""SDF files through RDKit: molecules with bonds, in and out of ``ase.Atoms``.

The charge comes from the mol block. Hydrogens must be explicit and the coordinates
three-dimensional: a drawing is not a structure, and a hydrogen invented in silence would be a wrong
molecule.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from jaxtyping import Float
from rdkit import Chem, rdBase

from genmol.chem.bonds import perceived
from genmol.chem.relaxation import with_conformers
from genmol.core.errors import InputError
from genmol.core.files import atomic_write_text, check_readable
from genmol.core.structure import charge_and_multiplicity, check_structure

__all__ = ["iread_molecules", "iread_sdf", "read_sdf", "write_conformers", "write_sdf"]

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
    yield from (atoms for _, atoms in iread_molecules(path))


def iread_molecules(path: PathLike) -> Iterator[tuple[Any, Atoms]]:
    """Yield RDKit's molecules and the same as atoms, one by one; errors as in :func:`read_sdf`."""
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
            yield molecule, _to_atoms(molecule, where=f"molecule {index} of {source}")


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


def write_conformers(
    path: PathLike,
    molecule: Any,
    positions: Float[np.ndarray, "n n_atoms 3"],
    *,
    name: str,
    properties: Mapping[str, Sequence[str]],
) -> None:
    """Write conformers of one molecule, whose bonds and stereo are known, all or nothing.

    Args:
        path: of the SDF file.
        molecule: RDKit molecule with all hydrogens, its atoms in the order of the positions.
        positions: Å.
        name: title of every record.
        properties: name -> text of each conformer, without line breaks.
    """
    copy, blocks = with_conformers(molecule, positions), []
    copy.SetProp("_Name", name)
    for k in range(len(positions)):
        block = [Chem.MolToMolBlock(copy, confId=k)]
        block += [f">  <{key}>\n{texts[k]}\n\n" for key, texts in properties.items()]
        blocks.append("".join(block) + "$$$$\n")
    atomic_write_text(Path(path), "".join(blocks))


def _to_block(atoms: Atoms, *, where: str) -> str:
    charge, _ = charge_and_multiplicity(atoms)
    molecule = perceived(atoms, charge=charge, where=where)
    molecule.SetProp("_Name", str(atoms.info.get("name", "")))
    block: str = Chem.MolToMolBlock(molecule)
    return block
