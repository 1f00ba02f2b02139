"""The learned benchmark's arithmetic on rows made by hand, its tables, and a run on water."""

from __future__ import annotations

import copy
import json
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ase.data import chemical_symbols
from learnedcases import example_of, know, save_model
from scipy.spatial.transform import Rotation

from genmol.benchmark import held_out
from genmol.benchmark.fock_accuracy import block_errors, fock_errors, shares_state
from genmol.benchmark.learned import (
    LEARNED_SECTIONS,
    LearnedPlan,
    full_plan,
    measure_learned,
    quick_plan,
)
from genmol.benchmark.learned_rows import alternately
from genmol.benchmark.learned_tables import learned_markdown, targets_of
from genmol.benchmark.learned_targets import learned_targets, refused_or_better, warm_ratio
from genmol.benchmark.references import Levels, Reference, References
from genmol.benchmark.store import load, merge
from genmol.benchmark.summary import Target
from genmol.benchmark.turned import orbital_rotation
from genmol.cli.main import main
from genmol.core.errors import InputError
from genmol.heads.orbitals import OrbitalSlots
from genmol.scf.certified import mean_field
from genmol.scf.settings import Settings

pytestmark = [
    pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning"),
    # PySCF's guesses 'atom' and 'huckel' call a helper that PySCF deprecates
    pytest.mark.filterwarnings("ignore:remove_linear_dep_:DeprecationWarning"),
]
SHELLS = {1: (0, 0, 1), 8: (0, 0, 0, 1, 1, 2)}
WANTED = {section: [{"atoms": 22}] * 2 for section in LEARNED_SECTIONS}


def molecule_row(**changes: Any) -> dict[str, Any]:
    errors = {"fock_mae": 1e-4, "ov_mae": 5e-5, "orbital_mae": 1e-3}
    levels = {"homo_mev": -30.0, "lumo_mev": 50.0, "gap_mev": 80.0, "dipole_debye": 0.05,
              "dipole_vector_debye": 0.07}  # fmt: skip
    row = {
        "smiles": "CO", "atoms": 6, "heavy": 2, "orbitals": 48, "learned": errors,
        "initial": dict.fromkeys(errors, 7e-3), "wrong": False, "wrong_unfiltered": False,
        "accepted": True, "accepted_unfiltered": True, "gradient": 0.05, "gradient_minao": 0.7,
        "energy_error_hartree": 1e-4, "blocks": {"C": [1e-3, 10], "C-H": [1e-3, 5]},
        "predicted": levels, "cheap": dict.fromkeys(levels, 1.0), "covered": {"gap_ev": 1.0},
    }  # fmt: skip
    return row | changes


def warm(learned: int, minao: int = 10, core: int = 20, hidden: int = 1) -> dict[str, Any]:
    def run(cycles: int) -> dict[str, Any]:
        return {"cycles": cycles, "exact_fock_builds": cycles + 2, "energy_hartree": -1.0,
                "converged": True}  # fmt: skip

    return {"atoms": 6, "hidden_builds": hidden, "learned": run(learned), "minao": run(minao),
            "1e": run(core)}  # fmt: skip


def solver(**changes: Any) -> dict[str, Any]:
    run = {"exact_fock_builds": 2, "cheap_fock_builds": 12, "energy_hartree": -1.0,
           "converged": True, "guess": "cheap-scf", "cpu_seconds": 10.0}  # fmt: skip
    learned = run | {"guess": "learned", "cheap_fock_builds": 6, "cpu_seconds": 8.0}
    row = {"atoms": 22, "heavy": 10, "auto": learned, "cheap-scf": run, "learned": learned,
           "slower_seconds": -2.0, "repeat": 3}  # fmt: skip
    return row | changes


def times(**changes: Any) -> dict[str, Any]:
    row = {"atoms": 22, "predict": 1.0, "cheap SCF": 10.0, "exact build": 2.0, "initial": 0.5,
           "network": 0.1, "diagonalisation": 0.01, "repeat": 3}  # fmt: skip
    return row | changes


