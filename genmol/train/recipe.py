"""The recipe: every number that decides what a training run gives, saved beside its result.

:class:`Recipe` is what all trainings share; each task has its own beside it, such as
:class:`genmol.train.fock_recipe.FockRecipe`.

A recipe and the data repeat a run. To go on with a finished run, repeat its command with the same
``--out`` and a larger ``max_steps`` or ``max_minutes``: the weights, their average, the optimizer and
the order of the data go on where they stopped, and the learning rate takes the value that the longer
schedule has there. Fields that would make another run of it (:data:`CONTINUABLE` has the others) are
refused; start such a run from the weights instead, with ``--from`` and a new ``--out``.
"""

from __future__ import annotations

import dataclasses
import json
import math
import types
import typing
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal, TypeVar

from genmol.core.errors import InputError
from genmol.core.files import check_readable, write_json
from genmol.core.jsonable import jsonable

__all__ = ["CONTINUABLE", "Recipe", "refusal"]

Own = TypeVar("Own", bound="Recipe")

CONTINUABLE: Final = frozenset(
    {
        "learning_rate",
        "floor",
        "clip",
        "max_steps",
        "max_minutes",
        "validate_steps",
        "log_steps",
        "checkpoint_minutes",
    }
)
"""Fields that a run may change when it is resumed."""


