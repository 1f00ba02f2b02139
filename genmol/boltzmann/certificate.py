r"""The certificate of an ensemble: checks, observables, a ledger of biases, and one verdict of three.

==============================================  ====================================================
verdict                                         when
==============================================  ====================================================
Boltzmann to ±x kcal/mol on listed states       nothing below holds; x is the largest half-width of
                                                the 95 % intervals of the free energies of states of
                                                5 % or more, plus what known biases may add
locally Boltzmann, weights uncertain            a check of weights fails or warns, or could not be
                                                made; there are less than 100 effective draws; a
                                                bias is larger than 1 % or of unknown size; or x is
                                                above 1 kcal/mol
not Boltzmann                                   a check of the law within states fails: forces,
                                                identities, invariance, chemistry
==============================================  ====================================================

With a single listed state of population p, x is the half-width of the interval of :math:`-kT\ln p`. A
bias that moved a share b of the weight (total variation) shifts a free energy by at most
:math:`kT\ln\frac{p}{p-b}`, which is added for the least listed p.

A failed check makes the exit code 3 (:class:`genmol.core.certificate.Certificate`); missing evidence is a
warning, and 0. What clipping, filters, dropped or repaired draws changed is an entry of the ledger, never
silent; an empty ledger says that nothing was done to the draws.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from genmol.boltzmann.findings import ALPHA, Finding
from genmol.boltzmann.intervals import Interval, Thermal
from genmol.boltzmann.observables import Observables
from genmol.core.certificate import Certificate, Check, Status
from genmol.core.jsonable import dumps, jsonable

__all__ = [
    "LOCALLY",
    "NOT",
    "Bias",
    "BoltzmannCertificate",
    "certify",
    "check_chemistry",
    "identity_hash",
]

LOCALLY = "locally Boltzmann, weights uncertain"
NOT = "not Boltzmann"

_LARGEST_BIAS = 0.01
_FEWEST = 100.0
_MOST_UNCERTAIN = 1.0  # kcal/mol
_MOST_UNCERTAIN_KT = 1.7  # the same at room temperature


@dataclass(frozen=True)
class Bias:
    """Something that was done to the draws.

    Attributes:
        name: such as ``"weights clipped"``.
        share: of the weight that it moved (total variation, in [0, 1]); None where nobody knows.
        what: one sentence.
    """

    name: str
    share: float | None
    what: str


@dataclass(frozen=True)
class BoltzmannCertificate:
    """What is known about an ensemble.

    Attributes:
        verdict: one of three.
        uncertainty: x, in the unit of the observables; infinite where it is not known.
        findings: checks.
        observables: populations and the rest.
        bias_ledger: what was done to the draws.
        energy_calls: all of them: search, warm-up, every replica, and these checks.
        gradient_calls: likewise.
        seconds: likewise.
        record: target, versions, settings.
    """

    verdict: str
    uncertainty: float
    findings: tuple[Finding, ...]
    observables: Observables
    bias_ledger: tuple[Bias, ...]
    energy_calls: int
    gradient_calls: int
    seconds: float
    record: Mapping[str, Any] = field(default_factory=dict)

    @property
    def certificate(self) -> Certificate:
        """Checks and record in the form that all of genmol shares."""
        return Certificate(tuple(f.check for f in self.findings), self.record)

    @property
    def status(self) -> Status:
        """The worst outcome of a check."""
        return self.certificate.verdict

    @property
    def exit_code(self) -> int:
        """0 for pass and warn, 3 for fail."""
        return self.certificate.exit_code

    @property
    def n_effective(self) -> float:
        """Smallest effective size over energy, torsions and listed basins."""
        return self.observables.n_effective

    def table(self) -> str:
        """Checks and verdict as plain text."""
        lines = self.certificate.table().splitlines()[:-1]
        return "\n".join(
            [*lines, f"effective draws: {self.n_effective:.0f}", f"verdict: {self.verdict}"]
        )

    def to_dict(self) -> dict[str, Any]:
        """Content of ``certificate.json``, as JSON types."""
        content = jsonable(
            {
                "verdict": self.verdict,
                "status": self.status,
                "uncertainty": self.uncertainty,
                "unit": self.observables.unit,
                "n_effective": self.n_effective,
                "limited_by": self.observables.limited_by,
                "energy_calls": self.energy_calls,
                "gradient_calls": self.gradient_calls,
                "seconds": self.seconds,
                "bias_ledger": self.bias_ledger,
                "checks": [f.to_dict() for f in self.findings],
                "false_alarm_per_check": ALPHA,
                "observables": self.observables,
                "record": self.record,
            }
        )
        assert isinstance(content, dict)
        return content


def certify(
    findings: Sequence[Finding],
    observables: Observables,
    thermal: Thermal,
    *,
    energy_calls: int,
    gradient_calls: int,
    seconds: float,
    bias_ledger: Sequence[Bias] = (),
    record: Mapping[str, Any] | None = None,
) -> BoltzmannCertificate:
    """Come to a verdict.

    Args:
        findings: all checks that were made.
        observables: with their intervals.
        thermal: kT and units, the same as for the observables.
        energy_calls, gradient_calls, seconds: of everything.
        bias_ledger: what was done to the draws.
        record: target (:func:`identity_hash`), versions, settings.
    """
    known = sum(bias.share or 0.0 for bias in bias_ledger)
    unknown = [bias.name for bias in bias_ledger if bias.share is None]
    x = _uncertainty(observables, thermal, min(known, 1.0))
    limit = (
        _MOST_UNCERTAIN if observables.unit == "kcal/mol" else _MOST_UNCERTAIN_KT * thermal.reported
    )
    made = [
        *findings,
        _weights(
            Check.at_least(
                "effective draws",
                observables.n_effective,
                _FEWEST,
                warn=-math.inf,
                advice="too few to say much: sample longer",
            )
        ),
        _weights(
            Check.at_most(
                f"uncertainty of the free energies of listed states ({observables.unit})",
                x,
                limit,
                warn=math.inf,
                advice="sample longer, with more runs",
            )
        ),
        _weights(
            Check.at_most(
                "share of the weight moved by known biases",
                known,
                _LARGEST_BIAS,
                advice="see the ledger: leave out what clips, filters or repairs",
            )
        ),
    ]
    if unknown:
        made.append(
            _weights(
                Check(
                    "biases of unknown size",
                    len(unknown),
                    0.0,
                    "warn",
                    f"measure or leave out: {', '.join(unknown)}",
                )
            )
        )
    return BoltzmannCertificate(
        verdict=_verdict(made, x, observables),
        uncertainty=x,
        findings=tuple(made),
        observables=observables,
        bias_ledger=tuple(bias_ledger),
        energy_calls=energy_calls,
        gradient_calls=gradient_calls,
        seconds=seconds,
        record=dict(record or {}),
    )


def _verdict(findings: Sequence[Finding], x: float, observables: Observables) -> str:
    if any(f.part == "local" and f.check.status == "fail" for f in findings):
        return NOT
    if any(f.part == "weights" and f.check.status != "pass" for f in findings):
        return LOCALLY
    count = len(observables.listed)
    digits = 2 if x >= 0.01 else 3
    shown = math.ceil(x * 10**digits - 1e-9) / 10**digits  # 0.07 is no more than 0.07
    states = "state" if count == 1 else "states"
    return f"Boltzmann to ±{shown:.{digits}f} {observables.unit} on {count} listed {states}"


def _uncertainty(observables: Observables, thermal: Thermal, bias: float) -> float:
    """x, in the unit of the observables."""
    listed = observables.listed
    if not listed:
        return math.inf
    least = min(state.population.value for state in listed)
    extra = math.log(least / (least - bias)) if bias < least else math.inf
    if len(listed) == 1:
        low = listed[0].population.low
        width = math.log(listed[0].population.value / low) if low > 0 else math.inf
        return thermal.reported * (width + extra)
    return max(_half(s.free_energy) for s in listed[1:]) + thermal.reported * extra


def _half(interval: Interval) -> float:
    return interval.half_width if math.isfinite(interval.half_width) else math.inf


def _weights(check: Check) -> Finding:
    return Finding(check, "weights", "verdict")


def check_chemistry(wrong: float, *, what: str = "bond graph and stereo") -> Finding:
    """Draws that are not the molecule.

    Args:
        wrong: their share of the weight.
        what: was compared.
    """
    check = Check.at_most(
        f"share of draws of another molecule ({what})",
        wrong,
        0.0,
        advice="some draws have other bonds or another chirality: they are not of this molecule",
    )
    return Finding(check, "local", "chemistry")


def identity_hash(target: Mapping[str, Any]) -> str:
    """SHA-256 of what defines a target: level of theory, molecule, charge, temperature, units.

    Args:
        target: plain JSON; the order of keys does not matter.
    """
    ordered = _ordered(jsonable(target))
    return hashlib.sha256(dumps(ordered).encode()).hexdigest()


def _ordered(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _ordered(value[key]) for key in sorted(value)}
    return [_ordered(entry) for entry in value] if isinstance(value, list) else value