def rows(**sections: list[dict[str, Any]]) -> dict[str, dict[str, dict[str, Any]]]:
    return {name: {str(i): row for i, row in enumerate(of)} for name, of in sections.items()}


def found(**sections: list[dict[str, Any]]) -> dict[str, Target]:
    return {t.quantity: t for t in learned_targets(rows(**sections), WANTED)}


class TestTargets:
    def test_nothing_measured(self) -> None:
        assert {t.verdict for t in learned_targets({}, WANTED)} == {"incomplete"}

    def test_mean_errors_in_their_units(self) -> None:
        targets = found(accuracy=[molecule_row(), molecule_row()])
        fock = targets["Fock MAE, at most 7 heavy atoms (µEh)"]
        assert fock.value == pytest.approx(100)
        assert fock.verdict == "must"
        gap = targets["predict: gap MAE (meV)"]
        assert (gap.value, gap.verdict, gap.note) == (80.0, "must", "cheap SCF 1.0")
        assert targets["predict: dipole MAE (D)"].value == pytest.approx(0.05)

    def test_a_wrong_occupation_counts_before_and_after_the_guard(self) -> None:
        bad = molecule_row(wrong=True, wrong_unfiltered=True, gradient=1.0)
        for accepted, passed in ((True, 1), (False, 0)):
            targets = found(accuracy=[molecule_row(), bad | {"accepted": accepted}])
            share = targets["wrong occupations before the guard (share)"]
            assert (share.value, share.verdict) == (0.5, "missed")
            assert targets["wrong occupations that the guard lets pass (molecules)"].value == passed
            worse = targets["\\|g\\| not below that of minao, and not refused (molecules)"]
            assert worse.value == passed
            assert refused_or_better(bad | {"accepted": accepted}) is not accepted

    def test_hidden_builds_count_as_cycles(self) -> None:
        assert warm_ratio([warm(4), warm(6)], "minao") == pytest.approx(12 / 20)
        assert warm_ratio([warm(5, hidden=0)], "1e") == pytest.approx(0.25)
        assert warm_ratio([], "1e") is None

    def test_the_solver_may_neither_build_more_nor_take_longer(self) -> None:
        names = {
            "builds": "two-level, automatic guess: more exact builds than without, maximum",
            "time": "two-level, automatic guess: slower than without by more than 0.2 s, "
            "maximum (s)",
            "ratio": "two-level, automatic guess: time / without, 20 atoms and more, median",
        }
        good = found(solver=[solver(), solver(slower_seconds=0.19)])
        assert {good[n].verdict for n in names.values()} == {"must", "goal"}
        assert good[names["ratio"]].value == pytest.approx(0.8)
        more = solver(slower_seconds=0.21)
        more["auto"] = more["auto"] | {"exact_fock_builds": 3}
        bad = found(solver=[solver(), more])
        assert bad[names["builds"]].verdict == bad[names["time"]].verdict == "missed"

    def test_small_molecules_do_not_enter_the_large_ones_ratio(self) -> None:
        slow = solver(atoms=6)
        slow["auto"] = slow["auto"] | {"cpu_seconds": 20.0}
        targets = found(solver=[solver(), slow])
        ratio = targets["two-level, automatic guess: time / without, 20 atoms and more, median"]
        assert (ratio.value, ratio.rows) == (pytest.approx(0.8), 1)

    def test_coverage_is_bounded_on_both_sides(self) -> None:
        low, high = (
            found(accuracy=[molecule_row(covered={"a": share})] * 15) for share in (0.8, 1.0)
        )
        inside = "predict: numbers inside their intervals (share)"
        narrow = "predict: intervals not wider than needed (the same share)"
        assert (low[inside].verdict, low[narrow].verdict) == ("missed", "must")
        assert (high[inside].verdict, high[narrow].verdict) == ("must", "missed")
        none = found(accuracy=[molecule_row(covered={})] * 2)
        assert none[inside].verdict == "incomplete"

    def test_times_by_size(self) -> None:
        wanted = WANTED | {"times": [{"atoms": n} for n in (6, 15, 20, 22)]}
        measured = [
            times(atoms=6, predict=9.0),
            times(atoms=15, network=0.04),
            times(atoms=20, network=0.3),
            times(predict=0.4),
        ]
        targets = {t.quantity: t for t in learned_targets(rows(times=measured), wanted)}
        large = targets["predict: time / cheap SCF, 15 atoms and more, maximum"]
        assert (large.value, large.rows, large.wanted) == (0.1, 3, 3)
        assert targets["predict: time / cheap SCF, 22 atoms"].verdict == "goal"
        assert targets["network alone, 15 atoms (ms)"].value == pytest.approx(40)
        share = targets["inference / exact Fock build, 20 atoms"]
        assert share.value == pytest.approx(0.155)

    def test_equivariance_takes_the_worst(self) -> None:
        row = {"trained": {"turned": 1e-13}, "random": {"turned": 1e-9}}
        (target,) = (t for name, t in found(equivariance=[row]).items() if "equiv" in name)
        assert (target.value, target.verdict) == (1e-9, "missed")


