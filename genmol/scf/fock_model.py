r"""The network that predicts a Fock matrix: ΔH = F − F_init from geometry, F_init and S.

A backbone that knows nothing of matrices, a head that knows nothing of the backbone, and between
them the blocks of the known matrices as equivariant inputs: on-site blocks as node features, blocks
between two atoms as features of their edge. Every input and output is scaled by its spread in the
training data, element pair by element pair (:class:`genmol.heads.hamiltonian.BlockScales`).

A generator (:mod:`genmol.scf.qhflow`) feeds a noisy ΔH and a time in as well.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from genmol.algebra.blocks import BondBlocks, ShellRotation, SiteBlocks
from genmol.algebra.so2 import EdgeFrames, FrameFeatures
from genmol.backbones.features import unpack_nodes
from genmol.backbones.so2 import SO2Backbone, SO2Config
from genmol.core.errors import InputError
from genmol.heads.hamiltonian import BlockScales, HamiltonianHead, ShellPotentials
from genmol.heads.orbitals import OrbitalSlots
from genmol.qc.options import Start
from genmol.scf.fock_batch import FockBatch

__all__ = ["FockModel", "FockModelConfig"]

_N_TIMES = 16  # width of the time embedding


@dataclass(frozen=True)
class FockModelConfig:
    """What a Fock model is made of; everything but its weights.

    Attributes:
        shells: atomic number -> degrees of its contracted shells, of the basis it predicts in.
        start: which matrix F_init is: ``minao`` (the cheap level at superposed atoms),
            ``semilocal`` or ``sap`` (potentials of superposed atoms).
        flow: fed with a noisy ΔH and a time.
        l_max, channels, other_channels, edge_channels, product_channels, layers, cutoff, n_radial,
            embedding: see :class:`genmol.backbones.so2.SO2Config`.
    """

    shells: Mapping[int, tuple[int, ...]]
    start: Start = "semilocal"
    flow: bool = False
    l_max: int = 4
    channels: int = 32
    other_channels: int = 8
    edge_channels: tuple[int, ...] = (128, 32, 96, 64, 32, 16)
    product_channels: int = 16
    layers: int = 3
    cutoff: float = 12.0
    n_radial: int = 32
    embedding: int = 64

    def __post_init__(self) -> None:
        top = 2 * max(max(shells) for shells in self.shells.values())
        if self.l_max != top or len(self.edge_channels) != top + 2:
            raise InputError(
                got=f"l_max = {self.l_max} and {len(self.edge_channels)} edge_channels",
                wanted=f"l_max = {top}, twice the highest degree of a shell, and {top + 2} edge_channels",
                remedy="give channels for 0+, 0- and every order up to l_max",
            )

    def to_dict(self) -> dict[str, Any]:
        """Plain values for a JSON file."""
        found = asdict(self)
        found["shells"] = {str(z): list(s) for z, s in sorted(self.shells.items())}
        return found

    @classmethod
    def from_dict(cls, found: Mapping[str, Any]) -> FockModelConfig:
        """Undo :meth:`to_dict`.

        Raises:
            InputError: missing, unknown or faulty fields.
        """
        try:
            shells = {int(z): tuple(s) for z, s in found["shells"].items()}
            edge = tuple(found["edge_channels"])
            return cls(**{**found, "shells": shells, "edge_channels": edge})
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise InputError(
                got=f"a model configuration that cannot be read ({error})",
                wanted="the configuration of a Fock model as this version writes it",
                remedy="upgrade genmol if the model is newer, or train it again",
            ) from error

    @property
    def backbone(self) -> SO2Config:
        """The backbone's part."""
        shape = [entry.name for entry in fields(SO2Config) if entry.name != "elements"]
        return SO2Config(
            elements=tuple(sorted(self.shells)), **{name: getattr(self, name) for name in shape}
        )


