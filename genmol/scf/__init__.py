"""Job 1: solve Kohn-Sham and Hartree-Fock problems in about two exact Fock builds, with a certificate."""

from __future__ import annotations

from importlib import import_module
from typing import Any

_HOME = {
    "LearnedModel": "genmol.scf.learned",
    "Predicted": "genmol.scf.prediction",
    "Prediction": "genmol.scf.prediction",
    "Report": "genmol.scf.report",
    "Settings": "genmol.scf.settings",
    "Solved": "genmol.scf.certified",
    "guess": "genmol.qc.guess",
    "predict": "genmol.scf.prediction",
    "predict_many": "genmol.scf.prediction",
    "solve": "genmol.scf.certified",
}
__all__ = [
    "LearnedModel",
    "Predicted",
    "Prediction",
    "Report",
    "Settings",
    "Solved",
    "guess",
    "predict",
    "predict_many",
    "solve",
]


def __getattr__(name: str) -> Any:
    if name in _HOME:  # PySCF is imported when it is needed, not with the package
        value = getattr(import_module(_HOME[name]), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