class TestArithmetic:
    def test_levels_and_dipoles(self) -> None:
        true = Levels(-6.0, 1.0, 7.0, (0.0, 0.0, 2.0))
        errors = Levels(-6.1, 1.0, 7.1, (0.0, 2.0, 0.0)).errors(true)
        assert errors["gap_mev"] == pytest.approx(100)
        assert errors["homo_mev"] == pytest.approx(-100)
        assert errors["dipole_debye"] == pytest.approx(0.0)
        assert errors["dipole_vector_debye"] == pytest.approx(8**0.5)

    def test_blocks_hold_every_pair_once(self) -> None:
        error = np.arange(16.0).reshape(4, 4)
        error += error.T
        sums = block_errors(error, [8, 1, 1], np.array([0, 0, 1, 2]))
        assert {name: count for name, (_, count) in sums.items()} == {
            "O": 4, "O-H": 4, "H": 2, "H-H": 1,
        }  # fmt: skip
        lower = np.abs(np.tril(error)).sum() + abs(error[0, 1])  # a block on an atom is whole
        assert sum(total for total, _ in sums.values()) == pytest.approx(lower)

    def test_errors_of_a_matrix(self) -> None:
        rng = np.random.default_rng(0)
        q, _ = np.linalg.qr(rng.normal(size=(4, 4)))
        energies = np.array([-2.0, -1.0, 1.0, 2.0])
        fock = (q * energies) @ q.T
        true = Reference(fock, np.eye(4), energies, q, 2, 0.0, Levels(0, 0, 0, (0, 0, 0)))
        mixing = 0.1 * (np.outer(q[:, 0], q[:, 3]) + np.outer(q[:, 3], q[:, 0]))
        shifted = fock_errors(fock + 0.3 * np.eye(4), true)
        assert shifted["orbital_mae"] == pytest.approx(0.3)
        assert shifted["ov_mae"] == pytest.approx(0.0, abs=1e-12)
        assert fock_errors(fock + mixing, true)["ov_mae"] == pytest.approx(0.1 / 4)
        assert shares_state(q, true)
        assert not shares_state(q[:, [0, 2, 1, 3]], true)

    def test_ways_take_turns(self) -> None:
        order: list[str] = []
        seconds = alternately({n: lambda n=n: order.append(n) for n in "ab"}, 3)
        assert order == ["a", "b", "b", "a", "a", "b"]
        assert {name: len(found) for name, found in seconds.items()} == {"a": 3, "b": 3}

    def test_orbitals_turn_as_pyscf_turns_them(self) -> None:
        atoms = held_out.water().atoms
        for sign in (1, -1):
            turn = sign * Rotation.random(random_state=3).as_matrix()
            turned = atoms.copy()
            turned.positions = atoms.positions @ turn.T
            overlaps = [mean_field(a, Settings()).get_ovlp() for a in (atoms, turned)]
            d = orbital_rotation(OrbitalSlots(SHELLS), atoms.numbers.tolist(), turn)
            np.testing.assert_allclose(d @ overlaps[0] @ d.T, overlaps[1], atol=1e-10)


