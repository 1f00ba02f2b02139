"""Bond graphs for structures: of a SMILES, of a SMILES on the atoms of a geometry, of a geometry alone.

A SMILES numbers its atoms in its own way, and a wrong pairing of atoms would be another molecule with
the same formula. So the geometry says who is bonded to whom, by distances, and the SMILES what kind of
bond it is; the two must be the same graph.
"""

from __future__ import annotations

from typing import Any

from ase import Atoms
from rdkit import Chem, rdBase
from rdkit.Chem import rdDetermineBonds
from rdkit.Geometry import Point3D

from genmol.core.errors import InputError
from genmol.core.structure import check_structure

__all__ = ["bonded", "parse_smiles", "perceived"]

_ITERATIONS = 100_000  # of RDKit's search for bond orders, which can be endless; some seconds


def parse_smiles(smiles: str) -> Any:
    """An RDKit molecule with all hydrogens as atoms of their own.

    Raises:
        InputError: RDKit cannot read it.
    """
    with rdBase.BlockLogs():
        molecule = Chem.MolFromSmiles(smiles)
    if molecule is None or not molecule.GetNumAtoms():
        raise InputError(
            got=f"the SMILES {smiles!r}, which RDKit cannot read",
            wanted="a molecule with allowed valences",
            remedy="check brackets, ring closures and charges, or give a structure file",
        )
    return Chem.AddHs(molecule)


def bonded(smiles: str, atoms: Atoms) -> Any:
    """The RDKit molecule of a SMILES with the atoms of a geometry, in its order, and its coordinates.

    Where atoms are equivalent, which is which does not matter to bonds; it can to stereo labels, which
    are those of the SMILES.

    Args:
        smiles: of the whole molecule.
        atoms: all of it, hydrogens included, Å.

    Raises:
        InputError: an unreadable SMILES, or a geometry with other bonds than it says.
    """
    check_structure(atoms)
    molecule = parse_smiles(smiles)
    pattern = _skeleton(molecule)
    drawn = _with_coordinates(Chem.RWMol(), atoms)
    rdDetermineBonds.DetermineConnectivity(drawn)
    placed = _skeleton(drawn)
    same = (
        pattern.GetNumAtoms() == placed.GetNumAtoms()
        and pattern.GetNumBonds() == placed.GetNumBonds()
    )
    order = placed.GetSubstructMatch(pattern) if same else ()
    if not order:
        raise InputError(
            got=f"a geometry of {atoms.get_chemical_formula()} with {placed.GetNumBonds()} bonds for "
            f"the SMILES {smiles!r} of {pattern.GetNumAtoms()} atoms and {pattern.GetNumBonds()} bonds",
            wanted="the same molecule, hydrogens included, with bonds of ordinary lengths",
            remedy="check that both are the same tautomer, and that coordinates are in Å",
        )
    back = sorted(range(len(order)), key=lambda index: order[index])
    return _with_coordinates(Chem.RenumberAtoms(molecule, back), atoms)


def perceived(
    atoms: Atoms, *, charge: int, radical: bool = False, where: str = "the structure"
) -> Any:
    """The RDKit molecule that a geometry and its charge make likely, with its coordinates.

    Args:
        atoms: all of it, hydrogens included, Å.
        charge: e.
        radical: whether atoms may lack electrons, instead of carrying opposite charges.
        where: how the message calls it.

    Raises:
        InputError: no bonding pattern explains the geometry and charge.
    """
    check_structure(atoms, where=where)
    reason = ""
    for strained in (False, True):
        molecule = _with_coordinates(Chem.RWMol(), atoms)
        try:
            with rdBase.BlockLogs():
                rdDetermineBonds.DetermineConnectivity(
                    molecule, useVdw=strained, covFactor=1.2 if strained else 1.3
                )
                rdDetermineBonds.DetermineBondOrders(
                    molecule,
                    charge=charge,
                    allowChargedFragments=not radical,
                    maxIterations=_ITERATIONS,
                )
            return molecule.GetMol()
        except (ValueError, RuntimeError) as error:
            reason = reason or str(error).strip().splitlines()[0]
    raise InputError(
        got=f"{where} ({atoms.get_chemical_formula()}), whose bonds RDKit cannot assign ({reason})",
        wanted=f"a geometry with ordinary bonds for the charge {charge:+d}",
        remedy="check charge and geometry; extxyz needs no bonds, and may name them by smiles=...",
    )


def _skeleton(molecule: Any) -> Any:
    """Elements and bonds alone: no orders, charges, aromaticity or hydrogens to be counted."""
    bare = Chem.RWMol()
    for atom in molecule.GetAtoms():
        copy = Chem.Atom(atom.GetAtomicNum())
        copy.SetNoImplicit(True)
        bare.AddAtom(copy)
    for bond in molecule.GetBonds():
        bare.AddBond(bond.GetBeginAtomIdx(), bond.GetEndAtomIdx(), Chem.BondType.SINGLE)
    return bare.GetMol()


def _with_coordinates(molecule: Any, atoms: Atoms) -> Any:
    """The molecule, or atoms without bonds where it is empty, at the positions of ``atoms``."""
    if not molecule.GetNumAtoms():
        for number in atoms.numbers:
            atom = Chem.Atom(int(number))
            atom.SetNoImplicit(True)
            molecule.AddAtom(atom)
    conformer = Chem.Conformer(len(atoms))
    conformer.Set3D(True)
    for index, position in enumerate(atoms.positions):
        conformer.SetAtomPosition(index, Point3D(*map(float, position)))
    molecule.RemoveAllConformers()
    molecule.AddConformer(conformer, assignId=True)
    return molecule
