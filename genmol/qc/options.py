"""Names of choices, importable without PySCF so that the command line can show them."""

from __future__ import annotations

from typing import Literal

__all__ = ["GuessChoice", "SpinTreatment", "StartName"]

SpinTreatment = Literal["auto", "restricted", "unrestricted", "restricted-open"]
StartName = Literal["cheap-scf", "1e", "minao", "atom", "huckel", "sap"]
GuessChoice = Literal["auto", "learned", "cheap-scf", "1e", "minao", "atom", "huckel", "sap"]
