"""Building blocks of a page: everything is text until it says that it is markup.

:class:`Html` is markup; any other text is escaped where it enters a block. So a name such as
``<script>`` shows as it is written, and a block cannot be broken by what stands in it. What comes out is
well-formed XML too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

from genmol.report.look import CSS

__all__ = [
    "Column",
    "Html",
    "details",
    "document",
    "element",
    "facts",
    "figure",
    "joined",
    "numbers",
    "pictures",
    "section",
    "status",
    "table",
]

_MARKS = {"pass": "✓ pass", "warn": "! warn", "fail": "✗ fail"}


class Html(str):
    """Markup, which is not escaped again."""

    __slots__ = ()


@dataclass(frozen=True)
class Column:
    """Of a table.

    Attributes:
        title: heading; in a narrow window it stands before each entry.
        number: whether entries are set to the right.
    """

    title: str
    number: bool = False


def joined(*content: str) -> Html:
    """One after the other, text escaped and markup as it is."""
    return Html("".join(part if isinstance(part, Html) else escape(part) for part in content))


def element(tag: str, *content: str, **attributes: str) -> Html:
    """``<tag>content</tag>``.

    Args:
        tag: name.
        content: text or markup.
        attributes: ``class_`` is ``class``, ``data_label`` is ``data-label``.
    """
    said = "".join(
        f' {name.rstrip("_").replace("_", "-")}="{escape(value)}"'
        for name, value in attributes.items()
    )
    return Html(f"<{tag}{said}>{joined(*content)}</{tag}>")


def section(title: str, *content: str) -> Html:
    """A part of the page with its heading."""
    return element("section", element("h2", title), *content)


def figure(picture: Html, caption: str) -> Html:
    """A picture with a sentence."""
    return element("figure", picture, element("figcaption", caption))


def pictures(figures: Sequence[Html], *, small: bool = False) -> Html:
    """Side by side where there is room."""
    return element("div", *figures, class_="pictures small" if small else "pictures")


def details(summary: str, *content: str) -> Html:
    """What opens when asked for."""
    return element("details", element("summary", summary), *content)


def facts(entries: Mapping[str, str]) -> Html:
    """Names and what they are."""
    pairs = (
        joined(element("dt", name), element("dd", value))
        for name, value in entries.items()
        if value
    )
    return element("dl", *pairs, class_="facts")


def numbers(entries: Sequence[tuple[str, str, str]]) -> Html:
    """Tiles: what, its value, and a line more."""
    tiles = (
        element(
            "div",
            element("div", what, class_="what"),
            element("div", value, class_="value"),
            *([element("div", more, class_="more")] if more else []),
        )
        for what, value, more in entries
    )
    return element("div", *tiles, class_="numbers")


def status(kind: str) -> Html:
    """The outcome of a check by colour, sign and word."""
    return element(
        "span", _MARKS.get(kind, kind), class_=f"status {kind if kind in _MARKS else 'none'}"
    )


def table(
    columns: Sequence[Column],
    rows: Sequence[Sequence[str]],
    *,
    kind: str = "",
    caption: str = "",
    total: bool = False,
) -> Html:
    """A table, whose rows become cards in a narrow window.

    Args:
        columns: headings.
        rows: entries, as many as there are columns.
        kind: class for the look.
        caption: a sentence above it.
        total: whether the last row is a sum.
    """
    head = element(
        "tr",
        *(element("th", c.title, scope="col", class_="n" if c.number else "t") for c in columns),
    )
    last = len(rows) - 1
    body = (
        element("tr", *map(_cell, columns, row), class_="total" if total and i == last else "row")
        for i, row in enumerate(rows)
    )
    parts = [element("caption", caption)] if caption else []
    return element(
        "table", *parts, element("thead", head), element("tbody", *body), class_=kind or "plain"
    )


def _cell(column: Column, entry: str) -> Html:
    inside = [element("span", entry, class_="cell")] if entry else []
    return element("td", *inside, class_="n" if column.number else "t", data_label=column.title)


def document(title: str, *content: str) -> str:
    """The whole file."""
    head = joined(
        Html('<meta charset="utf-8"/>'),
        Html('<meta name="viewport" content="width=device-width, initial-scale=1"/>'),
        element("title", title),
        Html(f"<style>{CSS}</style>"),
    )
    page = element(
        "html", element("head", head), element("body", element("main", *content)), lang="en"
    )
    return f"<!DOCTYPE html>\n{page}\n"
