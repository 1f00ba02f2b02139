"""Fitted Coulomb and exchange matrices against PySCF's own density fitting."""

import numpy as np
import pytest
from pyscf import df
from scfcases import FLUORIDE, METHYLENE, mean_field, random_density

from genmol.qc.fitting import Fitting


def densities(rng):
    restricted = mean_field("R", FLUORIDE)
    unrestricted = mean_field("U", METHYLENE, spin=2)
    open_shell = mean_field("RO", METHYLENE, spin=2)
    for mf in (restricted, unrestricted, open_shell):
        energy, coeff = mf.eig(
            np.broadcast_to(mf.get_hcore(), (2, mf.mol.nao, mf.mol.nao))
            if mf is unrestricted
            else mf.get_hcore(),
            mf.get_ovlp(),
        )
        dm = mf.make_rdm1(coeff, mf.get_occ(energy, coeff))
        yield mf.mol, dm
        yield mf.mol, np.asarray(dm)
        yield mf.mol, random_density(mf, rng)


def assert_same(mol, dm, ours, **options):
    theirs = df.DF(mol).get_jk(dm, **options)
    for a, b in zip(ours.get_jk(dm, **options), theirs, strict=True):
        if np.any(b):  # PySCF fills what was not asked for with zeros or leaves it out
            assert a.shape == b.shape
            np.testing.assert_allclose(a, b, rtol=0, atol=1e-10)


def test_equals_pyscf_for_all_spins_and_signs(rng):
    for mol, dm in densities(rng):
        ours = Fitting(mol)
        assert_same(mol, dm, ours)
        assert ours._unpacked is not None


def test_parts_attenuation_and_no_room(rng):
    mol, dm = next(densities(rng))
    for budget in (1000.0, 0.0):
        ours = Fitting(mol, budget_mb=budget)
        for options in (
            {"with_k": False},
            {"with_j": False},
            {"omega": 0.3},
            {"omega": -0.3},
            {},
        ):
            assert_same(mol, dm, ours, **options)
        assert (ours._unpacked is None) == (budget == 0.0)


def test_the_attenuated_tensor_does_not_replace_the_whole_one(rng):
    mol, dm = next(densities(rng))
    ours = Fitting(mol)
    before = ours.get_jk(dm)
    ours.get_jk(dm, omega=0.2)
    np.testing.assert_allclose(ours.get_jk(dm), before, rtol=0, atol=1e-13)


def test_reset_forgets_the_molecule(rng):
    mol, dm = next(densities(rng))
    ours = Fitting(mol)
    ours.get_jk(dm)
    moved = mol.set_geom_(np.array([[0, 0, 0], [0, 0.3, 1.1]]), unit="Angstrom", inplace=False)
    ours.reset(moved)
    assert_same(moved, dm, ours)


@pytest.mark.parametrize("atom", ["He 0 0 0", "Li 0 0 0; H 0 0 1.6"])
def test_elements_without_a_fitting_set(atom):
    """PySCF's set for 6-31g lacks He, Li and Be; a silent even-tempered one takes its place."""
    from genmol.qc.cheap import CheapLevel

    mf = mean_field("R", atom, "b3lyp")
    dm = mf.get_init_guess()
    exact = np.asarray(mf.get_veff(dm=dm))
    assert np.abs(CheapLevel(mf).potential(dm) - exact).max() < 5e-3
