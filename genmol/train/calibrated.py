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


def calibrated(path: Path, examples: Sequence[FockExample]) -> Card:
    """Complete the card of the weights at ``path`` with ``filter`` and ``calibration``.

    Half of the molecules choose the filter's width and how intervals grow with spread and size, the
    other half sets the width of the intervals. Where a half is too small for that, all set the width
    of intervals that do not grow.

    Args:
        path: of the weights.
        examples: molecules kept apart in training; none leaves the card as it is.
    """
    weights = load_weights(path)
    if not examples:
        return weights.card
    sources = sorted({e.source for e in examples})
    by_frame = len(sources) == 1
    first = [e for k, e in enumerate(examples)
             if (k if by_frame else sources.index(e.source)) % 2 == 0]  # fmt: skip
    second = [e for e in examples if not any(e is other for other in first)]
    model = LearnedModel.load(path)
    width, table = tune_width(model, first)
    model = model.damped(width)
    card: dict[str, Any] = {**weights.card, "filter": {"width": width, "tried": table}}
    if len(second) >= _ENOUGH:
        card["calibration"] = calibrate_model(model, second, powers_from=first)
    else:
        card["calibration"] = calibrate_model(model, examples)
    return save_weights(path, weights.state, card)
