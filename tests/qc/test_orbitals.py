from __future__ import annotations

import numpy as np
import pytest
import torch
from e3nn import o3
from pyscf import gto
from scfcases import FLUORIDE, WATER, mean_field
from scipy.linalg import block_diag
from scipy.spatial.transform import Rotation

from genmol.core.errors import InputError
from genmol.qc.cheap import CheapLevel
from genmol.qc.orbitals import (
    basis_functions,
    initial_fock,
    one_electron,
    shell_table,
    shells_of,
    to_irreps_order,
)

FLUOROAMINE = "N 0.1 0.2 0.3; F 1.3 -0.4 0.5; H -0.5 0.9 -0.2; H -0.4 -0.6 0.8"
TO_E3NN = np.array([[0.0, 1.0, 0.0], [0.0, 0.0, 1.0], [1.0, 0.0, 0.0]])  # (x, y, z) -> (y, z, x)
TURNS = {
    "x": Rotation.from_rotvec([0.7, 0.0, 0.0]),
    "y": Rotation.from_rotvec([0.0, -1.1, 0.0]),
    "z": Rotation.from_rotvec([0.0, 0.0, 2.3]),
    "a": Rotation.random(rng=np.random.default_rng(1)),
    "b": Rotation.random(rng=np.random.default_rng(2)),
}


def molecule(atom: str, basis: str = "def2-svp", **options: object) -> gto.Mole:
    return gto.M(atom=atom, basis=basis, verbose=0, **options)


def turned(mol: gto.Mole, matrix: np.ndarray) -> gto.Mole:
    return mol.set_geom_(mol.atom_coords() @ matrix.T, unit="Bohr", inplace=False)


def wigner(mol: gto.Mole, matrix: np.ndarray) -> np.ndarray:
    """Rotation of the orbitals in e3nn's order by e3nn's matrices, which see (y, z, x)."""
    seen = torch.tensor(TO_E3NN @ matrix @ TO_E3NN.T)
    shells = shells_of(mol)
    blocks = [
        o3.Irrep(l, (-1) ** l).D_from_matrix(seen).numpy()
        for i in range(mol.natm)
        for l in shells[int(mol.atom_charge(i))]
    ]
    return block_diag(*blocks)


@pytest.mark.parametrize("turn", TURNS)
@pytest.mark.parametrize("basis", ["def2-svp", "def2-tzvp"])
def test_matrices_turn_with_the_molecule(basis: str, turn: str) -> None:
    mol, matrix = molecule(FLUOROAMINE, basis), TURNS[turn].as_matrix()
    p = to_irreps_order(mol)
    assert 3 in np.concatenate(list(shells_of(mol).values())) or basis == "def2-svp"
    # PySCF wants the new axes as rows: the inverse of the rotation, whatever its docstring says
    of_pyscf, of_e3nn = mol.ao_rotation_matrix(matrix.T), wigner(mol, matrix)
    np.testing.assert_allclose(of_pyscf[np.ix_(p, p)], of_e3nn, atol=1e-12)
    for before, after in zip(one_electron(mol), one_electron(turned(mol, matrix)), strict=True):
        scale = 1e-12 * np.abs(before).max()
        np.testing.assert_allclose(after, of_pyscf @ before @ of_pyscf.T, rtol=0, atol=scale)
        m, m_turned = before[np.ix_(p, p)], after[np.ix_(p, p)]
        np.testing.assert_allclose(m_turned, of_e3nn @ m @ of_e3nn.T, rtol=0, atol=scale)


def test_matrices_are_mirrored_with_the_molecule() -> None:
    mol = molecule(FLUOROAMINE, "def2-tzvp")
    mirror = np.diag([1.0, -1.0, 1.0]) @ TURNS["a"].as_matrix()
    p, d = to_irreps_order(mol), wigner(mol, mirror)
    core, mirrored = one_electron(mol)[1], one_electron(turned(mol, mirror))[1]
    np.testing.assert_allclose(
        mirrored[np.ix_(p, p)], d @ core[np.ix_(p, p)] @ d.T, rtol=0, atol=1e-11
    )


