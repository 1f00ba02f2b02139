"""What all kinds of ``genmol sample`` share: the output folder, the budget, progress, the last lines."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from genmol.core.errors import InputError
from genmol.core.files import check_writable

__all__ = ["CHECKPOINT", "parsed_budget", "prepared", "showing", "spoken"]

CHECKPOINT = "checkpoint"
"""Folder inside the output folder; it is gone when the work is done."""

_UNITS = {
    "s": 1.0, "seconds": 1.0, "min": 60.0, "minutes": 60.0, "h": 3600.0, "hours": 3600.0
}  # fmt: skip


def parsed_budget(text: str | None) -> tuple[int | None, float | None]:
    """Calls and seconds of ``--budget``; one of them at most is set.

    Raises:
        InputError: neither a number of calls nor a time.
    """
    if text is None:
        return None, None
    match = re.fullmatch(r"\s*(\d+\.?\d*(?:e\d+)?)\s*([a-z]*)\s*", text.lower())
    value, unit = (float(match[1]), match[2]) if match else (0.0, "")
    if value > 0 and unit in ("", "calls"):
        return max(1, int(value)), None
    if value > 0 and unit in _UNITS:
        return None, value * _UNITS[unit]
    raise InputError(
        got=f"--budget {text!r}",
        wanted="calls of the potential, such as 20000, or a time, such as 90s, 5min or 1h",
        remedy="leave it out to sample until there are enough effective draws",
    )


def prepared(out: Path, *, resume: bool) -> Path:
    """The output folder, free for this work; it is made with the first checkpoint.

    Raises:
        InputError: a file, a folder of something else, or one of an interrupted run without ``resume``.
    """
    if out.exists() and not out.is_dir():
        raise InputError(
            got=f"{out}, which is a file", wanted="a folder", remedy="choose another --out"
        )
    content = sorted(path.name for path in out.iterdir()) if out.exists() else []
    if content and not resume:
        stopped = CHECKPOINT in content
        what = "of an interrupted run" if stopped else f"with {content[0]} in it"
        raise InputError(
            got=f"the folder {out} {what}",
            wanted="a new or empty one",
            remedy="go on with --resume, or choose another --out"
            if stopped
            else "choose another --out, or remove it",
        )
    if content and CHECKPOINT not in content:
        done = "certificate.json" in content
        raise InputError(
            got=f"--resume with the folder {out}, whose run {'is finished' if done else 'is not there'}",
            wanted="one with a checkpoint",
            remedy="look at its certificate.json, or choose another --out"
            if done
            else "choose another",
        )
    check_writable(out / "certificate.json")
    return out


@contextmanager
def showing(title: str) -> Iterator[Callable[[str, float, float], None]]:
    """A progress bar on stderr: call it with what is going on, seconds passed and seconds left."""
    from rich.progress import TextColumn

    from genmol.cli.console import bar

    with bar(TextColumn("{task.fields[doing]}")) as progress:
        task: Any = progress.add_task(title, total=1000, doing="")

        def show(doing: str, passed: float, left: float) -> None:
            share = passed / max(passed + left, 1e-9)
            progress.update(task, completed=1000 * share, doing=f"{doing}, {spoken(left)} left")

        yield show


def spoken(seconds: float) -> str:
    """About how long."""
    if seconds < 90:
        return f"about {seconds:.0f} s"
    return f"about {seconds / 60:.0f} min" if seconds < 5400 else f"about {seconds / 3600:.1f} h"
