r"""Basins of an ensemble: combinations of the states of its torsions.

Automorphisms of the molecule make equivalent rotamers. The angles of all permuted copies of each frame
are given; the states of a torsion (:mod:`genmol.boltzmann.torsion_states`) are those of the density of
all copies, and a frame belongs to the lowest one, in the order of states, of the combinations of its
copies. It is done with states rather than angles, as an order of angles would cut wells in two where two
equivalent ones are nearly equal. Mirror images are different basins.

Populations p are sums of weights; free energies are :math:`-kT \ln(p/p_\text{max})`. The representative
is the member of lowest energy.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from genmol.boltzmann.torsion_states import Array, TorsionStates, checked_weights, find_states
from genmol.core.errors import InputError
from genmol.core.units import EV_TO_KCAL_MOL, KB

__all__ = ["Basins", "find_basins"]


@dataclass(frozen=True, eq=False)
class Basins:
    """The basins of an ensemble, the most populated one first.

    Attributes:
        states: of each torsion.
        codes: (b,) number of each basin's combination of states, the same for equivalent rotamers.
        labels: (m,) basin of each frame.
        populations: (b,), of sum 1.
        free_energies: (b,), kcal/mol, the most populated basin at 0; infinite without weight.
        representatives: (b,) frame of lowest energy.
        names: centres of the states in degrees, such as ``"+180 -65"``; ``"all"`` without torsions.
    """

    states: tuple[TorsionStates, ...]
    codes: NDArray[np.int64]
    labels: NDArray[np.int64]
    populations: NDArray[np.float64]
    free_energies: NDArray[np.float64]
    representatives: NDArray[np.int64]
    names: tuple[str, ...]

    @property
    def count(self) -> int:
        """How many basins."""
        return len(self.codes)

    def code(self, angles: Array) -> NDArray[np.int64]:
        """Combination of states of any frames, in a basin that was sampled or not.

        Args:
            angles: (m, t), or (p, m, t) of all equivalent copies, rad.
        """
        return _codes(self.states, _copies(angles)).min(axis=0)

    def copies(self, angles: Array) -> NDArray[np.int64]:
        """How many different combinations a frame's equivalent copies have: wells of its basin."""
        codes = np.sort(_codes(self.states, _copies(angles)), axis=0)
        return 1 + (np.diff(codes, axis=0) != 0).sum(axis=0)

    def label(self, angles: Array) -> NDArray[np.int64]:
        """Basin of any frames; −1 for a combination that was not sampled.

        Args:
            angles: (m, t), or (p, m, t) of all equivalent copies, rad.
        """
        order = np.argsort(self.codes)
        code = self.code(angles)
        found = order[np.searchsorted(self.codes, code, sorter=order).clip(max=self.count - 1)]
        return np.where(self.codes[found] == code, found, -1)

    def name(self, code: int) -> str:
        """Of a combination, sampled or not."""
        return _name(self.states, code)


def find_basins(
    angles: Array,
    energies: Array,
    temperature: float,
    *,
    folds: Sequence[int] = (),
    weights: Array | None = None,
    searched: Array | None = None,
    least: float = 1e-3,
) -> Basins:
    """Basins of weighted frames, most populated first.

    Args:
        angles: torsions of each frame, (m, t), rad; or of all equivalent copies, (p, m, t), whose
            first is the frame itself: the torsions of ``positions[:, permutation]``.
        energies: (m,), eV.
        temperature: K.
        folds: of the torsions; 1 each when empty.
        weights: (m,), of any sum; equal when None.
        searched: angles of the minima of an independent search, (s, t) or (p, s, t), rad.
        least: smallest share of a state of one torsion.

    Raises:
        InputError: arrays that do not fit.
    """
    copies, u = _copies(angles), np.asarray(energies, dtype=np.float64)
    p, m, t = copies.shape
    w = checked_weights(weights, m)
    others = None if searched is None else _copies(searched)
    period = tuple(folds) or (1,) * t
    if u.shape != (m,) or len(period) != t or (others is not None and others.shape[2] != t):
        raise InputError(
            got=f"{m} frames of {t} torsions, energies {u.shape} and {len(period)} folds",
            wanted="an energy for each frame, a fold for each torsion, the same torsions everywhere",
            remedy="take all of them from one list of torsions",
        )
    states = tuple(
        find_states(
            copies[:, :, k].ravel(),
            fold=period[k],
            weights=np.tile(w, p),
            searched=None if others is None else others[:, :, k].ravel(),
            least=least,
        )
        for k in range(t)
    )
    codes, inverse = np.unique(_codes(states, copies).min(axis=0), return_inverse=True)
    populations = np.asarray(np.bincount(inverse, weights=w), dtype=np.float64)
    order = np.argsort(-populations, kind="stable")
    rank = np.empty(len(order), dtype=np.int64)
    rank[order] = np.arange(len(order))
    labels, populations, codes = rank[inverse], populations[order], codes[order]
    by_energy = np.lexsort((u, labels))
    first = np.searchsorted(labels[by_energy], np.arange(len(codes)))
    with np.errstate(divide="ignore"):
        free = KB * temperature * EV_TO_KCAL_MOL * -np.log(populations / populations[0])
    free = np.abs(free)  # no −0
    names = tuple(_name(states, int(code)) for code in codes)
    return Basins(states, codes, labels, populations, free, by_energy[first], names)


def _copies(angles: Array) -> NDArray[np.float64]:
    """(copies, frames, torsions)."""
    found = np.asarray(angles, dtype=np.float64)
    if found.ndim == 2:
        found = found[None]
    if found.ndim != 3 or not found.shape[0] or not found.shape[1] or not np.isfinite(found).all():
        raise InputError(
            got=f"angles of shape {found.shape}, {int((~np.isfinite(found)).sum())} not finite",
            wanted="finite ones in radians, (frames, torsions) or (copies, frames, torsions)",
            remedy="leave out frames whose torsions are not defined",
        )
    return found


def _codes(states: tuple[TorsionStates, ...], copies: NDArray[np.float64]) -> NDArray[np.int64]:
    """Numbers with one digit for each torsion, (copies, frames)."""
    code = np.zeros(copies.shape[:2], dtype=np.int64)
    for k, torsion in enumerate(states):
        code = code * torsion.count + torsion.assign(copies[:, :, k])
    return code


def _name(states: tuple[TorsionStates, ...], code: int) -> str:
    parts: list[str] = []
    for torsion in reversed(states):
        code, state = divmod(code, torsion.count)
        parts.append(f"{round(math.degrees(torsion.centres[state])):+d}")
    return " ".join(reversed(parts)) or "all"
