"""Reading samples: copies, choices, and frames without an energy."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from genmol.boltzmann.sample_set import read_samples
from genmol.core.errors import InputError
from samplers.spaces import Euclidean
from samplers.target import Counted, Density

TARGET = Density(lambda x: -0.5 * x.square().sum(dim=1), Euclidean(2))
HALF = Density(
    lambda x: torch.where(x[:, 0] > -1, -0.5 * x.square().sum(dim=1), -torch.inf), Euclidean(2)
)


def test_plain(rng: np.random.Generator) -> None:
    x = rng.normal(size=(100, 2))
    counted = Counted.of(TARGET)
    found = read_samples(
        x, counted, weights=None, runs=np.arange(100) // 10, most=1000, gradients=40
    )
    assert found.given == 100
    assert found.found.draws.count == 40
    assert found.found.draws.runs == 10
    np.testing.assert_allclose(found.found.x, x[found.index])
    assert counted.calls.gradients == 40
    assert not found.findings
    assert not found.biases
    assert found.rows.tolist() == list(range(40))
    without = read_samples(x, TARGET, weights=None, runs=None, most=1000, gradients=1000)
    assert [f.part for f in without.findings] == ["note"]


def test_resampled_copies_are_one_observation(rng: np.random.Generator) -> None:
    x = rng.normal(size=(50, 2))
    index = rng.integers(50, size=400)
    found = read_samples(
        x[index], TARGET, weights=None, runs=np.arange(400), most=1000, gradients=1000
    )
    distinct = len(np.unique(index))
    assert found.draws.count == distinct
    assert found.biases[0].name == "copies condensed"
    mean = found.found.draws.mean(found.found.x)
    np.testing.assert_allclose(mean, x[index].mean(axis=0))
    assert found.found.draws.kish < distinct


def test_a_chain_that_stays_keeps_its_draws(rng: np.random.Generator) -> None:
    x = np.repeat(rng.normal(size=(100, 2)), rng.integers(1, 5, size=100), axis=0)
    found = read_samples(x, TARGET, weights=None, runs=np.zeros(len(x)), most=1000, gradients=1000)
    assert found.draws.count == len(x)
    assert not found.biases


def test_frames_without_an_energy(rng: np.random.Generator) -> None:
    x = rng.normal(size=(200, 2))
    outside = (x[:, 0] <= -1).mean()
    found = read_samples(x, HALF, weights=None, runs=np.arange(200), most=1000, gradients=1000)
    (finding,) = found.findings
    assert (finding.check.status, finding.part) == ("fail", "local")
    assert finding.check.value == pytest.approx(outside)
    assert found.biases[0].share == pytest.approx(outside)
    assert found.found.log_density.isfinite().all()
    with pytest.raises(InputError, match="an energy for 0 of 20"):
        read_samples(np.full((20, 2), -2.0) + 0.1 * rng.normal(size=(20, 2)), HALF, weights=None,
                     runs=np.arange(20), most=1000, gradients=1000)  # fmt: skip


def test_refusals(rng: np.random.Generator) -> None:
    with pytest.raises(InputError, match=r"at least 16 of shape \(2,\)"):
        read_samples(
            rng.normal(size=(20, 3)), TARGET, weights=None, runs=None, most=100, gradients=100
        )
    with pytest.raises(InputError, match="at least 16"):
        read_samples(
            rng.normal(size=(5, 2)), TARGET, weights=None, runs=None, most=100, gradients=100
        )


def test_with_energies_all_samples_count(rng: np.random.Generator) -> None:
    x = rng.normal(size=(500, 2))
    known = TARGET.log_density(torch.tensor(x)).numpy() + 3.0
    found = read_samples(
        x, TARGET, weights=None, runs=np.arange(500), log_density=known, most=400, gradients=50
    )
    assert (found.draws.count, found.found.draws.count) == (400, 50)
    np.testing.assert_allclose(found.log_density, known[found.index] - 3)
    np.testing.assert_allclose(found.found.log_density, found.log_density[found.rows])
    # one of the evaluated ones has none after all
    outside = torch.tensor(x[:, 0] <= -1)
    half = read_samples(
        x, HALF, weights=None, runs=np.arange(500), log_density=known, most=500, gradients=50
    )
    lost = 500 - half.draws.count
    assert 0 < lost <= int(outside.sum())
    np.testing.assert_allclose(half.found.x, half.x[half.rows])
    np.testing.assert_allclose(half.found.log_density, half.log_density[half.rows])
