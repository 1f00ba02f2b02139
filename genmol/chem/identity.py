r"""Is every frame still the molecule it should be? Bonds by distances, stereo by volumes and dihedrals.

With the distance in units of the sum of covalent radii, :math:`\rho_{ij} = r_{ij} / (R_i + R_j)`,

- a bond of the species is broken where ρ > 1.4 (C–C 2.1 Å, O–H 1.36 Å);
- a pair that is not bonded has formed a bond where ρ < 1.1 (two heavy atoms), 1.2 (one hydrogen) or
  1.5 (two);
- a hydrogen with one bond has moved over where another heavy atom has a smaller ρ than its own;
- a specified centre or double bond has changed its form where the number that tells
  (:mod:`genmol.chem.stereo`) has the other sign.

The bounds leave room for what vibrates: a C–H or C–C bond has a standard deviation of 0.05 Å at 1000 K,
and the two bridgeheads of bicyclo[1.1.1]pentane are 1.87 Å apart, ρ = 1.23, without a bond. Radii:
Cordero et al., Dalton Trans. 2832 (2008).
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from ase.data import chemical_symbols, covalent_radii
from jaxtyping import Bool, Float

from genmol.chem.species import Species
from genmol.chem.stereo import StereoUnit, forms, specified_units

__all__ = ["differences", "same_molecule"]

_BROKEN = 1.4
_FORMED = (1.1, 1.2, 1.5)  # by the number of hydrogens in the pair
_CHUNK = 2_000_000  # distances at a time


def same_molecule(
    species: Species, positions: Float[np.ndarray, "k n_atoms 3"]
) -> Bool[np.ndarray, " k"]:
    """Whether bonds, chirality and E/Z of each frame (Å) are those of the species."""
    return np.array([not found for found in differences(species, positions)], dtype=bool)


def differences(
    species: Species, positions: Float[np.ndarray, "k n_atoms 3"]
) -> tuple[tuple[str, ...], ...]:
    """What is wrong with each frame (Å), in words; nothing for the same molecule.

    Atoms are named by element and index from 0, such as O5.
    """
    positions = np.asarray(positions, dtype=np.float64)
    found: list[list[str]] = [[] for _ in positions]
    lost = ~np.isfinite(positions).all(axis=(1, 2))
    for frame in np.flatnonzero(lost):
        found[frame].append("coordinates that are not finite")
    where = np.flatnonzero(~lost)
    size = max(1, _CHUNK // species.n_atoms**2)
    for chunk in np.split(where, range(size, len(where), size)):
        for index, words in _bond_faults(species, positions[chunk]):
            found[chunk[index]].append(words)
    units = specified_units(species.mol)
    numbers = forms(units, positions[where])
    for row, column in np.argwhere(numbers * [unit.sign for unit in units] <= 0):
        found[where[row]].append(_other_form(species, units[column]))
    return tuple(tuple(words) for words in found)


def _bond_faults(species: Species, x: np.ndarray) -> Iterator[tuple[int, str]]:
    """Index of the frame and fault."""
    i, j = np.triu_indices(species.n_atoms, k=1)
    radii = covalent_radii[species.numbers]
    rho = np.linalg.norm(x[:, i] - x[:, j], axis=2) / (radii[i] + radii[j])
    bonds = set(species.bonds)
    bonded = np.array([pair in bonds for pair in zip(i.tolist(), j.tolist(), strict=True)])
    hydrogen = species.numbers == 1
    formed = np.array(_FORMED)[hydrogen[i].astype(int) + hydrogen[j]]
    for frame, pair in np.argwhere(bonded & (rho > _BROKEN)):
        yield int(frame), f"{_pair(species, int(i[pair]), int(j[pair]))} is broken"
    new = ~bonded & (rho < formed)
    for frame, pair in np.argwhere(new):
        yield int(frame), f"{_pair(species, int(i[pair]), int(j[pair]))} has formed"
    # who else is a closer partner of a hydrogen than its own?
    own = {h: others[0] for h, others in enumerate(species.neighbours) if len(others) == 1}
    column = {pair: k for k, pair in enumerate(zip(i.tolist(), j.tolist(), strict=True))}
    for h in np.flatnonzero(hydrogen).tolist():
        if h not in own:
            continue
        others = [a for a in np.flatnonzero(~hydrogen).tolist() if a != own[h]]
        if not others:
            continue
        away = rho[:, [column[min(h, a), max(h, a)] for a in others]]
        mine = rho[:, column[min(h, own[h]), max(h, own[h])]]
        for frame in np.flatnonzero(away.min(axis=1) < mine):
            to = others[int(away[frame].argmin())]
            if not new[frame, column[min(h, to), max(h, to)]]:
                yield (
                    int(frame),
                    f"H{h} has moved from {_atom(species, own[h])} to {_atom(species, to)}",
                )


def _other_form(species: Species, unit: StereoUnit) -> str:
    if unit.kind == "centre":
        return f"centre {_atom(species, unit.at[0])} is inverted"
    u, v = unit.at
    form = "cis" if unit.sign < 0 else "trans"
    return f"double bond {_pair(species, u, v, '=')} has become {form}"


def _atom(species: Species, index: int) -> str:
    return f"{chemical_symbols[species.numbers[index]]}{index}"


def _pair(species: Species, i: int, j: int, bond: str = "–") -> str:
    return f"{_atom(species, i)}{bond}{_atom(species, j)}"
