"""How to sample, and what a callback is told: shared by all engines."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from genmol.boltzmann.sweep import Moves
from genmol.core.errors import InputError
from samplers.run import ResumeError

__all__ = ["Settings", "Stage", "Watch", "working_folder"]


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How to sample by parallel tempering.

    Attributes:
        runs: independent ones; errors need eight.
        replicas: temperatures; None for as many as ``swap`` takes, 1 for the one asked for alone.
        hottest: K.
        swap: rate of exchanges to keep.
        tuning: sweeps before the ladder is spaced, half of them to warm up; 0 keeps the first one.
        burn_in: sweeps.
        thin: sweeps for each draw.
        most: draws of all runs together.
        moves: of a sweep.
    """

    runs: int = 8
    replicas: int | None = None
    hottest: float = 1000.0
    swap: float = 0.25
    tuning: int = 40
    burn_in: int = 80
    thin: int = 1
    most: int = 100_000
    moves: Moves = field(default_factory=Moves)

    def __post_init__(self) -> None:
        counts = self.runs, self.thin, self.most, 1 if self.replicas is None else self.replicas
        if min(counts) < 1 or min(self.tuning, self.burn_in) < 0 or not 0 < self.swap < 1:
            raise InputError(
                got=f"{self}",
                wanted="at least one run, replica and draw, and a rate of exchanges between 0 and 1",
                remedy="leave the defaults",
            )


@dataclass(frozen=True)
class Stage:
    """What a callback is told after every sweep.

    Attributes:
        name: ``tuning``, ``burn-in`` or ``sampling``; ``hot`` or ``cooling`` in SMC.
        done: sweeps of the stage; populations of ``cooling``.
        total: sweeps until the stage ends, or until the next look at the effective size.
        seconds: since the work began, parts before a resume included.
        acceptance: of HMC.
        effective: smallest effective size at the last look; None before it.
    """

    name: str
    done: int
    total: int
    seconds: float
    acceptance: float
    effective: float | None


Watch = Callable[[Stage], None]


@contextlib.contextmanager
def working_folder(folder: Path | None) -> Iterator[Path]:
    """The folder, made if need be; a temporary one, gone afterwards, when None.

    Raises:
        InputError: what is done in it met the checkpoints of other work.
    """
    if folder is None:
        with tempfile.TemporaryDirectory(prefix="genmol-") as name:
            yield Path(name)
        return
    folder.mkdir(parents=True, exist_ok=True)
    try:
        yield folder
    except ResumeError as error:
        raise InputError(
            got=f"{folder} with the checkpoints of other work ({error})",
            wanted="an empty folder, or the same molecule, settings and seed",
            remedy="choose another output folder",
        ) from error
