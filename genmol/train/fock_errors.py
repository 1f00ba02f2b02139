"""How wrong a predicted Fock matrix is, molecule by molecule, in the numbers that matter for it.

==================  ==========================================================================
number              meaning
==================  ==========================================================================
``fock_mae``        mean |F̂ − F| over the elements, Hartree
``gradient``        norm of 2 Ĉ_vᵀ F Ĉ_o with the predicted orbitals, Hartree: the orbital gradient
                    at the true Fock matrix, close to |g| of one exact build where it is small
``mixing``          root mean square of the occupied-virtual error over the orbital gaps
``orbital``         root mean square error between orthonormal orbitals, Hartree
``gap``             error of the gap between highest occupied and lowest virtual orbital, Hartree
``occupied``        mean error of the occupied orbital energies, Hartree
``wrong``           1 if a predicted occupied orbital is more virtual than occupied, else 0
==================  ==========================================================================
"""

from __future__ import annotations

import torch
from torch import Tensor

from genmol.scf.fock_batch import FockBatch
from genmol.scf.fock_model import FockModel
from genmol.scf.qhflow import Objective, orbital_errors, sample

__all__ = ["fock_errors"]


@torch.no_grad()
def fock_errors(
    model: FockModel, batch: FockBatch, settings: Objective, *, steps: int = 1
) -> list[dict[str, float]]:
    """The table's numbers for every molecule of a batch with targets; a flow starts at seed 0."""
    targets = batch.targets
    assert targets is not None
    generator = torch.Generator(device=batch.initial.device).manual_seed(0)
    predicted = sample(model, batch, settings, generator, steps=steps)
    parts = orbital_errors(predicted - targets.delta, batch.layout, targets)
    rows = []
    for k, size in enumerate(batch.layout.mask.sum(1).tolist()):
        n = int(targets.occupied[k])
        overlap, start, true, guess = (
            x[k, :size, :size].double().cpu()
            for x in (batch.overlap, batch.initial, targets.delta, predicted)
        )
        energies, c = _diagonalise(start + guess, overlap)
        reference, c_true = _diagonalise(start + true, overlap)
        g = 2 * c[:, n:].mT @ (start + true) @ c[:, :n]
        kept = torch.linalg.svdvals(c_true[:, :n].mT @ overlap @ c[:, :n])
        found = {
            "fock_mae": parts["mae"][k],
            "gradient": g.norm(),
            "mixing": parts["mixing"][k],
            "orbital": parts["orbital"][k],
            "gap": _gap(energies, n).sub(_gap(reference, n)).abs(),
            "occupied": (energies - reference)[:n].abs().mean(),
            "wrong": (kept.min() ** 2 < 0.5).double(),
        }
        rows.append({name: float(value) for name, value in found.items()})
    return rows


def _diagonalise(fock: Tensor, overlap: Tensor) -> tuple[Tensor, Tensor]:
    """Orbital energies, ascending, and orthonormal orbitals."""
    values, vectors = torch.linalg.eigh(overlap)
    x = vectors / values.sqrt()
    energies, c = torch.linalg.eigh(x.mT @ fock @ x)
    return energies, x @ c


def _gap(energies: Tensor, n: int) -> Tensor:
    return energies[n] - energies[n - 1]
