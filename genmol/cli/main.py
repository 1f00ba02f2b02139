"""``genmol VERB ...``: find the verb, parse its dataclass, run it, and turn errors into exit codes.

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
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import genmol
from genmol.core.errors import GenmolError, InputError

__all__ = ["VERBS", "Verb", "main"]


@dataclass(frozen=True)
class Verb:
    """One command: the module that holds its ``Config`` and ``run``, and a line of help."""

    module: str
    help: str


VERBS: Final[dict[str, Verb]] = {
    "scf": Verb("genmol.cli.scf", "solve Kohn-Sham or Hartree-Fock problems, certified"),
    "label": Verb("genmol.cli.label", "compute training labels for many structures, resumable"),
    "sample": Verb("genmol.cli.sample", "draw Boltzmann conformers, or check samples, certified"),
    "train": Verb("genmol.cli.train", "train a model on labels, resumable"),
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
            return _run_verb(name, rest)
    raise AssertionError("a list matches one of the above")


def _usage() -> str:
    width = max(map(len, VERBS))
    verbs = "\n".join(f"  {name:<{width}}  {verb.help}" for name, verb in VERBS.items())
    return (
        "usage: genmol [--help] [--version] VERB ...\n\n"
        "Molecular simulation whose every answer leaves with its certificate.\n\n"
        f"verbs:\n{verbs}\n\n"
        "'genmol VERB --help' lists the options of a verb."
    )


def _run_verb(name: str, arguments: list[str]) -> int:
    if name not in VERBS:
        near = difflib.get_close_matches(name, VERBS, n=1)
        raise InputError(
            got=f"the verb {name!r}",
            wanted=f"one of {', '.join(VERBS)}",
            remedy=f"genmol {near[0]}" if near else "genmol --help",
        )
    import tyro

    module = importlib.import_module(VERBS[name].module)
    try:
        config = tyro.cli(module.Config, prog=f"genmol {name}", args=arguments)
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
