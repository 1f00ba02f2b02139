from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import ase.io
import numpy as np
import pytest
from ase import Atoms
from pyscf import gto, scf

from genmol.core.errors import InputError
from genmol.core.parallel import Outcome, WorkerDiedError
from genmol.core.units import BOHR_TO_ANGSTROM, HARTREE_TO_EV
from genmol.scf import trajectory
from genmol.scf.settings import Settings
from genmol.scf.trajectory import solve_trajectory

HF = Settings(xc="hf", basis="sto-3g", forces=True)


def stretched(n: int) -> list[Atoms]:
    """Water whose bonds stretch in small steps."""
    shape = np.array([[0.0, 0.0, 0.0], [0.0, 0.7572, -0.5865], [0.0, -0.7572, -0.5865]])
    return [Atoms("OHH", shape * (0.95 + 0.004 * i)) for i in range(n)]


def solve_all(frames: list[Atoms], folder: Path, **options: Any) -> list[dict[str, Any]]:
    out, lines = folder / "out.extxyz", folder / "out.jsonl"
    return list(solve_trajectory(frames, HF, out=out, json_lines=lines, **options))


def stored(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "out.jsonl").read_text().splitlines()]


def oracle(atoms: Atoms) -> float:
    bohr = (atoms.positions / BOHR_TO_ANGSTROM).tolist()
    pairs = list(zip(atoms.get_chemical_symbols(), bohr, strict=True))
    return float(scf.RHF(gto.M(atom=pairs, unit="Bohr", basis="sto-3g", verbose=0)).kernel())


def test_lines_and_frames_agree_with_pyscf(tmp_path: Path) -> None:
    frames = stretched(5)
    for atoms in frames:
        atoms.info["REF_energy"] = -1.0  # of another level: must not survive
    lines = solve_all(frames, tmp_path)
    assert [line["frame"] for line in lines] == list(range(5))
    assert stored(tmp_path) == lines
    assert all(line["exact_fock_builds"] <= 2 for line in lines)
    assert lines[0]["guess"] == "cheap-scf"
    assert {line["guess"] for line in lines[1:]} == {"extrapolated density"}
    solved = ase.io.read(tmp_path / "out.extxyz", ":", format="extxyz")
    for atoms, line, found in zip(frames, lines, solved, strict=True):
        assert line["energy_hartree"] == pytest.approx(oracle(atoms), abs=1e-8)
        assert found.info["REF_energy"] == pytest.approx(line["energy_hartree"] * HARTREE_TO_EV)
        np.testing.assert_allclose(found.positions, atoms.positions, atol=1e-7)
        forces = line["properties"]["forces_ev_per_angstrom"]
        np.testing.assert_allclose(found.arrays["REF_forces"], forces, atol=1e-7)
        assert found.info["level_of_theory"] == "hf/sto-3g"


def test_forces_are_minus_the_gradient_along_the_trajectory(tmp_path: Path) -> None:
    frames = stretched(3)
    lines = solve_all(frames, tmp_path)
    energies = [line["energy_hartree"] * HARTREE_TO_EV for line in lines]
    forces = np.array(lines[1]["properties"]["forces_ev_per_angstrom"])
    work = float(np.sum(forces * (frames[2].positions - frames[0].positions)))
    assert work == pytest.approx(energies[0] - energies[2], abs=2e-3)


def test_processes_and_guesses_do_not_change_the_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trajectory, "CHUNK", 2)
    frames = stretched(4)
    energies = [
        [line["energy_hartree"] for line in sorted(lines, key=lambda line: line["frame"])]
        for lines in (
            solve_all(frames, tmp_path / "one"),
            solve_all(frames, tmp_path / "two", workers=2),
            solve_all(frames, tmp_path / "plain", extrapolate=False),
        )
    ]
    np.testing.assert_allclose(energies[0], energies[1], atol=1e-12)
    np.testing.assert_allclose(energies[0], energies[2], atol=1e-8)
    assert [line["frame"] for line in stored(tmp_path / "two")] == [0, 1, 2, 3]
    assert sorted(p.name for p in (tmp_path / "two").iterdir()) == ["out.extxyz", "out.jsonl"]


def test_resume_redoes_nothing(tmp_path: Path) -> None:
    frames = stretched(4)
    solving = solve_trajectory(
        frames, HF, out=tmp_path / "out.extxyz", json_lines=tmp_path / "out.jsonl"
    )
    first = [next(solving), next(solving)]
    solving.close()  # as an interruption does
    assert stored(tmp_path) == first
    assert len(ase.io.read(tmp_path / "out.extxyz", ":", format="extxyz")) == 2
    with (tmp_path / "out.jsonl").open("a") as handle:
        handle.write('{"frame": 2, "ta')  # torn by a kill
    with pytest.raises(InputError, match="with 2 frames of an earlier run"):
        solve_all(frames, tmp_path)
    lines = solve_all(frames, tmp_path, resume=True)
    assert lines[:2] == first  # not even the times differ
    assert [line["frame"] for line in stored(tmp_path)] == [0, 1, 2, 3]


