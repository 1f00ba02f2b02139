"""The page of a sampled density: a toy, or any log-density of a user."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

import torch
from jaxtyping import Float, Int
from torch import Tensor

from genmol.boltzmann.certificate import BoltzmannCertificate
from genmol.core.files import atomic_write_text
from genmol.report.certified import Spelling, checks, ledger, others, record, states, verdict
from genmol.report.page import Column, Html, document, element, facts, numbers, section
from genmol.report.pictures import basin_pictures, run_pictures
from genmol.report.words import count, duration, quantity

__all__ = ["write_density_report"]

_NO_NOTES: Mapping[str, str] = MappingProxyType({})


def write_density_report(
    title: str,
    certificate: BoltzmannCertificate,
    energies: Float[Tensor, " m"],
    run: Int[Tensor, " m"],
    labels: Int[Tensor, " m"] | None,
    names: Sequence[str],
    path: Path,
    *,
    weights: Float[Tensor, " m"] | None = None,
    notes: Mapping[str, str] = _NO_NOTES,
) -> None:
    """Write the page, all or nothing: one HTML file without scripts that loads nothing.

    Args:
        title: name of the density.
        certificate: of the draws.
        energies: U of each draw, in the unit of the certificate, up to a constant.
        run: independent run of each draw, each in its order.
        labels: state of each draw, None where there are none. The number of a state called "state 3"
            is 3, as in certificates of densities; states of other names have their place in ``names``.
        names: of the states, in the order of the certificate.
        path: of the file.
        weights: of the draws, of any sum; equal when None.
        notes: further facts for the head, such as method and settings.
    """
    spell, seen = Spelling(), certificate.observables
    target = certificate.record.get("target", {})
    versions = certificate.record.get("versions", {})
    parts = [
        element(
            "header",
            element("h1", title),
            element("p", "Draws of a Boltzmann density", class_="soft"),
            facts({**notes, "temperature": f"{target.get('temperature', '')}"}),
        ),
        verdict(certificate, spell),
        _key_numbers(certificate, spell, energies, run),
    ]
    called = tuple(names) or tuple(state.name for state in seen.states)
    places = None if labels is None or len(called) < 2 else _places(labels, called)
    if places is not None:
        shown = [(Column("name"), called)]
        parts += [
            section(
                "Basins",
                states(certificate, before=shown),
                others(certificate),
                basin_pictures(seen.states, places, run, weights=weights, level=seen.level),
            )
        ]
    parts += [
        run_pictures(energies, run, labels=places, weights=weights, unit=seen.unit),
        checks(certificate, spell),
        ledger(certificate),
        record(
            certificate,
            entries={
                "target (SHA-256)": element("code", str(target.get("sha256", ""))),
                "versions": ", ".join(f"{k} {v}" for k, v in versions.items() if v),
                "draws": str(certificate.record.get("samples", {}).get("draws", "")),
            },
        ),
    ]
    atomic_write_text(path, document(title, *parts))


def _places(labels: Tensor, names: Sequence[str]) -> Tensor:
    """Place of each draw's state among ``names``; what has none there comes after them."""
    numbered = [re.fullmatch(r"state (\d+)", name) for name in names]
    place = {int(found[1]): k for k, found in enumerate(numbered) if found is not None}
    if len(place) < len(names):
        place = {k: k for k in range(len(names))}
    return torch.tensor([place.get(label, len(names)) for label in labels.tolist()])


def _key_numbers(
    certificate: BoltzmannCertificate, spell: Spelling, energies: Tensor, run: Tensor
) -> Html:
    seen = certificate.observables
    tiles = [
        ("draws", count(len(energies)), f"in {count(len(run.unique()))} runs"),
        ("effective draws", count(certificate.n_effective), f"limited by {spell(seen.limited_by)}"),
        ("gradient calls", count(certificate.gradient_calls),
         f"and {count(certificate.energy_calls)} energies, checks included"),
        ("time", duration(certificate.seconds), ""),
        ("mean energy", quantity(seen.mean_energy, 2), f"{seen.unit}, above the lowest draw"),
        ("heat capacity", quantity(seen.heat_capacity, 1), "configurational, in units of k"),
    ]  # fmt: skip
    return section("Key numbers", numbers(tiles))
