"""Molecules that no score model of many molecules is trained on: those it is asked for."""

from __future__ import annotations

from typing import Final

__all__ = ["HELD_OUT"]

HELD_OUT: Final = {
    "ethanolamine": "NCCO",
    "propane-1,2-diol": "C[C@@H](O)CO",
    "(E)-but-2-en-1-ol": "C/C=C/CO",
    "2-(methylthio)ethanol": "CSCCO",
    "tetrahydrofuran": "C1CCOC1",
    "chloroacetic-acid": "O=C(O)CCl",
    "2-fluoroethanol": "OCCF",
    "ethyl-acetate": "CCOC(C)=O",
    "N-ethylacetamide": "CCNC(C)=O",
    "2-fluoropropanamide": "C[C@H](F)C(N)=O",
}
"""Those of ``data/conformers/held_out.smi``."""
