r"""One finding of a certificate: a check, what it would refute, and how many draws it needs to see it.

A test compares an average with what it must be. It fails when a correct set would deviate as much with
a probability below α = 0.001: a certificate makes about ten tests, so that about one correct run in a
hundred is flagged. Where many quantities are tested at once, the smallest of K p-values is multiplied
by K (Bonferroni; Holm's first step), and counts as one test.

A test that passes says only that a fault is not larger than it could see. So every test is made for a
named fault, which moves the average by δ, and says how many draws of the present kind find it nine times
in ten. With the standard error s of N draws,

.. math::
    N_\mathrm{needed} = N \Bigl(\frac{(z_{1-\alpha/2} + z_{0.9})\,s}{\delta}\Bigr)^2,
    \qquad z_{1-\alpha/2} + z_{0.9} = 3.291 + 1.282,

and N draws resolve the fault √(N_needed/N) times as large. With few runs Student's t takes the place of
the normal law in the test.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from genmol.core.certificate import Check, Status
from genmol.core.jsonable import jsonable
from samplers.identities import Identity

__all__ = ["ALPHA", "Fault", "Finding", "Part", "draws_needed", "family", "judged", "left_out"]

ALPHA = 0.001
"""Probability of a single test to fail a correct set; the smallest of a family counts as one."""

_POWER = 3.2905 + 1.2816

Part = Literal["local", "weights", "note"]
"""What a failure refutes: the law within each state, the weights of the states, or nothing."""


@dataclass(frozen=True)
class Finding:
    """A check of a certificate.

    Attributes:
        check: value, threshold and outcome.
        part: what a failure refutes; a warning about weights leaves them uncertain.
        section: of the certificate, such as ``"identities"``.
        detail: further numbers, plain JSON.
    """

    check: Check
    part: Part
    section: str
    detail: Mapping[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """The check with what is known beyond it, as JSON types."""
        detail = jsonable(self.detail)
        assert isinstance(detail, dict)
        return {"section": self.section, **self.check.to_dict(), "part": self.part, **detail}


@dataclass(frozen=True)
class Fault:
    """What a test is made to see.

    Attributes:
        words: such as ``"a temperature off by 5 %"``.
        shift: δ, in the unit of the average.
    """

    words: str
    shift: float


def draws_needed(error: float, draws: float, fault: Fault) -> float:
    """N_needed of the module's docstring.

    Args:
        error: standard error of the average.
        draws: that it was found from.
        fault: with its shift.
    """
    return draws * (_POWER * error / abs(fault.shift)) ** 2


def judged(
    identity: Identity,
    *,
    section: str,
    part: Part,
    draws: int,
    fault: Fault | None = None,
    tests: int = 1,
    advice: str,
) -> Finding:
    """An average against what it must be; the value of the check is the p-value.

    Args:
        identity: the average, with its error.
        section: of the certificate.
        part: what a failure refutes.
        draws: that the average was taken over.
        fault: that it is made to see.
        tests: size of the family of which this is the worst member.
        advice: what to do when it fails.
    """
    p = min(1.0, tests * identity.p_value)
    detail: dict[str, Any] = {
        "estimate": identity.value,
        "expected": identity.expected,
        "error": identity.error,
        "degrees": identity.degrees,
        "draws": draws,
        "tests": tests,
    }
    if fault is not None:
        needed = draws_needed(identity.error, draws, fault)
        detail |= {
            "fault": fault.words,
            "draws_needed": needed,
            "resolves": abs(fault.shift) * math.sqrt(needed / draws),
        }
    return Finding(
        Check.at_least(f"{identity.name} (p-value)", p, ALPHA, advice=advice), part, section, detail
    )


def family(
    name: str,
    members: Sequence[Identity],
    *,
    section: str,
    part: Part,
    draws: int,
    fault: Fault | None = None,
    advice: str,
) -> Finding:
    """The worst of several tests as one.

    Args:
        name: of the family.
        members: at least one; a member without error (nothing varied) is no test.
        section, part, draws, fault, advice: as for :func:`judged`.
    """
    moving = [m for m in members if m.error > 0 or m.value != m.expected]
    if not moving:
        return left_out(name, section=section, part="note", why="nothing varied")
    worst = min(moving, key=lambda m: m.p_value)
    named = Identity(
        f"{name}: {worst.name}", worst.value, worst.expected, worst.error, worst.degrees
    )
    return judged(
        named,
        section=section,
        part=part,
        draws=draws,
        fault=fault,
        tests=len(moving),
        advice=advice,
    )


def left_out(name: str, *, section: str, part: Part, why: str, status: Status = "warn") -> Finding:
    """A check that could not be made, or (``status="pass"``) has nothing to look at.

    Args:
        name: of the check.
        section: of the certificate.
        part: ``"weights"`` leaves the verdict uncertain, ``"note"`` does not matter.
        why: one sentence; also what to do.
        status: outcome.
    """
    value = 1.0 if status == "pass" else 0.0
    return Finding(Check(f"{name}: not made", value, 1.0, status, why), part, section)
