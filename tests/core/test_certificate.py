"""A certificate is as good as its worst check, NaN never passes, and JSON loses nothing."""

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from genmol.core.certificate import Certificate, Check

NUMBERS = st.floats(allow_nan=True, allow_infinity=True)
LIMITS = st.floats(allow_nan=False, allow_infinity=True)


def check(status: str) -> Check:
    return Check("gradient", 1.0, 1.0, status, "tighten the threshold")


@given(value=NUMBERS, limits=st.tuples(LIMITS, LIMITS))
def test_at_most_orders_pass_warn_fail(value, limits):
    strict, loose = sorted(limits)
    status = Check.at_most("x", value, strict, warn=loose, advice="a").status
    expected = "pass" if value <= strict else "warn" if value <= loose else "fail"
    assert status == expected


@given(value=NUMBERS, limits=st.tuples(LIMITS, LIMITS))
def test_at_least_mirrors_at_most(value, limits):
    strict, loose = sorted(limits)
    mirrored = Check.at_least("x", -value, -strict, warn=-loose, advice="a").status
    assert mirrored == Check.at_most("x", value, strict, warn=loose, advice="a").status


def test_without_a_warning_zone_the_threshold_decides():
    assert Check.at_most("x", 1.0, 1.0, advice="a").status == "pass"
    assert Check.at_most("x", np.nextafter(1.0, 2.0), 1.0, advice="a").status == "fail"
    assert Check.at_least("x", np.nextafter(1.0, 0.0), 1.0, advice="a").status == "fail"


@pytest.mark.parametrize("status", ["pass", "warn"])
def test_nan_cannot_be_declared_good(status):
    assert Check.at_most("x", math.nan, 1.0, warn=math.inf, advice="a").status == "fail"
    with pytest.raises(ValueError, match="NaN"):
        Check("x", math.nan, 1.0, status, "a")


def test_contradictory_limits_are_refused():
    with pytest.raises(ValueError, match="stricter"):
        Check.at_most("x", 0.0, 1.0, warn=0.5, advice="a")
    with pytest.raises(ValueError, match="stricter"):
        Check.at_least("x", 0.0, 1.0, warn=1.5, advice="a")


def test_holds():
    assert Check.holds("stable", True, advice="a").status == "pass"
    assert Check.holds("stable", False, advice="a").status == "fail"
    assert Check.holds("stable", False, otherwise="warn", advice="a").status == "warn"


@pytest.mark.parametrize(
    ("statuses", "verdict", "code"),
    [
        (["pass", "pass"], "pass", 0),
        (["pass", "warn", "pass"], "warn", 0),
        (["warn", "fail", "pass"], "fail", 3),
    ],
)
def test_verdict_is_the_worst_status(statuses, verdict, code):
    certificate = Certificate(tuple(map(check, statuses)))
    assert (certificate.verdict, certificate.exit_code) == (verdict, code)


def test_nothing_checked_certifies_nothing():
    with pytest.raises(ValueError, match="without checks"):
        Certificate(())


@given(value=NUMBERS, threshold=LIMITS)
def test_strict_json_round_trip(value, threshold):
    before = Certificate(
        (Check.at_most("x", value, threshold, advice="a"), check("warn")),
        {"grid": np.int64(3), "threshold": np.float64(1e-9), "gap": math.inf, "path": ("a", "b")},
    )
    text = json.dumps(before.to_dict(), allow_nan=False)
    after = Certificate.from_dict(json.loads(text))
    assert after.to_dict() == before.to_dict()
    assert after.record == {"grid": 3, "threshold": 1e-9, "gap": "inf", "path": ["a", "b"]}
    assert str(after.checks[0].value) == str(float(value))


def test_a_doctored_verdict_is_noticed():
    data = Certificate((check("fail"),)).to_dict()
    with pytest.raises(ValueError, match="'pass' over checks that say 'fail'"):
        Certificate.from_dict(data | {"verdict": "pass"})


def test_table_shows_every_check_and_advice_where_needed():
    good = Check.at_most("electron count", 1e-7, 1e-4, advice="use a finer grid")
    bad = Check.at_most("gradient", 2.5, 1e-4, advice="allow more cycles")
    lines = Certificate((good, bad)).table().splitlines()
    assert [line.split()[-1] for line in lines if line.startswith(("elec", "grad"))] == [
        "pass",
        "fail",
    ]
    assert "  -> allow more cycles" in lines
    assert not any("finer grid" in line for line in lines)
    assert lines[-1] == "verdict: fail"
