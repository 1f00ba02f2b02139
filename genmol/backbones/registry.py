"""All backbones by name, each with a tiny configuration for the tests.

A backbone gets the whole law suite (``tests/laws``) from its entry in :data:`BACKBONES`::

    "so2": Registered(
        SO2Backbone,
        SO2Config(elements=(1, 6, 8), l_max=2, channels=4, layers=2, cutoff=4.0),
    ),

A law that an architecture does not keep is named in ``exempt``, with the reason; a parameter that
has no say in the tiny configuration is named in ``idle``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from genmol.backbones.contract import Backbone
from genmol.backbones.egnn import EGNN, EGNNConfig
from genmol.backbones.so2 import SO2Backbone, SO2Config

__all__ = ["BACKBONES", "Registered"]


@dataclass(frozen=True)
class Registered:
    """One architecture.

    Attributes:
        architecture: the class, built from a configuration alone.
        tiny: a configuration that runs in milliseconds; H, C and O among its elements, a cutoff of
            3 to 5 Å.
        exempt: law (the test's name without ``test_``) -> why it does not hold.
        idle: pattern of parameter names (as in :mod:`fnmatch`) -> why they get no gradient.
    """

    architecture: Callable[[Any], Backbone]
    tiny: Any
    exempt: Mapping[str, str] = field(default_factory=dict)
    idle: Mapping[str, str] = field(default_factory=dict)

    def build(self) -> Backbone:
        """A tiny one, with random weights from torch's global generator."""
        return self.architecture(self.tiny)


BACKBONES: dict[str, Registered] = {
    "egnn": Registered(
        EGNN,
        EGNNConfig(elements=(1, 6, 8), channels=8, vectors=3, layers=2, cutoff=4.0, n_radial=8),
        exempt={"frame_angle": "its edges have no frames"},
    ),
    "so2": Registered(
        SO2Backbone,
        SO2Config(
            elements=(1, 6, 8),
            l_max=3,
            channels=4,
            other_channels=3,
            edge_channels=(8, 3, 5, 4, 3),
            product_channels=3,
            layers=2,
            cutoff=4.0,
            n_radial=8,
            embedding=8,
        ),
        idle=dict.fromkeys(
            (
                "layers.0.other_norm.scale",
                "layers.0.edge_norm.scales.[1-9]",
                "layers.0.first.weights.[1-9]",
                "layers.0.gate.gates.*",
                "layers.0.second.weights.1",
                "layers.1.edge_norm.scales.1",
            ),
            "without inputs all is scalar before the first message, and 0- arises in the second",
        ),
    ),
}
