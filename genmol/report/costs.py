"""What an ensemble cost, and how its temperatures worked together."""

from __future__ import annotations

import math
from collections.abc import Sequence

from genmol.boltzmann.certificate import BoltzmannCertificate
from genmol.boltzmann.ensemble import Ensemble
from genmol.report.page import Column, Html, element, section, table
from genmol.report.words import count, duration, number

__all__ = ["calls", "replicas"]


def calls(ensemble: Ensemble, certificate: BoltzmannCertificate) -> Html:
    """Calls by phase, with those of the checks, of other potentials, and failures."""
    rows = [
        [phase, count(c.energies), count(c.gradients), count(ensemble.failures.get(phase, 0))]
        for phase, c in ensemble.calls.items()
    ]
    energies, gradients = ensemble.energy_calls, ensemble.gradient_calls
    made = certificate.record.get("check", {})
    if made:
        spent = int(made.get("energy_calls", 0)), int(made.get("gradient_calls", 0))
        rows.append(["checks", *map(count, spent), ""])
        energies, gradients = energies + spent[0], gradients + spent[1]
    rest = certificate.energy_calls - energies, certificate.gradient_calls - gradients
    if min(rest) >= 0 and any(rest):
        rows.append(["all else", *map(count, rest), ""])
    total = [f"together, {duration(certificate.seconds)}", count(certificate.energy_calls),
             count(certificate.gradient_calls), count(sum(ensemble.failures.values()))]  # fmt: skip
    columns = [
        Column(f"calls of {ensemble.potential}"),
        *(Column(name, number=True) for name in ("energies", "with gradient", "failed")),
    ]
    parts = [table(columns, [*rows, total], total=True, kind="narrow")]
    if ensemble.calls_of:
        others = [
            [name, count(c.energies), count(c.gradients)] for name, c in ensemble.calls_of.items()
        ]
        columns = [Column("other potentials"), *columns[1:3]]
        parts.append(table(columns, others, kind="narrow"))
    if sum(ensemble.failures.values()):
        said = "A call fails where the potential has no energy; such a step is refused. "
        if ensemble.reasons:
            said += "Reasons: " + "; ".join(list(dict.fromkeys(ensemble.reasons))[:3]) + "."
        parts.append(element("p", said, class_="note"))
    if ensemble.refused > 0:
        parts.append(
            element(
                "p",
                f"{number(100 * ensemble.refused)} % of all trajectories ended in another molecule and "
                "were refused.",
                class_="note",
            )
        )
    return section("Calls", *parts)


def replicas(ensemble: Ensemble) -> Html:
    """Temperatures with their rates; empty for a method that has none."""
    found = ensemble.replicas
    if found is None:
        return Html("")
    kinds = list(found.acceptances)
    several = len(found.temperatures) > 1
    columns = [
        Column("T / K", number=True),
        *([Column("exchanged with the next", number=True)] if several else []),
        Column("HMC step / Å", number=True),
        *(Column(f"accepted: {kind}", number=True) for kind in kinds),
    ]
    rows = []
    for k, temperature in enumerate(found.temperatures):
        swap = [_share(found.swap_rates, k)] if several else []
        step = f"{found.step_sizes[k]:.4f}" if k < len(found.step_sizes) else "–"
        rows.append(
            [
                f"{temperature:.0f}",
                *swap,
                step,
                *(_share(found.acceptances[kind], k) for kind in kinds),
            ]
        )
    parts = [table(columns, rows, kind="narrow")]
    if found.round_trips:
        trips = ", ".join(count(n) for n in found.round_trips)
        parts.append(
            element(
                "p",
                f"Round trips to the hottest temperature and back: {trips} by run, "
                f"{count(sum(found.round_trips))} together.",
            )
        )
    return section("Temperatures" if several else "Moves", *parts)


def _share(rates: Sequence[float], k: int) -> str:
    known = k < len(rates) and math.isfinite(rates[k])
    return f"{100 * rates[k]:.0f} %" if known else "–"
