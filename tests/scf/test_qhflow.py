"""The flow's parts against plain formulas: measures of error, priors, path, and samplers."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import molecule
from fockcases import STO, batch_of, chiral, example, small_config, with_fock
from laws.oracle import degree_matrix, random_rotations
from scipy.linalg import eigh, fractional_matrix_power
from torchdiffeq import odeint

from genmol.scf.fock_model import FockModel
from genmol.scf.qhflow import Objective, draw_prior, objective, orbital_errors, sample

NAMES = ("mae", "rmse", "orbital", "mixing", "occupied")


@pytest.fixture(scope="module")
def examples():
    oxygen = replace(example(Atoms("O"), "sto-3g"), n_occupied=2)  # a gap, between s and p
    return [example(molecule("H2O"), "sto-3g"), example(chiral(), "sto-3g"), oxygen]


class Answers(FockModel):
    """A flow whose prediction is a given function of the noisy matrix and the time."""

    def __init__(self, answer, **changes: object) -> None:
        super().__init__(small_config(STO, **{"flow": True, **changes}))
        self.answer, self.asked = answer, []

    def forward(self, batch, noisy=None, time=None):
        self.asked.append((noisy, time))
        return self.answer(noisy, time)


def random_errors(examples, rng) -> list[np.ndarray]:
    errors = [rng.normal(scale=0.01, size=e.fock.shape) for e in examples]
    return [e + e.T for e in errors]


def padded(batch, model, examples, matrices) -> torch.Tensor:
    joined = torch.zeros_like(batch.initial)
    for k, (e, matrix) in enumerate(zip(examples, matrices, strict=True)):
        order = model.slots.order(e.numbers.tolist())
        joined[k, : len(order), : len(order)] = torch.from_numpy(matrix[order][:, order])
    return joined


def test_measures_of_error_are_the_formulas(examples, rng):
    model = FockModel(small_config(STO))
    batch = batch_of(model, examples)
    errors = random_errors(examples, rng)
    got = orbital_errors(padded(batch, model, examples, errors), batch.layout, batch.targets)
    for k, (e, delta) in enumerate(zip(examples, errors, strict=True)):
        x = e.coefficients.T @ delta @ e.coefficients
        o, v = np.arange(e.n_occupied), np.arange(e.n_occupied, len(x))
        gaps = e.energies[v] - e.energies[o][:, None]
        wanted = {
            "mae": np.abs(delta).mean(),
            "rmse": np.sqrt((delta**2).mean()),
            "orbital": np.sqrt((x**2).mean()),
            "mixing": np.sqrt(((x[np.ix_(o, v)] / gaps) ** 2).mean()),
            "occupied": np.abs(x[np.ix_(o, o)]).mean(),
        }
        assert {n: got[n][k].item() for n in NAMES} == pytest.approx(wanted, rel=1e-8)


def test_the_orbital_measure_is_the_error_in_orthonormal_functions(examples, rng):
    """Wavefunction alignment, |C^T F C - ε|, is |S^-1/2 Δ S^-1/2|."""
    model = FockModel(small_config(STO))
    batch, errors = batch_of(model, examples), random_errors(examples, rng)
    got = orbital_errors(padded(batch, model, examples, errors), batch.layout, batch.targets)
    for k, (e, delta) in enumerate(zip(examples, errors, strict=True)):
        root = fractional_matrix_power(e.overlap, -0.5)
        aligned = e.coefficients.T @ (e.fock + delta) @ e.coefficients - np.diag(e.energies)
        for x in (root @ delta @ root, aligned):
            assert got["orbital"][k].item() == pytest.approx(np.sqrt((x**2).mean()), rel=1e-8)


def test_mixing_is_the_first_order_error_of_the_density(examples, rng):
    case = examples[0]
    model = FockModel(small_config(STO))
    batch = batch_of(model, [case])
    step = 1e-3
    (delta,) = random_errors([case], rng)
    error = padded(batch, model, [case], [step * delta])
    got = orbital_errors(error, batch.layout, batch.targets)["mixing"].item()

    def projector(fock):
        occupied = eigh(fock, case.overlap)[1][:, : case.n_occupied]
        root = fractional_matrix_power(case.overlap, 0.5)
        return root @ occupied @ occupied.T @ root

    change = np.linalg.norm(projector(case.fock + step * delta) - projector(case.fock))
    n = case.n_occupied * (len(case.fock) - case.n_occupied)
    assert change / np.sqrt(2 * n) == pytest.approx(got, rel=0.01)


def test_the_loss_is_the_weighted_sum_and_finite_at_zero(examples, generator):
    errors = random_errors(examples, np.random.default_rng(4))
    shift = []

    def answer(noisy, time):
        return shift[0].requires_grad_()

    model = Answers(answer, flow=False)
    batch = batch_of(model, examples)
    weights = Objective(mae=2.0, rmse=0.3, orbital=0.5, mixing=0.7, occupied=1.1)
    error = padded(batch, model, examples, errors)
    shift.append(batch.targets.delta + error)
    loss, parts = objective(model, batch, weights, generator)
    measures = orbital_errors(error, batch.layout, batch.targets)
    assert {n: x.item() for n, x in parts.items()} == pytest.approx(
        {n: measures[n].mean().item() for n in NAMES}
    )
    total = sum(getattr(weights, n) * measures[n].mean() for n in NAMES)
    torch.testing.assert_close(loss, total)
    shift[0] = batch.targets.delta.clone()
    loss, _ = objective(model, batch, weights, generator)
    (slope,) = torch.autograd.grad(loss, shift[0])
    assert loss.item() < 1e-5
    assert slope.isfinite().all()


def test_each_molecule_has_its_own_time_on_the_straight_path(examples):
    model = Answers(lambda noisy, time: noisy)
    batch = batch_of(model, examples * 30)
    settings = Objective(sigma=0.05)
    first = draw_prior(batch, model, "goe", 0.05, torch.Generator().manual_seed(8))
    objective(model, batch, settings, torch.Generator().manual_seed(8))
    noisy, time = model.asked[0]
    t = time[:, None, None]
    torch.testing.assert_close(noisy, (1 - t) * first + t * batch.targets.delta)
    assert 0.01 <= time.min() < 0.1
    assert 0.9 < time.max() <= 0.99
    assert len(time.unique()) == 90


def many_draws(model, examples, prior, sigma, generator) -> torch.Tensor:
    """6000 for each of the examples: (6000·n_examples, size, size), the examples in turn."""
    batch = batch_of(model, examples * 100)
    return torch.cat([draw_prior(batch, model, prior, sigma, generator) for _ in range(60)])


def orbital_matrix(numbers, element):
    """In the network's order and axes."""
    sign = torch.linalg.det(element).round()
    degrees = [l for z in numbers for l in STO[int(z)]]
    return torch.block_diag(*[degree_matrix(l, element * sign) * sign**l for l in degrees])


