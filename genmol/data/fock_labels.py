"""Converged Fock matrices from disk: what they are labels of, and at which level of theory.

Two kinds of file are read, told apart by their content:

- one label in an npz file, as ``genmol label`` writes them into its folder (:mod:`genmol.qc.label`);
  each carries its level of theory, its basis functions and its source;
- many labels packed into one npz file: ``n_atoms``, ``n_ao``, ``numbers``, ``positions`` (Å), ``fock``
  (lower triangles row by row, Hartree, PySCF's order), ``part``, ``name``, ``source``, each concatenated
  over the labels. Their level of theory is B3LYP as Gaussian defines it, def2-SVP.
"""

from __future__ import annotations

import hashlib
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from ase.data import chemical_symbols
from ase.formula import Formula

from genmol.core.errors import InputError
from genmol.core.files import check_readable
from genmol.core.jsonable import dumps
from genmol.qc.functional import resolve
from genmol.qc.label import Label, read_label, structure_digest
from genmol.scf.examples import ExpectedLevel

__all__ = ["RawLabel", "basis_hash", "check_level", "read_file"]

_PACKED = {"n_atoms", "n_ao", "numbers", "positions", "fock", "part", "name", "source"}
_PACKED_LEVEL = ("b3lyp", "def2-svp")
_STRUCTURE_FILES = {".xyz", ".extxyz", ".sdf", ".mol"}


@dataclass(frozen=True, eq=False)
class RawLabel:
    """One label as stored.

    Attributes:
        file: where it comes from, for messages.
        name, source: the label's, the molecule's; see :class:`genmol.scf.examples.FockExample`.
        part: ``train``, ``test``, or empty as long as nothing has decided it.
        numbers: (n_atoms,) atomic numbers.
        positions: (n_atoms, 3), Å.
        charge: e.
        fock: (n(n+1)/2,) lower triangle row by row, Hartree.
        n_ao: n.
        xc: the functional's PySCF code.
        level: level of theory.
        structure: hash of the structure; see :func:`genmol.qc.label.structure_digest`.
        basis: hash of the basis functions, or empty.
        shells, orbital_energies, density, overlap: (n_shells, 3), (n,) in Hartree, (n(n+1)/2,) both, as
            far as the file holds them; they serve to check the label.
    """

    file: str
    name: str
    source: str
    part: Literal["train", "test", ""]
    numbers: np.ndarray
    positions: np.ndarray
    charge: int
    fock: np.ndarray
    n_ao: int
    xc: str
    level: ExpectedLevel
    structure: str
    basis: str = ""
    shells: np.ndarray | None = None
    orbital_energies: np.ndarray | None = None
    density: np.ndarray | None = None
    overlap: np.ndarray | None = None

    @property
    def sha256(self) -> str:
        """Hash of structure, Fock matrix and level of theory."""
        sha256 = hashlib.sha256(f"{self.structure} {self.level!r} {self.fock.dtype}".encode())
        sha256.update(np.ascontiguousarray(self.fock).tobytes())
        return sha256.hexdigest()


def check_level(labels: Sequence[RawLabel], level: ExpectedLevel | None = None) -> ExpectedLevel:
    """The level of theory of all labels, which has to be ``level`` if one is given.

    Raises:
        InputError: there are no labels, or one is of another level.
    """
    if not labels:
        raise InputError(
            got="an empty data set",
            wanted="at least one label",
            remedy="check which labels were chosen",
        )
    level = level or labels[0].level
    for label in labels:
        if label.level != level:
            raise InputError(
                got=f"{label.file} of the level of theory {label.level}",
                wanted=f"labels of {level}",
                remedy="leave it out, or train a model of its own on it",
            )
    return level


def basis_hash(functions: Mapping[str, Any]) -> str:
    """SHA-256 over exponents and coefficients of each element; JSON keeps them to the last bit."""
    elements = [f"{symbol} {dumps(functions[symbol])}\n" for symbol in sorted(functions)]
    return hashlib.sha256("".join(elements).encode()).hexdigest()


def read_file(path: Path) -> Iterator[RawLabel]:
    """The labels of one npz file of either kind.

    Raises:
        InputError: missing, damaged, foreign, or of open shells.
    """
    check_readable(path)
    try:
        with path.open("rb") as handle, np.load(handle, allow_pickle=False) as file:
            names = set(file.files)
            packed = {name: file[name] for name in _PACKED} if names >= _PACKED else None
    except (OSError, EOFError, KeyError, ValueError, zipfile.BadZipFile, zlib.error) as error:
        raise _foreign(path, f"which cannot be read as npz ({error})") from error
    if packed is not None:
        yield from _unpacked(path, packed)
    elif {"sha256", "record"} <= names:
        yield _from_label(path, read_label(path))
    else:
        raise _foreign(path, f"which is an npz file of {', '.join(sorted(names)) or 'nothing'}")


