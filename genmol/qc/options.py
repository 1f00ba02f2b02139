"""Names of choices, importable without PySCF so that the command line can show them."""

from __future__ import annotations

from typing import Literal

__all__ = ["GuessChoice", "SpinTreatment", "Start", "StartName"]

SpinTreatment = Literal["auto", "restricted", "unrestricted", "restricted-open"]
StartName = Literal["cheap-scf", "1e", "minao", "atom", "huckel", "sap"]
Start = Literal["minao", "semilocal", "sap"]
"""Fock matrices that learning starts from; see :func:`genmol.qc.orbitals.initial_fock`."""
GuessChoice = Literal["auto", "learned", "cheap-scf", "1e", "minao", "atom", "huckel", "sap"]
