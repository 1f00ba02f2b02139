"""An expensive potential at some frames: what a cheap one is taught by, and weighed with.

Frames are computed portion by portion, each saved before the next begins, so that a killed job loses
none. What is computed of several rounds is collected; of it all the cheap potential learns the difference
(:mod:`genmol.boltzmann.terms`).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import final

import torch
from jaxtyping import Float
from torch import Tensor

from genmol.boltzmann.problem import Problem
from genmol.boltzmann.surrogate import Corrected
from genmol.boltzmann.terms import fitted
from genmol.core.files import atomic_path
from genmol.potentials.contract import Potential
from samplers.run import ResumeError

__all__ = ["Asked", "Lessons"]

_PORTION = 8  # frames between saves


@final
@dataclass(frozen=True, eq=False)
class Asked:
    """What the potential of a problem says.

    Attributes:
        x: frames, Å.
        energies: eV, not finite where there is none.
        forces: eV/Å; zero where only energies were asked for.
        seconds: of the wall clock.
    """

    x: Float[Tensor, "n n_atoms 3"]
    energies: Float[Tensor, " n"]
    forces: Float[Tensor, "n n_atoms 3"]
    seconds: float

    @classmethod
    def of(
        cls,
        problem: Problem,
        x: Float[Tensor, "n n_atoms 3"],
        file: Path,
        identity: str,
        *,
        forces: bool = True,
        seconds: float | None = None,
        told: Callable[[int, float], None] = lambda *_: None,
    ) -> Asked:
        """Compute frames, or what the file lacks of them.

        Args:
            problem: whose potential is asked.
            x: frames, Å; those of the file come first.
            file: where everything is kept.
            identity: of the work.
            forces: also wanted.
            seconds: after which no more are begun; of at least one portion.
            told: called after every portion with the frames that are done and their seconds.

        Raises:
            ResumeError: the file is of other work.
        """
        target, done = problem.target(), cls(x[:0], x[:0, 0, 0], x[:0], 0.0)
        if file.exists():
            content = torch.load(file, weights_only=True)
            if content.pop("identity") != identity:
                raise ResumeError(f"{file} is of other work")
            done = cls(**content)
        while len(done.x) < len(x):
            if seconds is not None and len(done.x) and done.seconds >= seconds:
                break
            began = time.monotonic()
            part = x[len(done.x) : len(done.x) + _PORTION]
            if forces:
                found = target.evaluate(part)
                log_density, slope = found.log_density, found.gradient * target.kT
            else:
                log_density, slope = target.log_density(part), torch.zeros_like(part)
            done = cls(
                x=torch.cat([done.x, part]),
                energies=torch.cat([done.energies, -log_density * target.kT]),
                forces=torch.cat([done.forces, slope]),
                seconds=done.seconds + time.monotonic() - began,
            )
            file.parent.mkdir(parents=True, exist_ok=True)
            with atomic_path(file) as temporary:
                torch.save({"identity": identity, **vars(done)}, temporary)
            told(len(done.x), done.seconds)
        return done

    @property
    def known(self) -> Tensor:
        """Which frames have an energy."""
        return self.energies.isfinite()


@final
@dataclass(frozen=True, eq=False)
class Lessons:
    """All that was learnt of the difference to a cheap potential.

    Attributes:
        problem: whose potential is the expensive one.
        cheap: the other.
        x: frames with an energy.
        energies: differences, eV.
        forces: differences, eV/Å.
        asked: frames, those without an energy included.
        failed: those.
    """

    problem: Problem
    cheap: Potential
    x: Float[Tensor, "n n_atoms 3"]
    energies: Float[Tensor, " n"]
    forces: Float[Tensor, "n n_atoms 3"]
    asked: int = 0
    failed: int = 0

    @classmethod
    def none(cls, problem: Problem, cheap: Potential) -> Lessons:
        """To begin with."""
        x = torch.zeros(0, problem.species.n_atoms, 3, dtype=torch.float64)
        return cls(problem, cheap, x, x[:, 0, 0], x)

    def with_(self, found: Asked) -> Lessons:
        """And those; calls the cheap potential at them."""
        seen = found.known
        plain = replace(self.problem, potential=self.cheap, confined=False)
        own = plain.target().evaluate(found.x[seen])
        kT = self.problem.kT
        return replace(
            self,
            x=torch.cat([self.x, found.x[seen]]),
            energies=torch.cat([self.energies, found.energies[seen] + own.log_density * kT]),
            forces=torch.cat([self.forces, found.forces[seen] - own.gradient * kT]),
            asked=self.asked + len(found.x),
            failed=self.failed + int((~seen).sum()),
        )

    @property
    def learnt(self) -> Corrected:
        """The cheap potential with what it was taught.

        Raises:
            InputError: fewer than eight frames with an energy.
        """
        return Corrected(
            self.cheap, fitted(self.problem.species, self.x, self.energies, self.forces)
        )