@pytest.mark.parametrize("prior", ["goe", "expansion"])
def test_priors_are_symmetric_centred_and_padded(prior, examples, generator):
    model = FockModel(small_config(STO))
    batch = batch_of(model, examples)
    h = draw_prior(batch, model, prior, 0.02, generator)
    assert torch.equal(h, h.mT)
    assert not h[~batch.layout.mask].any()
    water = many_draws(model, examples[:1], prior, 0.02, generator) / 0.02
    assert water.mean(0).abs().max() < 0.1  # standard error 0.013 to 0.018
    variance = water.var(0)  # standard error 0.018 to 0.036
    # Between different atoms every element has variance 1; atoms: 0-4, 5, 6
    different = torch.block_diag(torch.ones(5, 5), torch.ones(1, 1), torch.ones(1, 1)) == 0
    assert ((variance[different] - 1).abs() < 0.1).all()
    assert ((variance.diagonal() - 2).abs() < 0.2).all()


@pytest.mark.parametrize("improper", [1.0, -1.0])
@pytest.mark.parametrize("prior", ["goe", "expansion"])
def test_no_rotation_changes_the_law_of_a_prior(prior, improper, examples, generator):
    """Covariances of all pairs of elements, before and after a rotation."""
    model = FockModel(small_config(STO))
    h = many_draws(model, examples[:1], prior, 1.0, generator)
    element = improper * random_rotations(1, generator)[0]
    matrix = orbital_matrix(examples[0].numbers, element)
    turned = matrix @ h @ matrix.T
    rows, columns = torch.triu_indices(7, 7)
    before, after = (torch.cov(x[:, rows, columns].T) for x in (h, turned))
    assert (before - after).abs().max() < 0.2  # standard error up to 0.036, the largest of 784
    assert before.diagonal().min() > 0.5


