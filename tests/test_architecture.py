"""The rooms of the house: who may import whom, what may be imported where, how long a file is.

The rules are tables; the checker reads syntax trees, so an import inside a function, a relative
import, ``importlib.import_module("...")`` and ``genmol.scf`` reached through ``import genmol`` all
count. The second half of this file feeds it trees that break each rule, to prove it sees them.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

LAYERS = [
    {"core"},
    {"algebra"},
    {"nn"},
    {"backbones"},
    {"heads", "chem", "qc"},
    {"potentials"},
    {"scf", "boltzmann", "generate", "dynamics", "pretrain"},
    {"data", "train", "farm", "interop", "plots"},
    {"report", "benchmark"},
    {"cli", "web", "tour"},
]
LEVEL = {package: level for level, packages in enumerate(LAYERS) for package in packages}
SAME_LAYER = {("train", "data"), ("farm", "data"), ("interop", "data")}

ROOMS = {
    "pyscf": "genmol.qc",
    "gpu4pyscf": "genmol.qc",
    "rdkit": "genmol.chem",
    "torch_scatter": "genmol.core.ops",
    "lightning": "genmol.train",
    "pytorch_lightning": "genmol.train",
    "tensorboard": "genmol.train",
    "dask": "genmol.farm",
    "distributed": "genmol.farm",
    "matplotlib": "genmol.plots",
    "fastapi": "genmol.web",
    "uvicorn": "genmol.web",
}
SAMPLERS_MAY_IMPORT = {"samplers", "torch", "torchdiffeq", "jaxtyping"} | sys.stdlib_module_names

MAX_LINES = 400
LONG_FILES: dict[str, str] = {}  # module -> why it is longer


def read_tree() -> dict[str, str]:
    """Return module name -> source of everything that goes into the wheel."""
    tree = {}
    for path in sorted([*ROOT.glob("genmol/**/*.py"), *ROOT.glob("samplers/**/*.py")]):
        parts = path.relative_to(ROOT).with_suffix("").parts
        tree[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path.read_text("utf-8")
    return tree


def imports(module: str, source: str, packages: set[str]) -> Iterator[str]:
    """Yield the dotted name of everything ``source`` imports, ``from a import b`` as ``a.b``."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Import(names):
                yield from (alias.name for alias in names)
            case ast.ImportFrom(origin, names, level):
                # One dot is the package itself, which for a package's __init__ is its own name
                depth = level - (module in packages)
                parents = module.split(".")[: len(module.split(".")) - depth] if level else []
                base = ".".join([*parents, *([origin] if origin else [])])
                yield from (f"{base}.{alias.name}" for alias in names)
            case ast.Attribute(ast.Name("genmol" | "samplers" as top), attribute):
                yield f"{top}.{attribute}"
            case ast.Call(function, [ast.Constant(str(name)), *_]):
                called = function.attr if isinstance(function, ast.Attribute) else function
                called = called.id if isinstance(called, ast.Name) else called
                if called in ("import_module", "__import__", "import_extra"):
                    yield name


def violations(tree: Mapping[str, str]) -> list[str]:
    """Return every breach of the rules in ``tree`` (module name -> source)."""
    packages = {name.rpartition(".")[0] for name in tree}
    found, edges = [], {}
    for module, source in tree.items():
        names = set(imports(module, source, packages))
        edges[module] = {
            known for name in names if (known := longest_known(name, tree)) and known != module
        }
        found += [breach for name in sorted(names) if (breach := judge(module, name))]
        found += size_and_name(module, source)
    found += [f"{package}: not in the table of layers" for package in unknown_packages(tree)]
    return found + [f"cycle: {' -> '.join(cycle)}" for cycle in [find_cycle(edges)] if cycle]


def judge(module: str, name: str) -> str | None:
    """Return why ``module`` may not import ``name``, or None."""
    top = name.partition(".")[0]
    if module.partition(".")[0] == "samplers":
        return None if top in SAMPLERS_MAY_IMPORT else f"{module}: samplers may not import {name}"
    room = ROOMS.get(top)
    if room and not f"{module}.".startswith(f"{room}."):
        return f"{module}: {top} is at home in {room}"
    here, there = (f"{dotted}..".split(".")[1] for dotted in (module, name))
    if top != "genmol" or there not in LEVEL or here == there:
        return None
    if not here:
        return f"{module}: the root imports {name}"
    if LEVEL.get(here, -1) > LEVEL[there] or (here, there) in SAME_LAYER:
        return None
    return f"{module}: layer of {here} may not import {name}"


def size_and_name(module: str, source: str) -> Iterator[str]:
    lines = len(source.splitlines())
    if lines > MAX_LINES and module not in LONG_FILES:
        yield f"{module}: {lines} lines, and no reason given in LONG_FILES"
    if lines <= MAX_LINES and module in LONG_FILES:
        yield f"{module}: listed in LONG_FILES, yet short"
    if module.rpartition(".")[2] in ("utils", "helpers", "misc", "common"):
        yield f"{module}: name the idea, not the drawer"


