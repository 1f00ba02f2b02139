"""The rules by which forces and noise are mixed; what they mean is in :mod:`genmol.boltzmann.psm`."""

from typing import Literal, get_args

__all__ = ["RULES", "Rule"]

Rule = Literal["springs", "smooth", "modes", "piecewise", "denoising", "potential"]
RULES: tuple[Rule, ...] = get_args(Rule)
