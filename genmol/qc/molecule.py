"""PySCF molecules and mean-field objects from structures: where Ångström and charges enter PySCF."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from pyscf import dft, gto, scf
from pyscf.data.elements import ELEMENTS
from pyscf.lib.exceptions import BasisNotFoundError

from genmol.core.errors import InputError
from genmol.core.structure import charge_and_multiplicity, check_structure
from genmol.core.units import BOHR_TO_ANGSTROM
from genmol.qc.functional import Functional
from genmol.qc.options import SpinTreatment

if TYPE_CHECKING:
    from ase import Atoms

__all__ = ["build_mean_field", "build_molecule", "is_mean_field", "is_molecule", "positions"]

_SOLVENTS = {"water": 78.3553, "acetonitrile": 35.688, "methanol": 32.613, "ethanol": 24.852}
_SOLVENTS |= {"dmso": 46.826, "acetone": 20.493, "thf": 7.4257, "toluene": 2.3741}
_SOLVENTS |= {"chloroform": 4.7113, "dichloromethane": 8.93, "hexane": 1.8819, "benzene": 2.2706}


def build_molecule(
    atoms: Atoms,
    *,
    basis: str | dict[str, str],
    charge: int | None = None,
    multiplicity: int | None = None,
    ecp: str | dict[str, str] | None = None,
    ghost_atoms: Sequence[int] = (),
    cartesian: bool = False,
    max_memory: float | None = None,
) -> gto.Mole:
    """A PySCF molecule from a structure.

    Args:
        atoms: structure in Å; ``atoms.info`` may hold ``charge`` and ``multiplicity``.
        basis: name that PySCF knows, or one per element.
        charge: overrides the structure's own; 0 by default.
        multiplicity: 2S+1; the lowest that the electron count allows by default.
        ecp: effective core potential; None takes the one that belongs to a def2 or LANL basis.
        ghost_atoms: indices (from 0) of atoms that keep their basis but lose nucleus and electrons.
        cartesian: Cartesian instead of spherical d and f functions.
        max_memory: PySCF's limit in MB.

    Raises:
        InputError: no such basis, impossible charge and multiplicity, or an unsound structure.
    """
    check_structure(atoms)
    ghosts = _checked_ghosts(ghost_atoms, len(atoms))
    real = atoms[[i for i in range(len(atoms)) if i not in ghosts]]
    charge, multiplicity = charge_and_multiplicity(real, charge=charge, multiplicity=multiplicity)
    symbols = [ELEMENTS[z] for z in atoms.numbers]
    if ecp is None:
        ecp = _ecp_of(basis, symbols)
    mol = gto.Mole(
        atom=[
            (f"ghost-{s}" if i in ghosts else s, tuple(x / BOHR_TO_ANGSTROM))
            for i, (s, x) in enumerate(zip(symbols, atoms.positions, strict=True))
        ],
        unit="Bohr",
        basis=basis,
        ecp=ecp or {},
        charge=charge,
        spin=multiplicity - 1,
        cart=cartesian,
        verbose=0,
    )
    if max_memory is not None:
        mol.max_memory = max_memory
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # "basis-set-exchange may have it"
            if basis:
                return mol.build(dump_input=False, parse_arg=False)
            raise KeyError(basis)
    except (BasisNotFoundError, KeyError) as error:
        raise InputError(
            got=f"the basis {basis!r}, which PySCF does not have for every one of "
            f"{', '.join(sorted(set(symbols)))}",
            wanted="a basis set that covers these elements",
            remedy="def2-svp or def2-tzvp (H to Rn), 6-31g* (H to Zn), cc-pvtz; "
            "the list is in PySCF's manual under 'basis sets'",
        ) from error
    except RuntimeError as error:
        if not ecp or "ECP" not in str(error):
            raise
        raise InputError(
            got=f"the core potential {ecp!r}, which PySCF does not have",
            wanted="an effective core potential for these elements",
            remedy="leave --ecp out to take the one that belongs to the basis, or def2-svp",
        ) from error


def _checked_ghosts(ghost_atoms: Sequence[int], n_atoms: int) -> list[int]:
    ghosts = sorted({int(i) for i in ghost_atoms})
    if ghosts and not (ghosts[0] >= 0 and ghosts[-1] < n_atoms and len(ghosts) < n_atoms):
        raise InputError(
            got=f"ghost atoms {ghosts} in a structure of {n_atoms} atoms",
            wanted=f"indices from 0 to {n_atoms - 1}, leaving at least one real atom",
            remedy="count the atoms from zero, in the order of the file",
        )
    return ghosts


def _ecp_of(basis: str | dict[str, str], symbols: Sequence[str]) -> dict[str, str]:
    """The core potentials that a basis set was made for, for the heavy elements among ``symbols``."""
    potentials = {}
    for symbol in set(symbols):
        name = basis if isinstance(basis, str) else basis.get(symbol, basis.get("default", ""))
        family = name.lower().replace("-", "").replace("_", "")
        if ELEMENTS.index(symbol) > 36 and family.startswith("def2"):
            potentials[symbol] = "def2-svp"
        elif family.startswith("lanl2") and ELEMENTS.index(symbol) > 10:
            potentials[symbol] = name
    return potentials


def build_mean_field(
    mol: gto.Mole,
    functional: Functional,
    *,
    spin_treatment: SpinTreatment = "auto",
    grid_level: int = 3,
    conv_tol: float = 1e-9,
    solvent: str | None = None,
) -> Any:
    """PySCF's own mean-field object for the molecule, not yet converged.

    Args:
        mol: PySCF molecule.
        functional: resolved functional, or Hartree–Fock.
        spin_treatment: ``auto`` is restricted for singlets and unrestricted otherwise.
        grid_level: PySCF's quadrature level, 0 to 9.
        conv_tol: energy threshold (Hartree); the gradient's is its square root.
        solvent: name or dielectric constant for IEF-PCM, None for the gas phase.
    """
    kind = spin_treatment
    if kind == "auto":
        kind = "unrestricted" if mol.spin else "restricted"
    if kind == "restricted" and mol.spin:
        raise InputError(
            got=f"a restricted closed-shell calculation of multiplicity {mol.spin + 1}",
            wanted="multiplicity 1 for closed shells",
            remedy="--spin-treatment unrestricted or restricted-open",
        )
    hartree_fock = functional.kind == "HF"
    module = scf if hartree_fock else dft
    method = {"restricted": "R", "unrestricted": "U", "restricted-open": "RO"}[kind]
    mf = getattr(module, method + ("HF" if hartree_fock else "KS"))(mol)
    if not hartree_fock:
        mf.xc = functional.code
        mf.grids.level = grid_level
    mf.conv_tol = conv_tol
    mf.chkfile = None
    if solvent is not None:
        mf = mf.PCM()
        mf.with_solvent.method = "IEF-PCM"
        mf.with_solvent.eps = _dielectric(solvent)
    return mf


def _dielectric(solvent: str) -> float:
    try:
        eps = _SOLVENTS.get(solvent.lower()) or float(solvent)
    except ValueError:
        eps = 0.0
    if not 1.0 <= eps < math.inf:
        raise InputError(
            got=f"the solvent {solvent!r}",
            wanted="a dielectric constant of at least 1, or one of " + ", ".join(sorted(_SOLVENTS)),
            remedy="--solvent water, or --solvent 78.4",
        )
    return eps


def is_mean_field(value: Any) -> bool:
    """Whether ``value`` is a PySCF mean-field object."""
    return isinstance(value, scf.hf.SCF)


def is_molecule(value: Any) -> bool:
    """Whether ``value`` is a PySCF molecule."""
    return isinstance(value, gto.Mole)


def positions(mol: gto.Mole) -> np.ndarray:
    """Atomic positions (n_atoms, 3), Å."""
    return np.asarray(mol.atom_coords()) * BOHR_TO_ANGSTROM
