"""Geometries from distances and torsion knowledge: ETKDG of RDKit, without its surprises.

RDKit checks that every centre lies within its neighbours, which those of strained cages hardly do, and
tries ten times the number of atoms before it gives up: minutes for nothing. Here it tries less often.
Where geometries are still wanted, the marks of centres in rings are taken off, and of the many frames
that follow at once, those that have the right form are kept, or the mirror images of which do; at last,
RDKit may start from random coordinates, which bulky molecules need. Amides need not be trans.

Reference: Riniker and Landrum, J. Chem. Inf. Model. 55, 2562 (2015); version 3: Wang, Witek, Landrum
and Riniker, J. Chem. Inf. Model. 60, 2044 (2020).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Float
from rdkit import Chem, rdBase
from rdkit.Chem import rdDistGeom

from genmol.chem.stereo import forms, relabel, specified_units

__all__ = ["etkdg"]


def etkdg(
    mol: Any, *, n: int, seed: int, tries: int = 20, seconds: int = 0, persistent: bool = True
) -> Float[np.ndarray, "k n_atoms 3"]:
    """Up to ``n`` geometries (Å) with the chirality of the molecule's tags.

    Args:
        mol: RDKit molecule with all hydrogens; left as it is.
        n: how many.
        seed: of RDKit's own generator, 0 ≤ seed < 2³¹.
        tries: for each geometry.
        seconds: after which each round is to stop; 0 is never.
        persistent: whether to go on after the first round.
    """
    found = _round(mol, n, seed, tries, seconds)
    if persistent and len(found) < n:
        found = np.concatenate([found, _picked(mol, n - len(found), seed, tries, seconds)])
    if persistent and not len(found):
        found = _round(mol, n, seed, 10 * mol.GetNumAtoms(), seconds, random=True)
    return found


def _round(
    mol: Any, n: int, seed: int, tries: int, seconds: int, *, random: bool = False
) -> np.ndarray:
    copy = Chem.Mol(mol)
    options: Any = rdDistGeom.ETKDGv3()
    options.randomSeed = seed
    options.maxIterations = tries
    options.timeout = seconds
    options.forceTransAmides = False
    options.useRandomCoords = random
    with rdBase.BlockLogs():
        ids = list(rdDistGeom.EmbedMultipleConfs(copy, n, options))
    if not ids:
        return np.zeros((0, copy.GetNumAtoms(), 3))
    return np.stack([copy.GetConformer(i).GetPositions() for i in ids])


def _picked(mol: Any, n: int, seed: int, tries: int, seconds: int) -> np.ndarray:
    """Frames of the molecule without marks on its rings that have its forms all the same."""
    units = specified_units(mol)
    loose = Chem.Mol(mol)
    for unit in units:
        if unit.kind == "centre" and loose.GetAtomWithIdx(unit.at[0]).IsInRing():
            loose.GetAtomWithIdx(unit.at[0]).SetChiralTag(Chem.CHI_UNSPECIFIED)
    relabel(loose)
    frames = _round(loose, 4 * n + 16, seed, tries, seconds)
    signs = [unit.sign for unit in units]
    frames = np.concatenate([frames, -frames])
    right = (forms(units, frames) * signs > 0).all(axis=1)
    return frames[right][:n]
