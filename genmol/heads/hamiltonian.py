r"""Symmetric matrices over atomic orbitals, read from a backbone's features.

Every block is put together from irreps (:mod:`genmol.algebra.blocks`): those on an atom from its
node features, those between two atoms from the features of the edge, in its frame,

.. math::
    H_{ij} = U_{ij}^T \Bigl[ \mathrm{blocks}(W z_{ij})
             + \alpha_{ij} \circ S_{ij} + \beta_{ij} \circ H^0_{ij} \Bigr] U_{ij},

with one predicted scalar for every pair of shells in :math:`\alpha` and :math:`\beta`. The first term
fades with the overlap of the two atoms. The result is symmetrised, (H + H^T)/2, and to it comes

.. math::
    \tfrac12 (w S + S w), \qquad w_a = w^0_{Z,shell} + w(x_i) + w(\langle x\rangle),

the effect of a potential that is constant over every shell: its mean over the data, what the atom's
scalars add, and what the molecule's do. Most of the difference between two Fock matrices of one
molecule has this form.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from genmol.algebra.blocks import BondBlocks, SiteBlocks
from genmol.algebra.so2 import FrameFeatures, O2Linear
from genmol.heads.orbitals import MatrixLayout, OrbitalSlots
from genmol.nn.gates import DegreeLinear, OrderGate

__all__ = ["BlockScales", "HamiltonianHead", "ShellPotentials"]

_FADING = 0.05  # Frobenius norm of an overlap block at which the free term has lost 1/sqrt(2)


class BlockScales(nn.Module):
    """Mean and spread of the irreps of blocks, by element or pair of elements.

    Only irreps that do not transform have a mean. Kinds that the data do not hold take the root mean
    square of all others. Before :meth:`fit` everything is 0 and 1.

    Args:
        kinds: number of elements, or of ordered pairs of elements.
        channels: irreps of every index in a block.
        invariant: of every index, whether it does not transform.
        floor: smallest spread; what is below it is rounding, or zero by symmetry.
    """

    def __init__(
        self,
        kinds: int,
        channels: Sequence[int],
        invariant: Sequence[bool],
        *,
        floor: float = 1e-3,
    ) -> None:
        super().__init__()
        self.channels, self.floor = list(channels), floor
        self.invariant = list(invariant)
        for k, n in enumerate(channels):
            self.register_buffer(f"mean{k}", torch.zeros(kinds, n))
            self.register_buffer(f"scale{k}", torch.ones(kinds, n))

    @torch.no_grad()
    def fit(self, irreps: Sequence[Tensor], kind: Tensor) -> None:
        """Take them from samples: one (n, size, channels) for every index; their kinds (n,)."""
        buffers = dict(self.named_buffers())
        for k, x in enumerate(irreps):
            mean, scale = buffers[f"mean{k}"], buffers[f"scale{k}"]
            x = x.to(torch.float64)
            count = torch.bincount(kind, minlength=len(mean)).clamp(min=1)[:, None].to(x)
            if self.invariant[k]:
                sums = x.new_zeros(len(mean), x.shape[2]).index_add(0, kind, x[:, 0])
                mean.copy_(sums / count)
                x = x - mean[kind][:, None]
            square = x.new_zeros(len(mean), x.shape[2]).index_add(0, kind, (x * x).mean(1))
            rms = (square / count).sqrt()
            seen = torch.bincount(kind, minlength=len(mean))[:, None] > 0
            overall = ((rms * seen).square().sum(0) / seen.sum()).sqrt().expand_as(rms)
            filled = torch.where(seen & (rms > 1e-3 * overall), rms, overall)
            scale.copy_(filled.clamp(min=self.floor))

    def normalise(self, irreps: Sequence[Tensor], kind: Tensor) -> list[Tensor]:
        """(x - mean)/scale."""
        rows = zip(irreps, self._scales(kind), self._means(kind), strict=True)
        return [(x if mean is None else x - mean) / scale for x, scale, mean in rows]

    def restore(self, irreps: Sequence[Tensor], kind: Tensor) -> list[Tensor]:
        """Undo :meth:`normalise`."""
        rows = zip(irreps, self._scales(kind), self._means(kind), strict=True)
        return [x * scale if mean is None else x * scale + mean for x, scale, mean in rows]

    def _scales(self, kind: Tensor) -> Sequence[Tensor]:
        """One (n, 1, channels) for every index, looked up together."""
        table = torch.cat([getattr(self, f"scale{k}") for k in range(len(self.channels))], dim=1)
        return table.index_select(0, kind)[:, None].split(self.channels, dim=2)

    def _means(self, kind: Tensor) -> list[Tensor | None]:
        return [
            getattr(self, f"mean{k}").index_select(0, kind)[:, None] if invariant else None
            for k, invariant in enumerate(self.invariant)
        ]


class ShellPotentials(nn.Module):
    """The diagonal w of every molecule: one number a shell of each atom.

    Args:
        slots: shells of every element.
        scalars: channels of degree 0 and parity +1 of the atoms.
    """

    mean: Tensor
    slot: Tensor

    def __init__(self, slots: OrbitalSlots, scalars: int) -> None:
        super().__init__()
        degrees = slots.slots
        self.n_slots = len(degrees)
        self.atom = nn.Linear(scalars, self.n_slots)
        self.molecule = nn.Linear(scalars, self.n_slots)
        orbitals = [k for k, l in enumerate(degrees) for _ in range(2 * l + 1)]
        self.register_buffer("slot", torch.tensor(orbitals), persistent=False)
        self.register_buffer("mean", torch.zeros(len(slots.shells), self.n_slots))

    def forward(
        self, scalars: Float[Tensor, "n_atoms n"], element: Tensor, layout: MatrixLayout
    ) -> Float[Tensor, "n_graphs size"]:
        """w, Hartree."""
        index = layout.graph_index
        ones = scalars.new_zeros(len(layout.mask)).index_add(0, index, scalars[:, 0] * 0 + 1)
        sums = scalars.new_zeros(len(layout.mask), scalars.shape[1]).index_add(0, index, scalars)
        pooled = self.molecule(sums / ones[:, None])
        w = self.mean[element] + 0.02 * (self.atom(scalars) + pooled[index])
        return self.spread(w, layout)

    def spread(
        self, values: Float[Tensor, "n_atoms slots"], layout: MatrixLayout
    ) -> Float[Tensor, "n_graphs size"]:
        """One number a shell to one number an orbital."""
        n = layout.size + 1
        where = (layout.graph_index[:, None] * n + layout.orbital).reshape(-1)
        flat = values.new_zeros(len(layout.mask) * n)
        flat = flat.index_put((where,), values[:, self.slot].reshape(-1))
        return flat.reshape(-1, n)[:, :-1]

    @torch.no_grad()
    def fit(self, batches: Iterable[tuple[Tensor, MatrixLayout, Tensor, Tensor]]) -> None:
        """Least-squares mean of w from elements, layouts, S and ΔH of some batches."""
        n = self.mean.numel()
        normal, right = torch.zeros(n, n).double(), torch.zeros(n).double()
        kinds = torch.arange(n, device=self.mean.device).reshape(self.mean.shape)
        for element, layout, overlap, delta in batches:
            s, target = overlap.double(), delta.double()
            kind = self.spread(kinds[element].double() + 1, layout).long()  # 0: no orbital
            member = nn.functional.one_hot(kind, n + 1)[..., 1:].double()
            s2, st = s * s, s * target
            # <(P_k S + S P_k)/2, (P_l S + S P_l)/2> with diagonal projectors P
            rows = (member.mT @ s2.sum(2)[..., None])[..., 0].sum(0)
            normal += (torch.diag(rows) + (member.mT @ s2 @ member).sum(0)).cpu() / 2
            right += (member.mT @ st.sum(2)[..., None])[..., 0].sum(0).cpu()
        found = torch.linalg.lstsq(normal, right[:, None], driver="gelsd").solution[:, 0]
        self.mean.copy_(found.reshape(self.mean.shape))


class HamiltonianHead(nn.Module):
    """Blocks of atoms and edges from features.

    Args:
        site, bond: how blocks decompose.
        elements: number of elements.
        channels, other_channels: of the backbone's atoms.
        edge_channels: of its edges.
    """

    def __init__(
        self,
        site: SiteBlocks,
        bond: BondBlocks,
        *,
        elements: int,
        channels: int,
        other_channels: int,
        edge_channels: Sequence[int],
    ) -> None:
        super().__init__()
        self.site, self.bond = site, bond
        l_max = site.l_max
        self.site_mix = DegreeLinear(l_max, channels, channels, bias=True)
        self.site_gates = nn.Linear(channels, (l_max + 1) * channels)
        widths = (channels, other_channels)
        self.site_weights = nn.ParameterList(
            nn.Parameter(torch.randn(elements, width, n) / max(width, 1) ** 0.5)
            for counts in site.channels
            for width, n in zip(widths, counts, strict=True)
        )
        self.site_scales = BlockScales(
            elements,
            [n for counts in site.channels for n in counts],
            [k == 0 for k in range(2 * len(site.channels))],
            floor=1e-5,
        )
        self.gate = OrderGate(edge_channels)
        self.bond_mix = O2Linear(edge_channels, edge_channels)
        self.bond_out = O2Linear(edge_channels, bond.channels, gain=0.3)
        self.pair_gain = nn.Parameter(torch.ones(elements**2, sum(bond.channels)))
        self.bond_scales = BlockScales(
            elements**2, bond.channels, [False] * len(bond.channels), floor=1e-5
        )
        pairs = max(bond.shell_pair) + 1
        self.carried = nn.Linear(edge_channels[0], 2 * pairs)
        with torch.no_grad():
            self.carried.weight.mul_(0.1)
        self.register_buffer("shell_pair", torch.tensor(bond.shell_pair), persistent=False)

    def on_sites(
        self, x: Tensor, other: Tensor, element: Tensor
    ) -> Float[Tensor, "n_atoms width width"]:
        """Blocks of every atom with itself.

        Args:
            x, other: features of natural and of the other parity, each (n_atoms, components, channels).
            element: index of each atom's.
        """
        l_max = self.site.l_max
        x = x[:, : (l_max + 1) ** 2]
        mixed = self.site_mix(x)
        gates = 2 * torch.sigmoid(self.site_gates(x[:, 0])).unflatten(1, (l_max + 1, -1))
        irreps = []
        for l in range(l_max + 1):
            where = slice(l * l, (l + 1) ** 2)
            of_both = (mixed[:, where] * gates[:, l : l + 1], other[:, where])
            for k, y in enumerate(of_both):
                irreps.append(y @ self.site_weights[2 * l + k].index_select(0, element))
        irreps = self.site_scales.restore(irreps, element)
        return self.site.to_blocks(list(zip(irreps[::2], irreps[1::2], strict=True)))

    def on_edges(
        self,
        values: FrameFeatures,
        kind: Tensor,
        overlap: FrameFeatures,
        initial: FrameFeatures,
        rotation: Tensor,
    ) -> Float[Tensor, "n_edges width width"]:
        """Blocks between the ends of every edge, turned back from the frames.

        Args:
            values: of the edges.
            kind: (n_edges,) pair of elements.
            overlap, initial: irreps of the blocks S and H0 in the frames.
            rotation: (n_edges, width, width) orbitals into the frame.
        """
        hidden = self.gate(self.bond_mix(values))
        free = self.bond_scales.restore(self.bond_out(hidden), kind)
        norm = sum((x * x).sum((1, 2), keepdim=True) for x in overlap)
        assert isinstance(norm, Tensor)
        fading = (norm / (norm + _FADING**2)).sqrt()
        gains = self.pair_gain.index_select(0, kind)[:, None] * fading
        gains = gains.split(self.bond.channels, dim=2)
        factors = (0.02 * self.carried(hidden[0][:, 0])).chunk(2, dim=1)
        alpha, beta = (self.bond.split(f.index_select(1, self.shell_pair)) for f in factors)
        known = zip(alpha, overlap, beta, initial, strict=True)
        rows = [
            x * gain + a * s + b * h
            for x, gain, (a, s, b, h) in zip(free, gains, known, strict=True)
        ]
        return rotation.mT @ self.bond.to_blocks(rows) @ rotation
