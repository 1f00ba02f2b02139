"""The sample benchmark's arithmetic on rows made by hand, its file and tables, and one small real row."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from genmol.benchmark import sample as module
from genmol.benchmark import sample_detector as detector
from genmol.benchmark import sample_toys as toys
from genmol.benchmark.sample import (
    FAULTS,
    SAMPLE_SECTIONS,
    SamplePlan,
    full_sample,
    measure_sample,
    quick_sample,
    sample_row,
    sample_store,
)
from genmol.benchmark.sample_baselines import minima_baseline, reference_moves
from genmol.benchmark.sample_compare import Compared, Frames
from genmol.benchmark.sample_molecules import MOLECULES, problem_of
from genmol.benchmark.sample_tables import sample_markdown, sample_targets_of
from genmol.benchmark.sample_targets import estimate_ratio, sample_targets
from genmol.benchmark.sample_toys import TUNED, cost_row, toy_row
from genmol.benchmark.store import load, merge
from genmol.benchmark.summary import Target
from genmol.boltzmann.draws import Draws
from genmol.chem.conformers import embed
from genmol.chem.species import species_from_smiles
from genmol.cli.main import main
from genmol.core.errors import InputError
from genmol.potentials.mmff import MMFF
from samplers.toys import TOYS

WANTED = {
    "toys": ("lj13",), "cost": ("lj13", "dw4"), "mmff": ("a", "b"), "gfn2": ("a",),
    "intervals": ("a", "b"), "glycerol": ("GFN2",), "alanine": ("MMFF94",),
    "detector": ("correct lj13 0", "fault"),
}  # fmt: skip


def toy(w2: float = 0.5) -> dict[str, Any]:
    floor = {"low": 0.2, "median": 0.4, "high": 0.6}
    metrics = ("energy_w2", "distance_tv", "populations")
    size = {"floor": dict.fromkeys(metrics, floor), "genmol": dict.fromkeys(metrics, 0.4),
            "plain HMC": dict.fromkeys(metrics, 0.9),
            "Langevin": dict.fromkeys(metrics, "inf")}  # fmt: skip
    size["genmol"] = size["genmol"] | {"energy_w2": w2}
    return {"sizes": {"1000": size}}


def cost(gradients: float) -> dict[str, Any]:
    one = {"gradients_per_effective": gradients, "limited_by": "energy", "n_effective": 900.0,
           "acceptance": 0.8, "burn_in_gradients": 10}  # fmt: skip
    return {
        "settings": {"leaps": 14, "step_size": 0.022},
        "genmol": one,
        "plain HMC": one | {"gradients_per_effective": 300.0},
        "Langevin": one | {"gradients_per_effective": "inf"},
    }


def molecule(**changes: Any) -> dict[str, Any]:
    row = {
        "level": "MMFF94", "wanted": 3000, "compared": 10, "inside": 10, "largest_z": 0.0,
        "worst": {"difference": 0.05, "tolerance": 0.1, "sigma": 0.02},
        "ours": {"n_effective": 3100.0, "energies": 10, "gradients": 1000, "seconds": 9.0},
        "references": {"SMC": {}},
        "baselines": {"minima": {"error": 0.7}, "Langevin": {"error": "inf"},
                      "plain HMC": {"error": 0.4}},
    }  # fmt: skip
    return row | changes


def interval(coverage: float) -> dict[str, Any]:
    return {"repeats": 200, "states": 2, "coverage": coverage, "populations": coverage,
            "free energies": coverage, "median_n_effective": 200.0, "median_half_width": 0.1,
            "unit": "kT"}  # fmt: skip


def glycerol(**changes: Any) -> dict[str, Any]:
    row = {"seconds": 250.0, "n_effective": 300.0, "expected_seconds": 300.0, "would_take": 400.0,
           "conformers": 500, "distinct": 480, "energies": 0, "gradients": 3000,
           "workers": 2, "verdict": "Boltzmann to ±0.20 kcal/mol on 4 listed states"}  # fmt: skip
    return row | changes


def alanine(**changes: Any) -> dict[str, Any]:
    phi = {"ours": {"share": 0.2, "error": 0.01, "z": 0.0},
           "SMC": {"share": 0.22, "error": 0.01, "z": 1.4}}  # fmt: skip
    return molecule() | {"seconds": 90.0, "phi": phi, "verdict": "Boltzmann"} | changes


def fault(flagged: bool) -> dict[str, Any]:
    return {"flagged": flagged, "draws": 960, "draws_needed": 200.0,
            "failed": ["virial"] if flagged else []}  # fmt: skip


def correct(flagged: int) -> dict[str, Any]:
    return {"sets": 10, "flagged": flagged, "draws": 960}


def good() -> dict[str, dict[str, Any]]:
    rows: dict[str, dict[str, Any]] = {
        "toys": {"lj13": toy()},
        "cost": {"lj13": cost(157.0), "dw4": cost(440.0)},
        "mmff": {"a": molecule(), "b": molecule()},
        "gfn2": {"a": molecule(level="GFN2-xTB")},
        "intervals": {"a": interval(0.95), "b": interval(0.93)},
        "glycerol": {"GFN2": glycerol()},
        "alanine": {"MMFF94": alanine()},
        "detector": {"correct lj13 0": correct(0), "fault": fault(True)},
    }
    for row in (row for section in rows.values() for row in section.values()):
        row["machine"] = 0
    return rows


def found(rows: dict[str, dict[str, Any]]) -> list[Target]:
    return sample_targets(rows, WANTED, 1)


def verdicts(**changes: dict[str, Any]) -> list[str]:
    """Quantities that are missed when some sections are others."""
    return [t.quantity for t in found({**good(), **changes}) if t.verdict == "missed"]


class TestTargets:
    def test_nothing_measured(self) -> None:
        assert {t.verdict for t in found({})} == {"incomplete"}

    def test_all_met(self) -> None:
        assert {t.verdict for t in found(good())} <= {"must", "goal"}
        assert len(found(good())) == 20

    @pytest.mark.parametrize(
        ("section", "rows", "word"),
        [
            ("toys", {"lj13": toy(w2=0.61)}, "energy W2"),
            ("cost", {"lj13": cost(265.0)}, "effective draw, LJ13"),
            ("cost", {"lj13": cost(math.inf)}, "effective draw, LJ13"),
            ("mmff", {"a": molecule(inside=8), "b": molecule()}, "two references"),
            ("mmff", {"a": molecule(largest_z=4.1), "b": molecule()}, "largest difference"),
            ("gfn2", {"a": molecule(wanted=4000)}, "effective draws"),
            ("intervals", {"a": interval(0.99), "b": interval(0.95)}, "maximum"),
            ("intervals", {"a": interval(0.90), "b": interval(0.95)}, "minimum"),
            ("glycerol", {"GFN2": glycerol(seconds=301.0)}, "seconds"),
            ("glycerol", {"GFN2": glycerol(n_effective=149.0)}, "effective draws"),
            ("glycerol", {"GFN2": glycerol(expected_seconds=100.0)}, "estimate"),
            ("alanine", {"MMFF94": alanine(seconds=181.0)}, "seconds"),
            ("alanine", {"MMFF94": alanine(largest_z=3.1)}, "largest deviation"),
            ("detector", {"correct lj13 0": correct(0), "fault": fault(False)}, "not flagged"),
            ("detector", {"correct lj13 0": correct(1), "fault": fault(True)}, "false alarms"),
        ],
    )
    def test_each_is_missed_alone(self, section: str, rows: dict[str, Any], word: str) -> None:
        (missed,) = verdicts(**{section: rows})
        assert word in missed

    def test_the_estimate_counts_both_ways(self) -> None:
        for said in (100.0, 400.0):
            assert estimate_ratio(glycerol(expected_seconds=said, would_take=200.0)) == 2.0

    def test_a_skipped_fault_is_no_miss_and_is_named(self) -> None:
        rows = {**good(), "detector": {"fault": {"skipped": "no file"}}}
        target = next(t for t in found(rows) if "not flagged" in t.quantity)
        assert (target.value, target.note) == (0.0, "skipped: fault")


def test_plans() -> None:
    full, quick = full_sample(), quick_sample()
    for plan in (full, quick):
        assert set(plan.keys) == set(SAMPLE_SECTIONS)
        assert set(plan.keys["toys"]) <= set(TUNED)
        assert {*plan.keys["mmff"], *plan.keys["gfn2"]} <= set(MOLECULES)
    assert all(set(quick.keys[s]) <= set(full.keys[s]) for s in SAMPLE_SECTIONS)
    assert len(full.keys["mmff"]) == 10
    assert len(full.keys["gfn2"]) == 3
    assert sum(key.startswith("correct ") for key in full.keys["detector"]) == 10
    assert set(FAULTS) <= set(full.keys["detector"])
    assert full.mmff["effective"] == full.gfn2["effective"] == 3000
    assert full.repeats == quick.repeats == 200


TINY = SamplePlan("quick", {"cost": ("one", "two"), "detector": ("three",), "glycerol": ("four",)})


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """Rows that are quick to make, and which were made."""
    calls: list[tuple[str, str]] = []

    def make(task: tuple[str, str], *, plan: SamplePlan, workers: int = 1) -> dict[str, Any]:
        calls.append(task)
        return {"scope": plan.scope, "workers": workers}

    monkeypatch.setattr(module, "sample_row", make)
    return calls


def on(monkeypatch: pytest.MonkeyPatch, processor: str) -> None:
    """What follows is measured on another machine."""
    monkeypatch.setattr(module, "hardware", lambda: {"processor": processor, "cores": 2})


class TestFile:
    def test_resume_makes_what_is_missing(
        self, tmp_path: Path, made: list[tuple[str, str]]
    ) -> None:
        path = tmp_path / "b.json"
        measure_sample(TINY, path, only=["cost"])
        assert made == [("cost", "one"), ("cost", "two")]
        with pytest.raises(InputError, match="exists"):
            measure_sample(TINY, path)
        content = json.loads(path.read_text())
        del content["rows"]["cost"]["two"]
        path.write_text(json.dumps(content))
        data = measure_sample(TINY, path, resume=True)
        # what is timed comes last
        assert made[2:] == [("cost", "two"), ("detector", "three"), ("glycerol", "four")]
        assert data == load(path, benchmark="sample")
        assert data["rows"]["cost"]["two"] == {"scope": "quick", "workers": 1, "machine": 0}

    def test_merge(self, tmp_path: Path, made: list[tuple[str, str]]) -> None:
        parts = [tmp_path / "cost.json", tmp_path / "rest.json"]
        measure_sample(TINY, parts[0], only=["cost"])
        measure_sample(TINY, parts[1], only=["detector", "glycerol"])
        data = merge(parts, tmp_path / "all.json", benchmark="sample")
        assert {s: list(r) for s, r in data["rows"].items() if r} == {
            "cost": ["one", "two"], "detector": ["three"], "glycerol": ["four"]
        }  # fmt: skip
        assert len(made) == 4
        with pytest.raises(InputError, match="also holds cost one"):
            merge([parts[0], parts[0]], tmp_path / "twice.json", benchmark="sample")

    @pytest.mark.parametrize("way", ["resume", "merge"])
    def test_rows_of_two_machines(
        self, tmp_path: Path, made: list[tuple[str, str]], monkeypatch: pytest.MonkeyPatch, way: str
    ) -> None:
        paths = [tmp_path / name for name in ("one.json", "two.json", "both.json")]
        on(monkeypatch, "Eniac")
        measure_sample(TINY, paths[0], only=["cost"])
        on(monkeypatch, "Zuse")
        second = paths[0 if way == "resume" else 1]
        data = measure_sample(TINY, second, only=["glycerol"], workers=2, resume=True)
        if way == "merge":
            data = merge(paths[:2], paths[2], benchmark="sample")
        assert data == load(paths[0 if way == "resume" else 2], benchmark="sample")
        names = [one["processor"] for one in data["machines"]]
        where = {s: {names[row["machine"]] for row in r.values()} for s, r in data["rows"].items()}
        assert names == ["Eniac", "Zuse"]
        assert {s: w for s, w in where.items() if w} == {"cost": {"Eniac"}, "glycerol": {"Zuse"}}
        assert data["rows"]["glycerol"]["four"]["workers"] == 2

    def test_other_versions_do_not_mix(
        self, tmp_path: Path, made: list[tuple[str, str]], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        paths = [tmp_path / "one.json", tmp_path / "two.json"]
        measure_sample(TINY, paths[0], only=["cost"])
        monkeypatch.setattr(module, "versions", lambda *_: {"genmol": "0.0"})
        with pytest.raises(InputError, match="other versions"):
            measure_sample(TINY, paths[0], resume=True)
        measure_sample(TINY, paths[1], only=["detector"])
        with pytest.raises(InputError, match="other conditions"):
            merge(paths, tmp_path / "both.json", benchmark="sample")

    def test_the_tables_name_every_machine(self) -> None:
        one, two = ({"processor": name, "cores": 2} for name in ("Eniac", "Zuse"))
        data = sample_store(Path("unwritten.json"), scope="quick").data
        data |= {"machines": [one], "rows": good()}
        assert ": Eniac (2 cores); one thread" in sample_markdown(data)
        data["machines"].append(two)
        data["rows"]["glycerol"]["GFN2"]["machine"] = 1
        data["rows"]["mmff"]["b"]["machine"] = 1
        assert (
            "Eniac (2 cores): toys, cost, mmff (1 of 2 rows), gfn2, intervals, alanine, detector; "
            "Zuse (2 cores): mmff (1 of 2 rows), glycerol; one thread"
        ) in sample_markdown(data)
        # only the kernel was another one
        data["machines"][1] = one | {"system": "Linux"}
        assert ": Eniac (2 cores); one thread" in sample_markdown(data)

    def test_tables_and_exit_codes(
        self,
        tmp_path: Path,
        made: list[tuple[str, str]],
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        path = tmp_path / "b.json"
        data = measure_sample(TINY, path, only=[])
        assert not made
        data |= {"machines": [{"processor": "Eniac", "cores": 2}], "rows": good()}
        path.write_text(json.dumps(data))
        text = sample_markdown(data)
        assert capsys.readouterr().out == ""
        for words in ("exact against exact", "157", "Glycerol", "False alarms", "φ > 0", "∞"):
            assert words in text
        assert len(sample_markdown(data, details=False)) < len(text) / 2
        assert all(target.wanted for target in sample_targets_of(data))
        assert main(["benchmark", "sample", "--table", str(path)]) == 0
        assert capsys.readouterr().out == text
        data["rows"]["detector"]["fault"] = fault(False) | {"machine": 0}
        path.write_text(json.dumps(data))
        assert main(["benchmark", "sample", "--table", str(path)]) == 3
        assert "**MISSED** |" in capsys.readouterr().out
        assert main(["benchmark", "sample", "--only", "warm", "--json", str(path)]) == 2


def test_comparison_of_free_energies() -> None:
    species = species_from_smiles("OCCO")
    x = torch.from_numpy(embed(species, 10, 1).positions)
    runs, rng = 8, np.random.default_rng(0)
    # conformers with weights that are known, the same in every run but for one in ten
    frames = x.repeat(runs, 1, 1)
    weights = torch.linspace(3, 1, len(x)).repeat(runs) * torch.from_numpy(
        rng.uniform(0.9, 1.1, size=runs * len(x))
    )
    label = np.repeat(np.arange(runs), len(x))
    one = Frames(
        frames, torch.zeros(len(frames)), Draws.of(len(frames), runs=label, weights=weights)
    )
    compared = Compared.of(species, 300.0, {"ours": one, "same": one})
    summary = compared.summary()
    assert summary["compared"] == summary["inside"] == len(compared.listed) - 1 > 0
    assert summary["largest_z"] == 0.0
    assert compared.error_of(one) == pytest.approx(0.0, abs=1e-9)
    # the last listed basin is not there any more
    last = compared.listed[-1]
    keep = torch.from_numpy(compared.basins.label(compared.view.copies(frames)) != last)
    index = keep.nonzero().flatten()
    lacking = Frames(frames[index], one.energies[index], one.draws.take(index))
    assert compared.error_of(lacking) == math.inf
    # with one basin half as heavy, its free energy is kT ln 2 higher
    halved = one.draws.weights.clone()
    halved[~keep] /= 2
    other = Frames(frames, one.energies, one.draws.weighted(halved))
    (*_, row) = Compared.of(species, 300.0, {"ours": one, "other": other}).differences()
    assert row["against"]["other"]["difference"] == pytest.approx(-0.5962 * math.log(2), abs=1e-3)
    minima = minima_baseline(compared, seed=1)
    assert 0 < minima["error"]
    assert minima["minima"] > 5


@pytest.mark.parametrize(
    ("smiles", "name"),
    [("OCCO", "without jumps"), ("CC(=O)NC", "without darts"), ("C1CCCC1", "without darts")],
)
def test_the_reference_crosses_what_it_can(smiles: str, name: str) -> None:
    species = species_from_smiles(smiles)
    problem = problem_of(species, MMFF(species.mol), confined=False, seed=0)
    words, moves = reference_moves(problem)
    assert words == f"tempering {name}"
    assert moves.darts == 0
    assert (moves.jumps == 0) is (name == "without jumps")


def test_a_fault_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(detector._GRADIENTS, "density", 20_000)
    row = sample_row(("detector", "clipped weights, mixture"), plan=quick_sample())
    assert row["flagged"]
    assert row["failed"] == ["weights are not clipped"]
    assert row["draws"] == 4000


def test_toy_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    tuned = replace(TUNED["dw4"], chains=10, leaps=2, burn_in=5, thin=2, ladder=(0.5, 1.0))
    monkeypatch.setitem(TUNED, "dw4", tuned)
    monkeypatch.setattr(toys, "_PAIRS", 20)
    row = toy_row("dw4", draws=80, sizes=(30,))
    size = row["sizes"]["30"]
    assert size["floor"]["energy_w2"]["low"] < size["floor"]["energy_w2"]["high"]
    assert row["gradients"] == 10 * (1 + 2 * (5 + 2 * 8)) * 2
    assert row["truths"]["two short"][0] == TOYS["dw4"]().truths["two short"].value
    spent = cost_row("dw4", gradients=2_000)
    assert spent["genmol"]["gradients"] == pytest.approx(2_000, rel=0.1)
    for way in ("plain HMC", "Langevin"):
        assert spent[way]["gradients"] == pytest.approx(2_000, rel=0.1)
        assert spent[way]["burn_in_gradients"] == pytest.approx(
            spent["genmol"]["burn_in_gradients"], rel=0.1
        )
