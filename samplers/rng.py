r"""Counter-based random numbers: one stream per chain, so that batching and resuming change nothing.

Every number is a pure function of (seed, chain, step, name, index): Philox4x32-10 (Salmon, Moraes,
Dror and Shaw, 2011) encrypts the counter

    (index // 4, step, hash of the names, chain)

with the seed as its key. There is no state to carry on: a chain draws the same numbers alone and
among a thousand, after a restart, and in any order of the draws.

>>> streams = Streams.of(seed=7, chains=100)
>>> here = streams.at(step)
>>> momentum = here.normal("momentum", 3)      # (100, 3)
>>> here.fold("second move").uniform("accept")  # (100,)

Two draws of one name at one step are the same numbers: give every draw of a step its own name, and
every part of a composed algorithm its own :meth:`Streams.fold`.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Int
from torch import Tensor

__all__ = ["Streams", "philox"]

_MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
_WEYL = (0x9E3779B9, 0xBB67AE85)
_ROUNDS = 10
_MASK = 0xFFFFFFFF


def philox(counter: Int[Tensor, "*shape 4"], key: tuple[int, int]) -> Int[Tensor, "*shape 4"]:
    """Encrypt counters: Philox4x32-10.

    Args:
        counter: words in [0, 2³²), int64.
        key: two words.
    """
    a, b, c, d = counter.unbind(dim=-1)
    k0, k1 = key
    for _ in range(_ROUNDS):
        high0, low0 = _multiply(a, _MULTIPLIERS[0])
        high1, low1 = _multiply(c, _MULTIPLIERS[1])
        a, b, c, d = high1 ^ b ^ k0, low1, high0 ^ d ^ k1, low0
        k0, k1 = (k0 + _WEYL[0]) & _MASK, (k1 + _WEYL[1]) & _MASK
    return torch.stack([a, b, c, d], dim=-1)


def _multiply(a: Tensor, m: int) -> tuple[Tensor, Tensor]:
    """High and low word of a product of two words: int64 holds its 64 bits, the sign is masked away."""
    product = a * m
    return (product >> 32) & _MASK, product & _MASK


@dataclass(frozen=True, eq=False)
class Streams:
    """Streams of random numbers, one for each chain of a batch, at one step.

    Attributes:
        seed: 64 bits.
        chains: (n,) numbers of the chains, unique across the whole run, below 2³².
        step: below 2³².
        path: hash of the names folded in so far.
    """

    seed: int
    chains: Int[Tensor, " n"]
    step: int = 0
    path: int = 0

    @classmethod
    def of(cls, *, seed: int, chains: int, device: torch.device | str = "cpu") -> Streams:
        """Streams of the chains 0, 1, ..., chains − 1."""
        return cls(seed, torch.arange(chains, device=device))

    def at(self, step: int) -> Streams:
        """The same chains at another step."""
        return replace(self, step=step)

    def fold(self, name: str | int) -> Streams:
        """Streams for a part of an algorithm, independent of those of all other parts."""
        return replace(self, path=zlib.crc32(str(name).encode(), self.path) & _MASK)

    def take(self, rows: Tensor | slice) -> Streams:
        """Those of some of the chains."""
        return replace(self, chains=self.chains[rows])

    def uniform(
        self, name: str, *shape: int, dtype: torch.dtype = torch.float64
    ) -> Float[Tensor, "n *shape"]:
        """Uniform in the open interval (0, 1), with 53 random bits."""
        words = self._words(name, 2 * math.prod(shape))
        high, low = words[:, 0::2] >> 5, words[:, 1::2] >> 6
        found = (high.double() * 2.0**26 + low + 0.5) * 2.0**-53
        return found.reshape(len(self.chains), *shape).to(dtype)

    def normal(
        self, name: str, *shape: int, dtype: torch.dtype = torch.float64
    ) -> Float[Tensor, "n *shape"]:
        """Standard normal (Box and Muller, 1958)."""
        count = math.prod(shape)
        u = self.uniform(name, 2 * ((count + 1) // 2))
        radius, angle = (-2 * u[:, 0::2].log()).sqrt(), 2 * math.pi * u[:, 1::2]
        found = torch.stack([radius * angle.cos(), radius * angle.sin()], dim=2).flatten(1)
        return found[:, :count].reshape(len(self.chains), *shape).to(dtype)

    def integers(self, name: str, high: int, *shape: int) -> Int[Tensor, "n *shape"]:
        """Uniform in {0, ..., high − 1}."""
        return (self.uniform(name, *shape) * high).long().clamp_max(high - 1)

    def choice(
        self, name: str, weights: Float[Tensor, "n k"] | Sequence[float]
    ) -> Int[Tensor, " n"]:
        """An index for each chain, with probabilities proportional to ``weights``."""
        w = torch.as_tensor(weights, dtype=torch.float64, device=self.chains.device)
        shares = w.expand(len(self.chains), -1).cumsum(dim=1)
        threshold = self.uniform(name)[:, None] * shares[:, -1:]
        return (shares <= threshold).sum(dim=1).clamp_max(w.shape[-1] - 1)

    def _words(self, name: str, count: int) -> Int[Tensor, "n count"]:
        """Random 32-bit words."""
        blocks = torch.arange((count + 3) // 4, device=self.chains.device)
        path = self.fold(name).path
        counter = torch.stack(
            torch.broadcast_tensors(
                blocks,
                blocks.new_tensor(self.step),
                blocks.new_tensor(path),
                self.chains[:, None],
            ),
            dim=-1,
        )
        words = philox(counter, (self.seed & _MASK, (self.seed >> 32) & _MASK))
        return words.flatten(1)[:, :count]
