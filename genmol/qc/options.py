"""Names of choices, importable without PySCF so that the command line can show them."""

from __future__ import annotations

from typing import Literal

__all__ = ["SpinTreatment", "StartName"]

SpinTreatment = Literal["auto", "restricted", "unrestricted", "restricted-open"]
StartName = Literal["cheap", "1e", "minao", "atom", "huckel", "sap"]
