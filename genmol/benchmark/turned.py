"""Equivariance of the predicted Fock matrix, measured: turned, mirrored, atoms renumbered.

The molecule is turned, and with it the matrices that the network is given, by the representation of
the turn on atomic orbitals: what is measured is the network alone, in float64.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from jaxtyping import Float
from scipy.linalg import block_diag

from genmol.algebra.so3 import wigner_matrices
from genmol.heads.orbitals import OrbitalSlots
from genmol.qc.orbitals import initial_fock
from genmol.scf.certified import mean_field
from genmol.scf.examples import FockInput
from genmol.scf.fock_batch import FockBatch
from genmol.scf.fock_model import FockModel
from genmol.scf.settings import Settings

if TYPE_CHECKING:
    from genmol.benchmark.held_out import Geometry
    from genmol.scf.learned import LearnedModel

__all__ = ["equivariance_row", "orbital_rotation"]

Matrix = Float[np.ndarray, "n n"]
_AXES = np.eye(3)[[1, 2, 0]]  # the network's axes are (y, z, x)


def orbital_rotation(
    slots: OrbitalSlots, numbers: list[int], rotation: Float[np.ndarray, "3 3"]
) -> Matrix:
    """How atomic orbitals in PySCF's order transform when all positions are turned by ``rotation``.

    Args:
        slots: of the basis.
        numbers: atomic numbers.
        rotation: orthogonal; improper ones count as a turn after an inversion.
    """
    sign = round(float(np.linalg.det(rotation)))
    top = max(slots.slots)
    proper = torch.from_numpy(_AXES @ (sign * rotation) @ _AXES.T)[None]
    wigner = [sign**l * d[0].numpy() for l, d in enumerate(wigner_matrices(proper, top))]
    turned = block_diag(*(wigner[l] for z in numbers for l in slots.shells[z]))
    back = np.argsort(slots.order(numbers))
    return turned[back][:, back]


def equivariance_row(geometry: Geometry, model: LearnedModel, *, seed: int = 0) -> dict[str, Any]:
    """Largest deviation over the largest element of ΔF, with these weights and with random ones.

    Args:
        geometry: within the model's domain.
        model: whose configuration and weights are taken; computed in float64.
        seed: of turns, order and random weights.
    """
    shipped = FockModel(model.network.config).double()
    shipped.load_state_dict(model.network.state_dict())
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        random = FockModel(model.network.config).double()
    mf = mean_field(geometry.atoms, Settings())
    given = FockInput(
        geometry.key,
        geometry.atoms.numbers.astype(np.int64),
        geometry.atoms.positions,
        mf.get_ovlp(),
        initial_fock(mf, model.start),
    )
    return {
        "atoms": len(geometry),
        "trained": _deviations(shipped.eval(), given, seed),
        "random": _deviations(random.eval(), given, seed),
    }


def _deviations(network: FockModel, given: FockInput, seed: int) -> dict[str, float]:
    rng = np.random.default_rng(seed)
    numbers = given.numbers.tolist()
    turn, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    turn *= round(float(np.linalg.det(turn)))
    fock = _fock(network, given)
    scale = float(np.abs(fock - given.initial).max())  # F itself is a hundred times larger
    found = {}
    for name, rotation in (("turned", turn), ("mirrored", -turn)):
        d = orbital_rotation(network.slots, numbers, rotation)
        other = replace(
            given,
            positions=given.positions @ rotation.T,
            overlap=d @ given.overlap @ d.T,
            initial=d @ given.initial @ d.T,
        )
        found[name] = float(np.abs(_fock(network, other) - d @ fock @ d.T).max()) / scale
    order = rng.permutation(len(numbers))
    sizes = [network.slots.size([z]) for z in numbers]
    starts = np.cumsum([0, *sizes])
    p = np.concatenate([np.arange(starts[i], starts[i + 1]) for i in order])
    other = replace(
        given,
        numbers=given.numbers[order],
        positions=given.positions[order],
        overlap=given.overlap[p][:, p],
        initial=given.initial[p][:, p],
    )
    found["renumbered"] = float(np.abs(_fock(network, other) - fock[p][:, p]).max()) / scale
    return found


@torch.inference_mode()
def _fock(network: FockModel, given: FockInput) -> Matrix:
    batch = FockBatch.collate(
        [given], network.slots, cutoff=network.config.cutoff, dtype=torch.float64
    )
    extra: tuple[torch.Tensor, ...] = ()
    if network.config.flow:
        extra = (torch.zeros_like(batch.overlap), batch.overlap.new_full((1,), 0.01))
    return given.initial + batch.matrix(network(batch, *extra), 0, network.slots)
