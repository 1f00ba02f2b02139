"""What must not be learnt from: frames without forces, broken numbers, doubled atoms, blown-up runs."""

from __future__ import annotations

import numpy as np
from ase.data import chemical_symbols
from scipy.spatial.distance import pdist, squareform

from genmol.core.errors import InputError
from genmol.core.structure import MINIMUM_DISTANCE
from genmol.data.frame_parts import Part, too_few

__all__ = ["check_frames", "check_shapes"]

_FARTHEST = 1e3  # Å from the middle of the molecule
_STRONGEST = 1e3  # eV/Å: a bond compressed to half its length pushes with some hundreds


def check_shapes(part: Part) -> None:
    """Raise :class:`InputError` unless the arrays of a part of a molecule fit together."""
    x, where = part.positions, part.source
    if part.forces is None:
        raise InputError(
            got=f"{where} without forces",
            wanted="a force on every atom",
            remedy="genmol label FILE.extxyz --potential gfn2 --out LABELS, with the frames as "
            "extxyz (such as conformers.extxyz of genmol sample), then --data LABELS",
        )
    if part.periodic:
        raise InputError(
            got=f"{where}, which is periodic",
            wanted="a molecule: genmol treats no periodic systems",
            remedy="cut out a cluster, or leave pbc out if the cell is only a box",
        )
    if len(x) == 0:
        raise too_few(f"{where} with no frames")
    count, atoms = x.shape[:2] if x.ndim == 3 else (0, 0)
    wanted = {
        "positions": (x, (count, atoms, 3)),
        "forces": (part.forces, (count, atoms, 3)),
        "numbers": (part.numbers, (atoms,)),
        "energies": (part.energies, (count,)),
        "weights": (part.weights, (count,)),
    }
    for name, (array, shape) in wanted.items():
        if array is None and name != "numbers":
            continue
        if array is None or array.shape != shape or array.dtype.kind not in "iuf" or not atoms:
            found = "no " + name if array is None else f"{name} {array.dtype} {array.shape}"
            raise InputError(
                got=f"{where} with {found}, beside positions {x.shape}",
                wanted=f"{name} ({', '.join(map(str, shape))}), and positions (frames, atoms, 3)"
                if atoms
                else "positions (frames, atoms, 3)",
                remedy="write the arrays again in this shape",
            )
    assert part.numbers is not None
    strange = (part.numbers < 1) | (part.numbers >= len(chemical_symbols))
    if strange.any() or (part.numbers % 1).any():
        raise InputError(
            got=f"{where} with the atomic numbers {part.numbers.tolist()[:8]}",
            wanted="elements of the periodic table",
            remedy="write atomic numbers, not types or masses",
        )


def check_frames(source: str, positions: np.ndarray, forces: np.ndarray) -> None:
    """Raise :class:`InputError` naming the first frame that cannot be one of a molecule.

    Args:
        source: how messages call the file.
        positions: (m, n_atoms, 3), Å.
        forces: (m, n_atoms, 3), eV/Å.
    """
    with np.errstate(invalid="ignore", over="ignore"):
        extent = np.abs(positions - positions.mean(axis=1, keepdims=True)).max(axis=(1, 2))
        pull = np.abs(forces).max(axis=(1, 2))
    for name, size, most, unit, remedy in (
        (
            "coordinate",
            extent,
            _FARTHEST,
            "Å",
            "drop the frame: the run that wrote it had blown up",
        ),
        ("force", pull, _STRONGEST, "eV/Å", "drop the frame, or name the unit with --units"),
    ):
        if len(wrong := np.flatnonzero(~(size <= most))):
            raise InputError(
                got=f"frame {wrong[0]} of {source} with a {name} of {size[wrong[0]]:.3g} {unit}",
                wanted=f"finite numbers of at most {most:g} {unit}",
                remedy=remedy,
            )
    if not forces.any():
        raise InputError(
            got=f"forces in {source} that are all zero",
            wanted="the forces of the frames",
            remedy="compute them with genmol label",
        )
    if positions.shape[1] < 2:
        return
    for k, frame in enumerate(positions):
        if (apart := pdist(frame)).min() < MINIMUM_DISTANCE:
            i, j = np.argwhere(np.triu(squareform(apart) < MINIMUM_DISTANCE, 1))[0]
            raise InputError(
                got=f"frame {k} of {source}, where atoms {i} and {j} are {apart.min():.3f} Å apart",
                wanted=f"at least {MINIMUM_DISTANCE} Å between atoms",
                remedy="check the unit (coordinates in Å, not Bohr or nm) and drop broken frames",
            )
