r"""The network of a score: ∇ log p_t of particles or of a molecule, at any level of noise.

Noise explodes, x_t = x_0 + σ e (:class:`samplers.schedules.Geometric`), so the law at time t is that of
the data blurred by σ. Two things of the data are known before training: the variance v of a coordinate,
and for every element the mean square b of a coordinate of βF, the curvature of the wells that it sits
in. Around the score of a normal law of variance v + σ² the network f learns the rest,

.. math::
    s(x, \sigma) = -\frac{x}{v + \sigma^2} + c(\sigma)\, f(x, \log\sigma), \qquad
    c^2 = \frac{b}{1 + \sigma^2 b} - \frac{1}{v + \sigma^2},

where c² is the mean square of what is left of the target of :mod:`genmol.boltzmann.psm`: f is asked for
numbers of order one at every σ, and for nothing where the data look normal. f is a vector of each atom
from a backbone that knows no more of its use than the level of noise; distances enter as they are, for
walls and bonds, and in units of √(v + σ²), for shapes under noise.

Molecules of many sizes have many v, and one that was never seen has none that could be measured, but
n points have

.. math:: v = \frac{1}{6}\,\langle r_{ij}^2 \rangle_{i<j} ,

and the mean square distance of two atoms grows with the bonds between them. So v is the model's
``spread`` times a ``size`` that the bonds give (:func:`genmol.boltzmann.score_systems.size_of`), 1 for a
system that is alone.

A backbone cannot tell a molecule from its mirror image. Where systems are ``detailed``, handed centres
come with their sign, and :mod:`genmol.boltzmann.handedness` adds a scalar to what it is fed with and a
vector to those that f is made of.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from genmol.backbones.egnn import EGNNConfig
from genmol.backbones.registry import BACKBONES
from genmol.backbones.so2 import SO2Config
from genmol.boltzmann.handedness import HANDS, handedness
from genmol.boltzmann.score_batch import ScoreBatch
from genmol.boltzmann.score_trunk import TrunkName, build, fed, read
from genmol.core.errors import InputError
from genmol.nn.radial import ExponentialBasis

__all__ = ["ScoreModel", "ScoreModelConfig"]

_TIMES = 16  # functions of log σ
_SCALED, _REACH, _DECAY = 16, 8.0, 1.5  # functions of scaled distances
_LEAST = 1e-3  # of c √(v + σ²)


@dataclass(frozen=True, kw_only=True)
class ScoreModelConfig:
    """What a score model is made of; everything but its weights.

    Attributes:
        stiffness: b of every element that it knows, in the inverse square of the unit of the data.
        spread: v of a system of size 1, in the square of that unit.
        low, high: σ at both ends.
        attributes: numbers that describe a pair.
        features: numbers that describe an atom.
        detailed: whether handed centres are told apart.
        backbone: which one.
        channels, vectors, layers, cutoff, n_radial, decay: see
            :class:`genmol.backbones.egnn.EGNNConfig`; lengths in the unit of the data. The channels of
            ``so2`` follow from ``channels`` and, for products and the other parity, ``vectors``.
        l_max: highest degree of ``so2``.
    """

    stiffness: Mapping[int, float]
    spread: float
    low: float
    high: float
    attributes: int = 0
    features: int = 0
    detailed: bool = False
    backbone: TrunkName = "egnn"
    channels: int = 32
    vectors: int = 8
    layers: int = 3
    cutoff: float = 10.0
    n_radial: int = 24
    decay: float = 2.0
    l_max: int = 2

    def __post_init__(self) -> None:
        if self.backbone not in BACKBONES:
            raise InputError(
                got=f"the backbone {self.backbone!r}",
                wanted=f"one of {', '.join(BACKBONES)}",
                remedy="correct --model backbone=NAME",
            )

    def to_dict(self) -> dict[str, Any]:
        """Plain values for a JSON file."""
        return {**asdict(self), "stiffness": {str(z): b for z, b in self.stiffness.items()}}

    @classmethod
    def from_dict(cls, found: Mapping[str, Any]) -> ScoreModelConfig:
        """Undo :meth:`to_dict`.

        Raises:
            InputError: missing, unknown or faulty fields.
        """
        try:
            stiffness = {int(z): float(b) for z, b in found["stiffness"].items()}
            return cls(**{**found, "stiffness": stiffness})
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise InputError(
                got=f"the configuration of a score model that cannot be read ({error})",
                wanted="one as this version writes it",
                remedy="upgrade genmol if the model is newer, or train it again",
            ) from error

    @property
    def shape(self) -> EGNNConfig | SO2Config:
        """The backbone's own configuration."""
        c, elements = self.channels, tuple(sorted(self.stiffness))
        if self.backbone == "egnn":
            return EGNNConfig(
                elements=elements, channels=c, vectors=self.vectors, layers=self.layers,
                cutoff=self.cutoff, n_radial=self.n_radial, decay=self.decay,
            )  # fmt: skip
        orders = [max(self.vectors, 2 * c >> m) for m in range(1, self.l_max + 1)]
        return SO2Config(
            elements=elements, l_max=self.l_max, channels=c, other_channels=self.vectors,
            edge_channels=(2 * c, self.vectors, *orders), product_channels=self.vectors,
            layers=self.layers, cutoff=self.cutoff, n_radial=self.n_radial, embedding=c,
        )  # fmt: skip


