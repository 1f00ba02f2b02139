"""What a score model is fed with: frames of one system or of several, noised or not.

A :class:`Particles` says what does not move: atomic numbers, and numbers that describe each ordered pair,
such as how many bonds lie between two atoms. All pairs of a system are neighbours until a cutoff, known
when positions are, takes some away. Points of the plane are points of space with z = 0, and stay there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
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
    """

    numbers: Int[Tensor, " n"]
    attributes: Float[Tensor, "pairs k"] | None = None
    dimension: int = 3

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

    @classmethod
    def collate(cls, frames: Sequence[ScoreFrame], *, dtype: torch.dtype) -> ScoreBatch:
        """Join frames of systems in the same space.

        Args:
            frames: at least one.
            dtype: of the batch.
        """
        d = frames[0].system.dimension
        sizes = torch.tensor([len(frame.x) for frame in frames])
        starts = (sizes.cumsum(0) - sizes).tolist()
        attributes = [frame.system.attributes for frame in frames]
        return cls(
            x=pad(torch.cat([frame.x for frame in frames]), (0, 3 - d)).to(dtype),
            forces=pad(torch.cat([frame.forces for frame in frames]), (0, 3 - d)).to(dtype),
            numbers=torch.cat([frame.system.numbers for frame in frames]),
            graph_index=torch.arange(len(frames)).repeat_interleave(sizes),
            edge_index=torch.cat(
                [f.system.pairs + start for f, start in zip(frames, starts, strict=True)], dim=1
            ),
            attributes=None
            if attributes[0] is None
            else torch.cat([a for a in attributes if a is not None]).to(dtype),
            weight=torch.tensor([frame.weight for frame in frames], dtype=dtype),
            degrees=torch.tensor([frame.system.degrees for frame in frames], dtype=dtype),
            axes=(torch.arange(3) < d).to(dtype),
        )

    @classmethod
    def of(cls, system: Particles, x: Float[Tensor, "frames n d"]) -> ScoreBatch:
        """Many frames of one system, without forces."""
        frames, n, d = x.shape
        starts = n * torch.arange(frames)
        edges = (system.pairs[:, None] + starts[:, None]).flatten(1)
        flat = pad(x.flatten(0, 1), (0, 3 - d))
        own = system.attributes
        return cls(
            x=flat,
            forces=torch.zeros_like(flat),
            numbers=system.numbers.repeat(frames),
            graph_index=torch.arange(frames).repeat_interleave(n),
            edge_index=edges,
            attributes=None if own is None else own.to(x.dtype).repeat(frames, 1),
            weight=x.new_ones(frames),
            degrees=x.new_full((frames,), system.degrees),
            axes=(torch.arange(3) < d).to(x),
        )

    def repeated(self, times: int) -> ScoreBatch:
        """Every frame so many times, the whole batch one after the other."""
        n = len(self.x)

        def again(values: Tensor) -> Tensor:
            return values.repeat(times, *[1] * (values.ndim - 1))

        frames = self.frames * torch.arange(times, device=self.x.device)
        starts = n * torch.arange(times, device=self.x.device)
        return ScoreBatch(
            x=again(self.x),
            forces=again(self.forces),
            numbers=again(self.numbers),
            graph_index=(self.graph_index + frames[:, None]).flatten(),
            edge_index=(self.edge_index[:, None] + starts[:, None]).flatten(1),
            attributes=None if self.attributes is None else again(self.attributes),
            weight=again(self.weight),
            degrees=again(self.degrees),
            axes=self.axes,
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
