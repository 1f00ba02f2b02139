"""Frames come out the same from every kind of file, and nothing broken gets in."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from ase import Atoms

from genmol.core.errors import InputError
from genmol.core.structure import write_extxyz
from genmol.data.force_units import FORCE_UNITS, likely_unit
from genmol.data.frames import Frames, _check_options, read_frames
from genmol.scf.label_settings import LabelSettings
from samplers.rng import Streams
from samplers.toys import TOYS

SHARED = Path(__file__).parents[3] / "shared" / "data"
needs_shared = pytest.mark.skipif(
    not (SHARED / "rmd17").is_dir(), reason="needs the shared reference data beside the checkout"
)
WATER = np.array([[0, 0, 0.12], [0, 0.76, -0.47], [0, -0.76, -0.47]])
NUMBERS = np.array([8, 1, 1])


def arrays(count: int = 6) -> dict[str, np.ndarray]:
    """Shaken water with forces that are no one's."""
    rng = np.random.default_rng(5)
    return {
        "positions": WATER + 0.05 * rng.normal(size=(count, 3, 3)),
        "forces": rng.normal(size=(count, 3, 3)),
        "numbers": NUMBERS,
        "energies": rng.normal(size=count),
        "weights": rng.uniform(0.5, 2.0, count),
    }


def structures(found: dict[str, np.ndarray]) -> list[Atoms]:
    frames = []
    for x, f, energy, weight in zip(
        found["positions"], found["forces"], found["energies"], found["weights"], strict=True
    ):
        atoms = Atoms(found["numbers"], x, info={"REF_energy": energy, "weight": weight})
        atoms.set_array("REF_forces", f)
        frames.append(atoms)
    return frames


def saved(path: Path, **content: np.ndarray) -> Path:
    np.savez(path, **content)
    return path


def assert_same(one: Frames, other: Frames) -> None:
    np.testing.assert_array_equal(one.numbers, other.numbers)
    for name in ("positions", "forces", "energies", "weights"):
        np.testing.assert_allclose(getattr(one, name), getattr(other, name), atol=1e-7)


def test_every_format_gives_the_same_frames(tmp_path):
    content = arrays()
    plain = read_frames(saved(tmp_path / "plain.npz", **content))
    assert plain.positions.dtype == plain.forces.dtype == np.float64
    assert plain.weights.mean() == pytest.approx(1.0)
    assert (plain.temperature, plain.level, plain.charge, plain.multiplicity) == (
        300.0,
        "not stated",
        0,
        1,
    )
    write_extxyz(tmp_path / "frames.extxyz", structures(content))
    assert_same(read_frames(tmp_path / "frames.extxyz"), plain)
    kcal = FORCE_UNITS["kcal/mol/angstrom"]
    md17 = saved(
        tmp_path / "md17.npz",
        R=content["positions"],
        F=content["forces"] / kcal.force,
        E=content["energies"][:, None] / kcal.energy,
        z=NUMBERS.astype(np.uint8),
        theory=np.array(b"PBE+vdW-TS"),
    )
    found = read_frames(md17, units="kcal/mol/angstrom").take(range(6))
    np.testing.assert_allclose(found.forces, plain.forces)
    np.testing.assert_allclose(found.energies, plain.energies)
    assert found.level == "PBE+vdW-TS"
    with pytest.raises(InputError, match="--units kcal/mol/angstrom"):
        read_frames(md17)
    split = {f"train_{name}": content[name] for name in ("positions", "forces", "energies")}
    split |= {f"test_{name}": 0 * content[name] for name in ("positions", "forces", "energies")}
    official = read_frames(saved(tmp_path / "rmd17.npz", numbers=NUMBERS, **split))
    np.testing.assert_array_equal(official.positions, plain.positions)
    halves = [
        saved(
            tmp_path / f"{k}.npz",
            **{n: a if n == "numbers" else a[k::2] for n, a in content.items()},
        )
        for k in (0, 1)
    ]
    order = [0, 2, 4, 1, 3, 5]
    assert_same(read_frames(halves), plain.take(order))
    assert read_frames(halves).sources == ("0.npz", "1.npz")


def test_labels_say_everything_themselves(tmp_path):
    from genmol.qc.label import write_label
    from genmol.scf.label_structure import label_structure

    settings = LabelSettings(potential="gfn2")
    for k in range(2):
        atoms = Atoms(NUMBERS, WATER + 0.01 * k * np.eye(3))
        write_label(tmp_path / f"{k}.npz", label_structure(atoms, settings, source="water"))
    (tmp_path / ".half.npz").write_bytes(b"torn")
    found = read_frames(tmp_path)
    assert found.count == 2
    assert "GFN2" in found.level.upper()
    np.testing.assert_allclose(found.forces.sum(axis=1), 0, atol=1e-6)
    with pytest.raises(InputError, match="leave --units out"):
        read_frames(tmp_path, units="hartree/bohr")
    np.testing.assert_array_equal(
        read_frames([tmp_path / "0.npz", tmp_path / "1.npz"]).forces, found.forces
    )


