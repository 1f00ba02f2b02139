"""Atoms that look alike: classes by element, neighbours, neighbours of neighbours and so on.

Bond orders and formal charges are left out, since they are ways of drawing: the two oxygens of a
carboxylate are alike. Handedness counts if it is to: then atoms of an R and of an S centre differ, as do
those at an E and at a Z bond. Atoms that a symmetry exchanges are always of one class; the converse
holds for all but a few graphs, such as some cages, and :mod:`genmol.chem.automorphisms` decides.

Reference: the refinement is that of Weisfeiler and Leman, 1968.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from rdkit import Chem, rdBase
from rdkit.Chem import rdCIPLabeler

from genmol.chem.species import Species

__all__ = ["atom_classes", "leaf_hydrogens"]

_CIP_STEPS = 100_000  # after which cages go without labels


@lru_cache(maxsize=256)
def atom_classes(species: Species, *, handed: bool = True) -> tuple[int, ...]:
    """A number for each atom, equal for atoms that look alike.

    Args:
        species: the molecule.
        handed: whether handedness counts; if not, mirror images are alike.
    """
    atom_labels, bond_labels = _handedness(species.mol) if handed else ([""] * species.n_atoms, {})
    isotopes = [atom.GetIsotope() for atom in species.mol.GetAtoms()]
    colours = _ranked(list(zip(species.numbers.tolist(), isotopes, atom_labels, strict=True)))
    while True:
        seen = [
            (own, sorted((bond_labels.get(frozenset((i, j)), ""), colours[j]) for j in others))
            for i, (own, others) in enumerate(zip(colours, species.neighbours, strict=True))
        ]
        finer = _ranked(seen)
        if len(set(finer)) == len(set(colours)):
            return tuple(finer)
        colours = finer


@lru_cache(maxsize=256)
def leaf_hydrogens(species: Species) -> tuple[tuple[int, ...], ...]:
    """For each atom the hydrogens bonded to it alone; none for hydrogens, and deuterium is none."""
    plain = {
        atom.GetIdx()
        for atom in species.mol.GetAtoms()
        if atom.GetAtomicNum() == 1 and atom.GetDegree() == 1 and not atom.GetIsotope()
    }
    return tuple(
        () if i in plain else tuple(j for j in others if j in plain)
        for i, others in enumerate(species.neighbours)
    )


def _ranked(keys: Sequence[Any]) -> list[int]:
    order = {key: rank for rank, key in enumerate(sorted(set(map(repr, keys))))}
    return [order[repr(key)] for key in keys]


def _handedness(mol: Any) -> tuple[list[str], dict[frozenset[int], str]]:
    """CIP labels of atoms and bonds."""
    copy = Chem.Mol(mol)
    with rdBase.BlockLogs():
        try:
            rdCIPLabeler.AssignCIPLabels(copy, maxRecursiveIterations=_CIP_STEPS)
        except RuntimeError:
            return [""] * copy.GetNumAtoms(), {}
    atoms = [_label(atom) for atom in copy.GetAtoms()]
    bonds = {
        frozenset((bond.GetBeginAtomIdx(), bond.GetEndAtomIdx())): _label(bond)
        for bond in copy.GetBonds()
    }
    return atoms, bonds


def _label(thing: Any) -> str:
    return str(thing.GetProp("_CIPCode")) if thing.HasProp("_CIPCode") else ""
