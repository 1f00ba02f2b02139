"""Data of one law pass; another unit, another level and another temperature are told apart."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from ase import Atoms
from potentialcases import shaken

from genmol.core.errors import InputError
from genmol.core.graph import AtomicGraph
from genmol.core.units import KB
from genmol.data.force_units import FORCE_UNITS
from genmol.data.frame_checks import check_law, virial_of
from genmol.data.frames import Frames, read_frames
from genmol.potentials.lennard_jones import LennardJones
from samplers.rng import Streams
from samplers.spaces import MeanFree

SHARED = Path(__file__).parents[3] / "shared" / "data"
ARGON = LennardJones(epsilon=0.1, sigma=3.4)  # bound ten times as strongly, so that forces matter
ATOMS, STIFFNESS = 4, 5.0


def harmonic(count: int = 2000, *, temperature: float = 300.0) -> Frames:
    """Exact samples of four atoms, each on a spring to the centre, somewhere in space."""
    kT = KB * temperature
    x = MeanFree(ATOMS, 3).normal(Streams.of(seed=7, chains=count), "x").numpy()
    x *= np.sqrt(kT / STIFFNESS)
    return Frames(
        numbers=np.full(ATOMS, 18),
        positions=x + 10.0,
        forces=-STIFFNESS * x,
        energies=None,
        weights=np.ones(count),
        temperature=temperature,
        reduced=False,
        level="springs",
        charge=0,
        multiplicity=1,
        smiles=None,
        units="ev/angstrom",
        sources=("springs",),
    )


def argon(frames: int = 20) -> Frames:
    corners = np.array([[1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]])
    tetrahedron = Atoms("Ar4", 1.35 * corners)
    several = shaken(tetrahedron, frames, np.random.default_rng(3), noise=0.1)
    x = np.stack([atoms.positions for atoms in several])
    graph = AtomicGraph.copies(torch.full((ATOMS,), 18), torch.from_numpy(x), cutoff=ARGON.cutoff)
    forces = ARGON.evaluate(graph).forces.reshape(x.shape).numpy()
    return dataclasses.replace(harmonic(frames), positions=x, forces=forces)


def test_exact_samples_obey_the_virial():
    frames = harmonic()
    found = virial_of(frames)
    assert found.expected == 3 * (ATOMS - 1)
    assert abs(found.z) < 4
    assert check_law(frames) is None


def test_weights_are_heard():
    """Samples at 300 K, weighted to 250 K, belong to 250 K."""
    frames = harmonic(8000)
    energy = -0.5 * ((frames.positions - 10.0) * frames.forces).sum(axis=(1, 2))
    weights = np.exp(-energy / KB * (1 / 250 - 1 / 300))
    colder = dataclasses.replace(frames, temperature=250.0)
    assert abs(virial_of(colder).z) > 5
    weighted = dataclasses.replace(colder, weights=weights / weights.mean())
    assert abs(virial_of(weighted).z) < 4
    weights[energy > np.median(energy)] = 0.0
    assert np.isfinite(virial_of(dataclasses.replace(frames, weights=weights)).value)


def test_another_temperature_is_seen_and_both_causes_named():
    warning = check_law(dataclasses.replace(harmonic(), temperature=600.0))
    assert warning is not None
    assert warning.startswith(
        ("the virial of the frames is 0.49", "the virial of the frames is 0.50")
    )
    assert "another level of theory" in warning
    assert "forces are in another unit" in warning
    assert (
        check_law(dataclasses.replace(harmonic(), temperature=310.0)) is None
    )  # certain, but small
    assert check_law(harmonic(7)) is None  # too few to tell


@pytest.mark.parametrize("unit", [unit for unit in FORCE_UNITS if unit != "ev/angstrom"])
def test_another_unit_is_named(unit):
    frames = harmonic()
    wrong = dataclasses.replace(frames, forces=frames.forces / FORCE_UNITS[unit].force)
    warning = check_law(wrong)
    assert warning is not None
    assert f"in {unit})" in warning


def test_the_right_potential_agrees():
    frames = argon()
    before = ARGON.calls.gradients
    check_law(frames, potential=ARGON)
    assert ARGON.calls.gradients - before == 8
    rng = np.random.default_rng(1)
    noisy = frames.forces * (1 + 0.003 * rng.normal(size=frames.forces.shape))
    check_law(dataclasses.replace(frames, forces=noisy), potential=ARGON)


@pytest.mark.parametrize("unit", [unit for unit in FORCE_UNITS if unit != "ev/angstrom"])
def test_the_potential_tells_the_unit(unit):
    frames = argon()
    wrong = dataclasses.replace(frames, forces=frames.forces / FORCE_UNITS[unit].force)
    with pytest.raises(InputError, match=f"Try: --units {unit}"):
        check_law(wrong, potential=ARGON)
    read_in = dataclasses.replace(
        frames, forces=frames.forces * FORCE_UNITS[unit].force, units=unit
    )
    with pytest.raises(InputError, match="Try: --units ev/angstrom"):
        check_law(read_in, potential=ARGON)


def test_gradients_and_another_level_are_told_apart():
    frames = argon()
    with pytest.raises(InputError, match="gradients of the energy"):
        check_law(dataclasses.replace(frames, forces=-frames.forces), potential=ARGON)
    with pytest.raises(InputError, match="name the level"):
        check_law(frames, potential=LennardJones(epsilon=0.1, sigma=3.5))


@pytest.mark.skipif(
    not (SHARED / "rmd17").is_dir(), reason="needs the shared reference data beside the checkout"
)
def test_public_data_are_judged_as_they_should_be():
    for name, value in {"ethanol": "-0.189", "aspirin": "-0.790"}.items():
        warning = check_law(read_frames(SHARED / f"rmd17/{name}.npz", temperature=500.0))
        assert warning is not None
        assert f"virial of the frames is {value}" in warning
    points = SHARED / "lj13/val.npy"
    assert check_law(read_frames(points, toy="lj13")) is None
    warning = check_law(read_frames(points, toy="lj13-bgflow"))
    assert warning is not None
    assert "no points of lj13-bgflow" in warning