def test_what_files_say_can_be_overruled(tmp_path):
    frames = structures(arrays())
    for atoms in frames:
        atoms.info |= {"temperature_kelvin": 450.0, "charge": 1, "smiles": "[OH2+]"}
    write_extxyz(tmp_path / "a.extxyz", frames)
    found = read_frames(tmp_path / "a.extxyz")
    assert (found.temperature, found.charge, found.multiplicity) == (450.0, 1, 2)
    assert found.smiles == found.atoms(0).info["smiles"] == "[OH2+]"
    found = read_frames(tmp_path / "a.extxyz", temperature=300, charge=0, smiles="O")
    assert (found.temperature, found.charge, found.multiplicity, found.smiles) == (300, 0, 1, "O")
    frames[3].info["temperature_kelvin"] = 300.0
    write_extxyz(tmp_path / "a.extxyz", frames)
    with pytest.raises(InputError, match=r"different temperature in .*300\.0, 450\.0"):
        read_frames(tmp_path / "a.extxyz")


def test_a_larger_choice_contains_the_smaller_and_hashes_tell_contents_apart(tmp_path):
    path = saved(tmp_path / "a.npz", **arrays(40))
    everything = read_frames(path)
    few, many = (read_frames(path, limit=n, seed=3).positions for n in (5, 20))
    rows = {x.tobytes() for x in many}
    assert {x.tobytes() for x in few} < rows < {x.tobytes() for x in everything.positions}
    limited = everything.limited(5, seed=3)
    assert_same(limited, read_frames(path, limit=5, seed=3))
    assert limited.limited(9, seed=1).sha256 == limited.sha256
    assert read_frames(path, limit=5).weights.mean() == pytest.approx(1.0)
    assert read_frames(path, limit=100).sha256 == everything.sha256 == read_frames(path).sha256
    changed = arrays(40)
    changed["forces"][7, 1, 2] += 1e-9
    assert read_frames(saved(tmp_path / "b.npz", **changed)).sha256 != everything.sha256
    assert read_frames(path, temperature=310.0).sha256 != everything.sha256  # another law
    assert everything.noted(None).noted("odd").summary()["warnings"] == ["odd"]


@pytest.mark.parametrize("name", ["dw4", "lj13"])
def test_toys_get_exact_forces(name, tmp_path):
    toy = TOYS[name]()
    x = toy.start(Streams.of(seed=1, chains=12))
    np.save(tmp_path / "points.npy", x.flatten(1).numpy())
    found = read_frames(tmp_path / "points.npy", toy=name)
    assert found.reduced
    assert found.temperature == found.thermal_energy == 1.0
    assert found.gradient_calls == found.count == 12
    expected = toy.evaluate(torch.from_numpy(found.positions))
    np.testing.assert_allclose(found.forces, expected.gradient.numpy())
    np.testing.assert_allclose(found.energies, -expected.log_density.numpy())
    given = saved(
        tmp_path / "points.npz", positions=x.numpy(), forces=2 * expected.gradient.numpy()
    )
    found = read_frames(given, toy=name)
    assert found.gradient_calls == 0
    np.testing.assert_allclose(found.forces, 2 * expected.gradient.numpy())
    assert read_frames(tmp_path / "points.npy", toy=name, limit=3).gradient_calls == 3


def broken(**changes: object) -> dict[str, np.ndarray]:
    content = arrays()
    for name, change in changes.items():
        if change is None:
            del content[name]
        elif callable(change):
            change(content[name])
        else:
            content[name] = change
    return content


def put(where: tuple[int, ...], value: float):
    return lambda array: array.__setitem__(where, value)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"forces": None}, "without forces.*genmol label"),
        ({"numbers": None}, "no numbers"),
        ({"positions": None}, "without positions"),
        ({"numbers": np.array([8, 1])}, r"numbers int64 \(2,\)"),
        ({"numbers": np.array([8, 1, 0])}, "atomic numbers"),
        (
            {"numbers": np.array([[8, 1, 1]] * 5 + [[1, 8, 1]])},
            r"frame 5 of .*HOH.*frame 0 \(OH2\)",
        ),
        ({"forces": np.ones((5, 3, 3))}, r"forces float64 \(5, 3, 3\)"),
        ({"forces": np.zeros((6, 3, 3))}, "all zero"),
        ({"positions": put((4, 1, 1), np.nan)}, "frame 4 of .* coordinate of nan"),
        ({"positions": put((4, 1, 1), 1e5)}, "frame 4 of .* coordinate of 6"),
        ({"forces": put((2, 0, 0), np.inf)}, "frame 2 of .* force of inf"),
        ({"forces": put((2, 0, 0), 5e3)}, "frame 2 of .* force of 5e.*--units"),
        ({"positions": lambda x: x.__imul__(0.1)}, "frame 0 of .* apart.*nm"),
        ({"weights": np.array([1, 1, 1, 1, 1, -1.0])}, "weights that are negative"),
        ({"pbc": np.array([True] * 3)}, "periodic"),
        ({"temperature": np.array(-1.0)}, "temperature -1.0"),
        ({"charge": np.array(1), "multiplicity": np.array(1)}, "multiplicity"),
    ],
)
def test_broken_arrays_are_refused(changes, message, tmp_path):
    path = saved(tmp_path / "a.npz", **broken(**changes))
    with pytest.raises(InputError, match=message):
        read_frames(path)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"temperature": 0.0}, "temperature 0.0"),
        ({"temperature": float("nan")}, "temperature nan"),
        ({"limit": 1}, "limit of 1"),
        ({"toy": "mixture"}, "particles: dw4"),
        ({"toy": "dw4", "temperature": 300.0}, "units or a temperature"),
        ({"toy": "dw4"}, r"shape \(m, 8\)"),
    ],
)
def test_faulty_options_are_refused(options, message, tmp_path):
    with pytest.raises(InputError, match=message):
        read_frames(saved(tmp_path / "a.npz", **arrays()), **options)


