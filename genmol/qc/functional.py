"""Which functional a name means, resolved to libxc components and recorded.

The same name means different functionals in different programs and versions: "B3LYP" with the
VWN3 correlation of Gaussian or the VWN5 of others differs by 0.04 Hartree for a water molecule.
genmol therefore never passes a bare name on; ``b3lyp`` becomes PySCF's ``b3lypg`` (Gaussian's
definition) and every result carries the libxc components, exchange fractions, non-local part
and dispersion correction that were used.
"""

from __future__ import annotations

import difflib
import re
import warnings
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from pyscf import gto
from pyscf.dft import libxc, numint, numint2c
from pyscf.dft.rks import KohnShamDFT
from pyscf.scf.dispersion import DISP_VERSIONS, get_dispersion, parse_dft

from genmol.core.errors import InputError
from genmol.qc.quadrature import Quadrature

__all__ = [
    "HARTREE_FOCK",
    "Functional",
    "functional_of",
    "is_grid_sensitive",
    "redefined",
    "resolve",
]

_MEANING = {"b3lyp": "b3lypg", "lda": "lda,vwn"}
_SUGGESTIONS = [
    "hf",
    "b3lyp",
    "b3lyp5",
    "pbe",
    "pbe0",
    "blyp",
    "bp86",
    "revpbe",
    "tpss",
    "tpssh",
    "r2scan",
    "scan",
    "m06-2x",
    "m06-l",
    "camb3lyp",
    "wb97x",
    "wb97x-v",
    "wb97m-v",
    "b97m-v",
    "hse06",
    "lc_wpbe",
    "svwn",
    "b3lyp-d3bj",
    "b3lyp-d4",
    "pbe-d3bj",
    "pbe0-d4",
]


@dataclass(frozen=True)
class Functional:
    """A resolved exchange-correlation functional.

    Attributes:
        name: as the user wrote it.
        code: as PySCF receives it; ``hf`` for Hartree–Fock.
        kind: ``HF``, ``LDA``, ``GGA`` or ``MGGA``.
        components: libxc identifiers with their factors.
        exact_exchange: fraction of exact exchange, at short range if range-separated.
        range_separation: (ω in 1/Bohr, long-range fraction of exact exchange), or None.
        nonlocal_correlation: VV10 is part of it.
        dispersion: ``d3bj``, ``d4``, ... or None.
    """

    name: str
    code: str
    kind: str
    components: tuple[tuple[str, float], ...]
    exact_exchange: float
    range_separation: tuple[float, float] | None
    nonlocal_correlation: bool
    dispersion: str | None

    def record(self) -> dict[str, Any]:
        """JSON-safe description."""
        return asdict(self)


HARTREE_FOCK = Functional("hf", "hf", "HF", (), 1.0, None, False, None)


def resolve(name: str, *, literal: bool = False) -> Functional:
    """The functional that ``name`` means.

    Args:
        name: functional, with a dispersion correction after it if wanted.
        literal: it is a PySCF code already, and keeps PySCF's meaning.

    Raises:
        InputError: libxc or the dispersion libraries do not know it.
    """
    if name.strip().lower() == "hf":
        return HARTREE_FOCK
    base, dash, correction = name.strip().lower().partition("-d3")
    if not dash:
        base, dash, correction = name.strip().lower().partition("-d4")
    code = (base if literal else _MEANING.get(base, base)) + dash + correction
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # PySCF's note on wb97x-d4
            bare, nlc, dispersion = parse_dft(code)
        _, parts = libxc.parse_xc(bare)
        if not parts:
            raise KeyError(name)
        omega, long_range, hybrid = numint.NumInt().rsh_and_hybrid_coeff(bare)
        kind = libxc.xc_type(bare)
    except (KeyError, ValueError, NotImplementedError, IndexError) as error:
        raise _unknown(name) from error
    if libxc.needs_laplacian(bare):
        raise InputError(
            got=f"the functional {name!r}, which depends on the Laplacian of the density",
            wanted="a functional of density, gradient and kinetic energy density",
            remedy="r2scan, tpss or m06-l, which PySCF can make self-consistent",
        )
    if dispersion is not None and dispersion.split(":")[0] not in DISP_VERSIONS:
        raise InputError(
            got=f"the dispersion correction {dispersion!r} in {name!r}",
            wanted="one of " + ", ".join(DISP_VERSIONS),
            remedy="write it after the functional, for example b3lyp-d3bj or pbe0-d4",
        )
    if dispersion is not None:
        _check_dispersion(name, code)
    return Functional(
        name=name,
        code=code,
        kind=kind,
        components=tuple((_libxc_name(i), float(f)) for i, f in parts),
        exact_exchange=float(hybrid),
        range_separation=(float(omega), float(long_range)) if omega else None,
        nonlocal_correlation=bool(nlc is not False and libxc.is_nlc(bare)),
        dispersion=dispersion,
    )


