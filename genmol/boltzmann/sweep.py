r"""What happens to every chain in one step: torsion jumps, darts, ring moves, and an HMC trajectory.

Hamiltonian Monte Carlo in Cartesian coordinates moves everything within a well: its step is held down by
the stiffest bond (0.014 Å at 300 K, as X-H stretches have k/kT ≈ 2000 Å⁻²), and a trajectory of L steps
covers Lε ≈ 0.2 Å in each of them, enough to redraw what vibrates and to shift what is soft. Whatever
must cross a barrier is left to proposals that jump over it. A jump costs one call, as much as one of the
L leaps, so a few of them for each trajectory are cheap.

Every part leaves the target as it is, and so does the sequence. Forth and back again, (A, B, C, B, A),
it is reversible too, as :class:`samplers.moves.DelayedAcceptance` wants it: each part K obeys π K = (π
K)ᵀ, so the transpose of A B C B A is the same sequence.

Measured with MMFF94 at 300 K: gradients after the burn-in for each effective draw (the smallest effective
size over U, torsions and basins; for cyclohexanol axial and equatorial), 8 runs of 500 draws (200
tempered) from the minima of a search, renumbering everywhere. Where the effective size is that of 8
runs that never left their basin, the number is a lower bound.

=================================  =============  ========  ============
moves                              glycol         glycerol  cyclohexanol
=================================  =============  ========  ============
HMC alone                                > 7 500   > 6 900       > 7 700
and a jump                                   323   > 6 800       > 8 300
and two darts                                 71        80       > 8 200
and two ring mirrors                                                 116
all, tempered (4 or 5 up to 1000 K)          259       296           498
=================================  =============  ========  ============

One temperature is cheapest where the search has found all that matters. Tempering costs its number of
temperatures, and can find what the search has missed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from genmol.boltzmann.darts import TorsionDart
from genmol.boltzmann.moves import Angles, TorsionJump
from genmol.boltzmann.renumbering import Group, Renumbering
from genmol.boltzmann.rings import RingMirror
from genmol.chem.species import Species
from genmol.chem.torsions import rotatable_torsions
from samplers.adaptation import AdaptiveStep
from samplers.hmc import HMC
from samplers.moves import Cycle, MetropolisHastings, Proposal
from samplers.rng import Streams
from samplers.sampler import Info, Sampler, State

__all__ = ["Confined", "Frozen", "Inside", "Moves", "Sweep"]

Inside = Callable[[Tensor], Tensor]
"""Positions (k, n_atoms, 3), Å, to whether each may be visited, (k,) bool."""


@dataclass(frozen=True, kw_only=True)
class Moves:
    """How a sweep is made up.

    Attributes:
        leaps: L, gradients of an HMC trajectory.
        step_size: ε at the start of the burn-in, Å.
        acceptance: of HMC, that the burn-in aims at.
        jumps: of one torsion, for each sweep.
        doubles: of two torsions.
        darts: between known basins.
        mirrors: of rings.
        angles: of jumps.
    """

    leaps: int = 16
    step_size: float = 0.014
    acceptance: float = 0.7
    jumps: int = 1
    doubles: int = 0
    darts: int = 2
    mirrors: int = 2
    angles: Angles = field(default_factory=Angles)


@dataclass(frozen=True, eq=False)
class Sweep(AdaptiveStep):
    """A sequence of moves with one HMC trajectory, whose step size is learnt.

    Attributes:
        cycle: the moves.
        names: of them, for reports.
        step_size: ε at the start, Å.
        target_acceptance: of HMC.
    """

    cycle: Cycle
    names: tuple[str, ...]
    step_size: float
    target_acceptance: float

    @classmethod
    def of(
        cls,
        species: Species,
        moves: Moves,
        *,
        dart: TorsionDart | None = None,
        group: Group | None = None,
        inside: Inside | None = None,
        palindrome: bool = False,
    ) -> Sweep:
        """What suits a molecule.

        Args:
            species: the molecule.
            moves: how many of each kind; kinds that it has no use for are left out.
            dart: between its basins.
            group: its symmetry.
            inside: where moves may end.
            palindrome: moves before and after the trajectory, in mirrored order.
        """
        torsions, n = rotatable_torsions(species), species.n_atoms
        kinds: list[tuple[str, Proposal | None, int]] = [
            ("ring mirror", RingMirror.of(species), moves.mirrors),
            ("dart", dart, moves.darts),
        ]
        if torsions:
            kinds += [
                ("double jump", TorsionJump.of(torsions, n, count=2, angles=moves.angles),
                 moves.doubles if len(torsions) > 1 else 0),
                ("jump", TorsionJump.of(torsions, n, angles=moves.angles), moves.jumps),
            ]  # fmt: skip

        def kept(kernel: Sampler) -> Sampler:
            return kernel if inside is None else Confined(kernel, inside)

        named: list[tuple[str, Sampler]] = [
            (name, kept(MetropolisHastings(proposal)))
            for name, proposal, count in kinds
            if proposal is not None
            for _ in range(count)
        ]
        hmc = HMC(step_size=moves.step_size, leaps=moves.leaps, target_acceptance=moves.acceptance)
        middle = [("HMC", kept(hmc))]
        if group is not None and group.size > 1:
            named.insert(0, ("renumbering", Renumbering(group)))
        sequence = [*named, *middle, *(reversed(named) if palindrome else ())]
        names, parts = zip(*sequence, strict=True)
        return cls(Cycle(parts), names, moves.step_size, moves.acceptance)

    @property
    def calls(self) -> int:
        """Gradients that a chain costs in one sweep."""
        return sum(_calls(part) for part in self.cycle.parts)

    def step(self, state: State, streams: Streams) -> tuple[State, Info]:
        """All moves once; the acceptance is HMC's, those of the kinds are in the details."""
        state, info = self.cycle.step(state, streams)
        each: dict[str, list[Tensor]] = {}
        for k, name in enumerate(self.names):
            each.setdefault(name, []).append(info.details[f"{k} acceptance"])
        details = {name: torch.stack(values).mean(dim=0) for name, values in each.items()}
        if (refused := info.details.get(f"{self.names.index('HMC')} refused")) is not None:
            details["refused"] = refused
        return state, Info(details["HMC"], details)


