"""Numbers as people read them."""

from __future__ import annotations

import math

import pytest

from genmol.boltzmann.intervals import Interval
from genmol.report.words import count, duration, energy, number, percent, quantity


def plain(text: str) -> str:
    return text.replace("\u00a0", " ").replace("\u202f", " ")


@pytest.mark.parametrize(
    ("share", "words"),
    [
        ((0.342, 0.31, 0.375), "34.2 % (31.0 to 37.5)"),
        ((0.0009, 0.0, 0.005), "0.09 % (0.00 to 0.50)"),
        ((0.5, 0.4999, 0.5001), "50.00 % (49.99 to 50.01)"),
        ((1.0, 0.97, 1.0), "100.0 % (97.0 to 100.0)"),
    ],
)
def test_shares(share: tuple[float, float, float], words: str) -> None:
    assert plain(percent(Interval(*share))) == words


def test_energies_have_a_minus_and_no_negative_zero() -> None:
    assert plain(energy(Interval(0.45, -0.2, 0.784))) == "0.45 (−0.20 to 0.78)"
    assert plain(energy(Interval(0.45, -0.001, math.inf))) == "0.45 (0.00 to ∞)"
    assert plain(energy(Interval(0.45, 0.441, 0.459))) == "0.450 (0.441 to 0.459)"
    assert plain(quantity(Interval(14.26, 9.8, 20.6))) == "14.3 (9.8 to 20.6)"


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (0.0, "0"), (1.0, "1"), (0.001, "0.001"), (0.55067, "0.551"), (64.77, "64.8"),
        (-0.25, "−0.25"), (8.395e-10, "8.4 × 10⁻¹⁰"), (-2e-7, "−2.0 × 10⁻⁷"), (1234.5, "1 234"),
        (98000.0, "98 000"), (3.21e7 + 0.5, "3.2 × 10⁷"), (math.inf, "∞"), (math.nan, "unknown"),
    ],
)  # fmt: skip
def test_numbers(value: float, words: str) -> None:
    assert plain(number(value)) == words


def test_counts_and_times() -> None:
    assert plain(count(1234567)) == "1 234 567"
    assert count(999) == "999"
    assert count(math.inf) == "∞"
    assert duration(23.71) == "23.7 s"
    assert duration(312.4) == "5 min 12 s"
    assert duration(59.99) == "60.0 s"
    assert duration(7500) == "2 h 05 min"
