"""Grassmann extrapolation: geometry of the manifold, exactness, symmetries, and that it helps."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from pyscf import gto, scf
from scipy.spatial.transform import Rotation

from genmol.core.errors import InputError
from genmol.qc.extrapolate import (
    GrassmannExtrapolator,
    grassmann_exp,
    grassmann_log,
    local_rotations,
    turned_orbitals,
)
from genmol.qc.natural import lowdin

# water, Bohr
EQUILIBRIUM = np.array([[0.0, 0.0, 0.0], [1.43, 1.11, 0.0], [-1.43, 1.11, 0.0]])


def water(
    positions: np.ndarray, kind: Any = scf.RHF, *, basis: str = "6-31g", charge: int = 0
) -> Any:
    mol = gto.M(
        atom=list(zip("OHH", positions.tolist(), strict=True)),
        unit="Bohr",
        basis=basis,
        charge=charge,
        spin=charge % 2,
        verbose=0,
    )
    mf = kind(mol)
    mf.chkfile = None
    return mf


def along(t: float) -> np.ndarray:
    """A smooth path: a stretch and a bend at different frequencies, amplitude 0.1 Bohr."""
    x = EQUILIBRIUM.copy()
    x[1] *= 1 + 0.05 * np.sin(t)
    x[2] *= 1 + 0.05 * np.cos(0.7 * t)
    x[1, 1] += 0.08 * np.sin(0.4 * t)
    return x


def distance(mf: Any, a: np.ndarray, b: np.ndarray) -> float:
    """‖S^{1/2}(A − B)S^{1/2}‖, the size of a density in an orthonormal basis."""
    root, _ = lowdin(mf.get_ovlp())
    return float(np.linalg.norm(root @ (np.asarray(a) - np.asarray(b)) @ root))


@pytest.fixture(scope="module")
def path() -> list[Any]:
    return [water(along(t)).run() for t in np.arange(10) * 0.25]


def trained(frames: list[Any], **options: Any) -> GrassmannExtrapolator:
    extrapolator = GrassmannExtrapolator(**options)
    for mf in frames:
        extrapolator.add(mf)
    return extrapolator


def projector(x: np.ndarray) -> np.ndarray:
    return x @ x.T


# ------------------------------------------------------------------ the manifold


def test_exponential_undoes_the_logarithm(rng: np.random.Generator) -> None:
    base, point = (np.linalg.qr(rng.normal(size=(9, 4)))[0] for _ in range(2))
    tangent = grassmann_log(base, point)
    np.testing.assert_allclose(base.T @ tangent, 0, atol=1e-12)
    reached = grassmann_exp(base, tangent)
    np.testing.assert_allclose(reached.T @ reached, np.eye(4), atol=1e-12)
    np.testing.assert_allclose(projector(reached), projector(point), atol=1e-10)
    np.testing.assert_allclose(grassmann_log(base, reached), tangent, atol=1e-10)


def test_logarithm_does_not_depend_on_the_orbitals_of_the_point(rng: np.random.Generator) -> None:
    base, point = (np.linalg.qr(rng.normal(size=(9, 4)))[0] for _ in range(2))
    mixed = point @ np.linalg.qr(rng.normal(size=(4, 4)))[0]
    np.testing.assert_allclose(grassmann_log(base, mixed), grassmann_log(base, point), atol=1e-10)


def test_geodesic_in_the_plane() -> None:
    """Lines through the origin of the plane: a tangent of length φ turns the line by φ."""
    base = np.array([[1.0], [0.0]])
    for angle in (0.0, 0.3, -1.2, 1.5):
        point = np.array([[np.cos(angle)], [np.sin(angle)]])
        np.testing.assert_allclose(grassmann_log(base, point), [[0.0], [angle]], atol=1e-12)
        np.testing.assert_allclose(
            grassmann_exp(base, np.array([[0.0], [angle]])), point, atol=1e-12
        )


# ------------------------------------------------------------------ rotations


def test_rotations_of_a_rigid_turn_are_that_turn(rng: np.random.Generator) -> None:
    for x in (3 * rng.normal(size=(6, 3)), EQUILIBRIUM):  # in space, and in a plane
        r = Rotation.random(rng=rng).as_matrix()
        for found in local_rotations(x, x @ r.T + 2.0):
            np.testing.assert_allclose(found, r, atol=1e-4)


def test_rotations_are_proper_even_for_a_mirror_image(rng: np.random.Generator) -> None:
    x = rng.normal(size=(6, 3))
    np.testing.assert_allclose(np.linalg.det(local_rotations(x, -x)), 1.0)


def test_a_linear_molecule_and_an_atom_turn_as_little_as_possible() -> None:
    x = np.outer([-1.0, 0.0, 1.5], [0.0, 0.0, 1.0])
    np.testing.assert_allclose(local_rotations(x, x), np.tile(np.eye(3), (3, 1, 1)), atol=1e-12)
    np.testing.assert_allclose(local_rotations(x[:1], x[:1]), [np.eye(3)], atol=1e-12)


def test_a_group_turns_without_the_rest() -> None:
    group = np.array([[0.0, 0, 0], [1.8, 0, 0], [0, 1.9, 0], [0, 0, 2.0]])
    near, far = group, group + np.array([30.0, 0.0, 0.0])
    r = Rotation.from_euler("x", 70, degrees=True).as_matrix()
    found = local_rotations(np.vstack([near, far]), np.vstack([near, far @ r.T]))
    np.testing.assert_allclose(found[:4], np.tile(np.eye(3), (4, 1, 1)), atol=0.05)
    np.testing.assert_allclose(found[4:], np.tile(r, (4, 1, 1)), atol=0.05)


@pytest.mark.parametrize("cart", [False, True])
def test_orbitals_turn_with_the_molecule(rng: np.random.Generator, cart: bool) -> None:
    mol = gto.M(atom="O 0 0 0; H 1 0.5 0.1", basis="cc-pvqz", charge=1, cart=cart, verbose=0)
    r = Rotation.random(rng=rng).as_matrix()
    there = mol.set_geom_(mol.atom_coords() @ r.T + 1.0, unit="Bohr", inplace=False)
    u = turned_orbitals(mol, np.stack([r, r]))
    for integral in ("int1e_ovlp", "int1e_kin", "int1e_nuc"):
        np.testing.assert_allclose(
            u.T @ there.intor(integral) @ u, mol.intor(integral), rtol=1e-9, atol=1e-9
        )


# ------------------------------------------------------------------ predictions


def test_none_before_the_first_frame(path: list[Any]) -> None:
    extrapolator = GrassmannExtrapolator()
    assert extrapolator.predict(path[0]) is None
    extrapolator.add(path[0])
    assert len(extrapolator) == 1
    assert extrapolator.predict(path[1]) is not None


def test_exact_on_a_training_frame(path: list[Any]) -> None:
    extrapolator = trained(path)
    for mf in path[::3]:
        predicted = extrapolator.predict(water(mf.mol.atom_coords()))
        np.testing.assert_allclose(predicted, mf.make_rdm1(), atol=1e-8)


@pytest.mark.parametrize("kind", [scf.RHF, scf.UHF, scf.ROHF])
def test_idempotent_with_the_right_electrons(kind: Any) -> None:
    charge = 0 if kind is scf.RHF else 1
    frames = [water(along(t), kind, charge=charge).run() for t in (0.0, 0.3, 0.6)]
    mf = water(along(0.9), kind, charge=charge)
    s = mf.get_ovlp()
    for n in (1, 2, 3):
        dm = trained(frames[:n]).predict(mf)
        assert dm is not None
        spins = [dm / 2] if dm.ndim == 2 else list(dm)
        wanted = [5] if dm.ndim == 2 else mf.nelec
        for d, electrons in zip(spins, wanted, strict=True):
            assert float(np.sum(d * s)) == pytest.approx(electrons, abs=1e-10)
            np.testing.assert_allclose(d @ s @ d, d, atol=1e-10)
    mf.kernel(dm0=dm)
    assert mf.converged


def test_better_than_the_last_density_and_than_superposed_atoms(path: list[Any]) -> None:
    last, extrapolated, atoms = [], [], []
    for i in range(5, len(path)):
        mf = path[i]
        exact = mf.make_rdm1()
        last.append(distance(mf, trained(path[i - 1 : i]).predict(mf), exact))
        extrapolated.append(distance(mf, trained(path[:i]).predict(mf), exact))
        atoms.append(distance(mf, mf.get_init_guess(), exact))
    assert np.median(extrapolated) < 0.25 * np.median(last)
    assert np.median(last) < 0.05 * np.median(atoms)


def test_interpolates_frames_in_any_order(path: list[Any]) -> None:
    middle = path[4]
    others = [path[i] for i in (9, 0, 5, 3, 7, 1)]
    mf = water(middle.mol.atom_coords())
    a, b = trained(others).predict(mf), trained(others[::-1]).predict(mf)
    np.testing.assert_allclose(a, b, atol=1e-10)
    nearest = min(distance(mf, trained([f]).predict(mf), middle.make_rdm1()) for f in others)
    assert distance(mf, a, middle.make_rdm1()) < 0.3 * nearest


def test_turns_and_moves_with_the_molecule(path: list[Any], rng: np.random.Generator) -> None:
    extrapolator = trained(path[:6])
    here = water(along(1.6))
    r = Rotation.random(rng=rng).as_matrix()
    there = water(along(1.6) @ r.T + 4.0)
    u = turned_orbitals(here.mol, np.stack([r] * 3))
    np.testing.assert_allclose(
        extrapolator.predict(there), u @ extrapolator.predict(here) @ u.T, atol=1e-5
    )


def test_frames_beyond_the_capacity_are_forgotten(path: list[Any]) -> None:
    extrapolator = trained(path, capacity=3)
    assert len(extrapolator) == 3
    only = trained(path[-3:])
    mf = water(along(2.5))
    np.testing.assert_allclose(extrapolator.predict(mf), only.predict(mf), atol=1e-12)


def test_a_frame_in_another_state_is_left_out(path: list[Any]) -> None:
    mf = path[3]
    odd = water(mf.mol.atom_coords())
    odd.mo_coeff, odd.mo_occ = mf.mo_coeff, mf.mo_occ[::-1].copy()
    extrapolator = trained([*path[:3], odd])
    target = path[2]
    np.testing.assert_allclose(
        extrapolator.predict(water(target.mol.atom_coords())), target.make_rdm1(), atol=1e-8
    )
    mf = water(along(0.6))
    np.testing.assert_allclose(extrapolator.predict(mf), trained(path[:3]).predict(mf), atol=1e-10)


def test_another_molecule_or_basis_is_refused(path: list[Any]) -> None:
    extrapolator = trained(path[:1])
    with pytest.raises(InputError, match=r"O H H with 7 orbitals.*one extrapolator for each"):
        extrapolator.predict(water(EQUILIBRIUM, basis="sto-3g"))
