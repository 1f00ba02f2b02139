r"""Starting densities that need no learning, behind one interface.

=============  ==================================================================================
name           density
=============  ==================================================================================
``1e``         orbitals of the core Hamiltonian, electrons ignoring each other
``minao``      superposed atoms in a minimal basis (PySCF's default)
``atom``       superposed spherical atoms in the full basis
``huckel``     extended Hückel on atomic orbitals (Lehtola, J. Chem. Theory Comput. 15, 1593, 2019)
``sap``        superposed atomic potentials (Lehtola, Visscher and Engel, J. Chem. Phys. 152, 2020)
``cheap-scf``  the cheap level, converged from ``minao`` (genmol's default)
``project``    a converged calculation in another basis, functional or geometry
``file``       a density from disk: PySCF's checkpoint file or :func:`save_density`'s
=============  ==================================================================================

Every guess has the shape that the mean-field object takes and its number of electrons in each
spin; :mod:`genmol.qc.natural` derives how both are reached. Orbitals *C* of another geometry keep
their coefficients, turned on each atom with its neighbourhood; those of another basis are projected,
:math:`S^{-1}\langle\mu|\nu\rangle C`; and both are made orthonormal again.

A guess joins by one entry, and by its name in :data:`GuessName`, where the command line reads it.
The learned one lives in a higher layer: :mod:`genmol.scf.learned`.
"""

from __future__ import annotations

import json
import os
import warnings
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pyscf import gto
from pyscf.data.elements import ELEMENTS
from pyscf.lib import chkfile
from pyscf.scf import addons

from genmol.core.errors import InputError
from genmol.core.files import atomic_path, check_readable
from genmol.core.units import BOHR_TO_ANGSTROM
from genmol.qc.cheap import CheapLevel
from genmol.qc.extrapolate import local_rotations, turned_orbitals
from genmol.qc.inner import History
from genmol.qc.natural import (
    SpinOrbitals,
    assemble,
    electrons_per_spin,
    from_mo,
    orthonormalise,
    spin_orbitals,
    two_spins,
)
from genmol.qc.problem import Problem
from genmol.qc.two_level import Tactics, cheap_orbitals

__all__ = [
    "GUESSES",
    "Guess",
    "GuessName",
    "Source",
    "density_for",
    "guess",
    "register",
    "save_density",
]

GuessName = Literal["1e", "minao", "atom", "huckel", "sap", "cheap-scf", "project", "file"]
Source = Any  # a PySCF mean-field object for ``project``, a path for ``file``, else None

_FORMAT = 1
_UNREADABLE = (OSError, KeyError, ValueError, EOFError, TypeError, zipfile.BadZipFile, zlib.error)


@dataclass(frozen=True)
class Guess:
    """One way to start.

    Attributes:
        name: what the user types.
        description: one line of help.
        make: density of a PySCF mean-field object (not changed) and of what the guess is made from.
        needs: what that source is, None for a guess that needs none.
    """

    name: str
    description: str
    make: Callable[[Any, Source], np.ndarray]
    needs: str | None = None


GUESSES: dict[str, Guess] = {}


def register(entry: Guess) -> None:
    """Make a guess known under its name."""
    if entry.name in GUESSES:
        raise ValueError(f"the guess {entry.name!r} is registered already")
    GUESSES[entry.name] = entry


def guess(mf: Any, name: str = "cheap-scf", source: Source = None) -> np.ndarray:
    """A starting density for ``mf.kernel(dm0=...)``.

    Args:
        mf: PySCF RHF, UHF, ROHF, RKS, UKS or ROKS object; it is not changed.
        name: one of :data:`GuessName`.
        source: the converged mean-field object for ``project``, the path for ``file``.

    Returns:
        (nao, nao), or (2, nao, nao) for an object with two spins, in PySCF's orbital order.

    Raises:
        InputError: unknown name, source missing or of another molecule, or an element that the
            guess has no data for.
    """
    entry = GUESSES.get(name)
    if entry is None:
        raise InputError(
            got=f"the guess {name!r}",
            wanted="one of " + ", ".join(GUESSES),
            remedy="leave it out to take 'cheap-scf'",
        )
    if (entry.needs is None) != (source is None):
        raise InputError(
            got=f"the guess {name!r} {'without' if source is None else 'with'} a source",
            wanted=entry.needs or "no source, for it needs none",
            remedy="pass it as guess(mf, name, source)" if entry.needs else "leave the source out",
        )
    return entry.make(mf, source)


