"""Pictures of molecules as SVG: a drawing of the species, and a view of a conformer.

Both are self-contained: no scripts, fonts, images or ids from elsewhere, so that any number of them can
stand in one HTML page. The view is a parallel projection along the axis of the smallest extent; what is
nearer is drawn later and larger.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from html import escape
from itertools import pairwise
from typing import Any

import numpy as np
from ase.data import chemical_symbols, covalent_radii
from ase.data.colors import jmol_colors
from jaxtyping import Float
from rdkit import Chem
from rdkit.Chem import rdDepictor
from rdkit.Chem.Draw import rdMolDraw2D

from genmol.chem.species import Species
from genmol.chem.torsions import Torsion, linear_chains

__all__ = ["draw_conformer", "draw_species"]

_HIGHLIGHT = (0.98, 0.75, 0.35)
_INK = "#333333"


def draw_species(
    species: Species,
    *,
    size: tuple[int, int] = (320, 240),
    torsions: Iterable[Torsion] = (),
    indices: bool = False,
) -> str:
    """A drawing (SVG) without hydrogens on carbon.

    Args:
        species: the molecule.
        size: width and height, pixels.
        torsions: whose axes to highlight.
        indices: whether to number the atoms as everywhere else, from 0.
    """
    mol = Chem.Mol(species.mol)
    for atom in mol.GetAtoms():
        atom.SetIntProp("_index", atom.GetIdx())
        if indices and atom.GetAtomicNum() > 1:
            atom.SetProp("atomNote", str(atom.GetIdx()))
    mol = Chem.RemoveHs(mol)
    place = {atom.GetIntProp("_index"): atom.GetIdx() for atom in mol.GetAtoms()}
    rdDepictor.Compute2DCoords(mol)
    bonds = [index for torsion in torsions for index in _axis(species, mol, place, torsion)]
    drawer = rdMolDraw2D.MolDraw2DSVG(*size)
    options: Any = drawer.drawOptions()
    options.clearBackground = False
    options.setHighlightColour(_HIGHLIGHT)
    options.fixedBondLength = 40  # pixels, at most: small molecules are not blown up
    rdMolDraw2D.PrepareAndDrawMolecule(drawer, mol, highlightAtoms=[], highlightBonds=bonds)
    drawer.FinishDrawing()
    body = re.search(r"<!-- END OF HEADER -->(.*)</svg>", drawer.GetDrawingText(), flags=re.S)
    return _svg(size, species.name, body[1] if body else "")


def draw_conformer(
    species: Species,
    positions: Float[np.ndarray, "n_atoms 3"],
    *,
    size: tuple[int, int] = (320, 240),
    hydrogens: bool = True,
    title: str | None = None,
) -> str:
    """A view (SVG) of balls and sticks, the widest side of the molecule lying across.

    Args:
        species: the molecule.
        positions: Å.
        size: width and height, pixels.
        hydrogens: whether to show those on carbon.
        title: shown by browsers when pointed at; the name of the species if not given.
    """
    shown = [i for i in range(species.n_atoms) if hydrogens or not _on_carbon(species, i)]
    x = _projected(np.asarray(positions, dtype=np.float64), shown)
    radii = 0.45 * np.sqrt(covalent_radii[species.numbers])
    low = (x[shown, :2] - radii[shown, None]).min(axis=0)
    high = (x[shown, :2] + radii[shown, None]).max(axis=0)
    scale = float((np.array(size) / (high - low)).min()) * 0.94
    scale = min(scale, 60.0)  # pixels per Å
    x = (x - [*(low + high) / 2, 0.0]) * [scale, -scale, 1.0] + [size[0] / 2, size[1] / 2, 0.0]
    depth = x[:, 2] - x[shown, 2].min()
    near = depth / max(float(depth[shown].max()), 1e-9)
    parts = []
    for i in shown:
        colour = _faded(jmol_colors[species.numbers[i]], near[i])
        radius = scale * radii[i] * (0.9 + 0.2 * near[i])
        parts.append((x[i, 2], _ball(x[i], radius, colour, _name(species, i))))
    for i, j in species.bonds:
        if i not in shown or j not in shown:
            continue
        middle, half = (x[i] + x[j]) / 2, float(np.linalg.norm(positions[i] - positions[j])) / 2
        for end in (i, j):
            colour = _faded(jmol_colors[species.numbers[end]], near[end])
            place = (3 * middle + x[end]) / 4
            # from the surface of the ball on, which a bond that points to the viewer does not cover
            start = x[end] + min(0.85 * radii[end] / half, 0.9) * (middle - x[end])
            parts.append((place[2] - 0.05, _stick(start, middle, 0.16 * scale, colour)))
    parts.sort(key=lambda part: part[0])
    return _svg(size, title or species.name, "\n".join(text for _, text in parts))


def _axis(species: Species, mol: Any, place: dict[int, int], torsion: Torsion) -> list[int]:
    """The bonds of a drawing that lie along a torsion's axis."""
    ends = torsion.atoms[1:3]
    chains = {(chain[0], chain[-1]): chain for chain in linear_chains(species)}
    path = chains.get(ends) or chains.get(ends[::-1]) or ends
    bonds = (mol.GetBondBetweenAtoms(place[i], place[j]) for i, j in pairwise(path))
    return [bond.GetIdx() for bond in bonds]


