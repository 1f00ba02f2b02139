"""The benchmark's arithmetic on rows made by hand, its file, and a run on the smallest molecules."""

from __future__ import annotations

import copy
import json
import math
from pathlib import Path
from typing import Any

import pytest

from genmol.benchmark import molecules
from genmol.benchmark.measure import ladder_row, pair_row, single_row, trajectory
from genmol.benchmark.molecules import Pair
from genmol.benchmark.peak import measure_peak
from genmol.benchmark.scf import FULL, QUICK, SECTIONS, Plan, measure
from genmol.benchmark.store import Store, load
from genmol.benchmark.summary import (
    Target,
    energy_excess,
    right_within_two,
    scf_targets,
    time_excess,
)
from genmol.benchmark.tables import markdown
from genmol.core.errors import InputError
from genmol.qc import baselines
from genmol.qc.plain import plain_kernel
from genmol.scf.certified import mean_field
from genmol.scf.settings import Settings

pytestmark = [
    # PySCF's mean-field objects leave their temporary file to the garbage collector
    pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning"),
    # ... and its guesses 'atom' and 'huckel' call a helper that PySCF deprecates
    pytest.mark.filterwarnings("ignore:remove_linear_dep_:DeprecationWarning"),
]

WANTED = {"pairs": 3, "single": 2, "trajectory": 2, "memory": 1}
WATER = Pair("water", "pbe", "6-31g")


def pair(**changes: Any) -> dict[str, Any]:
    row = {
        "molecule": "x",
        "level": "pbe/6-31g",
        "atoms": 9,
        "multiplicity": 1,
        "converged": True,
        "solver": "two-level",
        "strategies": ["two-level"],
        "exact_fock_builds": 2,
        "cheap_fock_builds": 10,
        "orbital_gradient_norm": 1e-6,
        "cpu_seconds": 4.0,
        "cpu_ratio": 0.4,
        "energy_difference_hartree": 1e-11,
        "degenerate": None,
        "pyscf": {"converged": True, "exact_fock_builds": 11, "cpu_seconds": 10.0},
    }
    return row | changes


def single(true: float, estimate: float) -> dict[str, Any]:
    return {"delivered": True, "energy_error_hartree": true, "estimate_hartree": estimate}


def rows(*pairs: dict[str, Any]) -> dict[str, dict[str, Any]]:
    frames = [
        {"exact_fock_builds": 2, "cpu_seconds": 1.0, "pyscf": {"cpu_seconds": 4.0}},
        {"exact_fock_builds": 1, "cpu_seconds": 0.6},
    ]
    return {
        "pairs": {str(i): row for i, row in enumerate(pairs)},
        "single": {"a": single(1e-7, 1.5e-7), "b": single(1e-7, 1e-6)},
        "trajectory": {f"{i:03d}": frame for i, frame in enumerate(frames)},
        "memory": {"m": {"plain_mib": 100.0, "two_level_mib": 120.0, "ratio": 1.2}},
    }


def found(*pairs: dict[str, Any]) -> dict[str, Target]:
    return {t.quantity.split(",")[0]: t for t in scf_targets(rows(*pairs), WANTED, 3)}


class TestTarget:
    @pytest.mark.parametrize(
        ("value", "verdict"),
        [(0.4, "goal"), (0.45, "must"), (0.5, "must"), (0.51, "missed"), (math.nan, "missed")],
    )
    def test_at_most(self, value: float, verdict: str) -> None:
        assert Target("q", value, 0.5, 0.4, 3, 3).verdict == verdict

    @pytest.mark.parametrize(("value", "verdict"), [(0.95, "must"), (0.94, "missed")])
    def test_at_least(self, value: float, verdict: str) -> None:
        assert Target("q", value, 0.95, None, 3, 3, at_least=True).verdict == verdict

    def test_missing_rows_are_never_met_but_may_be_missed(self) -> None:
        assert Target("q", None, 1.0, None, 0, 3).verdict == "incomplete"
        assert Target("q", 0.5, 1.0, None, 2, 3).verdict == "incomplete"

    @pytest.mark.parametrize("value", [0.5, 2.0])
    def test_a_mean_over_a_handful_is_shown_and_not_judged(self, value: float) -> None:
        assert Target("q", value, 1.0, None, 3, 3, fewest=15).verdict == "few"
        assert Target("q", value, 1.0, None, 15, 15, fewest=15).verdict != "few"
        assert Target("q", 1.5, 1.0, None, 2, 3).verdict == "missed"


