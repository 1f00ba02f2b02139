"""Atomic orbitals as a network sees them, and the matrices it is given.

PySCF orders the functions of an atom by shells, and those of a shell by m = -l, ..., l, except that
p functions are x, y, z. Real spherical harmonics of e3nn are ordered by m throughout if the polar
axis is the third: a network that is fed vectors as (y, z, x) has its own third axis along our z,
its p functions come as y, z, x, and those of every other l as PySCF has them, all signs positive. So
one permutation, of p functions only, takes matrices to the network and back.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Float, Int
from pyscf import gto
from pyscf.scf import hf

from genmol.core.errors import InputError
from genmol.qc.cheap import CheapLevel
from genmol.qc.options import Start
from genmol.qc.superposition import sap_potential, semilocal_potential

__all__ = [
    "basis_functions",
    "initial_fock",
    "one_electron",
    "shell_table",
    "shells_of",
    "to_irreps_order",
]


def shells_of(mol: gto.Mole) -> dict[int, tuple[int, ...]]:
    """Angular momenta of the contracted functions of each element, in the order of its orbitals.

    Returns:
        Atomic number -> l of every set of 2l+1 orbitals, as 1 -> (0, 0, 1) for hydrogen in def2-SVP;
        sorted by atomic number; ghost atoms count as number 0.

    Raises:
        InputError: two atoms of one element have different shells, or functions are Cartesian.
    """
    _check_spherical(mol)
    atoms: list[list[int]] = [[] for _ in range(mol.natm)]
    for shell in range(mol.nbas):
        atoms[mol.bas_atom(shell)] += [int(mol.bas_angular(shell))] * int(mol.bas_nctr(shell))
    found: dict[int, tuple[int, ...]] = {}
    for atom, momenta in enumerate(atoms):
        number = int(gto.charge(mol.atom_symbol(atom)))
        if found.setdefault(number, tuple(momenta)) != tuple(momenta):
            raise InputError(
                got=f"atom {atom} ({mol.atom_symbol(atom)}) with shells of l = {momenta}, other "
                f"than {list(found[number])} of an earlier atom of the element",
                wanted="the same basis on all atoms of an element",
                remedy="take one basis by name, and no ghost atoms of different elements",
            )
    return dict(sorted(found.items()))


def to_irreps_order(mol: gto.Mole) -> Int[np.ndarray, "n_ao"]:
    """The permutation p with ``M_irreps = M[p][:, p]`` for every matrix M over atomic orbitals.

    The way back is ``numpy.argsort(p)``.

    Raises:
        InputError: Cartesian functions, which are no irreps.
    """
    _check_spherical(mol)
    order = np.arange(mol.nao)
    start = 0
    for shell in range(mol.nbas):
        momentum = int(mol.bas_angular(shell))
        for _ in range(int(mol.bas_nctr(shell))):
            if momentum == 1:
                order[start : start + 3] = start + np.array([1, 2, 0])
            start += 2 * momentum + 1
    return order


def shell_table(mol: gto.Mole) -> Int[np.ndarray, "n_shells 3"]:
    """Atom, angular momentum and number of contracted functions of each shell, as labels store it."""
    return np.asarray(mol._bas[:, [gto.ATOM_OF, gto.ANG_OF, gto.NCTR_OF]], dtype=np.int64)


def basis_functions(mol: gto.Mole) -> dict[str, Any]:
    """Exponents and coefficients of each element, as labels store them."""
    return dict(mol._basis)


def one_electron(
    mol: gto.Mole,
) -> tuple[Float[np.ndarray, "n_ao n_ao"], Float[np.ndarray, "n_ao n_ao"]]:
    """Overlap matrix and core Hamiltonian (Hartree), core potentials included."""
    return np.asarray(hf.get_ovlp(mol)), np.asarray(hf.get_hcore(mol))


def initial_fock(
    mf: Any, start: Start, *, cheap: CheapLevel | None = None
) -> Float[np.ndarray, "n_ao n_ao"]:
    """The Fock matrix that learning starts from, Hartree.

    Args:
        mf: restricted closed-shell PySCF object (RHF, RKS); read, never changed.
        start: ``minao``: core Hamiltonian plus the cheap potential (fitted integrals, coarse grid)
            of superposed minimal-basis atoms. ``semilocal`` and ``sap``: core Hamiltonian plus a
            potential of superposed spherical atoms, :mod:`genmol.qc.superposition`, which know
            nothing of the functional and cost a twentieth.
        cheap: a cheap level of ``mf`` made before; its fitted integrals are not computed again.

    Raises:
        InputError: ``semilocal`` or ``sap`` with core potentials or ghost atoms.
    """
    core = np.asarray(mf.get_hcore())
    if start == "semilocal":
        return core + semilocal_potential(mf.mol)
    if start == "sap":
        return core + sap_potential(mf.mol)
    return core + (cheap or CheapLevel(mf)).potential(mf.get_init_guess(mf.mol, "minao"))


def _check_spherical(mol: gto.Mole) -> None:
    if mol.cart:
        raise InputError(
            got="Cartesian d and f functions",
            wanted="spherical ones, which rotate among those of one l",
            remedy="leave --cartesian out",
        )