def test_another_trajectory_is_refused(tmp_path: Path) -> None:
    solve_all(stretched(2), tmp_path)
    moved = stretched(2)
    moved[1].positions[0, 0] += 0.01
    with pytest.raises(InputError, match="frame 1 is of another trajectory"):
        solve_all(moved, tmp_path, resume=True)
    (tmp_path / "out.jsonl").write_text('{"unrelated": 1}\n')
    with pytest.raises(InputError, match="not the report of a trajectory"):
        solve_all(moved, tmp_path, resume=True)


def test_frames_of_other_molecules_take_the_usual_guess(tmp_path: Path) -> None:
    frames = [stretched(1)[0], Atoms("FH", [[0, 0, 0], [0, 0, 0.92]]), stretched(2)[1]]
    guesses = [line["guess"] for line in solve_all(frames, tmp_path)]
    assert guesses == ["cheap-scf", "cheap-scf", "extrapolated density"]


def test_a_failed_frame_does_not_stop_the_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    solve = trajectory.solve
    calls = []

    def fail_once(*args: Any, **options: Any) -> Any:
        calls.append(args)
        if len(calls) == 2:
            raise np.linalg.LinAlgError("singular")
        return solve(*args, **options)

    monkeypatch.setattr(trajectory, "solve", fail_once)
    lines = solve_all(stretched(3), tmp_path)
    assert [line["energy_hartree"] is None for line in lines] == [False, True, False]
    assert "singular" in lines[1]["error"]
    solved = ase.io.read(tmp_path / "out.extxyz", ":", format="extxyz")
    assert [atoms.info["frame"] for atoms in solved] == [0, 2]


def test_unusable_settings_are_refused_before_the_run(tmp_path: Path) -> None:
    settings = Settings(basis="sto-9g")
    with pytest.raises(InputError, match="sto-9g"):
        solve_trajectory(
            stretched(2), settings, out=tmp_path / "a.extxyz", json_lines=tmp_path / "a.jsonl"
        )


SCRIPT = """
import sys
import ase.io
from genmol.scf.settings import Settings
from genmol.scf.trajectory import solve_trajectory
from genmol.scf import trajectory
if __name__ == "__main__":
    trajectory.CHUNK = 40
    frames = ase.io.read("frames.xyz", ":", format="extxyz")
    settings = Settings(xc="hf", basis="sto-3g", forces=True)
    for line in solve_trajectory(
        frames, settings, out="out.extxyz", json_lines="out.jsonl", workers=int(sys.argv[1])
    ):
        pass
"""


@pytest.mark.parametrize("workers", [1, 2])
def test_a_killed_run_goes_on(
    tmp_path: Path, workers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trajectory, "CHUNK", 40)
    ase.io.write(tmp_path / "frames.xyz", stretched(80), format="extxyz")
    frames = ase.io.read(tmp_path / "frames.xyz", ":", format="extxyz")
    (tmp_path / "run.py").write_text(SCRIPT)
    process = subprocess.Popen([sys.executable, "run.py", str(workers)], cwd=tmp_path)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        written = [tmp_path / "out.jsonl", *(tmp_path / ".out.jsonl.parts").glob("*.jsonl")]
        if sum(p.read_bytes().count(b"\n") for p in written if p.exists()) >= 3:
            break
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    time.sleep(0.5)  # workers see their pipe end
    before = trajectory._read_lines(tmp_path / "out.jsonl")
    assert 3 <= len(before) < 80
    lines = solve_all(frames, tmp_path, resume=True)
    assert [line["frame"] for line in stored(tmp_path)] == list(range(80))
    kept = {line["frame"]: line for line in lines if line["frame"] in before}
    assert kept == before  # times included: nothing was solved again


def test_a_frame_that_kills_its_process_is_one_that_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rounds = []

    def deadly(function: Any, chunks: Any, **options: Any) -> Any:
        for index, chunk in enumerate(chunks):
            rounds.append([task.frame for task in chunk.tasks])
            survivors = tuple(task for task in chunk.tasks if task.frame < 1 or task.frame > 1)
            died = len(survivors) < len(chunk.tasks)
            function(replace(chunk, tasks=survivors[:1] if died else survivors))
            error = WorkerDiedError(got="a death", wanted="life", remedy="less") if died else None
            yield Outcome(index, None, error)

    monkeypatch.setattr(trajectory, "parallel_map", deadly)
    lines = solve_all(stretched(4), tmp_path, workers=2)
    assert rounds == [[0, 1, 2, 3], [2, 3]]
    assert [line["frame"] for line in lines] == [0, 1, 2, 3]
    assert [line["energy_hartree"] is None for line in lines] == [False, True, False, False]
    assert stored(tmp_path) == lines