def density_for(mf: Any, dm: np.ndarray) -> np.ndarray:
    """A density in the shape and with the electrons per spin of ``mf``.

    One that is right already is returned as it is. A restricted density is split over the spins by
    its occupations; an unrestricted one is summed for a restricted object.
    """
    overlap, wanted = mf.get_ovlp(), electrons_per_spin(mf)
    if np.ndim(dm) == (3 if two_spins(mf) else 2):
        found = np.einsum("...ij,ji->...", np.asarray(dm), overlap)
        if np.allclose(found, wanted if two_spins(mf) else sum(wanted), rtol=0, atol=1e-6):
            return np.asanyarray(dm)
    return assemble(mf, spin_orbitals(dm, overlap))


# --- the entries


def _pyscf(name: str) -> Callable[[Any, Source], np.ndarray]:
    def make(mf: Any, source: Source) -> np.ndarray:  # noqa: ARG001
        try:
            with warnings.catch_warnings():  # PySCF's own about its own code
                warnings.simplefilter("ignore", DeprecationWarning)
                dm = mf.get_init_guess(mf.mol, name)
        except (KeyError, RuntimeError, AssertionError, NotImplementedError, IndexError) as error:
            raise InputError(
                got=f"the guess {name!r} for {', '.join(sorted(set(mf.mol.elements)))}, "
                f"for which PySCF cannot make it ({type(error).__name__}: {error})",
                wanted="elements that this guess has data for",
                remedy="take the guess 'atom' or '1e', which work for every element",
            ) from error
        return density_for(mf, dm)

    return make


def _cheap(mf: Any, source: Source) -> np.ndarray:  # noqa: ARG001
    """Self-consistent on the cheap level; its best density where that does not converge."""
    problem, history = Problem(mf), History()
    start = guess(mf, "minao")
    orbitals = cheap_orbitals(problem, CheapLevel(mf), history, start, Tactics())
    if orbitals is not None:
        return orbitals.dm
    norms = [np.linalg.norm(problem.error(problem.fock(v), dm)) for dm, v in history.pairs]
    return history.pairs[int(np.argmin(norms))][0]


def _project(mf: Any, source: Source) -> np.ndarray:
    if getattr(source, "mo_coeff", None) is None:
        raise InputError(
            got="a source that has no orbitals yet",
            wanted="a converged PySCF mean-field object",
            remedy="run its kernel() first",
        )
    return _carried(mf, source.mol, from_mo(source.mo_coeff, source.mo_occ))


def _from_file(mf: Any, source: Source) -> np.ndarray:
    path = check_readable(source)
    try:
        with path.open("rb") as handle:
            hdf5 = handle.read(4) == b"\x89HDF"
        mol, orbitals = (_read_chkfile if hdf5 else _read_npz)(path)
    except _UNREADABLE as error:
        raise InputError(
            got=f"the density file {path}, which cannot be read ({type(error).__name__}: {error})",
            wanted="a PySCF checkpoint file, or an .npz file that genmol wrote",
            remedy="write it again, or take another guess",
        ) from error
    return _carried(mf, mol, orbitals)


for _entry in (
    Guess("1e", "orbitals of the core Hamiltonian", _pyscf("1e")),
    Guess("minao", "superposed atoms in a minimal basis (PySCF's default)", _pyscf("minao")),
    Guess("atom", "superposed spherical atoms", _pyscf("atom")),
    Guess("huckel", "extended Hückel", _pyscf("huckel")),
    Guess("sap", "superposed atomic potentials", _pyscf("sap")),
    Guess("cheap-scf", "fitted integrals on a coarse grid, converged", _cheap),
    Guess("project", "another basis or functional", _project, "a converged mean-field object"),
    Guess("file", "PySCF checkpoint or genmol density file", _from_file, "the path of the file"),
):
    register(_entry)


# --- other bases, geometries


def _carried(mf: Any, old: gto.Mole, orbitals: tuple[SpinOrbitals, SpinOrbitals]) -> np.ndarray:
    """The density that orbitals of the molecule ``old`` become in basis and geometry of ``mf``."""
    mol = mf.mol
    if _numbers(old) != _numbers(mol):
        raise InputError(
            got=f"a density of {_formula(old)} for {_formula(mol)}",
            wanted="the same atoms in the same order (the geometry may differ)",
            remedy="choose the source that belongs to this molecule, or another guess",
        )
    overlap, matrix = mf.get_ovlp(), np.eye(old.nao)
    there, here = old.atom_coords(), mol.atom_coords()
    if not np.allclose(there, here, rtol=0, atol=1e-6):
        matrix = turned_orbitals(old, local_rotations(there, here))
        old = old.set_geom_(here, unit="Bohr", inplace=False)
    if not _same_basis(old, mol):
        matrix = addons.project_mo_nr2nr(old, matrix, mol)

    def carry(spin: SpinOrbitals, electrons: float) -> SpinOrbitals:
        n = max(int(np.ceil(electrons)), int(np.sum(spin.occ > 1e-8)))
        coeff = orthonormalise(matrix @ spin.coeff[:, :n], overlap)
        return SpinOrbitals(coeff, spin.occ[:n], spin.by_energy)

    (alpha, beta), (n_alpha, n_beta) = orbitals, electrons_per_spin(mf)
    carried = carry(alpha, n_alpha)
    shared = alpha is beta and n_alpha == n_beta
    return assemble(mf, (carried, carried if shared else carry(beta, n_beta)))


