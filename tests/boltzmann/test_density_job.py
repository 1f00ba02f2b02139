"""Any density, sampled and certified: truths by quadrature, a choice that follows the barrier."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from torch import Tensor

from genmol.boltzmann import density_chains
from genmol.boltzmann.density_job import sample_density
from genmol.core.errors import InputError
from samplers.run import Budget
from samplers.spaces import Euclidean
from samplers.target import Density, Evaluation, Target
from samplers.toys import DoubleWell

ORIGIN = torch.zeros(1, 2, dtype=torch.float64)
WELLS = torch.tensor([[-1.3], [1.4]], dtype=torch.float64)
BOWL = Density(lambda x: -0.5 * x.square().sum(dim=1), Euclidean(2))


@pytest.fixture(autouse=True)
def short() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(density_chains, "_PILOT", 40)
        patch.setattr(density_chains, "_LEAPS", 5)
        yield


def test_one_basin_needs_no_tempering() -> None:
    # runs begin at the maximum, where no force tells how far a step may go
    found = sample_density(BOWL, starts=ORIGIN, n=200, checking=20_000)
    assert found.method.startswith("hmc")
    assert len(found.delivered) == 200
    error = (2 / found.certificate.n_effective) ** 0.5  # of a mean square, relative
    assert float(found.x.square().mean()) == pytest.approx(1.0, abs=4 * error)
    assert "not Boltzmann" not in found.certificate.verdict


def test_a_barrier_calls_for_tempering_and_populations_are_exact() -> None:
    well = DoubleWell()
    found = sample_density(well, starts=WELLS, n=150, checking=20_000)
    assert found.method.startswith("tempering")
    assert found.states is not None
    state = next(s for s in found.certificate.observables.states if s.name == "state 1")
    p = well.truths["right"].value
    error = (p * (1 - p) / state.effective) ** 0.5
    assert state.population.value == pytest.approx(p, abs=4 * error)


def test_a_temperature_is_a_power_of_the_density() -> None:
    found = sample_density(BOWL, starts=ORIGIN, temperature=4.0, n=200, checking=20_000)
    error = 4 * (2 / found.certificate.n_effective) ** 0.5
    assert float(found.x.square().mean()) == pytest.approx(4.0, abs=4 * error)


def test_a_resumed_run_is_the_same(tmp_path: Path) -> None:
    whole = sample_density(BOWL, starts=ORIGIN, n=100, checking=4_000)
    sample_density(
        BOWL, starts=ORIGIN, n=100, checking=4_000, folder=tmp_path, budget=Budget(calls=5_000)
    )
    resumed = sample_density(BOWL, starts=ORIGIN, n=100, checking=4_000, folder=tmp_path)
    assert torch.equal(resumed.x, whole.x)
    with pytest.raises(InputError, match="other work"):
        sample_density(BOWL, starts=ORIGIN, n=90, checking=4_000, folder=tmp_path)


@dataclass(frozen=True)
class Wrong(Target):
    """A gradient of the wrong size."""

    @property
    def space(self) -> Euclidean:
        return Euclidean(2)

    def log_density(self, x: Tensor) -> Tensor:
        return BOWL.log_density(x)

    def evaluate(self, x: Tensor) -> Evaluation:
        found = BOWL.evaluate(x)
        return Evaluation(found.log_density, 1.1 * found.gradient)


def test_a_wrong_gradient_is_found_at_the_start() -> None:
    with pytest.raises(InputError, match="gradient is not its derivative"):
        sample_density(Wrong(), starts=ORIGIN + 1, n=10)


def test_starts_and_numbers_that_make_no_sense() -> None:
    half = Density(
        lambda x: torch.where(x[:, 0] > 0, -x.square().sum(dim=1), -torch.inf), Euclidean(2)
    )
    with pytest.raises(InputError, match="starts that cannot be used"):
        sample_density(half, starts=ORIGIN - 1, n=10)
    with pytest.raises(InputError, match="of shape"):
        sample_density(BOWL, starts=torch.zeros(1, 3, dtype=torch.float64), n=10)
    with pytest.raises(InputError, match="at least one of each"):
        sample_density(BOWL, starts=ORIGIN, n=0)
    with pytest.raises(InputError, match="temperature"):
        sample_density(BOWL, starts=ORIGIN, temperature=-1.0)
