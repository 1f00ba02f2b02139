"""Small molecules and mean-field objects that the tests of the solver share."""

from __future__ import annotations

from typing import Any

import numpy as np
from ase import Atoms
from pyscf import dft, gto, scf

WATER = "O 0 0 0.12; H 0 0.76 -0.47; H 0 -0.76 -0.47"
FLUORIDE = "H 0 0 0; F 0 0 0.92"
METHYLENE = "C 0 0 0; H 0 0.99 0.31; H 0 -0.99 0.31"
NO2 = "N 0 0 0; O 0 1.0986 0.4652; O 0 -1.0986 0.4652"


def mean_field(
    kind: str,
    atom: Any,
    xc: str | None = None,
    *,
    basis: Any = "6-31g",
    charge: int = 0,
    spin: int = 0,
    grid: int = 1,
    **molecule: Any,
) -> Any:
    """R, U or RO; Hartree–Fock without a functional."""
    mol = gto.M(atom=atom, basis=basis, charge=charge, spin=spin, verbose=0, **molecule)
    mf = getattr(scf if xc is None else dft, kind + ("HF" if xc is None else "KS"))(mol)
    mf.chkfile = None
    if xc is not None:
        mf.xc, mf.grids.level = xc, grid
    return mf


def converged(mf: Any, *, conv_tol: float = 1e-11) -> Any:
    """Stock PySCF, tightly converged."""
    mf.conv_tol = conv_tol
    mf.kernel()
    assert mf.converged
    return mf


def random_density(mf: Any, rng: np.random.Generator) -> np.ndarray:
    """A symmetric matrix with eigenvalues of both signs, in the shape of the object's densities."""
    nao = mf.mol.nao
    two = isinstance(mf, scf.uhf.UHF | scf.rohf.ROHF)
    a = rng.standard_normal((2, nao, nao) if two else (nao, nao)) * 0.1
    return a + np.swapaxes(a, -1, -2)


def ase_water() -> Atoms:
    return Atoms("OHH", [[0, 0, 0.12], [0, 0.76, -0.47], [0, -0.76, -0.47]])


def ase_fluoride() -> Atoms:
    return Atoms("HF", [[0, 0, 0], [0, 0, 0.92]])
