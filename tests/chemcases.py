"""What the tests of chemistry share: geometries of molecules, permuted, mirrored and hot ones."""

from __future__ import annotations

from functools import cache
from itertools import islice

import numpy as np
from rdkit import Chem

from genmol.chem.equivalence import leaf_hydrogens
from genmol.chem.etkdg import etkdg
from genmol.chem.mmff import MerckForceField
from genmol.chem.relaxation import relax
from genmol.chem.species import Species, species_from_smiles
from genmol.core.units import KB


@cache
def species(smiles: str) -> Species:
    return species_from_smiles(smiles)


@cache
def geometries(smiles: str, n: int = 4, seed: int = 3) -> np.ndarray:
    """Relaxed conformers, (k, n_atoms, 3) Å, hydrogens numbered as it happens."""
    one = species(smiles)
    found = relax(one.mol, etkdg(one.mol, n=n, seed=seed)).positions
    found.flags.writeable = False
    return found


def graph_automorphisms(one: Species, limit: int = 5000) -> list[np.ndarray]:
    """All permutations that keep elements and bonds, by RDKit's substructure search."""
    bare = Chem.RWMol()
    for z in one.numbers:
        atom = Chem.Atom(int(z))
        atom.SetNoImplicit(True)
        bare.AddAtom(atom)
    for i, j in one.bonds:
        bare.AddBond(i, j, Chem.BondType.SINGLE)
    mol = bare.GetMol()
    found = mol.GetSubstructMatches(mol, uniquify=False, maxMatches=limit)
    assert len(found) < limit
    return [np.array(match) for match in found]


def hydrogens_shuffled(one: Species, x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The same frames with the equal hydrogens of each atom in another order."""
    found = x.copy()
    for group in leaf_hydrogens(one):
        found[:, list(group)] = x[:, rng.permutation(np.array(group, dtype=int))]
    return found


def hot(smiles: str, *, temperature: float, frames: int, rng: np.random.Generator) -> np.ndarray:
    """Frames (Å) of Langevin dynamics (BAOAB, unit masses, MMFF94) at a temperature (K)."""
    one = species(smiles)
    field = MerckForceField(one.mol)
    x = geometries(smiles, 1)[0].copy()
    step, friction, kt = 0.02, 0.1, KB * temperature  # in units of Å, eV and the mass
    keep = np.exp(-friction * step * 10)
    v = np.sqrt(kt) * rng.standard_normal(x.shape)
    force = field.energy_and_forces(x)[1]

    def run():
        nonlocal x, v, force
        while True:
            for _ in range(25):
                v = v + step / 2 * force
                x = x + step / 2 * v
                v = keep * v + np.sqrt((1 - keep**2) * kt) * rng.standard_normal(x.shape)
                x = x + step / 2 * v
                force = field.energy_and_forces(x)[1]
                v = v + step / 2 * force
            yield x.copy()

    return np.stack(list(islice(run(), frames)))


def rmsd(x: np.ndarray, y: np.ndarray) -> float:
    """After the best rotation without mirror images (Kabsch, 1976), Å."""
    x, y = x - x.mean(axis=0), y - y.mean(axis=0)
    u, s, vt = np.linalg.svd(x.T @ y)
    s[2] *= np.sign(np.linalg.det(u @ vt))
    square = (x**2).sum() + (y**2).sum() - 2 * s.sum()
    return float(np.sqrt(max(square, 0.0) / len(x)))
