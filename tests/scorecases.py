"""Score models of like particles as generators: of a normal law unless something was learnt."""

from __future__ import annotations

import math

import torch

from genmol.boltzmann.generator import ScoreGenerator
from genmol.boltzmann.score_batch import Particles
from genmol.boltzmann.score_model import ScoreModel, ScoreModelConfig
from samplers.target import Density

SPREAD = 0.8
"""Variance of a coordinate of the normal law."""


def generator(
    *, steps: int, learnt: bool = False, particles: int = 4, dimension: int = 2, high: float = 3.0
) -> ScoreGenerator:
    """Of like particles; the score of a normal law unless something was learnt."""
    torch.manual_seed(5)
    model = ScoreModel(
        ScoreModelConfig(
            stiffness={1: (2.0 if learnt else 1.0) / SPREAD}, spread=SPREAD, low=0.05, high=high,
            channels=8, vectors=4, layers=1, n_radial=8,
        )
    )  # fmt: skip
    if not learnt:
        torch.nn.init.zeros_(model.readout.weight)
    system = Particles(torch.ones(particles).long(), dimension=dimension)
    return ScoreGenerator(model.eval(), system, steps)


def harmonic(of: ScoreGenerator, variance: float) -> tuple[Density, float]:
    """A cluster on springs, with log Z of its mean-free coordinates."""
    log_z = 0.5 * of.space.dimension * math.log(2 * math.pi * variance)
    return Density(lambda x: -0.5 * x.square().sum(dim=(1, 2)) / variance, of.space), log_z
