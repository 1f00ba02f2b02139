r"""Torsion darts: jumps between known basins, all torsions at once.

Turning one bond out of a hydrogen-bonded or sterically locked conformer mostly ends in a worse one; to
reach its equal partner several torsions must change together. Where minima are known, with torsions
:math:`\tau_1, \dots, \tau_K` and shares :math:`w_k` that somebody guesses, a dart goes from one to
another (smart darting: Andricioaei, Straub and Voter, J. Chem. Phys. 114, 6994 (2001)):

1. a is the nearest minimum of the present torsions φ (a distance on the torus; ties go to the first);
2. b ≠ a is drawn with probability :math:`w_b / (1 - w_a)`;
3. every bond j is turned by :math:`\tau_{bj} - \tau_{aj}`, so φ' − τ_b = φ − τ_a.

If b is the nearest minimum of φ', the way back is drawn with :math:`w_a / (1 - w_b)` and undoes all
turns; if it is not, there is no way back and the dart is refused:

.. math::
    \log q(x \mid x') - \log q(x' \mid x) = \log\frac{w_a (1 - w_a)}{w_b (1 - w_b)}
    \quad\text{or}\quad -\infty .

*Jacobian 1*, since turns have it (:mod:`genmol.boltzmann.moves`) and their angles are the same for all x
nearest to a. The smaller sides of two bonds contain each other or nothing in common, for both together
are less than the molecule; so turns commute, and the order does not matter.

Detailed balance holds for any minima and shares. With shares near the true populations the ratio above
takes the difference of the minima's free energies out of the acceptance, which leaves the difference in
the shapes of the wells. What the list of minima lacks is reached by other moves, or not at all.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Int
from torch import Tensor

from genmol.boltzmann.moves import TorsionJump, turned
from genmol.boltzmann.renumbering import Group
from genmol.chem.torsions import Torsion, dihedral
from genmol.core.errors import InputError
from samplers.moves import Proposal, Proposed
from samplers.rng import Streams
from samplers.sampler import State

__all__ = ["TorsionDart"]

_FLOOR = 1e-3  # least share of a minimum, relative to the mean one
_PRIOR = 20.0  # draws that given shares are worth against counted ones
_IMAGES, _MINIMA = 256, 2000  # of one conformer, and of all
_SAME = 0.2  # rad: minima closer than this are one


@dataclass(frozen=True, eq=False)
class TorsionDart(Proposal):
    """Jumps from a basin to another.

    Attributes:
        jump: the bonds and what they move.
        atoms: a, b, c, d of each bond, (t, 4).
        fold: symmetry of each bond, (t,): angles count modulo 2π/fold.
        sense: 1 where turning the moved side adds to the dihedral, −1 where it takes away, (t,).
        minima: τ, (K, t), rad.
        shares: w, (K,), sum 1.
        orbit: (K,) number of the conformer that each is an image of.
    """

    jump: TorsionJump
    atoms: Int[Tensor, "t 4"]
    fold: Float[Tensor, " t"]
    sense: Float[Tensor, " t"]
    minima: Float[Tensor, "K t"]
    shares: Float[Tensor, " K"]
    orbit: Int[Tensor, " K"]

    @classmethod
    def of(
        cls,
        torsions: Sequence[Torsion],
        minima: Float[Tensor, "k n_atoms 3"],
        energies: Float[Tensor, " k"],
        kT: float,
        group: Group | None = None,
    ) -> TorsionDart | None:
        """Between given minima, with Boltzmann's weights of their energies as shares.

        Args:
            torsions: rotatable bonds.
            minima: relaxed conformers, Å; those with the same torsions count once.
            energies: of each, in the unit of kT.
            kT: thermal energy.
            group: symmetry, whose images of the minima are minima as well.

        Returns:
            None where there are not two different minima or no torsion.
        """
        n_atoms = minima.shape[1]
        if not torsions:
            return None
        if len(minima) != len(energies) or not bool(energies.isfinite().all()):
            raise InputError(
                got=f"{len(minima)} minima with the energies {energies.tolist()}",
                wanted="a finite energy for each",
                remedy="leave out conformers that the potential cannot compute",
            )
        atoms = torch.tensor([torsion.atoms for torsion in torsions])
        fold = torch.tensor([float(torsion.fold) for torsion in torsions], dtype=torch.float64)
        jump = TorsionJump.of(torsions, n_atoms)
        # the moved side holds the far atom d, or the near atom a
        row = torch.arange(len(torsions))
        sense = torch.where(jump.moved[row, atoms[:, 3]], 1.0, -1.0).double()
        kept, orbit, energy = torch.zeros(0, len(torsions), dtype=torch.float64), [], []
        for k in energies.argsort().tolist():
            x = minima[k].double()
            images = [x] if group is None else list(group.images(x, most=_IMAGES))
            new = len(kept)
            for phi in dihedral(torch.stack(images), atoms):
                same = _apart(phi, kept, fold).abs().amax(dim=1) < _SAME
                if not bool(same.any()) and len(kept) < _MINIMA:
                    kept = torch.cat([kept, phi[None]])
                    orbit.append(new)
                    energy.append(float(energies[k] - energies.min()))
        if len(kept) < 2:
            return None
        weight = (-torch.tensor(energy, dtype=torch.float64) / kT).exp()
        shares = weight.clamp_min(_FLOOR * float(weight.mean()))
        return cls(jump, atoms, fold, sense, kept, shares / shares.sum(), torch.tensor(orbit))

    def learnt(self, x: Float[Tensor, "m n_atoms 3"]) -> TorsionDart:
        """The same with shares from draws, in which the old ones count as 20 draws.

        Args:
            x: positions, Å; none of them may be used afterwards.
        """
        count = len(self.shares)
        counts = torch.bincount(self.nearest(x), minlength=count).double() + _PRIOR * self.shares
        size = torch.bincount(self.orbit, minlength=count).clamp_min(1)
        # images of one conformer are equally likely
        shares = (torch.bincount(self.orbit, weights=counts, minlength=count) / size)[self.orbit]
        shares = shares.clamp_min(_FLOOR * float(shares.mean()))
        return replace(self, shares=shares / shares.sum())

    def nearest(self, x: Float[Tensor, "n n_atoms 3"]) -> Int[Tensor, " n"]:
        """The minimum that each structure belongs to."""
        angles = dihedral(x.double(), self.atoms)
        return _apart(angles[:, None], self.minima, self.fold).square().sum(dim=2).argmin(dim=1)

    def propose(self, state: State, streams: Streams) -> Proposed:
        """To another basin, with the odds of the way back."""
        a = self.nearest(state.x)
        others = self.shares.expand(len(a), -1).scatter(1, a[:, None], 0.0)
        b = streams.choice("basin", others)
        angles = self.sense * _apart(self.minima[b], self.minima[a], self.fold)
        x = state.x
        for j, angle in enumerate(angles.T):
            bond = torch.full_like(a, j)
            ends, moved = self.jump.ends[bond], self.jump.moved[bond]
            x = turned(x, ends[:, 0], ends[:, 1], moved, angle)
        odds = (self.shares * (1 - self.shares)).log()
        ratio = torch.where(self.nearest(x) == b, odds[a] - odds[b], -torch.inf)
        return Proposed(x, ratio)


def _apart(angles: Tensor, origin: Tensor, fold: Tensor) -> Tensor:
    """Shortest turn from ``origin``, modulo the symmetry of each bond."""
    turn = fold * (angles - origin)
    return (torch.remainder(turn + math.pi, 2 * math.pi) - math.pi) / fold
