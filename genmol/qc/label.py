"""One label: everything about one solved structure, in one npz file that proves its integrity.

========================  =====================================================================
array                     content
========================  =====================================================================
``numbers``               (n_atoms,) atomic numbers
``positions``             (n_atoms, 3), Å
``charge``                total charge, e
``multiplicity``          2S+1
``energy_hartree``        total energy, Hartree
``forces``                (n_atoms, 3), eV/Å; only if asked for
``dipole``                (3,), Debye, in the frame and about the origin of ``positions``
``record``                UTF-8 bytes of a JSON object: level of theory, basis functions, source
                          file and frame, versions, costs, attempts, certificate
``sha256``                SHA-256 over all other arrays: names, types, shapes, contents
========================  =====================================================================

Labels of Hartree-Fock and density functionals have further ones, in PySCF's order of the n atomic
orbitals:

========================  =====================================================================
array                     content
========================  =====================================================================
``fock``                  (n(n+1)/2,) lower triangle row by row, Hartree; (2, n(n+1)/2) for the
                          two spins of an open shell
``density``               likewise; the Fock matrix is that of exactly this density
``overlap``               (n(n+1)/2,), only if asked for: :meth:`Label.overlap` recomputes it
``orbital_coefficients``  (n, n_mo) or, unrestricted, (2, n, n_mo)
``orbital_energies``      (n_mo,) or (2, n_mo), Hartree
``occupations``           (n_mo,) or (2, n_mo)
``shells``                (n_shells, 3): atom, angular momentum, number of contracted functions
``gradient_norm``         PySCF's orbital gradient of the density, Hartree
``exact_fock_builds``     spent on this label
========================  =====================================================================

The orbitals diagonalise the Fock matrix among the occupied and among the virtual ones; the elements
between them are as small as the orbital gradient, not zero.
"""

from __future__ import annotations

import hashlib
import json
import os
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from pyscf import gto

from genmol.core.errors import InputError
from genmol.core.files import atomic_path, check_readable
from genmol.core.jsonable import dumps
from genmol.core.units import BOHR_TO_ANGSTROM, HARTREE_TO_EV

__all__ = [
    "Label",
    "make_label",
    "pack",
    "read_label",
    "structure_digest",
    "unpack",
    "write_label",
]

PathLike = str | os.PathLike[str]


@dataclass(frozen=True)
class Label:
    """A label in memory: the arrays of the table above.

    Attributes:
        arrays: all of them but ``sha256``.
        sha256: their hash.
    """

    arrays: Mapping[str, np.ndarray]
    sha256: str

    @cached_property
    def record(self) -> dict[str, Any]:
        """The JSON object stored in the file."""
        found = json.loads(self.arrays["record"].tobytes())
        assert isinstance(found, dict)
        return found

    @property
    def energy(self) -> float:
        """Total energy, eV."""
        return float(self.arrays["energy_hartree"]) * HARTREE_TO_EV

    @property
    def structure(self) -> str:
        """Hash of the structure alone; see :func:`structure_digest`."""
        a = self.arrays
        return structure_digest(
            a["numbers"], a["positions"], int(a["charge"]), int(a["multiplicity"])
        )

    def fock(self) -> np.ndarray:
        """The Fock matrix (n, n) or (2, n, n), Hartree, float64."""
        self._check_electronic()
        return unpack(self.arrays["fock"])

    def density(self) -> np.ndarray:
        """The density matrix (n, n) or (2, n, n), float64."""
        self._check_electronic()
        return unpack(self.arrays["density"])

    def overlap(self) -> np.ndarray:
        """The overlap matrix (n, n) of the stored basis functions at the stored positions."""
        self._check_electronic()
        symbols = Atoms(self.arrays["numbers"]).get_chemical_symbols()
        bohr = self.arrays["positions"] / BOHR_TO_ANGSTROM
        mol = gto.Mole(
            atom=[(s, tuple(x)) for s, x in zip(symbols, bohr, strict=True)],
            unit="Bohr",
            basis=self.record["basis_functions"],
            spin=None,
            cart=self.record["level"]["cartesian"],
            verbose=0,
        )
        return np.asarray(
            mol.build(dump_input=False, parse_arg=False).intor_symmetric("int1e_ovlp")
        )

    def atoms(self) -> Atoms:
        """The structure (Å) with ``REF_energy`` (eV), ``REF_forces`` (eV/Å) if any, its level."""
        a, level = self.arrays, self.record["level"]
        method = level.get("method") or f"{level['functional']['code']}/{level['basis']}"
        atoms = Atoms(a["numbers"], a["positions"])
        atoms.info |= {
            "charge": int(a["charge"]),
            "multiplicity": int(a["multiplicity"]),
            "REF_energy": self.energy,
            "level_of_theory": method,
            "units": "eV, eV/Angstrom",
            "sha256": self.sha256,
        }
        if "forces" in a:
            atoms.set_array("REF_forces", a["forces"])
        return atoms

    def _check_electronic(self) -> None:
        if "fock" not in self.arrays:
            raise InputError(
                got="a label without electronic structure (its level is a tight-binding one)",
                wanted="a label of Hartree-Fock or a density functional",
                remedy="make it with genmol label --potential dft",
            )


