"""Potentials by the names that people type.

=======================  =====================================================================
name                     potential
=======================  =====================================================================
mmff94, mmff94s          Merck's force field, of one molecule with known bonds
gfn2                     GFN2-xTB, with a solvent in ALPB
pbe/def2-svp, ...        a density functional in a basis, with a solvent in IEF-PCM
ase:MODULE:CLASS         an ASE calculator, made with the options given
=======================  =====================================================================
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from genmol.chem.species import Species
from genmol.core.errors import InputError
from genmol.potentials.contract import Potential

__all__ = ["Make", "cheaper", "named"]

Make = Callable[[], Potential]
"""Makes a potential, here or in another process: it can be pickled."""

_NAMES = "mmff94, mmff94s, gfn2, FUNCTIONAL/BASIS such as pbe/def2-svp, or ase:MODULE:CLASS"


def named(
    name: str,
    species: Species,
    *,
    solvent: str | None = None,
    options: Mapping[str, Any] | None = None,
) -> Make:
    """What makes the potential of a name for a molecule; it has been made once to see that it can.

    Args:
        name: from the table above; case does not matter but for ASE.
        species: the molecule.
        solvent: implicit, of GFN2 and density functionals.
        options: further arguments of the potential, or of ASE's calculator.

    Raises:
        InputError: an unknown name, options or solvent, or a molecule outside the potential's domain.
    """
    more = dict(options or {})
    make = _make(name, species, solvent, more)
    try:
        make()
    except TypeError as error:
        raise InputError(
            got=f"the options {more} for {name} ({error})",
            wanted="arguments that it has",
            remedy="see the documentation of its class",
        ) from error
    return make


def cheaper(name: str, species: Species, *, solvent: str | None = None) -> list[Make]:
    """Potentials of the same molecule that cost much less, the nearest relative first.

    Args:
        name: of the dear one.
        species: the molecule.
        solvent: passed on to those that know it.
    """
    found = []
    lower = name.lower()
    for candidate in ("gfn2", "mmff94"):
        if lower.startswith("mmff") or candidate == lower:
            continue
        try:
            known = candidate == "gfn2" and solvent is not None
            found.append(named(candidate, species, solvent=solvent if known else None))
        except InputError:
            continue  # no parameters, a radical, or a solvent that it does not have
    return found


def _make(name: str, species: Species, solvent: str | None, more: dict[str, Any]) -> Make:
    lower = name.lower()
    if lower in ("mmff94", "mmff94s"):
        if solvent is not None:
            raise InputError(
                got=f"the solvent {solvent} for {name}",
                wanted="none: the force field is for the gas phase",
                remedy="take --potential gfn2, which has ALPB solvents",
            )
        from genmol.potentials.mmff import MMFF

        return partial(
            MMFF, species.mol, variant="MMFF94s" if lower.endswith("s") else "MMFF94", **more
        )
    if lower == "gfn2":
        from genmol.potentials.gfn2 import Gfn2

        return partial(Gfn2, solvent=solvent, **more)
    if lower.startswith("ase:"):
        return _ase(name, species, solvent, more)
    if "/" in lower:
        from genmol.potentials.dft import DFT

        xc, _, basis = lower.partition("/")
        return partial(DFT, xc=xc, basis=basis, solvent=solvent, **more)
    raise InputError(
        got=f"the potential {name!r}", wanted=f"one of {_NAMES}", remedy="gfn2 is the default"
    )


def _ase(name: str, species: Species, solvent: str | None, more: dict[str, Any]) -> Make:
    _, module, kind = (*name.split(":"), "", "")[:3]
    if solvent is not None:
        raise InputError(
            got=f"the solvent {solvent} for {name}",
            wanted="it among the calculator's own options",
            remedy="--options '{\"solvent\": ...}', as the calculator calls it",
        )
    try:
        calculator = getattr(importlib.import_module(module), kind)
    except (ImportError, AttributeError, ValueError) as error:
        raise InputError(
            got=f"the potential {name!r} ({error})",
            wanted="ase:MODULE:CLASS, such as ase:tblite.ase:TBLite",
            remedy="install the calculator's package, or check the spelling",
        ) from error
    if not inspect.isclass(calculator):
        raise InputError(
            got=f"{kind} in {module}, which is no class",
            wanted="a calculator",
            remedy="check the name",
        )
    return partial(_calculator, calculator, more, species.charge, species.multiplicity)


def _calculator(kind: type, options: dict[str, Any], charge: int, multiplicity: int) -> Potential:
    from genmol.potentials.ase_calculator import AseCalculator

    level = {"method": f"{kind.__module__}.{kind.__qualname__}", "options": options}
    return AseCalculator(kind(**options), charge=charge, multiplicity=multiplicity, level=level)