def unknown_packages(tree: Mapping[str, str]) -> list[str]:
    names = {module.split(".")[1] for module in tree if module.startswith("genmol.")}
    return sorted(names - LEVEL.keys())


def longest_known(name: str, tree: Mapping[str, str]) -> str | None:
    """Return the module of ``tree`` that an import of ``name`` loads: itself or a parent."""
    while name and name not in tree:
        name = name.rpartition(".")[0]
    return name or None


def find_cycle(edges: Mapping[str, set[str]]) -> list[str]:
    """Return modules that import each other in a ring, or an empty list."""
    done: set[str] = set()

    def visit(module: str, path: list[str]) -> list[str]:
        if module in path:
            return [*path[path.index(module) :], module]
        if module in done:
            return []
        for target in sorted(edges[module]):
            if cycle := visit(target, [*path, module]):
                return cycle
        done.add(module)
        return []

    return next((cycle for module in sorted(edges) if (cycle := visit(module, []))), [])


def test_the_house_is_in_order():
    assert violations(read_tree()) == []


def test_the_walk_sees_the_files():
    tree = read_tree()
    assert {"genmol", "samplers", "genmol.core", "genmol.core.graph"} <= set(tree)
    assert "genmol.core.neighbors.all_pairs" in set(
        imports("genmol.core.graph", tree["genmol.core.graph"], set())
    )


GOOD = {
    "genmol": "import importlib",
    "genmol.core": "",
    "genmol.core.errors": "",
    "genmol.qc": "from . import solve",
    "genmol.qc.solve": "import pyscf\nfrom ..core import errors",
    "genmol.scf": "from genmol.qc import solve\nimport samplers",
    "genmol.data": "",
    "genmol.train": "import lightning\nfrom genmol.data import x",
    "genmol.cli": "def f():\n    import genmol.scf",
    "samplers": "import torch, math",
}


def test_a_clean_tree_passes():
    assert violations(GOOD) == []


@pytest.mark.parametrize(
    ("module", "source", "message"),
    [
        ("genmol.core.graph", "import genmol.qc", "layer of core may not import genmol.qc"),
        ("genmol.core.graph", "from genmol import qc", "layer of core may not import genmol.qc"),
        ("genmol.core.graph", "from .. import qc", "layer of core may not import genmol.qc"),
        ("genmol.qc", "from ..scf import f", "layer of qc may not import genmol.scf.f"),
        ("genmol.core.graph", "def f():\n    import genmol.scf", "may not import genmol.scf"),
        ("genmol.core.graph", "import genmol\ngenmol.scf.solve()", "may not import genmol.scf"),
        ("genmol.core.graph", "import_module('genmol.scf')", "may not import genmol.scf"),
        ("genmol.chem", "import genmol.qc", "layer of chem may not import genmol.qc"),
        ("genmol.data", "import genmol.train", "layer of data may not import genmol.train"),
        ("genmol", "from genmol import scf", "the root imports genmol.scf"),
        ("genmol.scf.certified", "from pyscf import gto", "pyscf is at home in genmol.qc"),
        ("genmol.scf.certified", "def f():\n    import pyscf.dft", "pyscf is at home in genmol.qc"),
        ("genmol.qcd", "import pyscf", "pyscf is at home in genmol.qc"),
        ("genmol.core.graph", "importlib.import_module('rdkit.Chem')", "at home in genmol.chem"),
        ("genmol.nn", "import_extra('torch_scatter', extra='x')", "at home in genmol.core.ops"),
        ("genmol.scf.plot", "import matplotlib.pyplot as plt", "at home in genmol.plots"),
        ("samplers.ode", "import genmol.core", "samplers may not import genmol.core"),
        ("samplers.ode", "import ase", "samplers may not import ase"),
        ("genmol.core.graph", "x = 1\n" * 401, "401 lines"),
        ("genmol.core.utils", "", "name the idea"),
        ("genmol.magic", "", "genmol.magic|magic: not in the table"),
    ],
)
def test_every_rule_is_seen_broken(module, source, message):
    found = violations(GOOD | {module: source})
    assert any(part in breach for part in message.split("|") for breach in found), found


def test_a_ring_of_imports_is_seen():
    ring = {
        "genmol.core.a": "from genmol.core.b import f",
        "genmol.core.b": "def g():\n    from . import c",
        "genmol.core.c": "import genmol.core.a",
    }
    assert violations(GOOD | ring) == [
        "cycle: genmol.core.a -> genmol.core.b -> genmol.core.c -> genmol.core.a"
    ]


def test_a_stale_excuse_is_seen(monkeypatch):
    monkeypatch.setitem(LONG_FILES, "genmol.core.errors", "no longer true")
    assert violations(GOOD) == ["genmol.core.errors: listed in LONG_FILES, yet short"]
