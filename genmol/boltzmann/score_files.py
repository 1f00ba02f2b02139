"""Score models by name or file, and what they may be asked for."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from ase.data import chemical_symbols

from genmol.boltzmann.score_batch import Particles
from genmol.boltzmann.score_model import ScoreModel, ScoreModelConfig
from genmol.boltzmann.score_systems import particles_of_molecule
from genmol.chem.species import Species
from genmol.core.errors import InputError
from genmol.core.weights import load_weights, read_card, restore, shipped

__all__ = ["LoadedScore", "score_for_molecule", "score_for_toy", "shipped_score"]

_STEPS = 200


@dataclass(frozen=True, eq=False)
class LoadedScore:
    """A trained score.

    Attributes:
        name: of the weights.
        model: in evaluation.
        card: of the weights.
    """

    name: str
    model: ScoreModel
    card: Mapping[str, Any]

    @property
    def steps(self) -> int:
        """Of a path: what the card says, else as many as small systems need."""
        return int(self.card.get("generator", {}).get("steps", _STEPS))

    def system(self, species: Species) -> Particles:
        """A molecule as the model sees it."""
        return particles_of_molecule(species, detailed=self.model.config.detailed)

    def warning(self, level: str) -> str | None:
        """What to say where draws are weighed by another potential than the score belongs to.

        Args:
            level: of theory of the potential, as its name says it.
        """
        own = str(self.card["domain"].get("level", "not stated"))
        if own in (level, "not stated"):
            return None
        return (
            f"the model {self.name} was trained at {own}, not {level}: draws are further from the law "
            "for that, and their weights correct it"
        )

    def check_temperature(self, temperature: float) -> None:
        """A score belongs to one temperature.

        Raises:
            InputError: it is of another one.
        """
        own = float(self.card["domain"]["temperature"])
        if abs(own - temperature) > 1e-6 * own:
            raise InputError(
                got=f"the model {self.name}, trained at a temperature of {own:g}, for {temperature:g}",
                wanted="the temperature that it was trained at",
                remedy=f"--temperature {own:g}, or train a model at {temperature:g}",
            )

    @classmethod
    def load(cls, name_or_path: str | os.PathLike[str]) -> LoadedScore:
        """Verify and read.

        Raises:
            InputError: not found, damaged, or no score model.
        """
        weights = load_weights(name_or_path, expected_class="ScoreModel")
        model = ScoreModel(ScoreModelConfig.from_dict(weights.card["config"])).to(torch.float32)
        restore(model, weights)
        return cls(weights.name, model.eval(), weights.card)


def _shipped() -> dict[str, Mapping[str, Any]]:
    """Cards of the score models that come with genmol."""
    cards = {name: read_card(name) for name in shipped()}
    return {name: card for name, card in cards.items() if card["class"] == "ScoreModel"}


def score_for_toy(toy: str, name_or_path: str | os.PathLike[str] | None = None) -> LoadedScore:
    """The model of a toy: the one asked for, or the one that comes with genmol.

    Raises:
        InputError: there is none, or it is of something else.
    """
    if name_or_path is None:
        cards = _shipped()
        fitting = [name for name, card in cards.items() if card["domain"].get("toy") == toy]
        if not fitting:
            known = sorted(
                str(c["domain"]["toy"]) for c in cards.values() if c["domain"].get("toy")
            )
            raise InputError(
                got=f"--method psm for {toy}, for which no model comes with genmol",
                wanted=f"a trained model; there are some for {', '.join(known) or 'no toy'}",
                remedy=f"genmol train score --toy {toy} --data POINTS.npz --out RUN, then --model RUN",
            )
        name_or_path = fitting[0]
    found = LoadedScore.load(name_or_path)
    if (other := found.card["domain"].get("toy")) != toy:
        raise InputError(
            got=f"the model {found.name}, of {other or 'molecules'}, for {toy}",
            wanted=f"a model of {toy}",
            remedy="check --model",
        )
    return found


def score_for_molecule(
    species: Species, name_or_path: str | os.PathLike[str] | None = None
) -> LoadedScore:
    """The model of a molecule: the one asked for, or the one that comes with genmol.

    Raises:
        InputError: there is none, or it does not know the molecule.
    """
    if name_or_path is None:
        fitting = [n for n, card in _shipped().items() if not _strange(species, card)]
        if not fitting:
            raise InputError(
                got=f"--method psm for {species.smiles}, for which no model comes with genmol",
                wanted="a model trained on geometries of it, with forces",
                remedy="genmol train score --data FRAMES.extxyz --out RUN, then --model RUN; or "
                "leave --method away",
            )
        # one of this molecule alone before one of many
        name_or_path = min(fitting, key=lambda n: len(_shipped()[n]["domain"]["smiles"]))
    found = LoadedScore.load(name_or_path)
    if fault := _strange(species, found.card):
        raise InputError(
            got=f"the model {found.name} for {species.smiles}: {fault}",
            wanted="a model of this molecule, or of many with its elements",
            remedy="check --model, or leave --method away",
        )
    return found


def shipped_score(
    what: str | Species, *, temperature: float, level: Mapping[str, Any] | None = None
) -> LoadedScore | None:
    """A model that comes with genmol and was trained on just this; None without one.

    Args:
        what: toy, or molecule.
        temperature: in its unit.
        level: of theory, of a molecule.
    """
    try:
        found = score_for_toy(what) if isinstance(what, str) else score_for_molecule(what)
        found.check_temperature(temperature)
    except InputError:
        return None
    if level is None:
        return found
    same = level.get("method") == found.card["domain"]["level"] and not level.get("solvation")
    return found if same else None


def _strange(species: Species, card: Mapping[str, Any]) -> str:
    """Why a model does not know a molecule; empty where it does."""
    domain = card["domain"]
    if domain.get("toy"):
        return f"it is of the toy {domain['toy']}"
    if domain.get("amortised"):
        if strangers := sorted({*species.numbers.tolist()} - {*domain["elements"]}):
            return f"it knows no {', '.join(chemical_symbols[z] for z in strangers)}"
    elif species.smiles not in domain.get("smiles", []):
        return f"it is of {', '.join(domain.get('smiles', [])[:3])}"
    if species.charge not in domain["charges"]:
        return f"it is of charge {domain['charges']}"
    return ""
