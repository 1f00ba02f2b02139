r"""Do forces and frames belong to one law? By the forces' own potential, and by the virial.

A score model trusts both halves of its data: that the forces are −∇U, and, where noise is high, that the
frames follow exp(−U/kT). Neither can be seen in a file, both can be tested.

**A potential** that is named computes the forces of a few frames again. What differs by a factor common
to all is in another unit, or a gradient; what differs otherwise is another level of theory.

**The virial**, for frames centred at the origin, needs nothing but the data:

.. math:: v = -\frac{\langle x \cdot F \rangle}{(n - 1)\,d\,kT} = 1 .

It fails where frames were drawn at another level of theory or temperature than the forces belong to,
and where forces are in another unit. rMD17 is an example of the first: frames of a trajectory of one
functional with forces of another, by which bonds are too long or too short everywhere. Shapes of
basins can be learnt from such data, because forces decide where noise is low; shares of basins are
those of the frames. So it is a warning, and goes into the card.
"""

from __future__ import annotations

import numpy as np
import torch

from genmol.core.errors import InputError
from genmol.core.graph import AtomicGraph
from genmol.data.force_units import FORCE_UNITS, likely_unit
from genmol.data.frames import Frames
from genmol.potentials.contract import Potential
from samplers.identities import Identity, virial
from samplers.spaces import MeanFree

__all__ = ["check_law", "virial_of"]

_SPOTS = 8
_SHARE = 0.01  # of the forces: more than the settings of one level of theory make
_SMALL = 0.005  # eV/Å: grids and thresholds
_SAME_SHAPE = 0.05  # of forces that differ by a factor
_ERRORS, _DEVIATION = 5.0, 0.1
_LOOSE = 0.25  # of a virial that looks like one of another unit; units differ by more
_FEWEST = 8  # independent frames, for an error


def check_law(frames: Frames, *, potential: Potential | None = None) -> str | None:
    """What to warn of before anything is learnt from the frames; None if nothing is wrong.

    Args:
        frames: to learn from.
        potential: that the forces are said to be of.

    Raises:
        InputError: the forces are not those of the potential.
    """
    if potential is not None:
        _check_forces(frames, potential)
    if frames.count < _FEWEST:
        return None
    found = virial_of(frames)
    value, error = found.value / found.expected, found.error / found.expected
    if abs(value - 1) <= max(_DEVIATION, _ERRORS * error):
        return None
    return (
        f"the virial of the frames is {value:.3f} ± {error:.3f}, and would be 1 for samples of the law "
        f"that the forces belong to: {_causes(frames, potential, value, error)}. The error takes frames "
        "for independent. Shapes of basins follow the forces, their shares the frames"
    )


def _causes(frames: Frames, potential: Potential | None, value: float, error: float) -> str:
    if frames.reduced:
        return f"these are no points of {frames.level} at kT = 1"
    causes = (
        "the frames were drawn at another level of theory than the forces are of, or at another "
        f"temperature than {frames.temperature:g} K"
    )
    if potential is not None:
        return causes
    causes += ", or the forces are in another unit"
    tolerance = min(_LOOSE, max(_DEVIATION, _ERRORS * error / abs(value)))
    unit = likely_unit(value, frames.units, tolerance=tolerance)
    if unit is None:
        return causes
    other = value * FORCE_UNITS[unit].force / FORCE_UNITS[frames.units].force
    return f"{causes} (it would be {other:.2f} in {unit})"


def virial_of(frames: Frames) -> Identity:
    """⟨−x · F⟩/kT against the number of degrees of freedom; the error takes frames for independent.

    Args:
        frames: at least 8.
    """
    space = MeanFree(*frames.positions.shape[1:])
    x = space.project(torch.from_numpy(frames.positions))
    gradient = space.project(torch.from_numpy(frames.forces) / frames.thermal_energy)
    log_weights = torch.from_numpy(frames.weights).log()
    return virial(x[:, None], gradient[:, None], space, log_weights=log_weights[:, None])


def _check_forces(frames: Frames, potential: Potential) -> None:
    index = np.unique(np.linspace(0, frames.count - 1, _SPOTS).astype(int))
    graph = AtomicGraph.copies(
        torch.from_numpy(frames.numbers),
        torch.from_numpy(frames.positions[index]),
        charge=frames.charge,
        multiplicity=frames.multiplicity,
        cutoff=potential.cutoff,
    )
    energies, forces = potential.evaluate(graph)
    known = energies.isfinite().numpy()
    if not known.any():
        raise InputError(
            got=f"no energy of {potential.name} for any of {len(index)} frames",
            wanted="forces to compare with",
            remedy="leave --potential out, or name the level that the forces are of",
        )
    true = forces.reshape(len(index), -1).numpy()[known]
    given = frames.forces[index][known].reshape(len(true), -1)
    size, off = _rms(true), _rms(given - true)
    if off <= _SHARE * size + _SMALL:
        return
    ratio = float((given * true).sum() / (true * true).sum())
    alike = _rms(given - ratio * true) <= _SAME_SHAPE * abs(ratio) * size
    unit = likely_unit(abs(ratio), frames.units, tolerance=_SAME_SHAPE) if alike else None
    if unit is not None:
        raise InputError(
            got=f"forces that are {ratio:.4g} times those of {potential.name}, as if they were in {unit}",
            wanted=f"forces in {frames.units}, in which they were read",
            remedy=f"--units {unit}",
        )
    if alike and abs(ratio + 1) <= _SAME_SHAPE:
        raise InputError(
            got=f"forces that are minus those of {potential.name}: gradients of the energy",
            wanted="forces",
            remedy="change their sign in the file",
        )
    raise InputError(
        got=f"forces that differ from those of {potential.name} by {off:.3g} eV/Å in {len(true)} frames, "
        f"where they are {size:.3g} eV/Å (root mean squares)",
        wanted=f"forces of that level of theory, within {_SHARE:.0%}",
        remedy="name the level that the forces are of, or compute them with genmol label",
    )


def _rms(values: np.ndarray) -> float:
    return float(np.sqrt(np.mean(values**2)))
