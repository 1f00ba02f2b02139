"""The basins of a sampled molecule as a table, with a view of each."""

from __future__ import annotations

from genmol.boltzmann.sampled import Sampled
from genmol.chem.depiction import draw_conformer
from genmol.core.units import EV_TO_KCAL_MOL
from genmol.plots.ensemble_basins import MOST_BASINS
from genmol.report.certified import others, states
from genmol.report.page import Column, Html, details, element, joined, section, table
from genmol.report.pictures import basin_pictures
from genmol.report.words import count

__all__ = ["basins", "given"]

_LARGE = 60  # atoms; hydrogens on carbon are left out of views of larger molecules


def basins(sampled: Sampled, names: tuple[str, ...]) -> Html:
    """Populations and free energies, views, torsion angles, and how the populations settled.

    Args:
        sampled: the molecule.
        names: of its shape coordinates.
    """
    seen, ensemble = sampled.certificate.observables, sampled.ensemble
    shown = min(len(seen.states), MOST_BASINS)
    chosen = sampled.representatives[:shown]
    above = (ensemble.energies[chosen] - ensemble.energies.min()) * EV_TO_KCAL_MOL
    views = [
        Html(
            draw_conformer(
                sampled.species, ensemble.positions[i].numpy(), size=(240, 180),
                hydrogens=sampled.species.n_atoms <= _LARGE, title=f"basin {k + 1}",
            )
        )
        for k, i in enumerate(chosen.tolist())
    ]  # fmt: skip
    delivered = [count(int((sampled.delivered_labels == k).sum())) for k in range(shown)]
    body = states(
        sampled.certificate,
        before=[(Column(""), views)],
        more=[
            (Column("lowest U / kcal/mol", number=True), [f"{u:.2f}" for u in above.tolist()]),
            (Column("delivered", number=True), delivered),
            *(
                [(Column("torsion angles"), [_angles(name) for name in sampled.names[:shown]])]
                if names
                else []
            ),
        ],
    )
    note = (
        f"Intervals hold the truth with {100 * seen.level:.0f} % probability ({seen.kind}, from "
        f"{seen.blocks} independent parts). Free energies are −kT ln(p/p₁). Lowest U is that of the draw "
        f"shown, above the lowest of all.{' Angles are the centres of the states.' if names else ''}"
    )
    return section(
        "Basins",
        element("p", note, class_="note"),
        body,
        others(sampled.certificate),
        _legend(names),
        _pictures(sampled),
    )


def _pictures(sampled: Sampled) -> Html:
    """Nothing for a molecule that has one basin."""
    seen, ensemble = sampled.certificate.observables, sampled.ensemble
    if len(seen.states) < 2:
        return Html("")
    return basin_pictures(
        seen.states,
        sampled.labels,
        ensemble.run,
        weights=ensemble.weights,
        level=seen.level,
        chains=ensemble.replicas is not None,
    )


def _legend(names: tuple[str, ...]) -> Html:
    """What τ1, τ2, ... are; a name is not broken at the end of a line."""
    if not names:
        return Html("")
    ends = [", "] * (len(names) - 1) + ["."]
    parts = (
        joined(element("span", name, class_="whole"), end)
        for name, end in zip(names, ends, strict=True)
    )
    return element("p", "Torsions by atoms: ", *parts, class_="note")


def _angles(name: str) -> Html:
    """``"+180 -65"`` as τ1 +180° τ2 −65°; other names as they are."""
    parts = name.split()
    if not all(part.lstrip("+-").isdigit() for part in parts):
        return joined(name)
    return joined(
        *(
            element(
                "span", element("b", f"τ{k + 1} "), f"{part}°".replace("-", "−"), class_="angle"
            )
            for k, part in enumerate(parts)
        )
    )


def given(sampled: Sampled) -> Html:
    """The conformers of a file by basin; empty without one."""
    if sampled.given is None:
        return Html("")
    energies = (sampled.given.energies - float(sampled.ensemble.energies.min())) * EV_TO_KCAL_MOL
    rows = [
        [f"{k}", "in none that was sampled" if b < 0 else f"{b + 1}", f"{u:.2f}"]
        for k, (b, u) in enumerate(
            zip(sampled.given.labels.tolist(), energies.tolist(), strict=True)
        )
    ]
    columns = [Column("frame", number=True), Column("basin"),
               Column("U above the lowest draw / kcal/mol", number=True)]  # fmt: skip
    listed = table(columns, rows, kind="narrow")
    return section(
        "Conformers given",
        listed if len(rows) <= MOST_BASINS else details(f"All {len(rows)} frames", listed),
    )
