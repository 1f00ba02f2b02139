"""Kohn-Sham and Hartree-Fock energies for samplers, through the two-level solver of :mod:`genmol.qc`.

Every geometry is solved on its own, from the same unlearned guess. Thresholds of 1e-9 Hartree leave
noise of 3e-8 eV in the energies. An energy alone saves the nuclear gradient.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from ase import Atoms
from scipy.spatial.distance import pdist

from genmol.core.errors import DeliveryError
from genmol.core.structure import MINIMUM_DISTANCE
from genmol.core.units import HARTREE_TO_EV
from genmol.potentials.domain import Domain
from genmol.potentials.one_by_one import OneByOne, Structure
from genmol.qc import solver
from genmol.qc.functional import resolve
from genmol.qc.molecule import build_mean_field, build_molecule
from genmol.qc.options import SpinTreatment
from genmol.qc.properties import forces as nuclear_forces

__all__ = ["DFT"]


class DFT(OneByOne):
    """A density functional, or Hartree-Fock, in a basis of Gaussians.

    Atoms closer than 0.3 Å count as a failure, since no basis is good for them.

    Args:
        xc: functional, with -d3bj or -d4 after it for dispersion; hf for Hartree-Fock.
        basis: that PySCF knows.
        grid: quadrature level of PySCF, 0 to 9.
        conv_tol: energy threshold (Hartree).
        solvent: name or dielectric constant of an implicit solvent (IEF-PCM).
        spin_treatment: auto is restricted for singlets and unrestricted otherwise.
        ecp: effective core potential; None takes the one that belongs to the basis.
        max_memory: PySCF's memory limit (MB).

    Raises:
        InputError: an unknown functional. Basis and solvent are checked with the first structure.
    """

    def __init__(
        self,
        *,
        xc: str = "b3lyp",
        basis: str = "def2-svp",
        grid: int = 3,
        conv_tol: float = 1e-9,
        solvent: str | None = None,
        spin_treatment: SpinTreatment = "auto",
        ecp: str | None = None,
        max_memory: float | None = None,
    ) -> None:
        super().__init__()
        self.functional = resolve(xc)
        self.basis, self.grid, self.conv_tol, self.solvent = basis, grid, conv_tol, solvent
        self.spin_treatment, self.ecp, self.max_memory = spin_treatment, ecp, max_memory

    @property
    def name(self) -> str:
        """For people."""
        bare = f"{self.functional.name}/{self.basis}"
        return f"{bare} in {self.solvent} (IEF-PCM)" if self.solvent else bare

    @property
    def level(self) -> dict[str, Any]:
        """Functional, basis, grid, thresholds, solvent."""
        return {
            "method": "DFT",
            "functional": self.functional.record(),
            "basis": self.basis,
            "ecp": self.ecp,
            "grid": self.grid,
            "conv_tol_hartree": self.conv_tol,
            "spin_treatment": self.spin_treatment,
            "solvation": {"model": "IEF-PCM", "solvent": self.solvent} if self.solvent else None,
        }

    @property
    def domain(self) -> Domain:
        """Whatever the basis covers."""
        return Domain(words=f"molecules of elements that {self.basis} covers")

    def single(self, structure: Structure, *, forces: bool) -> tuple[float, np.ndarray | None]:
        """From PySCF's mean-field object, solved by our solver."""
        distances = pdist(structure.positions)
        if len(distances) and distances.min() < MINIMUM_DISTANCE:
            raise _failure(f"atoms {distances.min():.3f} Å apart")
        molecule = build_molecule(
            Atoms(structure.numbers, structure.positions),
            basis=self.basis,
            charge=structure.charge,
            multiplicity=structure.multiplicity,
            ecp=self.ecp,
            max_memory=self.max_memory,
        )
        mf = build_mean_field(
            molecule,
            self.functional,
            spin_treatment=self.spin_treatment,
            grid_level=self.grid,
            conv_tol=self.conv_tol,
            solvent=self.solvent,
        )
        try:
            found = solver.run(mf).solution
        except np.linalg.LinAlgError as error:
            raise _failure(f"a self-consistent field that broke down ({error})") from error
        if found is None:
            raise _failure("a self-consistent field that did not converge")
        return found.energy * HARTREE_TO_EV, nuclear_forces(mf) if forces else None


def _failure(got: str) -> DeliveryError:
    return DeliveryError(
        got=got, wanted="a converged energy", remedy="check geometry, charge and multiplicity"
    )
