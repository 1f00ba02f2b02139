"""Exact integrals of random clusters are learned in seconds, by networks that can see what they take.

Kinetic energy is a matter of two atoms; the attraction of all nuclei is not, and takes messages.
"""

from dataclasses import replace

import numpy as np
import torch
from ase import Atoms
from fockcases import STO, batch_of, example, mol_of, small_config, with_fock

from genmol.scf.fock_model import FockModel


def cluster(rng) -> Atoms:
    while True:
        positions = rng.normal(scale=0.8, size=(4, 3))
        distances = np.linalg.norm(positions[:, None] - positions, axis=2)
        if distances[np.triu_indices(4, 1)].min() > 0.8:
            return Atoms(rng.choice(list("HCO"), size=4), positions=positions)


def task(integral: str, n: int):
    """Examples with F_init = 0 and F = the integral: nothing but geometry and S tell of it."""
    rng = np.random.default_rng(2)
    found = []
    for _ in range(n):
        atoms = cluster(rng)
        bare = example(atoms, "sto-3g")
        target = mol_of(atoms, "sto-3g").intor(integral)
        found.append(with_fock(replace(bare, initial=0 * target), target))
    return found


def learned(integral: str, layers: int, *, steps: int = 30) -> tuple[float, float]:
    """Root mean square error on held-out clusters after some steps, and of the target itself."""
    cases = task(integral, 24)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        config = small_config(STO, layers=layers, channels=8, edge_channels=(16, 4, 8, 8))
        model = FockModel(config).float()
    seen, new = (batch_of(model, c, torch.float32) for c in (cases[:14], cases[14:]))
    model.calibrate([seen])
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-2)
    decay = torch.optim.lr_scheduler.OneCycleLR(optimizer, 2e-2, total_steps=steps)

    def error(batch):
        mask = batch.layout.mask.float()
        return (
            (model(batch) - batch.targets.delta).square().sum() / mask.sum(1).square().sum()
        ).sqrt()

    for _ in range(steps):
        optimizer.zero_grad()
        error(seen).backward()
        optimizer.step()
        decay.step()
    return error(new).item(), new.targets.delta.square().mean().sqrt().item()


def test_a_two_centre_integral_is_learned():
    error, size = learned("int1e_kin", layers=1)
    assert error < 0.03 * size


def test_a_three_centre_integral_takes_messages():
    blind, size = learned("int1e_nuc", layers=0)
    seeing, _ = learned("int1e_nuc", layers=2)
    assert blind > 0.05 * size
    assert seeing < 0.65 * blind
