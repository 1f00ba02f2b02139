from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import ase.io
import numpy as np
import pytest
from ase import Atoms
from pyscf import dft, gto, scf
from scipy.linalg import eigh

from genmol.core.errors import DeliveryError, InputError
from genmol.core.units import BOHR_TO_ANGSTROM, HARTREE_TO_EV
from genmol.qc.gfn2 import gfn2
from genmol.qc.label import pack, read_label, unpack, write_label
from genmol.scf.label_settings import LabelSettings
from genmol.scf.label_structure import label_structure
from genmol.scf.labelling import Labelling, LabelSet

WATER = np.array([[0.0, 0.0, 0.1173], [0.0, 0.7572, -0.4692], [0.0, -0.7572, -0.4692]])
HF = LabelSettings(xc="hf", basis="sto-3g")
B3LYP = LabelSettings(basis="def2-svp", forces=True, overlap=True)


def water(rng: np.random.Generator, noise: float = 0.05) -> Atoms:
    return Atoms("OHH", WATER + rng.normal(0.0, noise, (3, 3)))


def pyscf_molecule(atoms: Atoms, basis: str, spin: int = 0) -> gto.Mole:
    bohr = atoms.positions / BOHR_TO_ANGSTROM
    pairs = list(zip(atoms.get_chemical_symbols(), bohr.tolist(), strict=True))
    return gto.M(atom=pairs, unit="Bohr", basis=basis, spin=spin, verbose=0)


@pytest.fixture
def waters(tmp_path: Path, rng: np.random.Generator) -> Path:
    path = tmp_path / "water.xyz"
    ase.io.write(path, [water(rng) for _ in range(4)], format="extxyz")
    return path


def entries(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "manifest.jsonl").read_text().splitlines()]


def test_label_agrees_with_pyscf(tmp_path: Path, rng: np.random.Generator) -> None:
    atoms = water(rng)
    label = label_structure(atoms, B3LYP, source="water.xyz", frame=3)
    write_label(tmp_path / "a.npz", label)
    found = read_label(tmp_path / "a.npz")

    oracle = dft.RKS(pyscf_molecule(atoms, "def2-svp"), xc="b3lypg")
    oracle.conv_tol, oracle.conv_tol_grad = 1e-12, 1e-7
    energy = oracle.kernel()
    assert found.energy == pytest.approx(energy * HARTREE_TO_EV, abs=1e-8)
    np.testing.assert_allclose(found.fock(), oracle.get_fock(), atol=5e-7)
    np.testing.assert_allclose(found.density(), oracle.make_rdm1(), atol=2e-6)
    np.testing.assert_allclose(found.overlap(), oracle.get_ovlp(), atol=1e-13)
    np.testing.assert_allclose(unpack(found.arrays["overlap"]), oracle.get_ovlp(), atol=1e-13)
    np.testing.assert_allclose(found.arrays["orbital_energies"], oracle.mo_energy, atol=1e-6)
    dipole = oracle.dip_moment(verbose=0)
    np.testing.assert_allclose(found.arrays["dipole"], dipole, atol=1e-5)
    assert found.arrays["gradient_norm"] < 1e-6
    assert found.arrays["exact_fock_builds"] <= 4
    assert found.record["source"] == {"file": "water.xyz", "frame": 3}
    assert found.record["level"]["functional"]["code"] == "b3lypg"
    assert found.record["versions"]["pyscf"]
    assert found.record["report"]["certificate"]["verdict"] == "pass"
    np.testing.assert_array_equal(found.arrays["positions"], atoms.positions)


def test_the_fock_matrix_reproduces_its_density(rng: np.random.Generator) -> None:
    label = label_structure(water(rng), HF)
    energy, c = eigh(label.fock(), label.overlap())
    occupied = c[:, :5]
    np.testing.assert_allclose(2 * occupied @ occupied.T, label.density(), atol=1e-5)
    np.testing.assert_allclose(energy, label.arrays["orbital_energies"], atol=1e-8)
    c, occ = label.arrays["orbital_coefficients"], label.arrays["occupations"]
    np.testing.assert_allclose((c * occ) @ c.T, label.density(), atol=1e-12)


def test_both_spins_of_a_radical() -> None:
    atoms = Atoms("OH", [[0.0, 0.0, 0.0], [0.0, 0.0, 0.97]])
    label = label_structure(atoms, HF)
    oracle = scf.UHF(pyscf_molecule(atoms, "sto-3g", spin=1))
    assert label.energy == pytest.approx(oracle.kernel() * HARTREE_TO_EV, abs=1e-6)
    assert label.fock().shape == label.density().shape == (2, 6, 6)
    electrons = np.einsum("sij,ji->s", label.density(), label.overlap())
    np.testing.assert_allclose(electrons, [5, 4], atol=1e-10)
    for fock, density, n in zip(label.fock(), label.density(), (5, 4), strict=True):
        occupied = eigh(fock, label.overlap())[1][:, :n]
        np.testing.assert_allclose(occupied @ occupied.T, density, atol=1e-5)


