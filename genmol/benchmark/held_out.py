"""The molecules that no shipped model has seen: where the learned guess is tested.

A molecule is held out if the CRC-32 of its SMILES is divisible by ten, as
:mod:`genmol.data.hamiltonian` splits every training set. Frames of ethanol are the exception: they test
the model that was fine-tuned on other frames of it, and are drawn from the published test split.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING

from genmol.benchmark.molecules import read, structure

if TYPE_CHECKING:
    from ase import Atoms

__all__ = [
    "Geometry", "by_key", "ethanol", "held_out_hashes", "larger", "small", "twenty_two", "water",
]  # fmt: skip

_HEAVY = 7
"""Heavy atoms of the largest molecules that the training sets were made of."""


@dataclass(frozen=True, eq=False)
class Geometry:
    """One structure, Å.

    Attributes:
        key: in tables and files.
        smiles: of the molecule.
        atoms: the structure itself.
    """

    key: str
    smiles: str
    atoms: Atoms

    @property
    def heavy(self) -> int:
        """Atoms other than hydrogen."""
        return int((self.atoms.numbers > 1).sum())

    def __len__(self) -> int:
        return len(self.atoms)


@cache
def small() -> tuple[Geometry, ...]:
    """Twenty molecules of at most seven heavy atoms: the minimum and a frame at 500 K of each."""
    return tuple(g for g in _read("held_out.xyz") if g.heavy <= _HEAVY)


@cache
def larger() -> tuple[Geometry, ...]:
    """Six molecules of eight and nine heavy atoms, twice each, and alanine dipeptide."""
    return (*(g for g in _read("held_out.xyz") if g.heavy > _HEAVY), twenty_two())


@cache
def twenty_two() -> Geometry:
    """Alanine dipeptide, 22 atoms."""
    atoms = structure("alanine_dipeptide")
    return Geometry("alanine dipeptide", atoms.info["smiles"], atoms)


@cache
def water() -> Geometry:
    """Three atoms, to warm up with."""
    return Geometry("water", "O", structure("water"))


@cache
def ethanol() -> tuple[Geometry, ...]:
    """Twenty frames of ethanol from the test part of rMD17's first split."""
    return _read("ethanol_rmd17.xyz")


def by_key(key: str) -> Geometry:
    """The geometry of that name."""
    known = {g.key: g for g in (water(), *small(), *larger(), *ethanol())}
    return known[key]


def held_out_hashes() -> dict[str, str]:
    """File name -> SHA-256 (first 16 digits), for the record."""
    folder = resources.files("genmol.benchmark") / "data"
    return {
        name: hashlib.sha256((folder / name).read_bytes()).hexdigest()[:16]
        for name in ("ethanol_rmd17.xyz", "held_out.xyz", "molecules.xyz")
    }


def _read(file: str) -> tuple[Geometry, ...]:
    return tuple(
        Geometry(f"{a.info['smiles']} {a.info['name'].rpartition('_')[2]}", a.info["smiles"], a)
        for a in read(file)
    )
