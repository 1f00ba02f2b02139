"""What a solve did and found, as plain data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from genmol.core.certificate import Certificate

__all__ = ["Report"]


@dataclass(frozen=True)
class Report:
    """The result of :func:`genmol.scf.solve` beside the mean-field object.

    Attributes:
        energy_hartree: total energy; None when nothing converged.
        converged: whether the thresholds are met (verified, pyscf) or one build was made (single-build).
        solver: ``two-level`` or ``plain`` (PySCF's own iterations).
        solver_reason: why this solver.
        exact_fock_builds: of all attempts together.
        cheap_fock_builds: of all attempts together, the check of a guess included.
        orbital_gradient_norm: PySCF's ``|g|`` of the density (Hartree); None when nothing converged.
        energy_error_estimate_hartree: estimate of the energy above full convergence.
        guess: where the iterations started.
        guess_reason: why: chosen, what was refused and for what reason, or what it was expected to save.
        learned: of the trained model that was asked for a guess: ``model``, ``sha256``, ``in_domain``,
            ``inference_seconds`` (processor seconds of the network) and ``fock_spread`` (Hartree),
            the last two None where it was not run; None if no model was asked.
        seconds: wall time of the whole solve, certificate included, imports and forces not.
        cpu_seconds: processor time of the same.
        certificate: the checks; None when nothing converged.
        attempts: every attempt with its costs.
        settings: the settings, with the functional resolved.
        properties: what was asked for beside the energy (forces in eV/Å, dipole in Debye, ...).
    """

    energy_hartree: float | None
    converged: bool
    solver: str
    solver_reason: str
    exact_fock_builds: int
    cheap_fock_builds: int
    orbital_gradient_norm: float | None
    energy_error_estimate_hartree: float | None
    guess: str
    guess_reason: str
    learned: Mapping[str, Any] | None
    seconds: float
    cpu_seconds: float
    certificate: Certificate | None
    attempts: tuple[Any, ...]
    settings: Mapping[str, Any]
    properties: Mapping[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """JSON-safe dictionary; the certificate with its verdict and checks."""
        flat = {name: getattr(self, name) for name in self.__dataclass_fields__}
        flat["attempts"] = [asdict(attempt) for attempt in self.attempts]
        flat["certificate"] = None if self.certificate is None else self.certificate.to_dict()
        return flat
