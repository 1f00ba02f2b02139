"""The page of a sampled molecule: what it is, how far to trust it, its basins, and what it cost."""

from __future__ import annotations

from pathlib import Path

from ase.data import chemical_symbols

from genmol.boltzmann.intervals import Interval
from genmol.boltzmann.sampled import Sampled
from genmol.chem.depiction import draw_species
from genmol.chem.inversions import Inversion
from genmol.chem.shapes import Coordinate, shape_coordinates
from genmol.chem.species import Species
from genmol.chem.torsions import rotatable_torsions
from genmol.core.files import atomic_write_text
from genmol.core.units import EV_TO_KCAL_MOL, KB
from genmol.report.basins import basins, given
from genmol.report.certified import Spelling, checks, ledger, record, verdict
from genmol.report.costs import calls, replicas
from genmol.report.page import Html, document, element, facts, joined, numbers, section
from genmol.report.pictures import run_pictures, torsions
from genmol.report.words import count, duration

__all__ = ["coordinate_names", "write_report"]

_LARGE = 18  # atoms without hydrogens; a drawing of more has the whole width
_ENDS = {
    "effective": "ended when there were enough draws",
    "draws": "ended at the largest number of draws",
    "calls": "ended by the budget of calls",
    "seconds": "ended by the budget of time",
    "calls or seconds": "ended by the budget",
    "potential": "ended by the potential",
}


def write_report(sampled: Sampled, path: Path) -> None:
    """Write the page, all or nothing: one HTML file without scripts that loads nothing.

    Args:
        sampled: the molecule.
        path: of the file.
    """
    species, certificate = sampled.species, sampled.certificate
    names = coordinate_names(species)
    spell = Spelling(names)
    page = document(
        f"{species.name}: conformers at {sampled.ensemble.temperature:g} K",
        _head(sampled),
        verdict(certificate, spell, _trouble(sampled)),
        _key_numbers(sampled, spell),
        basins(sampled, names),
        given(sampled),
        torsions(certificate.observables.histograms, sampled.folds, names),
        _runs(sampled),
        checks(certificate, spell),
        ledger(certificate),
        calls(sampled.ensemble, certificate),
        replicas(sampled.ensemble),
        _record(sampled),
    )
    atomic_write_text(path, page)


def coordinate_names(species: Species) -> tuple[str, ...]:
    """Of the shape coordinates, such as ``τ1 H6–O0–C1–C2``; atoms are numbered from 0."""

    def atom(i: int) -> str:
        return f"{chemical_symbols[species.numbers[i]]}{i}"

    def name(k: int, one: Coordinate) -> str:
        if isinstance(one, Inversion):
            return f"τ{k + 1} inversion of {atom(one.centre)}"
        ring = " (ring)" if one.barrier == "ring" else ""
        return f"τ{k + 1} {'–'.join(map(atom, one.atoms))}{ring}"

    return tuple(name(k, one) for k, one in enumerate(shape_coordinates(species)))


def _head(sampled: Sampled) -> Html:
    species, ensemble = sampled.species, sampled.ensemble
    level = "; ".join(
        f"{key}: {value}"
        for key, value in ensemble.level.items()
        if isinstance(value, str | int | float)
    )
    spin = "" if species.multiplicity == 1 else f"{species.multiplicity}"
    large = int((species.numbers > 1).sum()) > _LARGE
    drawing = draw_species(
        species,
        size=(1060, 420) if large else (332, 250),
        torsions=rotatable_torsions(species),
        indices=True,
    )
    return element(
        "header",
        element(
            "div",
            element("h1", species.name),
            element("p", f"Boltzmann conformers at {ensemble.temperature:g} K", class_="soft"),
            facts(
                {
                    "formula": species.formula,
                    "SMILES": element("code", species.smiles),
                    "charge": f"{species.charge:+d} e" if species.charge else "0",
                    "multiplicity": spin,
                    "potential": ensemble.potential,
                    "level of theory": level,
                    "temperature": f"{ensemble.temperature:g} K (kT = {_kt(sampled):.3f} kcal/mol)",
                    "method": sampled.choice
                    if ensemble.method in sampled.choice
                    else f"{ensemble.method}: {sampled.choice}",
                }
            ),
        ),
        element("div", Html(drawing), class_="drawing"),
        class_="head wide" if large else "head",
    )


def _trouble(sampled: Sampled) -> str:
    trouble = sampled.ensemble.trouble
    return f"The potential ended the run before its time: {trouble}" if trouble else ""


def _key_numbers(sampled: Sampled, spell: Spelling) -> Html:
    ensemble, certificate, delivered = sampled.ensemble, sampled.certificate, sampled.delivered
    seen, n = certificate.observables, delivered.ensemble.count
    copies = (
        "all different" if delivered.distinct == n else f"{count(delivered.distinct)} different"
    )
    energies, capacity = certificate.energy_calls, seen.heat_capacity
    ended = _ENDS.get(ensemble.stopped, f"ended by {ensemble.stopped}")
    tiles = [
        ("conformers delivered", count(n), f"of equal weight, {copies}"),
        ("effective draws", count(certificate.n_effective), f"limited by {spell(seen.limited_by)}"),
        ("independent runs", count(ensemble.runs), f"{count(ensemble.count)} draws together"),
        ("gradient calls", count(certificate.gradient_calls),
         f"and {count(energies)} energies, checks included"),
        ("time", duration(certificate.seconds), ended),
        ("basins", count(len(seen.states)), f"{len(seen.listed)} of 5 % or more"),
        ("mean energy", f"{seen.mean_energy.value:.2f} {seen.unit}",
         joined("above the lowest draw, ", _range(seen.mean_energy, 2))),
        ("heat capacity", joined(f"{capacity.value:.1f} k", element("sub", "B")),
         joined("configurational, ", _range(capacity, 1))),
    ]  # fmt: skip
    return section("Key numbers", numbers(tiles))


def _range(found: Interval, digits: int) -> Html:
    words = f"95 %: {found.low:.{digits}f} to {found.high:.{digits}f}"
    return element("span", words, class_="whole")


def _runs(sampled: Sampled) -> Html:
    ensemble = sampled.ensemble
    modes = 3 * sampled.species.n_atoms - 6
    return run_pictures(
        ensemble.energies * EV_TO_KCAL_MOL,
        ensemble.run,
        labels=sampled.labels if len(sampled.names) > 1 else None,
        weights=ensemble.weights,
        unit="kcal/mol",
        kT=_kt(sampled),
        modes=modes if modes > 0 else None,
        trips=ensemble.replicas.round_trips if ensemble.replicas is not None else (),
        chains=ensemble.replicas is not None,
    )


def _kt(sampled: Sampled) -> float:
    """kcal/mol."""
    return KB * sampled.ensemble.temperature * EV_TO_KCAL_MOL


def _record(sampled: Sampled) -> Html:
    ensemble, certificate = sampled.ensemble, sampled.certificate
    target = certificate.record.get("target", {})
    versions = certificate.record.get("versions", {})
    entries = {
        "target (SHA-256)": element("code", str(target.get("sha256", ""))),
        "seed": f"{ensemble.seed}",
        "versions": ", ".join(f"{k} {v}" for k, v in versions.items() if v),
        "draws": str(certificate.record.get("samples", {}).get("draws", "")),
    }
    return record(
        certificate,
        entries=entries,
        sampling={
            "method": ensemble.method,
            "settings": ensemble.settings,
            "seed": ensemble.seed,
            "stopped": ensemble.stopped,
            "notes": ensemble.notes,
        },
    )
