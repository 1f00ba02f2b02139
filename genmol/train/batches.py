"""Which molecules are trained on, which validate, and in what order they come.

The order is a function of (seed, epoch) and of nothing else: no state is carried from batch to
batch, so a resumed run asks for batch number *n* and gets the one it would have had. Batches of all
epochs form one endless stream; of W processes, process *r* takes numbers r, r + W, r + 2W, ...,
so every molecule is seen exactly once an epoch whatever W is.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence

import numpy as np

from genmol.core.errors import InputError

__all__ = ["BatchStream", "choose", "group_by_size", "keep_apart", "plan_epoch"]

_JITTER = 0.15  # sizes are blurred by 15 %, so that neighbours in size vary between epochs


def keep_apart(
    groups: Sequence[str], *, share: float, seed: int, by: str = "molecule"
) -> tuple[list[int], list[int]]:
    """Split examples into those to train on and those to validate with, by group.

    The choice hangs on the seed and each group's own name alone: more data leave the old ones on
    their side, as long as the rounded number of groups allows.

    Args:
        groups: molecule of each example (or its own name, to split by frame).
        share: of the groups to validate with; at least one if above 0.
        seed: of the choice.
        by: what a group is, for the error.

    Returns:
        Indices to train on and to validate with, both ascending.

    Raises:
        InputError: no example, or a single group, which leaves nothing for one of the sides.
    """
    names = sorted(set(groups), key=lambda name: _rank(seed, name))
    if len(names) < (2 if share > 0 else 1):
        raise InputError(
            got=f"{len(groups)} labels of {len(names)} {by}{'' if len(names) == 1 else 's'} "
            "to train on",
            wanted=f"at least two {by}s, one of them kept apart for validation",
            remedy="label more molecules; for frames of one molecule, use --split frame"
            if by == "molecule" and groups
            else "label more structures",
        )
    count = max(1, round(share * len(names))) if share > 0 else 0
    apart = set(names[:count])
    inside = [index for index, name in enumerate(groups) if name not in apart]
    return inside, [index for index, name in enumerate(groups) if name in apart]


def choose(names: Sequence[str], *, most: int | None, seed: int) -> list[int]:
    """Indices, ascending, of at most ``most`` names; a larger choice contains every smaller one."""
    order = sorted(range(len(names)), key=lambda i: _rank(seed, f"{names[i]} to train on"))
    return sorted(order[:most])


def _rank(seed: int, name: str) -> bytes:
    return hashlib.sha256(f"{seed}:{name}".encode()).digest()


def group_by_size(
    order: Sequence[int], sizes: Sequence[int], *, budget: int, most: int
) -> list[list[int]]:
    """Cut ``order`` into batches of at most ``budget`` total size and ``most`` items.

    An item larger than the budget is a batch of its own.
    """
    batches: list[list[int]] = []
    total = 0
    for index in order:
        if not batches or total + sizes[index] > budget or len(batches[-1]) >= most:
            batches.append([])
            total = 0
        batches[-1].append(int(index))
        total += sizes[index]
    return batches


def plan_epoch(
    sizes: Sequence[int], *, budget: int, most: int, seed: int, epoch: int
) -> list[list[int]]:
    """Batches of similar sizes, in random order, that hold every item exactly once.

    Args:
        sizes: cost of each item, such as its number of atom pairs.
        budget: most total size of a batch.
        most: most items of a batch.
        seed: of the whole run.
        epoch: counted from 0; each has another plan.
    """
    rng = np.random.default_rng([seed, epoch])
    blurred = np.asarray(sizes) * np.exp(rng.uniform(-_JITTER, _JITTER, len(sizes)))
    batches = group_by_size(np.argsort(blurred).tolist(), sizes, budget=budget, most=most)
    return [batches[index] for index in rng.permutation(len(batches))]


class BatchStream:
    """Endless batches of indices, from any step on; a batch sampler for torch's ``DataLoader``.

    Args:
        sizes: cost of each item.
        budget: most total size of a batch.
        most: most items of a batch.
        seed: of the order.
        start: steps done already.
        rank: of this process.
        world: number of processes.
    """

    def __init__(
        self,
        sizes: Sequence[int],
        *,
        budget: int,
        most: int,
        seed: int,
        start: int = 0,
        rank: int = 0,
        world: int = 1,
    ) -> None:
        if not sizes:
            raise ValueError("got no items, wanted at least one")
        self.sizes, self.budget, self.most, self.seed = list(sizes), budget, most, seed
        self.start, self.rank, self.world = start, rank, world

    def plan(self, epoch: int) -> list[list[int]]:
        """All batches of an epoch, of all processes."""
        return plan_epoch(
            self.sizes, budget=self.budget, most=self.most, seed=self.seed, epoch=epoch
        )

    def __iter__(self) -> Iterator[list[int]]:
        wanted = self.start * self.world + self.rank
        first = epoch = 0
        while True:
            plan = self.plan(epoch)
            while wanted < first + len(plan):
                yield plan[wanted - first]
                wanted += self.world
            first += len(plan)
            epoch += 1
