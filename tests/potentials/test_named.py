"""Potentials by name."""

from __future__ import annotations

import pickle

import pytest

from genmol.chem.species import species_from_smiles
from genmol.core.errors import InputError
from genmol.potentials.ase_calculator import AseCalculator
from genmol.potentials.dft import DFT
from genmol.potentials.gfn2 import Gfn2
from genmol.potentials.mmff import MMFF
from genmol.potentials.named import cheaper, named

METHANOL = species_from_smiles("CO")


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("mmff94", MMFF),
        ("MMFF94s", MMFF),
        ("gfn2", Gfn2),
        ("pbe/def2-svp", DFT),
        ("ase:ase.calculators.lj:LennardJones", AseCalculator),
    ],
)
def test_each_can_be_sent_to_another_process(name: str, kind: type) -> None:
    make = pickle.loads(pickle.dumps(named(name, METHANOL)))
    assert isinstance(make(), kind)


def test_solvents_and_options_arrive() -> None:
    assert "water" in named("gfn2", METHANOL, solvent="water")().name
    assert named("gfn2", METHANOL, options={"accuracy": 0.5})().accuracy == 0.5
    assert named("mmff94s", METHANOL)().name == "MMFF94s"


@pytest.mark.parametrize(
    ("name", "more", "message"),
    [
        ("gfn3", {}, "the potential 'gfn3'"),
        ("mmff94", {"solvent": "water"}, "gas phase"),
        ("gfn2", {"solvent": "beer"}, "beer"),
        ("gfn2", {"options": {"colour": 1}}, "options"),
        ("nonsense/def2-svp", {}, "nonsense"),
        ("ase:no.such:Thing", {}, "ase:MODULE:CLASS"),
        ("ase:math:pi", {}, "no class"),
    ],
)
def test_what_does_not_exist(name: str, more: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        named(name, METHANOL, **more)  # type: ignore[arg-type]


def test_cheaper_relatives() -> None:
    def names(name: str, smiles: str = "CO", **more: str) -> list[str]:
        return [make().name for make in cheaper(name, species_from_smiles(smiles), **more)]

    assert names("mmff94") == []
    assert names("gfn2") == ["MMFF94"]
    assert names("pbe/def2-svp") == ["GFN2-xTB", "MMFF94"]
    assert names("gfn2", solvent="water") == ["MMFF94"]
    assert names("gfn2", "C[B-](C)(C)C") == []  # no parameters in MMFF94
