"""Pictures: well-formed, self-contained, showing every atom, and not mirrored."""

from __future__ import annotations

import re
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from chemcases import geometries, species

from genmol.chem.depiction import _projected, draw_conformer, draw_species
from genmol.chem.stereo import forms, specified_units
from genmol.chem.torsions import rotatable_torsions

MOLECULES = ["CC(=O)N[C@@H](C)C(=O)NC", "OCC#CCO", "[H][H]", "C[N+](=O)[O-]", "O"]
SVG = "{http://www.w3.org/2000/svg}"


def parsed(text: str) -> ET.Element:
    root = ET.fromstring(text)  # noqa: S314 -- our own
    assert root.tag == f"{SVG}svg"
    assert "http" not in text.replace("http://www.w3.org/2000/svg", "")
    for outside in ("<script", "<image", "href", " id=", "@import", "url("):
        assert outside not in text
    return root


@pytest.mark.parametrize("smiles", MOLECULES)
def test_a_drawing(smiles: str) -> None:
    one = species(smiles)
    root = parsed(draw_species(one, size=(200, 150)))
    assert (root.get("width"), root.get("height")) == ("200", "150")
    assert root.findtext(f"{SVG}title") == smiles
    plain, marked = draw_species(one), draw_species(one, torsions=rotatable_torsions(one))
    assert ("#F9BF59" in marked) == bool(rotatable_torsions(one))
    assert "#F9BF59" not in plain
    assert len(draw_species(one, indices=True)) > len(plain) or smiles == "[H][H]"


@pytest.mark.parametrize("smiles", MOLECULES)
def test_a_view(smiles: str) -> None:
    one, x = species(smiles), geometries(smiles, 1)[0]
    root = parsed(draw_conformer(one, x, title="basin <1>"))
    assert root.findtext(f"{SVG}title") == "basin <1>"
    names = [circle.findtext(f"{SVG}title") for circle in root.iter(f"{SVG}circle")]
    assert len([name for name in names if name]) == one.n_atoms
    assert len(list(root.iter(f"{SVG}line"))) == 4 * len(one.bonds)
    for circle in root.iter(f"{SVG}circle"):
        assert 0 <= float(str(circle.get("cx"))) <= 320
        assert 0 <= float(str(circle.get("cy"))) <= 240


def test_hydrogens_on_carbon_can_be_left_out() -> None:
    one, x = species("CCO"), geometries("CCO", 1)[0]
    text = draw_conformer(one, x, hydrogens=False)
    assert sorted(re.findall(r"<title>([A-Z]+\d+)</title>", text)) == ["C0", "C1", "H8", "O2"]


def test_near_is_drawn_after_far() -> None:
    one, x = species("CCO"), geometries("CCO", 1)[0]
    text = draw_conformer(one, x)
    depth = _projected(x, list(range(one.n_atoms)))[:, 2]
    order = [int(name) for name in re.findall(r"<title>[A-Z]+(\d+)</title>", text)]
    assert order == np.argsort(depth).tolist()


def test_the_view_is_turned_and_not_mirrored(rng: np.random.Generator) -> None:
    smiles = "C[C@H](O)F"
    one, x = species(smiles), geometries(smiles, 1)[0]
    units = specified_units(one.mol)
    for _ in range(8):
        q, _ = np.linalg.qr(rng.standard_normal((3, 3)))
        q *= np.linalg.det(q)
        seen = _projected(x @ q.T, list(range(one.n_atoms)))
        assert np.sign(forms(units, seen[None])) == np.sign(forms(units, x[None]))
        # and does not depend on how the frame lay
        np.testing.assert_allclose(seen, _projected(x, list(range(one.n_atoms))), atol=1e-8)
    spread = seen.std(axis=0)
    assert spread[0] >= spread[1] >= spread[2]
