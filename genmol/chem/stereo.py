r"""What a molecule keeps while it moves: handed centres, double bonds, and their two forms each.

A *unit* has two forms that do not turn into each other at the temperatures of a conformer search. Its
form is the sign of a number that a geometry gives:

- a centre with the neighbours 1, 2, 3 and 4: the signed volume of their tetrahedron,
  :math:`(\mathbf r_1-\mathbf r_4)\times(\mathbf r_2-\mathbf r_4)\cdot(\mathbf r_3-\mathbf r_4)`;
  of three neighbours, with the centre itself in the place of 4;
- a double bond 1–2=3–4: the cosine of its dihedral, positive where 1 and 4 are cis;
- a twisted cumulene 1–2=·=3–4: the sine of its dihedral.

Which units are stereo is RDKit's judgement on the molecule without hydrogens, that is what a SMILES can
say, with two exceptions: the C=N bonds of amidinium and guanidinium ions and of amides drawn with
charges, whose double bond is an accident of drawing; and C=N–H without a mark, whose hydrogen moves
around nitrogen. Both are torsions.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from jaxtyping import Float
from rdkit import Chem, rdBase

__all__ = [
    "FLAT",
    "StereoUnit",
    "delocalised_bonds",
    "forms",
    "is_bare_imine",
    "label_by_geometry",
    "relabel",
    "specified_units",
    "tidy_labels",
    "undefined_units",
]

_DELOCALISED = Chem.MolFromSmarts("[NX3+]=[#6X3]-[NX3,OX1-,SX1-]")
FLAT = 0.05
"""A volume, cosine or sine that is too small to have a sign."""

Kind = Literal["centre", "double bond", "cumulene"]


@dataclass(frozen=True)
class StereoUnit:
    """A part of a molecule with two forms.

    Attributes:
        kind: what the four atoms are.
        at: the centre, or the two ends of the double bond or cumulene.
        atoms: whose volume, cosine or sine decides.
        sign: the form, +1 or −1; 0 where none is specified.
    """

    kind: Kind
    at: tuple[int, ...]
    atoms: tuple[int, int, int, int]
    sign: int = 0


def forms(
    units: Sequence[StereoUnit], positions: Float[np.ndarray, "k n_atoms 3"]
) -> Float[np.ndarray, "k n_units"]:
    """The numbers in [−1, 1] whose signs are the forms of the units; volumes are of unit vectors."""
    found = np.zeros((len(positions), len(units)))
    for kind in ("centre", "double bond", "cumulene"):
        columns = [i for i, unit in enumerate(units) if unit.kind == kind]
        if not columns:
            continue
        corners = positions[:, np.array([units[i].atoms for i in columns])]
        one, two, three, four = (corners[:, :, i] for i in range(4))
        if kind == "centre":
            edges = np.stack([one - four, two - four, three - four], axis=2)
            lengths = np.linalg.norm(edges, axis=3, keepdims=True).clip(min=1e-12)
            found[:, columns] = np.linalg.det(edges / lengths)
        else:
            axis = three - two
            axis /= np.linalg.norm(axis, axis=2, keepdims=True).clip(min=1e-12)
            left, right = np.cross(axis, one - two), np.cross(axis, four - three)
            size = np.linalg.norm(left, axis=2) * np.linalg.norm(right, axis=2)
            top = left if kind == "double bond" else np.cross(axis, left)
            found[:, columns] = (top * right).sum(axis=2) / size.clip(min=1e-12)
    return found


def specified_units(mol: Any) -> tuple[StereoUnit, ...]:
    """The units whose form the labels of an RDKit molecule with all hydrogens specify."""
    units = []
    for atom in mol.GetAtoms():
        handed = {Chem.CHI_TETRAHEDRAL_CCW: 1, Chem.CHI_TETRAHEDRAL_CW: -1}
        if sign := handed.get(atom.GetChiralTag(), 0):
            units.append(_unit("centre", (atom.GetIdx(),), _corners(atom), sign))
    for bond in mol.GetBonds():
        signs = {"STEREOZ": 1, "STEREOCIS": 1, "STEREOE": -1, "STEREOTRANS": -1}
        if sign := signs.get(str(bond.GetStereo()), 0):
            left, right = bond.GetStereoAtoms()
            u, v = bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()
            units.append(_unit("double bond", (u, v), [left, u, v, right], sign))
    return tuple(units)


def undefined_units(mol: Any) -> tuple[StereoUnit, ...]:
    """The units that an RDKit molecule with all hydrogens leaves open."""
    return tuple(unit for unit, specified in _potential_units(mol) if not specified)


def tidy_labels(mol: Any) -> None:
    """Take off the labels of what is no stereo unit here, in place; see above."""
    for index in delocalised_bonds(mol):
        mol.GetBondWithIdx(index).SetStereo(Chem.BondStereo.STEREONONE)
    relabel(mol)
    known = {unit.at for unit, _ in _potential_units(mol)}
    for atom in mol.GetAtoms():
        if (atom.GetIdx(),) not in known:
            atom.SetChiralTag(Chem.CHI_UNSPECIFIED)


def label_by_geometry(mol: Any) -> None:
    """Set the labels of an RDKit molecule with all hydrogens to those of its conformer, in place."""
    Chem.AssignStereochemistryFrom3D(mol, replaceExistingTags=True)
    for bond in mol.GetBonds():
        if is_bare_imine(bond):
            bond.SetStereo(Chem.BondStereo.STEREONONE)
    frame = mol.GetConformer().GetPositions()[None]
    for unit, _ in list(_potential_units(mol)):
        # RDKit passes over N of aziridines, and looks at three neighbours only, of which a strained
        # centre can lie on the other side
        if unit.kind == "centre":
            volume = float(forms([unit], frame)[0, 0])
            tag = Chem.CHI_TETRAHEDRAL_CCW if volume > 0 else Chem.CHI_TETRAHEDRAL_CW
            mol.GetAtomWithIdx(unit.at[0]).SetChiralTag(
                tag if abs(volume) > FLAT else Chem.CHI_UNSPECIFIED
            )
    tidy_labels(mol)


def relabel(mol: Any) -> None:
    """Let RDKit derive everything from the tags of centres and the stereo of double bonds, in place."""
    for bond in mol.GetBonds():  # the slashes of a SMILES; they would bring back what was taken off
        bond.SetBondDir(Chem.BondDir.NONE)
    Chem.SetDoubleBondNeighborDirections(mol)
    mol.ClearComputedProps(False)
    Chem.AssignStereochemistry(mol, cleanIt=True, force=True)


def delocalised_bonds(mol: Any) -> set[int]:
    """Indices of double bonds whose atoms share it with a neighbour: C=N of amidinium ions."""
    found = mol.GetSubstructMatches(_DELOCALISED)
    return {mol.GetBondBetweenAtoms(n, c).GetIdx() for n, c, _ in found}


def is_bare_imine(bond: Any) -> bool:
    """Whether an RDKit bond is C=N of a C=N–H."""
    if bond.GetBondType() != Chem.BondType.DOUBLE:
        return False
    atoms = (bond.GetBeginAtom(), bond.GetEndAtom())
    return any(
        atom.GetAtomicNum() == 7
        and sorted(other.GetAtomicNum() for other in atom.GetNeighbors()) == [1, 6]
        for atom in atoms
    ) and any(atom.GetAtomicNum() == 6 for atom in atoms)


def _potential_units(mol: Any) -> Iterator[tuple[StereoUnit, bool]]:
    """Units without a sign, and whether they are specified."""
    copy = Chem.Mol(mol)
    for atom in copy.GetAtoms():
        atom.SetIntProp("_index", atom.GetIdx())
    with rdBase.BlockLogs():
        bare = Chem.RemoveHs(copy)
        found = list(Chem.FindPotentialStereo(bare))
    number = [atom.GetIntProp("_index") for atom in bare.GetAtoms()]
    delocalised = delocalised_bonds(mol)
    for info in found:
        specified = str(info.specified) == "Specified"
        if info.type == Chem.StereoType.Atom_Tetrahedral:
            centre = number[info.centeredOn]
            yield _unit("centre", (centre,), _corners(mol.GetAtomWithIdx(centre))), specified
        elif info.type == Chem.StereoType.Bond_Double:
            drawn = bare.GetBondWithIdx(info.centeredOn)
            bond = mol.GetBondBetweenAtoms(
                number[drawn.GetBeginAtomIdx()], number[drawn.GetEndAtomIdx()]
            )
            u, v = bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()
            if bond.GetIdx() in delocalised or _cumulated(mol, u, v) or _cumulated(mol, v, u):
                continue
            if is_bare_imine(bond) and not specified:
                continue
            n = next(i for i in _neighbours(mol, u) if i != v)
            m = next(i for i in _neighbours(mol, v) if i != u)
            yield _unit("double bond", (u, v), [n, u, v, m]), specified


def _unit(kind: Kind, at: tuple[int, ...], atoms: Sequence[int], sign: int = 0) -> StereoUnit:
    one, two, three, four = atoms
    return StereoUnit(kind, at, (one, two, three, four), sign)


def _corners(atom: Any) -> list[int]:
    """Neighbours in the order of bonds, in which a positive volume is RDKit's counterclockwise."""
    found = [bond.GetOtherAtomIdx(atom.GetIdx()) for bond in atom.GetBonds()]
    return [*found, atom.GetIdx()][:4]


def _neighbours(mol: Any, atom: int) -> list[int]:
    return sorted(other.GetIdx() for other in mol.GetAtomWithIdx(atom).GetNeighbors())


def _cumulated(mol: Any, u: int, v: int) -> bool:
    """Whether a double bond to ``u`` goes on to another neighbour than ``v``."""
    return any(
        bond.GetBondType() == Chem.BondType.DOUBLE and bond.GetOtherAtomIdx(u) != v
        for bond in mol.GetAtomWithIdx(u).GetBonds()
    )
