from __future__ import annotations

import json
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ase import Atoms
from scfcases import ase_fluoride, ase_water

from genmol.core.errors import InputError
from genmol.data import fock_examples
from genmol.data.hamiltonian import (
    RawLabel,
    data_hash,
    level_named,
    prepare,
    read_labels,
    summary,
)
from genmol.qc.functional import resolve
from genmol.qc.label import Label, make_label, write_label
from genmol.scf.examples import ExpectedLevel, FockExample
from genmol.scf.label_settings import LabelSettings
from genmol.scf.label_structure import label_structure

SHARED = Path(__file__).parents[2].parent / "shared" / "data" / "hamiltonian"
SETTINGS = LabelSettings(precision="float32", grid=1, overlap=True)
HYDROGEN = Atoms("HH", [[0, 0, 0], [0, 0, 0.75]])
Folder = Callable[..., Path]


@pytest.fixture(scope="module")
def made() -> dict[str, Label]:
    """Labels by the SMILES of their molecule."""
    structures = {"[H][H]": HYDROGEN, "O": ase_water(), "F": ase_fluoride()}
    return {
        smiles: label_structure(atoms, SETTINGS, source=smiles)
        for smiles, atoms in structures.items()
    }


@pytest.fixture
def folder(tmp_path: Path, made: dict[str, Label]) -> Folder:
    def write(**others: Label) -> Path:
        """A folder of the labels, and of the ``others`` under their names."""
        path = tmp_path / "labels"
        for i, label in enumerate(made.values()):
            write_label(path / f"m{i}.npz", label)
        for name, label in others.items():
            write_label(path / f"{name}.npz", label)
        return path

    return write


def changed(label: Label, record: dict[str, Any] | None = None, **arrays: np.ndarray) -> Label:
    """The label with other arrays and record, sealed again."""
    kept = {k: v for k, v in label.arrays.items() if k not in ("numbers", "positions", "record")}
    atoms = Atoms(label.arrays["numbers"], arrays.pop("positions", label.arrays["positions"]))
    return make_label(atoms, kept | arrays, {**label.record, **(record or {})})


def reordered(label: Label, order: list[int]) -> np.ndarray:
    """The packed Fock matrix with its orbitals in another order."""
    fock = label.fock()[np.ix_(order, order)]
    return fock[np.tril_indices(len(fock))].astype(np.float32)


def packed(path: Path, labels: dict[str, Label], parts: list[str]) -> Path:
    arrays = [label.arrays for label in labels.values()]
    np.savez(
        path,
        n_atoms=[len(a["numbers"]) for a in arrays],
        n_ao=[len(a["orbital_energies"]) for a in arrays],
        numbers=np.concatenate([a["numbers"] for a in arrays]).astype(np.int8),
        positions=np.concatenate([a["positions"] for a in arrays]),
        fock=np.concatenate([a["fock"] for a in arrays]),
        part=parts,
        name=[f"{i:03d}" for i in range(len(arrays))],
        source=list(labels),
    )
    return path


def same(a: FockExample, b: FockExample) -> bool:
    return all(np.array_equal(vars(a)[k], vars(b)[k]) for k in vars(a) if k not in ("name", "part"))


@pytest.mark.parametrize("start", ["minao", "semilocal", "sap"])
def test_examples_solve_their_equations(folder: Folder, made: dict[str, Label], start: Any) -> None:
    examples = prepare(read_labels(folder()), start=start)
    assert [example.source for example in examples] == list(made)
    for example, label in zip(examples, made.values(), strict=True):
        f, s, c, e = example.fock, example.overlap, example.coefficients, example.energies
        np.testing.assert_allclose(c.T @ s @ c, np.eye(len(e)), atol=1e-12)
        np.testing.assert_allclose(f @ c, s @ c * e, atol=1e-10)
        assert (np.diff(e) >= 0).all()
        np.testing.assert_array_equal(f, label.fock())
        np.testing.assert_allclose(s, label.overlap(), atol=1e-13)
        np.testing.assert_allclose(e, label.arrays["orbital_energies"], atol=1e-4)
        occupied = c[:, : example.n_occupied]
        np.testing.assert_allclose(2 * occupied @ occupied.T, label.density(), atol=1e-4)
        assert 2 * example.n_occupied == label.arrays["numbers"].sum()
        np.testing.assert_array_equal(example.initial, example.initial.T)
        # The starting point is one: core Hamiltonian or nothing would be Hartrees away
        assert 1e-3 < np.abs(f - example.initial).mean() < (0.1 if start == "sap" else 0.03)


