"""Equivalent rotamers are merged, different ones are not."""

from __future__ import annotations

import numpy as np
import pytest
from chemcases import geometries, graph_automorphisms, hydrogens_shuffled, rmsd, species

from genmol.chem.automorphisms import relabelled
from genmol.chem.shapes import shape_angles, shape_coordinates
from genmol.chem.symmetry import TorsionSymmetry, canonical_torsions, permutations, rotamers
from genmol.chem.torsions import rotatable_torsions, torsion_angles
from genmol.core.errors import InputError

ALANINE = "CC(=O)N[C@@H](C)C(=O)NC"
MOLECULES = [
    "CCCC",
    "OCC(O)CO",
    "OCCO",
    "Cc1ccccc1",
    ALANINE,
    "C1CCCCC1",
    "CC(C)(C)c1ccc(CC)cc1",
    "CN1CCCCC1",
    "CCN(CC)CC",
    "CCc1cccc(CC)c1O",
    "C[C@H](O)[C@@H](C)O",
    "CC(=O)N1CCCCC1",
    "OCC#CCO",
    "NC(=[NH2+])NC",
]


def difference(x: np.ndarray, y: np.ndarray, folds: np.ndarray) -> np.ndarray:
    return np.abs(np.angle(np.exp(1j * folds * (x - y)))) / folds


