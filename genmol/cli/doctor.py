"""``genmol doctor``: what is installed, what is missing, and the command that installs it."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from genmol.core.environment import CORE_PACKAGES, hardware, package_version, versions
from genmol.core.errors import InputError
from genmol.core.extras import EXTRAS
from genmol.core.files import check_writable, write_json
from genmol.core.weights import find_weights, read_card, shipped

__all__ = ["Config", "examine", "run"]

IMPORT_NAMES: Final[Mapping[str, str]] = {"pyscf-dispersion": "pyscf.dispersion"}
"""Import names of the distributions whose name is another."""


@dataclass(frozen=True)
class Config:
    """Report versions, hardware, extras, shipped weights and what is missing.

    Exit code 0 when every core package imports and every shipped model matches its card, 3 otherwise.
    """

    json: Path | None = None
    """Write the report to this file as well."""


def run(config: Config) -> int:
    """Print the report; return the exit code."""
    if config.json is not None:
        check_writable(config.json)
    report = examine()
    print(_render(report))
    if config.json is not None:
        write_json(config.json, report)
    damaged = any(found["fault"] for found in report["weights"].values())
    return 3 if report["broken"] or damaged else 0


def examine() -> dict[str, Any]:
    """Return the report as JSON types; it imports every core package, which takes some seconds."""
    broken = {name: fault for name in CORE_PACKAGES if (fault := _import_fault(name))}
    return {
        "versions": versions(*CORE_PACKAGES),
        "broken": broken,
        "hardware": hardware() | {"gpu": _gpu() if "torch" not in broken else None},
        "extras": {
            extra: {name: package_version(name) for name in names}
            for extra, names in EXTRAS.items()
        },
        "weights": _weights(),
    }


def _import_fault(distribution: str) -> str | None:
    """Return why a core package cannot be used, or None."""
    if package_version(distribution) is None:
        return "not installed"
    try:
        importlib.import_module(IMPORT_NAMES.get(distribution, distribution))
    except Exception as error:  # whatever a broken installation raises is the finding
        return f"{type(error).__name__}: {error}"
    return None


def _gpu() -> str | None:
    import torch

    return torch.cuda.get_device_name() if torch.cuda.is_available() else None


def _weights() -> dict[str, dict[str, Any]]:
    """Return name -> what the card states, size and fault of the weights inside the package."""
    return {name: _examine_weights(name) for name in shipped()}


def _examine_weights(name: str) -> dict[str, Any]:
    path = find_weights(name)
    found: dict[str, Any] = {"size_mb": path.stat().st_size / 1e6, "fault": None}
    try:
        card = read_card(name)
    except InputError as error:
        return found | {"fault": str(error)}
    stated = {key: card[key] for key in ("class", "format_version", "licence", "sha256")}
    return found | stated | {"level": _level(card["domain"].get("level"))}


def _level(level: Any) -> str | None:
    """Name a level of theory, given as text or as the labels of ``genmol label`` state it."""
    if isinstance(level, Mapping):
        functional = level.get("functional")
        code = functional.get("code") if isinstance(functional, Mapping) else None
        named = f"{code}/{level.get('basis')}" if code else level.get("potential")
        return str(level.get("method") or named)
    return None if level is None else str(level)


def _render(report: Mapping[str, Any]) -> str:
    broken, machine = report["broken"], report["hardware"]
    lines = ["Packages"]
    for name, version in report["versions"].items():
        lines.append(f"  {name:<18} {broken.get(name, version)}")
    memory = machine["memory_gib"]
    threads = ", ".join(f"{name}={value}" for name, value in machine["threads"].items() if value)
    lines += [
        "Machine",
        f"  system             {machine['system']}",
        f"  processor          {machine['processor']}",
        f"  cores              {machine['cores']}",
        f"  threads            {threads or 'as many as the libraries choose'}",
        f"  memory             {'unknown' if memory is None else f'{memory} GiB'}",
        f"  gpu                {machine['gpu'] or 'none that torch can use'}",
        "Extras",
    ]
    for extra, packages in report["extras"].items():
        missing = [name for name, version in packages.items() if version is None]
        state = f"missing {', '.join(missing)}: pip install 'genmol[{extra}]'"
        lines.append(f"  {extra:<18} {state if missing else 'installed'}")
    lines.append("Weights")
    for name, found in report["weights"].items():
        state = found["fault"] or (
            f"{found['class']}, {found['level'] or 'level of theory not stated'}, "
            f"{found['size_mb']:.2f} MB, sha256 {found['sha256'][:12]}... verified"
        )
        lines.append(f"  {name:<18} {state}")
    if not report["weights"]:
        lines.append("  none are shipped with this version")
    if any(found["fault"] for found in report["weights"].values()):
        lines.append("Weights cannot be used: see above.")
    if broken:
        lines.append(
            f"The core is not usable. Try: pip install --force-reinstall {' '.join(broken)}"
        )
    else:
        lines.append("The core works.")
    return "\n".join(lines)
