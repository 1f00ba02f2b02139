"""The fixed set: which molecules at which level of theory, and why some stand apart.

Sixty pairs of a molecule and a level cover 3 to 30 atoms, six functionals (GGA, meta-GGA, hybrids,
range-separated), four bases (with polarisation, triple zeta, diffuse), three spins, and neutral and
charged systems. Structures lie in ``data/``; their README says where they come from.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ase import Atoms

__all__ = [
    "DEGENERATE",
    "LADDER",
    "MEMORY",
    "PAIRS",
    "QUICK_LADDER",
    "QUICK_MEMORY",
    "QUICK_PAIRS",
    "Pair",
    "data_hashes",
    "read",
    "structure",
]


@dataclass(frozen=True)
class Pair:
    """A molecule at a level of theory.

    Attributes:
        molecule: ``name`` in ``data/molecules.xyz``, which also holds charge and multiplicity.
        xc: functional.
        basis: orbital basis.
    """

    molecule: str
    xc: str
    basis: str

    @property
    def key(self) -> str:
        """Its name in tables and files."""
        return f"{self.molecule} {self.xc}/{self.basis}"


_TABLE = """
water                        pbe0    def2-tzvp
amide_anion                  b3lyp   def2-svpd
hydrogen_cyanide             r2scan  def2-tzvp
nitrogen_dioxide             b3lyp   def2-svp
nitrogen_dioxide             pbe0    def2-tzvp
methylene_triplet            pbe0    def2-tzvp
azide_anion                  pbe     def2-svpd
hydroperoxyl_radical         wb97x   6-31g*
nitrous_oxide                wb97x   def2-tzvp
sulfur_dioxide               b3lyp   6-31g*
hydronium                    pbe     6-31g*
methyl_radical               b3lyp   def2-tzvp
formaldehyde                 r2scan  def2-svpd
formaldehyde_triplet         b3lyp   6-31g*
formate_anion                pbe0    def2-svpd
methylnitrene_triplet        pbe     def2-svp
formic_acid                  m06-2x  def2-svp
chloromethane                r2scan  6-31g*
vinyl_radical                r2scan  def2-svp
methanol                     pbe     def2-tzvp
ethylene_cation              pbe0    6-31g*
acetonitrile                 wb97x   def2-svp
nitromethane                 b3lyp   def2-svpd
acetate_anion                b3lyp   def2-svpd
allyl_radical                pbe0    def2-svp
ethanol                      b3lyp   def2-svp
ethanol                      b3lyp   def2-tzvp
ethanol                      r2scan  def2-svp
ethanol                      wb97x   6-31g*
ethanol_cation               b3lyp   def2-svp
dimethyl_ether               m06-2x  def2-svp
furan                        pbe     def2-tzvp
thiophene                    pbe0    def2-svp
glycinate_anion              pbe0    def2-svpd
glycine                      b3lyp   6-31g*
acetone                      r2scan  def2-svpd
trimethylenemethane_triplet  b3lyp   def2-svp
butadiene                    wb97x   def2-svp
dimethyl_sulfoxide           pbe     6-31g*
imidazolium                  b3lyp   def2-svp
pyridine                     b3lyp   def2-svp
benzene                      pbe     def2-svp
uracil                       b3lyp   def2-svp
pyridone                     pbe0    def2-svp
phenoxyl_radical             b3lyp   6-31g*
benzoquinone_anion           pbe0    6-31g*
phenol                       m06-2x  6-31g*
cytosine                     r2scan  6-31g*
alanine                      b3lyp   def2-svp
benzyl_radical               pbe     6-31g*
toluene                      m06-2x  6-31g*
adenine                      pbe0    def2-svp
naphthalene                  pbe     def2-svp
cyclohexane                  r2scan  6-31g*
aspirin                      pbe     6-31g*
alanine_dipeptide            b3lyp   def2-svp
phenylalanine                pbe0    6-31g*
caffeine                     b3lyp   6-31g*
octane                       wb97x   6-31g*
tempo_radical                pbe     6-31g*
"""
PAIRS = tuple(Pair(*line.split()) for line in _TABLE.strip().splitlines())

DEGENERATE = {
    Pair("hydroxyl_radical", "b3lyp", "def2-svp"): "two π orbitals share three electrons",
    Pair("methoxy_radical", "pbe", "def2-svp"): "two e orbitals share three electrons",
}
"""Pairs where the energy depends on how the partly filled level lies on the grid, in PySCF as well,
and why. They are listed apart."""


def _some(*keys: str) -> tuple[Pair, ...]:
    known = {pair.key: pair for pair in PAIRS}
    return tuple(known[key] for key in keys)


QUICK_PAIRS = _some(
    "nitrogen_dioxide b3lyp/def2-svp",
    "methylene_triplet pbe0/def2-tzvp",
    "formate_anion pbe0/def2-svpd",
    "formic_acid m06-2x/def2-svp",
    "ethanol b3lyp/def2-svp",
    "ethanol r2scan/def2-svp",
    "ethanol wb97x/6-31g*",
    "glycine b3lyp/6-31g*",
    "benzene pbe/def2-svp",
    "uracil b3lyp/def2-svp",
)
QUICK_LADDER = _some("water pbe0/def2-tzvp", "ethanol b3lyp/def2-svp")
LADDER = QUICK_LADDER + _some(
    "nitrogen_dioxide b3lyp/def2-svp",
    "formate_anion pbe0/def2-svpd",
    "ethanol r2scan/def2-svp",
    "ethanol_cation b3lyp/def2-svp",
)
QUICK_MEMORY = _some("ethanol b3lyp/def2-svp", "benzene pbe/def2-svp")
MEMORY = QUICK_MEMORY + _some("ethanol b3lyp/def2-tzvp", "alanine_dipeptide b3lyp/def2-svp")


@cache
def read(file: str) -> tuple[Atoms, ...]:
    """The structures of ``data/FILE``, Å."""
    from genmol.core.structure import read_structures

    with resources.as_file(_data() / file) as path:
        return tuple(read_structures(path))


def structure(molecule: str) -> Atoms:
    """A copy of the structure that ``molecules.xyz`` calls ``molecule``."""
    found: Atoms = next(a for a in read("molecules.xyz") if a.info["name"] == molecule).copy()
    return found


def data_hashes() -> dict[str, str]:
    """File name -> SHA-256 (first 16 digits) of the structures, for the record."""
    return {
        name: hashlib.sha256((_data() / name).read_bytes()).hexdigest()[:16]
        for name in ("ethanol.xyz", "molecules.xyz", "small.xyz")
    }


def _data() -> resources.abc.Traversable:
    return resources.files("genmol.benchmark") / "data"
