r"""Self-consistency on the cheap level, with an offset and a memory.

The cheap level's Fock matrix is :math:`F(D) = h + V_c(D) + O` with a constant offset *O*. Pulay's
direct inversion in the iterative subspace (DIIS, 1980) minimises
:math:`\|\sum_i c_i e_i\|` with :math:`\sum_i c_i = 1` over the commutators
:math:`e_i = F_i D_i S - S D_i F_i` and diagonalises :math:`\sum_i c_i F_i`.

When the outer solver changes the offset, the stored pairs :math:`(D_i, V_c(D_i))` remain exact data
of the new problem: only *O* in :math:`F_i` and hence the commutators change. :class:`History` keeps
them, so each later solve starts with a full subspace and needs two or three builds, not eight.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from genmol.qc.problem import Orbitals, Problem

__all__ = ["History", "Inner", "relax"]


@dataclass
class History:
    """The latest densities and their cheap potentials, valid under any offset."""

    space: int = 8
    pairs: list[tuple[np.ndarray, np.ndarray]] = field(default_factory=list)

    def append(self, dm: np.ndarray, potential: np.ndarray) -> None:
        """Keep a density (with its orbitals) and its cheap potential, the oldest goes first."""
        self.pairs = [*self.pairs, (dm, potential)][-self.space :]


@dataclass(frozen=True)
class Inner:
    """Where a relaxation ended: orbitals not yet evaluated, builds used, last measured |g|."""

    orbitals: Orbitals
    builds: int
    gradient_norm: float
    converged: bool


def relax(
    problem: Problem,
    potential: Callable[[np.ndarray], np.ndarray],
    orbitals: Orbitals,
    offset: np.ndarray | float,
    history: History,
    *,
    tolerance: float,
    max_builds: int = 50,
    damping: float = 0.0,
    level_shift: float = 0.0,
) -> Inner:
    """Iterate until ``|g| < tolerance`` and return the density one DIIS step further.

    Args:
        potential: V_c of a density, one cheap build a call.
        orbitals: start; only their density needs to be meaningful for the first build.
        offset: added to every Fock matrix.
        tolerance: on the orbital gradient of the last evaluated density (Hartree).
        damping: share of the previous Fock matrix mixed in while ``|g| > 0.1``.
        level_shift: raise of the virtual levels (Hartree).
    """
    matrices, errors = [], []
    for dm, v in history.pairs:
        fock = problem.fock(v) + offset
        matrices.append(problem.roothaan(fock, dm))
        errors.append(problem.error(fock, dm))
    last = matrices[-1] if matrices else None
    norm = np.inf
    for build in range(1, max_builds + 1):
        v = potential(orbitals.dm)
        history.append(orbitals.dm, v)
        fock = problem.fock(v) + offset
        norm = problem.gradient_norm(orbitals, fock)
        matrix = problem.roothaan(fock, orbitals.dm)
        matrices = [*matrices, matrix][-history.space :]
        errors = [*errors, problem.error(fock, orbitals.dm)][-history.space :]
        if damping and norm > 0.1 and last is not None:
            step = (1 - damping) * matrix + damping * last
        else:
            step = _extrapolate(matrices, errors)
        last = step
        done = norm < tolerance
        orbitals = problem.diagonalise(
            step, level_shift=0.0 if done else level_shift, dm=orbitals.dm
        )
        if done:
            return Inner(orbitals, build, norm, True)
    return Inner(orbitals, max_builds, norm, False)


def _extrapolate(matrices: list[np.ndarray], errors: list[np.ndarray]) -> np.ndarray:
    """Pulay's combination of the stored matrices.

    With :math:`y_i = c_i |e_i| / |e|_{min}` the equations are scaled to order one, whatever the span
    of the errors: a pseudo-inverse of the unscaled ones would drop the constraint beside it.
    """
    e = np.array(errors)
    norms = np.linalg.norm(e, axis=1)
    best = int(np.argmin(norms))
    if norms[best] < 1e-14:
        return matrices[best]
    weight, unit, n = norms[best] / norms, e / norms[:, None], len(e)
    system = np.zeros((n + 1, n + 1))
    system[:n, :n] = unit @ unit.T
    system[n, :n] = system[:n, n] = weight
    value, vector = np.linalg.eigh(system)
    keep = np.abs(value) > 1e-14 * np.abs(value).max()
    y = vector[:n, keep] @ (vector[n, keep] / value[keep])
    return np.einsum("i,i...->...", y * weight, np.array(matrices))
