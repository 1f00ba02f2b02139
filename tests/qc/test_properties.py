"""Forces are minus the derivative of the energy; dipoles, charges and levels are PySCF's."""

import numpy as np
import pytest
from ase import Atoms
from scfcases import WATER, converged, mean_field

from genmol.core.units import HARTREE_TO_EV
from genmol.qc.properties import forces, summary
from genmol.scf import Settings, solve

BENT = Atoms("OHH", [[0, 0, 0.1], [0, 0.8, -0.5], [0.05, -0.7, -0.45]])
H = 0.01  # Å

CASES = [
    (Settings(xc="hf", basis="6-31g", conv_tol=1e-11), 5e-5),
    (Settings(xc="hf", basis="6-31g", multiplicity=3, conv_tol=1e-11), 5e-5),
    (
        Settings(
            xc="hf", basis="6-31g", charge=1, spin_treatment="restricted-open", conv_tol=1e-11
        ),
        5e-5,
    ),
    (Settings(xc="b3lyp", basis="6-31g", grid=4, conv_tol=1e-10), 2e-3),
    (Settings(xc="pbe", basis="6-31g", charge=1, grid=4, conv_tol=1e-10), 2e-3),
]


@pytest.mark.parametrize(("settings", "tolerance"), CASES)
def test_forces_are_minus_the_derivative(settings, tolerance):
    """Tolerances in eV/Å; with a functional the moving grid, which PySCF neglects, decides."""
    mf, _ = solve(BENT, settings)
    found = forces(mf)
    assert found.shape == (3, 3)
    for atom, axis in ((1, 1), (2, 0)):
        energies = {}
        for step in (-2, -1, 1, 2):
            moved = BENT.copy()
            moved.positions[atom, axis] += step * H
            energies[step] = solve(moved, settings).report.energy_hartree
        difference = 8 * (energies[1] - energies[-1]) - (energies[2] - energies[-2])
        numerical = -difference / (12 * H) * HARTREE_TO_EV
        assert found[atom, axis] == pytest.approx(numerical, abs=tolerance)
    np.testing.assert_allclose(found.sum(axis=0), 0, atol=max(tolerance, 1e-6))


@pytest.mark.parametrize(("kind", "charge"), [("R", 0), ("U", 1), ("RO", 1)])
def test_summary(kind, charge):
    mf = converged(mean_field(kind, WATER, charge=charge, spin=charge))
    result = summary(mf)
    np.testing.assert_allclose(result["dipole_debye"], mf.dip_moment(verbose=0), atol=1e-5)
    assert np.linalg.norm(result["dipole_debye"]) > 1
    assert sum(result["mulliken_charges"]) == pytest.approx(charge)
    occupied, empty = mf.mo_energy[mf.mo_occ > 0], mf.mo_energy[mf.mo_occ == 0]
    assert result["homo_ev"] == pytest.approx(occupied.max() * HARTREE_TO_EV)
    assert result["lumo_ev"] == pytest.approx(empty.min() * HARTREE_TO_EV)
    assert ("spin_square" in result) == (kind == "U")


def test_no_virtual_orbitals():
    assert "lumo_ev" not in summary(converged(mean_field("R", "He 0 0 0", basis="sto-3g")))


def test_a_generalised_determinant():
    mf = converged(mean_field("R", WATER).to_ghf())
    np.testing.assert_allclose(
        summary(mf)["dipole_debye"],
        summary(converged(mean_field("R", WATER)))["dipole_debye"],
        atol=1e-4,
    )