def test_both_kinds_of_file_give_the_same(
    folder: Folder, made: dict[str, Label], tmp_path: Path
) -> None:
    one_by_one = read_labels(folder())
    at_once = read_labels(packed(tmp_path / "p.npz", made, ["test", "train", "test"]))
    assert [label.part for label in at_once] == ["test", "train", "test"]
    for a, b in zip(one_by_one, at_once, strict=True):
        assert (a.sha256, a.source, a.level) == (b.sha256, b.source, b.level)
    for a, b in zip(prepare(one_by_one), prepare(at_once), strict=True):
        assert same(a, b)
    assert len(read_labels([tmp_path / "p.npz", folder()])) == len(made)  # nothing twice


def test_molecules_are_never_torn_apart(made: dict[str, Label], folder: Folder) -> None:
    moved = {
        f"w{i}": changed(made["O"], positions=made["O"].arrays["positions"] + i)
        for i in range(1, 40)
    }
    labels = read_labels(folder(**moved))
    for label in labels:
        assert label.part == ("test" if zlib.crc32(label.source.encode()) % 10 == 0 else "train")
    assert len({label.part for label in labels if label.source == "O"}) == 1
    by_frame = read_labels(folder(**moved), split="frame")
    in_test = sum(label.part == "test" for label in by_frame if label.source == "O")
    assert 0 < in_test < 15
    again = read_labels(folder(**moved), split="frame")
    assert [label.part for label in again] == [label.part for label in by_frame]


def test_the_molecule_of_a_structure_file_is_its_formula(
    made: dict[str, Label], folder: Folder
) -> None:
    source = {"source": {"file": "run/water.xyz", "frame": 7}}
    moved = changed(made["O"], source, positions=made["O"].arrays["positions"] + 1)
    assert "H2O" in {label.source for label in read_labels(folder(moved=moved))}


def test_one_molecule_is_not_split_by_molecule(made: dict[str, Label], tmp_path: Path) -> None:
    for i in range(3):
        label = changed(made["O"], positions=made["O"].arrays["positions"] + i)
        write_label(tmp_path / "one" / f"{i}.npz", label)
    with pytest.raises(InputError, match=r"3 labels of one molecule, O"):
        read_labels(tmp_path / "one")
    assert len(read_labels(tmp_path / "one", split="frame")) == 3
    file = packed(tmp_path / "o.npz", {"O": made["O"]}, ["test"])
    assert read_labels(file)[0].part == "test"  # the file says so
    with pytest.raises(InputError, match="one molecule"):
        read_labels(file, split="molecule")


