"""What tests of pages share: a reader that knows open tags, and draws to report on."""

from __future__ import annotations

import math
import re
from functools import cache
from html.parser import HTMLParser
from typing import Any
from xml.etree import ElementTree as ET

import numpy as np
import torch

from genmol.boltzmann.basins import find_basins
from genmol.boltzmann.certificate import Bias, BoltzmannCertificate, certify
from genmol.boltzmann.check import Checked
from genmol.boltzmann.draws import Draws
from genmol.boltzmann.ensemble import Ensemble, Replicas, equal_weight
from genmol.boltzmann.findings import Finding, left_out
from genmol.boltzmann.intervals import Thermal
from genmol.boltzmann.observables import measure
from genmol.boltzmann.sampled import Sampled
from genmol.boltzmann.views import MoleculeView
from genmol.chem.conformers import embed
from genmol.chem.species import Species, species_from_smiles
from genmol.core.certificate import Check
from genmol.core.units import KB
from genmol.potentials.mmff import MMFF
from genmol.potentials.target import MoleculeTarget
from samplers.rng import Streams
from samplers.target import Calls

NASTY = "glycol <script>alert('x')</script> & \"co\""
RUNS, EACH = 8, 24
_VOID = {"meta", "br", "img", "link", "input", "hr"}


class Reader(HTMLParser):
    """Text, attributes, and whether every tag that opens is closed in its turn."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag not in _VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes += [(tag, name, value or "") for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def read(page: str) -> Reader:
    """The page, checked: balanced, well-formed, alone in the world, with every id once."""
    reader = Reader()
    reader.feed(page)
    reader.close()
    assert not reader.open
    ET.fromstring(page.removeprefix("<!DOCTYPE html>\n"))  # noqa: S314
    tags = {tag for tag, _, _ in reader.attributes}
    assert not tags & {"script", "link", "iframe", "object", "embed", "base", "form"}
    ids = [value for _, name, value in reader.attributes if name == "id"]
    assert len(ids) == len(set(ids))
    for tag, name, value in reader.attributes:
        assert not name.startswith("on"), name
        assert name != "src"
        if name.endswith("href"):
            assert value.startswith(("#", "data:image/png;base64,")), (tag, value)
        if value.startswith("#") and name.endswith("href"):
            assert value[1:] in set(ids)
        for inside in re.findall(r"url\(([^)]*)\)", value):
            assert inside.startswith("#")
    assert "@import" not in page
    assert "url(" not in page[page.index("<style>") : page.index("</style>")]
    assert set(re.findall(r"https?://[\w./]*", page)) <= {"http://www.w3.org/2000/svg"}
    return reader


def words(reader: Reader) -> str:
    """All text, its spaces plain."""
    return re.sub(r"\s+", " ", " ".join(reader.text))


@cache
def molecule(smiles: str) -> tuple[Species, torch.Tensor, torch.Tensor]:
    """A molecule, draws around its conformers (not Boltzmann ones) and their energies (eV)."""
    species = species_from_smiles(smiles)
    minima = torch.from_numpy(embed(species, 6, 1).positions)
    generator = torch.Generator().manual_seed(5)
    which = torch.randint(len(minima), (RUNS * EACH,), generator=generator)
    x = minima[which]
    x = x + 0.02 * torch.randn(x.shape, generator=generator)
    x = x - x.mean(dim=1, keepdim=True)
    target = MoleculeTarget(
        potential=MMFF(species.mol), numbers=torch.tensor(species.numbers.tolist()),
        temperature=300.0,
    )  # fmt: skip
    return species, x, -target.log_density(x) * KB * 300.0


def findings(*, fails: bool = False) -> list[Finding]:
    """One of each kind."""
    return [
        Finding(
            Check.at_least("virial (p-value)", 1e-7 if fails else 0.4, 0.001,
                           advice="forces & energies <disagree>"),
            "local", "identities",
            {"fault": "a temperature off by 5 %", "draws_needed": 1934.0, "draws": 192},
        ),
        Finding(Check.at_most("share of draws of another molecule", 0.0, 0.0, advice="no"),
                "local", "chemistry"),
        Finding(Check.at_most("largest R-hat, of sin of coordinate 1", 1.2, 1.01, warn=2.0,
                              advice="run longer"), "note", "agreement"),
        left_out("weights", section="weights", part="note", why="all weights are equal",
                 status="pass"),
    ]  # fmt: skip


def sampled(
    smiles: str = f"OCCO {NASTY}",
    *,
    fails: bool = False,
    weighted: bool = False,
    ledger: tuple[Bias, ...] = (),
) -> Sampled:
    """A small one, by chains of equal weight or by a weighted population."""
    species, x, u = molecule(smiles)
    m = len(u)
    run = torch.arange(RUNS).repeat_interleave(EACH)
    log_weights = torch.zeros(m)
    if weighted:
        log_weights = torch.randn(m, generator=torch.Generator().manual_seed(2))
    log_weights = log_weights - log_weights.logsumexp(dim=0)
    view = MoleculeView.of(species)
    copies = view.copies(x)
    basins = find_basins(copies, u, 300.0, folds=view.folds, weights=log_weights.exp())
    thermal = Thermal.molecule(300.0)
    observables = measure(
        Draws.of(m, runs=run, weights=log_weights.exp()), u, thermal,
        Streams.of(seed=1, chains=1), labels=torch.from_numpy(basins.labels), names=basins.names,
        angles=view.turned(copies), repeats=100,
    )  # fmt: skip
    certificate = certify(
        findings(fails=fails), observables, thermal, energy_calls=1234, gradient_calls=98765,
        seconds=312.0, bias_ledger=ledger,
        record={"target": {"sha256": "0123abcd"}, "versions": {"genmol": "9.9"},
                "check": {"energy_calls": 34, "gradient_calls": 765}},
    )  # fmt: skip
    replicas = None if weighted else Replicas((600.0, 300.0), (math.nan,), (2,) * RUNS,
                                              (0.03, 0.02), {"HMC": (0.8, 0.9)})  # fmt: skip
    ensemble = Ensemble(
        positions=x, energies=u, log_weights=log_weights, run=run,
        numbers=torch.tensor(species.numbers.tolist()), temperature=300.0, potential="MMFF94",
        level={"method": "MMFF94"}, method="sequential Monte Carlo" if weighted else "tempering",
        settings={"runs": RUNS}, seed=77, n_effective=observables.n_effective, limited_by="energy",
        stopped="effective", calls={"tuning": Calls(200, 8000), "sampling": Calls(1000, 90_000)},
        calls_of={"cheap <one>": Calls(5, 55_555)}, failures={"tuning": 12},
        reasons=("atoms on <top> of each other",), seconds=300.0, replicas=replicas,
    )  # fmt: skip
    delivered = equal_weight(ensemble, 100, np.random.default_rng(0))
    return Sampled.of(
        species, ensemble, delivered, Checked(certificate, basins, np.arange(m)),
        choice="a call costs 0.1 ms, so <tempering> is quickest", given=x[:2], given_energies=u[:2],
    )  # fmt: skip


def density() -> tuple[BoltzmannCertificate, dict[str, Any]]:
    """Certificate of draws of two normal wells, and the draws."""
    generator = torch.Generator().manual_seed(3)
    m = RUNS * EACH
    labels = (torch.rand(m, generator=generator) < 0.3).long()
    u = torch.randn(m, generator=generator).square() / 2
    run = torch.arange(RUNS).repeat_interleave(EACH)
    thermal = Thermal.reduced(1.0)
    names = ["left & <wide>", "right"]
    observables = measure(
        Draws.of(m, runs=run), u, thermal, Streams.of(seed=1, chains=1), labels=labels,
        names=names, repeats=100,
    )  # fmt: skip
    certificate = certify(
        findings(), observables, thermal, energy_calls=5, gradient_calls=6000, seconds=2.0,
        record={"target": {"sha256": "feed", "temperature": 1.0}},
    )  # fmt: skip
    return certificate, {"energies": u, "run": run, "labels": labels, "names": names}
