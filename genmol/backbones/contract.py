"""The contract of every backbone: AtomicGraph -> Features, blind to what the features are for."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

from torch import nn

from genmol.backbones.features import Features, Irreps
from genmol.core.graph import AtomicGraph

__all__ = ["Backbone"]


class Backbone(nn.Module, ABC):
    """An equivariant network. Architectures are final subclasses, entered in the registry."""

    @property
    @abstractmethod
    def numbers(self) -> tuple[int, ...]:
        """Atomic numbers it knows."""

    @property
    @abstractmethod
    def cutoff(self) -> float:
        """Reach of messages, Å."""

    @property
    @abstractmethod
    def irreps_out(self) -> Irreps:
        """What the rows of ``Features.nodes`` are made of."""

    @abstractmethod
    def forward(self, graph: AtomicGraph, state: Any = None) -> tuple[Features, Any]:
        """Features of a graph whose edges lie within the cutoff.

        Args:
            graph: elements among ``numbers``.
            state: what the backbone returned for an earlier step, None for those that carry nothing.
        """
