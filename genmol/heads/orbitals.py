"""Matrices over atomic orbitals as blocks of atoms and edges, without a loop over either.

All atoms share one row of *slots*: for every degree as many shells as the richest element has, in
ascending degree. A block between two atoms is a (width, width) matrix over the slots; slots that an
element lacks are zero. Matrices of a batch are padded to the largest molecule. Orbitals of a shell
are ordered m = -l..l in the axes of the network, (y, z, x) of the molecule's: PySCF's order, with p
shells turned from x, y, z to y, z, x.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from genmol.core.errors import InputError

__all__ = ["MatrixLayout", "OrbitalSlots"]

_P_ORDER = (1, 2, 0)  # x, y, z of PySCF -> y, z, x


@dataclass(frozen=True)
class OrbitalSlots:
    """Shells of every element and the slots they share.

    Attributes:
        shells: atomic number -> degree of each contracted shell, ascending, as in PySCF.
    """

    shells: Mapping[int, tuple[int, ...]]

    @cached_property
    def slots(self) -> tuple[int, ...]:
        """Degree of every slot."""
        top = max(max(shells) for shells in self.shells.values())
        count = [max(s.count(l) for s in self.shells.values()) for l in range(top + 1)]
        return tuple(l for l, n in enumerate(count) for _ in range(n))

    @property
    def width(self) -> int:
        """Orbitals in a row of slots."""
        return sum(2 * l + 1 for l in self.slots)

    def size(self, numbers: Sequence[int]) -> int:
        """Orbitals of a molecule."""
        return sum(2 * l + 1 for z in numbers for l in self._of(int(z)))

    def positions(self, number: int) -> list[int]:
        """Where the orbitals of an element lie in the row of slots, in order."""
        start = 0
        first: dict[int, int] = {}
        for l in self.slots:
            first.setdefault(l, start)
            start += 2 * l + 1
        found: list[int] = []
        used = dict.fromkeys(first, 0)
        for l in self._of(number):
            at = first[l] + used[l] * (2 * l + 1)
            found += range(at, at + 2 * l + 1)
            used[l] += 1
        return found

    def order(self, numbers: Sequence[int]) -> Int[np.ndarray, " n_ao"]:
        """Where PySCF has the orbitals of the network's order: M_network = M[order][:, order]."""
        order: list[int] = []
        for z in numbers:
            for l in self._of(int(z)):
                inner = _P_ORDER if l == 1 else range(2 * l + 1)
                start = len(order)
                order += [start + k for k in inner]
        return np.array(order, dtype=np.int64)

    def _of(self, number: int) -> tuple[int, ...]:
        try:
            return self.shells[number]
        except KeyError:
            raise InputError(
                got=f"the element with atomic number {number}",
                wanted=f"elements the model knows: {', '.join(map(str, sorted(self.shells)))}",
                remedy="take an unlearned guess, or train a model with labels of this element",
            ) from None


@dataclass(frozen=True)
class MatrixLayout:
    """Where the blocks of a batch of molecules lie in its padded matrices.

    Attributes:
        orbital: (n_atoms, width) index of every slot's orbital in its molecule, ``size`` if missing.
        graph_index: (n_atoms,) molecule of each atom.
        size: orbitals of the largest molecule.
        mask: (n_graphs, size) True where a molecule has an orbital.
    """

    orbital: Tensor
    graph_index: Tensor
    size: int
    mask: Tensor

    @classmethod
    def of(cls, molecules: Sequence[Sequence[int]], slots: OrbitalSlots) -> MatrixLayout:
        """Layout of molecules with the given atomic numbers."""
        sizes = [slots.size(numbers) for numbers in molecules]
        size, width = max(sizes), slots.width
        positions = {z: slots.positions(z) for z in slots.shells}
        orbital = np.full((sum(map(len, molecules)), width), size, dtype=np.int64)
        graph_index, atom = [], 0
        for graph, numbers in enumerate(molecules):
            start = 0
            for z in numbers:
                where = positions[int(z)]
                orbital[atom, where] = np.arange(start, start + len(where))
                start += len(where)
                atom += 1
            graph_index += [graph] * len(numbers)
        mask = torch.arange(size) < torch.tensor(sizes)[:, None]
        return cls(torch.from_numpy(orbital), torch.tensor(graph_index), size, mask)

    def to(self, device: torch.device | str) -> MatrixLayout:
        """The layout on ``device``."""
        return replace(
            self,
            orbital=self.orbital.to(device),
            graph_index=self.graph_index.to(device),
            mask=self.mask.to(device),
        )

    def _flat(self, left: Tensor, right: Tensor) -> Tensor:
        """(n_blocks, width, width) positions in matrices with one row and column more."""
        n = self.size + 1
        start = self.graph_index[left] * n * n
        return (start[:, None] + self.orbital[left] * n)[:, :, None] + self.orbital[right][:, None]

    def blocks(
        self, matrices: Float[Tensor, "n_graphs size size"], left: Tensor, right: Tensor
    ) -> Float[Tensor, "n_blocks width width"]:
        """Blocks between the atoms ``left`` and ``right``; missing slots are zero."""
        padded = torch.nn.functional.pad(matrices, (0, 1, 0, 1))
        where = self._flat(left, right)
        return padded.reshape(-1).index_select(0, where.reshape(-1)).reshape(where.shape)

    def matrices(
        self, blocks: Float[Tensor, "n_blocks width width"], left: Tensor, right: Tensor
    ) -> Float[Tensor, "n_graphs size size"]:
        """Matrices with these blocks, each pair of atoms at most once, and zeros elsewhere."""
        n = self.size + 1
        flat = blocks.new_zeros(len(self.mask) * n * n)
        flat = flat.scatter(0, self._flat(left, right).reshape(-1), blocks.reshape(-1))
        return flat.reshape(-1, n, n)[:, :-1, :-1]