@pytest.mark.parametrize("smiles", MOLECULES)
def test_numbers_of_equal_atoms_do_not_matter(smiles: str, rng: np.random.Generator) -> None:
    """To 1e-9, for distorted frames, any graph automorphism and any order of hydrogens."""
    one = species(smiles)
    x = geometries(smiles)
    x = x + 0.03 * rng.standard_normal(x.shape)
    coordinates = shape_coordinates(one)
    folds = np.array([coordinate.fold for coordinate in coordinates])
    before = rotamers(one, coordinates, x)
    heavy = np.flatnonzero(one.numbers > 1)
    found = {tuple(g[heavy]): g for g in graph_automorphisms(one, limit=200_000)}
    for g in [*found.values()][:: max(1, len(found) // 12)]:
        after = rotamers(one, coordinates, hydrogens_shuffled(one, x[:, g], rng))
        assert difference(after, before, folds).max() < 1e-9


def test_butane() -> None:
    """Trans, gauche plus and gauche minus: the last two are mirror images."""
    one = species("CCCC")
    torsions = rotatable_torsions(one)
    middle = [k for k, torsion in enumerate(torsions) if torsion.fold == 1]
    angles = np.radians(
        [[60, 180, 60], [-60, 65, 60], [60, -65, -60], [50, 180, -60], [60, 65, 55]]
    )
    found = canonical_torsions(one, torsions, angles)
    np.testing.assert_allclose(
        np.degrees(found[:, middle])[:, 0] % 360, [180, 65, 295, 180, 65], atol=1e-9
    )
    merged = canonical_torsions(one, torsions, angles, mirror=True)
    np.testing.assert_allclose(np.abs(np.degrees(merged[:, middle]))[:, 0], [180, 65, 65, 180, 65])
    assert (np.abs(found[:, [0, 2]]) <= np.pi / 3 + 1e-12).all()


def test_ethanediol() -> None:
    """A turn exchanges the ends: 27 combinations of ±60° and 180° are 18, with mirror images 10."""
    one = species("OCCO")
    torsions = rotatable_torsions(one)
    wells = np.radians(
        [[a, b, c] for a in (60, 180, -60) for b in (60, 180, -60) for c in (60, 180, -60)]
    )
    for mirror, count in ((False, 18), (True, 10)):
        found = canonical_torsions(one, torsions, wells, mirror=mirror)
        assert len(np.unique(np.round(np.degrees(found)) % 360, axis=0)) == count


def test_glycerol_has_no_turn_but_a_mirror() -> None:
    one = species("OCC(O)CO")
    torsions = rotatable_torsions(one)
    assert len(TorsionSymmetry.of(one, torsions)) == 1
    assert len(TorsionSymmetry.of(one, torsions, mirror=True)) == 2


def test_cyclohexane() -> None:
    """Both chairs are one, as are all numberings of a twist boat; its mirror image is another one."""
    one = species("C1CCCCC1")
    torsions = shape_coordinates(one)
    chair = np.radians([55, -55, 55, -55, 55, -55])
    boat = np.radians([30, 30, -63, 30, 30, -63])
    symmetry = TorsionSymmetry.of(one, torsions)
    angles = np.stack([chair, -chair, boat, np.roll(boat, 1), np.roll(boat, 2), -boat])
    # the ring torsions follow each other round the ring
    order = np.argsort([_place(torsion.atoms) for torsion in torsions])
    listed = np.empty_like(angles)
    listed[:, order] = angles
    found = symmetry.canonical(listed)
    far = symmetry.distance(listed, listed)
    assert far[0, 1] < 1e-9
    assert far[2:5, 2:5].max() < 1e-9
    assert far[0, 2] > 0.5
    assert far[2, 5] > 0.5
    np.testing.assert_allclose(difference(found[0], found[1], symmetry.folds), 0, atol=1e-9)
    mirrored = TorsionSymmetry.of(one, torsions, mirror=True)
    assert mirrored.distance(listed, listed)[2, 5] < 1e-9


def _place(atoms: tuple[int, ...]) -> int:
    """Which bond of the ring 0-1-2-3-4-5 it is."""
    b, c = sorted(atoms[1:3])
    return 5 if (b, c) == (0, 5) else b


@pytest.mark.parametrize("smiles", ["CCCC", "OCCO", "CC(C)CC", "CN1CCCCC1", "CCN(C)CC"])
def test_equal_shapes_are_equal_geometries(smiles: str) -> None:
    """Two relaxed conformers have one canonical vector if and only if some numbering superposes them."""
    one = species(smiles)
    x = relabelled(one, geometries(smiles, 14))
    coordinates = shape_coordinates(one)
    symmetry = TorsionSymmetry.of(one, coordinates)
    angles = shape_angles(x, coordinates)
    far = symmetry.distance(angles, angles)
    heavy = np.flatnonzero(one.numbers > 1)
    images = [g[heavy] for g in permutations(one)]
    for i in range(len(x)):
        for j in range(i):
            best = min(rmsd(x[i][heavy], x[j][image]) for image in images)
            if far[i, j] < 0.05:
                assert best < 0.05
            elif best < 0.02:  # hydrogens alone differ
                assert any(c.atoms[3] not in heavy for c in rotatable_torsions(one))


def test_a_pair_of_ethyl_groups_keeps_its_sides(rng: np.random.Generator) -> None:
    """In a 2,6-diethylphenyl the turn of the ring exchanges them; the exchange alone is no symmetry."""
    one = species("CCc1cccc(CC)c1CO")
    torsions = rotatable_torsions(one)
    symmetry = TorsionSymmetry.of(one, torsions)
    assert len(symmetry) == 2
    axis = next(k for k, t in enumerate(torsions) if set(t.atoms[1:3]) == {9, 10})
    left, right = (
        next(k for k, t in enumerate(torsions) if set(t.atoms[1:3]) == set(pair))
        for pair in ((1, 2), (6, 7))
    )
    theta = rng.uniform(-np.pi, np.pi, size=(1, len(torsions)))
    exchanged = theta.copy()
    exchanged[:, [left, right]] = theta[:, [right, left]]
    assert symmetry.distance(theta, exchanged)[0, 0] > 0.01
    x = geometries("CCc1cccc(CC)c1CO", 6)
    angles = torsion_angles(x, torsions)
    steps = []
    for g in permutations(one):
        after = torsion_angles(x[:, g], torsions)
        assert symmetry.distance(angles, after).diagonal().max() < 1e-9
        steps.append(np.abs(np.angle(np.exp(1j * (after - angles))))[:, axis])
    np.testing.assert_allclose(np.sort(steps, axis=0), [[0] * len(x), [np.pi] * len(x)], atol=1e-9)


def test_a_reference_chooses_the_nearest() -> None:
    one = species("OCCO")
    torsions = rotatable_torsions(one)
    theta = np.radians([[60.0, 170.0, -50.0], [-50.0, 170.0, 60.0]])
    for reference in theta:
        found = canonical_torsions(one, torsions, theta, reference=reference)
        np.testing.assert_allclose(found, [reference, reference], atol=1e-12)


def test_vibrations_do_not_change_the_representative(rng: np.random.Generator) -> None:
    """Around 60°, 180° and −60° by up to 25°, frames of one rotamer stay together."""
    one = species("OCCO")
    torsions = rotatable_torsions(one)
    wells = np.radians(
        [[a, b, c] for a in (60, 180, -60) for b in (60, 180, -60) for c in (60, 180, -60)]
    )
    centres = canonical_torsions(one, torsions, wells)
    for well, centre in zip(wells, centres, strict=True):
        noisy = well + rng.uniform(-0.43, 0.43, size=(50, 3))
        found = canonical_torsions(one, torsions, noisy)
        assert difference(found, centre, np.ones(3)).max() < 0.44


def test_factors_agree_with_the_list() -> None:
    """Minimising factor by factor finds the minimum over all permutations."""
    one = species("CC(C)(C)CC(C)(C)C")
    torsions = rotatable_torsions(one)
    symmetry = TorsionSymmetry.of(one, torsions)
    x = relabelled(one, geometries("CC(C)(C)CC(C)(C)C"))
    angles = torsion_angles(x, torsions)
    images = np.stack([torsion_angles(x[:, g], torsions) for g in permutations(one)])
    reference = np.linspace(-1, 1, len(torsions))
    found = symmetry.canonical(angles, reference=reference)
    costs = (1 - np.cos(symmetry.folds * (images - reference))).sum(axis=2)
    np.testing.assert_allclose(
        (1 - np.cos(symmetry.folds * (found - reference))).sum(axis=1), costs.min(axis=0), atol=1e-9
    )


def test_many_permutations_are_not_listed_but_used() -> None:
    smiles = (
        "P(c1cc(C(C)(C)C)cc(C(C)(C)C)c1)(c1cc(C(C)(C)C)cc(C(C)(C)C)c1)c1cc(C(C)(C)C)cc(C(C)(C)C)c1"
    )
    one = species(smiles)
    with pytest.raises(InputError, match="can be permuted in 17496 ways; wanted at most 10000"):
        permutations(one)
    torsions = rotatable_torsions(one)
    symmetry = TorsionSymmetry.of(one, torsions)
    assert symmetry.complete
    angles = np.linspace(-3, 3, 2 * len(torsions)).reshape(2, -1)
    found = symmetry.canonical(angles)
    np.testing.assert_allclose(symmetry.distance(found, angles).diagonal(), 0, atol=1e-9)
    np.testing.assert_allclose(symmetry.canonical(found), found, atol=1e-9)


def test_torsions_without_their_equivalents() -> None:
    one = species("CCCC")
    torsions = rotatable_torsions(one)[:2]
    with pytest.raises(InputError, match="torsions without one equivalent"):
        canonical_torsions(one, torsions, np.zeros((1, 2)))


def test_no_torsions() -> None:
    assert canonical_torsions(species("O"), (), np.zeros((3, 0))).shape == (3, 0)
    assert rotamers(species("C=C"), (), geometries("C=C")).shape == (4, 0)
