"""Samples as somebody gives them, read into draws with gradients."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from genmol.boltzmann.certificate import Bias
from genmol.boltzmann.draws import Draws
from genmol.boltzmann.findings import Finding, left_out
from genmol.boltzmann.identities import Evaluated, evaluated
from genmol.core.certificate import Check
from genmol.core.errors import InputError
from samplers.target import Target

__all__ = ["SampleSet", "read_samples"]

_FEWEST = 16
_REVISITED = 0.01
"""Share of draws that a chain may find again, such as replicas that come back unchanged."""


@dataclass(frozen=True, eq=False)
class SampleSet:
    """Samples that can be looked at.

    Attributes:
        draws: weights and runs.
        x: (m, *shape), projected to the space.
        log_density: (m,), of the target, or from energies that came along, shifted to agree with it.
        index: which of the samples given these are.
        found: those of them that were evaluated, all of positive density.
        rows: which of the draws these are.
        given: how many were given.
        findings: what was wrong already.
        biases: what was done to them.
    """

    draws: Draws
    x: Tensor
    log_density: Tensor
    index: Tensor
    found: Evaluated
    rows: Tensor
    given: int
    findings: tuple[Finding, ...]
    biases: tuple[Bias, ...]


def read_samples(
    positions: ArrayLike | Tensor,
    target: Target,
    *,
    weights: ArrayLike | None,
    runs: ArrayLike | None,
    log_density: ArrayLike | None = None,
    most: int,
    gradients: int,
) -> SampleSet:
    """Check shapes, condense copies, choose, evaluate.

    Args:
        positions: (m, *shape).
        target: a gradient call for each draw that is evaluated.
        weights: of the samples, of any sum; equal when None.
        runs: label of each sample's run; one series when None.
        log_density: of the samples, up to a constant, where it is known without calls.
        most: draws that are looked at; as many as are evaluated where no log-density came along.
        gradients: draws that are evaluated.

    Raises:
        InputError: samples of another shape, less than 16, or labels or weights that do not fit.
    """
    x = torch.as_tensor(np.asarray(positions), dtype=torch.float64)
    shape = target.space.shape
    if x.ndim < 2 or tuple(x.shape[1:]) != shape or len(x) < _FEWEST or not x.isfinite().all():
        raise InputError(
            got=f"samples of shape {tuple(x.shape)}, {int((~x.isfinite()).sum())} numbers not finite",
            wanted=f"at least {_FEWEST} of shape {shape}, finite",
            remedy="check that samples and potential are of one system, and drop broken frames",
        )
    draws = Draws.of(
        len(x),
        runs=None if runs is None else np.asarray(runs),
        weights=None if weights is None else np.asarray(weights),
    )
    findings: list[Finding] = []
    biases: list[Bias] = []
    if runs is None:
        why = "labels of runs were not given: errors are those of one series in the order given"
        findings.append(left_out("labels of runs", section="agreement", part="note", why=why))
    index, draws = _condensed(x, draws)
    if len(index) < len(x):
        what = f"{len(x) - len(index)} of {len(x)} samples are copies, each one observation"
        biases.append(Bias("copies condensed", 0.0, what))
    index, draws = _fewer(index, draws, most if log_density is not None else min(most, gradients))
    rows = draws.some(gradients)
    found = evaluated(target, draws.take(rows), x[index[rows]])
    sound = found.log_density.isfinite() & found.gradient.flatten(1).isfinite().all(dim=1)
    if log_density is None:
        known = torch.full((draws.count,), -torch.inf, dtype=torch.float64)
        known[rows[sound]] = found.log_density[sound]
    else:
        known = torch.as_tensor(np.asarray(log_density), dtype=torch.float64)[index]
        gap = known[rows[sound]] - found.log_density[sound]
        known = known - (gap.median() if len(gap) else 0.0)
    usable = known.isfinite()
    usable[rows[~sound]] = False
    if not bool(usable.all()):
        share = float(draws.weights[~usable].sum())
        findings.append(_without_energy(share))
        biases.append(Bias("samples without an energy left out", share, "they have no density"))
        if int(sound.sum()) < _FEWEST:
            raise InputError(
                got=f"an energy for {int(sound.sum())} of {len(sound)} samples",
                wanted=f"at least {_FEWEST}",
                remedy="check units and the order of atoms",
            )
        number = usable.long().cumsum(dim=0) - 1
        found, rows = found.take(sound.nonzero().flatten()), number[rows[sound]]
        kept = usable.nonzero().flatten()
        index, draws, known = index[kept], draws.take(kept), known[kept]
    return SampleSet(
        draws=draws,
        x=target.space.project(x[index]),
        log_density=known,
        index=index,
        found=found,
        rows=rows,
        given=len(x),
        findings=tuple(findings),
        biases=tuple(biases),
    )


def _fewer(index: Tensor, draws: Draws, most: int) -> tuple[Tensor, Draws]:
    if draws.count <= most:
        return index, draws
    some = draws.some(most)
    return index[some], draws.take(some)


def _without_energy(share: float) -> Finding:
    check = Check.at_most(
        "share of samples without an energy",
        share,
        0.0,
        advice="the potential has no energy there, or atoms lie on each other: not samples of it",
    )
    return Finding(check, "local", "target")


def _condensed(x: Tensor, draws: Draws) -> tuple[Tensor, Draws]:
    """Index of the distinct draws, and these with the weight of all their copies."""
    everything = torch.arange(len(x))
    _, first, group = np.unique(
        x.flatten(1).numpy(), axis=0, return_index=True, return_inverse=True
    )
    group = group.reshape(-1)
    if len(first) == len(x):
        return everything, draws
    series = np.where(draws.filled.numpy(), group[draws.place.clamp_min(0).numpy()], -1)
    stays = int(((series[:, 1:] == series[:, :-1]) & (series[:, 1:] >= 0)).sum())
    if len(x) - stays - len(first) <= _REVISITED * len(x):
        return everything, draws  # a chain that stays where it is
    weight = np.bincount(group, weights=draws.weights.numpy())
    order = np.argsort(first)
    index = torch.from_numpy(first[order])
    return index, draws.take(index).weighted(torch.from_numpy(weight[order]))
