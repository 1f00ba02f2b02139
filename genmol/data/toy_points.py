"""Points of a toy of :mod:`samplers.toys`: brought into shape, with exact forces."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import torch

from genmol.core.errors import InputError
from genmol.data.frame_parts import Part
from samplers.known import Toy
from samplers.spaces import MeanFree
from samplers.toys import TOYS

__all__ = ["particles_of", "shaped", "with_forces"]

_CHUNK = 10_000  # points at a time


def particles_of(name: str) -> Toy:
    """The toy of a name, if it consists of particles.

    Raises:
        InputError: unknown, or a density of another kind.
    """
    known = [key for key, make in TOYS.items() if isinstance(make().space, MeanFree)]
    if name not in known:
        raise InputError(
            got=f"the toy {name!r}",
            wanted=f"one of particles: {', '.join(known)}",
            remedy="--toy dw4; other densities need no network",
        )
    return TOYS[name]()


def shaped(part: Part, toy: Toy) -> Part:
    """The part with points (m, particles, d), and its forces if there are any, centred."""
    x, shape = part.positions, toy.space.shape
    if x.dtype.kind != "f" or x.ndim < 2 or math.prod(x.shape[1:]) != math.prod(shape):
        raise InputError(
            got=f"{part.source} with points {x.dtype} {x.shape}",
            wanted=f"numbers of the shape (m, {math.prod(shape)}) or (m, {shape[0]}, {shape[1]})",
            remedy="name the toy that they are points of",
        )

    def centred(array: np.ndarray) -> np.ndarray:
        rows = torch.from_numpy(array.astype(np.float64).reshape(-1, *shape))
        return toy.space.project(rows).numpy()

    if part.forces is not None and part.forces.shape != x.shape:
        raise InputError(
            got=f"{part.source} with forces {part.forces.shape} beside points {x.shape}",
            wanted="a force at every point",
            remedy="leave them out: they are computed",
        )
    forces = None if part.forces is None else centred(part.forces)
    numbers = np.ones(shape[0], dtype=np.int64)
    return replace(part, positions=centred(x), forces=forces, numbers=numbers)


def with_forces(part: Part, toy: Toy) -> tuple[Part, int]:
    """The part with forces and energies of the toy where it lacks forces, and how many were computed.

    Raises:
        InputError: a point is no number, or has no density.
    """
    computed = 0
    if part.forces is None:
        x = torch.from_numpy(part.positions)
        found = [toy.evaluate(rows) for rows in x.split(_CHUNK)]
        part = replace(
            part,
            forces=torch.cat([each.gradient for each in found]).numpy(),
            energies=-torch.cat([each.log_density for each in found]).numpy(),
        )
        computed = len(x)
    assert part.forces is not None
    sound = np.isfinite(part.positions + part.forces).all(axis=(1, 2))
    if part.energies is not None:
        sound &= np.isfinite(part.energies)
    if not sound.all():
        raise InputError(
            got=f"point {np.flatnonzero(~sound)[0]} of those chosen from {part.source}, which is no "
            "number or has no density",
            wanted="points of positive density",
            remedy="drop it, or name the toy that it is a point of",
        )
    return part, computed
