"""From labels to training examples: overlap, starting point and orbitals of each molecule, cached.

What is computed for a label is kept in a file of its own, named by a hash of the label, the starting
point and the versions of genmol and PySCF: a run killed at any moment goes on where it was, and
nothing old is ever taken for new. Overlap and starting point are kept in float64, because small
eigenvalues of S amplify their rounding; the label's own Fock matrix is not kept a second time.
"""

from __future__ import annotations

import hashlib
import zipfile
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from scipy.linalg import eigh

from genmol.core.environment import versions
from genmol.core.errors import InputError
from genmol.core.files import atomic_path, check_writable
from genmol.core.jsonable import dumps
from genmol.core.parallel import parallel_map
from genmol.data.fock_labels import RawLabel, basis_hash, check_level
from genmol.qc.functional import resolve
from genmol.qc.label import pack, unpack
from genmol.qc.molecule import build_mean_field, build_molecule
from genmol.qc.options import Start
from genmol.qc.orbitals import basis_functions, initial_fock, one_electron, shell_table
from genmol.scf.examples import ExpectedLevel, FockExample

__all__ = ["prepare"]

_FORMAT = 1  # of the cache
_FARTHEST = (
    0.12  # Hartree: mean element of F minus the starting point; 0.02 is much for B3LYP, 0.1 for HF
)
_ENERGY_TOLERANCE = 1e-3  # Hartree: far more than the rounding of a stored Fock matrix does


@dataclass(frozen=True)
class _Item:
    label: RawLabel
    start: Start
    file: Path | None


