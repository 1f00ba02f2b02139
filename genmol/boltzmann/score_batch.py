"""What a score model is fed with: frames of one system or of several, noised or not.

A :class:`Particles` says what does not move: atomic numbers, numbers that describe each atom and each
ordered pair, such as how many bonds lie between two atoms, and handed centres. All pairs of a system are
neighbours until a cutoff, known when positions are, takes some away. Points of the plane are points of
space with z = 0, and stay there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import pad

from genmol.core.graph import AtomicGraph
from genmol.core.neighbors import all_pairs

__all__ = ["Particles", "ScoreBatch", "ScoreFrame"]


@dataclass(frozen=True, eq=False)
class Particles:
    """One system.

    Attributes:
        numbers: atomic numbers; toys are made of hydrogen.
        attributes: of all ordered pairs, in the order of :attr:`pairs`; none by default.
        dimension: of space, 2 or 3.
        features: numbers of each atom; none by default.
        centres: handed ones, corners and centre as :mod:`genmol.boltzmann.handedness` takes them.
        signs: of the centres.
        size: variance of a coordinate, in units of the model's spread.
    """

    numbers: Int[Tensor, " n"]
    attributes: Float[Tensor, "pairs k"] | None = None
    dimension: int = 3
    features: Float[Tensor, "n f"] | None = None
    centres: Int[Tensor, "m 5"] = field(default_factory=lambda: torch.zeros(0, 5).long())
    signs: Float[Tensor, " m"] = field(default_factory=lambda: torch.zeros(0))
    size: float = 1.0

    @cached_property
    def pairs(self) -> Int[Tensor, "2 pairs"]:
        """Sender and receiver of every ordered pair."""
        return all_pairs(len(self.numbers))

    @property
    def degrees(self) -> int:
        """Of freedom, with the centre fixed."""
        return self.dimension * (len(self.numbers) - 1)


@dataclass(frozen=True, eq=False)
class ScoreFrame:
    """One frame of the data.

    Attributes:
        system: whose.
        x: centred.
        forces: βF, in the inverse unit of x.
        weight: of the frame.
    """

    system: Particles
    x: Float[Tensor, "n d"]
    forces: Float[Tensor, "n d"]
    weight: float = 1.0


@dataclass(frozen=True, eq=False)
class ScoreBatch:
    """Frames one after the other.

    Attributes:
        x: centred positions, z = 0 in the plane.
        forces: βF; zero where none are needed.
        numbers, graph_index: of each atom.
        edge_index: all pairs of every frame.
        attributes: of the pairs, if the systems have any.
        weight: of each frame.
        degrees: of freedom of each frame.
        axes: (3,) one where there is motion.
        features: of each atom, if the systems have any.
        centres, signs: of all frames.
        size: of each frame, see :class:`Particles`.
    """

    x: Float[Tensor, "n 3"]
    forces: Float[Tensor, "n 3"]
    numbers: Int[Tensor, " n"]
    graph_index: Int[Tensor, " n"]
    edge_index: Int[Tensor, "2 pairs"]
    attributes: Float[Tensor, "pairs k"] | None
    weight: Float[Tensor, " frames"]
    degrees: Float[Tensor, " frames"]
    axes: Float[Tensor, " 3"]
    features: Float[Tensor, "n f"] | None
    centres: Int[Tensor, "m 5"]
    signs: Float[Tensor, " m"]
    size: Float[Tensor, " frames"]

    @classmethod
    def collate(cls, frames: Sequence[ScoreFrame], *, dtype: torch.dtype) -> ScoreBatch:
        """Join frames of systems in the same space.

        Args:
            frames: at least one.
            dtype: of the batch.
        """
        systems = [frame.system for frame in frames]
        d = systems[0].dimension
        sizes = torch.tensor([len(frame.x) for frame in frames])
        starts = (sizes.cumsum(0) - sizes).tolist()
        return cls(
            x=pad(torch.cat([frame.x for frame in frames]), (0, 3 - d)).to(dtype),
            forces=pad(torch.cat([frame.forces for frame in frames]), (0, 3 - d)).to(dtype),
            numbers=torch.cat([system.numbers for system in systems]),
            graph_index=torch.arange(len(frames)).repeat_interleave(sizes),
            edge_index=torch.cat(
                [s.pairs + start for s, start in zip(systems, starts, strict=True)], dim=1
            ),
            attributes=_joined([system.attributes for system in systems], dtype),
            weight=torch.tensor([frame.weight for frame in frames], dtype=dtype),
            degrees=torch.tensor([system.degrees for system in systems], dtype=dtype),
            axes=(torch.arange(3) < d).to(dtype),
            features=_joined([system.features for system in systems], dtype),
            centres=torch.cat(
                [s.centres + start for s, start in zip(systems, starts, strict=True)]
            ),
            signs=torch.cat([system.signs for system in systems]).to(dtype),
            size=torch.tensor([system.size for system in systems], dtype=dtype),
        )

    @classmethod
    def of(cls, system: Particles, x: Float[Tensor, "frames n d"]) -> ScoreBatch:
        """Many frames of one system, without forces."""
        frames, n, d = x.shape
        starts = n * torch.arange(frames)
        edges = (system.pairs[:, None] + starts[:, None]).flatten(1)
        flat = pad(x.flatten(0, 1), (0, 3 - d))

        def each(own: Tensor | None) -> Tensor | None:
            return None if own is None else own.to(x.dtype).repeat(frames, 1)

        return cls(
            x=flat,
            forces=torch.zeros_like(flat),
            numbers=system.numbers.repeat(frames),
            graph_index=torch.arange(frames).repeat_interleave(n),
            edge_index=edges,
            attributes=each(system.attributes),
            weight=x.new_ones(frames),
            degrees=x.new_full((frames,), system.degrees),
            axes=(torch.arange(3) < d).to(x),
            features=each(system.features),
            centres=(system.centres + starts[:, None, None]).flatten(0, 1),
            signs=system.signs.to(x.dtype).repeat(frames),
            size=x.new_full((frames,), system.size),
        )

    def repeated(self, times: int) -> ScoreBatch:
        """Every frame so many times, the whole batch one after the other."""
        n = len(self.x)

        def again(values: Tensor) -> Tensor:
            return values.repeat(times, *[1] * (values.ndim - 1))

        def maybe(values: Tensor | None) -> Tensor | None:
            return None if values is None else again(values)

        frames = self.frames * torch.arange(times, device=self.x.device)
        starts = n * torch.arange(times, device=self.x.device)
        return ScoreBatch(
            x=again(self.x),
            forces=again(self.forces),
            numbers=again(self.numbers),
            graph_index=(self.graph_index + frames[:, None]).flatten(),
            edge_index=(self.edge_index[:, None] + starts[:, None]).flatten(1),
            attributes=maybe(self.attributes),
            weight=again(self.weight),
            degrees=again(self.degrees),
            axes=self.axes,
            features=maybe(self.features),
            centres=(self.centres + starts[:, None, None]).flatten(0, 1),
            signs=again(self.signs),
            size=again(self.size),
        )

    @property
    def frames(self) -> int:
        """How many."""
        return len(self.weight)

    def centred(self, vectors: Float[Tensor, "n 3"]) -> Float[Tensor, "n 3"]:
        """Without the mean over each frame."""
        mean = vectors.new_zeros(self.frames, 3).index_add(0, self.graph_index, vectors)
        sizes = torch.bincount(self.graph_index, minlength=self.frames)
        return vectors - (mean / sizes[:, None])[self.graph_index]

    def total(self, values: Float[Tensor, " n"]) -> Float[Tensor, " frames"]:
        """Sum over the atoms of each frame."""
        return values.new_zeros(self.frames).index_add(0, self.graph_index, values)

    def graph(
        self, x: Float[Tensor, "n 3"], *, cutoff: float
    ) -> tuple[AtomicGraph, Float[Tensor, "edges k"] | None]:
        """The graph of other positions, and the attributes of its edges.

        Args:
            x: positions.
            cutoff: beyond which pairs are left out.
        """
        sender, receiver = self.edge_index
        vectors = x.index_select(0, receiver) - x.index_select(0, sender)
        edges, attributes = self.edge_index, self.attributes
        near = vectors.detach().square().sum(dim=1) < cutoff**2
        if not bool(near.all()):
            edges, vectors = edges[:, near], vectors[near]
            attributes = None if attributes is None else attributes[near]
        graph = AtomicGraph(
            positions=x,
            numbers=self.numbers,
            graph_index=self.graph_index,
            n_graphs=self.frames,
            edge_index=edges,
            edge_vectors=vectors,
            charge=torch.zeros(self.frames, dtype=torch.int64, device=x.device),
        )
        return graph, attributes

    def to(self, device: torch.device | str) -> ScoreBatch:
        """On another device."""
        moved = {
            name: value.to(device) if isinstance(value, Tensor) else value
            for name, value in vars(self).items()
        }
        return ScoreBatch(**moved)


def _joined(values: Sequence[Tensor | None], dtype: torch.dtype) -> Tensor | None:
    """Those of all systems, which have them all or none of them."""
    return None if values[0] is None else torch.cat([v for v in values if v is not None]).to(dtype)
