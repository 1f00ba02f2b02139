"""The parts of a page that any certificate has: verdict, checks, ledger of biases, states, record.

Check names speak of coordinates and basins as code counts them, from 0; a page calls them by their names
(:class:`Spelling`), and counts from 1.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from genmol.boltzmann.certificate import LOCALLY, NOT, BoltzmannCertificate
from genmol.boltzmann.findings import Finding
from genmol.core.certificate import Check
from genmol.core.jsonable import dumps
from genmol.plots.ensemble_basins import MOST_BASINS, basin_colour
from genmol.report.page import (
    Column,
    Html,
    details,
    element,
    facts,
    joined,
    section,
    status,
    table,
)
from genmol.report.words import count, energy, number, percent

__all__ = ["Spelling", "checks", "ledger", "others", "record", "states", "verdict"]

_NOT_MADE = ": not made"
_SECTIONS = {
    "target": "Target: the samples belong to this energy function",
    "identities": "Identities: averages that the Boltzmann law fixes",
    "invariance": "Invariance: further exact moves change nothing",
    "weights": "Weights: none counts for too much",
    "coverage": "Coverage: an independent search finds nothing new",
    "chemistry": "Chemistry: every draw is this molecule",
    "agreement": "Agreement: the runs say the same",
    "verdict": "Verdict: how much the draws can say",
}
_KINDS = {
    "pass": (
        "✓ TRUSTWORTHY",
        "Populations and free energies hold within their intervals; no check refutes them.",
    ),
    "warn": (
        "! WITH CARE",
        "Nothing speaks against the shape of each basin; how much each of them weighs is not certain.",
    ),
    "fail": (
        "✗ NOT TO BE USED",
        "A law that Boltzmann conformers obey is broken: this is not a thermal ensemble.",
    ),
}


@dataclass(frozen=True)
class Spelling:
    """What coordinates are called.

    Attributes:
        coordinates: names, in the order of :func:`genmol.chem.shapes.shape_coordinates`.
    """

    coordinates: tuple[str, ...] = ()

    def __call__(self, text: str) -> str:
        """Numbers of coordinates and basins replaced by what the page calls them."""
        text = re.sub(r"\b(?:of coordinate|torsion) (\d+)", self._coordinate, text)
        return re.sub(r"\bbasin (\d+)", lambda found: f"basin {int(found[1]) + 1}", text)

    def _coordinate(self, found: re.Match[str]) -> str:
        k = int(found[1])
        return f"of {self.coordinates[k]}" if k < len(self.coordinates) else found[0]


def verdict(certificate: BoltzmannCertificate, spell: Spelling, *more: str) -> Html:
    """The verdict in large, what it means, and what stands against more.

    Args:
        certificate: whose.
        spell: names.
        more: further paragraphs.
    """
    kind = {NOT: "fail", LOCALLY: "warn"}.get(certificate.verdict, "pass")
    word, meaning = _KINDS[kind]
    reasons = [f for f in certificate.findings if f.check.status != "pass"]
    listed = [
        element("li", element("strong", spell(f.check.name)), ": ", spell(f.check.advice))
        for f in sorted(reasons, key=lambda f: ("fail", "warn").index(f.check.status))
    ]
    parts = [element("p", "Remarks:" if kind == "pass" else "Reasons:")]
    return element(
        "section",
        element("p", word, class_="kind"),
        element("p", certificate.verdict, class_="words"),
        element("p", meaning),
        *([*parts, element("ul", *listed)] if listed else []),
        *(element("p", one) for one in more if one),
        class_=f"verdict {kind}",
    )


def checks(certificate: BoltzmannCertificate, spell: Spelling) -> Html:
    """All checks, by section."""
    order = [*_SECTIONS, *(f.section for f in certificate.findings if f.section not in _SECTIONS)]
    parts = []
    for name in dict.fromkeys(order):
        own = [f for f in certificate.findings if f.section == name]
        if own:
            columns = [Column("check"), Column("value", number=True),
                       Column("threshold", number=True), Column("outcome")]  # fmt: skip
            parts += [
                element("h3", _SECTIONS.get(name, name.capitalize())),
                table(columns, [_row(f, spell) for f in own], kind="checks"),
            ]
    note = (
        "A p-value is the probability that a correct ensemble deviates as much; below 0.001 a check "
        "fails. A check that passes has seen no fault larger than what its number of draws resolves."
    )
    return section("Checks", element("p", note, class_="note"), *parts)


def _row(finding: Finding, spell: Spelling) -> list[str]:
    check, said = finding.check, []
    skipped = check.name.endswith(_NOT_MADE)
    name = spell(check.name.removesuffix(_NOT_MADE))
    if check.status != "pass" or skipped:
        said.append(element("span", spell(check.advice), class_="advice"))
    if (power := _power(finding.detail)) and not skipped:
        said.append(element("span", power, class_="advice"))
    if skipped:
        outcome = status(check.status if check.status != "pass" else "not needed")
        return [joined(name, *said), "–", "–", outcome]
    return [joined(name, *said), number(check.value), _limit(check), status(check.status)]


def _power(detail: Mapping[str, Any]) -> str:
    """What a test can see; empty where it does not say."""
    if "fault" not in detail or not float(detail.get("draws_needed", 0)) > 0:
        return ""
    return (
        f"made to see {detail['fault']}, which takes {count(float(detail['draws_needed']))} draws; "
        f"there are {count(float(detail['draws']))}"
    )


def _limit(check: Check) -> str:
    """The threshold with its side, which a check does not say: it is told by value and outcome."""
    if check.value == check.threshold:
        below = check.threshold == 0
    else:
        below = (check.value < check.threshold) == (check.status == "pass")
    return f"{'≤' if below else '≥'}\u00a0{number(check.threshold)}"


def ledger(certificate: BoltzmannCertificate) -> Html:
    """What was done to the draws."""
    if not certificate.bias_ledger:
        said = "Nothing was done to the draws: none was clipped, filtered, dropped or repaired."
        return section("Bias ledger", element("p", said))
    rows = [
        [b.name, "unknown" if b.share is None else f"{number(100 * b.share)} %", b.what]
        for b in certificate.bias_ledger
    ]
    columns = [Column("bias"), Column("weight moved", number=True), Column("what was done")]
    return section("Bias ledger", table(columns, rows, kind="narrow"))


def states(
    certificate: BoltzmannCertificate,
    *,
    before: Sequence[tuple[Column, Sequence[str]]] = (),
    more: Sequence[tuple[Column, Sequence[str]]] = (),
) -> Html:
    """Populations and free energies of the states, twelve at most.

    Args:
        certificate: whose observables.
        before: further columns after the number, an entry for each state shown.
        more: further columns at the end.
    """
    seen = certificate.observables
    columns = [
        Column("basin"), *(c for c, _ in before), Column("population", number=True),
        Column(f"free energy / {seen.unit}", number=True), Column("effective draws", number=True),
        *(c for c, _ in more),
    ]  # fmt: skip
    rows = [
        [
            joined(_chip(k), f"{k + 1}"), *(entries[k] for _, entries in before),
            percent(s.population), energy(s.free_energy) if k else "0 (reference)",
            count(s.effective), *(entries[k] for _, entries in more),
        ]
        for k, s in enumerate(seen.states[:MOST_BASINS])
    ]  # fmt: skip
    return table(columns, rows, kind="basins")


def others(certificate: BoltzmannCertificate) -> Html:
    """What the table of states leaves out."""
    rest = certificate.observables.states[MOST_BASINS:]
    share = 100 * sum(state.population.value for state in rest)
    return element("p", f"and {len(rest)} more with together {share:.1f} %") if rest else Html("")


def _chip(state: int) -> Html:
    """The colour that a state has in all pictures."""
    return element("span", "", class_="chip", style=f"background:{basin_colour(state)}")


def record(certificate: BoltzmannCertificate, *, entries: Mapping[str, str], **more: Any) -> Html:
    """How to do it again.

    Args:
        certificate: whose record.
        entries: the most important ones.
        more: further JSON for the whole record.
    """
    everything = dumps({**certificate.record, **more}, indent=2)
    return section(
        "Record", facts(entries), details("The whole record", element("pre", everything))
    )