def _calls(part: Sampler) -> int:
    inner = part.inner if isinstance(part, Confined) else part
    if isinstance(inner, HMC):
        return inner.leaps
    return 0 if isinstance(inner, Renumbering) else 1


@dataclass(frozen=True, eq=False)
class Confined(Sampler):
    """A reversible kernel that may not leave a region: a step out of it is not taken.

    For K reversible with respect to π, the flow between two points of the region is the same as
    before, so detailed balance holds for π restricted to it. Molecules are kept the ones they are in
    this way, where a potential lets bonds break.

    Attributes:
        inner: the kernel.
        inside: the region.
    """

    inner: Sampler
    inside: Inside

    def begin(self, state: State, streams: Streams) -> State:
        """As the inner kernel."""
        return self.inner.begin(state, streams)

    def step(self, state: State, streams: Streams) -> tuple[State, Info]:
        """A step, or none; ``refused`` says where it led out."""
        new, info = self.inner.step(state, streams)
        outside = self._outside(state.x, new.x)
        back = new.where(outside, state)
        if bool(outside.any()):  # what is remembered belongs to the point
            back = back.remember(
                **{
                    name: torch.where(outside.reshape(-1, *[1] * (value.ndim - 1)), old, value)
                    for name, value in new.memory.items()
                    if (old := state.memory.get(name)) is not None
                }
            )
        return back, Info(info.acceptance, {**info.details, "refused": outside.double()})

    def adapt(self, state: State, info: Info, round_: int) -> State:
        """The inner kernel learns."""
        return self.inner.adapt(state, info, round_)

    def adapted(self, state: State) -> State:
        """The inner kernel is frozen."""
        return self.inner.adapted(state)

    def _outside(
        self, before: Float[Tensor, "n n_atoms 3"], after: Float[Tensor, "n n_atoms 3"]
    ) -> Bool[Tensor, " n"]:
        """Asked only where something moved."""
        moved = (before != after).flatten(1).any(dim=1)
        outside = torch.zeros_like(moved)
        if bool(moved.any()):
            outside[moved] = ~self.inside(after[moved])
        return outside


@dataclass(frozen=True, eq=False)
class Frozen(Sampler):
    """Another sampler that learns nothing any more.

    Attributes:
        inner: the sampler.
    """

    inner: Sampler

    def begin(self, state: State, streams: Streams) -> State:
        """As the inner sampler."""
        return self.inner.begin(state, streams)

    def step(self, state: State, streams: Streams) -> tuple[State, Info]:
        """As the inner sampler."""
        return self.inner.step(state, streams)
