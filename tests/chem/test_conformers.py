"""Conformers: the known ones are found, stereo is kept, and everything is counted."""

from __future__ import annotations

import math

import numpy as np
import pytest
from chemcases import geometries, species

from genmol.chem.conformers import Conformers, embed, torsion_grid
from genmol.chem.etkdg import etkdg
from genmol.chem.identity import same_molecule
from genmol.chem.relaxation import force_field_of, relax
from genmol.chem.species import species_from_smiles
from genmol.chem.torsions import dihedral, rotatable_torsions
from genmol.core.errors import DeliveryError
from genmol.core.units import EV_TO_KCAL_MOL


def relative(found: Conformers) -> np.ndarray:
    return (found.energies - found.energies[0]) * EV_TO_KCAL_MOL


def test_butane() -> None:
    """Trans and both gauche forms, 0.78 kcal/mol above it in MMFF94 (Halgren, 1996)."""
    found = embed(species("CCCC"), 20, 1)
    np.testing.assert_allclose(relative(found), [0, 0.78, 0.78], atol=0.02)
    angles = np.degrees(dihedral(found.positions, (0, 1, 2, 3)))
    np.testing.assert_allclose(np.abs(angles), [180, 65, 65], atol=2)
    assert np.sign(angles[1]) == -np.sign(angles[2])


def test_cyclohexane() -> None:
    """Chair, and twist boats 5.9 kcal/mol above it in MMFF94."""
    found = embed(species("C1CCCCC1"), 30, 1)
    assert 2 <= len(found) <= 3
    np.testing.assert_allclose(relative(found)[1:], 5.93, atol=0.05)


def test_n_methylpiperidine_has_both_positions_of_the_methyl_group() -> None:
    """Equatorial, and axial 3.3 kcal/mol above it in MMFF94: nitrogen's inversion is a coordinate."""
    found = embed(species("CN1CCCCC1"), 25, 1)
    assert relative(found)[1] == pytest.approx(3.28, abs=0.05)


def test_counts_add_up() -> None:
    found = embed(species("OCCO"), 15, 3)
    counts = found.counts
    assert (counts.asked, counts.embedded) == (15, 15)
    assert counts.turned <= 27
    assert counts.embedded + counts.turned == counts.wrong + counts.duplicates + counts.kept
    assert counts.kept == len(found) == len(found.energies) == len(found.origins)
    assert found.multiplicities.sum() == counts.kept + counts.duplicates
    assert counts.force_field == "MMFF94"
    assert (np.diff(found.energies) >= 0).all()
    np.testing.assert_allclose(found.positions.mean(axis=1), 0, atol=1e-9)


def test_the_same_seed_gives_the_same_conformers() -> None:
    one = species("CCCO")
    first, again, other = (embed(one, 6, seed, grid=0) for seed in (5, 5, 6))
    np.testing.assert_array_equal(first.positions, again.positions)
    assert first.positions.shape != other.positions.shape or not np.allclose(
        first.positions, other.positions
    )


@pytest.mark.parametrize(
    "smiles",
    [
        "C[C@H](O)[C@@H](F)Cl",
        "C/C=C\\C[C@@H](C)N",
        "C[C@H]1CC[C@@H](C)CC1",
        "C[S@](=O)CC",
        "C[C@H]1C[N@@]1CC",
    ],
)
def test_stereo_is_kept(smiles: str) -> None:
    one = species(smiles)
    found = embed(one, 6, 2, grid=30)
    assert same_molecule(one, found.positions).all()
    assert found.counts.wrong == 0


def test_cis_amides_are_found() -> None:
    """ETKDG's own default makes every amide trans."""
    one = species("CC(=O)NC")
    found = embed(one, 8, 2)
    omega = np.abs(dihedral(found.positions, (0, 1, 3, 4)))
    assert (omega < 0.5).any()
    assert (omega > 2.6).any()


def test_a_grid_has_every_combination() -> None:
    one = species("OCCO")
    x = geometries("OCCO", 1)
    found = torsion_grid(one, x, limit=27)
    angles = np.degrees(dihedral(found, [t.atoms for t in rotatable_torsions(one)]))
    assert len(np.unique(np.round(angles) % 360, axis=0)) == len(found)
    assert set(np.round(angles % 360).flatten()) == {60, 180, 300}
    assert 20 <= len(found) <= 27
    assert len(torsion_grid(one, x, limit=26)) == 0
    assert len(torsion_grid(species("CC"), geometries("CC"), limit=100)) == 0


def test_a_grid_reaches_what_embedding_missed() -> None:
    one = species("CCCC")
    alone, with_grid = embed(one, 1, 1, grid=0), embed(one, 1, 1)
    assert len(alone) == 1
    assert len(with_grid) == 3
    assert 1 in with_grid.origins


def test_without_a_force_field_conformers_stay_as_embedded() -> None:
    found = embed(species("CCO"), 5, 1, grid=0, relaxed=False)
    assert np.isnan(found.energies).all()
    assert found.counts.force_field == "none"


def test_radicals_are_relaxed_with_uff() -> None:
    one = species_from_smiles("CC[CH2]", multiplicity=2)
    assert force_field_of(one.mol) == "UFF"
    assert embed(one, 4, 1).counts.force_field == "UFF"


def test_relaxation_ends_in_minima() -> None:
    one = species("OCCO")
    found = relax(one.mol, etkdg(one.mol, n=3, seed=1))
    again = relax(one.mol, found.positions)
    assert found.converged.all()
    np.testing.assert_allclose(again.energies, found.energies, atol=1e-4)


def test_what_cannot_exist() -> None:
    """Norbornane with one bridge on the wrong side."""
    with pytest.raises(DeliveryError, match="no conformer of"):
        embed(species_from_smiles("C1C[C@H]2CC[C@H]1C2"), 1, 1, seconds=1)


def test_tolerance() -> None:
    one = species("OCC(O)CO")
    few = embed(one, 10, 1, grid=0, tolerance=math.radians(150))
    many = embed(one, 10, 1, grid=0, tolerance=math.radians(1))
    assert len(few) < len(many)
