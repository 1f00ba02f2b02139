"""``genmol VERB ...``: find the verb, parse its dataclass, run it, and turn errors into exit codes.

A verb that does several things is followed by the name of one (``genmol train score ...``), found in
a table of its own in the same way.

=====  ========================================================
code   meaning
=====  ========================================================
0      done; the verdict is pass or warn
1      a bug in genmol
2      bad input or bad options
3      a failed certificate, or a run that could not deliver
130    interrupted with Ctrl-C
=====  ========================================================

Nothing heavy is imported here: help, version and a mistyped option answer at once.
"""

from __future__ import annotations

import difflib
import importlib
import os
import sys
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import genmol
from genmol.core.errors import GenmolError, InputError

__all__ = ["VERBS", "Tasks", "Verb", "main"]


@dataclass(frozen=True)
class Verb:
    """One command: the module that holds its ``Config`` and ``run``, and a line of help."""

    module: str
    help: str


@dataclass(frozen=True)
class Tasks:
    """A verb that does several things: the commands by the word that follows, and a line of help."""

    commands: Mapping[str, Verb]
    help: str


_TRAINING: Final = {
    "hamiltonian": Verb("genmol.cli.train_hamiltonian", "Fock matrices, from genmol label"),
    "score": Verb("genmol.cli.train_score", "the Boltzmann law, from geometries with forces"),
}
VERBS: Final[dict[str, Verb | Tasks]] = {
    "scf": Verb("genmol.cli.scf", "solve Kohn-Sham or Hartree-Fock problems, certified"),
    "label": Verb("genmol.cli.label", "compute training labels for many structures, resumable"),
    "sample": Verb("genmol.cli.sample", "draw Boltzmann conformers, or check samples, certified"),
    "train": Tasks(_TRAINING, "train a model, resumable"),
    "benchmark": Verb("genmol.cli.benchmark", "measure against the baselines and print the tables"),
    "doctor": Verb("genmol.cli.doctor", "report versions, hardware and what is missing"),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code; ``arguments`` defaults to ``sys.argv[1:]``."""
    try:
        code = _dispatch(list(sys.argv[1:] if arguments is None else arguments))
        sys.stdout.flush()  # here, where a closed pipe can still be caught
    except GenmolError as error:
        return _complain(str(error), error.exit_code)
    except KeyboardInterrupt:
        return _complain("Interrupted.", 130)
    except BrokenPipeError:
        # The reader (head, less) has left; keep Python's own flush at exit from complaining
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:
        traceback.print_exc()
        text = f"{type(error).__name__}: {error}"
        return _complain(f"This is a bug in genmol ({text}). Please report the lines above.", 1)
    return code


def _dispatch(arguments: list[str]) -> int:
    match arguments:
        case [] | ["-h" | "--help", *_]:
            print(_usage())
            return 0
        case ["--version", *_]:
            print(f"genmol {genmol.__version__}")
            return 0
        case [name, *rest]:
            return _run("genmol", "verb", VERBS, name, rest)
    raise AssertionError("a list matches one of the above")


def _usage() -> str:
    return (
        "usage: genmol [--help] [--version] VERB ...\n\n"
        "Molecular simulation whose every answer leaves with its certificate.\n\n"
        f"verbs:\n{_listed(VERBS)}\n\n"
        "'genmol VERB --help' lists the options of a verb."
    )


def _listed(table: Mapping[str, Verb | Tasks]) -> str:
    width = max(map(len, table))
    return "\n".join(f"  {name:<{width}}  {entry.help}" for name, entry in table.items())


def _run(
    prog: str, kind: str, table: Mapping[str, Verb | Tasks], name: str, arguments: list[str]
) -> int:
    """Run the command ``name`` of a table; ``prog`` is what was typed before it, ``kind`` what it is."""
    if name not in table:
        near = difflib.get_close_matches(name, table, n=1)
        near += [word for word in arguments if word in table]  # options came before it
        raise InputError(
            got=f"the {kind} {name!r}",
            wanted=f"one of {', '.join(table)}",
            remedy=f"{prog} {near[0]}" if near else f"{prog} --help",
        )
    entry, prog = table[name], f"{prog} {name}"
    if isinstance(entry, Verb):
        return _run_verb(prog, entry, arguments)
    match arguments:
        case ["-h" | "--help", *_]:
            print(_usage_of(prog, entry))
            return 0
        case [task, *rest]:
            return _run(prog, "task", entry.commands, task, rest)
    raise InputError(
        got=f"{prog} without a task",
        wanted=f"one of {', '.join(entry.commands)}",
        remedy=f"{prog} --help",
    )


def _usage_of(prog: str, tasks: Tasks) -> str:
    return (
        f"usage: {prog} [--help] TASK ...\n\n"
        f"{tasks.help[:1].upper()}{tasks.help[1:]}.\n\n"
        f"tasks:\n{_listed(tasks.commands)}\n\n"
        f"'{prog} TASK --help' lists the options of a task."
    )


def _run_verb(prog: str, verb: Verb, arguments: list[str]) -> int:
    import tyro

    module = importlib.import_module(verb.module)
    try:
        config = tyro.cli(module.Config, prog=prog, args=arguments)
    except SystemExit as stop:  # tyro has printed the help (0) or the mistake (2) itself
        return stop.code if isinstance(stop.code, int) else 2
    code: int = module.run(config)
    return code


def _complain(message: str, code: int) -> int:
    from rich.text import Text

    from genmol.cli.console import console

    label = "genmol: " if code == 130 else "error: "
    console().print(Text.assemble((label, "bold red"), message))
    return code


if __name__ == "__main__":
    sys.exit(main())