def test_forces_are_minus_the_gradient_of_the_energy() -> None:
    settings = LabelSettings(xc="hf", basis="sto-3g", forces=True)
    step = 1e-3
    energies = [
        label_structure(Atoms("FH", [[0, 0, 0], [0, 0, 0.95 + s]]), HF).energy
        for s in (-step, step)
    ]
    label = label_structure(Atoms("FH", [[0, 0, 0], [0, 0, 0.95]]), settings)
    slope = (energies[1] - energies[0]) / (2 * step)
    assert label.arrays["forces"][1, 2] == pytest.approx(-slope, abs=1e-4)


def test_single_precision_halves_the_matrices_only(rng: np.random.Generator) -> None:
    atoms = water(rng)
    double = label_structure(atoms, HF)
    single = label_structure(atoms, LabelSettings(xc="hf", basis="sto-3g", precision="float32"))
    assert single.arrays["fock"].dtype == single.arrays["density"].dtype == np.float32
    assert single.arrays["orbital_energies"].dtype == np.float64
    np.testing.assert_allclose(single.fock(), double.fock(), rtol=1e-6, atol=1e-6)


def test_pack_and_unpack(rng: np.random.Generator) -> None:
    matrix = rng.normal(size=(2, 5, 5))
    matrix += matrix.transpose(0, 2, 1)
    np.testing.assert_array_equal(unpack(pack(matrix)), matrix)
    assert pack(matrix).shape == (2, 15)
    np.testing.assert_array_equal(pack(matrix)[0, :3], matrix[0][[0, 1, 1], [0, 0, 1]])


def test_gfn2_agrees_with_tblite(rng: np.random.Generator) -> None:
    from tblite.interface import Calculator

    atoms = water(rng)
    atoms.info["charge"] = 1
    label = label_structure(atoms, LabelSettings(potential="gfn2"))
    assert int(label.arrays["charge"]) == 1
    assert int(label.arrays["multiplicity"]) == 2
    oracle = Calculator("GFN2-xTB", atoms.numbers, atoms.positions / BOHR_TO_ANGSTROM, 1.0, 1)
    oracle.set("verbosity", 0)
    result = oracle.singlepoint()
    assert label.energy == pytest.approx(result["energy"] * HARTREE_TO_EV, abs=1e-5)
    forces = -result["gradient"] * HARTREE_TO_EV / BOHR_TO_ANGSTROM
    np.testing.assert_allclose(label.arrays["forces"], forces, atol=1e-3)
    with pytest.raises(InputError, match="without electronic structure"):
        label.fock()


def test_gfn2_forces_are_minus_the_gradient_of_the_energy(rng: np.random.Generator) -> None:
    atoms, step = water(rng), 1e-3
    numbers, x = atoms.numbers, atoms.positions
    shift = np.zeros((3, 3))
    shift[1, 2] = step
    up, down = (gfn2(numbers, x + s, charge=0, multiplicity=1) for s in (shift, -shift))
    slope = (up.energy_hartree - down.energy_hartree) / (2 * step) * HARTREE_TO_EV
    forces = gfn2(numbers, x, charge=0, multiplicity=1).forces
    assert forces[1, 2] == pytest.approx(-slope, abs=1e-4)


def test_gfn2_says_what_it_cannot_do() -> None:
    with pytest.raises(InputError, match="atomic number 92"):
        gfn2(np.array([92]), np.zeros((1, 3)), charge=0, multiplicity=1)
    with pytest.raises(InputError, match="--basis, --forces with --potential gfn2"):
        LabelSettings(potential="gfn2", basis="sto-3g", forces=True)


def test_a_folder_is_filled_once(tmp_path: Path, waters: Path) -> None:
    out = tmp_path / "labels"
    first = list(Labelling([waters], HF, out=out, limit=2).run())
    assert [entry["name"] for entry in first] == ["water_000000", "water_000001"]
    times = {path.name: path.stat().st_mtime_ns for path in out.glob("*.npz")}
    job = Labelling([waters], HF, out=out)
    assert job.existing == ["water_000000", "water_000001"]
    assert len(list(job.run())) == 2
    assert times.items() <= {p.name: p.stat().st_mtime_ns for p in out.glob("*.npz")}.items()
    assert [entry["status"] for entry in entries(out)] == ["done"] * 4

    labels = LabelSet(out)
    assert len(labels) == 4
    assert labels.level["basis"] == "sto-3g"
    assert [label.sha256 for label in labels] == [entry["sha256"] for entry in entries(out)]
    written = ase.io.read(out / "labels.extxyz", ":", format="extxyz")
    assert [a.info["REF_energy"] for a in written] == pytest.approx([x.energy for x in labels])
    assert written[0].info["level_of_theory"] == "hf/sto-3g"


