"""A score of a toy that is trained without data: what it has cost, and what its paths are worth.

The training is ``genmol train score --toy NAME --rounds 6`` with its defaults but for the steps of a
path, for the minutes of the plan. Its calls, all energies and gradients from the first chain on, stand
beside the effective draws that tuned Hamiltonian Monte Carlo makes of as many after its burn-in. An
effective draw of the score costs the inverse of the effective share of its paths; after so many as
``break_even`` the training has paid for itself, never where that is no cheaper than the chains.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Mapping
from typing import Any, Final

from genmol.benchmark.sample_toys import cost_row

__all__ = ["loop_row"]

_ROUNDS: Final = 6


def loop_row(
    name: str,
    *,
    minutes: float,
    steps: int,
    seed: int = 0,
    options: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """One training without data.

    Args:
        name: of the toy.
        minutes: of the processor.
        steps: of a path.
        seed: of everything.
        options: further fields of the recipe.
    """
    from genmol.train.loop_recipe import LoopRecipe
    from genmol.train.loop_subject import Subject
    from genmol.train.score_loop import train_loop

    settings = {"rounds": _ROUNDS, "steps": steps, "seed": seed, **(options or {})}
    recipe = LoopRecipe(max_minutes=minutes, clock="processor", **settings)
    with tempfile.TemporaryDirectory() as folder:
        subject = Subject.of_toy(name, seed=seed)
        card = train_loop(subject, recipe, folder, device="cpu").card
    loop, paths = card["training"]["loop"], card["metrics"]["paths"]
    calls, share = loop["energies"] + loop["gradients"], float(paths["effective_share"])
    chains = cost_row(name, gradients=calls, seed=seed)["genmol"]
    gain = float(chains["gradients_per_effective"]) - (1 / share if share else math.inf)
    return {
        "minutes": card["training"]["minutes"],
        "steps": card["training"]["steps"],
        "energies": loop["energies"],
        "gradients": loop["gradients"],
        "calls": calls,
        "effective_share": share,
        "pareto_k": float(paths["pareto_k"]),
        "shares": [row["effective_share"] for row in loop["rounds"] if "paths" in row],
        "rounds": loop["rounds"],
        "chains": chains,
        "chains_effective": calls / float(chains["gradients_per_effective"]),
        "break_even": calls / gain if gain > 0 else math.inf,
    }