def _same_basis(a: gto.Mole, b: gto.Mole) -> bool:
    return bool(a.cart == b.cart) and _shells(a) == _shells(b)


def _shells(mol: gto.Mole) -> list[Any]:
    """Contractions of every atom, as plain lists."""
    basis = mol._basis  # parsed shells, which have no public name
    listed = [basis.get(mol.atom_symbol(i), []) for i in range(mol.natm)]
    return list(json.loads(json.dumps(listed, default=np.ndarray.tolist)))


def _numbers(mol: gto.Mole) -> list[int]:
    """Atomic numbers, 0 for a ghost atom."""
    return [int(gto.charge(mol.atom_symbol(i))) for i in range(mol.natm)]


def _formula(mol: gto.Mole) -> str:
    return f"{mol.natm} atoms ({' '.join(mol.elements)})"


# --- files


def save_density(path: str | os.PathLike[str], mf: Any) -> None:
    """Write the density of a converged mean-field object, with all that a later guess needs.

    The ``.npz`` file holds ``dm`` (PySCF's orbital order), ``numbers`` (0 for ghosts),
    ``positions`` (Å), ``basis`` (JSON: shells of every atom), ``cartesian`` and ``level``. It is
    written whole or not at all.
    """
    mol = mf.mol
    with atomic_path(path) as temporary, temporary.open("wb") as handle:
        np.savez_compressed(
            handle,
            format=_FORMAT,
            dm=np.asarray(mf.make_rdm1()),
            numbers=np.array(_numbers(mol)),
            positions=mol.atom_coords() * BOHR_TO_ANGSTROM,
            basis=np.array(json.dumps(_shells(mol))),
            cartesian=bool(mol.cart),
            level=np.array(f"{getattr(mf, 'xc', 'hf')}/{mol.basis}"),
        )


def _read_npz(path: Path) -> tuple[gto.Mole, tuple[SpinOrbitals, SpinOrbitals]]:
    with path.open("rb") as handle, np.load(handle, allow_pickle=False) as stored:
        if int(stored["format"]) != _FORMAT:
            raise ValueError(f"format {int(stored['format'])}, this version reads {_FORMAT}")
        dm, cartesian = stored["dm"], bool(stored["cartesian"])
        numbers, positions = stored["numbers"], stored["positions"] / BOHR_TO_ANGSTROM
        shells = json.loads(str(stored["basis"]))
    mol = _molecule([int(z) for z in numbers], positions, shells, cartesian)
    return mol, spin_orbitals(dm, mol.intor_symmetric("int1e_ovlp"))


def _read_chkfile(path: Path) -> tuple[gto.Mole, tuple[SpinOrbitals, SpinOrbitals]]:
    """PySCF's own reader evaluates Python text from the file; this one reads the data beside it."""
    stored, record = json.loads(chkfile.load(str(path), "mol")), chkfile.load(str(path), "scf")
    symbols, positions = zip(*stored["_atom"], strict=True)
    shells = [stored["_basis"].get(symbol, []) for symbol in symbols]
    numbers = [int(gto.charge(symbol)) for symbol in symbols]
    mol = _molecule(numbers, np.array(positions), shells, bool(stored.get("cart", False)))
    return mol, from_mo(record["mo_coeff"], record["mo_occ"])


def _molecule(
    numbers: list[int], positions: np.ndarray, shells: list[Any], cartesian: bool
) -> gto.Mole:
    """A molecule good for overlap integrals; positions (n_atoms, 3) in Bohr."""
    labels = [f"{ELEMENTS[z] if z else 'GHOST'}{i + 1}" for i, z in enumerate(numbers)]
    return gto.M(
        atom=list(zip(labels, positions.tolist(), strict=True)),
        unit="Bohr",
        basis=dict(zip(labels, shells, strict=True)),
        cart=cartesian,
        spin=sum(numbers) % 2,
        verbose=0,
    )
