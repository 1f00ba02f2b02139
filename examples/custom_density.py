"""Any log-density in torch, sampled and certified: here a banana beside a small island."""

import torch

from genmol.boltzmann.density_job import sample_density
from samplers.spaces import Euclidean
from samplers.target import Density


def log_density(x: torch.Tensor) -> torch.Tensor:
    """A batch of points (n, 2) to numbers (n,), up to a constant."""
    banana = -0.5 * (x[:, 0] ** 2 + 4 * (x[:, 1] - x[:, 0] ** 2) ** 2)
    island = -2.0 * ((x[:, 0] - 3) ** 2 + (x[:, 1] + 2) ** 2)
    return torch.logaddexp(banana, island)


found = sample_density(
    Density(log_density, Euclidean(2)),
    starts=torch.tensor([[0.0, 0.0], [3.0, -2.0]]),
    states=lambda x: (x[:, 0] > 1.5) & (x[:, 1] < 0),
    n=400,
)
print(found.certificate.table())
for state in found.certificate.observables.states:
    print(f"{state.name}: {state.population.value:.3f} ± {state.population.half_width:.3f}")