class TestAggregation:
    def test_medians_and_maxima(self) -> None:
        pairs = [pair(exact_fock_builds=n, cpu_ratio=r) for n, r in ((2, 0.3), (2, 0.6), (3, 0.45))]
        targets = scf_targets(rows(*pairs), WANTED, 3)
        values = {t.quantity: t.value for t in targets}
        assert values["exact Fock builds, median"] == 2
        assert values["exact Fock builds, maximum"] == 3
        assert values["processor time / plain PySCF, 9 atoms and more, median"] == 0.45
        assert all(t.rows == t.wanted for t in targets)

    def test_plain_chosen_as_cheaper_is_counted_apart(self) -> None:
        cheap = pair(solver="plain", strategies=["plain"], exact_fock_builds=11)
        builds = scf_targets(rows(pair(), pair(), cheap), WANTED, 3)[1]
        assert (builds.value, builds.rows, builds.wanted) == (2, 2, 2)

    def test_a_failed_two_level_attempt_is_not(self) -> None:
        failed = pair(solver="plain", strategies=["two-level", "newton"], exact_fock_builds=40)
        assert scf_targets(rows(pair(), pair(), failed), WANTED, 3)[1].verdict == "missed"

    def test_degenerate_pairs_stand_apart(self) -> None:
        odd = pair(degenerate="why", energy_difference_hartree=1e-6)
        energy = scf_targets(rows(pair(), pair(), pair(), odd), WANTED, 3)[2]
        assert (energy.value, energy.rows, energy.verdict) == (1e-11, 3, "must")
        assert "1 degenerate" in energy.note

    def test_energy(self) -> None:
        assert energy_excess(pair(converged=False)) == math.inf
        assert energy_excess(pair(pyscf={"converged": False})) == -math.inf
        assert energy_excess(pair(energy_difference_hartree=-1.0)) == -1.0

    def test_small_molecules_do_not_enter_the_time_ratio(self) -> None:
        target = found(pair(), pair(cpu_ratio=0.9, atoms=3))["processor time / plain PySCF"]
        assert target.value == 0.4

    def test_time_excess(self) -> None:
        assert time_excess(pair(cpu_seconds=10.7)) == pytest.approx(0.0)
        assert time_excess(pair(cpu_seconds=11.0)) == pytest.approx(0.3)

    @pytest.mark.parametrize(
        ("true", "estimate", "right"),
        [
            (1e-7, 2e-7, True),
            (1e-7, 0.5e-7, True),
            (1e-7, 2.1e-7, False),
            (1e-7, 0.4e-7, False),
            (3e-11, 1e-13, True),
        ],
    )
    def test_factor_two(self, true: float, estimate: float, right: bool) -> None:
        assert right_within_two(single(true, estimate)) is right
        assert not right_within_two({"delivered": False})

    def test_single_trajectory_and_memory(self) -> None:
        targets = scf_targets(rows(pair(), pair(), pair()), WANTED, 3)[5:]
        share, error, builds, time, memory = (t.value for t in targets)
        assert share == 0.5
        assert error == pytest.approx(1e-7)
        assert builds == 2
        assert time == pytest.approx(0.8 / 4.0)  # mean of all ours over mean of the measured plain
        assert memory == 1.2

    def test_nothing_measured(self) -> None:
        assert {t.verdict for t in scf_targets({}, WANTED, 3)} == {"incomplete"}


class TestStore:
    def store(self, path: Path, *, resume: bool = False, threads: int = 1, cores: int = 2) -> Store:
        record = {"threads": threads, "hardware": {"cores": cores}}
        return Store(path, benchmark="scf", record=record, scope="quick", resume=resume)

    def test_rows_survive(self, tmp_path: Path) -> None:
        path = tmp_path / "b.json"
        self.store(path).add("pairs", "a", {"x": 1.0})
        again = self.store(path, resume=True)
        assert again.rows("pairs") == {"a": {"x": 1.0}}
        again.add("pairs", "b", {"x": math.inf})
        assert json.loads(path.read_text())["rows"]["pairs"] == {"a": {"x": 1.0}, "b": {"x": "inf"}}

    def test_an_existing_file_is_not_overwritten(self, tmp_path: Path) -> None:
        path = tmp_path / "b.json"
        self.store(path).add("pairs", "a", {"x": 1.0})
        before = path.read_bytes()
        with pytest.raises(InputError, match="--resume"):
            self.store(path)
        with pytest.raises(InputError, match="other threads"):
            self.store(path, resume=True, threads=2)
        assert path.read_bytes() == before

    def test_one_machine_unless_said_otherwise(self, tmp_path: Path) -> None:
        path = tmp_path / "b.json"
        self.store(path).add("pairs", "a", {"x": 1.0})
        assert "machines" not in load(path, benchmark="scf")
        with pytest.raises(InputError, match=r"other hardware[^.]* wanted rows of one machine"):
            self.store(path, resume=True, cores=4)

    @pytest.mark.parametrize("content", ["", "[]", "{}", '{"format": 1, "benchmark": "other"}'])
    def test_foreign_files(self, tmp_path: Path, content: str) -> None:
        path = tmp_path / "b.json"
        path.write_text(content)
        with pytest.raises(InputError, match="no results of the benchmark 'scf'"):
            load(path, benchmark="scf")


