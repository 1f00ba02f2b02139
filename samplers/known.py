r"""What a toy is: a target whose truth is known, to test and to time samplers on.

A :class:`Toy` says where chains may begin (:meth:`Toy.start`), what to average over its points
(:meth:`Toy.observables`) and which averages are right (:attr:`Toy.truths`), each with its error and
where it comes from. Temperature is inside: every log-density is −U. :mod:`samplers.toys` has them by
name.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import NamedTuple

from jaxtyping import Float
from torch import Tensor

from samplers.rng import Streams
from samplers.target import Target

__all__ = ["Toy", "Truth"]


class Truth(NamedTuple):
    """A number that is known.

    Attributes:
        value: the number.
        error: its standard error, zero where it is exact.
        source: where it comes from.
    """

    value: float
    error: float
    source: str


class Toy(Target):
    """A target with known truths."""

    @property
    @abstractmethod
    def truths(self) -> Mapping[str, Truth]:
        """``log_z`` where known, and means of :meth:`observables` of the same names."""

    @abstractmethod
    def observables(self, x: Float[Tensor, "n *shape"]) -> Mapping[str, Float[Tensor, " n"]]:
        """What to average."""

    @abstractmethod
    def start(self, streams: Streams) -> Float[Tensor, "n *shape"]:
        """A point of positive density for each chain, spread wider than the target where that helps."""
