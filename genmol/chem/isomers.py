"""Stereoisomers: is a molecule one of them, and which others can be built?

An isomer counts if it has a geometry. ETKDG is asked twice: with the open units left open, which finds
what a cage allows, and with every combination of their forms. What a force field puts 50 kcal/mol above
another isomer counts as impossible, such as a trans bridge of two bonds: so norbornane, whose
bridgeheads RDKit calls centres, is one isomer, and needs no marks.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product
from typing import Any, NamedTuple

import numpy as np
from rdkit import Chem

from genmol.chem.etkdg import etkdg
from genmol.chem.relaxation import relax, with_conformers
from genmol.chem.stereo import (
    FLAT,
    StereoUnit,
    forms,
    label_by_geometry,
    relabel,
    specified_units,
    undefined_units,
)
from genmol.core.errors import InputError
from genmol.core.units import EV_TO_KCAL_MOL

__all__ = ["Isomer", "buildable_isomers", "check_stereo"]

_STRAIN = 50.0  # kcal/mol
_SHAKEN = 20  # geometries with the open units left open
_TRIALS = 16  # combinations tried before a molecule counts as the only isomer


class Isomer(NamedTuple):
    """A stereoisomer.

    Attributes:
        mol: RDKit molecule with all hydrogens and labels.
        geometry: one of it, Å; None where none was needed.
        strain: its energy in a force field, kcal/mol.
    """

    mol: Any
    geometry: np.ndarray | None
    strain: float


def check_stereo(mol: Any, *, where: str) -> Isomer:
    """The molecule, completely specified; what can be built in one way only needs no marks.

    Args:
        mol: RDKit molecule with all hydrogens.
        where: how the message calls it, e.g. ``"the SMILES 'CC(O)F'"``.

    Raises:
        InputError: it leaves open which isomer it is, or is an allene with a handedness, for which
            SMILES has no marks in RDKit.
    """
    _refuse_cumulenes(mol, where)
    undefined = undefined_units(mol)
    if not undefined:
        return Isomer(mol, None, 0.0)
    found: list[Isomer] = []
    for isomer in _isomers(mol, undefined, most=_TRIALS):
        found.append(isomer)
        if len(_unstrained(found)) > 1:
            break
    if len(kept := _unstrained(found)) == 1:
        return kept[0]
    names = ", ".join(_describe(mol, unit) for unit in undefined)
    example = _smiles(kept[0].mol if kept else _with_forms(mol, undefined, [1] * len(undefined)))
    raise InputError(
        got=f"{where} with undefined stereo: {names}",
        wanted="one stereoisomer, as they do not turn into each other",
        remedy=f"mark it, for example {example}, or treat all isomers (--undefined-stereo enumerate)",
    )


def buildable_isomers(mol: Any, *, limit: int, where: str) -> list[Isomer]:
    """All stereoisomers that share the labels of a molecule and have a geometry, each once.

    Args:
        mol: RDKit molecule with all hydrogens.
        limit: how many at most.
        where: how the message calls it.

    Raises:
        InputError: there may be more than the limit, or none can be built.
    """
    _refuse_cumulenes(mol, where)
    undefined = undefined_units(mol)
    if not undefined:
        return [Isomer(mol, None, 0.0)]
    if 2 ** len(undefined) > 16 * limit:  # meso forms and cages leave less, but not that much
        raise InputError(
            got=f"{where} with {len(undefined)} undefined stereo units",
            wanted=f"at most {limit} isomers to enumerate",
            remedy="mark some of the centres and double bonds",
        )
    found = _unstrained(list(_isomers(mol, undefined, most=16 * limit)))
    if not 1 <= len(found) <= limit:
        raise InputError(
            got=f"{where} with {len(found)} stereoisomers that have a geometry",
            wanted=f"1 to {limit} of them",
            remedy="mark some of the centres and double bonds, or correct those that are marked",
        )
    return found


def _isomers(mol: Any, units: Sequence[StereoUnit], *, most: int) -> Iterator[Isomer]:
    """Isomers with a geometry, each once."""
    seen = set()
    wanted = specified_units(mol)
    signs = [unit.sign for unit in wanted]
    shaken = relax(mol, etkdg(mol, n=_SHAKEN, seed=7, tries=10), iterations=200)
    frames = np.concatenate([shaken.positions, -shaken.positions])  # a mirror image is as good
    kept = (forms(wanted, frames) * signs > 0).all(axis=1)
    kept &= (np.abs(forms(units, frames)) > FLAT).all(axis=1)
    for frame in frames[kept]:
        labelled = with_conformers(mol, frame[None])
        label_by_geometry(labelled)
        isomer = Chem.Mol(labelled)
        isomer.RemoveAllConformers()
        if _smiles(isomer) not in seen:
            seen.add(_smiles(isomer))
            yield Isomer(isomer, frame, _strain(isomer, frame))
    if 2 ** len(units) > most:
        return
    for choice in product((1, -1), repeat=len(units)):
        isomer = _with_forms(mol, units, choice)
        if _smiles(isomer) in seen:
            continue
        if len(found := etkdg(isomer, n=1, seed=7, tries=3, persistent=False)):
            seen.add(_smiles(isomer))
            yield Isomer(isomer, found[0], _strain(isomer, found[0]))


def _smiles(mol: Any) -> str:
    return str(Chem.MolToSmiles(Chem.RemoveHs(mol)))


def _strain(mol: Any, positions: np.ndarray) -> float:
    energy = float(relax(mol, positions[None]).energies[0]) * EV_TO_KCAL_MOL
    return energy if np.isfinite(energy) else 0.0


def _unstrained(found: Sequence[Isomer]) -> list[Isomer]:
    lowest = min((isomer.strain for isomer in found), default=0.0)
    return [isomer for isomer in found if isomer.strain < lowest + _STRAIN]


def _with_forms(mol: Any, units: Sequence[StereoUnit], signs: Sequence[int]) -> Any:
    """A copy with the labels that these forms of the units mean."""
    copy = Chem.Mol(mol)
    for unit, sign in zip(units, signs, strict=True):
        if unit.kind == "centre":
            atom = copy.GetAtomWithIdx(unit.at[0])
            atom.SetChiralTag(Chem.CHI_TETRAHEDRAL_CCW if sign > 0 else Chem.CHI_TETRAHEDRAL_CW)
        else:
            bond = copy.GetBondBetweenAtoms(*unit.at)
            bond.SetStereoAtoms(unit.atoms[0], unit.atoms[3])
            bond.SetStereo(Chem.BondStereo.STEREOCIS if sign > 0 else Chem.BondStereo.STEREOTRANS)
    relabel(copy)
    return copy


def _refuse_cumulenes(mol: Any, where: str) -> None:
    ranks = list(Chem.CanonicalRankAtoms(mol, breakTies=False))
    for left, chain, right in _cumulenes(mol):
        sides = [{ranks[i] for i in _others(mol, end) if i not in chain} for end in (left, right)]
        if all(len(side) == 2 for side in sides):
            raise InputError(
                got=f"{where} with the cumulene {_name(mol, left)} to {_name(mol, right)}, "
                "which has two stereoisomers",
                wanted="centres and double bonds, as SMILES has marks for no other stereo in RDKit",
                remedy="give a molecule whose cumulated double bonds end in equal groups",
            )


def _cumulenes(mol: Any) -> Iterator[tuple[int, set[int], int]]:
    """Ends and inner atoms (with the ends) of cumulated double bonds between carbons."""
    matches = mol.GetSubstructMatches(Chem.MolFromSmarts("[#6X3]=[#6X2]=[#6]"))
    for left, inner, _ in matches:
        chain, here = [left, inner], inner
        while mol.GetAtomWithIdx(here).GetDegree() == 2:
            here = next(i for i in _others(mol, here) if i not in chain)
            chain.append(here)
        end = mol.GetAtomWithIdx(here)
        if end.GetAtomicNum() == 6 and end.GetDegree() == 3 and left < here:
            yield left, set(chain), here


def _others(mol: Any, atom: int) -> list[int]:
    return [other.GetIdx() for other in mol.GetAtomWithIdx(atom).GetNeighbors()]


def _name(mol: Any, atom: int) -> str:
    return f"{mol.GetAtomWithIdx(atom).GetSymbol()}{atom}"


def _describe(mol: Any, unit: StereoUnit) -> str:
    if unit.kind == "centre":
        return f"centre {_name(mol, unit.at[0])}"
    return f"double bond {_name(mol, unit.at[0])}={_name(mol, unit.at[1])}"
