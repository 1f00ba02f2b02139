"""Where a benchmark keeps what it has measured: one JSON file, rewritten whole after every row.

A run that was killed goes on with ``--resume``. Figures taken under other conditions do not mix:
the record of hardware, versions, threads and structures must be the same.

Where rows do not depend on the hardware, or only each by itself, they may come from several machines.
Then the hardware is no part of the record: the file lists ``machines``, in the order in which they came,
and ``machine`` of every row is the place of its own in that list.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from genmol.core.errors import InputError
from genmol.core.files import check_readable, check_writable, write_json
from genmol.core.jsonable import jsonable

__all__ = ["FORMAT", "Store", "load", "merge"]

FORMAT = 1


class Store:
    """Rows by section and key, on disk as soon as they are added.

    Args:
        path: JSON file.
        benchmark: name of the benchmark.
        record: conditions, plain values.
        scope: ``quick`` or ``full``; a quick file may be resumed as a full one.
        resume: go on with the rows that ``path`` holds.
        machine: that rows are measured on, plain values, where a file may hold rows of several; None
            where the record holds the only one.

    Raises:
        InputError: ``path`` exists and ``resume`` is false, or its record differs.
    """

    def __init__(
        self,
        path: Path,
        *,
        benchmark: str,
        record: Mapping[str, Any],
        scope: str,
        resume: bool,
        machine: Mapping[str, Any] | None = None,
    ) -> None:
        self.path = check_writable(path)
        self.machine = jsonable(machine)
        self.data: dict[str, Any] = {
            "format": FORMAT,
            "benchmark": benchmark,
            "scope": scope,
            "record": jsonable(record),
            **({} if machine is None else {"machines": []}),
            "rows": {},
        }
        if not path.exists():
            return
        if not resume:
            raise InputError(
                got=f"the output {path}, which exists",
                wanted="a new file, so that no measured figure is lost",
                remedy="--resume to go on with it, or another name after --json",
            )
        found = load(path, benchmark=benchmark)
        changed = sorted(
            name
            for name in {*found["record"], *self.data["record"]}
            if found["record"].get(name) != self.data["record"].get(name)
        )
        if changed:
            raise InputError(
                got=f"{path}, measured with other {', '.join(changed)}",
                wanted=f"rows of {'one machine, ' * (machine is None)}one set of versions and the same "
                "options",
                remedy="measure into a new file with --json",
            )
        self.data |= {name: found[name] for name in ("machines", "rows") if name in self.data}

    def rows(self, section: str) -> dict[str, Any]:
        """The rows of ``section`` by key; the object itself, empty at first."""
        rows: dict[str, Any] = self.data["rows"].setdefault(section, {})
        return rows

    def add(self, section: str, key: str, row: Mapping[str, Any]) -> None:
        """Keep a row, replacing one of the same key."""
        own = {} if self.machine is None else {"machine": _place(self.data, self.machine)}
        self.rows(section)[key] = jsonable({**row, **own})
        write_json(self.path, self.data)


def load(path: Path, *, benchmark: str) -> dict[str, Any]:
    """The content of a benchmark file.

    Raises:
        InputError: it is missing, or not a file of this benchmark.
    """
    try:
        data = json.loads(check_readable(path).read_text())
        known = data["format"] == FORMAT and data["benchmark"] == benchmark
        known = known and {"scope", "record", "rows"} <= data.keys()
    except (ValueError, KeyError, TypeError, AttributeError):
        known = False
    if not known:
        raise InputError(
            got=f"{path}, which holds no results of the benchmark {benchmark!r}",
            wanted=f"a file that 'genmol benchmark {benchmark} --json FILE' wrote",
            remedy="check the name, or measure again into a new file",
        )
    return dict(data)


def merge(paths: Sequence[Path], into: Path, *, benchmark: str) -> dict[str, Any]:
    """Join the rows of several files, of one run shared out by section, in a new file.

    Files that list machines may be of different ones.

    Raises:
        InputError: ``into`` exists, conditions or scopes differ, or two files hold the same row.
    """
    if check_writable(into).exists():
        raise InputError(
            got=f"the output {into}, which exists",
            wanted="a new file, so that no measured figure is lost",
            remedy="another name after --json",
        )
    first, *others = (load(path, benchmark=benchmark) for path in paths)
    for path, other in zip(paths[1:], others, strict=True):
        same = other["record"] == first["record"] and other["scope"] == first["scope"]
        twice = [
            f"{section} {key}"
            for section, rows in other["rows"].items()
            for key in rows
            if key in first["rows"].get(section, {})
        ]
        if not same or twice:
            raise InputError(
                got=f"{path}, "
                + (f"which also holds {twice[0]}" if same else "measured under other conditions"),
                wanted="different rows of one run: "
                f"{'one machine, ' * ('machines' not in first)}one set of versions, one scope",
                remedy="share a run out with --only",
            )
        for section, rows in other["rows"].items():
            for row in rows.values() if "machines" in other else ():
                row["machine"] = _place(first, other["machines"][row["machine"]])
            first["rows"].setdefault(section, {}).update(rows)
    write_json(into, first)
    return first


def _place(data: dict[str, Any], machine: object) -> int:
    """The place of ``machine`` in the list of ``data``, at its end if it is new."""
    machines: list[object] = data["machines"]
    if machine not in machines:
        machines.append(machine)
    return machines.index(machine)