def test_workers_give_the_same_labels(tmp_path: Path, waters: Path) -> None:
    for workers, name in ((1, "one"), (2, "two")):
        list(Labelling([waters], HF, out=tmp_path / name).run(workers=workers))
    for a, b in zip(LabelSet(tmp_path / "one"), LabelSet(tmp_path / "two"), strict=True):
        np.testing.assert_allclose(a.arrays["fock"], b.arrays["fock"], atol=1e-12)
        np.testing.assert_array_equal(a.arrays["positions"], b.arrays["positions"])


def test_a_torn_manifest_is_mended(tmp_path: Path, waters: Path) -> None:
    out = tmp_path / "labels"
    list(Labelling([waters], HF, out=out, limit=3).run())
    manifest = out / "manifest.jsonl"
    manifest.write_bytes(manifest.read_bytes()[:-40])
    job = Labelling([waters], HF, out=out, limit=3)
    assert len(job.existing) == 3
    assert job.pending == {}
    assert [entry["name"] for entry in entries(out)] == [f"water_00000{i}" for i in range(3)]
    (out / "water_000001.npz").unlink()
    assert list(Labelling([waters], HF, out=out, limit=3).pending) == ["water_000001"]


def test_another_level_of_theory_is_refused(tmp_path: Path, waters: Path) -> None:
    out = tmp_path / "labels"
    list(Labelling([waters], HF, out=out, limit=1).run())
    before = {path: path.read_bytes() for path in out.iterdir()}
    other = LabelSettings(xc="hf", basis="sto-3g", forces=True)
    with pytest.raises(InputError, match="forces False there, True here"):
        Labelling([waters], other, out=out)
    with pytest.raises(InputError, match="--no-resume"):
        Labelling([waters], HF, out=out, resume=False)
    with pytest.raises(InputError, match="no readable level"):
        Labelling([waters], HF, out=waters.parent)
    assert {path: path.read_bytes() for path in out.iterdir()} == before


def test_another_structure_under_a_name_is_refused(tmp_path: Path, waters: Path) -> None:
    out = tmp_path / "labels"
    list(Labelling([waters], HF, out=out, limit=1).run())
    frames = ase.io.read(waters, ":", format="extxyz")
    frames[0].positions[0, 0] += 0.01
    ase.io.write(waters, frames, format="extxyz")
    with pytest.raises(InputError, match="differs from the structure"):
        Labelling([waters], HF, out=out)


def test_damage_is_found(tmp_path: Path, waters: Path) -> None:
    out = tmp_path / "labels"
    list(Labelling([waters], HF, out=out, limit=1).run())
    path = out / "water_000000.npz"
    with np.load(path) as file:
        arrays = dict(file)
    arrays["fock"][0] += 1e-6
    np.savez(path, **arrays)
    with pytest.raises(InputError, match="whose content has the hash"):
        LabelSet(out)[0]
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(InputError, match="cannot be read"):
        read_label(path)


def test_inputs_are_checked_before_anything_is_written(tmp_path: Path, waters: Path) -> None:
    out = tmp_path / "labels"
    twin = tmp_path / "twin" / "water.xyz"
    twin.parent.mkdir()
    twin.write_bytes(waters.read_bytes())
    with pytest.raises(InputError, match="the same names"):
        Labelling([waters, twin], HF, out=out)
    with pytest.raises(InputError, match="sto-9g"):
        Labelling([waters], LabelSettings(basis="sto-9g"), out=out)
    with pytest.raises(InputError, match="multiplicity 2"):
        Labelling([waters], LabelSettings(multiplicity=2), out=out)
    with pytest.raises(InputError, match="0 input files"):
        Labelling([], HF, out=out)
    assert not out.exists()


def test_a_failure_is_recorded_and_the_rest_kept(
    tmp_path: Path, waters: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from genmol.scf import labelling

    def fail_on_second(atoms: Atoms, settings: LabelSettings, *, source: str, frame: int) -> Any:
        if frame == 1:
            raise DeliveryError(got="no solution", wanted="one", remedy="another geometry")
        return label_structure(atoms, settings, source=source, frame=frame)

    monkeypatch.setattr(labelling, "label_structure", fail_on_second)
    out = tmp_path / "labels"
    job = Labelling([waters], HF, out=out, limit=3)
    assert [entry["status"] for entry in job.run()] == ["done", "failed", "done"]
    assert job.failed == ["water_000001"]
    assert "no solution" in entries(out)[1]["reason"]
    again = Labelling([waters], HF, out=out, limit=3)
    assert (again.failed, list(again.pending)) == (["water_000001"], [])
    monkeypatch.undo()
    retried = Labelling([waters], HF, out=out, limit=3, retry_failed=True)
    assert [entry["status"] for entry in retried.run()] == ["done"]
    assert len(LabelSet(out)) == 3


@pytest.mark.parametrize("threshold", [-1.0, 0.0, float("nan"), 1.0])
def test_a_gradient_threshold_that_cannot_be_met_is_refused(threshold: float) -> None:
    with pytest.raises(InputError, match="conv_tol_grad"):
        LabelSettings(conv_tol_grad=threshold)