def test_the_cache_is_used_and_mended(
    folder: Folder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    labels, cache, done = read_labels(folder()), tmp_path / "cache", []
    first = prepare(labels[:2], cache=cache, progress=lambda n, all_: done.append((n, all_)))
    assert done == [(0, 2), (1, 2), (2, 2)]
    computed = []
    compute = fock_examples._compute
    monkeypatch.setattr(
        fock_examples, "_compute", lambda item: computed.append(item.label.name) or compute(item)
    )
    second = prepare(labels, cache=cache)
    assert computed == [labels[2].name]
    assert all(same(a, b) for a, b in zip(first, second, strict=False))
    assert len(list(cache.iterdir())) == 3

    for file in cache.iterdir():
        file.write_bytes(file.read_bytes()[:1000])
    assert all(same(a, b) for a, b in zip(second, prepare(labels, cache=cache), strict=True))
    assert len(computed) == 4
    prepare(labels, start="sap", cache=cache)  # another starting point is another file
    assert len(computed) == 7
    other = [replace(label, fock=label.fock + np.float32(1e-6)) for label in labels]
    prepare(other, cache=cache)
    assert len(computed) == 10


def test_workers_give_the_same(folder: Folder, tmp_path: Path) -> None:
    labels = read_labels(folder())
    here, there = prepare(labels), prepare(labels, workers=2, cache=tmp_path / "cache")
    for a, b in zip(here, there, strict=True):
        np.testing.assert_allclose(a.initial, b.initial, atol=1e-12)
        np.testing.assert_allclose(a.energies, b.energies, atol=1e-10)
        assert (a.name, a.n_occupied) == (b.name, b.n_occupied)


def test_the_hash_is_of_content_and_parts(folder: Folder) -> None:
    labels = read_labels(folder())
    assert data_hash(labels) == data_hash(labels[::-1])
    others: list[RawLabel] = [
        replace(labels[0], fock=labels[0].fock + np.float32(1e-6)),
        replace(labels[0], part="test" if labels[0].part == "train" else "train"),
        replace(labels[0], level=level_named("pbe", "def2-svp")),
    ]
    assert len({data_hash([other, *labels[1:]]) for other in (labels[0], *others)}) == 4


def test_summary_counts(made: dict[str, Label], tmp_path: Path) -> None:
    labels = read_labels(packed(tmp_path / "p.npz", made, ["test", "train", "test"]))
    found = summary(labels)
    assert json.loads(json.dumps(found)) == found
    assert found["labels"] == found["molecules"] == {"train": 1, "test": 2}
    assert found["labels_by_element"] == {"1": 3, "8": 1, "9": 1}
    assert found["labels_by_heavy_atoms"] == {"0": 1, "1": 2}
    assert found["atoms"] == [2, 3]
    assert found["orbitals"] == [10, 24]
    assert found["hash"] == data_hash(labels)


def test_a_level_is_what_it_resolves_to() -> None:
    level = level_named("B3LYP", "def2-SVP")
    assert level == level_named("b3lypg", "def2-svp") == level_named("b3lyp-d3bj", "def2-svp")
    assert level != level_named("b3lyp5", "def2-svp")
    assert level != level_named("b3lyp", "def2-tzvp")
    assert level_named("hf", "def2-svp").components == ()
    record = json.loads(json.dumps(resolve("wb97x-v").record()))
    assert ExpectedLevel.from_record(record, "x") == level_named("wb97x-v", "x")


# --- bad input


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (replace(SETTINGS, xc="pbe"), r"other\.npz of the level of theory GGA_X_PBE"),
        (replace(SETTINGS, basis="6-31g"), r"other\.npz of the level of theory .*/6-31g"),
        (replace(SETTINGS, cartesian=True), r"other\.npz, a label in Cartesian"),
        (replace(SETTINGS, spin_treatment="unrestricted"), r"other\.npz, a label of two spins"),
        (replace(SETTINGS, multiplicity=3), r"other\.npz, a label of two spins"),
        (LabelSettings(potential="gfn2"), r"other\.npz, which is a label without a Fock matrix"),
    ],
    ids=["functional", "basis", "cartesian", "unrestricted", "triplet", "gfn2"],
)
def test_labels_of_another_level_are_refused(
    settings: LabelSettings, message: str, folder: Folder
) -> None:
    other = label_structure(HYDROGEN, settings, source="[H][H]")
    with pytest.raises(InputError, match=message):
        read_labels(folder(other=other))


def test_a_level_may_be_asked_for(folder: Folder) -> None:
    labels = read_labels(folder(), level=level_named("b3lyp", "def2-svp"))
    with pytest.raises(InputError, match=r"m0\.npz"):
        read_labels(folder(), level=level_named("pbe", "def2-svp"))
    with pytest.raises(InputError, match=r"m0\.npz"):
        prepare(labels, level=level_named("pbe", "def2-svp"))
    with pytest.raises(InputError, match="empty data set"):
        prepare([])


def test_orders_of_other_programs_are_recognised(made: dict[str, Label], tmp_path: Path) -> None:
    water = made["O"]  # O: 3s 2p 1d, H: 2s 1p
    e3nn = [0, 1, 2, 4, 5, 3, 7, 8, 6, 9, 10, 11, 12, 13, 14, 15, 17, 18, 16, 19, 20, 22, 23, 21]
    orca = [0, 1, 2, 5, 3, 4, 8, 6, 7, 11, 12, 10, 13, 9, 14, 15, 18, 16, 17, 19, 20, 23, 21, 22]
    for order, name, start in (
        (e3nn, "e3nn", "minao"),
        (e3nn, "e3nn", "sap"),
        (orca, "ORCA", "minao"),
        (orca, "ORCA", "sap"),
    ):
        foreign = {"O": changed(water, fock=reordered(water, order))}
        file = packed(tmp_path / "foreign.npz", foreign, ["train"])
        with pytest.raises(InputError, match=rf"foreign\.npz, label 0 \(O 000\).*{name}"):
            prepare(read_labels(file), start=start)


