"""The recipe of a model of the Fock matrix."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from genmol.qc.options import Start
from genmol.train.recipe import Recipe

__all__ = ["FockRecipe"]


@dataclass(frozen=True)
class FockRecipe(Recipe):
    """How a model of the Fock matrix is trained.

    Attributes:
        start: Fock matrix that the network corrects: of the minao density at the cheap level, or of
            superposed atoms with a semilocal functional or with atomic potentials; by default that
            of the weights to start at, else ``semilocal``.
        generator: predict the correction directly, or let it flow from a prior.
        prior: of the flow: Gaussian orthogonal ensemble, or expanded random irreps.
        prior_width: standard deviation of the prior's elements, Hartree.
        loss: weights of its terms; the task's own defaults where left out.
        finetune: what is minimised: ``none``, the loss; ``wa``, its orbital term alone (wavefunction
            alignment) unless ``loss`` says otherwise; ``commutator``, the orbital gradient of the
            predicted density at the cheap level, which needs no labels.
        split: which labels test and validate: auto keeps the parts that a file gives and splits
            the rest by molecule, molecule splits all by molecule, frame splits by frame, for
            a model of one molecule.
        max_labels: train on no more than these many, chosen by the seed.
    """

    start: Start | None = None
    generator: Literal["regression", "flow"] = "regression"
    prior: Literal["goe", "expansion"] = "goe"
    prior_width: float = 0.02
    loss: Mapping[str, float] = field(default_factory=dict)
    finetune: Literal["none", "wa", "commutator"] = "none"
    split: Literal["auto", "molecule", "frame"] = "auto"
    max_labels: int | None = None

    def check(self) -> None:
        """Nothing is zero that divides or counts."""
        self._not_zero("prior_width", "max_labels")
