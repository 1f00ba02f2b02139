r"""Commutator fine-tuning: a predicted Fock matrix judged by its own density, without labels.

A predicted :math:`\hat F` has orbitals :math:`\hat C` with energies :math:`\hat\epsilon`, these a
density, and the density a Fock matrix :math:`F_c` at the cheap level (one build of
:class:`genmol.qc.cheap.CheapLevel`). At the solution both are the same. The loss is what is left of
the orbital gradient, in units of the rotation that would remove it:

.. math::
    L = \tfrac12 \sum_{vo} (w_{vo}\, g_{vo})^2, \qquad g = \hat C_v^T F_c \hat C_o, \qquad
    w_{vo} = (\hat\epsilon_v - \hat\epsilon_o)^{-1} \text{ held constant, or } 1 .

Rotations κ among occupied and virtual orbitals, :math:`\delta C_o = C_v \kappa` and
:math:`\delta C_v = -C_o\kappa^T`, change it by the orbital Hessian times :math:`q = w^2 g`:

.. math::
    \frac{\partial L}{\partial\kappa} = F_{vv}\, q - q\, F_{oo}
        + C_v^T\, V_c'[2(C_v q C_o^T + C_o q^T C_v^T)]\, C_o ,

where the response V' is symmetric, so that one of q serves all κ. Perturbation theory,
:math:`\kappa_{vo} = -\delta\hat F_{vo}/(\hat\epsilon_v - \hat\epsilon_o)`, makes it the derivative with
respect to :math:`\hat F`: no eigensolver is differentiated, and degenerate orbitals do no harm.

The response is the central difference of two cheap potentials, of the densities of
:math:`C_o \pm h C_v q`: both are products of n_occ orbitals, so a potential costs what any costs
(PySCF's ``gen_response`` has neither the fast quadrature nor the fast exchange), and what they
have beyond the first order is even in h and cancels. Three cheap builds a gradient.

The loss leaves the blocks within occupied and within virtual orbitals free. They are held by
*consistency*, the root mean square of :math:`\hat C^T(\hat F - F_c)\hat C` in them with F_c and Ĉ held
constant, which also sees a virtual orbital taken for an occupied one, where g can vanish.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from ase import Atoms
from jaxtyping import Float
from scipy.linalg import eigh
from torch import Tensor

from genmol.core.errors import InputError
from genmol.qc.cheap import CheapLevel
from genmol.qc.functional import resolve
from genmol.qc.molecule import build_mean_field, build_molecule
from genmol.scf.examples import FockExample
from genmol.scf.fock_batch import FockBatch
from genmol.scf.fock_model import FockModel
from genmol.scf.qhflow import Prior, draw_prior

__all__ = [
    "CheapFock",
    "CheapFocks",
    "CommutatorGradient",
    "CommutatorObjective",
    "commutator_gradient",
]

Gap = Literal["constant", "none"]
Matrix = Float[np.ndarray, "n n"]
_STEP = 1e-3  # largest element of h q
_SMALLEST_GAP = (
    0.02  # Hartree: a smaller one is an accident of the prediction, and would rule the loss
)
_FIRST = 0.01  # time at which a flow is sampled in one step


class CheapFock:
    """The closed-shell Fock matrix of a density at the cheap level, and what it costs.

    Args:
        mf: restricted closed-shell PySCF object; read, never changed.
        offset: constant added to the Fock matrix, Hartree; ``"grid"`` takes what an intermediate grid
            adds at superposed minimal-basis atoms, which moves the solution towards the exact one.

    Attributes:
        n_occupied: doubly occupied orbitals.
        offset: as added.
    """

    def __init__(self, mf: Any, *, offset: Matrix | float | Literal["grid"] = 0.0) -> None:
        self.mf = mf
        self.cheap = CheapLevel(mf)
        self.core, self.overlap = np.asarray(mf.get_hcore()), np.asarray(mf.get_ovlp())
        self.n_occupied = int(mf.mol.nelectron) // 2
        if isinstance(offset, str):
            offset = self.cheap.grid_offset(mf.get_init_guess(mf.mol, "minao"))
        self.offset = offset

    @property
    def builds(self) -> int:
        """Cheap builds so far."""
        return self.cheap.builds

    def fock(self, occupied: Float[np.ndarray, "n n_occ"]) -> Matrix:
        """F_c of the density 2 C_o C_oᵀ, Hartree; the columns need not be orthonormal."""
        return self.core + self.offset + self.potential(occupied)

    def potential(self, occupied: Float[np.ndarray, "n n_occ"]) -> Matrix:
        """V_c of the same density, Hartree."""
        return self.cheap.potential(
            self.mf.make_rdm1(occupied, np.full(occupied.shape[1], 2.0))  # keeps its factors
        )


class CommutatorGradient(NamedTuple):
    """What one predicted Fock matrix costs and how to change it.

    Attributes:
        loss: L; dimensionless, or Hartree² without gaps.
        gradient: symmetric; a change δF̂ changes L by Σ gradient ∘ δF̂.
        builds: cheap builds.
        n_pairs: occupied-virtual pairs in the sum.
        orbital_gradient: norm of 2 g, Hartree: PySCF's ``norm_gorb`` at the cheap level.
        consistency: root mean square of F̂ − F_c within occupied and within virtual orbitals, Hartree.
        consistency_gradient: its derivative, F_c and orbitals held constant.
    """

    loss: float
    gradient: Matrix
    builds: int
    n_pairs: int
    orbital_gradient: float
    consistency: float
    consistency_gradient: Matrix


def commutator_gradient(
    level: CheapFock, fock: Matrix, *, gap: Gap = "constant"
) -> CommutatorGradient:
    """Loss of a predicted Fock matrix, and its derivative.

    Args:
        level: the molecule at the cheap level.
        fock: F̂ in PySCF's order, Hartree, symmetric.
        gap: divide by the orbital gaps, or not. Gaps below 0.02 Hartree count as that.
    """
    before, n = level.builds, level.n_occupied
    energies, c = eigh(fock, level.overlap)
    o, v = c[:, :n], c[:, n:]
    gaps = energies[n:, None] - energies[None, :n]
    weights = np.maximum(gaps, _SMALLEST_GAP) ** -1.0 if gap == "constant" else np.ones_like(gaps)
    built = c.T @ level.fock(o) @ c
    g = built[n:, :n]
    q = weights**2 * g
    slope = built[n:, n:] @ q - q @ built[:n, :n] + _response(level, o, v, q)
    by_fock = np.zeros_like(fock)
    by_fock[n:, :n] = -slope / np.maximum(gaps, _SMALLEST_GAP)
    difference = np.diag(energies) - built
    difference[n:, :n] = difference[:n, n:] = 0.0
    count = n**2 + len(v.T) ** 2
    consistency = float(np.sqrt(np.sum(difference**2) / count))
    return CommutatorGradient(
        loss=0.5 * float(np.sum((weights * g) ** 2)),
        gradient=c @ ((by_fock + by_fock.T) / 2) @ c.T,
        builds=level.builds - before,
        n_pairs=g.size,
        orbital_gradient=2 * float(np.linalg.norm(g)),
        consistency=consistency,
        consistency_gradient=c @ difference @ c.T / (count * max(consistency, 1e-12)),
    )


def _response(level: CheapFock, o: np.ndarray, v: np.ndarray, q: np.ndarray) -> np.ndarray:
    """C_vᵀ V'[2(C_v q C_oᵀ + transpose)] C_o, Hartree."""
    largest = np.abs(q).max(initial=0.0)
    if largest == 0.0:
        return np.zeros_like(q)
    h = _STEP / largest
    change = h * (v @ q)
    difference = level.potential(o + change) - level.potential(o - change)
    return v.T @ difference @ o / (2 * h)


