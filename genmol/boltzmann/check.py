r"""Certify anyone's samples of exp(−U/kT): what ``genmol sample --check`` does.

Nothing is asked of the samples but the points, and weights and labels of runs where there are any.
Without labels they are one series in the order given. The same checks are made of molecules, with any
potential, and of densities, such as the toys of :mod:`samplers.toys`:

1. target: forces are the gradient; energies that came along are those of the potential;
2. identities (:mod:`genmol.boltzmann.identities`);
3. invariance under further moves (:mod:`genmol.boltzmann.invariance`), the sharpest;
4. weights (:mod:`genmol.boltzmann.weight_checks`);
5. coverage: a conformer search of its own for molecules, independent runs for densities;
6. chemistry: bonds and stereo of every frame;
7. agreement of the runs, and all that the caller knows (:class:`Evidence`).

Copies of a frame that are not neighbours in a run come from resampling: they are one observation, and
are condensed to one draw with their weight. Frames without an energy count as wrong, and are left out
of the rest.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from genmol.boltzmann.agreement import check_drift, check_rhat
from genmol.boltzmann.basins import Basins
from genmol.boltzmann.certificate import Bias, BoltzmannCertificate, certify, check_chemistry
from genmol.boltzmann.conformer_search import States, find_minima, find_states_of
from genmol.boltzmann.coverage import check_good_turing, check_round_trips, check_search
from genmol.boltzmann.exploration import Exploration, check_exploration
from genmol.boltzmann.findings import Finding, left_out
from genmol.boltzmann.identities import (
    check_configurational_temperature,
    check_forces,
    check_identities,
)
from genmol.boltzmann.invariance import Continuation, check_invariance, chosen_to_move
from genmol.boltzmann.observables import LISTED, measure, smallest_effective
from genmol.boltzmann.sample_set import SampleSet, read_samples
from genmol.boltzmann.systems import System
from genmol.boltzmann.two_temperatures import check_two_temperatures
from genmol.boltzmann.weight_checks import check_weights, recomputed
from genmol.chem.identity import same_molecule
from genmol.core.certificate import Check
from genmol.core.environment import versions
from samplers.rng import Streams
from samplers.target import Counted

__all__ = ["Checked", "Evidence", "check_samples"]

_SPOTS = 4
_SAME_ENERGY = 0.05
"""kT that energies in a file may differ from the potential's: digits, not physics."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Evidence:
    """What the caller knows beyond the samples.

    Attributes:
        energies: of the samples, in eV or reduced units, up to a constant. With them, all samples count
            for populations, and not only those for which calls are spent.
        log_proposal: log-density, up to a constant, of the law that weighted samples were drawn from.
        search: minima of an independent conformer search, (s, n_atoms, 3), Å; ``"embed"`` makes one,
            None makes none.
        starts: (k, *shape) where independent runs of a density may begin; of toys it is known.
        replica_energies: (replicas, runs, draws) in the unit of kT, with ``inverse_temperatures``.
        inverse_temperatures: of the replicas, in the inverse unit.
        round_trips: of all replicas.
        bias_ledger: what was done to the samples.
        energy_calls, gradient_calls, seconds: that the samples took.
        record: further plain JSON for the certificate.
    """

    energies: ArrayLike | None = None
    log_proposal: ArrayLike | None = None
    search: Float[Tensor, "s n_atoms 3"] | Literal["embed"] | None = "embed"
    starts: Tensor | None = None
    replica_energies: Float[Tensor, "replicas runs draws"] | None = None
    inverse_temperatures: tuple[float, ...] = ()
    round_trips: int | None = None
    bias_ledger: tuple[Bias, ...] = ()
    energy_calls: int = 0
    gradient_calls: int = 0
    seconds: float = 0.0
    record: dict[str, Any] = field(default_factory=dict)


class Checked(NamedTuple):
    """A certificate and what it speaks of.

    Attributes:
        certificate: the verdict and its reasons.
        basins: of the samples that were looked at; None for what has no torsions.
        looked_at: which of the samples these are.
    """

    certificate: BoltzmannCertificate
    basins: Basins | None
    looked_at: NDArray[np.int64]


