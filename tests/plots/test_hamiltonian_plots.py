"""Pictures of learned Fock matrices hold the numbers they were given."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure

from genmol.plots.hamiltonian import (
    block_errors,
    fock_matrices,
    gradient_ladder,
    training_curves,
)
from genmol.plots.style import png, save

KINDS = [(0, "O", "s"), (0, "O", "p"), (0, "O", "p"), (0, "O", "p"), (1, "H", "s"), (2, "H", "s")]
RNG = np.random.default_rng(0)
TRUE = RNG.normal(size=(6, 6))
TRUE += TRUE.T


def images(figure: Figure) -> list[np.ndarray]:
    return [np.ma.filled(ax.images[0].get_array(), np.nan) for ax in figure.axes if ax.images]


def test_matrices_and_their_difference() -> None:
    error = 1e-4 * np.eye(6)
    figure = fock_matrices(TRUE + error, TRUE, KINDS)
    predicted, solved, difference = images(figure)[:3]
    np.testing.assert_allclose(predicted, TRUE + error)
    np.testing.assert_allclose(solved, TRUE)
    np.testing.assert_allclose(difference, 1e6 * error, atol=1e-6)
    assert "17 µEh" in figure.axes[2].get_title(loc="left")
    assert [t.get_text() for t in figure.axes[0].get_xticklabels()] == ["O", "H", "H"]
    shared = {figure.axes[i].images[0].norm.vmax for i in (0, 1)}
    assert len(shared) == 1


def test_a_perfect_prediction_can_be_drawn() -> None:
    assert png(fock_matrices(TRUE, TRUE, KINDS)).startswith(b"\x89PNG")
    assert png(block_errors(np.zeros((6, 6)), KINDS)).startswith(b"\x89PNG")


def test_blocks_are_means_over_their_elements() -> None:
    error = np.zeros((6, 6))
    error[0, 0] = 3e-6  # O s with itself
    error[1, 2] = error[2, 1] = 9e-6  # O p with O p: two of nine elements
    error[0, 4] = error[4, 0] = 4e-6  # O s with one of two H s
    error[4, 5] = error[5, 4] = 5e-6  # H s with the other H s
    on_site, between = images(block_errors(error, KINDS))[:2]
    labels = ["O s", "O p", "H s"]
    figure = block_errors(error, KINDS)
    assert [t.get_text() for t in figure.axes[0].get_yticklabels()] == labels
    assert on_site[0, 0] == pytest.approx(3.0)
    assert on_site[1, 1] == pytest.approx(2.0)
    assert on_site[2, 2] == 0.0
    assert np.isnan(between[0, 0])  # one oxygen has no partner
    assert np.isnan(on_site[2, 0])
    assert between[2, 0] == pytest.approx(2.0)
    assert between[2, 2] == pytest.approx(5.0)


def test_the_ladder_shows_every_molecule_and_path() -> None:
    starts = {"minao": [0.5, 0.9, 0.7], "learned": [0.02, 0.03, 0.1]}
    paths = {"minao": [(2, 0.7), (3, 0.1)], "learned + PySCF": [(2, 0.03), (3, 1e-3)]}
    left, right = gradient_ladder(starts, paths, threshold=3e-5).axes
    np.testing.assert_allclose(left.lines[0].get_xdata(), starts["minao"])
    np.testing.assert_allclose(left.lines[3].get_xdata(), [0.03, 0.03])  # the median
    assert [t.get_text() for t in left.get_yticklabels()] == ["minao", "learned"]
    drawn = {line.get_label(): line.get_xydata() for line in right.lines}
    np.testing.assert_allclose(drawn["learned + PySCF"], paths["learned + PySCF"])
    assert (left.get_xscale(), right.get_yscale()) == ("log", "log")


def test_training_curves_read_the_journal() -> None:
    def lines(start: float) -> list[dict[str, Any]]:
        training = [
            {"kind": "train", "step": i, "minutes": float(i), "mae": start / i} for i in (1, 2, 3)
        ]
        held = {"kind": "validation", "step": 3, "minutes": 3.0, "fock_mae": start / 2,
                "gradient_median": 0.1, "wrong": 0.25}  # fmt: skip
        return [*training, held]

    figure = training_curves({"minao": lines(3e-3), "sap": lines(6e-3)})
    fock, gradient, wrong = figure.axes
    drawn = {line.get_label(): line.get_xydata() for line in fock.lines}
    np.testing.assert_allclose(drawn["minao, training"], [(1, 3000), (2, 1500), (3, 1000)])
    np.testing.assert_allclose(drawn["sap, held out"], [(3, 3000)])
    np.testing.assert_allclose(gradient.lines[0].get_xydata(), [(3, 0.1)])
    np.testing.assert_allclose(wrong.lines[1].get_xydata(), [(3, 0.25)])


def test_files(tmp_path: Path) -> None:
    for suffix in ("png", "pdf", "svg"):
        save(fock_matrices(TRUE, 0.9 * TRUE, KINDS, title="x"), tmp_path / f"f.{suffix}")
        assert (tmp_path / f"f.{suffix}").stat().st_size > 1000