def _on_carbon(species: Species, i: int) -> bool:
    others = species.neighbours[i]
    return bool(species.numbers[i] == 1 and len(others) == 1 and species.numbers[others[0]] == 6)


def _projected(positions: np.ndarray, shown: list[int]) -> np.ndarray:
    """Turned, not mirrored, so that x is the widest and z the narrowest direction."""
    x = positions - positions[shown].mean(axis=0)
    _, _, axes = np.linalg.svd(x[shown], full_matrices=True)
    turned = x @ axes.T
    # which way round each axis points is arbitrary: the heavier tail to the right and to the top
    signs = np.where((turned[shown] ** 3).sum(axis=0) < -1e-9, -1.0, 1.0)
    signs[2] = np.linalg.det(axes) * signs[0] * signs[1]
    return np.asarray(turned * signs)


def _faded(colour: np.ndarray, near: float) -> str:
    """A colour as hex, mixed with white where it is far."""
    mixed = 1 - (1 - colour) * (0.55 + 0.45 * near)
    return "#" + "".join(f"{round(255 * float(part)):02x}" for part in mixed)


def _ball(x: np.ndarray, radius: float, colour: str, name: str) -> str:
    light = radius * 0.35
    return (
        f'<circle cx="{x[0]:.1f}" cy="{x[1]:.1f}" r="{radius:.1f}" fill="{colour}" stroke="{_INK}" '
        f'stroke-width="0.8"><title>{name}</title></circle>'
        f'<circle cx="{x[0] - light:.1f}" cy="{x[1] - light:.1f}" r="{radius * 0.25:.1f}" '
        'fill="#ffffff" fill-opacity="0.6"/>'
    )


def _stick(start: np.ndarray, end: np.ndarray, width: float, colour: str) -> str:
    line = f'x1="{start[0]:.1f}" y1="{start[1]:.1f}" x2="{end[0]:.1f}" y2="{end[1]:.1f}"'
    return (
        f'<line {line} stroke="{_INK}" stroke-width="{width + 1.6:.1f}"/>'
        f'<line {line} stroke="{colour}" stroke-width="{width:.1f}"/>'
    )


def _name(species: Species, i: int) -> str:
    return f"{chemical_symbols[species.numbers[i]]}{i}"


def _svg(size: tuple[int, int], title: str, body: str) -> str:
    width, height = size
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}" role="img">\n<title>{escape(title)}</title>\n{body.strip()}\n'
        "</svg>\n"
    )
