"""What proves a solution: checks from the last exact build, and two dearer ones on request.

The free checks need nothing that the last exact Fock build has not already given. ``recheck`` throws all
of it away and recomputes energy and gradient of the final density in a fresh PySCF object with PySCF's
own quadrature. ``stability`` asks the orbital Hessian whether the solution is a minimum.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from pyscf.scf import stability as pyscf_stability

from genmol.core.certificate import Check
from genmol.qc.attempts import Solution
from genmol.qc.problem import Problem
from genmol.qc.two_level import Thresholds

__all__ = [
    "Stability",
    "density_checks",
    "recheck",
    "stability",
    "stability_checks",
    "unrestricted_copy",
]


def density_checks(
    problem: Problem, solution: Solution, thresholds: Thresholds, *, single_build: bool = False
) -> list[Check]:
    """Checks on the density of ``solution`` at no extra Fock build.

    A single build is not meant to meet the threshold for convergence; it must be close enough for the
    estimate of its energy error to hold.
    """
    mf, dm = problem.mf, np.asarray(solution.orbitals.dm)
    mol = mf.mol
    total = dm if dm.ndim == 2 else dm.sum(axis=0)
    analytic = float(np.sum(total * problem.overlap))
    checks = [
        Check.at_most(
            "orbital gradient norm (Hartree)",
            solution.gradient_norm,
            0.01 if single_build else thresholds.gradient,
            warn=0.1 if single_build else None,
            advice="use --mode verified"
            if single_build
            else "the equations are not solved to the threshold: raise --max-exact-builds",
        ),
        Check.at_most(
            "estimated energy error (Hartree)",
            abs(solution.energy_error),
            1e-5 if single_build else thresholds.energy,
            warn=1e-3 if single_build else None,
            advice="use --mode verified, or tighten --conv-tol",
        ),
        Check.at_most(
            "electron count error, analytic",
            abs(analytic - mol.nelectron),
            1e-6,
            advice="the overlap matrix is near singular: remove diffuse functions",
        ),
    ]
    if solution.grid_electrons is not None:
        checks.append(
            Check.at_most(
                "electron count error, grid",
                abs(solution.grid_electrons - mol.nelectron),
                2e-4 * max(mol.nelectron, 1) ** 0.5,
                warn=math.inf,
                advice="the grid is coarse for this molecule: use --grid 4 or 5",
            )
        )
    gap = problem.gap(solution.orbitals)
    checks.append(
        Check.at_least(
            "HOMO-LUMO gap (Hartree)",
            gap,
            0.02,
            warn=-math.inf,
            advice="a small gap: other solutions may lie near, use --stability",
        )
    )
    if problem.unrestricted:
        s = 0.5 * mol.spin
        checks.append(
            Check.at_most(
                "spin contamination <S^2> - S(S+1)",
                problem.spin_square(solution.orbitals) - s * (s + 1),
                0.1,
                warn=math.inf,
                advice="the state mixes multiplicities: compare --spin-treatment restricted-open",
            )
        )
    return checks


def recheck(mf: Any, solution: Solution, thresholds: Thresholds) -> list[Check]:
    """Energy and gradient of the final density from a fresh object with PySCF's own code throughout."""
    fresh = mf.copy()
    for grid in ("grids", "nlcgrids"):  # a shallow copy shares them; the fresh object has its own
        if hasattr(mf, grid):
            setattr(fresh, grid, getattr(mf, grid).copy())
    fresh.reset()
    dm = np.asarray(mf.make_rdm1())
    hcore = fresh.get_hcore()
    veff = fresh.get_veff(fresh.mol, dm)
    energy = float(fresh.energy_tot(dm, hcore, veff))
    fock = fresh.get_fock(hcore, fresh.get_ovlp(), veff, dm)
    gradient = float(np.linalg.norm(fresh.get_grad(mf.mo_coeff, mf.mo_occ, fock)))
    advice = "please report this: the solver's quadrature and PySCF's disagree"
    return [
        Check.at_most(
            "recheck: energy difference (Hartree)",
            abs(energy - solution.energy),
            max(1e-9, 1e-12 * abs(energy)),
            advice=advice,
        ),
        Check.at_most(
            "recheck: gradient difference (Hartree)",
            abs(gradient - solution.gradient_norm),
            0.1 * thresholds.gradient,
            advice=advice,
        ),
    ]


@dataclass(frozen=True)
class Stability:
    """Whether a solution is a minimum, and densities that go downhill where it is not.

    Attributes:
        internal: stable against rotations that keep the spin treatment.
        external: restricted solutions only: stable against becoming unrestricted; None otherwise.
        internal_density: density downhill of the same kind, None where stable.
        external_density: density (2, nao, nao) downhill of an unrestricted kind, None where stable.
    """

    internal: bool
    external: bool | None
    internal_density: Any
    external_density: Any


def stability(mf: Any, *, roots: int = 6) -> Stability:
    """Ask the lowest ``roots`` eigenvalues of the orbital Hessian (PySCF's Davidson solver)."""
    if not _rotations(mf):
        return Stability(True, True if mf.istype("RHF") else None, None, None)
    options = {"return_status": True, "nroots": roots, "verbose": 0}
    if mf.istype("UHF"):
        orbitals, stable = pyscf_stability.uhf_internal(mf, **options)
        return _stability(mf, orbitals, stable)
    if mf.istype("ROHF"):
        orbitals, stable = pyscf_stability.rohf_internal(mf, **options)
        return _stability(mf, orbitals, stable)
    orbitals, stable = pyscf_stability.rhf_internal(mf, **options)
    broken, external = pyscf_stability.rhf_external(mf, **options)
    internal = _stability(mf, orbitals, stable)
    density = None
    if not external:
        unrestricted = unrestricted_copy(mf)
        # PySCF rotates one spin; the mode that breaks the symmetry turns the other one back
        turn = mf.mo_coeff.T @ mf.get_ovlp() @ broken[0]
        coeff = np.stack([mf.mo_coeff @ turn, mf.mo_coeff @ turn.T])
        density = unrestricted.make_rdm1(coeff, unrestricted.mo_occ)
    return replace(internal, external=bool(external), external_density=density)


def _rotations(mf: Any) -> int:
    """Number of pairs of orbitals that differ in occupation."""
    spins = np.atleast_2d(mf.mo_occ)
    return sum(int(np.sum(n[:, None] > n[None, :])) for n in spins)


def unrestricted_copy(mf: Any) -> Any:
    """The same restricted solution as an unrestricted PySCF object."""
    return mf.to_uks() if mf.istype("KohnShamDFT") else mf.to_uhf()


def _stability(mf: Any, orbitals: Any, stable: bool) -> Stability:
    density = None if stable else mf.make_rdm1(orbitals, mf.mo_occ)
    return Stability(bool(stable), None, density, None)


def stability_checks(found: Stability) -> list[Check]:
    """The stability of the final solution as checks."""
    checks = [
        Check.holds(
            "internally stable (1 = yes)",
            found.internal,
            advice="a lower solution of the same kind exists: try another --guess or --multiplicity-scan",
        )
    ]
    if found.external is not None:
        checks.append(
            Check.holds(
                "stable against spin symmetry breaking (1 = yes)",
                found.external,
                otherwise="warn",
                advice="a lower unrestricted solution exists: --spin-treatment unrestricted",
            )
        )
    return checks
