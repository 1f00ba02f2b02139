"""What a person sees while waiting: messages and progress on stderr, silent in pipes and logs.

Results go to stdout or to files; everything here goes to stderr, so that ``genmol ... > file``
stays clean.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TypeVar

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

__all__ = ["bar", "console", "track"]

Item = TypeVar("Item")


def console() -> Console:
    """Return a console on the present stderr; plain text when that is not a terminal."""
    return Console(stderr=True, highlight=False, soft_wrap=True)


def track(items: Iterable[Item], title: str, *, total: int | None = None) -> Iterator[Item]:
    """Yield ``items`` under a progress bar with the time left; nothing is shown without a terminal.

    Args:
        items: anything that is finished one by one, such as the outcomes of ``parallel_map``.
        title: what is being done, e.g. ``"labelling"``.
        total: how many there will be, if known; without it the bar shows count and time only.
    """
    with bar(MofNCompleteColumn()) as progress:
        yield from progress.track(items, total=total, description=title)


def bar(*columns: ProgressColumn) -> Progress:
    """A progress bar on stderr with the time passed and left, between them ``columns``; to be entered."""
    target = console()
    return Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        *columns,
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        console=target,
        disable=not target.is_terminal,
        transient=True,
    )