@dataclass(frozen=True)
class Recipe(ABC):
    """How a model is trained, whatever it is a model of.

    Attributes:
        model: fields of the network's configuration; its own defaults where left out.
        optimizer: of the weights; Muon orthogonalises the steps of matrices
            (:mod:`genmol.train.muon`).
        learning_rate: highest, after the warm-up.
        floor: last learning rate as a share of the highest.
        warmup_steps: steps in which the learning rate grows from zero.
        weight_decay: decoupled, of all weights.
        clip: largest norm of the gradient; longer ones are scaled down to it.
        ema: decay of the average of the weights, which is validated and exported.
        batch_pairs: most ordered atom pairs in a batch, summed over its structures.
        batch_molecules: most structures in a batch.
        max_steps: steps of the optimizer, if they end the run.
        max_minutes: training time of all resumed parts, if it ends the run; the schedule follows
            whichever limit is nearer.
        clock: what counts as time: that of the wall, or the processor's in the training process,
            for comparisons on a machine that does other things too.
        seed: of weights, noise, order of the data, and choice of validation.
        precision: of weights and gradients.
        validation_share: part of the training molecules or frames kept apart.
        validate_steps: steps between validations.
        log_steps: steps between lines of the log.
        checkpoint_minutes: minutes between checkpoints.
    """

    model: Mapping[str, Any] = field(default_factory=dict)
    optimizer: Literal["muon", "adamw"] = "muon"
    learning_rate: float = 4e-3
    floor: float = 0.01
    warmup_steps: int = 200
    weight_decay: float = 0.0
    clip: float = 1.0
    ema: float = 0.999
    batch_pairs: int = 1200
    batch_molecules: int = 32
    max_steps: int | None = None
    max_minutes: float | None = None
    clock: Literal["wall", "processor"] = "wall"
    seed: int = 0
    precision: Literal["float32", "float64"] = "float32"
    validation_share: float = 0.1
    validate_steps: int = 500
    log_steps: int = 50
    checkpoint_minutes: float = 3.0

    def __post_init__(self) -> None:
        for name, value in dataclasses.asdict(self).items():
            if isinstance(value, bool) or not isinstance(value, int | float):
                continue
            if value < 0 or not math.isfinite(value):
                raise refusal(name, value, "a positive number")
        self._not_zero(
            "learning_rate", "clip", "batch_pairs", "batch_molecules", "validate_steps",
            "log_steps", "max_steps", "max_minutes",
        )  # fmt: skip
        for name, top in {"floor": 1.0, "validation_share": 0.5, "ema": 0.999999}.items():
            if getattr(self, name) > top:
                raise refusal(name, getattr(self, name), f"at most {top}")
        self.check()

    @abstractmethod
    def check(self) -> None:
        """Raise :class:`InputError` for values that the task has no use for; none is negative."""

    def _not_zero(self, *names: str) -> None:
        for name in names:
            if getattr(self, name) == 0:
                raise refusal(name, getattr(self, name), "a positive number")

    def rate(self, step: int, minutes: float = 0.0) -> float:
        """The learning rate of a step: linear warm-up times a cosine to the floor.

        Args:
            step: counted from 0.
            minutes: trained so far.
        """
        shares = [step / self.max_steps if self.max_steps else 0.0]
        shares += [minutes / self.max_minutes if self.max_minutes else 0.0]
        cosine = 0.5 + 0.5 * math.cos(math.pi * min(1.0, max(shares)))
        warm = min(1.0, (step + 1) / self.warmup_steps) if self.warmup_steps else 1.0
        return self.learning_rate * warm * (self.floor + (1 - self.floor) * cosine)

    def changed(self: Own, **options: Any) -> Own:
        """A copy with other values; unknown names are refused."""
        return self.from_dict({**dataclasses.asdict(self), **options}, source="the options")

    def to_dict(self) -> dict[str, Any]:
        """The fields as JSON holds them."""
        return {
            entry.name: jsonable(getattr(self, entry.name)) for entry in dataclasses.fields(self)
        }

    @classmethod
    def from_dict(cls: type[Own], values: object, *, source: str = "the recipe") -> Own:
        """Build a recipe from plain values; what is left out takes its default.

        Raises:
            InputError: no mapping, an unknown name, or a value that its field does not take.
        """
        known = [entry.name for entry in dataclasses.fields(cls)]
        unknown = sorted(set(values) - set(known)) if isinstance(values, Mapping) else ["?"]
        if unknown or not isinstance(values, Mapping):
            raise InputError(
                got=f"{source} with unknown fields: {', '.join(map(str, unknown))}",
                wanted=f"fields of a recipe: {', '.join(known)}",
                remedy="remove or rename them",
            )
        hints = typing.get_type_hints(cls)
        # JSON writes 1.0 as 1 in some hands
        clean: dict[str, Any] = {
            name: float(value) if type(value) is int and _takes_float(hints[name]) else value
            for name, value in values.items()
        }
        for name, value in clean.items():
            if not _fits(value, hints[name]):
                raise refusal(name, value, _spelled(hints[name]))
        return cls(**clean)

    def save(self, path: Path) -> None:
        """Write ``path`` as JSON, all or nothing."""
        write_json(path, self.to_dict())

    @classmethod
    def load(cls: type[Own], path: Path) -> Own:
        """Read the recipe at ``path``."""
        try:
            values = json.loads(check_readable(path).read_text())
        except ValueError as error:
            raise InputError(
                got=f"the recipe {path}, which is not JSON ({error})",
                wanted="a recipe as genmol train wrote it",
                remedy="restore it from the folder of a finished run",
            ) from error
        return cls.from_dict(values, source=f"the recipe {path}")

    def check_continues(self, earlier: Recipe) -> None:
        """Raise :class:`InputError` unless a run of ``earlier`` may go on with this recipe."""
        before, now = earlier.to_dict(), self.to_dict()
        changed = [n for n in now if now[n] != before[n] and n not in CONTINUABLE]
        if changed:
            listed = "; ".join(f"{name} was {before[name]}, is {now[name]}" for name in changed)
            raise InputError(
                got=f"another recipe than that of the run to resume ({listed})",
                wanted=f"changes of {', '.join(sorted(CONTINUABLE))} only",
                remedy="choose another --out, with --from to start at the weights trained so far",
            )


def _options(hint: Any) -> tuple[Any, ...]:
    is_union = typing.get_origin(hint) in (typing.Union, types.UnionType)
    return typing.get_args(hint) if is_union else (hint,)


def _takes_float(hint: Any) -> bool:
    return float in _options(hint)


def _fits(value: Any, hint: Any) -> bool:
    for option in _options(hint):
        if typing.get_origin(option) is Literal:
            fits = value in typing.get_args(option)
        elif typing.get_origin(option) is Mapping:
            fits = isinstance(value, Mapping)
        elif option is float:
            fits = isinstance(value, int | float) and not isinstance(value, bool)
        else:
            fits = type(value) is option
        if fits:
            return True
    return False


def _spelled(hint: Any) -> str:
    words = []
    for option in _options(hint):
        if typing.get_origin(option) is Literal:
            words += [repr(choice) for choice in typing.get_args(option)]
        else:
            words.append("nothing" if option is type(None) else getattr(option, "__name__", "?"))
    return " or ".join(words)


def refusal(name: str, value: Any, wanted: str) -> InputError:
    """The error of a field that does not have the value wanted."""
    return InputError(
        got=f"{name} = {value!r} in the recipe", wanted=wanted, remedy=f"change {name}"
    )
