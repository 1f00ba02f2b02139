"""Orbital energies, dipole and charges of a molecule from its predicted Fock matrix, without a solve.

Nothing here is checked against an exact Fock matrix: numbers are marked as predicted, carry intervals
calibrated on molecules that the model had not seen (:mod:`genmol.scf.intervals`), and the
certificate says only what can be known: that the model applies, that the density is one, and that
the prediction looks like those for which the intervals were measured.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple

import numpy as np

from genmol.core.certificate import Certificate, Check
from genmol.core.environment import versions
from genmol.core.errors import InputError
from genmol.qc.properties import orbitals_placed, summary
from genmol.scf.certified import DEFAULTS, mean_field, settings_record
from genmol.scf.intervals import half_width
from genmol.scf.learned import DEFAULT_MODEL, LearnedFock, LearnedModel
from genmol.scf.settings import Settings

__all__ = ["Predicted", "Prediction", "orbital_properties", "predict", "predict_many"]

_GAP = 0.02  # Hartree, as for solved molecules
_SAME_STATE = 0.5  # smallest squared cosine between occupied orbitals predicted and at the start
_WIDER = 3.0  # times the largest spread of the calibration at which trust ends
_UNSUPPORTED = ("forces", "recheck", "stability")


@dataclass(frozen=True)
class Prediction:
    """What the trained model says about one molecule.

    Attributes:
        orbital_energies_hartree: ascending.
        n_occupied: doubly occupied orbitals.
        homo_ev, lumo_ev, gap_ev: frontier levels; the last two None without empty orbitals.
        dipole_debye: vector in the frame of the input.
        dipole_moment_debye: its length.
        mulliken_charges: of each atom, e.
        intervals: quantity -> [low, high], or a list of those; None where the card has no calibration.
        coverage: the share of new molecules whose numbers lie in their intervals.
        learned: model, hash, time of the network (s), domain and spread (Hartree).
        seconds, cpu_seconds: wall and processor time, import and loading of the network included; the
            first molecule of a batch is charged for all of it.
        certificate: what could be checked.
        settings: as for a solve.
    """

    orbital_energies_hartree: tuple[float, ...]
    n_occupied: int
    homo_ev: float
    lumo_ev: float | None
    gap_ev: float | None
    dipole_debye: tuple[float, ...]
    dipole_moment_debye: float
    mulliken_charges: tuple[float, ...]
    intervals: Mapping[str, Any]
    coverage: float | None
    learned: Mapping[str, Any]
    seconds: float
    cpu_seconds: float
    certificate: Certificate
    settings: Mapping[str, Any]

    def to_dict(self) -> dict[str, Any]:
        """JSON-safe dictionary, marked as ``predicted``; no energy was computed."""
        flat = {name: getattr(self, name) for name in self.__dataclass_fields__}
        flat["certificate"] = self.certificate.to_dict()
        nothing = {"energy_hartree": None, "exact_fock_builds": 0}
        return {"predicted": True, **nothing, **flat}


class Predicted(NamedTuple):
    """The mean-field object with predicted orbitals, not converged, and what is said about it."""

    mf: Any
    prediction: Prediction


def predict(problem: Any, settings: Settings = DEFAULTS) -> Predicted:
    """Predict one molecule.

    Args:
        problem: ``ase.Atoms`` (Å), PySCF ``Mole`` or mean-field object, as for
            :func:`genmol.scf.solve`; a mean-field object is not changed.
        settings: level of theory and ``model``.

    Raises:
        InputError: the model does not apply, or settings that only a solve can fulfil.
    """
    (found,) = predict_many([problem], settings)
    return found


def predict_many(problems: Iterable[Any], settings: Settings = DEFAULTS) -> Iterator[Predicted]:
    """:func:`predict` for many molecules, in their order, in batches."""
    if asked := [f"--{name}" for name in _UNSUPPORTED if getattr(settings, name)]:
        raise InputError(
            got=f"{', '.join(asked)} for a prediction",
            wanted="a prediction of orbitals and what follows from them",
            remedy=f"leave {', '.join(asked)} out, or solve it with --mode verified",
        )
    model = LearnedModel.load(settings.model or DEFAULT_MODEL)
    objects: list[Any] = []

    def prepared() -> Iterator[Any]:
        for problem in problems:
            objects.append(mean_field(problem, settings))
            yield objects[-1]

    began = time.perf_counter(), time.process_time()
    for answer in model.predict_many(prepared()):
        mf = orbitals_placed(
            objects.pop(0), answer.energies, answer.coefficients, answer.n_occupied
        )
        yield Predicted(mf, _prediction(mf, answer, model, settings, began))
        began = time.perf_counter(), time.process_time()


def orbital_properties(mf: Any, n_occupied: int) -> dict[str, Any]:
    """The numbers that have intervals, by their name in a card's calibration.

    Args:
        mf: with orbitals by ascending energy, the lowest doubly occupied.
        n_occupied: how many.
    """
    found, energies = summary(mf), np.asarray(mf.mo_energy)
    lumo = found.get("lumo_ev")
    return {
        "orbital_energies_occupied_hartree": energies[:n_occupied],
        "orbital_energies_empty_hartree": energies[n_occupied:],
        "homo_ev": found["homo_ev"],
        "lumo_ev": lumo,
        "gap_ev": None if lumo is None else lumo - found["homo_ev"],
        "dipole_debye": np.array(found["dipole_debye"]),
        "dipole_moment_debye": float(np.linalg.norm(found["dipole_debye"])),
        "mulliken_charges": np.array(found["mulliken_charges"]),
    }


def _prediction(
    mf: Any,
    answer: LearnedFock,
    model: LearnedModel,
    settings: Settings,
    began: tuple[float, float],
) -> Prediction:
    properties = orbital_properties(mf, answer.n_occupied)
    calibration = model.card.get("calibration") or {}
    entries = calibration.get("quantities", {})
    size = mf.mol.natm

    def interval(name: str) -> Any:
        value, entry = properties[name], entries.get(name)
        if value is None or entry is None:
            return None
        width = half_width(entry, answer.spread, size)
        if not math.isfinite(width):
            return None
        bounds = np.stack([np.asarray(value) - width, np.asarray(value) + width], axis=-1)
        if name == "dipole_moment_debye":
            bounds = np.maximum(bounds, 0.0)
        return bounds.tolist()

    intervals = {name: interval(name) for name in properties}
    levels = [intervals.pop(f"orbital_energies_{part}_hartree") for part in ("occupied", "empty")]
    intervals["orbital_energies_hartree"] = None if None in levels else [*levels[0], *levels[1]]
    record = settings_record(settings, mf)
    checks = _checks(mf, answer, model, calibration, calibrated=None not in intervals.values())
    return Prediction(
        orbital_energies_hartree=tuple(answer.energies.tolist()),
        n_occupied=answer.n_occupied,
        homo_ev=properties["homo_ev"],
        lumo_ev=properties["lumo_ev"],
        gap_ev=properties["gap_ev"],
        dipole_debye=tuple(properties["dipole_debye"].tolist()),
        dipole_moment_debye=properties["dipole_moment_debye"],
        mulliken_charges=tuple(properties["mulliken_charges"].tolist()),
        intervals=intervals,
        coverage=calibration.get("coverage"),
        learned={
            "model": model.name,
            "sha256": model.sha256,
            "inference_seconds": answer.seconds.network,
            "initial_seconds": answer.seconds.initial,
            "in_domain": True,
            "fock_spread": answer.spread,
        },
        seconds=time.perf_counter() - began[0],
        cpu_seconds=time.process_time() - began[1],
        certificate=Certificate(tuple(checks), {"versions": _versions(), "settings": record}),
        settings=record,
    )


@cache
def _versions() -> dict[str, Any]:
    return dict(versions("pyscf", "numpy", "torch"))


def _checks(
    mf: Any,
    answer: LearnedFock,
    model: LearnedModel,
    calibration: Mapping[str, Any],
    *,
    calibrated: bool,
) -> list[Check]:
    solve = "solve it: genmol scf without --mode predict"
    electrons = float(np.sum(answer.density * mf.get_ovlp())) - mf.mol.nelectron
    largest = float((calibration.get("fock_spread") or [0.0, math.inf])[1])
    atoms = int((calibration.get("n_atoms") or model.card["data"].get("atoms") or [0, 10**6])[1])
    return [
        Check.holds("inside the model's domain", True, advice=solve),  # refused earlier if not
        Check.at_most("electron count error", abs(electrons), 1e-6, advice=solve),
        Check.at_least("predicted HOMO-LUMO gap (Hartree)", answer.gap, _GAP, warn=1e-4,
                       advice=f"orbitals of a small gap are not reliable; {solve}"),
        Check.at_least("occupied orbitals shared with the start", answer.shared, _SAME_STATE,
                       warn=0.1, advice=f"an orbital may be none of the molecule's; {solve}"),
        Check.at_most("spread of the prediction (Hartree)", answer.spread, largest,
                      warn=_WIDER * largest, advice=f"unlike the calibration molecules; {solve}"),
        Check.at_most("number of atoms", mf.mol.natm, atoms, warn=math.inf,
                      advice=f"larger than the molecules that the intervals were measured on; {solve}"),
        Check.holds("intervals calibrated", calibrated, otherwise="warn",
                    advice="the model's card has no calibration: take the numbers as rough"),
    ]  # fmt: skip
