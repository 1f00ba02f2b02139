"""What is looked at: equivalent copies of a molecule, states of toys."""

from __future__ import annotations

import numpy as np
import torch

from genmol.boltzmann.basins import find_basins
from genmol.boltzmann.views import MoleculeView, codes_of, local_observables
from genmol.chem.conformers import embed
from genmol.chem.species import species_from_smiles
from samplers.clusters import DW4, LennardJones
from samplers.rng import Streams
from samplers.spaces import MeanFree
from samplers.target import Density
from samplers.toys import TOYS


def test_copies_of_glycol_are_equivalent() -> None:
    species = species_from_smiles("OCCO")
    view = MoleculeView.of(species)
    x = torch.from_numpy(embed(species, 10, 1).positions)
    copies = view.copies(x)
    assert copies.shape[0] >= 2
    assert copies.shape[1:] == (len(x), len(view.folds))
    # the copies of a renumbered molecule are the same set
    own = {tuple(np.round(one, 6)) for one in copies[:, 0]}
    turned = torch.linalg.qr(torch.randn(3, 3, generator=torch.Generator().manual_seed(0)))[0]
    turned = turned * torch.linalg.det(turned)
    again = view.copies(x[:1] @ turned.T + 4.0)
    assert {tuple(np.round(one, 6)) for one in again[:, 0]} == own
    # averages over copies do not depend on which of them is the frame
    local = view.local(x)
    assert all(value.shape == (len(x),) for value in local.values())
    found = find_basins(copies, np.zeros(len(x)), 300.0, folds=view.folds, searched=copies)
    assert (found.label(copies[::-1]) == found.labels).all()


def test_states_of_toys() -> None:
    for name in ("dw4", "two-basins", "double-well", "mixture", "many-well"):
        toy = TOYS[name]()
        codes = codes_of(toy)
        assert codes is not None
        x = toy.start(Streams.of(seed=1, chains=50))
        found = codes(x)
        assert found.shape == (50,)
        assert found.dtype == torch.int64
    assert codes_of(LennardJones.dem(13)) is None


def test_observables_do_not_depend_on_the_pose() -> None:
    target = DW4()
    x = target.start(Streams.of(seed=2, chains=6))
    turn = torch.tensor([[0.6, -0.8], [0.8, 0.6]])
    for observe in (
        local_observables(target),
        local_observables(Density(lambda y: y.sum(), MeanFree(4, 2))),
    ):
        one, other = observe(x), observe(x @ turn.T)
        for name in one:
            torch.testing.assert_close(one[name], other[name])
    angles = local_observables(TOYS["two-basins"]())(torch.tensor([[0.1], [0.1 + 2 * np.pi]]))
    for value in angles.values():
        torch.testing.assert_close(value[0], value[1])
