"""The nearest minimum of a force field, for many geometries at once.

MMFF94 where it has a type for every atom, else UFF, which has parameters for the whole periodic table
and is rough; else nothing. Used to tidy up geometries, not to rank them: sampling decides on energies.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from jaxtyping import Bool, Float
from rdkit import Chem, rdBase
from rdkit.Chem import rdForceFieldHelpers

from genmol.core.units import EV_TO_KCAL_MOL

__all__ = ["ForceField", "Relaxed", "force_field_of", "relax", "with_conformers"]

ForceField = Literal["MMFF94", "UFF", "none"]


@dataclass(frozen=True, eq=False)
class Relaxed:
    """Minima of a force field.

    Attributes:
        positions: Å.
        energies: eV; NaN without a force field.
        converged: whether the minimiser was content.
        force_field: which.
    """

    positions: Float[np.ndarray, "k n_atoms 3"]
    energies: Float[np.ndarray, " k"]
    converged: Bool[np.ndarray, " k"]
    force_field: ForceField


def force_field_of(mol: Any) -> ForceField:
    """Which force field has parameters for a molecule with all hydrogens."""
    with rdBase.BlockLogs():
        radical = any(atom.GetNumRadicalElectrons() for atom in mol.GetAtoms())
        if not radical and rdForceFieldHelpers.MMFFHasAllMoleculeParams(mol):
            return "MMFF94"
        return "UFF" if rdForceFieldHelpers.UFFHasAllMoleculeParams(mol) else "none"


def relax(
    mol: Any, positions: Float[np.ndarray, "k n_atoms 3"], *, iterations: int = 1000
) -> Relaxed:
    """Follow each geometry down to a minimum.

    Args:
        mol: RDKit molecule with all hydrogens; left as it is.
        positions: starting points, Å.
        iterations: of RDKit's BFGS, at most.
    """
    field = force_field_of(mol)
    k = len(positions)
    if field == "none" or k == 0:
        return Relaxed(positions, np.full(k, np.nan), np.zeros(k, dtype=bool), field)
    copy = with_conformers(mol, positions)
    with rdBase.BlockLogs():
        if field == "MMFF94":
            found = rdForceFieldHelpers.MMFFOptimizeMoleculeConfs(copy, maxIters=iterations)
        else:
            found = rdForceFieldHelpers.UFFOptimizeMoleculeConfs(copy, maxIters=iterations)
    return Relaxed(
        positions=np.stack([conformer.GetPositions() for conformer in copy.GetConformers()]),
        energies=np.array([energy for _, energy in found]) / EV_TO_KCAL_MOL,
        converged=np.array([status == 0 for status, _ in found]),
        force_field=field,
    )


def with_conformers(mol: Any, positions: Float[np.ndarray, "k n_atoms 3"]) -> Any:
    """A copy of an RDKit molecule with these geometries (Å) as its conformers 0, 1, ..."""
    copy = Chem.Mol(mol)
    copy.RemoveAllConformers()
    for frame in positions:
        conformer = Chem.Conformer(len(frame))
        conformer.Set3D(True)
        conformer.SetPositions(np.ascontiguousarray(frame, dtype=np.float64))
        copy.AddConformer(conformer, assignId=True)
    return copy
