"""Why an xyz file cannot be read, in the words of the line that is wrong.

ASE's reader says what failed inside its parser (``KeyError: 'Xx'``); a user needs the line and what
belongs there. This scan is also quick and light: the first frame passes through it before ASE is
loaded.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from ase.data import atomic_numbers

__all__ = ["find_fault"]


def find_fault(source: Path, *, frames: int | None = None) -> str | None:
    """Return what is wrong in the first bad line, or None if the scan finds nothing.

    Args:
        source: an xyz or extxyz file.
        frames: how many frames to look at; None for all.
    """
    try:
        with source.open(encoding="utf-8") as handle:
            faults = islice(_faults(enumerate(handle, start=1)), frames)
            return next((fault for fault in faults if fault), None)
    except UnicodeDecodeError:
        return "which is not a text file"


def _faults(lines: Iterator[tuple[int, str]]) -> Iterator[str | None]:
    """Yield one fault, or None, per frame."""
    for number, line in lines:
        header = line.strip()
        if not header:
            return  # ASE, too, takes a blank line for the end
        yield _frame_fault(header, number, lines)


def _frame_fault(header: str, number: int, lines: Iterator[tuple[int, str]]) -> str | None:
    if not header.isdecimal():
        return f"line {number}: {header[:40]!r} where the number of atoms belongs"
    body = list(islice(lines, int(header) + 1))
    if len(body) < int(header) + 1:
        found = max(len(body) - 1, 0)
        return f"which announces {header} atoms in line {number} and ends after {found}"
    comment = body[0][1]
    if "Properties=" in comment and "Properties=species:S:1:pos:R:3" not in comment:
        return None  # columns in an order of their own: left to ASE
    return next(
        (f"line {place}: {fault}" for place, line in body[1:] if (fault := _atom_fault(line))), None
    )


def _atom_fault(line: str) -> str | None:
    symbol, *numbers = line.split() or [""]
    if symbol.capitalize() not in atomic_numbers:
        return f"unknown element symbol {symbol!r}"
    if len(numbers) < 3:
        return f"{len(numbers)} numbers after {symbol!r} where three coordinates belong"
    for text in numbers[:3]:
        try:
            float(text)
        except ValueError:
            return f"{text!r} where a coordinate belongs"
    return None
