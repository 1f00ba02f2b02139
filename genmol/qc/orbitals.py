"""Atomic orbitals as a network sees them, and the matrices it is given.

PySCF orders the functions of an atom by shells, and those of a shell by m = -l, ..., l, except that
p functions are x, y, z. Real spherical harmonics of e3nn are ordered by m throughout if the polar
axis is the third: a network that is fed vectors as (y, z, x) has its own third axis along our z,
its p functions come as y, z, x, and those of every other l as PySCF has them, all signs positive. So
one permutation, of p functions only, takes matrices to the network and back.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Literal

import numpy as np
from jaxtyping import Float, Int
from pyscf import gto
from pyscf.df import incore
from pyscf.scf import hf

from genmol.core.errors import InputError
from genmol.qc.cheap import CheapLevel
from genmol.qc.label import unpack

__all__ = [
    "basis_functions",
    "initial_fock",
    "one_electron",
    "shell_table",
    "shells_of",
    "to_irreps_order",
]

_SAP_BASIS = "sapgraspsmall"  # as close as PySCF's default, sapgrasplarge, at 60 % of its cost


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
    mf: Any, start: Literal["minao", "sap"], *, cheap: CheapLevel | None = None
) -> Float[np.ndarray, "n_ao n_ao"]:
    """The Fock matrix that learning starts from, Hartree.

    Args:
        mf: restricted closed-shell PySCF object (RHF, RKS); read, never changed.
        start: ``minao``: core Hamiltonian plus the cheap potential (fitted integrals, coarse grid)
            of superposed minimal-basis atoms. ``sap``: core Hamiltonian plus superposed atomic
            potentials, one-electron integrals only; it knows nothing of the functional.
        cheap: a cheap level of ``mf`` made before; its fitted integrals are not computed again.

    Raises:
        InputError: ``sap`` with core potentials or ghost atoms, whose electrons are not the atom's.
    """
    core = np.asarray(mf.get_hcore())
    if start == "sap":
        mol = mf.mol
        if any(mol.atom_nelec_core(i) or not mol.atom_charge(i) for i in range(mol.natm)):
            raise InputError(
                got="the starting point sap for atoms with core potentials or without a nucleus",
                wanted="all electrons of every atom",
                remedy="take minao",
            )
        return core + _atomic_potentials(mol)
    return core + (cheap or CheapLevel(mf)).potential(mf.get_init_guess(mf.mol, "minao"))


def _atomic_potentials(mol: gto.Mole) -> np.ndarray:
    """Superposed potentials of the atoms' electrons, (n_ao, n_ao), Hartree.

    Lehtola, Visscher and Engel, J. Chem. Phys. 152, 144105 (2020): the screening charge of an
    element is a sum of s Gaussians. :func:`pyscf.scf.hf.make_sap` gives the same at twice the cost,
    because it computes both triangles.
    """
    potential = np.zeros(mol.nao * (mol.nao + 1) // 2)
    for symbol, position in zip(mol.elements, mol.atom_coords(), strict=True):
        exponents, charges = _screening_charge(symbol)
        gaussians = gto.fakemol_for_cgtf_charge(position[None], exponents, charges)
        potential -= incore.aux_e2(mol, gaussians, "int3c2e", aosym="s2ij")[:, 0]
    return unpack(potential)


@lru_cache
def _screening_charge(symbol: str) -> tuple[np.ndarray, np.ndarray]:
    """Exponents (1/Bohr²) and charges (e, negative in sum) of an element's Gaussians."""
    exponents, charges = np.array(gto.basis.load(_SAP_BASIS, symbol)[0][1:]).T
    return exponents, charges


def _check_spherical(mol: gto.Mole) -> None:
    if mol.cart:
        raise InputError(
            got="Cartesian d and f functions",
            wanted="spherical ones, which rotate among those of one l",
            remedy="leave --cartesian out",
        )