def check_samples(
    positions: ArrayLike | Tensor,
    system: System,
    *,
    weights: ArrayLike | None = None,
    runs: ArrayLike | None = None,
    evidence: Evidence = Evidence(),
    gradients: int | None = None,
    most: int = 20_000,
    moves: int | None = None,
    seed: int = 0,
) -> Checked:
    """Certify samples.

    Args:
        positions: (m, n_atoms, 3), Å, or points of the density (m, *shape).
        system: potential or density, temperature, molecule (:meth:`System.of`).
        weights: of the samples, of any sum; equal when None.
        runs: label of the independent run that each sample is from, in the order of that run; one
            series when None.
        evidence: what else is known.
        gradients: calls that may be spent: a quarter on the samples themselves and as many on a search,
            half on moving them; 200 000 for potentials and five million for densities when None.
        most: samples that are looked at, spread evenly over runs.
        moves: of each sample that is moved, at most; 40 for potentials and 200 for densities when None.
        seed: of everything that is random.

    Raises:
        InputError: samples of another shape, less than 16, or labels or weights that do not fit.
    """
    began = time.monotonic()
    dear = system.plain is None
    gradients = gradients or (200_000 if dear else 5_000_000)
    moves = moves or (40 if dear else 200)
    system = replace(system, target=Counted.of(system.target))
    target, thermal = system.target, system.thermal
    assert isinstance(target, Counted)
    streams = Streams.of(seed=seed, chains=1).fold("check")
    energies = _energies(evidence)
    samples = read_samples(
        positions,
        target,
        weights=weights,
        runs=runs,
        log_density=None if energies is None else -energies / thermal.kT,
        most=most,
        gradients=max(16, min(most, gradients // 4)),
    )
    found, draws = samples.found, samples.draws
    findings = [*samples.findings, *_target_checks(system, samples, streams)]
    findings += check_identities(found, target)
    thermometer = max(64, min(1000, gradients // 20))
    findings.append(check_configurational_temperature(found, target, streams, most=thermometer))
    view, minima = system.molecule, None
    if view is not None and evidence.search is not None:
        minima = find_minima(view, target, evidence.search, gradients=gradients // 4, seed=seed)
    states = find_states_of(system, samples, minima)
    u = -samples.log_density * thermal.kT
    size, _ = smallest_effective(draws, u, angles=states.angles, labels=states.labels)
    settings = Continuation.within(gradients // 2, moves=moves)
    findings += _moved(system, samples, states, settings, streams)
    findings += check_weights(draws, labels=states.labels)
    ledger = [*evidence.bias_ledger, *samples.biases]
    if evidence.log_proposal is not None:
        proposal = torch.as_tensor(np.asarray(evidence.log_proposal))[samples.index].double()
        finding, shift = recomputed(draws, samples.log_density, proposal)
        findings.append(finding)
        if finding.check.status != "pass":
            what = "the weights given are not those of the target over the proposal"
            ledger.append(Bias("weights changed", shift, what))
    if states.codes is not None:
        findings.append(check_good_turing(draws, states.codes, size))
    search = None if view is None or minima is None else states.search(view, minima)
    if search is not None and states.codes is not None:
        findings.append(check_search(draws, states.codes, size, search))
    else:
        findings += _independent(system, samples, evidence, gradients // 4, seed)
    findings += _agreement(system, samples, states)
    if evidence.replica_energies is not None:
        findings.append(
            check_two_temperatures(evidence.replica_energies, evidence.inverse_temperatures)
        )
    if evidence.round_trips is not None:
        findings.append(check_round_trips(evidence.round_trips))
    observables = measure(
        draws,
        u,
        thermal,
        streams,
        labels=states.labels,
        names=states.names,
        angles=states.angles,
    )
    calls = target.calls
    certificate = certify(
        findings,
        observables,
        thermal,
        energy_calls=evidence.energy_calls + calls.energies,
        gradient_calls=evidence.gradient_calls + calls.gradients,
        seconds=evidence.seconds + time.monotonic() - began,
        bias_ledger=ledger,
        record={
            "target": system.description,
            "samples": {"given": samples.given, "looked_at": draws.count, "draws": draws.summary},
            "check": {
                "energy_calls": calls.energies,
                "gradient_calls": calls.gradients,
                "seed": seed,
            },
            "versions": versions("genmol", "torch", "numpy", "rdkit", "tblite"),
            **evidence.record,
        },
    )
    return Checked(certificate, states.basins, samples.index.numpy())


def _energies(evidence: Evidence) -> Tensor | None:
    if evidence.energies is None:
        return None
    return torch.as_tensor(np.asarray(evidence.energies), dtype=torch.float64)


def _target_checks(system: System, samples: SampleSet, streams: Streams) -> list[Finding]:
    """Forces, energies that came along, and chemistry."""
    found = samples.found
    spots = torch.linspace(0, found.draws.count - 1, _SPOTS).round().long()
    rows = replace(streams, chains=torch.arange(_SPOTS)).fold("forces")
    findings = [check_forces(system.target, found.x[spots], rows)]
    gap = samples.log_density[samples.rows] - found.log_density
    check = Check.at_most(
        "energies of the samples against the potential (kT)",
        float((gap - gap.median()).abs().amax()),
        _SAME_ENERGY,
        advice="the samples come with energies of another potential, level of theory or unit",
    )
    findings.append(Finding(check, "local", "target"))
    if system.molecule is not None:
        right = np.asarray(same_molecule(system.molecule.species, samples.x.numpy()))
        wrong = float(samples.draws.weights[torch.from_numpy(~right)].sum())
        findings.append(check_chemistry(wrong))
    return findings


def _moved(
    system: System, samples: SampleSet, states: States, settings: Continuation, streams: Streams
) -> list[Finding]:
    """Invariance. States that come from the draws are those of the draws that are not moved."""
    found, basins, view, codes = samples.found, states.basins, system.molecule, system.codes
    if basins is not None:
        settings = replace(settings, most=min(settings.most, samples.draws.count // 2))
    index = chosen_to_move(found, settings)
    listed: list[int] = []
    if states.codes is not None:
        still = np.ones(samples.draws.count, dtype=bool)
        # the states of a density are what they are
        still[samples.rows[index].numpy()] = basins is None
        listed = _listed(samples, states.codes, still)

    def observe(x: Tensor) -> dict[str, Tensor]:
        if states.codes is None:
            return {}
        if basins is not None and view is not None:
            own = torch.from_numpy(basins.code(view.copies(x)))
        else:
            assert codes is not None
            own = codes(x)
        members = {
            f"state {code}" if basins is None else basins.name(code): (own == code).double()
            for code in listed
        }
        inside = sum(members.values(), torch.zeros(len(x), dtype=torch.float64))
        return members | {"all other states": 1.0 - inside}

    return check_invariance(
        found,
        system.target,
        streams.fold("moves"),
        settings,
        index=index,
        local=system.local,
        states=observe,
    )


def _listed(samples: SampleSet, codes: NDArray[np.int64], still: NDArray[np.bool_]) -> list[int]:
    """States of at least 5 % of the draws that stay."""
    names, inverse = np.unique(codes[still], return_inverse=True)
    share = np.bincount(inverse, weights=samples.draws.weights.numpy()[still])
    return [int(name) for name in names[share >= LISTED * share.sum()]]


def _independent(
    system: System, samples: SampleSet, evidence: Evidence, gradients: int, seed: int
) -> list[Finding]:
    """Independent runs of a density; of a molecule there is only a search."""
    settings = Exploration.within(gradients)
    starts = evidence.starts if evidence.starts is not None else system.starts(settings.runs, seed)
    if system.molecule is not None or starts is None:
        why = "nothing independent of the samples was looked at: give a conformer search, or starts"
        return [left_out("independent search", section="coverage", part="weights", why=why)]
    return check_exploration(
        system.target,
        starts,
        samples.draws,
        samples.x,
        samples.log_density,
        local=system.local,
        codes=system.codes,
        seed=seed,
        settings=settings,
    )


def _agreement(system: System, samples: SampleSet, states: States) -> list[Finding]:
    """R-hat and drift over energy, local observables and listed states."""
    draws = samples.draws
    observables: dict[str, Tensor] = {"energy": -samples.log_density, **system.local(samples.x)}
    if states.labels is not None:
        for b in range(int(states.labels.max()) + 1):
            inside = (states.labels == b).double()
            if float(draws.mean(inside)) >= LISTED:
                observables[states.names[b]] = inside
    drift = check_drift(draws, observables)
    return [check_rhat(draws, observables), *([drift] if drift is not None else [])]
