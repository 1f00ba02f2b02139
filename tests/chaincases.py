"""A chain molecule with a cheap potential whose torsions are known exactly.

In bond lengths r, angles θ and torsions φ of a chain of atoms the volume element is
Π r² Π sin θ dr dθ dφ. So with

    U = Σ k (r − r₀)²/2 + Σ κ (θ − θ₀)²/2 + V(φ)

lengths, angles and torsions are independent, the torsions follow exp(−V/kT), and draws of all of them
are exact: what kernels, engines and weights are held against.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, final

import numpy as np
import torch
from chemcases import species
from torch import Tensor

from genmol.boltzmann.problem import Problem
from genmol.boltzmann.settings import Settings, Stage
from genmol.boltzmann.sweep import Moves
from genmol.chem.torsions import dihedral
from genmol.core.graph import AtomicGraph
from genmol.core.units import KB
from genmol.potentials.contract import Answer, Potential
from genmol.potentials.domain import Domain

PEROXIDE, TRIOXIDE = "OO", "OOO"
ORDER = {PEROXIDE: (2, 0, 1, 3), TRIOXIDE: (3, 0, 1, 2, 4)}  # atoms along the chain
LENGTHS = {PEROXIDE: (0.97, 1.45, 0.97), TRIOXIDE: (0.97, 1.43, 1.43, 0.97)}  # Å
ANGLE = 1.85  # rad
STRETCH, BEND = 15.0, 3.0  # eV/Å², eV/rad²
KT = KB * 300.0
_FINE = 360  # points of a turn


@dataclass(frozen=True)
class Torsional:
    """V = Σ (a cos φ + b cos 2φ) + c Π sin φ, eV."""

    a: float
    b: float
    c: float = 0.0

    def value(self, phi: np.ndarray) -> np.ndarray:
        """Of angles (n, t), rad."""
        single = self.a * np.cos(phi) + self.b * np.cos(2 * phi)
        return single.sum(axis=1) + self.c * np.sin(phi).prod(axis=1)

    def slope(self, phi: np.ndarray) -> np.ndarray:
        """Its derivatives (n, t)."""
        found = -self.a * np.sin(phi) - 2 * self.b * np.sin(2 * phi)
        if not self.c:
            return found
        return found + self.c * np.cos(phi) * np.sin(phi[:, ::-1])  # of two torsions


SIDES = Torsional(0.04, 0.11)
"""Of hydrogen peroxide: wells near ±95°, barriers of 7 (trans) and 10 kT at 300 K."""

FOUR = Torsional(0.02, 0.1, 0.01)
"""Of HOOOH: wells near ±90° of both torsions, 1 : 2 between equal and opposite signs."""

OTHER = Torsional(-0.005, 0.09, -0.01)
"""Which favours equal signs of HOOOH where the right potential favours opposite ones."""

MOVES = Moves(leaps=2, step_size=0.03, darts=1)
CHEAP = Settings(runs=8, replicas=2, tuning=0, burn_in=6, most=8 * 10, moves=MOVES)
"""Of a cheap potential, for a few seconds."""


@final
class Chain(Potential):
    """U above.

    Args:
        smiles: one of :data:`ORDER`.
        torsions: V.
        shift: added to all r₀, Å.
    """

    def __init__(self, smiles: str, torsions: Torsional, shift: float = 0.0) -> None:
        super().__init__()
        self.smiles, self.torsions, self.shift = smiles, torsions, shift

    @property
    def name(self) -> str:
        return "chain"

    @property
    def level(self) -> Mapping[str, Any]:
        return {"method": "chain", **asdict(self.torsions), "shift": self.shift}

    @property
    def domain(self) -> Domain:
        return Domain(words="a chain")

    def answer(self, graph: AtomicGraph, *, forces: bool) -> Answer:
        order = list(ORDER[self.smiles])
        x = graph.positions.numpy().reshape(graph.n_graphs, -1, 3)[:, order]
        bond = x[:, 1:] - x[:, :-1]
        r = np.sqrt((bond * bond).sum(axis=2, keepdims=True))
        unit = bond / r
        normal = np.cross(unit[:, :-1], unit[:, 1:])
        sine = np.sqrt((normal * normal).sum(axis=2, keepdims=True))
        cosine = -(unit[:, :-1] * unit[:, 1:]).sum(axis=2, keepdims=True)
        theta = np.arctan2(sine, cosine)
        left, right = normal[:, :-1], normal[:, 1:]
        phi = np.arctan2(
            (np.cross(left, right) * unit[:, 1:-1]).sum(axis=2), (left * right).sum(axis=2)
        )
        stretch = r[:, :, 0] - (np.array(LENGTHS[self.smiles]) + self.shift)
        bend = theta[:, :, 0] - ANGLE
        energies = 0.5 * (STRETCH * (stretch**2).sum(axis=1) + BEND * (bend**2).sum(axis=1))
        energies = torch.from_numpy(energies + self.torsions.value(phi))
        if not forces:
            return Answer(energies, None, {})
        slope = np.zeros_like(x)
        push = STRETCH * stretch[:, :, None] * unit
        slope[:, 1:] += push
        slope[:, :-1] -= push
        # u, v: from the vertex outwards
        u, v = -unit[:, :-1], unit[:, 1:]
        weight = BEND * bend[:, :, None] / sine
        first, last = weight * (cosine * u - v) / r[:, :-1], weight * (cosine * v - u) / r[:, 1:]
        slope[:, :-2] += first
        slope[:, 2:] += last
        slope[:, 1:-1] -= first + last
        by_phi = self.torsions.slope(phi)[:, :, None]
        first = -by_phi * left / (r[:, :-2] * sine[:, :-1] ** 2)
        last = by_phi * right / (r[:, 2:] * sine[:, 1:] ** 2)
        # how the inner atoms share: lengths along the middle bond
        ahead = r[:, :-2] * cosine[:, :-1] / r[:, 1:-1]
        behind = r[:, 2:] * cosine[:, 1:] / r[:, 1:-1]
        slope[:, :-3] += first
        slope[:, 3:] += last
        slope[:, 1:-2] += (ahead - 1) * first - behind * last
        slope[:, 2:-1] += (behind - 1) * last - ahead * first
        forces_ = np.zeros_like(slope)
        forces_[:, order] = -slope
        return Answer(energies, torch.from_numpy(forces_.reshape(-1, 3)), {})


@final
class Failing(Potential):
    """Another potential without an energy for any structure once it has computed so many.

    Args:
        inner: the potential.
        after: structures.
    """

    def __init__(self, inner: Potential, after: int) -> None:
        super().__init__()
        self.inner, self.left = inner, after

    @property
    def name(self) -> str:
        return self.inner.name

    @property
    def level(self) -> Mapping[str, Any]:
        return self.inner.level

    @property
    def domain(self) -> Domain:
        return self.inner.domain

    def answer(self, graph: AtomicGraph, *, forces: bool) -> Answer:
        found, n = self.inner.answer(graph, forces=forces), graph.n_graphs
        self.left -= n
        if self.left >= 0:
            return found
        push = None if found.forces is None else torch.zeros_like(found.forces)
        return Answer(torch.full((n,), torch.inf), push, dict.fromkeys(range(n), "out of order"))


def built(smiles: str, r: Tensor, theta: Tensor, phi: Tensor) -> Tensor:
    """Positions (n, n_atoms, 3), Å, centred, from lengths (n, b), angles (n, a) and torsions (n, t)."""
    zero = torch.zeros_like(r[:, 0])
    x = [torch.stack([zero, zero, zero], dim=1), torch.stack([r[:, 0], zero, zero], dim=1)]
    for k in range(1, r.shape[1]):
        back = torch.nn.functional.normalize(x[-1] - x[-2], dim=1)
        if k == 1:
            side, turn = torch.stack([zero, zero + 1, zero], dim=1), zero
        else:
            side, turn = x[-3] - x[-2], phi[:, k - 2]
        side = torch.nn.functional.normalize(
            side - (side * back).sum(dim=1, keepdim=True) * back, dim=1
        )
        third = torch.linalg.cross(back, side)
        angle = theta[:, k - 1]
        step = (
            -angle.cos()[:, None] * back
            + (angle.sin() * turn.cos())[:, None] * side
            + (angle.sin() * turn.sin())[:, None] * third
        )
        x.append(x[-1] + r[:, k, None] * step)
    found = torch.stack(x, dim=1)
    found = found[:, torch.tensor(ORDER[smiles]).argsort()]
    return found - found.mean(dim=1, keepdim=True)


def at(smiles: str, *phi: tuple[float, ...]) -> Tensor:
    """Positions with these torsions (degrees) and rest lengths and angles."""
    n, t = len(phi), len(phi[0])
    return built(
        smiles,
        torch.tensor(LENGTHS[smiles]).repeat(n, 1),
        torch.full((n, t + 1), ANGLE),
        torch.tensor(phi).deg2rad(),
    )


def angles(smiles: str, x: Tensor) -> Tensor:
    """The torsions (n, t), rad."""
    order = ORDER[smiles]
    return dihedral(x, [order[k : k + 4] for k in range(len(order) - 3)])


def grid(smiles: str, torsions: Torsional, kT: float = KT) -> tuple[Tensor, Tensor]:
    """Torsions (g, t) on a grid and their probabilities (g,)."""
    axis = torch.arange(_FINE) * (2 * math.pi / _FINE) - math.pi
    phi = torch.cartesian_prod(*[axis] * (len(ORDER[smiles]) - 3)).reshape(
        -1, len(ORDER[smiles]) - 3
    )
    return phi, torch.softmax(torch.from_numpy(-torsions.value(phi.numpy()) / kT), dim=0)


def exact(
    smiles: str, torsions: Torsional, n: int, rng: np.random.Generator, kT: float = KT
) -> Tensor:
    """Exact draws, in any orientation."""
    lengths = np.array(LENGTHS[smiles])

    def column(mean: float, stiffness: float, law: Callable[[np.ndarray], np.ndarray]) -> Tensor:
        draws = rng.normal(mean, math.sqrt(kT / stiffness), size=4 * n + 100)
        return torch.tensor(draws[rng.uniform(size=len(draws)) < law(draws)][:n])

    r = torch.stack([column(m, STRETCH, lambda v: (v / (1.3 * m)) ** 2) for m in lengths], dim=1)  # noqa: B023
    theta = torch.stack([column(ANGLE, BEND, np.sin) for _ in lengths[1:]], dim=1)
    phi, p = grid(smiles, torsions, kT)
    chosen = phi[torch.tensor(rng.choice(len(p), size=n, p=p.numpy()))]
    chosen = chosen + torch.tensor(rng.uniform(-0.5, 0.5, size=chosen.shape)) * 2 * math.pi / _FINE
    turn = torch.linalg.qr(torch.tensor(rng.normal(size=(n, 3, 3)))).Q
    turn = turn * torch.linalg.det(turn)[:, None, None]
    return built(smiles, r, theta, chosen) @ turn


def same_sign(phi: Tensor) -> Tensor:
    """Whether both torsions of HOOOH have one sign, as numbers."""
    return (phi.sin().prod(dim=1) > 0).double()


def share(
    smiles: str, torsions: Torsional, what: Callable[[Tensor], Tensor], kT: float = KT
) -> float:
    """The exact mean of a function of the torsions."""
    phi, p = grid(smiles, torsions, kT)
    return float((p * what(phi)).sum())


WELLS = ((90.0, 90.0), (90.0, -90.0), (-90.0, 90.0), (-90.0, -90.0))


def trioxide(**changes: Any) -> Problem:
    """HOOOH at 300 K from its wells."""
    given: dict[str, Any] = {
        "species": species(TRIOXIDE),
        "potential": Chain(TRIOXIDE, FOUR),
        "temperature": 300.0,
        "starts": at(TRIOXIDE, WELLS[0], WELLS[1]),
        "confined": False,
    }
    return Problem(**{**given, **changes})


class KilledError(Exception):
    """A run that somebody stops."""


@dataclass
class Killer:
    """A callback that stops a run at its n-th step of a stage, once."""

    stage: str
    step: int
    seen: int = 0

    def __call__(self, stage: Stage) -> None:
        if stage.name == self.stage:
            self.seen += 1
            if self.seen == self.step:
                raise KilledError


def worth(x: Tensor, share_: float, n_effective: float) -> float:
    """How many standard errors the share of equal signs is off."""
    found = float(same_sign(angles(TRIOXIDE, x)).mean())
    return (found - share_) / math.sqrt(share_ * (1 - share_) / n_effective)