def test_frames_without_weight_are_no_choice(tmp_path):
    content = arrays() | {"weights": np.array([0, 0, 0, 1, 1, 1.0])}
    with pytest.raises(InputError, match="without weight"):
        read_frames(saved(tmp_path / "a.npz", **content)).take([0, 1])


def test_an_unknown_unit_is_refused():
    with pytest.raises(InputError, match="'kcal'; wanted one of ev/angstrom, kcal/mol/angstrom"):
        _check_options(["a.npz"], "kcal", None, None)


def test_points_without_density_are_refused(tmp_path):
    points = np.random.default_rng(0).normal(size=(3, 39))
    points[1, :3] = points[1, 3:6]
    np.save(tmp_path / "a.npy", points)
    with pytest.raises(InputError, match=r"point 1 of .*has no density"):
        read_frames(tmp_path / "a.npy", toy="lj13")


def test_broken_files_are_refused(tmp_path):
    path = saved(tmp_path / "a.npz", **arrays())
    (tmp_path / "torn.npz").write_bytes(path.read_bytes()[:-100])
    (tmp_path / "empty.npz").write_bytes(b"")
    (tmp_path / "empty.extxyz").write_text("")
    (tmp_path / "labels").mkdir()
    (tmp_path / "a.pdb").write_text("ATOM")
    for name, message in {
        "torn.npz": "cannot be read as npz",
        "empty.npz": "cannot be read as npz",
        "empty.extxyz": "empty",
        "labels": "without labels",
        "a.pdb": "format .pdb",
        "nowhere.npz": "does not exist",
    }.items():
        with pytest.raises(InputError, match=message):
            read_frames(tmp_path / name)
    with pytest.raises(InputError, match="1 frames"):
        read_frames(saved(tmp_path / "one.npz", **arrays(1)))
    with pytest.raises(InputError, match="no frames"):
        read_frames(saved(tmp_path / "none.npz", **arrays(0)))
    with pytest.raises(InputError, match="no files"):
        read_frames([])


def test_structures_that_do_not_belong_together_are_refused(tmp_path):
    frames = structures(arrays())
    other = frames[2].copy()
    other.numbers[:] = [1, 8, 1]
    write_extxyz(tmp_path / "mixed.extxyz", [*frames, other])
    with pytest.raises(InputError, match=r"frame 6 of .*mixed.extxyz \(HOH\)"):
        read_frames(tmp_path / "mixed.extxyz")
    write_extxyz(tmp_path / "one.extxyz", frames)
    write_extxyz(tmp_path / "two.extxyz", [other])
    with pytest.raises(InputError, match=r"frame 0 of .*two.extxyz \(HOH\)"):
        read_frames([tmp_path / "one.extxyz", tmp_path / "two.extxyz"])
    del frames[1].arrays["REF_forces"]
    write_extxyz(tmp_path / "some.extxyz", frames)
    with pytest.raises(InputError, match=r"frame 1 of .* without forces"):
        read_frames(tmp_path / "some.extxyz")
    frames[0].pbc = True
    write_extxyz(tmp_path / "periodic.extxyz", frames)
    with pytest.raises(InputError, match="periodic"):
        read_frames(tmp_path / "periodic.extxyz")


def test_units_are_told_apart():
    for unit, factors in FORCE_UNITS.items():
        if unit != "ev/angstrom":
            assert likely_unit(1 / factors.force, "ev/angstrom", tolerance=0.05) == unit
            assert likely_unit(factors.force, unit, tolerance=0.05) == "ev/angstrom"
    assert likely_unit(1.0, "ev/angstrom", tolerance=0.25) is None


@needs_shared
def test_public_sets_are_read():
    ethanol = read_frames(SHARED / "rmd17/ethanol.npz", temperature=500)
    assert ethanol.positions.shape == (2967, 9, 3)  # three splits of 1000 that share 33 frames
    assert len(np.unique(ethanol.positions, axis=0)) == 2967
    bpa = read_frames(SHARED / "3bpa/train_300K.xyz", limit=20)
    assert bpa.forces.shape == (20, 27, 3)
    with pytest.raises(InputError, match="frame 300"):
        read_frames(SHARED / "ethanol/train_eth_meth.xyz")