class TestMolecules:
    def test_the_set_is_as_wide_as_promised(self) -> None:
        pairs = FULL.pairs
        structures = [molecules.structure(p.molecule) for p in pairs]
        assert len(pairs) == len(set(pairs)) == 60
        assert {len(atoms) for atoms in structures} <= set(range(3, 31))
        assert len({p.xc for p in pairs}) == 6
        assert len({p.basis for p in pairs}) == 4
        assert {a.info["multiplicity"] for a in structures} == {1, 2, 3}
        assert {a.info["charge"] for a in structures} == {-1, 0, 1}
        assert set(QUICK.pairs) < set(pairs)
        assert len(QUICK.pairs) == 10

    def test_structures(self) -> None:
        assert len(molecules.read("small.xyz")) == 100
        assert len({a.info["name"] for a in molecules.read("small.xyz")}) == 100
        assert len(molecules.read("ethanol.xyz")) == 100
        assert all(molecules.structure(p.molecule) for p in (*FULL.degenerate, *FULL.ladder))


class TestBaselines:
    def test_watching_changes_nothing(self) -> None:
        mf = mean_field(molecules.structure("water"), Settings(xc="pbe", basis="6-31g"))
        watched = baselines.watch(mf)
        alone = plain_kernel(
            mean_field(molecules.structure("water"), Settings(xc="pbe", basis="6-31g"))
        )
        assert watched.energy_hartree == pytest.approx(alone["energy_hartree"], abs=1e-11)
        assert watched.exact_fock_builds == alone["exact_fock_builds"]
        assert watched.cycles == alone["cycles"]
        assert watched.gradient_norm < 1e-4
        assert mf.mo_coeff is None

    def test_an_oracle_needs_three_builds(self) -> None:
        mf = mean_field(molecules.structure("water"), Settings(xc="pbe", basis="6-31g"))
        mf.kernel()
        assert baselines.watch(mf, density=mf.make_rdm1()).exact_fock_builds <= 4
        assert baselines.watch(mf).exact_fock_builds > 6  # its orbitals are not reused in silence

    def test_fresh_is_the_level_of_our_settings(self) -> None:
        ours = mean_field(
            molecules.structure("nitrogen_dioxide"), Settings(xc="pbe", basis="6-31g")
        )
        theirs = baselines.fresh(baselines.loaded(baselines.dumped(ours.mol)), ours.xc)
        assert type(theirs) is type(ours)
        assert (theirs.conv_tol, theirs.grids.level) == (ours.conv_tol, ours.grids.level)


class TestRows:
    def test_pair(self) -> None:
        row = pair_row(WATER, repeat=1)
        assert abs(energy_excess(row)) < 1e-8
        assert row["exact_fock_builds"] <= 3 < row["pyscf"]["exact_fock_builds"]
        assert row["verdict"] == "pass"

    def test_single(self) -> None:
        row = single_row(molecules.structure("water"))
        assert row["exact_fock_builds"] == 1
        assert right_within_two(row)

    def test_ladder(self) -> None:
        row = ladder_row(WATER)
        assert set(row) == {
            *baselines.GUESSES, "newton", "oracle density", "cheap SCF + plain", "two-level",
        }  # fmt: skip
        assert all(abs(run["energy_error_hartree"]) < 1e-8 for run in row.values())
        assert row["two-level"]["exact_fock_builds"] < row["minao"]["exact_fock_builds"]

    def test_memory(self) -> None:
        mf = mean_field(molecules.structure("water"), Settings(xc="pbe", basis="6-31g"))
        text = baselines.dumped(mf.mol)
        plain, ours = (measure_peak(text, mf.xc, who) for who in ("plain", "two-level"))
        assert plain["energy_hartree"] == pytest.approx(ours["energy_hartree"], abs=1e-8)
        assert all(20 < found["peak_mib"] < 2000 for found in (plain, ours))

    def test_trajectory_skips_what_is_done(self) -> None:
        frames = (molecules.structure("water"),) * 2
        keys = [key for key, _ in trajectory(frames, plain_every=5, done={"000"})]
        assert keys == ["001"]


class TestRun:
    plan = Plan("quick", (WATER,), {}, 0, 0, 1, (), ())

    def test_resumed_run_measures_only_what_is_missing(self, tmp_path: Path) -> None:
        path = tmp_path / "b.json"
        data = copy.deepcopy(measure(self.plan, path, repeat=1, only=("pairs",)))
        assert set(data["rows"]["pairs"]) == {WATER.key}
        again = measure(self.plan, path, repeat=1, resume=True, only=SECTIONS)
        assert again["rows"]["pairs"] == data["rows"]["pairs"]
        assert load(path, benchmark="scf")["rows"]["pairs"] == data["rows"]["pairs"]
        assert set(data["record"]) >= {"hardware", "versions", "threads", "structures", "seeds"}

    def test_tables(self, tmp_path: Path) -> None:
        data = measure(self.plan, tmp_path / "b.json", repeat=1, only=("pairs",))
        data["rows"] |= {k: v for k, v in rows().items() if k != "pairs"}
        data["rows"]["pairs"]["odd"] = pair(degenerate="why")
        text = markdown(data)
        assert "| exact Fock builds, maximum |" in text
        assert "1/10" in text  # one row of the ten that a quick run has
        assert "incomplete" in text
        assert "Degenerate radicals" in text
        widths = [
            {line.replace("\\|", "").count("|") for line in block.splitlines() if line[0] == "|"}
            for block in text.split("\n\n")
        ]
        assert all(len(width) <= 1 for width in widths)  # every table is rectangular
