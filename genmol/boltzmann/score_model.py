r"""The network of a score: ∇ log p_t of particles or of a molecule, at any level of noise.

Noise explodes, x_t = x_0 + σ e (:class:`samplers.schedules.Geometric`), so the law at time t is that of
the data blurred by σ. Two numbers of the data are known before training: the variance v of a coordinate,
and for every element the mean square b of a coordinate of βF, the curvature of the wells that it sits
in. Around the score of a normal law of variance v + σ² the network f learns the rest,

.. math::
    s(x, \sigma) = -\frac{x}{v + \sigma^2} + c(\sigma)\, f(x, \log\sigma), \qquad
    c^2 = \frac{b}{1 + \sigma^2 b} - \frac{1}{v + \sigma^2},

where c² is the mean square of what is left of the target of :mod:`genmol.boltzmann.psm`: f is asked for
numbers of order one at every σ, and for nothing where the data look normal. f is a vector of each atom
from a backbone that knows no more of its use than the level of noise; distances enter as they are, for
walls and bonds, and in units of √(v + σ²), for shapes under noise.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from genmol.backbones.egnn import EGNN, EGNNConfig
from genmol.boltzmann.score_batch import ScoreBatch
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
        spread: v, variance of a coordinate, in the square of that unit.
        low, high: σ at both ends.
        attributes: numbers that describe a pair.
        channels, vectors, layers, cutoff, n_radial, decay: see
            :class:`genmol.backbones.egnn.EGNNConfig`; lengths in the unit of the data.
    """

    stiffness: Mapping[int, float]
    spread: float
    low: float
    high: float
    attributes: int = 0
    channels: int = 32
    vectors: int = 8
    layers: int = 3
    cutoff: float = 10.0
    n_radial: int = 24
    decay: float = 2.0

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
    def backbone(self) -> EGNNConfig:
        """The backbone's part."""
        shape = [entry.name for entry in fields(EGNNConfig) if entry.name != "elements"]
        return EGNNConfig(
            elements=tuple(sorted(self.stiffness)), **{name: getattr(self, name) for name in shape}
        )


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
        self.backbone = EGNN(
            config.backbone, edge_inputs=_SCALED + config.attributes, conditions=_TIMES
        )
        self.scaled = ExponentialBasis(_SCALED, _REACH, decay=_DECAY)
        self.gates = nn.Linear(config.channels, config.vectors)
        self.readout = nn.Linear(config.vectors, 1, bias=False)
        centres = torch.linspace(math.log(config.low), math.log(config.high), _TIMES).double()
        self.register_buffer("centres", centres, persistent=False)
        table = torch.zeros(128, dtype=torch.float64)
        table[list(config.stiffness)] = torch.tensor(list(config.stiffness.values())).double()
        self.register_buffer("stiffness", table, persistent=False)

    def scale(self, sigma: Float[Tensor, " n"], batch: ScoreBatch) -> Float[Tensor, " n"]:
        """C of each atom.

        Args:
            sigma: of each atom.
            batch: whose atoms.
        """
        b, square = self.stiffness[batch.numbers].to(sigma), sigma.square()
        total = self.config.spread + square
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
        each = sigma[batch.graph_index]
        width = self.centres[1] - self.centres[0]
        times = torch.exp(-0.5 * ((sigma.log()[:, None] - self.centres) / width) ** 2).to(x)
        total = self.config.spread + each.square()
        root = total.sqrt().index_select(0, graph.edge_index[0])
        inputs = self.scaled(graph.edge_vectors.norm(dim=1) / root)
        if attributes is not None:
            inputs = torch.cat([inputs, attributes], dim=1)
        features, _ = self.backbone(graph, edge_inputs=inputs, conditions=times)
        c = self.config
        h, v = features.nodes.split([c.channels, 3 * c.vectors], dim=1)
        gated = v.unflatten(1, (c.vectors, 3)) * (1 + self.gates(h))[:, :, None]
        rest = self.readout(gated.mT)[:, :, 0]
        return batch.centred(self.scale(each, batch)[:, None] * rest - x / total[:, None])