def test_labels_that_contradict_themselves_are_refused(
    made: dict[str, Label], tmp_path: Path
) -> None:
    water = made["O"]
    arrays = water.arrays
    basis = json.loads(json.dumps(water.record["basis_functions"]))
    basis["O"][0][1][0] *= 1.01
    cases = {
        "electrons": changed(water, density=arrays["density"] * 0.9),
        "orbital energies": changed(water, orbital_energies=arrays["orbital_energies"] + 0.01),
        "overlap": changed(water, overlap=arrays["overlap"] + np.float32(1e-3)),
        "exponents": changed(water, {"basis_functions": basis}),
        "shells": changed(water, shells=arrays["shells"][::-1]),
        "orbitals where the basis has 24": changed(water, fock=arrays["fock"][:-24]),
        "from its starting point": changed(water, positions=arrays["positions"][::-1] * 1.5),
        "no molecule": changed(water, charge=np.array(1)),
        "from its": changed(water, fock=arrays["fock"] * np.float32(np.nan)),
    }
    for i, (message, label) in enumerate(cases.items()):
        write_label(tmp_path / f"bad{i}.npz", label)
        labels = read_labels(tmp_path / f"bad{i}.npz", split="frame")
        with pytest.raises(InputError, match=rf"bad{i}\.npz, .*{message}"):
            prepare(labels)


def test_a_good_label_is_not_refused_wherever_it_lies(made: dict[str, Label]) -> None:
    """What makes the cases above fail is the change, not the way it is made."""
    assert changed(made["O"]).sha256 == made["O"].sha256


def test_folders_and_files_that_hold_no_labels(folder: Folder, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"no labels in .*empty"):
        read_labels(tmp_path / "empty")
    with pytest.raises(InputError, match="no folder at all"):
        read_labels([])
    with pytest.raises(InputError, match="does not exist"):
        read_labels(tmp_path / "absent")
    path = folder()
    (path / ".m9.npz").write_bytes(b"half a label")  # of a run at work
    assert len(read_labels(path)) == 3
    np.savez(path / "x.npz", a=np.zeros(3))
    with pytest.raises(InputError, match=r"x\.npz, which is an npz file of a;"):
        read_labels(path)
    (path / "x.npz").write_bytes(b"PK\x03\x04 and nothing else")
    with pytest.raises(InputError, match=r"x\.npz, which cannot be read"):
        read_labels(path)
    (path / "x.npz").write_bytes((path / "m1.npz").read_bytes()[:-2000])
    with pytest.raises(InputError, match=r"x\.npz"):
        read_labels(path)


def test_a_packed_file_cut_short_is_refused(made: dict[str, Label], tmp_path: Path) -> None:
    file = packed(tmp_path / "p.npz", made, ["test", "train", "test"])
    with np.load(file) as stored:
        arrays = dict(stored)
    for name, value in (
        ("fock", arrays["fock"][:-1]),
        ("positions", arrays["positions"][:-1]),
        ("part", np.array(["test", "train", "valid"])),
        ("n_ao", arrays["n_ao"][:2]),
    ):
        np.savez(tmp_path / "q.npz", **(arrays | {name: value}))
        with pytest.raises(InputError, match=r"q\.npz, whose arrays do not fit together"):
            read_labels(tmp_path / "q.npz")


@pytest.mark.skipif(
    not SHARED.is_dir(), reason="needs the shared set of Fock matrices beside the checkout"
)
def test_shared_set_is_split_by_our_rule() -> None:
    stored = read_labels(SHARED / "small.npz")
    ours = read_labels(SHARED / "small.npz", split="molecule")
    assert [label.part for label in stored] == [label.part for label in ours]
    found = summary(stored)
    assert found["labels"] == {"train": 535, "test": 62}  # README of the set
    assert found["atoms"] == [3, 23]
    assert found["orbitals"] == [24, 178]
    examples = prepare(stored[::300], start="sap")
    assert all(example.energies[example.n_occupied] < 0.2 for example in examples)
