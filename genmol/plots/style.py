"""One look for every figure: colours that the colour-blind can tell apart, sizes for 1200 pixels.

Figures are built on ``matplotlib.figure.Figure`` itself, without pyplot and its global state, so that
a library call neither opens a window nor keeps a figure alive.
"""

from __future__ import annotations

import hashlib
import io
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import matplotlib as mpl
from matplotlib.figure import Figure

from genmol.core.errors import InputError
from genmol.core.files import atomic_path

__all__ = ["BLACK", "GREY", "MARKERS", "PALETTE", "png", "save", "styled", "svg"]

PALETTE: Final = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00")
"""Okabe and Ito (2008), without yellow, which fades on white."""
BLACK, GREY = "#1a1a1a", "#8c8c8c"
MARKERS: Final = ("s", "^", "D", "v", "P", "X")
"""Beside the colours, for print in grey."""

_DPI = 100  # a figure 12 inches wide has 1200 pixels
_FORMATS = (".png", ".pdf", ".svg")
_LONG = re.compile(r"(\.\d\d)\d+")  # hundredths of a point are enough
_RC: Any = {  # matplotlib types each key apart
    "font.size": 12,
    "font.family": "DejaVu Sans",
    "axes.titlesize": 13,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.edgecolor": BLACK,
    "axes.labelcolor": BLACK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.9,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e3e3e3",
    "grid.linewidth": 0.8,
    "xtick.color": BLACK,
    "ytick.color": BLACK,
    "legend.frameon": False,
    "legend.fontsize": 11,
    "lines.linewidth": 1.6,
    "lines.markersize": 6,
    "svg.hashsalt": "genmol",  # the same figure is the same file
}


@contextmanager
def styled() -> Iterator[None]:
    """Build figures inside this block."""
    with mpl.rc_context(_RC):
        yield


def save(figure: Figure, path: str | os.PathLike[str]) -> None:
    """Write ``figure`` in the format of the suffix (.png, .pdf, .svg), all or nothing.

    Raises:
        InputError: another suffix.
    """
    with atomic_path(path) as temporary:
        if temporary.suffix.lower() not in _FORMATS:
            raise InputError(
                got=f"the picture {os.fspath(path)}",
                wanted="a name ending in " + ", ".join(_FORMATS),
                remedy="choose one of these formats",
            )
        figure.savefig(temporary, dpi=_DPI)


def png(figure: Figure) -> bytes:
    """The figure as a PNG image, for notebooks and reports."""
    buffer = io.BytesIO()
    figure.savefig(buffer, dpi=_DPI, format="png")
    return buffer.getvalue()


def svg(figure: Figure, *, key: str = "") -> str:
    """The figure as an ``<svg>`` element for the body of a page, as wide as what it stands in.

    Letters are outlines, so that it looks the same everywhere. Nothing is loaded from elsewhere. Ids,
    which a page shares among all of its pictures, begin with a hash of the picture.

    Args:
        figure: to draw.
        key: goes into the hash, to tell two equal figures of one page apart.
    """
    buffer = io.StringIO()
    nothing = {"Date": None, "Creator": None, "Format": None, "Type": None}
    with mpl.rc_context(_RC):
        figure.savefig(buffer, format="svg", metadata=nothing)
    text = buffer.getvalue()
    mark = "f" + hashlib.sha256((key + text).encode()).hexdigest()[:10] + "-"
    text = text[text.index("<svg") :]
    # styles of one picture would hold for the whole page, so those of its root are inherited instead
    text = re.sub(
        r"<metadata>.*?</metadata>|<style.*?</style>|<!--.*?-->", "", text, flags=re.DOTALL
    )
    text = text.replace("<svg ", '<svg style="stroke-linejoin: round; stroke-linecap: butt" ', 1)
    text = text.replace(' xmlns:xlink="http://www.w3.org/1999/xlink"', "").replace("xlink:", "")
    text = re.sub(r"\bid=\"", f'id="{mark}', text)
    text = re.sub(r"(href=\"|url\()#", rf"\1#{mark}", text)
    text = re.sub(r' d="[^"]*"', lambda found: _LONG.sub(r"\1", found[0]), text)
    # a view box alone lets the page choose the size
    return re.sub(r' (?:width|height)="[\d.]+pt"', "", text, count=2).strip() + "\n"
