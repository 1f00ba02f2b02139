"""What the benchmark compares with: PySCF as it is, from every guess it has, watched or timed.

A run is either *timed* or *watched*. :func:`timed` lets PySCF alone. :func:`watch` counts the Fock
builds and notes ``|g|`` after each, for tables and pictures. Both start from a fresh mean-field
object, and neither changes PySCF's thresholds, accelerator or quadrature.

This module imports nothing but PySCF, so that a process that measures PySCF's memory holds nothing
else.
"""

from __future__ import annotations

import gc
import time
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from pyscf import dft, gto, scf

__all__ = [
    "GUESSES",
    "Iterations",
    "Watched",
    "dumped",
    "fresh",
    "loaded",
    "timed",
    "unsolved",
    "watch",
]

Iterations = Literal["diis", "newton"]

GUESSES = ("1e", "minao", "atom", "huckel", "sap")
"""PySCF's own starting densities; ``minao`` is its default."""


@dataclass(frozen=True)
class Watched:
    """One run of PySCF and what it cost.

    Attributes:
        points: Fock builds so far and ``|g|`` (Hartree), after each cycle.
        exact_fock_builds: calls of ``get_veff``, and for Newton also Hessian products.
        cycles: PySCF's own count.
        energy_hartree: final total energy.
        gradient_norm: ``|g|`` of the final orbitals, evaluated once more after the run (Hartree).
        converged: by PySCF's criteria.
    """

    points: tuple[tuple[int, float], ...]
    exact_fock_builds: int
    cycles: int
    energy_hartree: float
    gradient_norm: float
    converged: bool


def fresh(mol: gto.Mole, xc: str) -> Any:
    """PySCF's object for ``mol`` with PySCF's defaults; only the checkpoint file is left out.

    Args:
        mol: PySCF molecule; restricted for singlets, unrestricted otherwise.
        xc: functional as PySCF names it, ``hf`` for Hartree-Fock.
    """
    mf = scf.HF(mol) if xc == "hf" else dft.KS(mol, xc=xc)
    mf.chkfile = None
    mf.verbose = 0
    return mf


def dumped(mol: gto.Mole) -> str:
    """The molecule as text, for another process."""
    return str(mol.dumps())


def loaded(text: str) -> gto.Mole:
    """The molecule that :func:`dumped` wrote."""
    return gto.loads(text)


def unsolved(mf: Any) -> Any:
    """A copy of ``mf`` that holds neither integrals nor grid nor orbitals."""
    copy = mf.copy().reset()
    copy.mo_energy = copy.mo_coeff = copy.mo_occ = None
    copy.converged = False
    copy.chkfile = None
    return copy


def timed(
    mf: Any,
    *,
    guess: str = "minao",
    density: np.ndarray | None = None,
    iterations: Iterations = "diis",
) -> float:
    """Processor seconds of a whole run, integrals, grid and guess included, without a watcher."""
    gc.collect()
    began = time.process_time()
    mf = unsolved(mf)
    mf.init_guess = guess
    (mf.newton() if iterations == "newton" else mf).kernel(dm0=density)
    return time.process_time() - began


def watch(
    mf: Any,
    *,
    guess: str = "minao",
    density: np.ndarray | None = None,
    iterations: Iterations = "diis",
) -> Watched:
    """Run PySCF on the problem of ``mf`` and count.

    Args:
        mf: PySCF mean-field object; a copy is solved.
        guess: one of :data:`GUESSES`; unused with ``density``.
        density: starting density, (nao, nao) or (2, nao, nao).
        iterations: PySCF's default (DIIS) or its second-order solver.
    """
    from genmol.qc.exact import count_builds

    mf = unsolved(mf)
    mf.init_guess = guess
    solver = mf.newton() if iterations == "newton" else mf
    points: list[tuple[int, float]] = []
    with count_builds(solver) as count:

        def note(environment: dict[str, Any]) -> None:
            if "norm_gorb" in environment:
                points.append((count[0], float(environment["norm_gorb"])))

        solver.callback = note
        solver.kernel(dm0=density)
        builds = count[0]
    fock = mf.get_fock(dm=mf.make_rdm1(solver.mo_coeff, solver.mo_occ))
    gradient = np.linalg.norm(mf.get_grad(solver.mo_coeff, solver.mo_occ, fock))
    return Watched(
        points=tuple(points),
        exact_fock_builds=builds,
        cycles=len(points),
        energy_hartree=float(solver.e_tot),
        gradient_norm=float(gradient),
        converged=bool(solver.converged),
    )
