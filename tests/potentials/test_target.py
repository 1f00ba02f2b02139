"""The Boltzmann law of a molecule: kT, gradients, reference, zero density, and a chain of it."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from ase import Atoms
from potentialcases import METHANOL, Edges, Spring, alanine_dipeptide, shaken
from scipy import constants

from genmol.core.errors import DeliveryError, InputError
from genmol.core.graph import AtomicGraph
from genmol.potentials.gfn2 import Gfn2
from genmol.potentials.lennard_jones import LennardJones
from genmol.potentials.mmff import MMFF
from genmol.potentials.target import MoleculeTarget
from samplers.hmc import HMC
from samplers.rng import Streams
from samplers.target import Counted, check_gradient

ARGON = Atoms("Ar3", [[0, 0, 0], [3.8, 0, 0], [1.9, 3.3, 0]])


def points(atoms: Atoms, n: int, rng: np.random.Generator) -> torch.Tensor:
    x = torch.from_numpy(np.stack([a.positions for a in shaken(atoms, n, rng)]))
    return x - x.mean(dim=1, keepdim=True)


def test_kt_is_codata() -> None:
    target = MoleculeTarget(
        potential=LennardJones(), numbers=torch.tensor([18]), temperature=298.15
    )
    assert target.kT == pytest.approx(constants.k / constants.e * 298.15, rel=1e-12)
    assert target.kT == pytest.approx(0.025692579, rel=1e-7)


def test_density_and_gradient(rng: np.random.Generator) -> None:
    potential = LennardJones()
    target = MoleculeTarget.at(potential, ARGON, temperature=30)
    assert potential.calls.energies == 1
    x = points(ARGON, 5, rng)
    found = target.evaluate(x)
    energies, forces = potential.evaluate(target.graph(x))
    kt = 8.617333262e-5 * 30
    reference = float(potential.energies(AtomicGraph.from_atoms(ARGON)))
    torch.testing.assert_close(
        found.log_density, -(energies - reference) / kt, rtol=1e-9, atol=1e-9
    )
    torch.testing.assert_close(found.gradient, forces.reshape(5, 3, 3) / kt, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(target.log_density(x), found.log_density, rtol=0, atol=0)
    start = torch.from_numpy(ARGON.positions)[None]
    assert target.log_density(start).tolist() == [0.0]
    assert target.space.shape == (3, 3)
    assert target.space.dimension == 6
    single = target.evaluate(x.float())
    assert single.log_density.dtype == single.gradient.dtype == torch.float32


@pytest.mark.parametrize("kind", ["lj", "mmff", "gfn2"])
def test_samplers_agree_with_the_gradient(kind: str, rng: np.random.Generator) -> None:
    atoms = ARGON if kind == "lj" else METHANOL
    potential = {
        "lj": LennardJones,
        "mmff": lambda: MMFF.of("CO", METHANOL),
        "gfn2": lambda: Gfn2(accuracy=0.01),
    }[kind]()
    target = MoleculeTarget.at(potential, atoms, temperature=300)
    check_gradient(target, points(atoms, 4, rng), Streams.of(seed=3, chains=4), step=1e-3)


def test_no_energy_is_no_density() -> None:
    x = torch.zeros(3, 2, 3)
    x[1, 0, 0], x[2, 0, 0] = 100.0, torch.nan
    target = MoleculeTarget(potential=Spring(), numbers=torch.tensor([1, 1]), temperature=300)
    found = target.evaluate(x)
    assert found.log_density.tolist() == [0.0, -math.inf, -math.inf]
    assert found.gradient.isfinite().all()
    assert target.log_density(x).tolist() == [0.0, -math.inf, -math.inf]


def test_graphs_have_the_edges_that_the_potential_reads(rng: np.random.Generator) -> None:
    x = points(ARGON, 4, rng)
    bare = MoleculeTarget(potential=LennardJones(), numbers=torch.tensor([18] * 3), temperature=9)
    joined = MoleculeTarget(potential=Edges(), numbers=torch.tensor([18] * 3), temperature=9)
    for _ in range(2):  # the second time from a template
        assert bare.graph(x).edge_index.shape == (2, 0)
        near = torch.cdist(x, x)
        pairs = ((near < 4) & (near > 0)).sum(dim=(1, 2)) / 2
        torch.testing.assert_close(joined.potential.energies(joined.graph(x)), pairs)
        x = x[:3] * 1.02
    for n in range(200):
        bare.graph(torch.zeros(n, 3, 3))
    assert len(bare._templates) <= 64


def test_charge_and_multiplicity_reach_the_potential() -> None:
    ion = Atoms("OH", [[0, 0, 0], [0, 0, 0.97]], info={"charge": -1})
    target = MoleculeTarget.at(Gfn2(), ion, temperature=300)
    assert target.charge == -1
    assert target.multiplicity == 1
    graph = target.graph(torch.zeros(2, 2, 3))
    assert graph.charge.tolist() == [-1, -1]
    assert graph.multiplicity is not None
    assert graph.multiplicity.tolist() == [1, 1]


def test_bad_input() -> None:
    for temperature in (0, -5, math.nan, math.inf):
        with pytest.raises(InputError, match="a temperature of"):
            MoleculeTarget.at(LennardJones(), ARGON, temperature=temperature)
    with pytest.raises(InputError, match="Kr"):
        MoleculeTarget.at(LennardJones(), Atoms("Kr"), temperature=300)
    failing = Atoms("HH", [[100, 0, 0], [0, 0, 0]])
    with pytest.raises(DeliveryError, match=r"no energy from spring .*no field at 100"):
        MoleculeTarget.at(Spring(), failing, temperature=300)


def test_a_chain_obeys_equipartition() -> None:
    """Σ|x|² over 2 atoms at kT = 0.5 eV: 3 degrees of freedom, mean 3 kT / 2, variance 3 kT² / 2."""
    kt = 0.5
    target = MoleculeTarget(
        potential=Spring(), numbers=torch.tensor([1, 1]), temperature=kt / 8.617333262e-5
    )
    counted, streams = Counted.of(target), Streams.of(seed=11, chains=64)
    sampler = HMC(step_size=0.4, leaps=3)
    x = target.space.project(math.sqrt(kt / 2) * streams.normal("start", 2, 3))
    state, energies = sampler.init(counted, x, streams), []
    for step in range(30):
        state, _ = sampler.step(state, streams.at(step))
        energies.append(-kt * state.log_density)
    # began in equilibrium; if consecutive energies were equal the error would be that of 64 draws
    mean = torch.stack(energies).mean()
    assert abs(mean - 1.5 * kt) < 4 * math.sqrt(1.5 * kt**2 / 64)
    assert counted.calls.gradients == target.potential.calls.gradients


def test_alanine_dipeptide_at_mmff(rng: np.random.Generator) -> None:
    atoms = alanine_dipeptide()
    target = MoleculeTarget.at(MMFF.of(atoms.info["smiles"], atoms), atoms, temperature=300)
    check_gradient(target, points(atoms, 8, rng), Streams.of(seed=1, chains=8))
