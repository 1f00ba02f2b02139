"""Verdicts from findings, the ledger of biases, and what is written to JSON."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from typing import Any

import pytest

from genmol.boltzmann.certificate import (
    LOCALLY,
    NOT,
    Bias,
    BoltzmannCertificate,
    certify,
    check_chemistry,
    identity_hash,
)
from genmol.boltzmann.findings import Finding, left_out
from genmol.boltzmann.intervals import Interval, Thermal
from genmol.boltzmann.observables import Observables, StateOf
from genmol.core.certificate import Check
from genmol.core.jsonable import dumps

ROOM = Thermal.molecule(300.0)


def state(name: str, p: float, free: Interval) -> StateOf:
    return StateOf(name, Interval(p, 0.9 * p, 1.1 * p), free, 500.0)


OBSERVABLES = Observables(
    states=(
        state("a", 0.6, Interval(0.0, 0.0, 0.0)),
        state("b", 0.37, Interval(0.3, 0.25, 0.37)),
        state("c", 0.03, Interval(1.8, 1.0, math.inf)),
    ),
    mean_energy=Interval(5.0, 4.9, 5.1),
    heat_capacity=Interval(10.0, 9.0, 11.0),
    histograms=(),
    n_effective=800.0,
    limited_by="basin 1",
    blocks=32,
    kind="studentised",
    level=0.95,
    unit="kcal/mol",
)


def finding(status: str, part: str) -> Finding:
    check = Check("x", 0.5, 1.0, status, "do something")  # type: ignore[arg-type]
    return Finding(check, part, "s")  # type: ignore[arg-type]


def made(*findings: Finding, **changes: Any) -> BoltzmannCertificate:
    ledger = changes.pop("bias_ledger", ())
    return certify(
        findings,
        replace(OBSERVABLES, **changes),
        ROOM,
        energy_calls=10,
        gradient_calls=200,
        seconds=1.5,
        bias_ledger=ledger,
    )


def test_boltzmann() -> None:
    found = made(finding("pass", "local"), finding("warn", "note"))
    assert found.verdict == "Boltzmann to ±0.07 kcal/mol on 2 listed states"
    assert found.uncertainty == pytest.approx(0.07)
    assert (found.status, found.exit_code) == ("warn", 0)
    assert found.n_effective == 800


@pytest.mark.parametrize(
    ("status", "part", "verdict", "code"),
    [
        ("fail", "local", NOT, 3),
        ("fail", "weights", LOCALLY, 3),
        ("warn", "weights", LOCALLY, 0),
        ("warn", "local", "Boltzmann", 0),
    ],
)
def test_one_bad_finding(status: str, part: str, verdict: str, code: int) -> None:
    found = made(finding("pass", "local"), finding(status, part))
    assert found.verdict.startswith(verdict)
    assert found.exit_code == code


def test_too_little_is_uncertain() -> None:
    assert made(n_effective=60.0).verdict == LOCALLY
    wide = (OBSERVABLES.states[0], state("b", 0.37, Interval(0.3, -1.0, 1.7)))
    assert made(states=wide).verdict == LOCALLY
    opened = (OBSERVABLES.states[0], state("b", 0.37, Interval(0.3, 0.2, math.inf)))
    assert made(states=opened).uncertainty == math.inf
    scattered = tuple(state(str(k), 0.01, Interval(0.0, 0.0, 0.0)) for k in range(5))
    assert made(states=scattered).verdict == LOCALLY


def test_a_single_state() -> None:
    only = StateOf("all", Interval(1.0, 0.99, 1.0), Interval(0.0, 0.0, 0.0), 500.0)
    found = made(states=(only,))
    assert found.uncertainty == pytest.approx(-ROOM.reported * math.log(0.99))
    assert found.verdict == "Boltzmann to ±0.006 kcal/mol on 1 listed state"


def test_the_ledger() -> None:
    small = made(bias_ledger=(Bias("copies condensed", 0.0, "none"), Bias("dropped", 0.005, "few")))
    assert small.verdict.startswith("Boltzmann")
    extra = ROOM.reported * math.log(0.37 / (0.37 - 0.005))
    assert small.uncertainty == pytest.approx(0.07 + extra)
    large = made(bias_ledger=(Bias("weights clipped", 0.04, "the largest 2 %"),))
    assert (large.verdict, large.exit_code) == (LOCALLY, 3)
    unknown = made(bias_ledger=(Bias("chirality repaired", None, "by reflection"),))
    assert unknown.verdict == LOCALLY
    assert "chirality repaired" in unknown.table()


def test_chemistry() -> None:
    assert made(check_chemistry(0.0)).verdict.startswith("Boltzmann")
    assert made(check_chemistry(0.002)).verdict == NOT


def test_json() -> None:
    found = made(left_out("coverage", section="coverage", part="weights", why="no search"),
                 bias_ledger=(Bias("a", None, "b"),))  # fmt: skip
    data = json.loads(dumps(found.to_dict()))
    assert set(data) >= {
        "verdict", "checks", "n_effective", "energy_calls", "gradient_calls", "seconds", "bias_ledger",
    }  # fmt: skip
    assert data["verdict"] == LOCALLY
    assert data["status"] == "warn"
    assert data["bias_ledger"] == [{"name": "a", "share": None, "what": "b"}]
    assert data["observables"]["states"][2]["free_energy"]["high"] == "inf"
    assert data["checks"][0]["section"] == "coverage"
    assert found.table().splitlines()[-1] == f"verdict: {LOCALLY}"


def test_hash() -> None:
    one = identity_hash({"a": 1, "b": {"c": 2.0, "d": [1, 2]}})
    assert one == identity_hash({"b": {"d": [1, 2], "c": 2.0}, "a": 1})
    assert one != identity_hash({"a": 1, "b": {"c": 2.0, "d": [2, 1]}})
    assert len(one) == 64
