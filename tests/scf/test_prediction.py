"""Predictions: the numbers are those of the predicted orbitals, marked, with intervals and checks."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ase import Atoms
from learnedcases import BASIS, XC, example_of, know, object_of, save_model

from genmol.core.errors import InputError
from genmol.core.jsonable import dumps
from genmol.core.units import E_BOHR_TO_DEBYE, HARTREE_TO_EV
from genmol.qc.guess import guess, save_density
from genmol.scf import Settings, predict, predict_many, solve
from genmol.scf.intervals import half_width

ENTRY = {"coverage": 0.95, "factor": 2.0, "powers": {"fock_spread": 0.5, "n_atoms": 0.5},
         "molecules": 40}  # fmt: skip
QUANTITIES = (
    "orbital_energies_occupied_hartree", "orbital_energies_empty_hartree", "homo_ev", "lumo_ev",
    "gap_ev", "dipole_debye", "dipole_moment_debye", "mulliken_charges",
)  # fmt: skip
CALIBRATION = {
    "coverage": 0.95,
    "fock_spread": [0.0, 1e-2],
    "n_atoms": [2, 9],
    "quantities": dict.fromkeys(QUANTITIES, ENTRY),
}


def settings(path: str, **options: Any) -> Settings:
    return Settings(xc=XC, basis=BASIS, grid=1, mode="predict", model=path, **options)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("model")
    return save_model(folder / "tiny", calibration=CALIBRATION, filter={"width": 0.0})


@pytest.fixture(scope="module")
def solved() -> Any:
    return object_of().run()


def status(found: Any) -> dict[str, str]:
    return {check.name: check.status for check in found.prediction.certificate.checks}


def test_the_numbers_are_those_of_the_solution_where_the_model_knows_it(
    path: str, solved: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    know(monkeypatch, [example_of(solved)], noise=1e-5)
    mf, p = predict(object_of(), settings(path))
    assert p.certificate.verdict == "pass"
    np.testing.assert_allclose(p.orbital_energies_hartree, solved.mo_energy, atol=2e-3)
    e = solved.mo_energy * HARTREE_TO_EV
    assert (p.homo_ev, p.lumo_ev, p.gap_ev) == pytest.approx((e[4], e[5], e[5] - e[4]), abs=5e-3)
    dipole = solved.dip_moment(unit="AU", verbose=0) * E_BOHR_TO_DEBYE
    np.testing.assert_allclose(p.dipole_debye, dipole, atol=5e-3)
    assert p.dipole_moment_debye == pytest.approx(np.linalg.norm(dipole), abs=5e-3)
    charges = solved.mulliken_pop(verbose=0)[1]
    np.testing.assert_allclose(p.mulliken_charges, charges, atol=2e-3)
    assert mf.converged is False
    np.testing.assert_allclose(mf.make_rdm1(), solved.make_rdm1(), atol=2e-3)


def test_json(path: str, solved: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    know(monkeypatch, [example_of(solved)], noise=1e-5)
    p = predict(object_of(), settings(path)).prediction
    record = json.loads(dumps(p.to_dict()))
    assert record["predicted"] is True
    assert record["energy_hartree"] is None
    assert record["exact_fock_builds"] == 0
    assert len(record["orbital_energies_hartree"]) == 13
    assert record["n_occupied"] == 5
    assert record["learned"]["in_domain"] is True
    assert record["learned"]["model"] == "tiny"
    assert record["learned"]["fock_spread"] == pytest.approx(p.learned["fock_spread"])
    assert record["settings"]["functional"]["components"]
    intervals = record["intervals"]
    width = half_width(ENTRY, p.learned["fock_spread"], 3)
    for name in ("gap_ev", "homo_ev", "lumo_ev"):
        assert intervals[name] == pytest.approx([record[name] - width, record[name] + width])
    assert np.shape(intervals["orbital_energies_hartree"]) == (13, 2)
    assert np.shape(intervals["dipole_debye"]) == (3, 2)
    assert np.shape(intervals["mulliken_charges"]) == (3, 2)
    low, high = np.transpose(intervals["orbital_energies_hartree"])
    assert np.all(low < record["orbital_energies_hartree"])
    assert np.all(high > record["orbital_energies_hartree"])
    assert record["coverage"] == 0.95


def test_a_bad_prediction_fails_its_certificate(path: str) -> None:
    found = predict(object_of(), settings(path))  # random weights
    assert found.prediction.certificate.verdict == "fail"
    assert found.prediction.certificate.exit_code == 3
    assert status(found)["occupied orbitals shared with the start"] != "pass"


def test_what_is_unlike_the_calibration_is_said(
    solved: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    know(monkeypatch, [example_of(solved)], noise=1e-4)
    narrow = CALIBRATION | {"fock_spread": [0.0, 4e-5], "n_atoms": [2, 2]}
    path = save_model(tmp_path / "narrow", calibration=narrow)
    found = predict(object_of(), settings(path))
    assert status(found)["spread of the prediction (Hartree)"] == "warn"
    assert status(found)["number of atoms"] == "warn"
    assert found.prediction.certificate.exit_code == 0
    without = predict(object_of(), settings(save_model(tmp_path / "without")))
    assert status(without)["intervals calibrated"] == "warn"
    assert set(without.prediction.intervals.values()) == {None}


def test_too_small_a_calibration_gives_no_interval(
    solved: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    know(monkeypatch, [example_of(solved)])
    small = CALIBRATION | {"quantities": dict.fromkeys(QUANTITIES, ENTRY | {"factor": None})}
    found = predict(object_of(), settings(save_model(tmp_path / "small", calibration=small)))
    assert found.prediction.intervals["gap_ev"] is None
    assert status(found)["intervals calibrated"] == "warn"


def test_structures_in_batches(path: str) -> None:
    frames = [
        Atoms("OHH", [[0, 0, 0], [0, 0.7 + 0.01 * i, 0.6], [0, -0.76, 0.59]]) for i in range(3)
    ]
    together = [p.prediction.gap_ev for _, p in enumerate(predict_many(frames, settings(path)))]
    alone = [predict(atoms, settings(path)).prediction.gap_ev for atoms in frames]
    np.testing.assert_allclose(together, alone, rtol=1e-3)


def test_the_density_can_be_kept_and_started_from(
    path: str, solved: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    know(monkeypatch, [example_of(solved)], noise=1e-5)
    mf = predict(object_of(), settings(path)).mf
    save_density(tmp_path / "d.npz", mf)
    stored = guess(object_of(), "file", tmp_path / "d.npz")
    np.testing.assert_allclose(stored, solved.make_rdm1(), atol=2e-3)


def test_what_a_prediction_cannot_give(path: str) -> None:
    with pytest.raises(InputError, match="--forces"):
        predict(object_of(), settings(path, forces=True))
    with pytest.raises(InputError, match=r"call genmol\.scf\.predict"):
        solve(object_of(), settings(path))
    with pytest.raises(InputError, match="not S"):
        predict(object_of("S 0 0 0; H 0 0.96 0.93; H 0 -0.96 0.93"), settings(path))
    with pytest.raises(InputError, match="no weights called"):
        predict(object_of(), settings("no-such-model"))