def test_the_priors_differ_where_shells_couple(examples, generator):
    """In the expansion, the elements of one atom's s-p and p-s blocks come from the same draw."""
    model = FockModel(small_config(STO))
    goe, expansion = (
        many_draws(model, examples[2:], prior, 1.0, generator) for prior in ("goe", "expansion")
    )
    # 1s-2p and 2s-2p, same component: one irrep for both, or independent
    one, other = (torch.corrcoef(h[:, [0, 1], 2].T)[0, 1].item() for h in (goe, expansion))
    assert abs(one) < 0.1
    assert other > 0.95


@pytest.mark.parametrize("prior", ["goe", "expansion"])
def test_draws_follow_the_generator(prior, examples):
    model = FockModel(small_config(STO))
    batch = batch_of(model, examples)
    one, same, other = (
        draw_prior(batch, model, prior, 1.0, torch.Generator().manual_seed(s)) for s in (1, 1, 2)
    )
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


def test_one_euler_step_is_the_prediction_at_the_start(examples):
    model = Answers(lambda noisy, time: noisy.sin() + time[:, None, None])
    batch = batch_of(model, examples)
    settings = Objective(prior="expansion", sigma=0.1)
    got = sample(model, batch, settings, torch.Generator().manual_seed(6))
    first = draw_prior(batch, model, "expansion", 0.1, torch.Generator().manual_seed(6))
    torch.testing.assert_close(got, first.sin() + 0.01)
    assert len(model.asked) == 1


@pytest.mark.parametrize("steps", [1, 2, 7])
def test_who_knows_the_end_gets_there_in_any_number_of_steps(steps, examples, generator):
    model = Answers(None)
    batch = batch_of(model, examples)
    model.answer = lambda noisy, time: batch.targets.delta
    got = sample(model, batch, Objective(), generator, steps=steps)
    torch.testing.assert_close(got, batch.targets.delta)
    assert len(model.asked) == steps
    times = torch.stack([time for _, time in model.asked])
    assert torch.equal(times, times[:, :1].expand_as(times))
    wanted = torch.linspace(0.01, 1.0, steps + 1)[:-1]
    torch.testing.assert_close(times[:, 0], wanted.to(times))
    exact = sample(model, batch, Objective(), generator, integrate=odeint)
    torch.testing.assert_close(exact, batch.targets.delta)


def test_an_adaptive_integrator_finds_the_closed_form(examples):
    """Ĥ(H) = a H: dH/dt = (a-1) H/(1-t), so H(t) = H_0 ((1-t)/0.99)^(1-a)."""
    a = 0.3
    model = Answers(lambda noisy, time: a * noisy)
    batch = batch_of(model, examples)
    first = draw_prior(batch, model, "goe", 0.02, torch.Generator().manual_seed(6))
    generator = torch.Generator().manual_seed(6)
    got = sample(model, batch, Objective(), generator, integrate=odeint)
    torch.testing.assert_close(got, a * first * (0.01 / 0.99) ** (1 - a), rtol=1e-4, atol=1e-8)


def test_many_euler_steps_agree_with_the_adaptive_integrator(examples):
    model = Answers(None)
    batch = batch_of(model, examples)

    def answer(noisy, time):
        return batch.targets.delta + 0.5 * (noisy / 0.1).tanh() * 0.1 * (1 - time[:, None, None])

    model.answer = answer
    settings = Objective(sigma=0.2)
    exact = sample(model, batch, settings, torch.Generator().manual_seed(1), integrate=odeint)
    errors = []
    for steps in (20, 200):
        got = sample(model, batch, settings, torch.Generator().manual_seed(1), steps=steps)
        errors.append((got - exact).abs().max().item())
    assert errors[1] < 2e-3
    assert errors[1] < errors[0] / 4


def test_a_regression_answers_at_once(examples, generator):
    model = FockModel(small_config(STO)).double()
    batch = batch_of(model, examples)
    torch.testing.assert_close(sample(model, batch, Objective()), model(batch).detach())


def test_a_trained_like_flow_samples_with_gradients_off(examples, generator):
    model = FockModel(small_config(STO, flow=True)).double()
    batch = batch_of(model, [with_fock(e, e.fock) for e in examples])
    got = sample(model, batch, replace(Objective(), prior="expansion"), generator, steps=3)
    assert not got.requires_grad
    assert torch.allclose(got, got.mT)
    assert not got[~batch.layout.mask].any()
