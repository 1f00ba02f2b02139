"""The level of theory of a label folder and what its labels hold."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Literal

from genmol.core.errors import InputError
from genmol.qc.options import SpinTreatment

__all__ = ["LabelSettings"]


@dataclass(frozen=True)
class LabelSettings:
    """Level of theory of labels, tighter than that of a single solve, and their content.

    Attributes:
        potential: dft solves Kohn-Sham or Hartree-Fock equations; gfn2 is GFN2-xTB, energies and
            forces only, without the options from xc to max-memory.
        charge: total charge (e); None takes the structure's own, or 0.
        multiplicity: 2S+1; None takes the structure's own, or the lowest possible.
        xc: functional, with -d3bj or -d4 after it for dispersion; hf for Hartree-Fock.
        basis: orbital basis that PySCF knows.
        spin_treatment: auto is restricted for singlets and unrestricted otherwise.
        grid: quadrature level of PySCF, 0 to 9.
        conv_tol: energy threshold (Hartree).
        conv_tol_grad: threshold of the orbital gradient (Hartree).
        forces: compute forces (eV/Å) as well.
        precision: of the stored Fock, density and overlap matrices.
        overlap: store the overlap matrix, which can be recomputed from the label.
        cartesian: Cartesian instead of spherical d and f functions.
        ecp: effective core potential; None takes the one that belongs to the basis.
        max_memory: PySCF's memory limit (MB).
    """

    potential: Literal["dft", "gfn2"] = "dft"
    charge: int | None = None
    multiplicity: int | None = None
    xc: str = "b3lyp"
    basis: str = "def2-svp"
    spin_treatment: SpinTreatment = "auto"
    grid: int = 3
    conv_tol: float = 1e-10
    conv_tol_grad: float = 1e-6
    forces: bool = False
    precision: Literal["float64", "float32"] = "float64"
    overlap: bool = False
    cartesian: bool = False
    ecp: str | None = None
    max_memory: float | None = None

    def __post_init__(self) -> None:
        if not 0 < self.conv_tol_grad <= 1e-2:
            raise InputError(
                got=f"conv_tol_grad = {self.conv_tol_grad}",
                wanted="a positive threshold of at most 1e-2 Hartree",
                remedy="leave --conv-tol-grad out to take the default",
            )
        if self.potential == "gfn2":
            free = {"potential", "charge", "multiplicity"}
            changed = [
                "--" + field.name.replace("_", "-")
                for field in fields(self)
                if field.name not in free and getattr(self, field.name) != field.default
            ]
            if changed:
                raise InputError(
                    got=f"the options {', '.join(changed)} with --potential gfn2",
                    wanted="no options of a density functional: GFN2-xTB has none, and always "
                    "gives forces",
                    remedy="leave them out, or use --potential dft",
                )
