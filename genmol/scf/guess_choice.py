"""The learned guess in a solve: made if asked for, or where it is expected to save time.

``auto`` compares two forecasts in processor seconds:

* saved: :data:`BUILDS_SAVED` cheap builds, whose cost is known before the first from that of their
  preparation (fitted integrals, orbitals on the grid), which every solve needs;
* spent: starting point and network for the molecule's edges (:class:`NetworkCost`) and, once a
  process, the import of torch and the loading of the weights.

The second part is paid only when it has been worth it: as soon as the savings forgone so far in this
process exceed it (rent or buy). A single small molecule never waits for torch; a loop over
conformers switches over after some; a large molecule pays at once.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from genmol.core.errors import DeliveryError, InputError
from genmol.core.weight_files import shipped
from genmol.qc.cheap import CheapLevel
from genmol.qc.orbitals import initial_fock
from genmol.qc.problem import Problem
from genmol.qc.solver import Proposal
from genmol.scf.learned import DEFAULT_MODEL, LearnedFock, LearnedModel

__all__ = ["BUILDS_SAVED", "Forecast", "LearnedGuess", "NetworkCost"]

BUILDS_SAVED = 3.5
"""Cheap builds that a good learned guess saves in a solve, where its card does not say better. Measured
with noise on the exact Fock matrix, filtered, guard's build included, ethanol and three molecules of
QM9 size: 11 to 16 builds without; 8 to 9 with 30 µEh, 8 to 10 with 100 µEh, 9 to 11 with 300 µEh."""

_PREPARATION = 7.0
"""Cheap builds that their preparation costs: 4 for water, 7 from ethanol to alanine dipeptide."""


@dataclass(frozen=True)
class NetworkCost:
    """Processor seconds of a prediction: lines in the number of edges.

    Measured on one thread of a 2.x GHz server processor, weights of 5.3 MB, float32: the network takes
    35 ms for the 72 edges of ethanol and 97 ms for the 462 of alanine dipeptide, a semilocal starting
    point 60 and 300 ms. Other sizes of network scale with their weights. After the first prediction
    of a process its own rate is used instead.

    Attributes:
        fixed, per_edge: of the network.
        start: per edge, of a starting point that is not a build of the cheap level.
        importing: torch, once a process.
        loading: weights and network, once a process.
    """

    fixed: float = 0.025
    per_edge: float = 1.6e-4
    start: float = 7e-4
    importing: float = 2.0
    loading: float = 0.15

    REFERENCE_BYTES: ClassVar[float] = 5.3e6

    def running(self, model: LearnedModel, n_atoms: int) -> float:
        """Seconds of one prediction."""
        edges = n_atoms * (n_atoms - 1)
        if model.spent_edges:
            return edges * model.spent_seconds / model.spent_edges
        scale = model.path.stat().st_size / self.REFERENCE_BYTES
        start = 0.0 if model.start == "minao" else self.start * edges
        return start + scale * (self.fixed + self.per_edge * edges)

    def starting(self, model: LearnedModel) -> float:
        """Seconds still to be paid before the first prediction."""
        loading = 0.0 if model.running else self.loading
        return loading + (0.0 if "torch" in sys.modules else self.importing)


@dataclass
class Forecast:
    """What the guess is expected to save, and the savings forgone so far in this process (seconds)."""

    cost: NetworkCost
    forgone: float = 0.0

    def decide(self, model: LearnedModel, n_atoms: int, build_seconds: float) -> tuple[bool, str]:
        """Whether to predict, and why.

        Args:
            model: that would predict.
            n_atoms: of the molecule.
            build_seconds: processor time of one cheap build.
        """
        builds = float(model.card.get("guess", {}).get("cheap_builds_saved", BUILDS_SAVED))
        saved, running = builds * build_seconds, self.cost.running(model, n_atoms)
        gain, starting = saved - running, self.cost.starting(model)
        forecast = f"would save {saved:.2g} s of cheap builds for {running:.2g} s of prediction"
        if gain <= 0:
            return False, f"a learned guess {forecast}"
        if starting == 0:
            return True, f"the learned guess {forecast}"
        self.forgone += gain
        if self.forgone > starting:
            return True, f"the learned guess {forecast}, worth {starting:.2g} s to start it"
        return False, f"a learned guess {forecast} and {starting:.2g} s to start it"


FORECAST = Forecast(NetworkCost())
"""Of this process."""


class LearnedGuess:
    """Proposes a density to the solver and remembers what it did.

    Args:
        choice: ``learned`` predicts wherever the model applies, ``auto`` where it pays.
        model: shipped name, folder or file; None for the shipped default.
        forecast: of this process by default.

    Raises:
        InputError: a model that was asked for by choice or name and cannot be used.
    """

    def __init__(
        self,
        choice: Literal["auto", "learned"],
        model: str | None = None,
        *,
        forecast: Forecast = FORECAST,
    ) -> None:
        self.choice, self.forecast = choice, forecast
        self.model: LearnedModel | None = None
        self.fault = ""
        self.asked, self.in_domain = False, False
        self.answer: LearnedFock | None = None
        name = model or DEFAULT_MODEL
        if choice == "auto" and model is None and name not in shipped():
            self.fault = "no trained model is installed"
            return
        try:
            self.model = LearnedModel.load(name)
        except InputError as error:
            if choice == "learned" or model is not None:
                raise
            self.fault = f"the trained model cannot be used: {error}"

    def __call__(self, problem: Problem, cheap: CheapLevel) -> Proposal:
        """The learned density, or why there is none."""
        model, mf = self.model, problem.mf
        if model is None:
            return Proposal(None, "learned", f"the best unlearned guess: {self.fault}")
        self.asked = True
        if reason := model.domain(mf):
            return Proposal(None, "learned", f"the best unlearned guess: {reason}")
        self.in_domain = True
        initial, reference, why = None, None, "chosen"
        if self.choice == "auto":
            cheap.prepare()
            build = cheap.preparation_seconds / _PREPARATION
            yes, why = self.forecast.decide(model, mf.mol.natm, build)
            if not yes:
                return Proposal(None, "learned", why)
        if model.start == "minao":  # the first build of the cheap level's own iterations, too
            initial = initial_fock(mf, "minao", cheap=cheap)
            reference = problem.diagonalise(initial)
        try:
            self.answer = model.predict(mf, cheap=cheap, initial=initial)
        except DeliveryError as error:
            return Proposal(None, "learned", f"the best unlearned guess: {error}", reference)
        return Proposal(self.answer.density, "learned", why, reference)

    def record(self) -> dict[str, Any] | None:
        """For the report; None if no model was asked."""
        if not self.asked or self.model is None:
            return None
        answer = self.answer
        return {
            "model": self.model.name,
            "sha256": self.model.sha256,
            "inference_seconds": None if answer is None else answer.seconds.network,
            "in_domain": self.in_domain,
            "fock_spread": None if answer is None else answer.spread,
        }
