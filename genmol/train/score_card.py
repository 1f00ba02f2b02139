"""The card of a score's weights: what they are, and where they hold."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from genmol.boltzmann.score_model import ScoreModelConfig
from genmol.data.ensembles import Ensembles
from genmol.data.frames import Frames
from genmol.train.score_data import ScoreData
from genmol.train.score_recipe import ScoreRecipe

__all__ = ["card_of", "history_of"]


def card_of(
    frames: Frames | Ensembles,
    data: ScoreData,
    config: ScoreModelConfig,
    metrics: Mapping[str, Any],
    recipe: ScoreRecipe,
    identity: Mapping[str, Any],
    *,
    toy: str | None,
    licence: str,
) -> dict[str, Any]:
    """What the weights are, and where they hold.

    Args:
        frames: that they were trained on.
        data: made of them.
        config: of the model.
        metrics: for the card.
        recipe: of the training.
        identity: of the run.
        toy: its name.
        licence: of the weights.
    """
    charges = sorted({member.charge for member in frames.members})
    domain: dict[str, Any] = {
        "elements": sorted(config.stiffness), "charges": charges, "level": frames.level,
        "temperature": frames.temperature, "toy": toy,
    }  # fmt: skip
    if toy is None:
        domain["smiles"] = list(dict.fromkeys(one.smiles for one in data.species))
    if isinstance(frames, Ensembles):
        domain["amortised"] = True
        domain["smiles"] = [s for s in domain["smiles"] if s not in identity["validation"]]
        metrics = {**metrics, "validated_with": identity["validation"]}
    return {
        "class": "ScoreModel",
        "config": config.to_dict(),
        "generator": {"steps": recipe.steps},
        "units": {"positions": "angstrom" if toy is None else "reduced", "metrics": "1"},
        "data": frames.summary(),
        "metrics": metrics,
        "domain": domain,
        "licence": licence,
        "reproduce": _command(frames, toy),
    }  # fmt: skip


def _command(frames: Frames | Ensembles, toy: str | None) -> str:
    """That trains it again, with the recipe at hand."""
    first = frames.members[0]
    law = f"--temperature {first.temperature:g} --units {first.units}"
    if toy is not None:
        law = f"--toy {toy}"
    if isinstance(frames, Ensembles):
        law = f"--molecules many {law}"
    data = " ".join(source for member in frames.members for source in member.sources)
    return f"genmol train score --data {data} {law} --recipe recipe.json --out RUN"


def history_of(
    recipe: ScoreRecipe, identity: Mapping[str, Any], steps: int, minutes: float
) -> dict[str, Any]:
    """How they were trained.

    Args:
        recipe: of the training.
        identity: of the run.
        steps, minutes: of all its parts.
    """
    return {
        "recipe": recipe.to_dict(),
        "started_from": identity["started_from"],
        "steps": steps,
        "minutes": round(minutes, 2),
        "versions": identity["versions"],
    }
