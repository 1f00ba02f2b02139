r"""Whether independent runs tell the same story.

*R-hat* (rank-normalised, of split chains; Vehtari et al., 2021) compares the spread between runs with
that within them, and is the sign of runs that stayed in different places. It grows with every run that
is short, correct or not, so it is a warning: above 1.01 as a note; above 1.1, where runs are not longer
than some autocorrelation times and may hold on to their starts, it leaves the weights uncertain.

*Drift*: with N draws of each of R ≥ 8 runs, the mean of the second half minus that of the first has the
mean zero for stationary chains, and R of them have a Student's t. It sees a burn-in that was too short.

*Two sets*: runs from two kinds of starts, or of two methods, must have the same means. For
populations p the squared error of each set is the larger one of that between its runs and of p(1 −
p)/n_eff, as a state that a set never visits has no spread of its own.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from genmol.boltzmann.draws import Draws
from genmol.boltzmann.findings import Fault, Finding, Part, family, left_out
from genmol.core.certificate import Check
from samplers.diagnostics import rhat
from samplers.identities import Identity

__all__ = ["check_drift", "check_rhat", "check_two_sets"]

_SECTION = "agreement"
_FEWEST_RUNS = 8
_FEWEST_BLOCKS = 6
_DEGREES = 20
"""Of freedom, of an error from an effective number of draws."""
_APART = 1.1
_SEEN = 0.01
"""Share from which on a state of one family is asked for in the other."""


def check_rhat(draws: Draws, observables: Mapping[str, Tensor]) -> Finding:
    """The worst R-hat.

    Args:
        draws: runs; a single one is compared with itself.
        observables: name -> (m,), finite; what never changes is left out.
    """
    moving = {
        name: v.double() for name, v in observables.items() if float(v.amax()) != float(v.amin())
    }
    lengths = draws.filled.sum(dim=1)
    if int(lengths.min()) < 8 or not moving:
        why = "runs of less than 8 draws have no R-hat" if moving else "nothing varied"
        return left_out("R-hat", section=_SECTION, part="note", why=why, status="pass")
    values = rhat(draws.trimmed(torch.stack(list(moving.values()), dim=1)))
    worst = int(values.argmax())
    check = Check.at_most(
        f"largest R-hat, of {list(moving)[worst]}",
        float(values[worst]),
        1.01,
        warn=math.inf,
        advice="single runs have not been everywhere: run longer",
    )
    return Finding(check, "weights" if check.value > _APART else "note", _SECTION)


def check_drift(draws: Draws, observables: Mapping[str, Tensor]) -> Finding | None:
    """Second half of every run against the first; None without runs that could tell.

    Args:
        draws: of equal weight, along chains.
        observables: name -> (m,), finite.
    """
    length = int(draws.filled.sum(dim=1).min())
    if not (draws.equal and draws.independent and draws.runs >= _FEWEST_RUNS and length >= 8):
        return None
    members = []
    for name, values in observables.items():
        series = draws.trimmed(values.double())
        half = length // 2
        change = series[:, -half:].mean(dim=1) - series[:, :half].mean(dim=1)
        error = float(change.std() / math.sqrt(draws.runs))
        members.append(Identity(name, float(change.mean()), 0.0, error, draws.runs - 1))
    return family(
        "second half of the runs against the first",
        members,
        section=_SECTION,
        part="weights",
        draws=draws.count,
        advice="the runs still move in one direction: leave out more of their beginning, or run longer",
    )


def check_two_sets(
    name: str,
    first: Draws,
    second: Draws,
    observables: Sequence[tuple[str, Tensor, Tensor]],
    *,
    section: str = _SECTION,
    part: Part = "weights",
) -> Finding:
    """Means of one set of draws against those of another one, independent of it.

    Args:
        name: of the check.
        first, second: weights and runs.
        observables: name, values of the first set, values of the second; indicators are those with no
            values but 0 and 1, which are left out below 1 % in both.
        section: of the certificate.
        part: what a failure refutes.
    """
    effective = []
    for draws, values in (
        (first, [one for _, one, _ in observables]),
        (second, [two for _, _, two in observables]),
    ):
        varying = [v.double() for v in values if bool((v != v[0]).any())]
        sizes = [draws.kish]
        if varying:
            sizes = draws.effective(torch.stack(varying, dim=1)).tolist()
        effective.append(min(sizes))
    blocks = [d.blocks(n).runs for d, n in zip((first, second), effective, strict=True)]
    degrees = min(b - 1 if b >= _FEWEST_BLOCKS else _DEGREES for b in blocks)
    members = []
    for title, one, two in observables:
        sides = [
            _mean(d, v, n) for d, v, n in ((first, one, effective[0]), (second, two, effective[1]))
        ]
        pooled_values = torch.cat([one, two])
        floor = [0.0, 0.0]
        if bool(((pooled_values == 0) | (pooled_values == 1)).all()):
            if max(mean for mean, _ in sides) < _SEEN:
                continue
            pooled = sum(mean * n for (mean, _), n in zip(sides, effective, strict=True)) / sum(
                effective
            )
            floor = [pooled * (1 - pooled) / max(n, 1.0) for n in effective]
        error = math.sqrt(sum(max(e * e, f) for (_, e), f in zip(sides, floor, strict=True)))
        members.append(Identity(title, sides[0][0] - sides[1][0], 0.0, error, degrees))
    return family(
        name,
        members,
        section=section,
        part=part,
        draws=first.count,
        fault=Fault("a state with 5 % too much or missing", 0.05) if part == "weights" else None,
        advice="the draws differ from those of independent runs: some states are missing or have a wrong "
        "weight; run longer, and from all states",
    )


def _mean(draws: Draws, values: Tensor, effective: float) -> tuple[float, float]:
    """A mean, and its error between blocks of runs; from the effective number where they are few."""
    f = values.double()
    mean = float(draws.mean(f))
    parts = draws.blocks(effective)
    if parts.runs < _FEWEST_BLOCKS:
        return mean, math.sqrt(float(draws.mean((f - mean).square())) / max(effective, 1.0))
    g = torch.where(parts.filled, parts.arrange(draws.weights * (f - mean)), 0.0).sum(dim=1)
    return mean, math.sqrt(float(g.square().sum()) * parts.runs / (parts.runs - 1))
