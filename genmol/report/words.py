"""Numbers in words: intervals, counts and times with their units, and no digits that mean nothing."""

from __future__ import annotations

import math

from genmol.boltzmann.intervals import Interval

__all__ = ["count", "duration", "energy", "number", "percent", "quantity"]

_NARROW, _FIRM = "\u202f", "\u00a0"  # no line ends there
_SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def percent(share: Interval) -> str:
    """A share as ``34.2 % (31.0 to 37.5)``, which may be broken before the bracket."""
    value, low, high = (100 * end for end in (share.value, share.low, share.high))
    digits = 2 if value < 0.1 or high - low < 0.2 else 1
    ends = f"({_fixed(low, digits)}{_FIRM}to{_FIRM}{_fixed(high, digits)})"
    return f"{_fixed(value, digits)}{_FIRM}% {ends}"


def energy(found: Interval) -> str:
    """An energy as ``0.45 (0.20 to 0.78)``, without its unit."""
    return quantity(found, 2 if not found.half_width < 0.02 else 3)


def quantity(found: Interval, digits: int = 1) -> str:
    """Any number with its interval."""
    value, low, high = (_fixed(end, digits) for end in (found.value, found.low, found.high))
    return f"{value} ({low}{_FIRM}to{_FIRM}{high})"


def count(n: float) -> str:
    """A whole number in groups of three."""
    return f"{round(n):,}".replace(",", _NARROW) if math.isfinite(n) else _fixed(n, 0)


def number(x: float) -> str:
    """Three significant digits, with a power of ten where it is very small or large."""
    if not math.isfinite(x):
        return _fixed(x, 0)
    if x == round(x) and abs(x) < 1e15:
        return count(x).replace("-", "−")
    if 1e-3 <= abs(x) < 1e3:
        return f"{x:.3g}".replace("-", "−")
    if 1e3 <= abs(x) < 1e6:
        return count(x).replace("-", "−")
    mantissa, exponent = f"{x:.1e}".split("e")
    return f"{mantissa} × 10{str(int(exponent)).translate(_SUPERSCRIPTS)}".replace("-", "−", 1)


def duration(seconds: float) -> str:
    """A time as ``23.7 s``, ``5 min 12 s`` or ``2 h 05 min``."""
    if not math.isfinite(seconds) or seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"


def _fixed(x: float, digits: int) -> str:
    if math.isnan(x):
        return "unknown"
    if math.isinf(x):
        return "∞" if x > 0 else "−∞"
    text = f"{x:.{digits}f}"
    return text.lstrip("-") if not float(text) else text.replace("-", "−")
