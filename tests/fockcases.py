"""Molecules with Fock matrices made of one-electron integrals, which rotate exactly with the molecule."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from ase import Atoms
from ase.build import molecule
from pyscf import gto, scf
from scipy.linalg import eigh

from genmol.qc.orbitals import initial_fock
from genmol.scf.examples import FockExample
from genmol.scf.fock_batch import FockBatch
from genmol.scf.fock_model import FockModel, FockModelConfig

SVP = {1: (0, 0, 1), 6: (0, 0, 0, 1, 1, 2), 8: (0, 0, 0, 1, 1, 2)}
STO = {1: (0,), 6: (0, 0, 1), 8: (0, 0, 1)}


def mol_of(atoms: Atoms, basis: str) -> gto.Mole:
    points = zip(atoms.get_chemical_symbols(), atoms.positions, strict=True)
    return gto.M(atom=[(s, tuple(x)) for s, x in points], basis=basis, spin=None, verbose=0)


def example(atoms: Atoms, basis: str = "def2-svp", *, learn: str = "int1e_kin") -> FockExample:
    """F_init from superposed atomic potentials, F = F_init + a tenth of another integral."""
    mol = mol_of(atoms, basis)
    overlap = mol.intor("int1e_ovlp")
    initial = initial_fock(scf.RHF(mol), "sap")
    return with_fock(
        FockExample(
            name=str(atoms.symbols),
            source=str(atoms.symbols),
            part="train",
            numbers=atoms.numbers.astype(np.int64),
            positions=atoms.positions.copy(),
            overlap=overlap,
            initial=initial,
            fock=initial,
            coefficients=overlap,
            energies=np.zeros(len(overlap)),
            n_occupied=max(mol.nelectron // 2, 1),
        ),
        initial + 0.1 * mol.intor(learn),
    )


def with_fock(old: FockExample, fock: np.ndarray) -> FockExample:
    """The example with another F and its orbitals."""
    energies, coefficients = eigh(fock, old.overlap)
    return replace(old, fock=fock, energies=energies, coefficients=coefficients)


def chiral() -> Atoms:
    """Methanol out of shape."""
    atoms = molecule("CH3OH")
    atoms.positions += np.random.default_rng(3).normal(scale=0.1, size=(6, 3))
    return atoms


def rotated(atoms: Atoms, element: np.ndarray) -> Atoms:
    return Atoms(atoms.numbers, positions=atoms.positions @ element.T)


def orbital_rotation(atoms: Atoms, basis: str, element: np.ndarray) -> np.ndarray:
    """D with M(Q x) = D M(x) D^T, in PySCF's order and by its own rotation matrices."""
    mol, sign = mol_of(atoms, basis), round(np.linalg.det(element))
    matrix = mol.ao_rotation_matrix((sign * element).T)  # it takes the new axes
    parity = [
        float(sign) ** mol.bas_angular(shell)
        for shell in range(mol.nbas)
        for _ in range(mol.bas_nctr(shell) * (2 * mol.bas_angular(shell) + 1))
    ]
    return np.array(parity)[:, None] * matrix


def small_config(shells: dict[int, tuple[int, ...]] = SVP, **changes: object) -> FockModelConfig:
    top = 2 * max(map(max, shells.values()))
    options = {
        "l_max": top,
        "channels": 6,
        "other_channels": 3,
        "edge_channels": (10, 4, 8, 6, 4, 4)[: top + 2],
        "product_channels": 4,
        "layers": 2,
        "cutoff": 8.0,
        "n_radial": 8,
        "embedding": 12,
    }
    return FockModelConfig(shells, **{**options, **changes})


def any_weights(config: FockModelConfig, examples: list[FockExample], seed: int = 0) -> FockModel:
    """A calibrated float64 model, no parameter of which is at its initial value."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = FockModel(config).double()
        model.calibrate([batch_of(model, examples)])
        for parameter in model.parameters():
            size = parameter.detach().square().sum().div(max(parameter.numel(), 1)).sqrt()
            parameter.data += 0.3 * (size + 0.1) * torch.randn_like(parameter)
    return model


def batch_of(
    model: FockModel, examples: list[FockExample], dtype: torch.dtype = torch.float64
) -> FockBatch:
    return FockBatch.collate(examples, model.slots, cutoff=model.config.cutoff, dtype=dtype)
