"""Follow an unstable solution downhill until it is a minimum.

An SCF solution is a stationary point; whether it is a minimum only the orbital Hessian tells. Where its
lowest eigenvalue is negative the solver restarts from orbitals rotated along that mode. A restricted
solution that is unstable towards spin symmetry breaking is followed to the unrestricted solution when
the spin treatment was left open (``auto``), and reported otherwise.
"""

from __future__ import annotations

from dataclasses import replace

from genmol.core.certificate import Check
from genmol.qc import certify, solver
from genmol.scf.settings import Settings

__all__ = ["stabilise"]

_RESTARTS = 3
_LOWER = 1e-6  # Hartree; less is the same solution


def stabilise(result: solver.Run, settings: Settings) -> tuple[solver.Run, list[Check]]:
    """The lowest solution found by following instabilities, and the checks of its stability."""
    attempts, cheap_builds = result.attempts, result.cheap_builds
    found = certify.stability(result.problem.mf)
    for _ in range(_RESTARTS):
        mf, density = result.problem.mf, found.internal_density
        if density is None and settings.spin_treatment == "auto":
            density = found.external_density
            if density is not None:
                mf = certify.unrestricted_copy(mf)
        if density is None:
            break
        restarted = solver.run(
            mf.copy(),
            density=density,
            density_name="orbitals rotated along an instability",
            descend=True,
            max_exact_builds=settings.max_exact_builds,
        )
        attempts += restarted.attempts
        cheap_builds += restarted.cheap_builds
        if restarted.solution is None or result.solution is None:
            break
        if restarted.solution.energy > result.solution.energy - _LOWER:
            break
        result, found = restarted, certify.stability(restarted.problem.mf)
    result = replace(result, attempts=attempts, cheap_builds=cheap_builds)
    return result, certify.stability_checks(found)