def functional_of(mf: Any) -> Functional:
    """The functional of a PySCF mean-field object, also where no name says what it is."""
    if not isinstance(mf, KohnShamDFT):
        return HARTREE_FOCK
    if not redefined(mf):
        try:
            return resolve(mf.xc, literal=True)
        except InputError:
            pass
    omega, long_range, hybrid = mf._numint.rsh_and_hybrid_coeff(mf.xc)
    return Functional(
        name=f"{mf.xc} as defined by the mean-field object",
        code=mf.xc,
        kind=mf._numint._xc_type(mf.xc),
        components=(),
        exact_exchange=float(hybrid),
        range_separation=(float(omega), float(long_range)) if omega else None,
        nonlocal_correlation=bool(mf.do_nlc()),
        dispersion=None,
    )


def is_grid_sensitive(code: str) -> bool:
    """Whether a component is of the Minnesota families, SCAN (not r2SCAN), MVS or SOGGA11.

    They oscillate on coarse grids: Wheeler and Houk, J. Chem. Theory Comput. 6, 395 (2010); Furness et
    al., J. Phys. Chem. Lett. 11, 8208 (2020).
    """
    names = (_libxc_name(identifier) for identifier, _ in libxc.parse_xc(parse_dft(code)[0])[1])
    return any(
        re.search(r"_(REV)?(M05|M06|M08|M11|MN12|MN15|SCAN|MVS|SOGGA11)", name) for name in names
    )


def redefined(mf: Any) -> bool:
    """Whether the object evaluates something else than the functional called ``mf.xc``."""
    rule = mf._numint
    by_name = (numint.NumInt, numint2c.NumInt2C, Quadrature)
    return type(rule) not in by_name or "eval_xc" in vars(rule)  # as define_xc_ leaves it


def _check_dispersion(name: str, code: str) -> None:
    """Ask the dispersion libraries for their parameters, on a hydrogen molecule."""
    probe = gto.M(atom="H 0 0 0; H 0 0 0.74", basis="sto-3g", verbose=0).RKS(xc=code)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            get_dispersion(probe)
    except RuntimeError as error:
        raise InputError(
            got=f"{name!r}, for which there is no dispersion correction ({error})",
            wanted="a functional that D3 or D4 has parameters for",
            remedy="leave the correction out, or take b3lyp-d3bj, pbe0-d4 or wb97m-v",
        ) from error


def _unknown(name: str) -> InputError:
    close = difflib.get_close_matches(name.lower(), _SUGGESTIONS, n=3, cutoff=0.5)
    return InputError(
        got=f"the functional {name!r}",
        wanted="'hf' or a functional of libxc, with -d3bj, -d3zero or -d4 after it if wanted",
        remedy=f"perhaps {', '.join(close)}" if close else "b3lyp, pbe0, r2scan or wb97m-v",
    )


def _libxc_name(identifier: int | np.integer) -> str:
    names = [
        key for key, value in libxc.available_libxc_functionals().items() if value == identifier
    ]
    return names[0] if names else f"libxc {int(identifier)}"
