"""The loop of a benchmark whose rows do not depend on each other.

Rows are shared out over processes, and kept as they come. Those that are timed follow, one at a time,
each with the machine for itself.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from genmol.benchmark.store import Store
from genmol.core.parallel import parallel_map

if TYPE_CHECKING:
    from genmol.benchmark.scf import Rows

__all__ = ["measure_rows"]

Section = TypeVar("Section", bound=str)


def measure_rows(
    store: Store,
    tasks: Sequence[tuple[Section, str]],
    *,
    make: Callable[[tuple[Section, str]], dict[str, Any]],
    alone: Callable[[tuple[Section, str]], dict[str, Any]],
    timed: Collection[Section],
    workers: int,
    progress: Callable[[Rows], Rows],
    more: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Measure rows, keep every one, and return the content of the file.

    Args:
        store: where rows go.
        tasks: section and key of each.
        make: a row, importable by name.
        alone: a row that is timed; it may use several processes.
        timed: sections of such rows.
        workers: processes.
        progress: wraps the rows.
        more: fields that every row gets.
    """
    shared = [task for task in tasks if task[0] not in timed]

    def kept(task: tuple[Section, str], row: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
        whole = {**row, **(more or {})}
        store.add(*task, whole)
        return " ".join(task), whole

    def rows() -> Iterator[tuple[str, dict[str, Any]]]:
        for outcome in parallel_map(make, shared, workers=workers):
            yield kept(shared[outcome.index], outcome.unwrap())
        for task in tasks:
            if task[0] in timed:
                yield kept(task, alone(task))

    for _ in progress(rows()):
        pass
    return store.data
