"""GFN2-xTB as a potential: tblite's own ASE calculator, forces, ions, radicals, solvents, failures."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from ase import Atoms
from potentialcases import (
    METHANOL,
    WATER,
    batch,
    check_batch_is_single,
    check_forces,
    check_motions,
    check_permutation,
    shaken,
)
from tblite.ase import TBLite

from genmol.core.errors import InputError
from genmol.core.graph import AtomicGraph
from genmol.potentials.gfn2 import Gfn2
from genmol.potentials.one_by_one import Structure

HYDROXIDE = Atoms("OH", [[0, 0, 0], [0, 0, 0.97]], info={"charge": -1})
METHYL = Atoms("CHHH", [[0, 0, 0.1], [0, 1.08, 0], [0.94, -0.54, 0], [-0.94, -0.54, 0]])


@pytest.mark.parametrize("solvent", [None, "water"])
def test_it_is_what_tblite_says(solvent: str | None, rng: np.random.Generator) -> None:
    for atoms in [*shaken(METHANOL, 1, rng), HYDROXIDE, METHYL]:
        found = Gfn2(solvent=solvent).evaluate(AtomicGraph.from_atoms(atoms))
        other = atoms.copy()
        other.calc = TBLite(
            method="GFN2-xTB",
            charge=atoms.info.get("charge", 0),
            multiplicity=2 if atoms is METHYL else 1,
            accuracy=0.01,
            verbosity=0,
            solvation=None if solvent is None else ("alpb", solvent),
        )
        # ASE's Hartree is that of CODATA 2014: 1e-8 relative
        assert float(found.energies) == pytest.approx(other.get_potential_energy(), abs=1e-5)
        np.testing.assert_allclose(found.forces, other.get_forces(), rtol=0, atol=5e-4)


def test_laws(rng: np.random.Generator) -> None:
    potential = Gfn2()
    frames = [*shaken(METHANOL, 2, rng), HYDROXIDE, METHYL]
    check_batch_is_single(potential, frames)
    # the thresholds leave 6e-5 eV/Å in a component of a force
    check_forces(potential, batch(frames), rng, tolerance=3e-4)
    check_motions(potential, frames[0], rng, tolerance=3e-4)
    check_permutation(potential, frames[0], rng, tolerance=3e-4)
    check_forces(Gfn2(accuracy=1e-3), batch(frames[1:2]), rng, tolerance=1e-5)


def test_forces_in_a_solvent(rng: np.random.Generator) -> None:
    graph = batch(shaken(METHANOL, 1, rng))
    check_forces(Gfn2(solvent="water", accuracy=1e-3), graph, rng, tolerance=2e-4)
    gas, wet = (float(Gfn2(solvent=solvent).energies(graph)) for solvent in (None, "water"))
    assert -1 < wet - gas < -0.05


def test_far_molecules_add_up() -> None:
    far = METHANOL + Atoms(WATER.numbers, WATER.positions + np.array([0, 0, 60]))
    a, b, both = Gfn2().energies(batch([METHANOL, WATER, far])).tolist()
    assert both == pytest.approx(a + b, abs=1e-4)


def test_geometries_without_an_answer_are_failures() -> None:
    collapsed = Atoms(METHANOL.numbers, 0 * METHANOL.positions)
    potential = Gfn2()
    found = potential.evaluate(batch([METHANOL, collapsed, METHANOL]))
    assert found.energies[1] == torch.inf
    assert found.energies[0] == found.energies[2]
    assert not found.forces.reshape(3, -1, 3)[1].any()
    assert potential.calls.failures == 1
    assert "no self-consistent GFN2-xTB charges" in potential.calls.reasons[0]
    assert "CH4O" in potential.calls.reasons[0]


def test_domain_and_options() -> None:
    with pytest.raises(InputError, match=r"atom 0 is Fr .* wanted molecules of hydrogen to radon"):
        Gfn2().evaluate(AtomicGraph.from_atoms(Atoms("FrH", [[0, 0, 0], [0, 0, 2]])))
    with pytest.raises(InputError, match="solvent 'brine'"):
        Gfn2(solvent="brine")
    with pytest.raises(InputError, match="accuracy of 0"):
        Gfn2(accuracy=0)
    singlet = AtomicGraph.copies(torch.tensor([6, 1, 1, 1]), torch.from_numpy(METHYL.positions)[None],
                                 multiplicity=1)  # fmt: skip
    with pytest.raises(InputError, match="multiplicity 1 for 9 electrons"):
        Gfn2().evaluate(singlet)


def test_only_so_many_set_ups_are_kept() -> None:
    potential = Gfn2()
    for n in range(1, 21):
        potential._molecule(Structure(np.ones(2 * n, dtype=int), np.zeros((2 * n, 3)), 0, 1))
    assert len(potential._kept) == 16