class CheapFocks:
    """Cheap levels of many molecules, made when wanted; the latest are kept within a memory bound.

    Args:
        examples: the molecules; their Fock matrices are not looked at.
        xc: PySCF code of the functional.
        basis: name of the orbital basis.
        memory_mb: most memory for fitted integrals and orbitals on grids (MB); the molecule at hand
            is always kept. Grid offsets, one matrix a molecule, are kept for all.

    Raises:
        InputError: two examples of one name.
    """

    def __init__(
        self, examples: Sequence[FockExample], *, xc: str, basis: str, memory_mb: float = 2000.0
    ) -> None:
        self.examples = {example.name: example for example in examples}
        if len(self.examples) < len(examples):
            raise InputError(
                got=f"{len(examples)} molecules of {len(self.examples)} names",
                wanted="a name of its own for every molecule",
                remedy="rename the files, so that no two have the same name",
            )
        self.functional, self.basis, self.memory_mb = resolve(xc, literal=True), basis, memory_mb
        self._levels: OrderedDict[str, CheapFock] = OrderedDict()
        self._offsets: dict[str, Matrix | float] = {}

    def __getitem__(self, name: str) -> CheapFock:
        """The cheap level of a molecule."""
        if name not in self._levels:
            self._levels[name] = self._make(self.examples[name], self._offsets.get(name, "grid"))
            self._offsets[name] = self._levels[name].offset
        self._levels.move_to_end(name)
        while self.memory > self.memory_mb and len(self._levels) > 1:
            self._levels.popitem(last=False)
        return self._levels[name]

    def __len__(self) -> int:
        """How many are kept."""
        return len(self._levels)

    @property
    def memory(self) -> float:
        """Of those kept (MB), from their sizes: fitted integrals and orbitals on the coarse grid."""
        return sum(
            8e-6 * n**2 * 5 * n + 8e-6 * 4 * 700 * atoms * n
            for level in self._levels.values()
            for n, atoms in [(len(level.overlap), level.mf.mol.natm)]
        )

    def _make(self, example: FockExample, offset: Any) -> CheapFock:
        mol = build_molecule(
            Atoms(example.numbers, example.positions),
            basis=self.basis,
            charge=int(example.numbers.sum()) - 2 * example.n_occupied,
            multiplicity=1,
        )
        mf = build_mean_field(mol, self.functional, spin_treatment="restricted")
        return CheapFock(mf, offset=offset)


