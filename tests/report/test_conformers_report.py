"""The page of a molecule says what was found, escapes what it is told, and needs nothing else."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
from reportcases import NASTY, RUNS, density, read, sampled, words

from genmol.boltzmann.certificate import LOCALLY, NOT, Bias
from genmol.report.conformers import coordinate_names, write_report
from genmol.report.density import _places, write_density_report
from genmol.report.words import percent


def spaced(text: str) -> str:
    return re.sub(r"\s+", " ", text)


def test_the_page_of_chains(tmp_path: Path) -> None:
    found = sampled()
    path = tmp_path / "new" / "report.html"
    write_report(found, path)
    page = path.read_text("utf-8")
    assert [p.name for p in path.parent.iterdir()] == ["report.html"]
    assert len(page) < 3_000_000
    reader = read(page)
    text = words(reader)
    # names and sentences of the user are text
    assert "<script" not in page
    for said in (NASTY, found.choice, "cheap <one>", "atoms on <top> of each other"):
        assert said in text
    # every basin with its population, in the order of the observables
    states = found.certificate.observables.states
    shown, rest = states[:12], states[12:]
    assert rest
    places = [text.index(spaced(percent(s.population))) for s in shown]
    assert places[0] == min(places)
    assert page.count('class="chip"') == len(shown)
    share = 100 * sum(s.population.value for s in rest)
    assert f"and {len(rest)} more with together {share:.1f} %" in text
    # a view of each, and what is delivered
    titles = re.findall(r"<title>(basin \d+)</title>", page)
    assert titles == [f"basin {k + 1}" for k in range(len(shown))]
    assert "100" in text
    # checks with their names, in words of the page
    names = coordinate_names(found.species)
    assert names == ("τ1 C2–C1–O0–H4", "τ2 O3–C2–C1–O0", "τ3 C1–C2–O3–H9")
    assert f"largest R-hat, of sin of {names[1]}" in text
    assert "run longer" in text
    assert "which takes 1 934 draws; there are 192" in spaced(text)
    for check in ("virial (p-value)", "effective draws", "share of draws of another molecule"):
        assert check in text
    assert "Nothing was done to the draws" in text
    # calls of each phase, of the checks, and all together
    for number in ("8 000", "90 000", "765", "98 765", "55 555", "12"):
        assert number in spaced(text)
    assert "600" in text
    assert "2, 2, 2, 2, 2, 2, 2, 2 by run, 16 together" in text
    assert "0123abcd" in text
    assert '"seed": 77' in text
    # torsions, populations with their course, energies, strips: one figure each; no weights
    figures = [tag for tag, name, _ in reader.attributes if tag == "svg" and name == "viewbox"]
    assert len(figures) == 1 + len(shown) + 3 + 4
    # the verdict has a colour and a word
    verdict = found.certificate.verdict
    assert verdict.startswith("Boltzmann to") or verdict == LOCALLY
    kind, sign = ("warn", "! WITH CARE") if verdict == LOCALLY else ("pass", "✓ TRUSTWORTHY")
    assert f'class="verdict {kind}"' in page
    assert sign in text
    assert verdict in text
    assert "Conformers given" in text


def test_the_page_of_a_weighted_population_that_fails(tmp_path: Path) -> None:
    ledger = (Bias("weights clipped", 0.02, "the largest <3>"), Bias("frames dropped", None, "4"))
    found = sampled(fails=True, weighted=True, ledger=ledger)
    write_report(found, tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text("utf-8")
    reader = read(page)
    text = words(reader)
    assert found.certificate.verdict == NOT
    assert 'class="verdict fail"' in page
    assert "✗ NOT TO BE USED" in text
    assert "forces & energies <disagree>" in text
    assert "the largest <3>" in text
    assert "unknown" in text
    assert "Temperatures" not in text
    # particles have no order: weights take the place of courses and strips
    states = len(found.certificate.observables.states)
    figures = [tag for tag, name, _ in reader.attributes if tag == "svg" and name == "viewbox"]
    assert len(figures) == 1 + min(states, 12) + 3 + 3


@pytest.mark.parametrize("labelled", [True, False])
def test_the_page_of_a_density(tmp_path: Path, labelled: bool) -> None:
    certificate, draws = density()
    write_density_report(
        "two <wells>",
        certificate,
        draws["energies"],
        draws["run"],
        draws["labels"] if labelled else None,
        draws["names"] if labelled else (),
        tmp_path / "report.html",
        notes={"method": "HMC & <more>"},
    )
    page = (tmp_path / "report.html").read_text("utf-8")
    reader = read(page)
    text = words(reader)
    assert "two <wells>" in text
    assert "HMC & <more>" in text
    assert certificate.verdict in text
    assert f"in {RUNS} runs" in text
    assert ("left & <wide>" in text) == labelled
    figures = [tag for tag, name, _ in reader.attributes if tag == "svg" and name == "viewbox"]
    assert len(figures) == (4 if labelled else 1)
    if labelled:
        for state in certificate.observables.states:
            assert spaced(percent(state.population)) in text


def test_a_molecule_with_one_basin_has_no_pictures_of_basins(tmp_path: Path) -> None:
    found = sampled("O water")
    assert found.names == ("all",)
    write_report(found, tmp_path / "report.html")
    reader = read((tmp_path / "report.html").read_text("utf-8"))
    figures = [tag for tag, name, _ in reader.attributes if tag == "svg" and name == "viewbox"]
    assert len(figures) == 1 + 1 + 1  # drawing, view and energies
    assert "torsion" not in words(reader)


def test_states_of_a_density_are_known_by_their_numbers() -> None:
    names = ("state 7", "state 0", "state 2")
    assert _places(torch.tensor([0, 2, 7, 7, 5]), names).tolist() == [1, 2, 0, 0, 3]
    assert _places(torch.tensor([0, 1, 2]), ("a", "b")).tolist() == [0, 1, 2]