def test_orbitals_in_irreps_order_are_spherical_harmonics(rng: np.random.Generator) -> None:
    """Values of one shell each of s, p, d and f on a sphere: positive multiples of e3nn's."""
    mol = gto.M(atom="Ne", basis={"Ne": [[l, [0.8, 1.0]] for l in range(4)]}, verbose=0)
    points = rng.standard_normal((50, 3))
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    values = mol.eval_gto("GTOval_sph", points)[:, to_irreps_order(mol)]
    harmonics = o3.spherical_harmonics(
        [0, 1, 2, 3], torch.tensor(points @ TO_E3NN.T), normalize=True, normalization="integral"
    ).numpy()
    ratio = np.sum(values * harmonics, axis=0) / np.sum(harmonics**2, axis=0)
    np.testing.assert_allclose(values, ratio * harmonics, atol=1e-12)
    assert (ratio > 0).all()
    for l in range(4):
        np.testing.assert_allclose(ratio[l * l : (l + 1) ** 2], ratio[l * l], rtol=1e-10)


@pytest.mark.parametrize("basis", ["def2-svp", "def2-tzvp", "cc-pvdz", "6-31g"])
def test_round_trip_is_bitwise(basis: str, rng: np.random.Generator) -> None:
    mol = molecule(FLUOROAMINE, basis)
    p = to_irreps_order(mol)
    assert sorted(p) == list(range(mol.nao))
    matrix = rng.standard_normal((mol.nao, mol.nao))
    back = np.argsort(p)
    np.testing.assert_array_equal(matrix[np.ix_(p, p)][np.ix_(back, back)], matrix)
    labels = mol.ao_labels(fmt=None)
    for old, new in zip(range(mol.nao), p, strict=True):
        assert labels[old][:2] == labels[new][:2]  # nothing leaves its atom
        assert ("p" in labels[old][2]) or old == new
    assert [labels[i][3] for i in p if "2p" in labels[i][2]][:3] == ["y", "z", "x"]


def test_shells_come_from_the_molecule() -> None:
    """def2-SVP: H 2s1p, C to F 3s2p1d; def2-TZVP: H 3s1p, N 5s3p2d1f (Weigend and Ahlrichs 2005)."""
    assert shells_of(molecule(FLUOROAMINE)) == {
        1: (0, 0, 1),
        7: (0, 0, 0, 1, 1, 2),
        9: (0, 0, 0, 1, 1, 2),
    }
    large = shells_of(molecule(FLUOROAMINE, "def2-tzvp"))
    assert large[1] == (0, 0, 0, 1)
    assert large[7] == (0,) * 5 + (1,) * 3 + (2,) * 2 + (3,)
    general = molecule("N 0 0 0; N 0 0 1.1", "cc-pvdz")  # two s functions in one shell of PySCF
    assert shells_of(general) == {7: (0, 0, 0, 1, 1, 2)}
    assert sum(2 * l + 1 for l in shells_of(general)[7]) * 2 == general.nao
    table = shell_table(general)
    assert (table[:, 2] * (2 * table[:, 1] + 1)).sum() == general.nao
    assert set(basis_functions(general)) == {"N"}


def test_what_a_network_cannot_take_is_refused() -> None:
    cartesian = molecule(WATER, cart=True)
    with pytest.raises(InputError, match="Cartesian"):
        shells_of(cartesian)
    with pytest.raises(InputError, match="Cartesian"):
        to_irreps_order(cartesian)
    mixed = molecule("H 0 0 0; H2 0 0 0.74", {"H": "def2-svp", "H2": "sto-3g"})
    with pytest.raises(InputError, match=r"atom 1 \(H2\)"):
        shells_of(mixed)


def test_minao_is_the_cheap_potential_of_pyscfs_guess() -> None:
    """Fitting and grid level 0 leave the Fock matrix within 5 mEh of PySCF's own, 0.2 on average."""
    mf = mean_field("R", FLUORIDE, "b3lypg", basis="def2-svp", grid=3)
    exact = mf.get_fock(dm=mf.get_init_guess(key="minao"))
    found = initial_fock(mf, "minao")
    assert np.abs(found - exact).max() < 5e-3
    assert np.abs(found - exact).mean() < 2e-4
    cheap = CheapLevel(mf)
    np.testing.assert_array_equal(initial_fock(mf, "minao", cheap=cheap), found)
    assert cheap.builds == 1
    np.testing.assert_array_equal(found, found.T)
