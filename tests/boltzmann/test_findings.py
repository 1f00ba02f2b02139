"""Findings: power, families, and what is written down."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from genmol.boltzmann.findings import ALPHA, Fault, draws_needed, family, judged, left_out
from samplers.identities import Identity


def test_the_number_of_draws_is_that_of_nine_times_in_ten(rng: np.random.Generator) -> None:
    shift, sd = 0.1, 1.7
    needed = draws_needed(sd / math.sqrt(1000), 1000, Fault("shift", shift))
    assert needed == pytest.approx(
        ((stats.norm.ppf(1 - ALPHA / 2) + stats.norm.ppf(0.9)) * sd / shift) ** 2, rel=1e-3
    )
    z = shift / (sd / math.sqrt(needed)) + rng.normal(size=4000)
    seen = (2 * stats.norm.sf(np.abs(z)) < ALPHA).mean()
    assert abs(seen - 0.9) < 4 * math.sqrt(0.9 * 0.1 / 4000)


def one(value: float, error: float = 1.0, name: str = "a", degrees: int = 10_000) -> Identity:
    return Identity(name, value, 0.0, error, degrees)


def test_judged() -> None:
    finding = judged(
        one(4.0), section="s", part="local", draws=50, fault=Fault("f", 2.0), advice="do"
    )
    assert finding.check.status == "fail"
    assert finding.check.value == pytest.approx(2 * stats.norm.sf(4), rel=0.01)
    data = finding.to_dict()
    assert data["estimate"] == 4.0
    assert data["fault"] == "f"
    assert data["resolves"] == pytest.approx(4.5721)
    assert data["draws_needed"] == pytest.approx(50 * (4.5721 / 2) ** 2)
    assert judged(one(3.0), section="s", part="local", draws=50, advice="do").check.status == "pass"


def test_a_family_fails_as_seldom_as_one(rng: np.random.Generator) -> None:
    p = []
    for row in rng.standard_t(9, size=(500, 10)):
        members = [one(float(z), name=f"m{k}", degrees=9) for k, z in enumerate(row)]
        p.append(family("f", members, section="s", part="local", draws=9, advice="a").check.value)
    # P(min p · 10 < 0.05) = 1 − (1 − 0.005)¹⁰ = 4.9 %
    assert abs((np.array(p) < 0.05).mean() - 0.049) < 4 * math.sqrt(0.049 / 500)
    worst = family(
        "f", [one(1.0), one(-5.0, name="b")], section="s", part="local", draws=9, advice="a"
    )
    assert worst.check.name == "f: b (p-value)"
    assert worst.detail["tests"] == 2


def test_what_does_not_vary_is_no_test() -> None:
    nothing = family("f", [one(0.0, 0.0)], section="s", part="local", draws=9, advice="a")
    assert (nothing.check.status, nothing.part) == ("warn", "note")
    jump = family("f", [one(1.0, 0.0)], section="s", part="local", draws=9, advice="a")
    assert jump.check.status == "fail"
    fine = left_out("x", section="s", part="note", why="all is well", status="pass")
    assert fine.check.value == 1.0
    assert fine.to_dict()["part"] == "note"
