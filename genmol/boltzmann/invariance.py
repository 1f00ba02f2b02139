r"""Do the draws stay what they are under moves that leave the target as it is?

If x is drawn from π and K is a kernel with πK = π, then x' ~ K(x, ·) is another draw from π, so that
every observable has :math:`\langle f(x') - f(x)\rangle = 0`. Draws of another law relax towards π, and
show it. No reference is needed, only a kernel with a Metropolis step, here Hamiltonian Monte Carlo; the
tests of Geweke (2004) and of Gandy and Scott (2020) turn the same argument on the kernel. Of x' the
mean over the second half of the moves is taken, which lowers the noise.

It is by far the sharpest test of a temperature: where x' has forgotten x, the mean energy of draws at
(1 + δ) T changes by :math:`\delta\,C\,T` with noise :math:`\sqrt{2 C}\,kT`, so that

.. math:: N = (4.57/\delta)^2\,\frac{2}{C/k_B}

draws are needed (δ = 5 %: 350 for LJ13 with C = 48; the virial needs 23 000). It also sees states that
have a wrong weight, as far as the kernel connects them within its moves: a missing state fills up.

The step size is found on other draws than those that are tested, and then fixed, so that the kernel
does not depend on what it moves. A kernel that turns torsions can be given instead.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Int
from torch import Tensor

from genmol.boltzmann.draws import Draws
from genmol.boltzmann.findings import Fault, Finding, Part, family, left_out
from genmol.boltzmann.identities import Evaluated
from samplers.hmc import HMC
from samplers.identities import Identity
from samplers.rng import Streams
from samplers.sampler import Sampler
from samplers.target import Target

__all__ = ["Continuation", "Observe", "check_invariance", "chosen_to_move"]

_SECTION = "invariance"
_ADAPTING = 32  # draws and at most 60 rounds
_LOOKS = 8  # at the second half of the moves
_ADVICE = (
    "the draws move when they are sampled further, so they are not from exp(-U/kT): sample longer, from "
    "more starts, and check the temperature"
)

Observe = Callable[[Tensor], Mapping[str, Tensor]]
"""Points (k, *shape) to named numbers (k,) each."""


@dataclass(frozen=True)
class Continuation:
    """How far to move.

    Attributes:
        most: draws that are moved.
        moves: of the kernel, for each.
        leaps: gradients in a move, if it is the default kernel.
        kernel: leaves the target as it is, and does not adapt; Hamiltonian Monte Carlo when None.
    """

    most: int = 1000
    moves: int = 40
    leaps: int = 10
    kernel: Sampler | None = None

    @classmethod
    def within(cls, gradients: int, *, most: int = 1000, moves: int = 40) -> Continuation:
        """As much as a number of gradient calls allows: moves are saved first, then draws."""
        leaps = 10
        affordable = gradients // leaps
        moves = max(4, min(moves, affordable // min(most, 300)))
        return cls(most=max(1, min(most, affordable // moves)), moves=moves, leaps=leaps)


def chosen_to_move(found: Evaluated, settings: Continuation) -> Int[Tensor, " k"]:
    """Draws that are moved, spread evenly over runs; some must stay, to find the step size."""
    most = max(1, min(settings.most, found.draws.count - _ADAPTING))
    index = found.draws.some(most)
    return index[found.log_density[index].isfinite() & (found.draws.weights[index] > 0)]


def check_invariance(
    found: Evaluated,
    target: Target,
    streams: Streams,
    settings: Continuation,
    *,
    index: Int[Tensor, " k"],
    local: Observe,
    states: Observe,
) -> list[Finding]:
    """Energy, local observables and indicators of states before and after.

    Args:
        found: draws with gradients.
        target: what they should be drawn from.
        streams: of which as many are made as there are draws.
        settings: how far to move.
        index: which draws, from :func:`chosen_to_move`.
        local: observables within states, such as cosines of torsions; must be finite.
        states: indicators of states.
    """
    if len(index) < _ADAPTING:
        why = f"got {len(index)} draws of positive density; wanted at least {_ADAPTING}"
        return [left_out("invariance", section=_SECTION, part="weights", why=why)]
    kernel = settings.kernel
    if kernel is None:
        kernel = _tuned(target, found, index, streams.fold("tune"), settings)
    part = found.take(index)
    before = _observed(part.x, part.log_density, local, states)
    after = _moved(target, part, kernel, streams.fold("move"), settings, local, states)
    change = {name: after[name] - value for name, value in before.items()}

    def members(kind: str) -> list[Identity] | str:
        chosen = {n: c for (k, n), c in change.items() if k == kind}
        try:
            return [_identity(n, c, part.draws) for n, c in chosen.items()]
        except ValueError as error:
            return str(error)

    warmer = _warming(part)
    findings = []
    for kind, name, fault in (
        ("energy", "energy after more moves, in kT", Fault("a temperature off by 5 %", warmer)),
        ("local", "local observables after more moves", None),
        ("states", "states after more moves", Fault("a state with 5 % too much or missing", 0.05)),
    ):
        tests = members(kind)
        part_of: Part = "weights" if kind == "states" else "local"
        if isinstance(tests, str):
            findings.append(left_out(name, section=_SECTION, part="weights", why=tests))
        elif tests:
            findings.append(
                family(
                    name,
                    tests,
                    section=_SECTION,
                    part=part_of,
                    draws=len(part.x),
                    fault=fault,
                    advice=_ADVICE,
                )
            )
    return findings


def _warming(part: Evaluated) -> float:
    """What 5 % of temperature do to the mean of U/kT: 0.05 C/k_B, at least that of a harmonic law."""
    centred = part.log_density - part.draws.mean(part.log_density)
    return max(0.05 * float(part.draws.mean(centred.square())), 1e-12)


def _identity(name: str, change: Tensor, draws: Draws) -> Identity:
    if float(change.abs().amax()) == 0.0:
        return Identity(name, 0.0, 0.0, 0.0, 1)
    return Identity.of_mean(name, draws.arrange(change), 0.0, log_weights=draws.log_weights)


def _observed(
    x: Float[Tensor, "k *shape"], log_density: Tensor, local: Observe, states: Observe
) -> dict[tuple[str, str], Tensor]:
    found = {("energy", "energy"): -log_density}
    for kind, observe in (("local", local), ("states", states)):
        found |= {(kind, name): value.double() for name, value in observe(x).items()}
    return found


def _moved(
    target: Target,
    part: Evaluated,
    kernel: Sampler,
    streams: Streams,
    settings: Continuation,
    local: Observe,
    states: Observe,
) -> dict[tuple[str, str], Tensor]:
    """Means of the observables over the second half of the moves."""
    rows = replace(streams, chains=torch.arange(len(part.x)))
    state = kernel.adapted(kernel.init(target, part.x, rows))
    every = max(1, settings.moves // (2 * _LOOKS))
    looks = set(range(settings.moves, settings.moves // 2, -every))
    total: dict[tuple[str, str], Tensor] = {}
    for k in range(1, settings.moves + 1):
        state, _ = kernel.step(state, rows.at(k))
        if k in looks:
            seen = _observed(state.x, state.log_density, local, states)
            for name, value in seen.items():
                total[name] = total.get(name, 0.0) + value
    # divided once, so that an indicator that never changed comes back as it was
    return {name: value / len(looks) for name, value in total.items()}


def _tuned(
    target: Target, found: Evaluated, index: Tensor, streams: Streams, settings: Continuation
) -> Sampler:
    """HMC with the median of the step sizes that suit some draws, which are not those that are moved."""
    stay = found.log_density.isfinite()
    stay[index] = False
    rest = stay.nonzero().flatten()
    every = max(1, len(rest) // _ADAPTING)
    part = found.take(rest[::every][:_ADAPTING])
    square = part.gradient.flatten(1).square().sum(dim=1).median()
    length = float((target.space.dimension / square.clamp_min(1e-300)).sqrt())
    kernel = HMC(step_size=0.3 * length, leaps=settings.leaps)
    rows = replace(streams, chains=torch.arange(len(part.x)))
    state = kernel.init(target, part.x, rows)
    for k in range(1, min(60, max(10, settings.moves)) + 1):
        state, info = kernel.step(state, rows.at(k))
        state = kernel.adapt(state, info, k)
    step = float(kernel.adapted(state).memory["log_step"].median().exp())
    return replace(kernel, step_size=step)
