"""Free energies: analytic harmonic oscillators, agreement with pymbar, and no false confidence."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from samplers.free_energy import OverlapError, bar, mbar
from samplers.reweight import expectation

STIFFNESS = torch.tensor([1.0, 2.0, 4.0, 9.0])
CENTRE = torch.tensor([0.0, 0.5, 1.0, 1.2])
EXACT = 0.5 * (STIFFNESS / STIFFNESS[0]).log()  # f = −log √(2π/k)


def draws(counts: Tensor, seed: int = 0) -> Tensor:
    z = torch.randn(int(counts.sum()), generator=torch.Generator().manual_seed(seed))
    state = torch.arange(len(counts)).repeat_interleave(counts)
    return CENTRE[state] + z / STIFFNESS[state].sqrt()


def energies(x: Tensor) -> Tensor:
    return 0.5 * STIFFNESS[:, None] * (x - CENTRE[:, None]) ** 2


COUNTS = torch.tensor([300, 500, 200, 400])


@pytest.mark.physics
@pytest.mark.filterwarnings("ignore:Unknown solver options")  # pymbar's, of scipy
@pytest.mark.parametrize("counts", [COUNTS, torch.tensor([700, 0, 50, 300])])
def test_agreement_with_pymbar(counts: Tensor) -> None:
    oracle = pytest.importorskip("pymbar")
    u = energies(draws(counts))
    found, expected = mbar(u, counts), oracle.MBAR(u.numpy(), counts.numpy())
    result = expected.compute_free_energy_differences()
    np.testing.assert_allclose(found.free_energies.numpy(), result["Delta_f"][0], atol=1e-8)
    errors = [[found.difference(i, j).error for j in range(4)] for i in range(4)]
    np.testing.assert_allclose(errors, result["dDelta_f"], atol=1e-7)
    if (counts > 0).all():
        assert found.overlap == pytest.approx(expected.compute_overlap()["scalar"], abs=1e-8)


@pytest.mark.physics
def test_bar_agrees_with_pymbar() -> None:
    oracle = pytest.importorskip("pymbar.other_estimators")
    u = energies(draws(COUNTS))
    forward, reverse = u[1, :300] - u[0, :300], u[0, 300:800] - u[1, 300:800]
    expected = oracle.bar(forward.numpy(), reverse.numpy(), uncertainty_method="MBAR")
    found = bar(forward, reverse)
    assert found.value == pytest.approx(expected["Delta_f"], abs=1e-9)
    assert found.error == pytest.approx(expected["dDelta_f"], rel=1e-7)
    # and is MBAR of two states
    both = mbar(u[:2, :800], COUNTS[:2]).difference(0, 1)
    assert both.value == pytest.approx(found.value, abs=1e-8)
    assert both.error == pytest.approx(found.error, rel=1e-6)


def test_errors_are_honest() -> None:
    repeats = 200
    few = torch.tensor([60, 100, 40, 80])
    scores, pairs = [], []
    for seed in range(repeats):
        u = energies(draws(few, seed))
        found = mbar(u, few)
        scores.append(
            [
                (found.difference(0, j).value - EXACT[j]) / found.difference(0, j).error
                for j in (1, 3)
            ]
        )
        pair = bar(u[1, :60] - u[0, :60], u[0, 60:160] - u[1, 60:160])
        pairs.append((pair.value - float(EXACT[1])) / pair.error)
    for z in (torch.tensor(scores)[:, 0], torch.tensor(scores)[:, 1], torch.tensor(pairs)):
        # σ of the mean 1/√200 = 7 %, of the mean square √(2/200) = 10 %
        assert abs(float(z.mean())) < 4 * 0.071
        assert float(z.square().mean()) == pytest.approx(1, abs=0.4)


def test_constants_shift_free_energies() -> None:
    u = energies(draws(COUNTS))
    constants = torch.tensor([5.0, -400.0, 1e4, 0.0])
    plain, shifted = mbar(u, COUNTS), mbar(u + constants[:, None], COUNTS)
    expected = plain.free_energies + constants - constants[0]
    torch.testing.assert_close(shifted.free_energies, expected, rtol=0, atol=1e-7)
    for j in range(1, 4):
        error = plain.difference(0, j).error
        assert shifted.difference(0, j).error == pytest.approx(error, rel=1e-6)
    w, v = u[1, :300] - u[0, :300], u[0, 300:800] - u[1, 300:800]
    assert bar(w + 1e3, v - 1e3).value == pytest.approx(bar(w, v).value + 1e3, abs=1e-8)
    assert bar(v, w).value == pytest.approx(-bar(w, v).value, abs=1e-9)


def test_weights_speak_for_any_state() -> None:
    x = draws(COUNTS)
    found = mbar(energies(x), COUNTS)
    # a state that was never sampled, of mean 0.7 and variance 1/3
    lw = found.log_weights(0.5 * 3 * (x - 0.7) ** 2)
    assert float(lw.logsumexp(dim=0)) == pytest.approx(0, abs=1e-12)
    mean = expectation(torch.stack([x, (x - 0.7) ** 2], dim=1), lw)
    # the error of self-normalised weights, up to the small one of the free energies themselves
    torch.testing.assert_close(mean.value, torch.tensor([0.7, 1 / 3]), rtol=0, atol=0.12)
    assert ((mean.value - torch.tensor([0.7, 1 / 3])).abs() < 4.5 * mean.error).all()


def test_walls() -> None:
    # a box in the middle of a larger one: u = 0 inside, ∞ outside; f₁ − f₀ = log 2
    x = torch.rand(400, generator=torch.Generator().manual_seed(0))
    inside = torch.where(x < 0.5, 0.0, torch.inf)
    counts = torch.tensor([400, 100])
    both = torch.cat([x, 0.5 * torch.rand(100, generator=torch.Generator().manual_seed(1))])
    u = torch.stack([torch.zeros(500), torch.where(both < 0.5, 0.0, torch.inf)])
    found = mbar(u, counts).difference(0, 1)
    assert found.value == pytest.approx(math.log(2), abs=4 * found.error)
    assert found.error < 0.1
    pair = bar(inside, torch.zeros(100))
    assert pair.value == pytest.approx(found.value, abs=1e-8)


def test_no_overlap_is_no_answer() -> None:
    z = torch.randn(200, generator=torch.Generator().manual_seed(0))
    for far in (12.0, 40.0):
        work = 0.5 * (z - far) ** 2 - 0.5 * z**2
        assert bar(work, work).error > 1e3
        x = torch.cat([z, far + z])
        with pytest.raises(OverlapError, match="sample"):
            mbar(torch.stack([0.5 * x**2, 0.5 * (x - far) ** 2]), torch.tensor([200, 200]))


def test_one_state_is_reweighted_to_others() -> None:
    counts = torch.tensor([4000, 0, 0, 0])
    u = energies(draws(counts))
    found = mbar(u, counts)
    expected = -(u[0] - u[1]).logsumexp(dim=0) + math.log(4000)
    assert found.difference(0, 1).value == pytest.approx(float(expected), abs=1e-9)
    assert found.difference(0, 1).value == pytest.approx(
        float(EXACT[1]), abs=4 * found.difference(0, 1).error
    )


def test_refusals() -> None:
    u = energies(draws(COUNTS))
    with pytest.raises(ValueError, match="energies of 1400 draws and counts with the sum 1300"):
        mbar(u, COUNTS - torch.tensor([100, 0, 0, 0]))
    bad = u.clone()
    bad[0, 0] = torch.inf
    with pytest.raises(ValueError, match="draws of their own state"):
        mbar(bad, COUNTS)
    with pytest.raises(OverlapError, match="forward works have 0 finite values of 3"):
        bar(torch.full((3,), torch.inf), torch.zeros(3))
