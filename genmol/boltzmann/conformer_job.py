"""From a molecule to conformers with a certificate: search, choose, sample, check.

1. Conformers to begin with (:mod:`genmol.boltzmann.starts`).
2. A method, by what a call costs (:mod:`genmol.boltzmann.choice`).
3. Independent runs until as many effective draws are there as conformers are wanted, or a budget is
   spent.
4. A certificate of all draws (:mod:`genmol.boltzmann.check`), with a search of its own and a fifth of
   the time that sampling took.
5. n conformers of equal weight from the draws.

With a folder, what decides the draws is written to ``choice.json`` before the first of them, and a killed
job goes on with the same plan.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from genmol.boltzmann.certificate import Bias
from genmol.boltzmann.check import Evidence, check_samples
from genmol.boltzmann.choice import Choice, Method, choose, seconds_per_gradient
from genmol.boltzmann.conformer_psm import sample_psm
from genmol.boltzmann.delayed import DelayedSettings, sample_delayed
from genmol.boltzmann.difference import sample_difference
from genmol.boltzmann.engine import sample
from genmol.boltzmann.ensemble import Ensemble, equal_weight
from genmol.boltzmann.problem import Problem
from genmol.boltzmann.sampled import Sampled
from genmol.boltzmann.score_choice import Offer
from genmol.boltzmann.score_files import LoadedScore
from genmol.boltzmann.settings import Stage, Watch
from genmol.boltzmann.smc import SMCSettings, sample_smc
from genmol.boltzmann.starts import Starts, find_starts
from genmol.boltzmann.systems import System
from genmol.chem.species import Species
from genmol.core.errors import DeliveryError, InputError
from genmol.core.files import write_json
from genmol.core.jsonable import jsonable
from genmol.potentials.contract import Potential
from samplers.run import Budget
from samplers.sampler import StartError

__all__ = ["Request", "sample_molecule"]

_SEARCH_SECONDS = 60.0  # that energies of conformers to begin with may take
_FEWEST_STARTS, _MOST_STARTS = 8, 300
_CHECKING = 0.2  # of the time of sampling
_CHECKS = 4_000, 100_000  # gradients of a certificate, at least and at most
_CHECKING_SECONDS = 60.0  # beyond which the least is not kept to
_LESSONS = 0.05, 0.1, 0.15  # of a budget of calls, for each round


@dataclass(frozen=True, kw_only=True)
class Request:
    """What is wanted.

    Attributes:
        n: conformers.
        temperature: K.
        method: parallel tempering, delayed acceptance, sequential Monte Carlo, a trained score, or the
            cheapest of all but the third.
        effective: draws that all runs together should be worth; n when None.
        calls: energies and gradients of the potential after which sampling ends.
        seconds: after which sampling ends.
        seed: of everything that is random.
    """

    n: int = 500
    temperature: float = 300.0
    method: Method = "auto"
    effective: float | None = None
    calls: int | None = None
    seconds: float | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        wrong = {
            "a number of conformers": (self.n, self.n < 1),
            "a temperature": (self.temperature, not 0 < self.temperature < float("inf")),
            "effective draws": (self.effective, self.effective is not None and self.effective <= 0),
            "a budget of calls": (self.calls, self.calls is not None and self.calls < 1),
            "a budget of seconds": (self.seconds, self.seconds is not None and self.seconds <= 0),
            "a seed": (self.seed, self.seed < 0),
        }
        for what, (value, bad) in wrong.items():
            if bad:
                whole = "a whole number that is not negative"
                raise InputError(
                    got=f"{what} of {value}",
                    wanted=whole if what == "a seed" else "more than zero",
                    remedy="leave it out to take the default",
                )

    @property
    def goal(self) -> float:
        """Effective draws wanted."""
        return float(self.n) if self.effective is None else self.effective


def sample_molecule(
    species: Species,
    potential: Potential,
    *,
    request: Request | None = None,
    cheaper: Sequence[Potential] = (),
    score: LoadedScore | None = None,
    given: Float[np.ndarray, "f n_atoms 3"] | None = None,
    workers: int = 1,
    folder: Path | None = None,
    progress: Watch = lambda _: None,
    chosen: Any = lambda _: None,
) -> Sampled:
    """Sample a molecule, or go on with the work in ``folder``.

    Args:
        species: the molecule.
        potential: that decides; spread over processes or not.
        request: how many, how warm, and what it may cost; the defaults when None.
        cheaper: potentials of the same molecule that may propose.
        score: that knows the molecule, for the method ``psm``, and for ``auto`` to consider.
        given: conformers of a file to begin with, Å.
        workers: processes that paths of the score are shared over; the potential has its own.
        folder: for checkpoints; none are kept when None.
        progress: called after every sweep, and with the stage ``certificate`` at the end.
        chosen: called with the :class:`Choice`.

    Raises:
        InputError: a molecule outside the potential's domain, conformers of another molecule, a folder
            of other work.
        DeliveryError: no conformer, no draw within the budget, or a potential that gave up before one.
    """
    request = request or Request()
    if request.method != "auto" and (request.method == "psm") != (score is not None):
        raise InputError(
            got=f"the method {request.method!r} {'without' if score is None else 'with'} a score",
            wanted="both, or neither",
            remedy="give a trained score for the methods 'psm' and 'auto' alone",
        )
    if score is not None:
        score.check_temperature(request.temperature)
    starts = find_starts(species, seed=request.seed, most=_MOST_STARTS, given=given)
    problem = Problem(
        species=species,
        potential=potential,
        temperature=request.temperature,
        starts=starts.positions[:1],
        confined=_may_react(potential),
    )
    c = seconds_per_gradient(problem, potential)
    most = int(min(_MOST_STARTS, max(_FEWEST_STARTS, _SEARCH_SECONDS / max(c, 1e-6))))
    problem = replace(problem, starts=starts.positions[: starts.given + most])
    offer = None if score is None else Offer.of(score, score.system(species), workers=workers)
    choice = _planned(problem, request, cheaper, folder, offer)
    chosen(choice)
    try:
        ensemble = _sampled(problem, request, choice, cheaper, score, workers, folder, progress)
    except StartError as error:
        raise DeliveryError(
            got=f"conformers that {potential.name} had energies for, and has none any more ({error})",
            wanted="the same answer whenever it is asked",
            remedy="check the potential; what was computed is saved, go on with --resume",
        ) from error
    progress(Stage("certificate", 0, 1, ensemble.seconds, 1.0, ensemble.n_effective))
    generator = np.random.default_rng(request.seed)
    delivered = equal_weight(ensemble, request.n, generator)
    ledger = []
    if (copies := request.n - delivered.distinct) > 0:
        what = (
            f"{copies} of {request.n} conformers delivered are copies of others: fewer draws differ"
        )
        ledger.append(Bias("copies delivered", 0.0, what))
    trips = ensemble.replicas.round_trips if ensemble.replicas is not None else ()
    checked = check_samples(
        ensemble.positions,
        System.of(problem.forgiving, request.temperature, species=species),
        weights=ensemble.weights,
        runs=ensemble.run,
        evidence=Evidence(
            energies=ensemble.energies,
            round_trips=sum(trips) if trips else None,
            bias_ledger=tuple(ledger),
            energy_calls=ensemble.energy_calls,
            gradient_calls=ensemble.gradient_calls,
            seconds=ensemble.seconds,
            record={"sampling": _record(request, ensemble, choice, starts)},
        ),
        gradients=_affordable(ensemble.seconds, c),
        seed=request.seed + 1,
    )
    reason = f"{ensemble.method}: {choice.reason}"
    return Sampled.of(
        species,
        ensemble,
        delivered,
        checked,
        choice=reason,
        given=starts.positions[: starts.given],
        given_energies=problem.start_energies[: starts.given],
    )


def _affordable(seconds: float, each: float) -> int:
    """Gradients of a certificate after so many seconds of sampling."""
    least = min(_CHECKS[0], _CHECKING_SECONDS / each)
    return int(min(max(_CHECKING * seconds / each, least, 16), _CHECKS[1]))


def _may_react(potential: Potential) -> bool:
    """Whether bonds can break: everywhere but in force fields with fixed bonds."""
    return not str(potential.level.get("method", "")).startswith("MMFF94")


def _planned(
    problem: Problem,
    request: Request,
    cheaper: Sequence[Potential],
    folder: Path | None,
    offer: Offer | None = None,
) -> Choice:
    """The choice of an earlier start of the same work, which clocks must not change, or a new one."""
    content = [asdict(request), problem.identity(), [dict(other.level) for other in cheaper]]
    content += [] if offer is None else [offer.name]
    identity = jsonable(content)
    file = None if folder is None else folder / "choice.json"
    if file is not None and file.exists():
        stored = json.loads(file.read_text("utf-8"))
        if stored["identity"] != identity:
            raise InputError(
                got=f"{folder} with the checkpoints of other work",
                wanted="the same molecule, potential, temperature, numbers and seed",
                remedy="choose another output folder",
            )
        return Choice(**stored["choice"])
    choice = choose(problem, cheaper, method=request.method, effective=request.goal, offer=offer)
    if file is not None:
        file.parent.mkdir(parents=True, exist_ok=True)
        write_json(file, {"identity": identity, "choice": choice})
    return choice


def _sampled(
    problem: Problem,
    request: Request,
    choice: Choice,
    cheaper: Sequence[Potential],
    score: LoadedScore | None,
    workers: int,
    folder: Path | None,
    progress: Watch,
) -> Ensemble:
    budget = Budget(seconds=request.seconds, calls=request.calls, effective=request.goal)
    if choice.method == "delayed":
        assert choice.cheap is not None
        settings = DelayedSettings()
        if request.calls is not None:
            rounds = zip(settings.lessons, _LESSONS, strict=True)
            lessons = tuple(max(8, min(own, int(share * request.calls))) for own, share in rounds)
            settings = replace(settings, lessons=lessons)
        return sample_delayed(
            problem, cheaper[choice.cheap], seed=request.seed, settings=settings, budget=budget,
            folder=folder, progress=progress,
        )  # fmt: skip
    if choice.method == "difference":
        return sample_difference(
            problem, cheaper[0], cheaper[-1], seed=request.seed, budget=budget, folder=folder,
            progress=progress,
        )  # fmt: skip
    if choice.method == "psm":
        assert score is not None

        own = None if folder is None else folder / "instead"

        @cache
        def plan() -> Choice:
            return _planned(problem, replace(request, method="auto"), cheaper, own)

        def instead(left: Budget) -> Ensemble:
            asked = replace(request, method="auto", calls=left.calls, seconds=left.seconds)
            return _sampled(problem, asked, plan(), cheaper, None, workers, own, progress)

        return sample_psm(
            problem, score, seed=request.seed, instead=instead,
            # a cheaper potential that proposes asks the dear one less often than chains do
            chains=lambda: plan().method == "tempering",
            budget=budget, workers=workers, folder=folder, progress=progress,
        )  # fmt: skip
    if choice.method == "smc":
        particles = SMCSettings().particles
        wanted = 64 * int(np.ceil(3 * request.goal / SMCSettings().populations / 64))
        return sample_smc(
            problem, seed=request.seed, settings=SMCSettings(particles=max(particles, wanted)),
            budget=budget, folder=folder, progress=progress,
        )  # fmt: skip
    return sample(problem, seed=request.seed, budget=budget, folder=folder, progress=progress)


def _record(
    request: Request, ensemble: Ensemble, choice: Choice, starts: Starts
) -> Mapping[str, Any]:
    """How the draws came about, for the certificate."""
    return {
        "request": asdict(request),
        "method": ensemble.method,
        "reason": choice.reason,
        "expected_seconds": choice.expected,
        "settings": ensemble.settings,
        "seed": ensemble.seed,
        "runs": ensemble.runs,
        "draws": ensemble.count,
        "limited_by": ensemble.limited_by,
        "stopped": ensemble.stopped,
        "trouble": ensemble.trouble,
        "calls": {name: vars(calls) for name, calls in ensemble.calls.items()},
        "calls_of_other_potentials": {
            name: vars(calls) for name, calls in ensemble.calls_of.items()
        },
        "failures": dict(ensemble.failures),
        "reasons": ensemble.reasons,
        "steps_refused_as_another_molecule": ensemble.refused,
        "replicas": ensemble.replicas,
        "notes": dict(ensemble.notes),
        "search": {
            "from_file": starts.given,
            "left_out": starts.left_out,
            **asdict(starts.counts),
        },
    }
