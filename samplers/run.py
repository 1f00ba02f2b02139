"""The one loop around every sampler: warm-up, draws, stopping, checkpoint and resume.

>>> found = run(HMC(), target, x, seed=0, warm_up=500, draws=2000)
>>> found.x                    # (draws, chains, *shape)
>>> found.calls["production"]  # energies and gradients

Step k of a run draws its numbers from ``streams.at(k)``, so a run that is killed and resumed gives the
same samples as one that is not. The warm-up adapts and is thrown away; nothing is learnt after it.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor

from samplers.diagnostics import ess_bulk
from samplers.rng import Streams
from samplers.sampler import Sampler, State
from samplers.target import Calls, Counted, Target

__all__ = ["Budget", "Progress", "ResumeError", "Run", "run"]

Phase = Literal["start", "warm-up", "production"]
PHASES: tuple[Phase, ...] = ("start", "warm-up", "production")


class ResumeError(ValueError):
    """A checkpoint of another run."""


@dataclass(frozen=True)
class Budget:
    """What ends a run before its last draw.

    Attributes:
        seconds: of the wall clock, all parts of a resumed run together.
        calls: energies plus gradients, counted point by point.
        effective: smallest effective sample size, over ``observables``, that is enough.
        observables: name -> function from points (n, *shape) to numbers (n,); the log-density is always
            among them.
        check_draws: draws between looks at the effective sample size, which costs no calls.
    """

    seconds: float | None = None
    calls: int | None = None
    effective: float | None = None
    observables: Mapping[str, Callable[[Tensor], Tensor]] = field(default_factory=dict)
    check_draws: int = 100


@dataclass(frozen=True)
class Progress:
    """What a callback is told after every step.

    Attributes:
        phase: where the run is.
        done, total: steps of the phase.
        seconds: since the run began.
        acceptance: mean over the phase so far.
    """

    phase: Phase
    done: int
    total: int
    seconds: float
    acceptance: float


@dataclass(frozen=True, eq=False)
class Run:
    """What a run gave.

    Attributes:
        x: (draws, chains, *shape), chains that sample the target.
        log_density: (draws, chains).
        state: the last one, of all chains.
        details: mean of every number of ``Info`` over the production, for each chain.
        calls: of each phase.
        seconds: of all parts.
        stopped: what ended it.
    """

    x: Float[Tensor, "draws chains *shape"]
    log_density: Float[Tensor, "draws chains"]
    state: State
    details: Mapping[str, Tensor]
    calls: Mapping[str, Calls]
    seconds: float
    stopped: Literal["draws", "seconds", "calls", "effective"]


def run(
    sampler: Sampler,
    target: Target,
    x: Float[Tensor, "n *shape"],
    *,
    seed: int,
    draws: int,
    warm_up: int = 0,
    thin: int = 1,
    budget: Budget = Budget(),
    checkpoint: str | os.PathLike[str] | None = None,
    checkpoint_seconds: float = 60.0,
    identity: str = "",
    progress: Callable[[Progress], None] = lambda _: None,
) -> Run:
    """Sample, or go on with the run of ``checkpoint`` if the file exists.

    Args:
        sampler: the kernel.
        target: what to sample; its calls are counted, NaN is refused.
        x: where the chains begin.
        seed: of the streams.
        draws: kept points of each chain.
        warm_up: steps before them, in which the sampler adapts.
        thin: steps for each draw.
        budget: what ends it earlier.
        checkpoint: file to save to and resume from.
        checkpoint_seconds: between saves; the last state is always saved, also when the target fails.
        identity: what the caller wants a resumed run to agree on, such as a hash of its settings.
        progress: called after every step.

    Raises:
        StartError: a chain begins where the density is zero.
        TargetError: the target gave no number; the state before that step is saved.
        ResumeError: the checkpoint belongs to another run.
    """
    if draws < 1 or warm_up < 0 or thin < 1:
        raise ValueError(
            f"{draws} draws, {warm_up} warm-up steps, every {thin}-th kept; wanted at least one draw"
        )
    own = (
        f"{identity} {type(sampler).__name__} seed {seed}, {tuple(x.shape)}, {warm_up} + n × {thin}"
    )
    loop = _Loop(sampler, Counted.of(target), Streams.of(seed=seed, chains=len(x)), warm_up, thin)
    file = None if checkpoint is None else Path(checkpoint)
    if file is not None and file.exists():
        loop.load(file, own)
    else:
        loop.begin(x)
    before, began, saved = loop.seconds, time.monotonic(), time.monotonic()

    def stopped() -> Literal["draws", "seconds", "calls", "effective"] | None:
        loop.seconds = before + time.monotonic() - began
        spent = sum(c.energies + c.gradients for c in loop.calls().values())
        if len(loop.draws) >= draws:
            return "draws"
        if budget.seconds is not None and loop.seconds >= budget.seconds:
            return "seconds"
        if budget.calls is not None and spent >= budget.calls:
            return "calls"
        return "effective" if loop.enough(budget) else None

    try:
        while (reason := stopped()) is None:
            loop.advance()
            done = loop.steps - warm_up
            progress(
                Progress("warm-up", loop.steps, warm_up, loop.seconds, loop.acceptance)
                if done <= 0
                else Progress("production", done, draws * thin, loop.seconds, loop.acceptance)
            )
            if file is not None and time.monotonic() - saved > checkpoint_seconds:
                loop.save(file, own)
                saved = time.monotonic()
    finally:
        loop.seconds = before + time.monotonic() - began
        if file is not None:
            loop.save(file, own)
    return loop.result(reason)


class _Loop:
    """All that changes during a run; a step is taken wholly or not at all."""

    def __init__(
        self, sampler: Sampler, target: Counted, streams: Streams, warm_up: int, thin: int
    ) -> None:
        self.sampler, self.target, self.streams = sampler, target, streams
        self.warm_up, self.thin = warm_up, thin
        self.state: State
        self.steps = 0
        self.seconds = 0.0
        self.draws: list[tuple[Tensor, Tensor]] = []
        self.details: dict[str, Tensor] = {}  # sums over the phase
        self.spent = {phase: Calls() for phase in PHASES}  # of the steps taken
        self._checked = 0

    @property
    def acceptance(self) -> float:
        """Mean over the phase."""
        count = self.steps if self.steps <= self.warm_up else self.steps - self.warm_up
        return float(self.details["acceptance"].mean() / count) if count else 0.0

    def begin(self, x: Tensor) -> None:
        state = self.sampler.init(self.target, x, self.streams)
        self.state = state if self.warm_up else self.sampler.adapted(state)
        self._charge("start")

    def advance(self) -> None:
        k = self.steps + 1
        state, info = self.sampler.step(self.state, self.streams.at(k))
        if k <= self.warm_up:
            state = self.sampler.adapt(state, info, k)
            self._charge("warm-up")
        else:
            self._charge("production")
        if k == self.warm_up:
            state = self.sampler.adapted(state)
        self.state, self.steps = state, k
        if k == self.warm_up + 1:
            self.details = {}
        for name, value in {"acceptance": info.acceptance, **info.details}.items():
            self.details[name] = self.details.get(name, 0.0) + value.double()
        if k > self.warm_up and (k - self.warm_up) % self.thin == 0:
            visible = self.sampler.visible
            self.draws.append((visible(state.x), visible(state.log_density)))

    def calls(self) -> dict[str, Calls]:
        return {str(phase): calls for phase, calls in self.spent.items()}

    def enough(self, budget: Budget) -> bool:
        """The effective sample size is reached; looked at every now and then."""
        if budget.effective is None or len(self.draws) < self._checked + budget.check_draws:
            return False
        self._checked = len(self.draws)
        x, log_density = (torch.stack(values) for values in zip(*self.draws, strict=True))
        series = [log_density]
        series += [
            f(x.flatten(0, 1)).reshape(log_density.shape) for f in budget.observables.values()
        ]
        sizes = [ess_bulk(s.double().mT) for s in series]
        return min(float(s) for s in sizes) >= budget.effective

    def _charge(self, phase: Phase) -> None:
        """Book the calls since the last booking."""
        made, booked = self.target.calls, self.spent.values()
        energies = made.energies - sum(c.energies for c in booked)
        gradients = made.gradients - sum(c.gradients for c in booked)
        self.spent[phase].energies += energies
        self.spent[phase].gradients += gradients

    # --- checkpoints

    def save(self, file: Path, identity: str) -> None:
        state = self.state
        content: dict[str, Any] = {
            "identity": identity,
            "steps": self.steps,
            "seconds": self.seconds,
            "spent": {phase: asdict(calls) for phase, calls in self.spent.items()},
            "details": self.details,
            "state": [state.x, state.log_density, state.gradient, dict(state.memory)],
            "draws": [torch.stack(v) for v in zip(*self.draws, strict=True)] if self.draws else [],
        }
        partial = file.with_name(f".{file.name}.{os.getpid()}")
        try:
            torch.save(content, partial)
            partial.replace(file)
        finally:
            partial.unlink(missing_ok=True)

    def load(self, file: Path, identity: str) -> None:
        try:
            content = torch.load(file, weights_only=True)
            found = content["identity"]
        except Exception as error:  # torch raises many kinds for a damaged file
            raise ResumeError(
                f"the checkpoint {file} cannot be read ({error}); remove it"
            ) from error
        if found != identity:
            raise ResumeError(
                f"the checkpoint {file} of another run ({found}); wanted that of {identity}: remove it, "
                "or write to another folder"
            )
        x, log_density, gradient, memory = content["state"]
        target = self.sampler.bind(self.target, len(x))
        self.state = State(target, x, log_density, gradient, memory)
        self.steps, self.seconds = content["steps"], content["seconds"]
        self.details = content["details"]
        self.spent = {phase: Calls(**calls) for phase, calls in content["spent"].items()}
        self.target.calls.energies = sum(c.energies for c in self.spent.values())
        self.target.calls.gradients = sum(c.gradients for c in self.spent.values())
        if content["draws"]:
            self.draws = list(zip(*content["draws"], strict=True))

    def result(self, reason: Literal["draws", "seconds", "calls", "effective"]) -> Run:
        count = max(1, self.steps - self.warm_up)
        empty = self.sampler.visible(self.state.x)[None][:0]
        pairs = [torch.stack(v) for v in zip(*self.draws, strict=True)] if self.draws else [
            empty, self.sampler.visible(self.state.log_density)[None][:0]]  # fmt: skip
        return Run(
            x=pairs[0],
            log_density=pairs[1],
            state=self.state,
            details={k: v / count for k, v in self.details.items()},
            calls=self.calls(),
            seconds=self.seconds,
            stopped=reason,
        )
