"""The psm benchmark's arithmetic on rows made by hand, its file and its tables."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from genmol.benchmark import psm as module
from genmol.benchmark.psm import (
    PSM_SECTIONS,
    SYSTEMS,
    Places,
    PsmPlan,
    full_psm,
    measure_psm,
    psm_store,
    quick_psm,
)
from genmol.benchmark.psm_data import MOLECULES
from genmol.benchmark.psm_expensive import EXPENSIVE
from genmol.benchmark.psm_molecules import HELD_OUT
from genmol.benchmark.psm_tables import psm_markdown, psm_targets_of
from genmol.benchmark.psm_targets import contests, psm_targets
from genmol.benchmark.store import load
from genmol.cli.main import main
from genmol.core.errors import InputError
from samplers.toys import TOYS

Rows = dict[str, dict[str, Any]]

WANTED = {
    "mixture": ("0", "1"),
    "data": tuple(
        f"{name} {n} {rule} {seed}"
        for name in ("dw4", "lj13", "ethanol")
        for n in (100, 1000)
        for rule in ("springs", "denoising")
        for seed in (0, 1)
    ),
    "biased": ("springs 0", "denoising 0"),
    "cost": ("lj13", "dw4"),
    "bands": ("lj13",),
    "time": ("lj13", "lj55 training"),
    "expensive": ("ethanol 0", "ethanol 1"),
    "amortised": ("a", "b", "c"),
}


def mixed(smooth: float = 0.1, modes: float = 0.1) -> dict[str, Any]:
    errors = {"smooth": smooth, "modes": modes, "piecewise": 0.2, "denoising": 0.5}
    return {"steps": 9, "levels": [0.1, 1.0],
            "errors": {rule: [0.1, error] for rule, error in errors.items()}}  # fmt: skip


def learnt(key: str, better: float = 2.0) -> dict[str, Any]:
    name, frames, rule, seed = key.split(" ")
    value = (1.0 if rule == "springs" else better) * (1 + 0.1 * int(seed))
    metrics = {"distance_tv": value, "energy_w2": value}
    floor = dict.fromkeys(metrics, 0.1)
    return {"system": name, "frames": int(frames), "rule": rule, "seed": int(seed), "inside": 1.0,
            "metrics": metrics, "floor": floor}  # fmt: skip


def data(**better: float) -> dict[str, Any]:
    return {key: learnt(key, better.get(key.split(" ")[0], 2.0)) for key in WANTED["data"]}


def biased(**changes: Any) -> dict[str, Any]:
    row = {"rule": "springs", "data": 0.9, "plain": [0.85, 0.84, 0.86], "truth": 0.5177, "sigmas": 1.0,
           "corrected": [0.51, 0.49, 0.53], "inside": True, "n_effective": 900.0,
           "effective_share": 0.3, "pareto_k": 0.4}  # fmt: skip
    return row | changes


def cost(calls: float) -> dict[str, Any]:
    ours = {"calls_per_effective": calls, "by_weights": True, "effective_share": 0.5,
            "limited_by": "energy", "calls_before": 0, "n_effective": 999.0}  # fmt: skip
    return {"ours": ours, "tuned HMC": {"gradients_per_effective": 157.0}, "break_even": "inf",
            "plain HMC": {"gradients_per_effective": 400.0}, "training_calls": 1000}  # fmt: skip


def looped() -> dict[str, Any]:
    return {"minutes": 5.0, "energies": 6144, "gradients": 97124, "shares": [0.228, 0.635],
            "pareto_k": "inf", "chains_effective": 245.2, "break_even": 246.1}  # fmt: skip


def bands(w2: float = 0.5) -> dict[str, Any]:
    floor = {"low": 0.2, "median": 0.4, "high": 0.6}
    found = {"energy_w2": w2, "distance_tv": 0.4, "populations": 0.4}
    return {"n": 1000, "floor": dict.fromkeys(found, floor), "found": found, "distinct": 3000}


def spent(seconds: float = 60.0, peak: float = 900.0) -> dict[str, Any]:
    return {
        "lj13": {
            "seconds": seconds,
            "sampling_seconds": seconds,
            "states": 1000,
            "processes": 2,
            "ours": {"method": "psm"},
        },
        "lj55 training": {"peak_mib": peak, "steps": 9, "frames": 1000},
    }


def dear(trans: float = 0.6, half: float = 0.05, **changes: Any) -> dict[str, Any]:
    row = {"molecule": "ethanol", "calls": 492, "level": "PBE/def2-svp",
           "reweighting": {"share": 0.4, "spread_kt": 0.9}, "direct": {"share": 0.02, "spread_kt": 2.5},
           "states": {"t": [trans, trans - half, trans + half],
                      "g+": [1 - trans, 1 - half - trans, 1 + half - trans]}}  # fmt: skip
    return row | changes


def amortised(ours: Any = 4.0, delayed: float = 9.0) -> dict[str, Any]:
    return {
        "molecules": 40,
        "ours": {"inside": 0.731, "effective_share": 0.0123, "pareto_k": 0.6,
                 "calls_per_effective": ours},
        "delayed": {"calls_per_effective": delayed, "after_burn_in": 5.5},
        "tempering": {"calls_per_effective": "inf"},
    }  # fmt: skip


def good() -> Rows:
    rows: Rows = {
        "mixture": {"0": mixed(), "1": mixed()},
        "data": data(),
        "biased": {"springs 0": biased(), "denoising 0": biased(rule="denoising", sigmas=9.0)},
        "cost": {"lj13": cost(40.0), "dw4": cost(1.4)},
        "loop": {"dw4": looped()},
        "bands": {"lj13": bands()},
        "time": spent(),
        "expensive": {"ethanol 0": dear(), "ethanol 1": dear(0.62)},
        "amortised": {key: amortised() for key in WANTED["amortised"]},
    }
    for row in (row for section in rows.values() for row in section.values()):
        row["machine"] = 0
    return rows


def missed(**changes: dict[str, Any]) -> list[str]:
    found = psm_targets({**good(), **changes}, WANTED)
    return [target.quantity for target in found if target.verdict == "missed"]


class TestTargets:
    def test_nothing_measured(self) -> None:
        assert {t.verdict for t in psm_targets({}, WANTED)} == {"incomplete"}

    def test_all_met(self) -> None:
        found = psm_targets(good(), WANTED)
        assert len(found) == 18
        assert {t.verdict for t in found} <= {"must", "goal"}
        assert sum(t.verdict == "goal" for t in found) == 9

    def test_a_model_of_many_molecules_need_not_win(self) -> None:
        rows = {"a": amortised(), "b": amortised("inf"), "c": amortised(9.5)}
        found = psm_targets({**good(), "amortised": rows}, WANTED)[-1]
        assert (found.verdict, found.note) == ("must", "fewer calls for 1 of 3")
        assert found.value == pytest.approx(9.5 / 9)

    @pytest.mark.parametrize(
        ("section", "rows", "word"),
        [
            ("mixture", {"0": mixed(0.21), "1": mixed(0.21)}, "mixture"),
            ("mixture", {"0": mixed(modes=0.21), "1": mixed(modes=0.21)}, "mixture"),
            ("biased", {"springs 0": biased(sigmas=3.1)}, "from the truth"),
            ("biased", {"springs 0": biased(pareto_k=0.8)}, "Pareto"),
            ("cost", {"lj13": cost(265.0), "dw4": cost(1.0)}, "LJ13"),
            ("cost", {"lj13": cost(math.inf)}, "LJ13"),
            ("bands", {"lj13": bands(0.61)}, "energy W2"),
            ("time", spent(seconds=121.0), "seconds"),
            ("time", spent(peak=4097.0), "memory"),
            ("expensive", {"ethanol 0": dear(reweighting={"share": 0.09}), "ethanol 1": dear()},
             "effective share"),
            ("expensive", {"ethanol 0": dear(), "ethanol 1": dear(calls=501)}, "calls, maximum"),
            ("expensive", {"ethanol 0": dear(0.5), "ethanol 1": dear(0.61)}, "of a population"),
            ("expensive", {"ethanol 0": dear(half=0.2), "ethanol 1": dear(0.75, half=0.2)},
             "of a free energy"),
        ],
    )  # fmt: skip
    def test_each_is_missed_alone(self, section: str, rows: dict[str, Any], word: str) -> None:
        (found,) = missed(**{section: rows})
        assert word in found

    def test_one_system_of_three_may_not_be_worse(self) -> None:
        found = missed(data=data(dw4=0.5))
        assert len(found) == 2
        assert "100 frames" in found[0]
        assert "behind" in found[1]

    def test_within_the_spread_is_not_behind(self) -> None:
        (found,) = missed(data=data(dw4=0.99))
        assert "100 frames" in found

    def test_a_quick_run_is_not_judged(self) -> None:
        few = {key: row for key, row in data(dw4=0.1).items() if key.startswith("dw4 100")}
        verdicts = {t.verdict for t in psm_targets({"data": few}, WANTED) if t.value is not None}
        assert verdicts == {"few"}
        single = {"mixture": {"0": mixed(smooth=9.0)}}
        assert psm_targets(single, WANTED)[0].verdict == "few"

    def test_skipped_rows_are_no_rows(self) -> None:
        rows = data()
        skipped = {key: {"skipped": "no --data"} for key in rows if key.startswith("ethanol")}
        (_, share, *_) = psm_targets({**good(), "data": rows | skipped}, WANTED)
        assert (share.value, share.rows, share.wanted, share.verdict) == (1.0, 2, 3, "few")

    def test_what_is_infinitely_bad_loses(self) -> None:
        rows = {key: row for key, row in data().items() if key.startswith("dw4 100")}
        rows["dw4 100 denoising 0"]["metrics"]["energy_w2"] = "inf"
        assert contests(rows)["dw4", 100].gain > math.log(2.0)
        for row in rows.values():
            row["metrics"] = {"energy_w2": math.inf}
        assert contests(rows)["dw4", 100].gain == 0.0


def test_plans() -> None:
    full, quick = full_psm(), quick_psm()
    for plan in (full, quick):
        assert set(plan.keys) == set(PSM_SECTIONS)
        assert set(plan.keys["cost"]) <= set(plan.gradients)
        assert len(psm_targets({}, {str(s): keys for s, keys in plan.keys.items()})) > 5
    assert all(set(quick.keys[s]) <= set(full.keys[s]) for s in PSM_SECTIONS)
    assert not quick.keys["expensive"]
    assert not quick.keys["amortised"]
    listed = Path(__file__).parents[2] / "data/conformers/held_out.smi"
    assert [line.split(" ", 1) for line in listed.read_text().splitlines()] == [
        [smiles, name] for name, smiles in HELD_OUT.items()
    ]
    assert not quick.keys["loop"]
    assert len(full.keys["data"]) == 7 * 2 * 2 * 3
    assert set(SYSTEMS) - set(TOYS) == set(MOLECULES)
    assert {key.rsplit(" ", 1)[0] for key in full.keys["expensive"]} == set(EXPENSIVE)


TINY = PsmPlan("quick", {"time": ("a",), "mixture": ("0",), "cost": ("b", "c")}, {"": 0.02})


class TestFile:
    @pytest.fixture
    def made(self, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
        calls: list[tuple[str, str]] = []

        def make(task: tuple[str, str], *, plan: PsmPlan, places: Places) -> dict[str, Any]:
            calls.append(task)
            return {"skipped": "no model"} if task[1] == "c" else {"cache": str(places.cache)}

        monkeypatch.setattr(module, "psm_row", make)
        return calls

    def test_resume_makes_what_is_missing_or_was_skipped(
        self, tmp_path: Path, made: list[tuple[str, str]]
    ) -> None:
        path, places = tmp_path / "b.json", Places(tmp_path / "b")
        measure_psm(TINY, path, places=places)
        # what is timed comes last
        assert made == [("mixture", "0"), ("cost", "b"), ("cost", "c"), ("time", "a")]
        with pytest.raises(InputError, match="exists"):
            measure_psm(TINY, path, places=places)
        found = measure_psm(TINY, path, places=places, resume=True)
        assert made[4:] == [("cost", "c")]
        assert found == load(path, benchmark="psm")
        assert found["rows"]["cost"]["b"] == {
            "cache": str(tmp_path / "b"), "scope": "quick", "machine": 0
        }  # fmt: skip
        # a training is longer in a full run
        for _ in range(2):
            full = replace(TINY, scope="full", keys={"mixture": ("0",)})
            measure_psm(full, path, places=places, resume=True)
        assert made[5:] == [("mixture", "0")]

    def test_tables_and_exit_codes(
        self, tmp_path: Path, made: list[tuple[str, str]], capsys: pytest.CaptureFixture[str]
    ) -> None:
        path = tmp_path / "b.json"
        content = psm_store(path, scope="quick").data
        content |= {"machines": [{"processor": "Eniac", "cores": 2}], "rows": good()}
        content["rows"]["cost"]["lj55"] = {"skipped": "no model", "machine": 0}
        path.write_text(json.dumps(content))
        text = psm_markdown(content)
        assert not made
        for words in ("**springs** by 2", "10 ± 0", "| 2.1 ± 0.14 | springs |", "0.510 [0.490, 0.530]",
                      "weights (50%)", "∞", "peak memory 900", "2.0%", "t 0.600 [0.550, 0.650]",
                      "22.8%, 63.5%", "a | 73.1% | 1.23% | 0.6 | 4 | 9 (5.5) | ∞ |",
                      "Skipped in cost: lj55 (no model).", "stated · 10"):  # fmt: skip
            assert words in text, words
        assert len(psm_markdown(content, details=False)) < len(text) / 2
        assert all(target.wanted for target in psm_targets_of(content))
        assert main(["benchmark", "psm", "--table", str(path)]) == 0
        assert capsys.readouterr().out == text
        content["rows"]["biased"]["springs 0"]["sigmas"] = 4.0
        path.write_text(json.dumps(content))
        assert main(["benchmark", "psm", "--table", str(path)]) == 3
        assert "**MISSED** |" in capsys.readouterr().out
        for options in (["--only", "warm"], ["--data", str(tmp_path / "nowhere")]):
            assert main(["benchmark", "psm", "--json", str(tmp_path / "c.json"), *options]) == 2