class FockModel(nn.Module):
    """ΔH of every molecule of a batch.

    Args:
        config: the shape.
    """

    def __init__(self, config: FockModelConfig) -> None:
        super().__init__()
        self.config = config
        self.slots = OrbitalSlots(config.shells)
        shells = self.slots.slots
        self.site, self.bond = SiteBlocks(shells), BondBlocks(shells)
        self.rotation = ShellRotation(shells)
        matrices = 3 if config.flow else 2  # S, F_init and the noisy ΔH
        on_site = matrices - 1  # S is the same on every atom of an element
        natural, other = (max(n[k] for n in self.site.channels) for k in (0, 1))
        bonds = [matrices * n for n in self.bond.channels]
        self.backbone = SO2Backbone(
            config.backbone,
            node_inputs=(on_site * natural, on_site * other),
            edge_inputs=bonds,
            conditions=_N_TIMES if config.flow else 0,
        )
        self.head = HamiltonianHead(
            self.site,
            self.bond,
            elements=len(config.shells),
            channels=config.channels,
            other_channels=config.other_channels,
            edge_channels=config.edge_channels,
        )
        self.potentials = ShellPotentials(self.slots, config.channels)
        n = len(config.shells)
        invariant = [k == 0 for k in range(2 * len(self.site.channels))]
        site_channels = [c for both in self.site.channels for c in both]
        plain = [False] * len(self.bond.channels)
        self.initial_sites = BlockScales(n, site_channels, invariant)
        self.initial_bonds = BlockScales(n * n, self.bond.channels, plain)
        self.overlap_bonds = BlockScales(n * n, self.bond.channels, plain)

    def forward(
        self,
        batch: FockBatch,
        noisy: Float[Tensor, "n_graphs size size"] | None = None,
        time: Float[Tensor, " n_graphs"] | None = None,
    ) -> Float[Tensor, "n_graphs size size"]:
        """Predicted ΔH, Hartree, symmetric, zero where padded.

        Args:
            batch: molecules whose elements the model knows.
            noisy, time: for a flow: ΔH_t and t.
        """
        delta = self.unsymmetrised(batch, noisy, time)
        return (delta + delta.mT) / 2

    def unsymmetrised(
        self, batch: FockBatch, noisy: Tensor | None = None, time: Tensor | None = None
    ) -> Float[Tensor, "n_graphs size size"]:
        """The same before symmetrisation: two estimates of every element between two atoms.

        How much they differ tells how sure the network is, at no cost.
        """
        element, kind, frames, rotation = self._frames(batch)
        overlap = self._bonds(batch, batch.overlap, rotation)
        initial = self._bonds(batch, batch.initial, rotation)
        bonds = [
            self.overlap_bonds.normalise(overlap, kind),
            self.initial_bonds.normalise(initial, kind),
        ]
        sites = [self.initial_sites.normalise(self._sites(batch, batch.initial), element)]
        conditions = None
        if noisy is not None:
            assert time is not None
            head = self.head
            bonds.append(head.bond_scales.normalise(self._bonds(batch, noisy, rotation), kind))
            sites.append(head.site_scales.normalise(self._sites(batch, noisy), element))
            conditions = _time_embedding(time)
        features, _ = self.backbone(
            batch.graph,
            frames=frames,
            node_inputs=self._as_nodes(sites),
            edge_inputs=[torch.cat(x, dim=2) for x in zip(*bonds, strict=True)],
            conditions=conditions,
        )
        assert features.edges is not None
        atoms = torch.arange(len(element), device=element.device)
        sender, receiver = batch.graph.edge_index
        natural, other = unpack_nodes(features)
        on_sites = self.head.on_sites(natural, other, element)
        on_edges = self.head.on_edges(features.edges.values, kind, overlap, initial, rotation)
        blocks = torch.cat([on_sites, on_edges * features.edges.envelope])
        free = batch.layout.matrices(
            blocks, torch.cat([atoms, receiver]), torch.cat([atoms, sender])
        )
        diagonal = self.potentials(natural[:, 0], element, batch.layout)
        return free + _sandwich(diagonal, batch.overlap)

    @torch.no_grad()
    def calibrate(self, batches: Iterable[FockBatch]) -> None:
        """Take the scales of inputs and outputs from batches with targets."""
        batches = list(batches)
        self.potentials.fit(
            (self._frames(b)[0], b.layout, b.overlap, b.targets.delta)
            for b in batches
            if b.targets is not None
        )
        sites: list[list[Tensor]] = []
        bonds: list[list[Tensor]] = []
        for batch in batches:
            assert batch.targets is not None
            element, kind, _, rotation = self._frames(batch)
            mean = self.potentials.spread(self.potentials.mean[element], batch.layout)
            rest = batch.targets.delta - _sandwich(mean, batch.overlap)
            known = [batch.initial, rest]
            sites.append([element, *[x for m in known for x in self._sites(batch, m)]])
            known = [batch.overlap, *known]
            bonds.append([kind, *[x for m in known for x in self._bonds(batch, m, rotation)]])
        element, *all_sites = (torch.cat(x) for x in zip(*sites, strict=True))
        kind, *all_bonds = (torch.cat(x) for x in zip(*bonds, strict=True))
        half, third = len(all_sites) // 2, len(all_bonds) // 3
        self.initial_sites.fit(all_sites[:half], element)
        self.head.site_scales.fit(all_sites[half:], element)
        self.overlap_bonds.fit(all_bonds[:third], kind)
        self.initial_bonds.fit(all_bonds[third : 2 * third], kind)
        self.head.bond_scales.fit(all_bonds[2 * third :], kind)

    def _frames(self, batch: FockBatch) -> tuple[Tensor, Tensor, EdgeFrames, Tensor]:
        """Elements, kinds of edges (receiver, sender), frames, orbitals into the frames."""
        frames = EdgeFrames.of(batch.graph.edge_vectors, self.config.l_max)
        element = self.backbone.element_index[batch.graph.numbers]
        sender, receiver = batch.graph.edge_index
        kind = element[receiver] * len(self.config.shells) + element[sender]
        return element, kind, frames, self.rotation(frames.wigner)

    def _bonds(self, batch: FockBatch, matrix: Tensor, rotation: Tensor) -> FrameFeatures:
        sender, receiver = batch.graph.edge_index
        blocks = batch.layout.blocks(matrix, receiver, sender)
        return self.bond.to_irreps(rotation @ blocks @ rotation.mT)

    def _sites(self, batch: FockBatch, matrix: Tensor) -> list[Tensor]:
        atoms = torch.arange(len(batch.graph.numbers), device=matrix.device)
        blocks = batch.layout.blocks(matrix, atoms, atoms)
        return [x for both in self.site.to_irreps(blocks) for x in both]

    def _as_nodes(self, sites: list[list[Tensor]]) -> tuple[Tensor, Tensor]:
        """Irreps of on-site blocks as node inputs, every degree with as many channels."""
        both = []
        for parity in (0, 1):
            degrees = []
            width = max(n[parity] for n in self.site.channels)
            for l in range(self.config.l_max + 1):
                padded = []
                for matrix in sites:
                    x = matrix[2 * l + parity] if l <= self.site.l_max else None
                    if x is None:
                        x = sites[0][0].new_zeros(len(sites[0][0]), 2 * l + 1, 0)
                    padded.append(nn.functional.pad(x, (0, width - x.shape[2])))
                degrees.append(torch.cat(padded, dim=2))
            both.append(torch.cat(degrees, dim=1))
        return both[0], both[1]


def _sandwich(diagonal: Tensor, overlap: Tensor) -> Tensor:
    """(w S + S w)/2."""
    return (diagonal[:, :, None] + diagonal[:, None, :]) / 2 * overlap


def _time_embedding(time: Tensor) -> Float[Tensor, "n_graphs n"]:
    """Sines and cosines of geometrically spaced frequencies."""
    frequency = 2.0 ** torch.arange(_N_TIMES // 2, device=time.device, dtype=time.dtype)
    angle = time[:, None] * frequency * 1.5
    return torch.cat([angle.sin(), angle.cos()], dim=1)
