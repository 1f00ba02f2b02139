"""Exit codes, one-paragraph errors, and a front door that loads nothing heavy."""

import json
import subprocess
import sys
from dataclasses import dataclass
from types import ModuleType

import pytest

import genmol
from genmol.cli import main as cli
from genmol.core.errors import DeliveryError, InputError

HEAVY = ("torch", "pyscf", "rdkit", "ase", "matplotlib", "scipy", "numpy", "e3nn")

TASKS = cli.VERBS["train"].commands


def in_a_fresh_process(code: str) -> str:
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    return result.stdout.splitlines()[-1]


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["--help"], 0),
        (["--version"], 0),
        ([], 0),
        (["nonsense"], 2),
        *[([verb, "--help"], 0) for verb in cli.VERBS],
        *[([verb, "--nonsense"], 2) for verb in cli.VERBS],
        (["train"], 2),
        *[(["train", task, "--help"], 0) for task in TASKS],
        *[(["train", task, "--nonsense"], 2) for task in TASKS],
    ],
)
def test_the_front_door_loads_nothing_heavy(arguments, code):
    loaded = in_a_fresh_process(
        "import json, sys\n"
        "from genmol.cli.main import main\n"
        f"code = main({arguments!r})\n"
        "print(json.dumps([code, sorted(name for name in sys.modules if '.' not in name)]))"
    )
    got, modules = json.loads(loaded)
    assert got == code
    assert not set(HEAVY) & set(modules)


def test_importing_genmol_imports_no_subpackage():
    code = (
        "import sys, genmol, json\n"
        "print(json.dumps([m for m in sys.modules if m.startswith('genmol')]))"
    )
    assert json.loads(in_a_fresh_process(code)) == ["genmol"]


def test_subpackages_load_on_use():
    assert in_a_fresh_process("import genmol\nprint(genmol.core.__name__)") == "genmol.core"
    assert {"core", "chem", "cli"} <= set(dir(genmol))
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        genmol.nonsense  # noqa: B018


def test_help_lists_every_verb(capsys):
    assert cli.main(["--help"]) == 0
    text = capsys.readouterr().out
    assert all(f"  {name} " in text and verb.help in text for name, verb in cli.VERBS.items())


def test_version(capsys):
    assert cli.main(["--version"]) == 0
    assert capsys.readouterr().out == f"genmol {genmol.__version__}\n"


def test_a_mistyped_verb_gets_a_suggestion(capsys):
    assert cli.main(["docter"]) == 2
    assert "Try: genmol doctor." in capsys.readouterr().err


def test_a_verb_of_several_tasks_names_them(capsys):
    assert cli.main(["train", "--help"]) == 0
    text = capsys.readouterr().out
    assert all(f"  {name} " in text and task.help in text for name, task in TASKS.items())
    assert cli.main(["train"]) == 2
    assert "wanted one of hamiltonian, score. Try: genmol train --help." in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments", [["scores"], ["--data", "x.npz", "score"], ["--out", "run", "score", "--threads"]]
)
def test_a_misplaced_task_gets_a_suggestion(arguments, capsys):
    assert cli.main(["train", *arguments]) == 2
    assert "Try: genmol train score." in capsys.readouterr().err


@pytest.mark.parametrize("task", TASKS)
def test_help_of_a_task_explains_its_own_options_and_the_common_ones(task, capsys):
    assert cli.main(["train", task, "--help"]) == 0
    text = " ".join(capsys.readouterr().out.replace("│", " ").split())
    assert "decoupled, of all weights" in text
    own = {"hamiltonian": "Gaussian orthogonal ensemble", "score": "what the score learns from"}
    assert own[task] in text


@dataclass(frozen=True)
class Config:
    """Raise what is asked for."""

    outcome: str
    """Which one."""


OUTCOMES = {
    "input": InputError(got="[bold]x[/bold]", wanted="y", remedy="z"),
    "delivery": DeliveryError(got="x", wanted="y", remedy="z"),
    "interrupt": KeyboardInterrupt(),
    "bug": ZeroDivisionError("division by zero"),
}


@pytest.fixture
def verb(monkeypatch):
    """A verb 'fake' whose option chooses what happens."""
    module = ModuleType("genmol.cli.fake")

    def run(config: Config) -> int:
        if config.outcome in OUTCOMES:
            raise OUTCOMES[config.outcome]
        sys.stdout.write(f"{config}\n")
        return int(config.outcome)

    module.Config, module.run = Config, run
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setitem(cli.VERBS, "fake", cli.Verb(module.__name__, "raise"))
    return "fake"


@pytest.mark.parametrize(
    ("outcome", "code", "message"),
    [
        ("input", 2, "error: Got [bold]x[/bold]; wanted y. Try: z.\n"),
        ("delivery", 3, "error: Got x; wanted y. Try: z.\n"),
        ("interrupt", 130, "genmol: Interrupted.\n"),
    ],
)
def test_errors_become_one_paragraph_and_a_code(verb, capsys, outcome, code, message):
    assert cli.main([verb, "--outcome", outcome]) == code
    captured = capsys.readouterr()
    assert captured.err == message
    assert captured.out == ""


def test_a_bug_shows_its_traceback(verb, capsys):
    assert cli.main([verb, "--outcome", "bug"]) == 1
    text = capsys.readouterr().err
    assert "Traceback" in text
    assert "This is a bug in genmol (ZeroDivisionError: division by zero)." in text


@pytest.mark.parametrize("code", [0, 3])
def test_the_verbs_own_code_is_passed_on(verb, capsys, code):
    assert cli.main([verb, "--outcome", str(code)]) == code
    assert capsys.readouterr().out == f"Config(outcome='{code}')\n"


@pytest.mark.parametrize("arguments", [["--nonsense", "1"], [], ["--outcome"]])
def test_option_mistakes_are_bad_input(verb, capsys, arguments):
    assert cli.main([verb, *arguments]) == 2
    assert "--outcome" in capsys.readouterr().err or "--nonsense" in str(arguments)


def test_help_of_a_verb_is_its_docstring(verb, capsys):
    assert cli.main([verb, "--help"]) == 0
    text = capsys.readouterr().out
    assert "Raise what is asked for." in text
    assert "Which one." in text


def test_a_closed_pipe_is_no_error():
    code = "import sys; from genmol.cli.main import main; sys.exit(main(['--help']))"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        process.stdout.close()
        stderr = process.stderr.read()
    assert (process.returncode, stderr) == (0, b"")
