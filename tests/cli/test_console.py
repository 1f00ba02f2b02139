"""Progress passes every item on and stays out of logs."""

import io

import pytest
from rich.console import Console

from genmol.cli import console


def test_nothing_is_shown_without_a_terminal(capsys):
    assert list(console.track(iter("abc"), "labelling")) == ["a", "b", "c"]
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", "")


def test_a_terminal_sees_title_and_count(monkeypatch):
    screen = io.StringIO()
    terminal = Console(file=screen, force_terminal=True, width=120)
    monkeypatch.setattr(console, "console", lambda: terminal)
    assert list(console.track([1, 2, 3], "labelling", total=3)) == [1, 2, 3]
    assert "labelling" in screen.getvalue()
    assert "3/3" in screen.getvalue()


def test_errors_pass_through():
    def items():
        yield 1
        raise KeyError("x")

    with pytest.raises(KeyError):
        list(console.track(items(), "labelling"))
