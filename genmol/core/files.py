"""Files that are whole or absent.

A result is written to a temporary name beside its target and renamed when complete, so that a
reader, or a run killed at any moment, finds the old file or the new one and never half of one.
Growing logs are JSON lines: one object a line, and a line torn by a kill is dropped when read.
"""

from __future__ import annotations

import json
import os
import secrets
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from genmol.core.errors import InputError
from genmol.core.jsonable import dumps

__all__ = [
    "append_json_line",
    "atomic_path",
    "atomic_write_bytes",
    "atomic_write_text",
    "check_readable",
    "check_writable",
    "read_json_lines",
    "write_json",
]

PathLike = str | os.PathLike[str]


@contextmanager
def atomic_path(path: PathLike) -> Iterator[Path]:
    """Yield a temporary sibling of ``path`` to write to; on success it takes the name ``path``.

    The temporary name keeps the suffix, which some writers look at. Missing folders are made. When
    the body raises, the temporary file goes away and an older ``path`` stays untouched.
    """
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.stem}.{secrets.token_hex(4)}{target.suffix}")
    try:
        yield temporary
        with temporary.open("rb") as handle:
            os.fsync(handle.fileno())
        temporary.replace(target)
        _sync_folder(target.parent)
    finally:
        temporary.unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    """Make a rename survive a power cut; a no-op where folders cannot be opened (Windows)."""
    if os.name == "posix":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def atomic_write_bytes(path: PathLike, content: bytes) -> None:
    """Write ``content`` to ``path``, all or nothing."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)


def atomic_write_text(path: PathLike, content: str) -> None:
    """Write ``content`` to ``path`` as UTF-8, all or nothing."""
    atomic_write_bytes(path, content.encode())


def write_json(path: PathLike, value: object) -> None:
    """Write ``value`` as indented strict JSON (see :mod:`genmol.core.jsonable`), all or nothing."""
    atomic_write_text(path, dumps(value, indent=2) + "\n")


def check_writable(path: PathLike) -> Path:
    """Return ``path`` if a file could be written there, before hours are spent on its content.

    Raises:
        InputError: ``path`` is a folder, or its nearest existing folder takes no new file.
    """
    target = Path(path)
    if target.is_dir():
        raise InputError(
            got=f"the folder {target} as an output file",
            wanted="the name of a file",
            remedy=f"give a file name inside it, such as {target / 'result.json'}",
        )
    folder = next(parent for parent in target.absolute().parents if parent.exists())
    try:
        # Asking the file system beats reading permission bits: read-only mounts, full quotas, root.
        with tempfile.TemporaryFile(dir=folder):
            return target
    except OSError as error:
        raise InputError(
            got=f"the output {target}, but nothing can be written in {folder} ({error.strerror})",
            wanted="a folder with write permission",
            remedy="choose another output folder or change its permissions",
        ) from error


def check_readable(path: PathLike) -> Path:
    """Return ``path`` if it is a file that may be read; raise :class:`InputError` if not."""
    source = Path(path)
    if not source.exists():
        problem = "which does not exist"
    elif source.is_dir():
        problem = "which is a folder"
    elif not os.access(source, os.R_OK):
        problem = "which may not be read"
    else:
        return source
    raise InputError(
        got=f"the input {source}, {problem}",
        wanted="a readable file",
        remedy=f"check its name and permissions; the current folder is {Path.cwd()}",
    )


def append_json_line(path: PathLike, value: object) -> None:
    """Append ``value`` as one JSON line and flush it to disk; a torn last line is mended first.

    One process writes a given file; workers hand their results to it.
    """
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.open("a+b") as handle:
        _mend_last_line(handle)
        handle.write(dumps(value).encode() + b"\n")
        handle.flush()
        os.fsync(handle.fileno())


def _mend_last_line(handle: Any) -> None:
    """End a complete last line with its missing newline; cut an incomplete one off."""
    if (size := handle.seek(0, os.SEEK_END)) == 0:
        return
    handle.seek(size - 1)
    if handle.read(1) == b"\n":
        return
    handle.seek(0)
    content = handle.read()
    start = content.rfind(b"\n") + 1
    try:
        json.loads(content[start:])
    except ValueError:
        handle.truncate(start)
    else:
        handle.write(b"\n")


def read_json_lines(path: PathLike) -> Iterator[Any]:
    """Yield the object of each line; a missing file holds none, a torn last line is ignored.

    Raises:
        InputError: a line before the last is not JSON, so the file is not one of ours.
    """
    source = Path(path)
    if not source.exists():
        return
    lines = source.read_bytes().split(b"\n")
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            entry = json.loads(line)
        except ValueError as error:
            if number == len(lines):  # no newline after it: the writer was killed here
                return
            raise InputError(
                got=f"line {number} of {source}, which is not JSON",
                wanted="one JSON object a line, as genmol wrote it",
                remedy="restore the file, or delete that line to have its item computed again",
            ) from error
        yield entry
