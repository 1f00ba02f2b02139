"""The picture of a prediction shows its numbers and intervals, with or without a calibration."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure

from genmol.core.units import HARTREE_TO_EV
from genmol.plots.prediction import frontier_and_charges, save_prediction

ENERGIES = [-20.0, -1.2, -0.7, -0.6, -0.5, 0.05, 0.2, 0.9]
CHARGES = [-0.3, 0.2, 0.1]


def result(**changed: Any) -> dict[str, Any]:
    bars = {
        "orbital_energies_hartree": [[e - 0.01, e + 0.02] for e in ENERGIES],
        "mulliken_charges": [[q - 0.05, q + 0.05] for q in CHARGES],
    }
    return {
        "orbital_energies_hartree": ENERGIES,
        "n_occupied": 5,
        "mulliken_charges": CHARGES,
        "intervals": bars,
        "coverage": 0.95,
        "learned": {"model": "some-model"},
        "settings": {"functional": {"code": "pbe"}, "basis": "sto-3g"},
    } | changed


def bars(figure: Figure, panel: int) -> np.ndarray:
    """Ends of the error bars, from low to high x."""
    segments = [s for c in figure.axes[panel].containers if hasattr(c, "has_yerr")
                for s in c.lines[2][0].get_segments()]  # fmt: skip
    return np.array([s[:, 1] for s in sorted(segments, key=lambda s: s[0, 0])])


def test_levels_charges_and_their_intervals() -> None:
    figure = frontier_and_charges(result(), ["O", "H", "H"])
    levels, charges = figure.axes
    names = [t.get_text() for t in levels.get_xticklabels()]
    assert names == ["−3", "−2", "−1", "HOMO", "LUMO", "+1", "+2"]
    expected = HARTREE_TO_EV * np.array([[e - 0.01, e + 0.02] for e in ENERGIES[1:]])
    np.testing.assert_allclose(bars(figure, 0), expected)
    assert [t.get_text() for t in charges.get_xticklabels()] == ["O1", "H2", "H3"]
    assert [patch.get_height() for patch in charges.patches] == pytest.approx(CHARGES)
    np.testing.assert_allclose(bars(figure, 1), result()["intervals"]["mulliken_charges"])
    assert "95%" in figure.get_suptitle()
    assert "some-model" in figure.get_suptitle()


def test_without_a_calibration_there_are_no_bars() -> None:
    nothing = dict.fromkeys(result()["intervals"])
    figure = frontier_and_charges(result(intervals=nothing, coverage=None), ["O", "H", "H"])
    assert not len(bars(figure, 0))
    assert not len(bars(figure, 1))
    assert "interval" not in figure.get_suptitle()


def test_helium_in_a_minimal_basis_and_a_large_molecule(tmp_path: Any) -> None:
    lone = result(orbital_energies_hartree=[-0.9], n_occupied=1, mulliken_charges=[0.0],
                  intervals={})  # fmt: skip
    save_prediction(tmp_path / "helium.png", lone, ["He"])
    assert (tmp_path / "helium.png").stat().st_size > 5000
    many = result(mulliken_charges=[0.1] * 90, intervals={})
    assert len(frontier_and_charges(many, ["C"] * 90).axes[1].get_xticklabels()) == 30
