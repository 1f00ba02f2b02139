r"""Whether the weights of a set can be trusted.

Weights :math:`w = \pi/q` make draws of q speak for π. Their effective size (Kish, 1965) cannot see what
q misses, so it is held against the tail: the Pareto shape k of the largest weights (Vehtari et al.,
2024) must be below 0.7, the largest weight must not rule, and every listed state must have an effective
size of its own.

*Clipped weights* have ties at the top: two draws of a continuous law have equal weights with probability
zero, unless they are copies, or the weights are small whole numbers, which count copies. Where the
log-density of q is given, the weights are computed again, and the total variation

.. math:: \tfrac12 \sum_i |\bar w_i - \bar w_i^\text{true}|

says how much was changed. An unweighted set passes: it has nothing to clip.
"""

from __future__ import annotations

import math

from jaxtyping import Float, Int
from torch import Tensor

from genmol.boltzmann.draws import Draws
from genmol.boltzmann.findings import Finding, Part
from genmol.boltzmann.observables import LISTED
from genmol.core.certificate import Check
from samplers.pareto import fit_tail
from samplers.reweight import kish

__all__ = ["check_weights", "clipped", "recomputed"]

_SECTION = "weights"
_FEWEST = 100.0
_FEWEST_IN_STATE = 25.0
_FEWEST_FOR_TAIL = 25
_MULTIPLICITY = 100.0
_ROUNDING = 1e-3
"""Total variation that numbers written to a file may differ by."""


def check_weights(draws: Draws, *, labels: Int[Tensor, " m"] | None = None) -> list[Finding]:
    """Effective size, tail, largest weight, effective size of the listed states, clipping.

    Args:
        draws: weights and runs; copies condensed.
        labels: basin of each draw, 0, 1, ...
    """
    if draws.equal:
        return [Finding(Check.holds("all weights are equal", True, advice=""), "note", _SECTION)]
    log_w = draws.weights.log()
    findings = [
        _finding(
            Check.at_least(
                "effective size of the weights (draws)",
                draws.kish,
                _FEWEST,
                warn=_FEWEST_IN_STATE,
                advice="few draws carry the set: draw more, or from a law nearer to the target",
            )
        ),
        _finding(
            Check.at_most(
                "largest normalised weight",
                float(draws.weights.amax()),
                0.05,
                warn=0.2,
                advice="one draw rules every average: draw more, or from a law nearer to the target",
            )
        ),
        _finding(
            Check.holds(
                "weights are not clipped",
                not (ties := clipped(draws.weights)),
                advice=f"{ties} draws share the largest weight, the mark of clipping, which moves "
                "averages: give the weights as they were",
            )
        ),
    ]
    tail = fit_tail(log_w) if draws.count >= _FEWEST_FOR_TAIL else None
    if tail is not None and tail.k < math.inf:  # a clipped tail has no shape, and was found above
        findings.append(
            _finding(
                Check.at_most(
                    "Pareto shape of the weights",
                    tail.k,
                    0.5,
                    warn=max(0.5, tail.threshold),
                    advice="the largest weights have no finite variance, so averages look better than "
                    "they are: draw from a law nearer to the target",
                ),
                part="note" if tail.k < min(0.7, tail.threshold) else "weights",
            )
        )
    if labels is not None:
        sizes = [
            float(kish(log_w[labels == b]))
            for b in range(int(labels.max()) + 1)
            if float(draws.weights[labels == b].sum()) >= LISTED
        ]
        findings.append(
            _finding(
                Check.at_least(
                    "smallest effective size of a listed state (draws)",
                    min(sizes, default=0.0),
                    _FEWEST_IN_STATE,
                    warn=5.0,
                    advice="the weight of a state hangs on few draws: draw more there",
                )
            )
        )
    return findings


def clipped(weights: Float[Tensor, " m"]) -> int:
    """How many draws share the largest weight; 0 where that is no sign of clipping."""
    largest = float(weights.amax())
    positive = weights[weights > 0]
    ties = int((positive >= largest * (1 - 1e-9)).sum())
    ratios = positive / positive.amin()
    whole = (
        bool(((ratios - ratios.round()).abs() < 1e-6).all())
        and float(ratios.amax()) < _MULTIPLICITY
    )
    return 0 if ties < 2 or whole else ties


def recomputed(
    draws: Draws, log_density: Float[Tensor, " m"], log_proposal: Float[Tensor, " m"]
) -> tuple[Finding, float]:
    """The weights against π/q, and the total variation between the two.

    Args:
        draws: with the weights given.
        log_density: of the target, up to a constant.
        log_proposal: of the law that the draws are from, up to a constant.
    """
    true = (log_density - log_proposal).double().softmax(dim=0)
    shift = float((true - draws.weights).abs().sum() / 2)
    check = Check.at_most(
        "weights against exp(-U/kT)/q (total variation)",
        shift,
        _ROUNDING,
        advice="weights were clipped, filtered or are for another potential: give those of the target",
    )
    return Finding(check, "weights", _SECTION), shift


def _finding(check: Check, part: Part = "weights") -> Finding:
    return Finding(check, part, _SECTION)
