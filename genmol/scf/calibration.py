"""What only held-out molecules can tell of a trained model: its filter's width and its intervals.

>>> model = model.damped(tune_width(model, validation)[0])
>>> card["filter"] = {"width": model.width}
>>> card["calibration"] = calibrate_model(model, calibration, powers_from=validation)

The molecules of ``calibration`` must not have been trained on, nor have chosen anything.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from ase import Atoms

from genmol.core.units import HARTREE_TO_EV
from genmol.qc.properties import orbitals_placed
from genmol.scf.certified import mean_field
from genmol.scf.examples import FockExample
from genmol.scf.intervals import calibrate, fit_powers
from genmol.scf.learned import LearnedFock, LearnedModel
from genmol.scf.prediction import orbital_properties
from genmol.scf.settings import Settings

__all__ = ["WIDTHS", "Measured", "calibrate_model", "mean_errors", "measure", "tune_width"]

WIDTHS = (0.0, 1e-3, 2e-3, 5e-3, 1e-2, 2e-2, 5e-2)
"""Values of λ that :func:`tune_width` tries."""


@dataclass(frozen=True, eq=False)
class Measured:
    """A prediction beside the solution.

    Attributes:
        example: the solution.
        answer: the prediction.
        errors: quantity -> predicted minus true, one number or an array; see
            :func:`genmol.scf.prediction.orbital_properties`.
        gradient: orbital gradient of the predicted orbitals in the true Fock matrix (Hartree).
        wrong: a predicted occupied orbital is more empty than occupied.
    """

    example: FockExample
    answer: LearnedFock
    errors: dict[str, Any]
    gradient: float
    wrong: bool


def measure(model: LearnedModel, examples: Sequence[FockExample]) -> list[Measured]:
    """Predict solved molecules and compare."""
    found = []
    for e, answer in zip(examples, model.predict_examples(examples), strict=True):
        settings = Settings(xc="hf", basis=model.level.basis)  # nothing depends on the functional
        mf = mean_field(Atoms(e.numbers, e.positions), settings)
        n = e.n_occupied
        predicted = orbital_properties(
            orbitals_placed(mf, answer.energies, answer.coefficients, n), n
        )
        true = orbital_properties(orbitals_placed(mf, e.energies, e.coefficients, n), n)
        errors = {
            name: np.asarray(predicted[name]) - np.asarray(true[name])
            for name in true
            if true[name] is not None
        }
        gradient, wrong = _judged(e, answer)
        found.append(Measured(e, answer, errors, gradient, wrong))
    return found


def calibrate_model(
    model: LearnedModel,
    examples: Sequence[FockExample],
    *,
    powers_from: Sequence[FockExample] = (),
    coverage: float = 0.95,
) -> dict[str, Any]:
    """The entry ``calibration`` of a card.

    Args:
        model: with the filter it will be used with.
        examples: molecules it was not trained on, at least 19 for 95 %.
        powers_from: others, from which the exponents of spread and size are fitted; without them the
            intervals are as wide for every molecule.
        coverage: share of new molecules whose numbers shall lie in their intervals.

    Returns:
        ``coverage``, ``fock_spread`` and ``n_atoms`` as [smallest, largest] of the examples, and
        ``quantities``: name -> entry of :func:`genmol.scf.intervals.calibrate`.
    """
    found, others = measure(model, examples), measure(model, powers_from)
    sources = [e.source for e in examples]
    molecules = sources if len(set(sources)) > 1 else None  # else of one molecule, frame by frame
    quantities = {}
    for name in found[0].errors:
        powers = (0.0, 0.0)
        if others:
            powers = fit_powers([m.errors[name] for m in others], *_scales(others))
        errors = [m.errors[name] for m in found]
        quantities[name] = calibrate(
            errors, *_scales(found), coverage=coverage, powers=powers, molecules=molecules
        )
    spreads, sizes = _scales(found)
    return {
        "coverage": coverage,
        "fock_spread": [min(spreads), max(spreads)],
        "n_atoms": [min(sizes), max(sizes)],
        "quantities": quantities,
    }


def tune_width(
    model: LearnedModel,
    examples: Sequence[FockExample],
    *,
    widths: Sequence[float] = WIDTHS,
) -> tuple[float, dict[str, dict[str, float]]]:
    """The λ with the smallest mean error of the frontier orbital energies on validation molecules.

    A wrong occupation shows there before anything else, and where there is none, a larger λ makes
    the orbital gradient a little smaller and the empty orbitals worse.

    Returns:
        λ, and for each value tried, as text: ``frontier`` (mean error of HOMO and LUMO, Hartree),
        ``gradient`` (mean, Hartree) and ``wrong`` (share of molecules with a wrong occupation).
    """
    table: dict[str, dict[str, float]] = {}
    for width in widths:
        answers = list(model.damped(width).predict_examples(examples))
        pairs = [_judged(e, answer) for e, answer in zip(examples, answers, strict=True)]
        errors = [_frontier(e, answer) for e, answer in zip(examples, answers, strict=True)]
        table[f"{width:g}"] = {
            "frontier": float(np.mean(errors)),
            "gradient": float(np.mean([norm for norm, _ in pairs])),
            "wrong": float(np.mean([wrong for _, wrong in pairs])),
        }
    best = min(widths, key=lambda width: table[f"{width:g}"]["frontier"])
    return best, table


def _frontier(example: FockExample, answer: LearnedFock) -> float:
    """Mean error of HOMO and LUMO (Hartree), or of the one that exists."""
    n = example.n_occupied
    edges = slice(max(0, n - 1), n + 1)
    return float(np.abs(answer.energies[edges] - example.energies[edges]).mean())


def _judged(example: FockExample, answer: LearnedFock) -> tuple[float, bool]:
    """Orbital gradient in the true Fock matrix, Hartree; whether an occupied orbital is wrong."""
    n, c = example.n_occupied, answer.coefficients
    gradient = float(np.linalg.norm(2 * c[:, n:].T @ example.fock @ c[:, :n]))
    cosines = example.coefficients[:, :n].T @ example.overlap @ c[:, :n]
    kept = np.linalg.svd(cosines, compute_uv=False).min(initial=1.0) ** 2
    return gradient, bool(kept < 0.5)


def _scales(found: Sequence[Measured]) -> tuple[list[float], list[int]]:
    return [m.answer.spread for m in found], [len(m.example.numbers) for m in found]


def mean_errors(found: Sequence[Measured]) -> dict[str, float]:
    """Mean absolute error of each quantity over molecules, for a table; levels in eV."""
    names = found[0].errors if found else {}
    means = {n: float(np.mean([np.mean(np.abs(m.errors[n])) for m in found])) for n in names}
    return {
        name.replace("_hartree", "_ev"): value * (HARTREE_TO_EV if "_hartree" in name else 1.0)
        for name, value in means.items()
    }