def make_label(atoms: Atoms, arrays: Mapping[str, Any], record: Mapping[str, Any]) -> Label:
    """Join the structure (Å), what was computed for it and the record; seal them by a hash."""
    joined = {
        "numbers": np.asarray(atoms.numbers, dtype=np.int64),
        "positions": np.asarray(atoms.positions, dtype=np.float64),
        **{name: np.asarray(value) for name, value in arrays.items()},
        "record": np.frombuffer(dumps(record).encode(), dtype=np.uint8),
    }
    return Label(joined, _digest(joined))


def pack(matrix: np.ndarray) -> np.ndarray:
    """Lower triangles of symmetric matrices (..., n, n), row by row: (..., n(n+1)/2)."""
    rows, columns = np.tril_indices(matrix.shape[-1])
    return np.asarray(matrix[..., rows, columns])


def unpack(triangle: np.ndarray) -> np.ndarray:
    """Undo :func:`pack`, in float64."""
    n = int((2 * triangle.shape[-1]) ** 0.5)
    rows, columns = np.tril_indices(n)
    matrix = np.empty((*triangle.shape[:-1], n, n))
    matrix[..., rows, columns] = triangle
    matrix[..., columns, rows] = triangle
    return matrix


def structure_digest(
    numbers: np.ndarray, positions: np.ndarray, charge: int, multiplicity: int
) -> str:
    """SHA-256 of atomic numbers, positions (Å, to the last bit), charge and multiplicity."""
    arrays = {
        "numbers": np.asarray(numbers, dtype=np.int64),
        "positions": np.asarray(positions, dtype=np.float64),
        "state": np.array([charge, multiplicity], dtype=np.int64),
    }
    return _digest(arrays)


def _digest(arrays: Mapping[str, np.ndarray]) -> str:
    sha256 = hashlib.sha256()
    for name in sorted(arrays):
        array = arrays[name]
        sha256.update(f"{name} {array.dtype.str} {array.shape}\n".encode())
        sha256.update(array.tobytes())
    return sha256.hexdigest()


def write_label(path: PathLike, label: Label) -> None:
    """Write ``label`` as an npz file, all or nothing."""
    content: dict[str, Any] = {**label.arrays, "sha256": np.array(label.sha256)}
    with atomic_path(path) as temporary:
        np.savez(temporary, **content)


def read_label(path: PathLike) -> Label:
    """Read the label at ``path`` and verify its hash.

    Raises:
        InputError: missing, damaged, or not a label.
    """
    source = check_readable(path)
    try:
        with source.open("rb") as handle, np.load(handle, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        stored = str(arrays.pop("sha256"))
    except (OSError, EOFError, KeyError, ValueError, zipfile.BadZipFile, zlib.error) as error:
        raise _damaged(source, f"which cannot be read as one ({error})") from error
    if stored != (found := _digest(arrays)):
        raise _damaged(source, f"whose content has the hash {found[:12]}..., not {stored[:12]}...")
    return Label(arrays, stored)


def _damaged(source: Path, fault: str) -> InputError:
    return InputError(
        got=f"the label {source}, {fault}",
        wanted="an npz file as genmol label wrote it",
        remedy="delete the file and run genmol label again: it will be computed anew",
    )
