"""Trained weights: a safetensors file and a JSON card beside it, verified before they are read.

``NAME.safetensors`` holds tensors and nothing that could run; ``NAME.json``, its card, says what
they are and must match them:

==================  ===========================================================================
key of the card     content
==================  ===========================================================================
``class``           name of the model class
``config``          what the class is built from, an object
``units``           quantity -> unit
``data``            the training data, with its hash
``metrics``         errors on held-out data, by element and size
``domain``          where the model may be used: elements, charges, and ``level``, the level of
                    theory as text or as the labels of ``genmol label`` state it
``licence``         of the weights
``reproduce``       the command that trains them again
``format_version``  of this table; written here
``genmol_version``  of the writer; written here
``sha256``          of the safetensors file; written here
==================  ===========================================================================

Reading takes the bytes once, compares their SHA-256 with the card and only then parses them. The
small models that come with genmol lie in ``genmol/weights`` and are found by name. torch is
imported only where tensors are made: finding weights and reading cards answer at once.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from genmol.core.environment import package_version
from genmol.core.errors import InputError
from genmol.core.files import atomic_path, check_readable, check_writable
from genmol.core.jsonable import dumps
from genmol.core.weight_files import (
    find_weights,
    is_shipped,
    shipped,
    shipped_names,
    weights_and_card,
)

if TYPE_CHECKING:
    from torch import Tensor, nn

__all__ = [
    "FORMAT_VERSION",
    "Card",
    "Weights",
    "check_config",
    "find_weights",
    "load_weights",
    "read_card",
    "restore",
    "save_weights",
    "shipped",
]

Card = dict[str, Any]
"""The JSON object of the table above."""

FORMAT_VERSION: Final = 1
"""Of the cards this version writes; it reads no higher one."""

_STATED = ("class", "config", "units", "data", "metrics", "domain", "licence", "reproduce")
_KINDS: Final[Mapping[str, type]] = MappingProxyType(
    {"class": str, "sha256": str, "config": Mapping, "domain": Mapping}
)
_MEGABYTE = 1e6


@dataclass(frozen=True)
class Weights:
    """Verified weights in memory.

    Attributes:
        card: see the module docstring.
        state: name -> tensor on the CPU, as saved.
        sha256: of the safetensors file.
        path: the file they were read from.
    """

    card: Card
    state: Mapping[str, Tensor]
    sha256: str
    path: Path

    @property
    def name(self) -> str:
        """File name without suffix; for a shipped model the name it is known by."""
        return self.path.stem


def save_weights(
    path: str | os.PathLike[str],
    state: Mapping[str, Tensor],
    card: Mapping[str, Any],
    *,
    limit_mb: float | None = None,
) -> Card:
    """Write ``state`` as NAME.safetensors and ``card`` as NAME.json; return the card as written.

    Both files are complete before the first of them takes its name, so a save that fails leaves the
    old pair. A kill between the two renames leaves a pair that :func:`load_weights` refuses.

    Args:
        path: NAME with or without the suffix ``.safetensors``.
        state: as ``state_dict()`` returns it; tensors that share memory are stored one by one.
        card: every key of the table above that is not written here; JSON values.
        limit_mb: largest allowed size of the safetensors file, 10^6 bytes.

    Raises:
        InputError: an incomplete card, an entry that is no dense tensor of finite numbers, no
            entries, a file above the limit, or a place that cannot be written.
    """
    check_writable(path)
    target, beside = (check_writable(file) for file in weights_and_card(path))
    if faults := _faults(card, _STATED):
        raise InputError(
            got=f"a card for {target} without a usable {', '.join(faults)}",
            wanted=f"the keys {', '.join(_STATED)}; class a name, config and domain objects",
            remedy="state what the weights are, where they hold and how they were made",
        )
    content = _serialise(state, target)
    if limit_mb is not None and len(content) > limit_mb * _MEGABYTE:
        raise InputError(
            got=f"{len(content) / _MEGABYTE:.2f} MB of weights for {target}",
            wanted=f"at most {limit_mb:g} MB",
            remedy="save in float32, leave optimiser and average out, or train a smaller model",
        )
    complete = dict(card) | {
        "format_version": FORMAT_VERSION,
        "genmol_version": package_version("genmol"),
        "sha256": hashlib.sha256(content).hexdigest(),
    }
    text = dumps(complete, indent=2) + "\n"
    with atomic_path(beside) as card_file, atomic_path(target) as weights_file:
        card_file.write_text(text, encoding="utf-8")
        weights_file.write_bytes(content)
    found: Card = json.loads(text)
    return found


def _serialise(state: Mapping[str, Tensor], target: Path) -> bytes:
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import save

    if not state:
        raise _not_a_state(target, "no tensors at all")
    dense = {}
    for name, tensor in state.items():
        if not isinstance(tensor, torch.Tensor):
            raise _not_a_state(target, f"{name!r}, which is a {type(tensor).__name__}")
        if tensor.layout is not torch.strided or tensor.is_meta:
            raise _not_a_state(target, f"{name!r}, which is not a dense tensor")
        if not bool(tensor.isfinite().all()):
            raise _not_a_state(target, f"{name!r}, which holds NaN or infinity")
        dense[name] = tensor.detach().cpu().contiguous().clone()
    try:
        return bytes(save(dense))
    except (SafetensorError, KeyError, TypeError, ValueError) as error:
        raise _not_a_state(target, f"what safetensors cannot hold ({error})") from error


def _not_a_state(target: Path, fault: str) -> InputError:
    return InputError(
        got=f"among the weights for {target}: {fault}",
        wanted="named dense tensors of finite numbers, as state_dict() of a healthy model",
        remedy="save the last good state; put everything else into the card",
    )


def load_weights(
    name_or_path: str | os.PathLike[str], *, expected_class: str | None = None
) -> Weights:
    """Verify and read weights.

    Args:
        name_or_path: as in :func:`find_weights`.
        expected_class: the ``class`` its card must state; None takes any.

    Raises:
        InputError: not found, no card, a card that is damaged or not ours, a newer format, bytes
            that do not match the card, another class, or no safetensors file.
    """
    from safetensors import SafetensorError

    path, card, content = _verified(name_or_path, expected_class)
    from safetensors.torch import load  # after all that can be refused without torch

    try:
        state = load(content)
    except (SafetensorError, KeyError, RuntimeError, TypeError, ValueError) as error:
        raise _damaged(path, f"which safetensors cannot read ({error})") from error
    return Weights(card=card, state=state, sha256=card["sha256"], path=path)


def read_card(name_or_path: str | os.PathLike[str], *, expected_class: str | None = None) -> Card:
    """Return the card after the same checks as :func:`load_weights`, without parsing tensors."""
    return _verified(name_or_path, expected_class)[1]


def _verified(
    name_or_path: str | os.PathLike[str], expected_class: str | None
) -> tuple[Path, Card, bytes]:
    """Return path, card and bytes of weights whose card is ours and matches the bytes."""
    path = check_readable(find_weights(name_or_path))
    card = _parse_card(weights_and_card(path)[1], path)
    content = path.read_bytes()
    if (found := hashlib.sha256(content).hexdigest()) != card["sha256"]:
        stated = card["sha256"]
        raise _damaged(
            path, f"whose SHA-256 is {found[:12]}..., not {stated[:12]}... as its card says"
        )
    if expected_class is not None and card["class"] != expected_class:
        raise InputError(
            got=f"the weights {path} of a {card['class']}",
            wanted=f"weights of a {expected_class}",
            remedy=f"choose others; shipped are {shipped_names()}",
        )
    return path, card, content


def _parse_card(source: Path, weights: Path) -> Card:
    """Return the card in ``source``, of a format this version knows."""
    if not source.exists():
        raise _damaged(weights, f"without its card {source.name}")
    try:
        card = json.loads(check_readable(source).read_bytes())
    except (ValueError, RecursionError) as error:
        raise _damaged(weights, f"whose card {source.name} is not JSON ({error})") from error
    version = card.get("format_version") if isinstance(card, dict) else None
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        raise _damaged(weights, f"whose card {source.name} is not one of genmol")
    if version > FORMAT_VERSION:
        writer = card.get("genmol_version")
        raise InputError(
            got=f"the weights {weights} in format {version}, written by genmol {writer}",
            wanted=f"format {FORMAT_VERSION} or lower",
            remedy="upgrade genmol",
        )
    if faults := _faults(card, (*_STATED, "sha256")):
        raise _damaged(weights, f"whose card {source.name} lacks a usable {', '.join(faults)}")
    return card


def _faults(card: Mapping[str, Any], keys: Sequence[str]) -> list[str]:
    """Return those of ``keys`` that are absent or of the wrong kind."""
    return [k for k in keys if k not in card or not isinstance(card[k], _KINDS.get(k, object))]


def _damaged(path: Path, fault: str) -> InputError:
    return InputError(
        got=f"the weights {path}, {fault}",
        wanted="a pair NAME.safetensors and NAME.json as genmol wrote it",
        remedy="pip install --force-reinstall --no-deps genmol"
        if is_shipped(path)
        else "copy both files from their source again, or repeat the training that wrote them",
    )


def check_config(config: Mapping[str, Any], model: type, *, source: str) -> None:
    """Refuse a card's ``config`` whose keys are not the fields of the dataclass ``model``.

    Args:
        config: the object of the card.
        model: a dataclass type.
        source: whose configuration it is, for the message.

    Raises:
        InputError: unknown keys, which a newer genmol may know; or missing ones.
    """
    known = {field.name: field for field in fields(model)}
    if unknown := sorted(set(config) - set(known)):
        raise InputError(
            got=f"{source} with the unknown settings {', '.join(unknown)}",
            wanted=f"those of a {model.__name__}: {', '.join(known)}",
            remedy="upgrade genmol: a newer version wrote them",
        )
    required = {
        name
        for name, field in known.items()
        if field.default is MISSING and field.default_factory is MISSING
    }
    if missing := sorted(required - set(config)):
        raise InputError(
            got=f"{source} without the settings {', '.join(missing)}",
            wanted=f"those of a {model.__name__}: {', '.join(known)}",
            remedy="copy both files from their source again, or repeat the training",
        )


def restore(module: nn.Module, weights: Weights) -> None:
    """Copy the tensors into ``module``, in the module's precision and on its device.

    Raises:
        InputError: names or shapes differ; the module is then as it was.
    """
    own = {name: tuple(tensor.shape) for name, tensor in module.state_dict().items()}
    theirs = {name: tuple(tensor.shape) for name, tensor in weights.state.items()}
    if differing := sorted(k for k in {*own, *theirs} if own.get(k) != theirs.get(k)):
        listed = "; ".join(
            f"{key}: {theirs.get(key, 'absent')} there, {own.get(key, 'absent')} here"
            for key in differing[:3]
        )
        raise InputError(
            got=f"the weights {weights.path}, {len(differing)} of whose tensors do not fit ({listed})",
            wanted=f"the {len(own)} tensors of {type(module).__name__}",
            remedy="build the model from the configuration in their card, or upgrade genmol",
        )
    module.load_state_dict(dict(weights.state))
