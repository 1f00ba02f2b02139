"""MMFF94 and MMFF94s of one bond graph, set up once and evaluated at many geometries.

RDKit assigns types, charges and parameters when a force field is made (a millisecond for 20 atoms); an
energy takes a hundredth of that. Two traps, which decide how it is called here:

- A force field remembers the distances of its last energy. ``CalcGrad(positions)`` takes them for those
  of its own positions and returns a wrong gradient, unless ``CalcEnergy`` was called with the same
  positions right before. Here coordinates go into the conformer that the force field points to, and
  ``Initialize`` forgets the distances.
- Pairs farther apart than ``nonBondedThresh`` when it is made are left out for ever; here none are.

References: Halgren, J. Comput. Chem. 17, 490 (1996); MMFF94s: J. Comput. Chem. 20, 720 (1999); in RDKit:
Tosco, Stiefl and Landrum, J. Cheminform. 6, 37 (2014).
"""

from __future__ import annotations

import os
import re
import sys
import tempfile
from collections.abc import Callable
from typing import Any, Literal

import numpy as np
from rdkit import Chem, rdBase
from rdkit.Chem import rdForceFieldHelpers

from genmol.core.errors import InputError
from genmol.core.units import EV_TO_KCAL_MOL

__all__ = ["MMFFVariant", "MerckForceField"]

MMFFVariant = Literal["MMFF94", "MMFF94s"]


class MerckForceField:
    """MMFF94 energies and forces of a molecule.

    Args:
        molecule: RDKit molecule with all hydrogens as atoms; coordinates are not used.
        variant: MMFF94s makes conjugated nitrogens more planar.

    Raises:
        InputError: hydrogens are missing, a radical, or an atom that MMFF has no type for.
    """

    def __init__(self, molecule: Any, *, variant: MMFFVariant = "MMFF94") -> None:
        mol = Chem.Mol(molecule)
        _check(mol)
        mol.RemoveAllConformers()
        mol.AddConformer(Chem.Conformer(mol.GetNumAtoms()), assignId=True)
        with rdBase.BlockLogs():
            Chem.SanitizeMol(mol)
            properties = rdForceFieldHelpers.MMFFGetMoleculeProperties(mol, variant)
            if properties is None:
                raise _untyped(mol, variant)
            self._field = rdForceFieldHelpers.MMFFGetMoleculeForceField(
                mol, properties, nonBondedThresh=1e9, ignoreInterfragInteractions=False
            )
        self._mol = mol  # owns the coordinates that the force field points to
        self._conformer = mol.GetConformer()
        self.variant = variant
        self.numbers = tuple(atom.GetAtomicNum() for atom in mol.GetAtoms())
        self.charge = int(Chem.GetFormalCharge(mol))
        self.rdkit_version = str(rdBase.rdkitVersion)

    def energy(self, positions: np.ndarray) -> float:
        """Energy (eV) at ``positions`` (n_atoms, 3), Å."""
        self._conformer.SetPositions(positions)
        self._field.Initialize()
        return float(self._field.CalcEnergy()) / EV_TO_KCAL_MOL

    def energy_and_forces(self, positions: np.ndarray) -> tuple[float, np.ndarray]:
        """The same with forces (n_atoms, 3), eV/Å."""
        energy = self.energy(positions)
        gradient = np.array(self._field.CalcGrad()).reshape(-1, 3)
        return energy, gradient / -EV_TO_KCAL_MOL


def _check(mol: Any) -> None:
    if missing := sum(atom.GetTotalNumHs() for atom in mol.GetAtoms()):
        raise InputError(
            got=f"a molecule that lacks {missing} hydrogen{'s' * (missing > 1)}",
            wanted="all hydrogens as atoms of their own",
            remedy="add them (RDKit: Chem.AddHs)",
        )
    for atom in mol.GetAtoms():
        if atom.GetNumRadicalElectrons():
            raise InputError(
                got=f"atom {atom.GetIdx()} ({atom.GetSymbol()}) with unpaired electrons",
                wanted="closed shells, which MMFF was made for",
                remedy="take GFN2-xTB or a density functional",
            )


def _untyped(mol: Any, variant: MMFFVariant) -> InputError:
    """The error that names the atoms without a type."""
    report = _standard_output(
        lambda: rdForceFieldHelpers.MMFFGetMoleculeProperties(mol, variant, 2)
    )
    untyped = re.findall(r"^(\S+)\s+#(\d+)\s+0\s", report, flags=re.M)
    names = ", ".join(f"atom {int(number) - 1} ({symbol})" for symbol, number in untyped)
    return InputError(
        got=f"{names or 'an atom'}, for which {variant} has no type",
        wanted="H, C, N, O, F, Si, P, S, Cl, Br and I in ordinary organic bonding, or their common ions",
        remedy="take GFN2-xTB, which covers everything up to radon",
    )


def _standard_output(function: Callable[[], object]) -> str:
    """What a function's C++ code prints: RDKit has its table of types nowhere else."""
    sys.stdout.flush()
    with tempfile.TemporaryFile() as file:
        kept = os.dup(1)
        try:
            os.dup2(file.fileno(), 1)
            function()
        finally:
            os.dup2(kept, 1)
            os.close(kept)
        file.seek(0)
        return file.read().decode(errors="replace")
