"""How good one predicted Fock matrix is: elements, orbitals, gradient, and what the guard says.

``|g|`` is taken at the exact level: one exact build of the density that follows from the matrix. Beside
it stand the same figures of the superposed atoms (``minao``) after one cheap diagonalisation, which
cost no network.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

import numpy as np
from ase.data import chemical_symbols
from jaxtyping import Float

from genmol.qc.cheap import CheapLevel
from genmol.qc.exact import ExactLevel, fast_quadrature
from genmol.qc.guard import check_guess
from genmol.qc.orbitals import initial_fock
from genmol.qc.problem import Problem
from genmol.scf.certified import mean_field
from genmol.scf.learned import LearnedModel
from genmol.scf.settings import Settings

if TYPE_CHECKING:
    from genmol.benchmark.held_out import Geometry
    from genmol.benchmark.references import Reference

__all__ = ["accuracy", "block_errors", "fock_errors", "shares_state"]

Matrix = Float[np.ndarray, "n n"]
SAME_STATE = 0.5
"""Smallest squared singular value of the overlap of two occupied spaces that are still one state."""


def accuracy(geometry: Geometry, true: Reference, model: LearnedModel) -> dict[str, Any]:
    """One row: the prediction, the initial guess, and the guard's opinion.

    Args:
        geometry: within the model's domain.
        true: its solution.
        model: asked with and without its filter.
    """
    mf = mean_field(geometry.atoms, Settings())
    problem, cheap = Problem(mf), CheapLevel(mf)
    start = problem.diagonalise(initial_fock(mf, "minao", cheap=cheap))
    initial = initial_fock(mf, model.start, cheap=cheap)
    answer = model.predict(mf, cheap=cheap, initial=initial)
    raw = model.damped(0.0).predict(mf, cheap=cheap, initial=initial)
    level = ExactLevel(problem)
    with fast_quadrature(mf):
        built = level.build(problem.occupy(answer.energies, answer.coefficients))
        began = level.build(start)
    verdicts = {
        name: check_guess(problem, cheap, found.density, reference=start)
        for name, found in (("filtered", answer), ("unfiltered", raw))
    }
    numbers = geometry.atoms.numbers.tolist()
    return {
        "smiles": geometry.smiles,
        "atoms": len(geometry),
        "heavy": geometry.heavy,
        "orbitals": len(true.fock),
        "learned": fock_errors(answer.fock, true),
        "initial": fock_errors(initial, true),
        "wrong": not shares_state(answer.coefficients, true),
        "wrong_unfiltered": not shares_state(raw.coefficients, true),
        "accepted": verdicts["filtered"].accepted,
        "accepted_unfiltered": verdicts["unfiltered"].accepted,
        "guard": verdicts["filtered"].reason,
        "gradient": built.gradient_norm,
        "gradient_minao": began.gradient_norm,
        "energy_error_hartree": built.energy - true.energy,
        "spread": answer.spread,
        "blocks": block_errors(answer.fock - true.fock, numbers, atom_of(mf)),
    }


def fock_errors(fock: Matrix, true: Reference) -> dict[str, float]:
    """Mean absolute errors in Hartree: all elements, occupied-virtual ones, occupied energies."""
    n, c = true.n_occupied, true.coefficients
    error = fock - true.fock
    x = np.linalg.inv(np.linalg.cholesky(true.overlap)).T
    energies = np.linalg.eigvalsh(x.T @ fock @ x)
    return {
        "fock_mae": float(np.abs(error).mean()),
        "ov_mae": float(np.abs(c[:, n:].T @ error @ c[:, :n]).mean()),
        "orbital_mae": float(np.abs(energies - true.energies)[:n].mean()),
    }


def shares_state(coefficients: Matrix, true: Reference) -> bool:
    """Whether every occupied orbital lies mostly in the occupied space of the solution."""
    n = true.n_occupied
    kept = np.linalg.svd(
        true.coefficients[:, :n].T @ true.overlap @ coefficients[:, :n], compute_uv=False
    )
    return bool(kept.min() ** 2 >= SAME_STATE)


def block_errors(
    error: Matrix, numbers: list[int], atoms: Float[np.ndarray, " n"] | np.ndarray
) -> dict[str, tuple[float, int]]:
    """Sum of |error| (Hartree) and number of elements: ``C`` on an atom, ``C-H`` between two.

    Args:
        error: of the matrix.
        numbers: atomic numbers.
        atoms: atom of each orbital.
    """
    sums: dict[str, float] = defaultdict(float)
    counts: dict[str, int] = defaultdict(int)
    for i in range(len(numbers)):
        for j in range(i + 1):
            block = np.abs(error[np.ix_(atoms == i, atoms == j)])
            heavy, light = sorted((numbers[i], numbers[j]), reverse=True)
            kind = chemical_symbols[heavy]
            name = kind if i == j else f"{kind}-{chemical_symbols[light]}"
            sums[name] += float(block.sum())
            counts[name] += block.size
    return {name: (sums[name], counts[name]) for name in sorted(sums)}


def atom_of(mf: Any) -> np.ndarray:
    """The atom of each orbital."""
    slices = mf.mol.aoslice_by_atom()[:, 2:]
    return np.repeat(np.arange(len(slices)), slices[:, 1] - slices[:, 0])
