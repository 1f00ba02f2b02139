"""The README runs: Python blocks are executed, shell blocks name what exists."""

import importlib
import json
import re
import shlex
from pathlib import Path

import pytest
import tyro

from genmol.cli.main import VERBS, Tasks

ROOT = Path(__file__).parents[1]
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```", (ROOT / "README.md").read_text("utf-8"), re.M | re.S)
TARGETS = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text("utf-8"), re.M))
OTHER_PROGRAMS = {"git", "pip", "cd"}


def of(language: str) -> list[str]:
    return [block for tag, block in BLOCKS if tag == language]


def commands() -> list[str]:
    lines = "".join(of("bash")).replace("\\\n", " ").splitlines()
    return [command for line in lines if (command := line.partition(" #")[0].strip())]


def check_command(command: str) -> None:
    """Raise if ``command`` names a make target, verb or option that does not exist."""
    program, *arguments = shlex.split(command)
    if program == "make":
        assert set(arguments) <= TARGETS, f"no such target: {command}"
    elif program == "genmol":
        verb, *options = arguments
        if verb in ("--help", "--version"):
            return
        assert verb in VERBS, f"no such verb: {command}"
        entry = VERBS[verb]
        if isinstance(entry, Tasks):
            task, *options = options
            assert task in entry.commands, f"no such task: {command}"
            entry = entry.commands[task]
        config = importlib.import_module(entry.module).Config
        if "--help" not in options:
            tyro.cli(config, args=options)  # exits on an option that does not exist
    else:
        assert program in OTHER_PROGRAMS, f"not a command we know: {command}"


def test_every_block_has_a_known_language_and_json_is_json():
    assert {tag for tag, _ in BLOCKS} <= {"python", "bash", "text", "json"}
    for block in of("json"):
        json.loads(block)


def test_python_blocks_run(tmp_path, monkeypatch):
    blocks = of("python")
    assert blocks
    if (ROOT / "examples").exists():
        (tmp_path / "examples").symlink_to(ROOT / "examples")
    monkeypatch.chdir(tmp_path)
    namespace = {"__name__": "readme"}
    for block in blocks:  # one after another, as a reader would type them
        exec(compile(block, "README.md", "exec"), namespace)


@pytest.mark.parametrize("command", commands())
def test_shell_blocks_name_what_exists(command):
    check_command(command)


def test_the_two_commands_are_there():
    assert {"make demo", "make test"} <= set(commands())


@pytest.mark.parametrize(
    "command",
    ["make nonsense", "genmol nonsense", "genmol doctor --nonsense", "genmol train x", "rm -r /"],
)
def test_the_check_can_fail(command):
    with pytest.raises((AssertionError, SystemExit)):
        check_command(command)


@pytest.mark.parametrize("name", ["scf", "learned", "qhflow", "sample"])
def test_the_measured_tables_are_those_of_the_benchmark_file(name):
    """What `genmol benchmark NAME --table docs/benchmark_NAME.json` prints; README without details."""
    from genmol.benchmark.learned_tables import learned_markdown
    from genmol.benchmark.qhflow_table import qhflow_markdown
    from genmol.benchmark.sample_tables import sample_markdown
    from genmol.benchmark.store import load
    from genmol.benchmark.tables import markdown

    printed = {
        "scf": markdown,
        "learned": learned_markdown,
        "qhflow": qhflow_markdown,
        "sample": sample_markdown,
    }[name]
    data = load(ROOT / "docs" / f"benchmark_{name}.json", benchmark=name)
    assert (ROOT / "docs" / f"benchmark_{name}.md").read_text("utf-8").endswith(printed(data))
    if name != "qhflow":
        text = (ROOT / "README.md").read_text("utf-8")
        begin, end = f"<!-- benchmark {name} -->\n", f"<!-- /benchmark {name} -->"
        assert text.partition(begin)[2].partition(end)[0] == printed(data, details=False)