class ScoreModel(nn.Module):
    """The network of the module's docstring.

    Args:
        config: its shape.
    """

    centres: Tensor
    stiffness: Tensor

    def __init__(self, config: ScoreModelConfig) -> None:
        super().__init__()
        self.config = config
        vectors = config.vectors if config.backbone == "egnn" else config.channels
        self.backbone = build(
            config.shape,
            atoms=config.features + config.detailed * HANDS,
            edges=_SCALED + config.attributes,
            conditions=_TIMES,
        )
        self.scaled = ExponentialBasis(_SCALED, _REACH, decay=_DECAY)
        self.gates = nn.Linear(config.channels, vectors + config.detailed)
        self.readout = nn.Linear(vectors + config.detailed, 1, bias=False)
        centres = torch.linspace(math.log(config.low), math.log(config.high), _TIMES).double()
        self.register_buffer("centres", centres, persistent=False)
        table = torch.zeros(128, dtype=torch.float64)
        table[list(config.stiffness)] = torch.tensor(list(config.stiffness.values())).double()
        self.register_buffer("stiffness", table, persistent=False)

    def variance(
        self, sigma: Float[Tensor, " frames"], batch: ScoreBatch
    ) -> Float[Tensor, " frames"]:
        """V + σ², of a coordinate of each frame under noise.

        Args:
            sigma: of each frame.
            batch: of the frames.
        """
        return self.config.spread * batch.size + sigma.square()

    def scale(self, sigma: Float[Tensor, " frames"], batch: ScoreBatch) -> Float[Tensor, " n"]:
        """C of each atom.

        Args:
            sigma: of each frame.
            batch: whose atoms.
        """
        b = self.stiffness[batch.numbers].to(sigma)
        square = sigma.square()[batch.graph_index]
        total = self.variance(sigma, batch)[batch.graph_index]
        least = _LEAST**2 / total
        return torch.maximum(b / (1 + square * b) - 1 / total, least).sqrt()

    def forward(
        self, batch: ScoreBatch, x: Float[Tensor, "n 3"], sigma: Float[Tensor, " frames"]
    ) -> Float[Tensor, "n 3"]:
        """Score of every atom, centred.

        Args:
            batch: what does not move.
            x: noised positions.
            sigma: of each frame.
        """
        graph, attributes = batch.graph(x, cutoff=self.config.cutoff)
        width = self.centres[1] - self.centres[0]
        times = torch.exp(-0.5 * ((sigma.log()[:, None] - self.centres) / width) ** 2).to(x)
        total = self.variance(sigma, batch)[batch.graph_index]
        root = total.sqrt().index_select(0, graph.edge_index[0])
        inputs = self.scaled(graph.edge_vectors.norm(dim=1) / root)
        if attributes is not None:
            inputs = torch.cat([inputs, attributes], dim=1)
        atoms, pull = batch.features, None
        if self.config.detailed:
            hands, pull = handedness(x, batch.centres, batch.signs)
            atoms = hands if atoms is None else torch.cat([atoms, hands], dim=1)
        h, v = read(fed(self.backbone, graph, atoms=atoms, edges=inputs, conditions=times))
        if pull is not None:
            v = torch.cat([v, pull[:, None]], dim=1)
        gated = v * (1 + self.gates(h))[:, :, None]
        rest = self.readout(gated.mT)[:, :, 0]
        return batch.centred(self.scale(sigma, batch)[:, None] * rest - x / total[:, None])