def _unpacked(path: Path, arrays: dict[str, np.ndarray]) -> Iterator[RawLabel]:
    n_atoms, n_ao = arrays["n_atoms"].astype(np.int64), arrays["n_ao"].astype(np.int64)
    atoms, triangles = np.cumsum(n_atoms), np.cumsum(n_ao * (n_ao + 1) // 2)
    count = len(n_atoms)
    if (
        any(len(arrays[name]) != count for name in ("n_ao", "part", "name", "source"))
        or len(arrays["numbers"]) != (atoms[-1] if count else 0)
        or arrays["positions"].shape != (len(arrays["numbers"]), 3)
        or len(arrays["fock"]) != (triangles[-1] if count else 0)
        or not set(arrays["part"].tolist()) <= {"train", "test"}
    ):
        raise _foreign(path, "whose arrays do not fit together")
    functional = resolve(_PACKED_LEVEL[0])
    level = ExpectedLevel.from_record(functional.record(), _PACKED_LEVEL[1])
    for i in range(count):
        of_atoms = slice(atoms[i] - n_atoms[i], atoms[i])
        numbers = arrays["numbers"][of_atoms].astype(np.int64)
        positions = arrays["positions"][of_atoms].astype(np.float64)
        n = int(n_ao[i])
        yield RawLabel(
            file=f"{path}, label {i} ({arrays['source'][i]} {arrays['name'][i]})",
            name=f"{path.stem}/{arrays['name'][i]}",
            source=str(arrays["source"][i]),
            part="test" if arrays["part"][i] == "test" else "train",
            numbers=numbers,
            positions=positions,
            charge=0,
            fock=arrays["fock"][triangles[i] - n * (n + 1) // 2 : triangles[i]].copy(),
            n_ao=n,
            xc=functional.code,
            level=level,
            structure=structure_digest(numbers, positions, 0, 1),
        )


def _from_label(path: Path, label: Label) -> RawLabel:
    arrays, record = label.arrays, label.record
    if "fock" not in arrays:
        raise _foreign(
            path, "which is a label without a Fock matrix (its level is a tight-binding one)"
        )
    theory = record["level"]
    if arrays["fock"].ndim != 1 or int(arrays["multiplicity"]) != 1:
        raise InputError(
            got=f"{path}, a label of two spins (multiplicity {int(arrays['multiplicity'])})",
            wanted="restricted closed shells, which have one Fock matrix",
            remedy="leave open shells out, or label with --spin-treatment restricted",
        )
    if theory["cartesian"] or theory["ecp"] is not None:
        raise InputError(
            got=f"{path}, a label in Cartesian functions or with a core potential of its own",
            wanted="spherical functions and the core potential that belongs to the basis",
            remedy="label again without --cartesian and --ecp",
        )
    return RawLabel(
        file=str(path),
        name=path.stem,
        source=_molecule(record["source"]["file"], arrays["numbers"]),
        part="",
        numbers=arrays["numbers"],
        positions=arrays["positions"],
        charge=int(arrays["charge"]),
        fock=arrays["fock"],
        n_ao=int((2 * arrays["fock"].size) ** 0.5),
        xc=theory["functional"]["code"],
        level=ExpectedLevel.from_record(theory["functional"], theory["basis"]),
        structure=label.structure,
        basis=basis_hash(record["basis_functions"]),
        shells=arrays["shells"],
        orbital_energies=arrays["orbital_energies"],
        density=arrays["density"],
        overlap=arrays.get("overlap"),
    )


def _molecule(source: str, numbers: np.ndarray) -> str:
    """The source itself if it is a SMILES; the formula of a structure from a file or from nowhere.

    A formula counts isomers as one molecule, which keeps them in one part.
    """
    if source and Path(source).suffix.lower() not in _STRUCTURE_FILES:
        return source
    return Formula.from_list([chemical_symbols[z] for z in numbers]).format("hill")


def _foreign(path: Path, what: str) -> InputError:
    return InputError(
        got=f"{path}, {what}",
        wanted="labels that genmol label made, or a packed file of Fock matrices",
        remedy="take the file out of the folder, or label the structures again",
    )
