"""Hands of centres: scalars and vectors that turn around in a mirror, and lead to the right form."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import torch
from torch import Tensor

from genmol.boltzmann.handedness import handedness
from genmol.boltzmann.score_systems import particles_of_molecule
from genmol.chem.etkdg import etkdg
from genmol.chem.species import species_from_smiles

CENTRES = torch.tensor([[1, 2, 3, 4, 0], [0, 2, 5, 1, 1]])
SIGNS = torch.tensor([1.0, -1.0])


def points(generator: torch.Generator) -> Tensor:
    return torch.randn(6, 3, generator=generator)


def test_values(generator: torch.Generator) -> None:
    x = points(generator)
    h, g = handedness(x, CENTRES, SIGNS)
    assert h.shape == (6, 2)
    u = [(x[k] - x[4]) / (x[k] - x[4]).norm() for k in (1, 2, 3)]
    volume = torch.linalg.det(torch.stack(u))
    torch.testing.assert_close(h[0, 0], volume)
    torch.testing.assert_close(h[3], torch.stack([0 * volume, volume]))
    torch.testing.assert_close(g[3], torch.linalg.cross(u[0], u[1]))
    torch.testing.assert_close(g.sum(dim=0), torch.zeros(3), rtol=0, atol=1e-14)
    none = handedness(x, CENTRES[:0], SIGNS[:0])
    assert not any(bool(part.any()) for part in none)


def test_mirrors_and_rotations(generator: torch.Generator) -> None:
    x = points(generator)
    h, g = handedness(x, CENTRES, SIGNS)
    turn = torch.linalg.qr(torch.randn(3, 3, generator=generator)).Q
    for element in (turn, -turn):
        other_h, other_g = handedness(x @ element, CENTRES, SIGNS * element.det())
        torch.testing.assert_close(other_h, h)
        torch.testing.assert_close(other_g, g @ element)
    torch.testing.assert_close(handedness(-x, CENTRES, SIGNS)[0], -h)


def test_the_order_of_the_corners_is_nothing(generator: torch.Generator) -> None:
    """Of the first three; u begin at the fourth."""
    x = points(generator)
    found = handedness(x, CENTRES[:1], SIGNS[:1])
    for order in permutations(range(3)):
        parity = float(np.linalg.det(np.eye(3)[list(order)]))
        corners = torch.cat([CENTRES[:1, list(order)], CENTRES[:1, 3:]], dim=1)
        for one, other in zip(handedness(x, corners, SIGNS[:1] * parity), found, strict=True):
            torch.testing.assert_close(one, other)


def test_the_pull_leads_to_the_right_form(generator: torch.Generator) -> None:
    x = points(generator)
    before, pull = handedness(x, CENTRES[:1], SIGNS[:1])
    after, _ = handedness(x + 1e-3 * pull, CENTRES[:1], SIGNS[:1])
    assert float(after[0, 0]) > float(before[0, 0])


def test_conformers_have_the_hands_of_their_molecule() -> None:
    for smiles in ("C[C@H](O)F", "C[C@@H](O)F", "C[C@H](O)[C@@H](F)O", "C[S@](=O)CF"):
        species = species_from_smiles(smiles)
        system = particles_of_molecule(species)
        for x in etkdg(species.mol, n=4, seed=1):
            h, _ = handedness(torch.from_numpy(x), system.centres, system.signs)
            at = system.centres[:, 4]
            assert bool((h[at, 0] > 0.2).all())
