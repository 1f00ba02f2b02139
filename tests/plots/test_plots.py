"""What the axes hold is what was given; scales, labels and files are right."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from genmol.core.errors import InputError
from genmol.core.units import HARTREE_TO_EV
from genmol.plots import style
from genmol.plots.scf import (
    convergence,
    convergence_and_levels,
    own_histories,
    save_convergence,
)

PLAIN = [(2, 1.0), (3, 0.1), (4, 1e-3), (5, 1e-5)]


def attempt(strategy: str, norms: list[float], builds: int) -> dict[str, Any]:
    return {"strategy": strategy, "gradient_norms": norms, "exact_builds": builds}


def result(**changes: Any) -> dict[str, Any]:
    data = {
        "attempts": [attempt("two-level", [1e-3, 1e-5], 2)],
        "settings": {
            "conv_tol": 1e-8,
            "functional": {"code": "pbe"},
            "basis": "def2-svp",
            "method": "RKS",
            "n_atoms": 3,
            "n_orbitals": 24,
        },
        "baselines": {"minao": PLAIN},
        "orbitals": {
            "energy_hartree": [-20.0, -0.5, -0.5, 0.1, 5.0],
            "occupation": [2, 2, 2, 0, 0],
        },
    }
    return data | changes


def test_convergence_shows_the_data() -> None:
    axes = convergence_and_levels(result()).axes[0]
    lines = {line.get_label(): line for line in axes.lines}
    np.testing.assert_array_equal(lines["genmol, two-level"].get_xydata(), [(1, 1e-3), (2, 1e-5)])
    np.testing.assert_array_equal(lines["PySCF from minao (its default)"].get_xydata(), PLAIN)
    assert axes.get_yscale() == "log"
    assert axes.get_xlabel() == "exact Fock builds"
    assert "Hartree" in axes.get_ylabel()
    assert axes.get_legend().get_texts()[0].get_text() == "genmol, two-level"


def test_threshold_is_the_root_of_the_energy_threshold() -> None:
    axes = convergence_and_levels(result()).axes[0]
    (line,) = (line for line in axes.lines if len(set(line.get_ydata())) == 1)
    assert line.get_ydata()[0] == pytest.approx(1e-4)
    assert any("1.0e-04" in text.get_text() for text in axes.texts)


def test_builds_count_on_from_attempt_to_attempt() -> None:
    attempts = [
        attempt("two-level", [1e-2, 5e-3], 2),
        attempt("damping", [], 0),
        attempt("plain", [0.1, 1e-6], 4),  # the first build and the final check have no |g|
        attempt("newton", [0.1, 1e-7], 9),
    ]
    histories = own_histories({"attempts": attempts})
    assert histories["two-level"] == [(1, 1e-2), (2, 5e-3)]
    assert list(histories) == ["two-level", "plain", "newton"]
    assert histories["plain"] == [(4, 0.1), (5, 1e-6)]
    assert histories["newton"] == [(15, 1e-7)]


def test_levels_show_the_orbitals_around_the_gap() -> None:
    axes = convergence_and_levels(result()).axes[1]
    heights = sorted(c.get_segments()[0][0][1] for c in axes.collections)
    np.testing.assert_allclose(heights, np.array([-0.5, -0.5, 0.1]) * HARTREE_TO_EV)
    texts = " ".join(text.get_text() for text in axes.texts)
    assert f"{0.6 * HARTREE_TO_EV:.2f} eV" in texts
    assert "1 core orbital below" in texts
    assert "eV" in axes.get_ylabel()


@pytest.mark.parametrize(
    ("energies", "occupations", "kinds", "columns"),
    [
        ([-0.5, -0.4, 0.2], [2, 1, 0], ["empty", "half filled", "occupied"], []),
        (
            [[-0.5, -0.4, 0.2], [-0.5, -0.1, 0.3]],
            [[1, 1, 0], [1, 0, 0]],
            ["empty", "occupied"],
            ["α", "β"],
        ),
        ([[-0.5], [0.1]], [[1], [0]], ["empty", "occupied"], ["α", "β"]),  # a hydrogen atom
    ],
)
def test_open_shells(energies: Any, occupations: Any, kinds: list[str], columns: list[str]) -> None:
    orbitals = {"energy_hartree": energies, "occupation": occupations}
    axes = convergence_and_levels(result(orbitals=orbitals)).axes[1]
    assert [text.get_text() for text in axes.get_legend().get_texts()] == kinds
    assert [label.get_text() for label in axes.get_xticklabels()] == columns


def test_report_alone_is_enough() -> None:
    data = result()
    del data["baselines"], data["orbitals"]
    assert len(convergence_and_levels(data).axes) == 1
    assert len(convergence({"a": PLAIN}, {}, threshold=1e-4).axes[0].lines) == 2


@pytest.mark.parametrize("suffix", [".png", ".pdf", ".svg"])
def test_saved_files(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"picture{suffix}"
    save_convergence(path, result())
    assert path.stat().st_size > 1000
    assert list(tmp_path.iterdir()) == [path]


def test_png_has_1200_pixels() -> None:
    header = style.png(convergence_and_levels(result()))[:24]
    assert header[:8] == b"\x89PNG\r\n\x1a\n"
    assert int.from_bytes(header[16:20]) == 1200


def test_unknown_suffix(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"\.png, \.pdf, \.svg"):
        save_convergence(tmp_path / "picture.txt", result())
    assert not list(tmp_path.iterdir())


def test_colours_differ() -> None:
    assert len(set(style.PALETTE)) == len(style.PALETTE) == len(style.MARKERS)
