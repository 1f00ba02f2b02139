"""Intervals cover what they state, for any number of calibration molecules and any law of errors."""

from __future__ import annotations

import math

import numpy as np
import pytest

from genmol.scf.intervals import calibrate, fit_powers, half_width


def molecules(rng: np.random.Generator, n: int, numbers: int = 1) -> tuple[list, list, list]:
    """Errors with heavy tails that grow with the spread; within a molecule they belong together."""
    spreads, sizes = np.exp(rng.normal(-9, 0.7, n)), rng.integers(3, 20, n)
    scale = 40 * spreads**0.8 * np.exp(rng.normal(0, 0.4, n))
    errors = [s * rng.standard_t(3, numbers) for s in scale]
    return errors, spreads.tolist(), sizes.tolist()


@pytest.mark.parametrize(("n", "numbers"), [(19, 1), (40, 1), (99, 1), (40, 6)])
@pytest.mark.parametrize("powers", [(0.0, 0.0), (0.8, 0.0), (0.3, 0.5)])
def test_coverage(n: int, numbers: int, powers: tuple[float, float]) -> None:
    rng = np.random.default_rng(n + numbers)
    covered = []
    for _ in range(200):
        entry = calibrate(*molecules(rng, n, numbers), powers=powers)
        errors, spreads, sizes = molecules(rng, 20, numbers)
        covered += [
            np.abs(e) <= half_width(entry, s, m)
            for e, s, m in zip(errors, spreads, sizes, strict=True)
        ]
    rate = np.mean(covered)
    slack = 4 * 0.25 / math.sqrt(200 * 4)  # sampling error of the average over calibrations
    assert rate >= 0.95 - slack / 2
    assert rate <= 0.95 + 1.5 / (n + 1) + slack / 2


def test_too_few_molecules_promise_nothing(rng: np.random.Generator) -> None:
    entry = calibrate(*molecules(rng, 18))
    assert entry["factor"] is None
    assert half_width(entry, 1e-4, 5) == math.inf
    assert calibrate(*molecules(rng, 19))["factor"] is not None
    assert calibrate([], [], [])["factor"] is None


def test_one_molecule_in_twenty_may_be_infinitely_wrong(rng: np.random.Generator) -> None:
    errors, spreads, sizes = molecules(rng, 39)
    errors[3] = np.array([np.nan])
    assert calibrate(errors, spreads, sizes)["factor"] is not None
    errors[4] = np.array([np.inf])
    assert calibrate(errors, spreads, sizes)["factor"] is None


def test_the_largest_of_nineteen() -> None:
    errors = [float(i) for i in range(19)]
    entry = calibrate(errors, [1.0] * 19, [1] * 19, powers=(0.0, 0.0))
    assert entry == {
        "coverage": 0.95, "factor": 18.0, "powers": {"fock_spread": 0.0, "n_atoms": 0.0},
        "molecules": 19,
    }  # fmt: skip


def test_widths_follow_the_powers(rng: np.random.Generator) -> None:
    entry = calibrate(*molecules(rng, 50), powers=(0.5, 1.0))
    ratio = half_width(entry, 4e-4, 6) / half_width(entry, 1e-4, 3)
    assert ratio == pytest.approx(4.0)


def test_powers_are_found(rng: np.random.Generator) -> None:
    n = 400
    spreads, sizes = np.exp(rng.normal(-9, 1, n)), rng.integers(3, 30, n)
    errors = [
        3 * s**0.6 * m**0.3 * rng.normal(size=20) for s, m in zip(spreads, sizes, strict=True)
    ]
    p, q = fit_powers(errors, spreads.tolist(), sizes.tolist())
    assert p == pytest.approx(0.6, abs=0.05)
    assert q == pytest.approx(0.3, abs=0.1)
    assert fit_powers(errors[:3], spreads[:3].tolist(), sizes[:3].tolist()) == (0.0, 0.0)
    constant = fit_powers(errors[:9], [1e-4] * 9, [5] * 9)
    assert constant == (0.0, 0.0)


def test_frames_of_a_molecule_share_its_weight(rng: np.random.Generator) -> None:
    """Copies of one change nothing; as molecules of their own they would."""
    errors, spreads, sizes = molecules(rng, 60)
    worst = int(np.argmax(np.abs(errors) / np.sqrt(spreads)[:, None]))
    repeated = [[*x, *[x[worst]] * 9] for x in (errors, spreads, sizes)]
    names = [str(i) for i in (*range(60), *[worst] * 9)]
    once = calibrate(errors, spreads, sizes)
    assert calibrate(*repeated, molecules=names) == once
    assert calibrate(*repeated)["factor"] > once["factor"]
