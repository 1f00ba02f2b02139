"""``genmol scf`` from outside: results on disk, exit codes, and every bad input in one paragraph."""

import json
import os
import subprocess
import sys
from pathlib import Path

import ase.io
import numpy as np
import pytest
from ase import Atoms
from scfcases import ase_water

from genmol.cli.main import main
from genmol.core.units import HARTREE_TO_EV

SMALL = ["--xc", "pbe", "--basis", "6-31g", "--grid", "1"]
EXAMPLES = Path(__file__).parents[2] / "examples"
FIELDS = {
    "energy_hartree", "converged", "solver", "exact_fock_builds", "cheap_fock_builds",
    "orbital_gradient_norm", "guess", "guess_reason", "seconds", "certificate", "attempts", "settings",
}  # fmt: skip


@pytest.fixture
def water(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    ase.io.write("water.xyz", ase_water(), format="xyz")
    return "water.xyz"


def clean_process(*arguments, cwd):
    environment = {k: os.environ[k] for k in ("PATH", "HOME", "OMP_NUM_THREADS") if k in os.environ}
    return subprocess.run(
        [sys.executable, "-m", "genmol.cli.main", *arguments],
        capture_output=True,
        check=False,
        text=True,
        timeout=120,
        cwd=cwd,
        env=environment | {"PYTHONPATH": str(EXAMPLES.parent)},
    )


def test_the_main_job_in_a_clean_process(water, tmp_path):
    result = clean_process("scf", water, *SMALL, "--json", "out.json", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert result.stderr == ""
    record = json.loads((tmp_path / "out.json").read_text())
    assert record.keys() >= FIELDS
    assert record["converged"] is True
    assert record["solver"] == "two-level"
    assert record["certificate"]["verdict"] == "pass"
    assert record["certificate"]["checks"]
    assert f"{record['energy_hartree']:.7f}" in result.stdout
    assert "verdict: pass" in result.stdout
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out.json", "water.xyz"]


def test_help_and_a_bad_file_do_without_pyscf(tmp_path):
    for arguments, code in ((["scf", "--help"], 0), (["scf", "missing.xyz"], 2)):
        script = (
            "import sys\nfrom genmol.cli.main import main\n"
            f"code = main({arguments!r})\n"
            "sys.stderr.write(f'{code} {sorted({m.split(chr(46))[0] for m in sys.modules})}')"
        )
        result = subprocess.run(
            [sys.executable, "-c", script],
            capture_output=True,
            check=False,
            text=True,
            timeout=60,
            cwd=tmp_path,
        )
        last = result.stderr.splitlines()[-1]
        assert last.startswith(f"{code} ")
        assert "'pyscf'" not in last
        assert "'torch'" not in last


def test_compare_forces_and_files(water, tmp_path, capsys):
    code = main(
        ["scf", water, *SMALL, "--compare", "--repeat", "1", "--forces", "--recheck",
         "--json", "a/out.json", "--out", "out.extxyz", "--save-density", "density.npz"]
    )  # fmt: skip
    assert code == 0
    record = json.loads(Path("a/out.json").read_text())
    assert record["pyscf"].keys() >= {"energy_hartree", "exact_fock_builds", "seconds"}
    assert record["pyscf"]["energy_hartree"] == pytest.approx(record["energy_hartree"], abs=1e-8)
    assert "plain PySCF" in capsys.readouterr().out
    atoms = ase.io.read("out.extxyz")
    assert atoms.info["REF_energy"] == pytest.approx(record["energy_hartree"] * HARTREE_TO_EV)
    assert atoms.info["level_of_theory"] == "pbe/6-31g"
    np.testing.assert_allclose(
        atoms.arrays["REF_forces"], record["properties"]["forces_ev_per_angstrom"], atol=1e-6
    )
    assert main(["scf", water, *SMALL, "--guess-file", "density.npz", "--json", "b.json"]) == 0
    again = json.loads(Path("b.json").read_text())
    assert again["guess"] == "density.npz"
    assert again["energy_hartree"] == pytest.approx(record["energy_hartree"], abs=1e-9)


def test_single_build(water):
    assert main(["scf", water, *SMALL, "--mode", "single-build", "--json", "o.json"]) == 0
    assert json.loads(Path("o.json").read_text())["exact_fock_builds"] == 1


def test_optimise(water):
    arguments = [
        "--xc",
        "hf",
        "--basis",
        "sto-3g",
        "--optimize",
        "--out",
        "r.extxyz",
        "--json",
        "o.json",
    ]
    assert main(["scf", water, *arguments]) == 0
    atoms, record = ase.io.read("r.extxyz"), json.loads(Path("o.json").read_text())
    assert atoms.get_distance(0, 1) == pytest.approx(0.9894, abs=1e-3)
    np.testing.assert_allclose(record["positions_angstrom"], atoms.positions, atol=1e-6)
    assert record["steps"][-1]["energy_hartree"] == record["energy_hartree"]


def test_multiplicity_scan(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    ase.io.write("o2.xyz", Atoms("O2", [[0, 0, 0], [0, 0, 1.21]]), format="xyz")
    assert main(["scf", "o2.xyz", *SMALL, "--multiplicity-scan", "--json", "o.json"]) == 0
    record = json.loads(Path("o.json").read_text())
    assert record["settings"]["multiplicity"] == 3
    assert [row["multiplicity"] for row in record["multiplicities"]] == [1, 3, 5]
    assert "multiplicity 5:" in capsys.readouterr().out


def test_nothing_converges(water, monkeypatch, capsys):
    from dataclasses import replace

    from genmol.qc import attempts

    kernel = attempts.kernel

    def unconverged(*args):
        solution, attempt = kernel(*args)
        return solution, replace(attempt, converged=False, energy_hartree=None)

    monkeypatch.setattr(attempts, "cheap_orbitals", lambda *a: None)
    monkeypatch.setattr(attempts, "kernel", unconverged)
    outputs = [
        "--json",
        "o.json",
        "--out",
        "o.extxyz",
        "--save-density",
        "d.npz",
        "--plot",
        "p.png",
    ]
    assert main(["scf", water, *SMALL, *outputs]) == 3
    record = json.loads(Path("o.json").read_text())
    assert (record["energy_hartree"], record["converged"], record["certificate"]) == (
        None,
        False,
        None,
    )
    assert [a["strategy"] for a in record["attempts"]] == [
        "two-level", "guess reset", "damping", "level shift", "newton",
    ]  # fmt: skip
    text = capsys.readouterr().out
    assert "NOT CONVERGED" in text
    assert "Hartree (" not in text
    assert "-76." not in text
    assert not any(Path(p).exists() for p in ("o.extxyz", "d.npz", "p.png"))


def test_a_failed_certificate_sets_the_exit_code(water, monkeypatch, capsys):
    from genmol.core.certificate import Check
    from genmol.qc import certify

    failed = Check.at_most("made up", 2.0, 1.0, advice="nothing")
    monkeypatch.setattr(certify, "density_checks", lambda *a, **k: [failed])
    assert main(["scf", water, *SMALL]) == 3
    assert "verdict: fail" in capsys.readouterr().out


def lines(*rows):
    return "\n".join(rows) + "\n"


FILES = {
    "element.xyz": lines("2", "", "H 0 0 0", "Qq 0 0 1"),
    "close.xyz": lines("2", "", "H 0 0 0", "H 0 0 0.001"),
    "short.xyz": lines("3", "", "H 0 0 0", "H 0 0 0.7"),
    "words.xyz": lines("2", "", "H 0 0 zero", "H 0 0 0.7"),
    "nan.xyz": lines("2", "", "H 0 0 0", "H 0 0 nan"),
    "empty.xyz": "",
    "zero.xyz": lines("0", ""),
    "binary.xyz": "\x00\x01\x02",
    "periodic.extxyz": lines(
        "2", 'Lattice="5 0 0 0 5 0 0 0 5" pbc="T T T"', "H 0 0 0", "H 0 0 0.7"
    ),
    "letter.txt": "hello\n",
}


@pytest.mark.parametrize("name", [*FILES, "missing.xyz", ".", "element.sdf"])
def test_bad_structures(name, water, tmp_path, capsys):
    for file, content in FILES.items():
        Path(file).write_text(content)
    Path("out.json").write_text("precious")
    before = sorted(p.name for p in tmp_path.iterdir())
    assert main(["scf", name, "--json", "out.json"]) == 2
    assert_one_paragraph(capsys)
    assert Path("out.json").read_text() == "precious"
    assert sorted(p.name for p in tmp_path.iterdir()) == before


def assert_one_paragraph(capsys):
    captured = capsys.readouterr()
    assert captured.out == ""
    text = captured.err
    assert "Traceback" not in text
    assert "bug" not in text
    assert text.startswith("error: Got ")
    assert "; wanted " in text
    assert " Try: " in text
    assert "\n\n" not in text.strip()


@pytest.mark.parametrize(
    "options",
    [
        ["--xc", "b3lip"],
        ["--xc", ""],
        ["--xc", "svwn-d3bj"],
        ["--xc", "mgga_x_br89"],
        ["--basis", "def3-svp"],
        ["--basis", ""],
        ["--ecp", "nonsense"],
        ["--multiplicity", "2"],
        ["--multiplicity", "0"],
        ["--multiplicity", "-1"],
        ["--multiplicity", "99"],
        ["--charge", "10"],
        ["--charge", "1000"],
        ["--multiplicity", "3", "--spin-treatment", "restricted"],
        ["--solvent", "watter"],
        ["--solvent", "nan"],
        ["--guess-file", "missing.npz"],
        ["--guess-file", "water.xyz"],
        ["--ghost-atoms", "7"],
        ["--ghost-atoms", "-1"],
        ["--grid", "99"],
        ["--grid", "-1"],
        ["--conv-tol", "0"],
        ["--conv-tol", "-1e-9"],
        ["--conv-tol", "nan"],
        ["--max-exact-builds", "0"],
        ["--max-memory", "-5"],
        ["--threads", "0"],
        ["--compare", "--repeat", "0"],
        ["--optimize", "--max-steps", "0"],
        ["--json", "o.json", "--out", "./o.json"],
        ["--compare", "--optimize"],
        ["--optimize", "--multiplicity-scan"],
        ["--json", "."],
        ["--json", "water.xyz/out.json"],
        ["--out", "/proc/nowhere/out.extxyz"],
        ["--plot", "/proc/nowhere/out.png"],
        ["--save-density", "/proc/nowhere/out.npz"],
    ],
)
def test_bad_options(options, water, tmp_path, capsys):
    before = {p.name: p.read_bytes() for p in tmp_path.iterdir()}
    assert main(["scf", water, *options]) == 2
    assert_one_paragraph(capsys)
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == before


@pytest.mark.parametrize(
    "options",
    [
        ["--grid", "three"],
        ["--mode", "fast"],
        ["--guess", "magic"],
        ["--spin-treatment", "odd"],
        ["--nonsense"],
        ["--charge", "0.5"],
    ],
)
def test_options_that_do_not_parse(options, water, capsys):
    assert main(["scf", water, *options]) == 2
    captured = capsys.readouterr()
    assert "Traceback" not in captured.err + captured.out


@pytest.mark.parametrize(
    "flag",
    ["--compare", "--optimize", "--multiplicity-scan", "--plot=p.png", "--save-density=d.npz"],
)
def test_a_trajectory_refuses_what_belongs_to_one_structure(flag, water, tmp_path, capsys):
    ase.io.write("two.xyz", [ase_water(), ase_water()], format="xyz")
    assert main(["scf", "two.xyz", *SMALL, *flag.split("=")]) == 2
    assert_one_paragraph(capsys)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["two.xyz", "water.xyz"]


def test_an_ill_posed_input_file_is_never_overwritten(water, capsys):
    before = Path(water).read_bytes()
    assert main(["scf", water, *SMALL, "--json", water]) == 2
    assert_one_paragraph(capsys)
    assert Path(water).read_bytes() == before


def test_the_examples_have_their_multiplicities(capsys):
    assert main(["scf", str(EXAMPLES / "no2.xyz"), *SMALL, "--multiplicity", "2"]) == 0
    assert "UKS" in capsys.readouterr().out
