"""Molecules in and out. The exchange object is ``ase.Atoms``, in Å.

Conventions on top of ASE's:

- ``atoms.info["charge"]`` is the total charge in e (absent: 0) and ``atoms.info["multiplicity"]``
  is 2S+1 (absent: the lowest one that the electron count allows).
- Reference labels are ``atoms.info["REF_energy"]`` in eV and ``atoms.arrays["REF_forces"]`` in
  eV/Å. Files with the plain keys ``energy`` and ``forces`` are read too and come out under the
  ``REF_`` names.

Everything read here has passed :func:`check_structure`: what comes later may trust it. Charge and
multiplicity may still be overruled by the user; :func:`charge_and_multiplicity` settles and checks
them.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from ase.data import chemical_symbols

from genmol.core.errors import InputError
from genmol.core.files import atomic_path, check_readable
from genmol.core.xyz import find_fault

__all__ = [
    "MINIMUM_DISTANCE",
    "charge_and_multiplicity",
    "check_electrons",
    "check_structure",
    "iread_structures",
    "read_structures",
    "write_extxyz",
]

MINIMUM_DISTANCE = 0.3
"""Å. Less than half of the shortest bond there is (H2, 0.74 Å); a doubled atom or a wrong unit."""

PathLike = str | os.PathLike[str]


def read_structures(path: PathLike) -> list[Atoms]:
    """Return every frame of an xyz or extxyz file, checked.

    Raises:
        InputError: the file is missing, empty or malformed, or a frame fails
            :func:`check_structure`.
    """
    return list(iread_structures(path))


def iread_structures(path: PathLike) -> Iterator[Atoms]:
    """Yield the frames of an xyz or extxyz file one by one, checked; for long trajectories.

    Raises:
        InputError: as :func:`read_structures`, when the frame is reached; file errors at the first.
    """
    source = check_readable(path)
    if fault := find_fault(source, frames=1):
        raise _malformed(source, fault)

    import ase.io  # seldom needed by who only handles Atoms, and half a second with its scipy

    count = 0
    frames = iter(ase.io.iread(source, index=":", format="extxyz"))
    while True:
        try:
            atoms = next(frames, None)
        except Exception as error:  # ASE's reader raises whatever its parsing meets
            fault = find_fault(source) or f"which ASE cannot read ({type(error).__name__}: {error})"
            raise _malformed(source, fault) from error
        if atoms is None:
            break
        check_structure(atoms, where=f"frame {count} of {source}")
        _rename_labels(atoms)
        yield atoms
        count += 1
    if count == 0:
        raise InputError(
            got=f"the empty file {source}",
            wanted="at least one structure",
            remedy="check that the program which wrote it had finished",
        )


def _malformed(source: Path, fault: str) -> InputError:
    return InputError(
        got=f"{source}, {fault}",
        wanted="an xyz or extxyz file: atom count, comment, then one line 'symbol x y z' an atom",
        remedy="correct the file at that place, or convert it again with ASE or Open Babel",
    )


def check_structure(atoms: Atoms, *, where: str = "the structure") -> None:
    """Raise if ``atoms`` is not a molecule that a calculation could start from.

    Args:
        atoms: positions in Å.
        where: how the message calls it, e.g. ``"frame 3 of run.xyz"``.

    Raises:
        InputError: no atoms, periodic, coordinates that are not finite, unknown elements, or two
            atoms closer than :data:`MINIMUM_DISTANCE`.
    """
    if len(atoms) == 0:
        raise InputError(
            got=f"{where} without atoms", wanted="at least one atom", remedy="check how it was made"
        )
    if atoms.pbc.any():
        flags = " ".join("T" if axis else "F" for axis in atoms.pbc)
        raise InputError(
            got=f'{where}, which is periodic (pbc="{flags}")',
            wanted="a molecule: genmol treats no periodic systems",
            remedy='cut out a cluster, or write pbc="F F F" if the cell is only a box',
        )
    finite = np.isfinite(atoms.positions).all(axis=1)
    if not finite.all():
        index = int(np.flatnonzero(~finite)[0])
        position = atoms.positions[index].tolist()
        raise InputError(
            got=f"{where}, whose atom {index} has the coordinates {position}",
            wanted="finite coordinates in Å",
            remedy="drop the frame; the run that wrote it had blown up or was cut off",
        )
    numbers = atoms.numbers
    if not ((numbers > 0) & (numbers < len(chemical_symbols))).all():
        index = int(np.flatnonzero((numbers <= 0) | (numbers >= len(chemical_symbols)))[0])
        raise InputError(
            got=f"{where}, whose atom {index} has the atomic number {numbers[index]}",
            wanted="atoms of the periodic table",
            remedy="replace dummy atoms (X) by elements or remove them",
        )
    _check_distances(atoms, where)


def _check_distances(atoms: Atoms, where: str) -> None:
    from scipy.spatial import cKDTree

    pairs = cKDTree(atoms.positions).query_pairs(MINIMUM_DISTANCE)
    if pairs:
        i, j = min(pairs)
        distance = float(np.linalg.norm(atoms.positions[i] - atoms.positions[j]))
        raise InputError(
            got=f"{where}, where atoms {i} ({atoms.symbols[i]}) and {j} ({atoms.symbols[j]}) are "
            f"{distance:.3f} Å apart",
            wanted=f"at least {MINIMUM_DISTANCE} Å between atoms",
            remedy="check the unit (coordinates in Å, not Bohr or nm) and remove doubled atoms",
        )


def charge_and_multiplicity(
    atoms: Atoms, *, charge: int | None = None, multiplicity: int | None = None
) -> tuple[int, int]:
    """Return the total charge (e) and 2S+1: from the arguments, else ``atoms.info``, else default.

    The defaults are charge 0 and the lowest multiplicity that the number of electrons allows.

    Raises:
        InputError: a value is not an integer, or the electrons do not allow the multiplicity.
    """
    if charge is None:
        charge = _integer(atoms.info.get("charge", 0), "charge")
    if multiplicity is None and "multiplicity" in atoms.info:
        multiplicity = _integer(atoms.info["multiplicity"], "multiplicity")
    if multiplicity is None:
        multiplicity = 1 + (int(atoms.numbers.sum()) - charge) % 2
    check_electrons(atoms.numbers.tolist(), charge, multiplicity)
    return charge, multiplicity


def _integer(value: Any, name: str) -> int:
    # Some programs write charge=1.0; a bare word 'charge' in the comment line reads as True.
    is_number = isinstance(value, int | float | np.integer | np.floating)
    if is_number and not isinstance(value, bool) and float(value).is_integer():
        return int(value)
    raise InputError(
        got=f"{name} = {value!r} in the structure",
        wanted="an integer",
        remedy=f"set {name}=... to one",
    )


def check_electrons(numbers: Sequence[int], charge: int, multiplicity: int) -> None:
    """Raise unless nuclei ``numbers`` with total ``charge`` can have the ``multiplicity`` 2S+1.

    Raises:
        InputError: no electrons are left, or 2S unpaired electrons have the wrong parity or are too
            many.
    """
    electrons = sum(numbers) - charge
    if electrons < 1:
        raise InputError(
            got=f"charge {charge:+d} on nuclei with {sum(numbers)} protons: {electrons} electrons",
            wanted="at least one electron",
            remedy="check the sign and size of the charge",
        )
    if not 1 <= multiplicity <= electrons + 1 or (electrons - multiplicity) % 2 == 0:
        lowest = 1 + electrons % 2
        allowed = ", ".join(str(m) for m in range(lowest, min(lowest + 4, electrons + 1) + 1, 2))
        raise InputError(
            got=f"multiplicity {multiplicity} for {electrons} electrons (charge {charge:+d})",
            wanted=f"2S+1 of the right parity, such as {allowed}",
            remedy=f"--multiplicity {lowest}, or a charge one higher or lower",
        )


def _rename_labels(atoms: Atoms) -> None:
    """Move energy and forces that ASE put into a calculator to their ``REF_`` names, in place."""
    if atoms.calc is None:
        return
    results = atoms.calc.results
    if "energy" in results:
        atoms.info.setdefault("REF_energy", float(results["energy"]))
    if "forces" in results and "REF_forces" not in atoms.arrays:
        atoms.set_array("REF_forces", np.array(results["forces"], dtype=float))
    atoms.calc = None


def write_extxyz(path: PathLike, frames: Iterable[Atoms]) -> None:
    """Write ``frames`` as extxyz, all or nothing; labels take their ``REF_`` keys (eV, eV/Å)."""
    import ase.io

    def relabelled() -> Iterator[Atoms]:
        for atoms in frames:
            copy = atoms.copy()
            copy.calc = atoms.calc
            _rename_labels(copy)
            yield copy

    with atomic_path(path) as temporary:
        ase.io.write(temporary, list(relabelled()), format="extxyz", write_results=False)