def prepare(
    labels: Sequence[RawLabel],
    *,
    start: Start = "semilocal",
    cache: str | Path | None = None,
    workers: int = 1,
    level: ExpectedLevel | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> list[FockExample]:
    """Build the example of every label, in their order, each label checked.

    Args:
        labels: of one level of theory, with their parts.
        start: starting point; see :func:`genmol.qc.orbitals.initial_fock`.
        cache: folder that keeps what was computed; None keeps nothing.
        workers: processes.
        level: the level wanted; that of the first label if None.
        progress: called with the numbers of examples done and of all.

    Raises:
        InputError: no labels, another level of theory, or a label that is not what it says: other
            basis functions, order of orbitals, electron count or orbital energies; the message names
            its file.
    """
    check_level(labels, level)
    folder = None if cache is None else Path(cache)
    if folder is not None:
        check_writable(folder / "example.npz")
    items = [
        _Item(label, start, folder and folder / f"{_key(label, start)}.npz") for label in labels
    ]
    found: dict[int, dict[str, np.ndarray]] = {}
    for i, item in enumerate(items):
        if item.file is not None and (stored := _load(item.file)) is not None:
            found[i] = stored
    pending = [i for i in range(len(items)) if i not in found]
    if progress is not None:
        progress(len(found), len(items))
    for outcome in parallel_map(_compute, (items[i] for i in pending), workers=workers, retries=1):
        found[pending[outcome.index]] = outcome.unwrap()
        if progress is not None:
            progress(len(found), len(items))
    return [_example(label, found.pop(i)) for i, label in enumerate(labels)]


def _example(label: RawLabel, arrays: dict[str, np.ndarray]) -> FockExample:
    return FockExample(
        name=label.name,
        source=label.source,
        part="test" if label.part == "test" else "train",
        numbers=label.numbers,
        positions=label.positions,
        overlap=unpack(arrays["overlap"]),
        initial=unpack(arrays["initial"]),
        fock=unpack(label.fock),
        coefficients=arrays["coefficients"],
        energies=arrays["energies"],
        n_occupied=int(arrays["n_occupied"]),
    )


# --- cache


def _key(label: RawLabel, start: Start) -> str:
    made_by = {**versions("pyscf"), "python": None, "format": _FORMAT}  # whatever the interpreter
    text = dumps({"label": label.sha256, "start": start, **made_by})
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _load(file: Path) -> dict[str, np.ndarray] | None:
    """What an earlier run computed; None if there is nothing, or nothing whole."""
    try:
        with file.open("rb") as handle, np.load(handle, allow_pickle=False) as stored:
            return {
                name: stored[name]
                for name in ("overlap", "initial", "coefficients", "energies", "n_occupied")
            }
    except FileNotFoundError:
        return None
    except (OSError, EOFError, KeyError, ValueError, zipfile.BadZipFile, zlib.error):
        return None  # it is computed again and replaced


# --- one label


def _compute(item: _Item) -> dict[str, np.ndarray]:
    label = item.label
    mol = _checked_molecule(label)
    mf = build_mean_field(mol, resolve(label.xc, literal=True), spin_treatment="restricted")
    overlap, _ = one_electron(mol)
    initial = initial_fock(mf, item.start)
    fock = unpack(label.fock)
    _check_order(label, fock, initial, overlap, shell_table(mol))
    energies, coefficients = eigh(fock, overlap)
    n_occupied = mol.nelectron // 2
    _check_electrons(label, overlap, energies, n_occupied)
    arrays = {
        "overlap": pack(overlap),
        "initial": pack(initial),
        "coefficients": coefficients,
        "energies": energies,
        "n_occupied": np.array(n_occupied),
    }
    if item.file is not None:
        with atomic_path(item.file) as temporary:
            np.savez(temporary, **arrays)
    return arrays


def _checked_molecule(label: RawLabel) -> Any:
    """The PySCF molecule, which has the label's basis functions in the label's order of shells."""
    atoms = Atoms(label.numbers, label.positions)
    try:
        mol = build_molecule(atoms, basis=label.level.basis, charge=label.charge, multiplicity=1)
    except InputError as error:
        raise _refused(
            label, f"of which no molecule can be made ({error.got})", error.wanted
        ) from error
    fault = ""
    if mol.nao != label.n_ao or label.fock.size != label.n_ao * (label.n_ao + 1) // 2:
        fault = f"{label.n_ao} orbitals where the basis has {mol.nao}"
    elif label.shells is not None and not np.array_equal(label.shells, shell_table(mol)):
        fault = "shells in another order than PySCF's"
    elif label.basis and label.basis != basis_hash(basis_functions(mol)):
        fault = "other exponents or coefficients than the installed PySCF has under this name"
    if fault:
        raise _refused(label, f"with {fault}", f"a label in PySCF's {label.level.basis}")
    return mol


def _check_order(
    label: RawLabel,
    fock: np.ndarray,
    initial: np.ndarray,
    overlap: np.ndarray,
    shells: np.ndarray,
) -> None:
    """The starting point is close to the label in PySCF's order, and farther in any other."""

    def distance(order: np.ndarray) -> float:
        change = fock[np.ix_(order, order)] - initial
        shift = np.sum(change * overlap) / np.sum(overlap**2)  # moves all orbital energies alike
        return float(np.mean(np.abs(change - shift * overlap)))

    found = distance(np.arange(len(fock)))
    for name, order in _orders(shells).items():
        if distance(np.argsort(order)) < 0.5 * found:
            raise _refused(label, f"whose orbitals seem to be ordered as {name}", "PySCF's order")
    if not found < _FARTHEST:
        raise _refused(
            label,
            f"whose Fock matrix is {found:.2g} Hartree from its starting point on average",
            f"less than {_FARTHEST:g} Hartree: the Fock matrix of this structure and level",
        )


def _orders(shells: np.ndarray) -> dict[str, np.ndarray]:
    """Orders of other programs, as indices into PySCF's."""
    orders: dict[str, list[int]] = {"y, z, x (e3nn)": [], "m = 0, 1, -1, ... (ORCA, Psi4)": []}
    by_m, from_zero = orders.values()
    start = 0
    for momentum, contracted in shells[:, 1:]:
        size = 2 * momentum + 1
        ms = sorted(range(-momentum, momentum + 1), key=lambda m: (abs(m), m < 0))
        for _ in range(contracted):
            by_m += [start + i for i in ([1, 2, 0] if momentum == 1 else range(size))]
            from_zero += [
                start + i for i in ([2, 0, 1] if momentum == 1 else [m + momentum for m in ms])
            ]
            start += size
    return {name: np.array(order) for name, order in orders.items()}


def _check_electrons(
    label: RawLabel, overlap: np.ndarray, energies: np.ndarray, n_occupied: int
) -> None:
    fault = ""
    if n_occupied < len(energies) and energies[n_occupied] - energies[n_occupied - 1] < 1e-4:
        fault = "without a gap between occupied and virtual orbitals"
    elif label.overlap is not None and np.abs(pack(overlap) - label.overlap).max() > 1e-5:
        fault = "whose overlap matrix is not that of its structure"
    elif label.density is not None:
        electrons = float(np.sum(unpack(label.density) * overlap))
        if abs(electrons - 2 * n_occupied) > 1e-3:
            fault = f"whose density holds {electrons:.4f} electrons instead of {2 * n_occupied}"
    if not fault and label.orbital_energies is not None:
        stored = np.sort(label.orbital_energies)[:n_occupied]  # the rest suffer most from rounding
        worst = float(np.abs(stored - energies[:n_occupied]).max())
        if worst > _ENERGY_TOLERANCE:
            fault = f"whose orbital energies differ from its Fock matrix's by {worst:.2g} Hartree"
    if fault:
        raise _refused(label, fault, "a converged closed-shell label in PySCF's order of orbitals")


def _refused(label: RawLabel, fault: str, wanted: str) -> InputError:
    return InputError(
        got=f"{label.file}, {fault}",
        wanted=wanted,
        remedy="leave the label out, or make it again with genmol label",
    )
