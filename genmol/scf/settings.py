"""What to compute and how: one frozen dataclass, the same for Python, the command line and the record."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from genmol.core.errors import InputError
from genmol.qc.options import GuessChoice, SpinTreatment

__all__ = ["Mode", "Settings"]

Mode = Literal["verified", "single-build", "pyscf", "predict"]


@dataclass(frozen=True)
class Settings:
    """Level of theory, accuracy and checks of one solve.

    Attributes:
        xc: functional, with -d3bj or -d4 after it for dispersion; hf for Hartree-Fock.
        basis: orbital basis that PySCF knows.
        charge: total charge (e); None takes the structure's own, or 0.
        multiplicity: 2S+1; None takes the structure's own, or the lowest possible.
        spin_treatment: auto is restricted for singlets and unrestricted otherwise.
        grid: quadrature level of PySCF, 0 to 9.
        conv_tol: energy threshold (Hartree); the gradient threshold is its square root.
        solvent: name or dielectric constant of an implicit solvent (IEF-PCM).
        mode: verified solves to the thresholds; single-build stops after one exact Fock build with an
            error estimate; pyscf runs PySCF's own iterations from our guess; predict asks the trained
            model for orbitals and properties and solves nothing.
        guess: starting density: auto takes the learned guess where it is expected to save time, else
            cheap-scf; or learned, cheap-scf, 1e, minao, atom, huckel, sap.
        model: trained model of the Fock matrix for the learned guess and for predict: a shipped name, a
            folder or a file; by default the shipped one that suits the purpose.
        guess_file: PySCF checkpoint or genmol density to start from; checked before use.
        max_exact_builds: exact Fock builds per attempt.
        recheck: recompute energy and gradient of the result in a fresh PySCF object.
        forces: compute forces (eV/Å) as well.
        stability: test whether the solution is a minimum, and restart it if not.
        cartesian: Cartesian instead of spherical d and f functions.
        ecp: effective core potential; None takes the one that belongs to the basis.
        ghost_atoms: indices (from 0) of atoms that keep only their basis functions.
        max_memory: PySCF's memory limit (MB).
    """

    xc: str = "b3lyp"
    basis: str = "def2-svp"
    charge: int | None = None
    multiplicity: int | None = None
    spin_treatment: SpinTreatment = "auto"
    grid: int = 3
    conv_tol: float = 1e-9
    solvent: str | None = None
    mode: Mode = "verified"
    guess: GuessChoice = "auto"
    model: str | None = None
    guess_file: Path | None = None
    max_exact_builds: int = 8
    recheck: bool = False
    forces: bool = False
    stability: bool = False
    cartesian: bool = False
    ecp: str | None = None
    ghost_atoms: tuple[int, ...] = ()
    max_memory: float | None = None

    def __post_init__(self) -> None:
        limits = {
            "grid": (0 <= self.grid <= 9, "a quadrature level from 0 to 9"),
            "conv_tol": (0 < self.conv_tol <= 1e-3, "a positive threshold of at most 1e-3 Hartree"),
            "max_exact_builds": (self.max_exact_builds >= 1, "at least 1"),
            "max_memory": (
                self.max_memory is None or self.max_memory > 0,
                "a positive number of MB",
            ),
        }
        for name, (sound, wanted) in limits.items():
            if not sound:
                raise InputError(
                    got=f"{name} = {getattr(self, name)}",
                    wanted=wanted,
                    remedy=f"leave --{name.replace('_', '-')} out to take the default",
                )
