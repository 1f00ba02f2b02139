from __future__ import annotations

import numpy as np
import pytest
from pyscf import dft, gto
from pyscf.scf import hf
from scfcases import WATER, mean_field
from scipy.integrate import quad
from scipy.spatial.transform import Rotation

from genmol.core.errors import InputError
from genmol.qc.orbitals import initial_fock
from genmol.qc.superposition import atomic_density, sap_potential, semilocal_potential

FLUOROAMINE = "N 0.1 0.2 0.3; F 1.3 -0.4 0.5; H -0.5 0.9 -0.2; H -0.4 -0.6 0.8"
TURN = Rotation.random(rng=np.random.default_rng(2)).as_matrix()


def molecule(atom: str, **options: object) -> gto.Mole:
    return gto.M(atom=atom, basis="def2-svp", verbose=0, **options)


def turned(mol: gto.Mole) -> gto.Mole:
    return mol.set_geom_(mol.atom_coords() @ TURN.T, unit="Bohr", inplace=False)


def superposed(mol: gto.Mole, points: np.ndarray) -> np.ndarray:
    """Density at points (Bohr), term by term."""
    rho = np.zeros(len(points))
    for i in range(mol.natm):
        symbol = mol.atom_symbol(i)
        a, q = atomic_density(symbol, mol._basis[symbol])
        r2 = np.square(points - mol.atom_coord(i)).sum(axis=1)
        rho += np.exp(-a * r2[:, None]) @ (q * (a / np.pi) ** 1.5)
    return rho


@pytest.mark.parametrize("symbol", ["H", "C", "O", "F", "S"])
def test_an_atom_has_its_electrons_and_the_density_of_minao(symbol: str) -> None:
    atom = gto.M(atom=symbol, basis="def2-svp", spin=gto.charge(symbol) % 2, verbose=0)
    exponents, charges = atomic_density(symbol, atom._basis[symbol])
    assert (charges > 0).all()
    assert charges.sum() == pytest.approx(gto.charge(symbol), abs=1e-12)
    integral, _ = quad(
        lambda r: 4 * np.pi * r**2 * superposed(atom, np.array([[0.0, 0.0, r]]))[0],
        0,
        30,
        limit=200,
    )
    assert integral == pytest.approx(gto.charge(symbol), abs=1e-6)
    # The Coulomb energy of the difference to the guess, per electron
    dm = hf.init_guess_by_minao(atom)
    fit = gto.fakemol_for_cgtf_charge(np.zeros((1, 3)), exponents, charges)
    mixed = np.sum((atom + fit).intor("int3c2e", shls_slice=(
        0, atom.nbas, 0, atom.nbas, atom.nbas, atom.nbas + 1))[..., 0] * dm)  # fmt: skip
    own = np.sum(hf.get_jk(atom, dm, with_k=False)[0] * dm)
    error = own - 2 * mixed + fit.intor("int2c2e")[0, 0]
    assert 0 <= error < 2e-4 * gto.charge(symbol)


def test_semilocal_is_the_potential_of_its_density() -> None:
    """Coulomb part from smeared charges, one at a time; PBE from the density and differences of it."""
    mol = molecule(WATER)
    coulomb = np.zeros((mol.nao, mol.nao))
    for i in range(mol.natm):
        symbol = mol.atom_symbol(i)
        for a, q in zip(*atomic_density(symbol, mol._basis[symbol]), strict=True):
            with mol.with_rinv_at_nucleus(i), mol.with_rinv_zeta(a):
                coulomb += q * mol.intor("int1e_rinv")
    grid = dft.gen_grid.Grids(mol)
    grid.level = 0
    grid.build()
    step = 1e-4
    rho = [superposed(mol, grid.coords)]
    rho += [
        (superposed(mol, grid.coords + axis) - superposed(mol, grid.coords - axis)) / (2 * step)
        for axis in np.eye(3) * step
    ]
    v = dft.numint.NumInt().eval_xc_eff("pbe", np.array(rho), deriv=1)[1] * grid.weights
    ao = dft.numint.eval_ao(mol, grid.coords, deriv=1)
    product = np.einsum("xgm,gn->xgmn", ao, ao[0])
    product[1:] += product[1:].swapaxes(2, 3)
    expected = coulomb + np.einsum("xg,xgmn->mn", v, product)
    np.testing.assert_allclose(semilocal_potential(mol), expected, atol=1e-6)


def test_sap_is_pyscfs_potential() -> None:
    mol = molecule(WATER)
    charges = {s: np.array(gto.basis.load("sapgraspsmall", s)[0][1:]) for s in set(mol.elements)}
    np.testing.assert_allclose(sap_potential(mol), hf.make_sap(mol, charges), atol=1e-12)


@pytest.mark.parametrize(("start", "atol"), [("sap", 1e-11), ("semilocal", 2e-3)])
def test_it_turns_with_the_molecule(start: str, atol: float) -> None:
    """Exactly, but for the directions of the grid."""
    mf = mean_field("R", FLUOROAMINE, "b3lypg", basis="def2-svp")
    there = type(mf)(turned(mf.mol), xc="b3lypg")
    d = mf.mol.ao_rotation_matrix(TURN.T)
    np.testing.assert_allclose(
        initial_fock(there, start), d @ initial_fock(mf, start) @ d.T, rtol=0, atol=atol
    )


def test_semilocal_starts_closer_than_sap() -> None:
    mf = mean_field("R", WATER, "b3lypg", basis="def2-svp")
    mf.kernel()
    exact = mf.get_fock()
    error = {s: np.abs(initial_fock(mf, s) - exact).mean() for s in ("semilocal", "sap", "minao")}
    assert error["semilocal"] < 0.3 * error["sap"]
    assert error["semilocal"] < 1.5 * error["minao"]


@pytest.mark.parametrize("start", ["sap", "semilocal"])
def test_only_whole_atoms_are_superposed(start: str) -> None:
    iodide = molecule("H 0 0 0; I 0 0 1.61", ecp={"I": "def2-svp"})
    ghost = molecule("H 0 0 0; F 0 0 0.92; ghost-H 0 0 3")
    for mol in (iodide, ghost):
        with pytest.raises(InputError, match="take the starting point minao"):
            initial_fock(hf.RHF(mol), start)
