"""What a finished model's card learns from the molecules kept apart: its filter and its intervals."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from genmol.core.weights import Card, load_weights, save_weights
from genmol.scf.calibration import calibrate_model, tune_width
from genmol.scf.examples import FockExample
from genmol.scf.learned import LearnedModel

__all__ = ["calibrated"]

_ENOUGH = 20  # molecules that allow a 95 % interval


def calibrated(
    path: Path, validation: Sequence[FockExample], separate: Sequence[FockExample] = ()
) -> Card:
    """Complete the card of the weights at ``path`` with ``filter`` and ``calibration``.

    ``validation`` chooses the filter's width and how intervals grow with spread and size, ``separate``
    sets the width of the intervals. Where that is too little, all examples are put together and
    halved; where a half is too small as well, all set the width of intervals that do not grow.

    Args:
        path: of the weights.
        validation: molecules, or frames of one, kept apart in training; with none and nothing separate
            the card stays as it is.
        separate: further ones that had no part in training.
    """
    weights = load_weights(path)
    examples = [*validation, *separate]
    if not examples:
        return weights.card
    choosing, setting = list(validation), list(separate)
    if not choosing or _count(setting) < _ENOUGH:
        choosing, setting = _halves(examples)
    model = LearnedModel.load(path)
    width, table = tune_width(model, choosing)
    model = model.damped(width)
    card: dict[str, Any] = {**weights.card, "filter": {"width": width, "tried": table}}
    if _count(setting) >= _ENOUGH:
        card["calibration"] = calibrate_model(model, setting, powers_from=choosing)
    else:
        card["calibration"] = calibrate_model(model, examples)
    return save_weights(path, weights.state, card)


def _count(examples: Sequence[FockExample]) -> int:
    """Molecules, or frames of a single one."""
    sources = {e.source for e in examples}
    return len(sources) if len(sources) > 1 else len(examples)


def _halves(examples: Sequence[FockExample]) -> tuple[list[FockExample], list[FockExample]]:
    """Every other molecule, or frame of a single one."""
    sources = sorted({e.source for e in examples})
    place = [k if len(sources) == 1 else sources.index(e.source) for k, e in enumerate(examples)]
    first, second = (
        [e for e, k in zip(examples, place, strict=True) if k % 2 == half] for half in (0, 1)
    )
    return first, second
