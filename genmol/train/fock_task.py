"""The task of predicting Fock matrices: network, loss and errors as the recipe wants them."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from functools import partial

import torch
from ase import Atoms
from torch import Tensor

from genmol.core.errors import InputError
from genmol.core.weights import Weights, restore
from genmol.data.hamiltonian import RawLabel
from genmol.heads.orbitals import OrbitalSlots
from genmol.qc.molecule import build_molecule
from genmol.qc.orbitals import shells_of
from genmol.scf.commutator import CheapFocks, CommutatorObjective
from genmol.scf.examples import FockExample
from genmol.scf.fock_batch import FockBatch
from genmol.scf.fock_model import FockModel, FockModelConfig
from genmol.scf.qhflow import Objective, objective
from genmol.train.fit import Examples, in_order
from genmol.train.fock_errors import fock_errors
from genmol.train.fock_recipe import FockRecipe
from genmol.train.module import Task

__all__ = ["fock_task", "sized"]


def fock_task(
    recipe: FockRecipe,
    labels: Sequence[RawLabel],
    weights: Weights | None,
    examples: Sequence[FockExample],
) -> Task:
    """Network, loss and errors.

    Args:
        recipe: its fields ``model``, ``loss``, ``finetune`` and those of the generator.
        labels: whose elements the network is built for, at whose level of theory.
        weights: to start at; None draws them with the recipe's seed.
        examples: to train on; they scale a new network, or one from another starting point.

    Raises:
        InputError: unknown settings of network or loss, or weights that do not fit.
    """
    dtype = getattr(torch, recipe.precision)
    settings = _objective(recipe)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        model = FockModel(_config(recipe, labels)).to(dtype)
    collate = partial(_collate, slots=model.slots, cutoff=model.config.cutoff, dtype=dtype)
    if weights is not None:
        restore(model, weights)
    if weights is None or weights.card["config"]["start"] != recipe.start:
        plan = in_order(sized(examples), recipe)
        model.calibrate(collate([examples[i] for i in batch]) for batch in plan)

    def loss(
        model: FockModel, batch: FockBatch, generator: torch.Generator
    ) -> tuple[Tensor, dict[str, Tensor]]:
        return objective(model, batch, settings, generator)

    return Task(
        model=model,
        objective=_commutator(recipe, labels, examples)
        if recipe.finetune == "commutator"
        else loss,
        evaluate=lambda model, batch: fock_errors(model, batch, settings),
        collate=collate,
    )


def _collate(
    examples: Sequence[FockExample], *, slots: OrbitalSlots, cutoff: float, dtype: torch.dtype
) -> FockBatch:
    return FockBatch.collate(examples, slots, cutoff=cutoff, dtype=dtype)


_TERMS = ("mae", "rmse", "orbital", "mixing", "occupied")
_LABEL_FREE = ("commutator", "consistency")


def _objective(recipe: FockRecipe) -> Objective:
    """The loss with labels; of a recipe without, what it needs to sample."""
    known = _LABEL_FREE if recipe.finetune == "commutator" else _TERMS
    if unknown := sorted(set(recipe.loss) - set(known)):
        raise InputError(
            got=f"the unknown terms of the loss {', '.join(unknown)}",
            wanted=f"some of {', '.join(known)}",
            remedy="correct --loss",
        )
    terms: dict[str, float] = {}
    if recipe.finetune == "wa":
        terms = {name: float(name == "orbital") for name in _TERMS} | dict(recipe.loss)
    elif recipe.finetune == "none":
        terms = dict(recipe.loss)
    return Objective(prior=recipe.prior, sigma=recipe.prior_width, **terms)


def _commutator(
    recipe: FockRecipe, labels: Sequence[RawLabel], examples: Sequence[FockExample]
) -> CommutatorObjective:
    levels = CheapFocks(examples, xc=labels[0].xc, basis=labels[0].level.basis)
    objective = CommutatorObjective(levels, prior=recipe.prior, sigma=recipe.prior_width)
    return dataclasses.replace(objective, **dict(recipe.loss))  # type: ignore[arg-type]


def _config(recipe: FockRecipe, labels: Sequence[RawLabel]) -> FockModelConfig:
    fields = {entry.name: entry.default for entry in dataclasses.fields(FockModelConfig)}
    own = {"start": recipe.start, "flow": recipe.generator == "flow"}
    if unknown := sorted(set(recipe.model) - (fields.keys() - own.keys())):
        raise InputError(
            got=f"the unknown settings of the network {', '.join(unknown)}",
            wanted=f"some of {', '.join(sorted(fields.keys() - own.keys()))}",
            remedy="correct --model",
        )
    shells = {"shells": _shells(labels)} if "shells" not in recipe.model else {}
    return FockModelConfig.from_dict({**fields, **recipe.model, **shells, **own})


def _shells(labels: Sequence[RawLabel]) -> dict[int, tuple[int, ...]]:
    """Degrees of the shells of every element in the labels."""
    found: dict[int, tuple[int, ...]] = {}
    for label in labels:
        if set(label.numbers.tolist()) - found.keys():
            mol = build_molecule(
                Atoms(label.numbers, label.positions),
                basis=label.level.basis,
                charge=label.charge,
                multiplicity=1,
            )
            found |= shells_of(mol)
    return dict(sorted(found.items()))


def sized(examples: Sequence[FockExample]) -> Examples:
    """Examples with their numbers of ordered atom pairs, as the recipe's budget counts them."""
    return Examples(examples, [e.name for e in examples], [len(e.numbers) ** 2 for e in examples])
