r"""Potentials of superposed atoms: starting points that need no two-electron integral.

The spherical density of an atom is a sum of Gaussian charges,
:math:`\rho_A(r) = \sum_k q_k (\alpha_k/\pi)^{3/2} e^{-\alpha_k r^2}` with :math:`q_k \ge 0`; that of
the molecule, :math:`\rho = \sum_A \rho_A`, is known in closed form everywhere. Its potential

.. math::
    V_{\mu\nu} = \sum_A (\mu\nu|\rho_A) + \langle\mu|v_{xc}[\rho, \nabla\rho]|\nu\rangle

takes one three-centre integral per atom and pair of orbitals, and one sweep over a coarse grid. The
functional is always PBE (Perdew, Burke and Ernzerhof, Phys. Rev. Lett. 77, 3865, 1996): a fixed
operator, which knows the charge clouds and how they overlap, but nothing of the level of theory.

The superposition of atomic *potentials* (sap; Lehtola, Visscher and Engel, J. Chem. Phys. 152, 144105,
2020) has the same integrals with charges that stand for exchange as well, and needs no grid. What it
misses is that :math:`v_{xc}[\sum_A\rho_A] \ne \sum_A v_{xc}[\rho_A]` where atoms overlap, in bonds.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import lru_cache, reduce
from operator import add
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float
from pyscf import dft, gto
from pyscf.df import incore
from pyscf.scf import hf
from scipy.linalg import cholesky, solve_triangular
from scipy.optimize import nnls

from genmol.core.errors import InputError
from genmol.qc.grid import build_grid
from genmol.qc.label import unpack
from genmol.qc.quadrature import Quadrature

__all__ = ["GaussianCharges", "atomic_density", "sap_potential", "semilocal_potential"]

_FUNCTIONAL = "pbe"
_CUTOFF = 1e-7  # smallest orbital values kept on the grid, as on the cheap level
_WIDEST, _RATIO = 0.12, 2.0  # exponents of the fit (1/Bohr²)
_SAP_BASIS = "sapgraspsmall"  # as close as PySCF's default, sapgrasplarge, at 60 % of its cost


class GaussianCharges(NamedTuple):
    """A spherical cloud of electrons.

    Attributes:
        exponents: α, 1/Bohr².
        charges: q, electrons.
    """

    exponents: Float[np.ndarray, "n"]
    charges: Float[np.ndarray, "n"]


def semilocal_potential(mol: gto.Mole) -> Float[np.ndarray, "n_ao n_ao"]:
    """Coulomb and PBE potential of superposed spherical atoms, Hartree.

    Raises:
        InputError: core potentials or ghost atoms, whose electrons are not the atom's.
    """
    atoms = _clouds(mol, lambda symbol: atomic_density(symbol, mol._basis[symbol]))
    grid = dft.gen_grid.Grids(mol)
    grid.level = 0
    build_grid(grid)
    density = atoms.eval_gto("GTOval_sph_deriv1", grid.coords).sum(axis=2)
    exchange_correlation = Quadrature(cutoff=_CUTOFF).potential(mol, grid, _FUNCTIONAL, density)
    return _coulomb(mol, atoms) + exchange_correlation


def sap_potential(mol: gto.Mole) -> Float[np.ndarray, "n_ao n_ao"]:
    """Superposed atomic potentials of the electrons, Hartree.

    :func:`pyscf.scf.hf.make_sap` gives the same at twice the cost, because it computes both triangles.

    Raises:
        InputError: core potentials or ghost atoms, whose electrons are not the atom's.
    """
    return _coulomb(mol, _clouds(mol, _screening))


def atomic_density(symbol: str, basis: list[Any]) -> GaussianCharges:
    """The density of PySCF's ``minao`` guess for one neutral atom.

    Args:
        symbol: of the element, PySCF's label of an atom.
        basis: its shells, as ``mol._basis[symbol]``.

    Returns:
        The non-negative charges whose error has the least Coulomb energy with itself; they sum to
        the number of electrons.
    """
    return _fitted(int(gto.charge(symbol)), json.dumps(basis, default=np.ndarray.tolist))


@lru_cache
def _fitted(number: int, basis: str) -> GaussianCharges:
    symbol = gto.mole._symbol(number)
    atom = gto.M(atom=symbol, basis={symbol: json.loads(basis)}, spin=number % 2, verbose=0)
    steepest = 2 * max(float(atom.bas_exp(shell).max()) for shell in range(atom.nbas))
    n = int(np.log(steepest / _WIDEST) / np.log(_RATIO)) + 1
    exponents = _WIDEST * _RATIO ** np.arange(n)
    gaussians = gto.fakemol_for_charges(np.zeros((n, 3)), exponents)
    density = np.asarray(hf.init_guess_by_minao(atom))
    with_density = np.einsum("pqk,pq->k", incore.aux_e2(atom, gaussians), density)
    lower = cholesky(gaussians.intor("int2c2e"), lower=True)
    wanted = solve_triangular(lower, with_density, lower=True)
    weight = 100.0  # of the number of electrons
    charges, _ = nnls(
        np.vstack([lower.T, np.full(n, weight)]), np.append(wanted, weight * number), maxiter=9999
    )
    kept = charges > 0
    return GaussianCharges(exponents[kept], charges[kept] * (number / charges.sum()))


@lru_cache
def _screening(symbol: str) -> GaussianCharges:
    exponents, charges = np.array(gto.basis.load(_SAP_BASIS, symbol)[0][1:]).T
    return GaussianCharges(exponents, -charges)


def _clouds(mol: gto.Mole, cloud: Callable[[str], GaussianCharges]) -> gto.Mole:
    """One contracted s function per atom, which integrates to its electrons."""
    if any(mol.atom_nelec_core(i) or not mol.atom_charge(i) for i in range(mol.natm)):
        raise InputError(
            got="superposed atoms for ones with core potentials or without a nucleus",
            wanted="all electrons of every atom",
            remedy="take the starting point minao",
        )
    symbols = [mol.atom_symbol(i) for i in range(mol.natm)]
    found = {symbol: cloud(symbol) for symbol in set(symbols)}
    single = (
        gto.fakemol_for_cgtf_charge(position[None], *found[symbol])
        for symbol, position in zip(symbols, mol.atom_coords(), strict=True)
    )
    return reduce(add, single)


def _coulomb(mol: gto.Mole, clouds: gto.Mole) -> np.ndarray:
    return unpack(incore.aux_e2(mol, clouds, "int3c2e", aosym="s2ij").sum(axis=1))
