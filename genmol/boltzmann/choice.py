r"""Which method samples a molecule, by what its potential costs.

The seconds c of a gradient of the potential, and c' of a cheaper one of the same molecule, are measured
at the conformers to begin with. Before n effective draws are there,

- parallel tempering needs about :math:`(G_0 + G n)\,c`,
- delayed acceptance about :math:`(D_0 + D n)\,c + (C_0 + C n)(c' + c_g)`, with :math:`c_g` for the
  correction that the cheaper potential is taught,

with the counts below, measured on small molecules at 300 K (``genmol benchmark sample``). They vary by a
factor of two from molecule to molecule, which matters little: the two differ by a factor of ten wherever
the choice is important. Weighted draws of a trained score, where there is one, need what
:mod:`genmol.boltzmann.score_choice` says. Sequential Monte Carlo is a second opinion, and a learnt
difference (:mod:`genmol.boltzmann.difference`) for potentials that are dear indeed: both are taken when
asked for.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import torch

from genmol.boltzmann.problem import Problem
from genmol.boltzmann.score_choice import Offer, spoken
from genmol.core.errors import InputError
from genmol.potentials.contract import Potential

__all__ = ["Choice", "Method", "choose", "seconds_per_gradient"]

Method = Literal["auto", "tempering", "delayed", "difference", "smc", "psm"]

_TEMPERING = 100_000, 450  # G_0, G
_DEAR = 1500, 6  # D_0, D
_CHEAP = 390_000, 470  # C_0, C
_CORRECTION = 8e-5  # c_g, s
_LESSONS, _WEIGHED = 300, 5  # calls for a difference that is learnt
_ENOUGH = 0.2  # seconds that a measurement should take
_AT_ONCE = 32


@dataclass(frozen=True, kw_only=True)
class Choice:
    """A method and why.

    Attributes:
        method: taken.
        reason: one sentence.
        expected: seconds until the goal, by the counts above.
        cheap: place of the cheaper potential in the list that was offered; None without one.
    """

    method: Literal["tempering", "delayed", "difference", "smc", "psm"]
    reason: str
    expected: float
    cheap: int | None = None


def seconds_per_gradient(problem: Problem, potential: Potential) -> float:
    """What one structure takes, of a batch, by the wall clock; infinite where there is no energy.

    Args:
        problem: whose conformers are computed.
        potential: of the molecule.
    """
    target = replace(problem, potential=potential, confined=False).target()
    x = problem.conformers
    first = target.evaluate(x[:1])  # starts processes, fills caches
    if not bool(first.log_density.isfinite()):
        return math.inf
    began = time.perf_counter()
    target.evaluate(x[:1])
    one = time.perf_counter() - began
    count = int(min(_AT_ONCE, max(1.0, _ENOUGH / max(one, 1e-6))))
    if count == 1:
        return one
    batch = x[torch.arange(count) % len(x)]
    began = time.perf_counter()
    target.evaluate(batch)
    return (time.perf_counter() - began) / count


def choose(
    problem: Problem,
    cheaper: Sequence[Potential],
    *,
    method: Method,
    effective: float,
    offer: Offer | None = None,
) -> Choice:
    """Decide between the methods.

    Args:
        problem: molecule and potential.
        cheaper: potentials of the same molecule that may propose.
        method: asked for; ``auto`` decides by cost.
        effective: draws that are wanted.
        offer: of a trained score.

    Raises:
        InputError: delayed acceptance without a cheaper potential, a difference without two.
    """
    if method == "delayed" and not cheaper:
        raise InputError(
            got=f"delayed acceptance for {problem.potential.name}, which has no cheaper relative",
            wanted="a dear potential, and a cheap one that knows the molecule",
            remedy="leave --method away, or take --potential gfn2",
        )
    if method == "difference" and len(cheaper) < 2:
        raise InputError(
            got=f"a difference to learn for {problem.potential.name}, which has {len(cheaper)} cheaper "
            "relatives",
            wanted="two: one to differ from, and one that proposes for it",
            remedy="take a density functional such as --potential pbe/def2-svp, without --cheap",
        )
    c = seconds_per_gradient(problem, problem.potential)
    price = f"a gradient of {problem.potential.name} takes {spoken(c)}"
    ours = None if offer is None else offer.expected(effective, c)
    chains = _chains(problem, cheaper, method, effective, c, price)
    if method == "psm":
        expected = chains.expected if ours is None else ours
        return Choice(method="psm", reason=f"asked for; {price}", expected=expected)
    if method != "auto" or offer is None or ours is None:
        return chains
    reason = (
        f"{chains.reason}; {spoken(ours)} by draws of {offer.name}, whose paths take "
        f"{spoken(offer.path)} each"
    )
    if ours < chains.expected:
        return Choice(method="psm", reason=reason, expected=ours)
    return replace(chains, reason=reason)


def _chains(
    problem: Problem,
    cheaper: Sequence[Potential],
    method: Method,
    effective: float,
    c: float,
    price: str,
) -> Choice:
    """Without a score."""
    tempering = (_TEMPERING[0] + _TEMPERING[1] * effective) * c
    costs = [seconds_per_gradient(problem, potential) for potential in cheaper]
    delayed = [
        (_DEAR[0] + _DEAR[1] * effective) * c
        + (_CHEAP[0] + _CHEAP[1] * effective) * (other + _CORRECTION)
        for other in costs
    ]
    best = min(range(len(delayed)), key=delayed.__getitem__, default=None)
    if method == "difference":
        calls = _LESSONS + _WEIGHED * effective
        return Choice(method="difference", reason=f"asked for; {price}", expected=calls * c)
    if method == "smc":
        return Choice(method="smc", reason=f"asked for; {price}", expected=tempering)
    if method == "tempering" or best is None:
        why = "asked for" if method == "tempering" else "no cheaper potential to propose"
        took = f": about {spoken(tempering)} for {effective:.0f} effective draws"
        return Choice(method="tempering", reason=f"{why}; {price}{took}", expected=tempering)
    other = cheaper[best].name
    both = (
        f"{price} and one of {other} {spoken(costs[best])}: about {spoken(tempering)} for "
        f"{effective:.0f} effective draws by parallel tempering, {spoken(delayed[best])} by delayed "
        f"acceptance"
    )
    if method == "delayed" or delayed[best] < tempering:
        why = "asked for; " if method == "delayed" else ""
        return Choice(method="delayed", reason=f"{why}{both}", expected=delayed[best], cheap=best)
    return Choice(method="tempering", reason=both, expected=tempering)
