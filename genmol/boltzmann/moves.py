r"""Torsion jumps: Metropolis proposals that turn a part of a molecule about a bond.

Of a rotatable bond b-c, which no ring contains, the smaller side S is turned as a rigid body about the
line through b and c by an angle φ,

.. math::
    x_i' = x_b + Q_\phi(u)\,(x_i - x_b), \quad i \in S, \qquad u = \frac{x_c - x_b}{|x_c - x_b|},

with Rodrigues' rotation Q. Bond lengths and angles stay, torsions about b-c change by ±φ. Neither b nor
c is in S, so the axis is the same before and after, which gives all that Metropolis needs:

- *Jacobian 1.* With all other atoms fixed, every x_i in S is turned about a fixed axis, det Q = 1; the
  derivative by all atoms is block triangular with these blocks and ones.
- *Symmetric.* The way back is the same bond with −φ. The bond is drawn without looking at the geometry
  and the law of φ is even (:class:`Angles`), so :math:`q(x' \mid x) = q(x \mid x')`.
- *Any number in a row.* Bonds and angles :math:`(b_1, \phi_1), \dots, (b_m, \phi_m)` drawn independently
  are undone by :math:`(b_m, -\phi_m), \dots, (b_1, -\phi_1)`, a sequence of the same probability. Whether
  turns commute does not matter.
- *Mean-free.* Turns commute with translations, so they act on configurations up to translation, of
  which those with their centre at the origin are one linear picture with a constant volume factor:
  shifting the centre back (:meth:`samplers.spaces.MeanFree.wrap`) costs no Jacobian.

Turning the other side by −φ gives the same molecule in another orientation, so the smaller one is
taken. Go and Scheraga, Macromolecules 11, 552 (1978); Betancourt, J. Chem. Phys. 123, 174905 (2005).

Bonds to a group of fold k, such as methyl (3), are drawn with weight 1/k: its wells look alike, and
jumping between them teaches nothing.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from genmol.chem.torsions import Torsion
from genmol.core.errors import InputError
from samplers.moves import Proposal, Proposed
from samplers.rng import Streams
from samplers.sampler import State

__all__ = ["Angles", "TorsionJump", "turned"]


@dataclass(frozen=True)
class Angles:
    """An even law of angles: steps within a well, jumps by about a third of a turn, and any angle.

    Attributes:
        small: share of normal steps.
        thirds: share of ±2π/3 plus a normal step; what is left over is uniform.
        width: standard deviation of the normal steps, rad.
    """

    small: float = 0.2
    thirds: float = 0.5
    width: float = 0.35

    def __post_init__(self) -> None:
        if min(self.small, self.thirds) < 0 or self.small + self.thirds > 1 or self.width <= 0:
            raise InputError(
                got=f"shares {self.small} and {self.thirds} and a width of {self.width}",
                wanted="shares that are not negative and add up to at most 1, a positive width",
                remedy="leave the defaults",
            )

    def at(self, kind: Float[Tensor, " *n"], value: Float[Tensor, " *n"]) -> Float[Tensor, " *n"]:
        """Angles (rad) from two uniform numbers in (0, 1): which part of the law, and where in it."""
        step = self.width * torch.special.ndtri(value)
        third = torch.full_like(step, 2 * math.pi / 3)
        third = third.where(kind < self.small + 0.5 * self.thirds, -third)
        anywhere = math.pi * (2 * value - 1)
        jump = (step + third).where(kind < self.small + self.thirds, anywhere)
        return step.where(kind < self.small, jump)


def turned(
    x: Float[Tensor, "n n_atoms 3"],
    start: Int[Tensor, " n"],
    end: Int[Tensor, " n"],
    moved: Bool[Tensor, "n n_atoms"],
    angle: Float[Tensor, " n"],
) -> Float[Tensor, "n n_atoms 3"]:
    """Some atoms turned about the line from one atom to another, right-handed.

    Args:
        x: positions, Å.
        start: b, an atom of each structure.
        end: c.
        moved: S.
        angle: φ, rad.
    """
    row = torch.arange(len(x), device=x.device)
    origin = x[row, start][:, None]
    axis = torch.nn.functional.normalize(x[row, end] - x[row, start], dim=1)[:, None].expand_as(x)
    arm = x - origin
    along = (axis * arm).sum(dim=2, keepdim=True) * axis
    angle = angle.to(x.dtype)[:, None, None]
    swung = along + angle.cos() * (arm - along) + angle.sin() * torch.linalg.cross(axis, arm)
    return torch.where(moved[:, :, None], origin + swung, x)


@dataclass(frozen=True, eq=False)
class TorsionJump(Proposal):
    """Turns about bonds drawn at random.

    Attributes:
        ends: b and c of each bond, (t, 2).
        moved: the smaller side of each, (t, n_atoms).
        weights: with which bonds are drawn, (t,).
        count: m, turns in a row.
        angles: law of φ.
    """

    ends: Int[Tensor, "t 2"]
    moved: Bool[Tensor, "t n_atoms"]
    weights: Float[Tensor, " t"]
    count: int = 1
    angles: Angles = field(default_factory=Angles)

    @classmethod
    def of(
        cls,
        torsions: Sequence[Torsion],
        n_atoms: int,
        *,
        count: int = 1,
        angles: Angles | None = None,
    ) -> TorsionJump:
        """For the rotatable bonds of a molecule.

        Args:
            torsions: at least one.
            n_atoms: of the molecule.
            count: turns in a row.
            angles: law of φ; the default one when None.

        Raises:
            InputError: no torsion, no turn, or a moved side that is not the smaller one.
        """
        if not torsions or count < 1:
            raise InputError(
                got=f"{len(torsions)} rotatable bonds and {count} turns in a row",
                wanted="at least one of both",
                remedy="sample a rigid molecule without torsion jumps",
            )
        moved = torch.zeros(len(torsions), n_atoms, dtype=torch.bool)
        for row, torsion in zip(moved, torsions, strict=True):
            _, b, c, _ = torsion.atoms
            row[list(torsion.moved)] = True
            if not torsion.moved or row[b] or row[c] or 2 * len(torsion.moved) > n_atoms:
                raise InputError(
                    got=f"the bond {b}-{c} that moves the atoms {sorted(torsion.moved)} of {n_atoms}",
                    wanted="the atoms on its smaller side, without its own",
                    remedy="take torsions from genmol.chem.torsions.rotatable_torsions",
                )
        return cls(
            ends=torch.tensor([torsion.atoms[1:3] for torsion in torsions]),
            moved=moved,
            weights=torch.tensor([1 / torsion.fold for torsion in torsions], dtype=torch.float64),
            count=count,
            angles=angles or Angles(),
        )

    def propose(self, state: State, streams: Streams) -> Proposed:
        """Turns in a row; as likely there as back."""
        x = state.x
        u = streams.uniform(
            "turns", self.count, 3
        )  # one draw for all: counters cost more than turns
        shares = self.weights.cumsum(dim=0)
        bonds = torch.searchsorted(shares, u[:, :, 0] * shares[-1]).clamp_max(len(shares) - 1)
        angles = self.angles.at(u[:, :, 1], u[:, :, 2])
        for bond, angle in zip(bonds.T, angles.T, strict=True):
            x = turned(x, self.ends[bond, 0], self.ends[bond, 1], self.moved[bond], angle)
        return Proposed(x, torch.zeros_like(state.log_density))
