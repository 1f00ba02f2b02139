"""The certificate: named checks, one verdict, and the record that makes a number repeatable.

No number leaves genmol without one. A :class:`Check` compares one value with one threshold and says
what to do when it does not hold; a :class:`Certificate` is as good as its worst check. It prints as
a table, saves as JSON, and sets the exit code: 0 for pass and warn, 3 for fail.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from genmol.core.jsonable import jsonable

__all__ = ["Certificate", "Check", "Status"]

Status = Literal["pass", "warn", "fail"]
_SEVERITY: dict[str, int] = {"pass": 0, "warn": 1, "fail": 2}


@dataclass(frozen=True)
class Check:
    """One value held against one threshold.

    Attributes:
        name: what was checked, with its unit, e.g. ``"orbital gradient norm (Hartree)"``.
        value: what was found; a value that is not a number never passes.
        threshold: the limit for a pass.
        status: the outcome.
        advice: what to do when the check does not pass; one sentence.
    """

    name: str
    value: float
    threshold: float
    status: Status
    advice: str

    def __post_init__(self) -> None:
        if self.status not in _SEVERITY:
            raise ValueError(f"got status {self.status!r}; wanted one of {', '.join(_SEVERITY)}")
        if math.isnan(self.value) and self.status != "fail":
            raise ValueError(
                f"check {self.name!r} has the value NaN and the status {self.status!r}"
            )

    @classmethod
    def at_most(
        cls, name: str, value: float, threshold: float, *, warn: float | None = None, advice: str
    ) -> Check:
        """Pass up to ``threshold``, warn up to the looser ``warn``, fail beyond; NaN fails.

        ``warn=math.inf`` makes a check that can warn but not fail, NaN excepted.
        """
        loose = float(threshold if warn is None else warn)
        if loose < threshold:
            raise ValueError(f"check {name!r}: warn = {loose:g} is stricter than {threshold:g}")
        value, threshold = float(value), float(threshold)
        return cls(name, value, threshold, _status(value <= threshold, value <= loose), advice)

    @classmethod
    def at_least(
        cls, name: str, value: float, threshold: float, *, warn: float | None = None, advice: str
    ) -> Check:
        """Pass down to ``threshold``, warn down to the looser ``warn``, fail below; NaN fails."""
        loose = float(threshold if warn is None else warn)
        if loose > threshold:
            raise ValueError(f"check {name!r}: warn = {loose:g} is stricter than {threshold:g}")
        value, threshold = float(value), float(threshold)
        return cls(name, value, threshold, _status(value >= threshold, value >= loose), advice)

    @classmethod
    def holds(cls, name: str, condition: bool, *, otherwise: Status = "fail", advice: str) -> Check:
        """Pass when ``condition`` is true (value and threshold are 1), else ``otherwise``."""
        return cls(name, float(condition), 1.0, "pass" if condition else otherwise, advice)

    def to_dict(self) -> dict[str, Any]:
        """Return JSON types; non-finite numbers become ``"nan"``, ``"inf"``, ``"-inf"``."""
        encoded = jsonable(self)
        assert isinstance(encoded, dict)
        return encoded

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Check:
        """Rebuild from :meth:`to_dict`."""
        value, threshold = float(data["value"]), float(data["threshold"])
        return cls(data["name"], value, threshold, data["status"], data["advice"])


def _status(passes: bool, tolerated: bool) -> Status:
    return "pass" if passes else "warn" if tolerated else "fail"


@dataclass(frozen=True)
class Certificate:
    """Checks and the record of how the answer was made.

    Attributes:
        checks: at least one check.
        record: versions and settings; whatever :func:`jsonable` takes, stored as plain JSON.
    """

    checks: tuple[Check, ...]
    record: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.checks:
            raise ValueError("got a certificate without checks, which would certify nothing")
        object.__setattr__(self, "checks", tuple(self.checks))
        object.__setattr__(self, "record", jsonable(self.record))

    @property
    def verdict(self) -> Status:
        """The worst status among the checks."""
        return max((check.status for check in self.checks), key=_SEVERITY.__getitem__)

    @property
    def exit_code(self) -> int:
        """0 for pass and warn, 3 for fail."""
        return 3 if self.verdict == "fail" else 0

    def to_dict(self) -> dict[str, Any]:
        """Return ``{"verdict", "checks", "record"}`` as JSON types."""
        checks = [check.to_dict() for check in self.checks]
        return {"verdict": self.verdict, "checks": checks, "record": dict(self.record)}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Certificate:
        """Rebuild from :meth:`to_dict`; the stored verdict must agree with the stored checks."""
        certificate = cls(tuple(map(Check.from_dict, data["checks"])), data["record"])
        if data["verdict"] != certificate.verdict:
            raise ValueError(
                f"got the verdict {data['verdict']!r} over checks that say {certificate.verdict!r}"
            )
        return certificate

    def table(self) -> str:
        """Return the certificate as plain text: one line a check, advice under those not passed."""
        width = max(len(check.name) for check in self.checks)
        lines = [f"{'check':<{width}}  {'value':>11}  {'threshold':>11}  status"]
        for check in self.checks:
            numbers = f"{check.value:>11.4g}  {check.threshold:>11.4g}"
            lines.append(f"{check.name:<{width}}  {numbers}  {check.status}")
            if check.status != "pass":
                lines.append(f"  -> {check.advice}")
        return "\n".join([*lines, f"verdict: {self.verdict}"])