@dataclass(frozen=True)
class CommutatorObjective:
    """Loss of a batch for :mod:`genmol.train`; geometries are enough, labels are not looked at.

    For every molecule a √(2L/n_pairs) + b × consistency, where a and b are weights. The derivative is
    handed to torch as the linear function Σ gradient ∘ F̂ with the same value.

    Attributes:
        levels: of all molecules that batches may hold.
        commutator: a.
        consistency: b.
        gap: see :func:`commutator_gradient`.
        prior, sigma: of a flow, which is sampled in one step.
    """

    levels: CheapFocks
    commutator: float = 1.0
    consistency: float = 0.1
    gap: Gap = "constant"
    prior: Prior = "goe"
    sigma: float = 0.02

    def __call__(
        self, model: FockModel, batch: FockBatch, generator: torch.Generator
    ) -> tuple[Tensor, Mapping[str, Any]]:
        """The mean over the batch, and its parts."""
        predicted = self._predict(model, batch, generator)
        slopes = torch.zeros_like(predicted)
        sums = dict.fromkeys(("commutator", "consistency", "cheap_gradient", "cheap_builds"), 0.0)
        value = 0.0
        for k, name in enumerate(batch.names):
            example = self.levels.examples[name]
            fock = example.initial + batch.matrix(predicted, k, model.slots)
            found = commutator_gradient(self.levels[name], fock, gap=self.gap)
            root = (2 * found.loss / found.n_pairs + 1e-14) ** 0.5
            slope = self.commutator / (found.n_pairs * root) * found.gradient
            slope += self.consistency * found.consistency_gradient
            order = model.slots.order(example.numbers.tolist())
            n = len(order)
            slopes[k, :n, :n] = torch.from_numpy(slope[np.ix_(order, order)]).to(slopes)
            value += self.commutator * root + self.consistency * found.consistency
            sums["commutator"] += root
            sums["consistency"] += found.consistency
            sums["cheap_gradient"] += found.orbital_gradient
            sums["cheap_builds"] += found.builds
        count = len(batch.names)
        linear = (slopes * (predicted - predicted.detach())).sum() / count
        return linear + value / count, {
            key: torch.tensor(total / count) for key, total in sums.items()
        }

    def _predict(self, model: FockModel, batch: FockBatch, generator: torch.Generator) -> Tensor:
        if not model.config.flow:
            return model(batch)
        first = draw_prior(batch, model, self.prior, self.sigma, generator)
        return model(batch, first, first.new_full((len(first),), _FIRST))