class TestHeldOut:
    def test_no_training_molecule_is_among_them(self) -> None:
        small, larger = held_out.small(), held_out.larger()[:-1]
        assert (len(small), len(larger)) == (40, 12)
        assert all(zlib.crc32(g.smiles.encode()) % 10 == 0 for g in (*small, *larger))
        assert max(g.heavy for g in small) == 7
        assert {g.heavy for g in larger} == {8, 9}
        elements = {chemical_symbols[z] for g in (*small, *larger) for z in g.atoms.numbers}
        assert elements == {"H", "C", "N", "O", "F"}

    def test_plans_name_what_exists(self) -> None:
        for plan in (full_plan(), quick_plan()):
            assert set(plan.keys) == set(LEARNED_SECTIONS)
            assert all(held_out.by_key(key) for keys in plan.keys.values() for key in keys)
        sizes = {len(held_out.by_key(key)) for key in full_plan().keys["times"]}
        assert {15, 20, 22} <= sizes
        assert all(set(quick_plan().keys[s]) <= set(full_plan().keys[s]) for s in LEARNED_SECTIONS)


class TestTables:
    def data(self, **sections: list[dict[str, Any]]) -> dict[str, Any]:
        model = {"name": "m", "kind": "regression", "start": "minao", "megabytes": 7.0,
                 "labels": {"train": 3}}  # fmt: skip
        record = {"versions": dict.fromkeys(("genmol", "torch", "pyscf", "python"), "1"),
                  "hardware": {"processor": "p"}, "threads": 1, "repeat": 3, "model": model}  # fmt: skip
        return {"scope": "quick", "record": record, "rows": rows(**sections)}

    def test_every_table_is_rectangular(self) -> None:
        step = {"exact_fock_builds": 9, "cheap_fock_builds": 0, "cycles": 7, "cpu_seconds": 1.0,
                "energy_error_hartree": 1e-10, "converged": True}  # fmt: skip
        ladder = {"minao": step, "learned regression, no SCF": step | {"fock_mae": 1e-4}}
        refused = molecule_row(wrong=True, accepted=False, heavy=9)
        data = self.data(
            accuracy=[molecule_row()], ladder=[ladder], times=[times()], solver=[solver()],
            warm=[warm(5)],
        )  # fmt: skip
        data["rows"]["transfer"] = {"larger": refused}
        text = learned_markdown(data)
        for block in text.split("\n\n"):
            lines = [x.replace("\\|", "") for x in block.splitlines() if x.startswith("|")]
            assert len({line.count("|") for line in lines}) <= 1
        assert "| `larger` | wrong | 0.05 (0.70) | refused |" in text
        assert "| C-H | 10 | 200 |" in text
        assert "2 (2) | 6 (12) | 8.00 (10.00) | 0.80" in text

    def test_an_empty_file_is_incomplete(self) -> None:
        text = learned_markdown(self.data())
        assert "not measured" in text
        assert {t.verdict for t in targets_of(self.data())} == {"incomplete"}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Random weights whose corrections are small."""
    folder = tmp_path_factory.mktemp("model")
    return save_model(folder / "tiny", xc="b3lyp", basis="def2-svp", shells=SHELLS, size=0.01)


class TestRun:
    def test_accuracy_of_one_that_knows_the_answer(
        self, model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        mf = mean_field(held_out.water().atoms, Settings())
        mf.conv_tol = 1e-11
        know(monkeypatch, [example_of(mf)])
        plan = LearnedPlan("quick", {"accuracy": ("water",)})  # type: ignore[arg-type]
        path = tmp_path / "b.json"
        data = measure_learned(plan, path, model=model, repeat=1, only=("accuracy",))
        row = data["rows"]["accuracy"]["water"]
        assert row["learned"]["fock_mae"] < 1e-6 < row["initial"]["fock_mae"]
        assert row["gradient"] < 1e-3 < row["gradient_minao"]
        assert abs(row["energy_error_hartree"]) < 1e-7
        assert abs(row["predicted"]["gap_mev"]) < 1.0
        assert not row["wrong"]
        assert row["accepted"]
        assert len(list((tmp_path / "b").glob("*.npz"))) == 1
        again = References(tmp_path / "b").solution(held_out.water())
        assert again.levels.gap == pytest.approx(row["true"]["gap_ev"], abs=1e-9)
        assert again.energy == pytest.approx(mf.e_tot, abs=1e-8)

    def test_rows_of_random_weights(self, model: str, tmp_path: Path) -> None:
        sections = ("warm", "solver", "times", "equivariance")
        plan = LearnedPlan("quick", dict.fromkeys(sections, ("water",)))  # type: ignore[arg-type]
        path = tmp_path / "b.json"
        data = copy.deepcopy(
            measure_learned(plan, path, model=model, repeat=1, only=sections)  # type: ignore[arg-type]
        )
        rows = {section: data["rows"][section]["water"] for section in sections}
        assert rows["warm"]["hidden_builds"] == 1
        energies = [rows["warm"][way]["energy_hartree"] for way in ("learned", "minao", "1e")]
        assert np.ptp(energies) < 1e-8
        ways = [rows["solver"][way] for way in ("auto", "cheap-scf", "learned")]
        assert np.ptp([way["energy_hartree"] for way in ways]) < 1e-8
        assert rows["times"]["predict"] > rows["times"]["network"] > 0
        assert max(rows["equivariance"]["trained"].values()) < 1e-10
        again = measure_learned(plan, path, model=model, repeat=1, resume=True, only=sections)  # type: ignore[arg-type]
        assert again["rows"] == data["rows"]
        with pytest.raises(InputError, match="other model"):
            other = save_model(tmp_path / "o", xc="b3lyp", basis="def2-svp", shells=SHELLS, seed=1)
            measure_learned(plan, path, model=other, repeat=1, resume=True, only=())


class TestMerge:
    def write(self, path: Path, record: int = 1, **rows: Any) -> Path:
        content = {"format": 1, "benchmark": "learned", "scope": "quick",
                   "record": {"threads": record}, "rows": rows}  # fmt: skip
        path.write_text(json.dumps(content))
        return path

    def test_rows_of_both(self, tmp_path: Path) -> None:
        a = self.write(tmp_path / "a.json", warm={"x": 1}, times={})
        b = self.write(tmp_path / "b.json", warm={"y": 2}, times={"x": 3})
        merged = merge([a, b], tmp_path / "c.json", benchmark="learned")
        assert merged["rows"] == {"warm": {"x": 1, "y": 2}, "times": {"x": 3}}
        assert load(tmp_path / "c.json", benchmark="learned") == merged
        with pytest.raises(InputError, match="exists"):
            merge([a, b], tmp_path / "c.json", benchmark="learned")

    def test_what_does_not_belong_together(self, tmp_path: Path) -> None:
        a = self.write(tmp_path / "a.json", warm={"x": 1})
        for other, message in (
            (self.write(tmp_path / "b.json", warm={"x": 1}), "also holds warm x"),
            (self.write(tmp_path / "d.json", record=2), "other conditions"),
        ):
            with pytest.raises(InputError, match=message):
                merge([a, other], tmp_path / "c.json", benchmark="learned")
        assert not (tmp_path / "c.json").exists()


def test_the_command_line_refuses_foreign_sections(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["benchmark", "learned", "--only", "pairs"]) == 2
    assert "--only pairs" in capsys.readouterr().err
    assert main(["benchmark", "learned", "--model", "no-such-model"]) == 2
