"""A taught potential: forces, the difference it was taught, symmetry, and its bound."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from chaincases import FOUR, TRIOXIDE, Chain, exact
from chemcases import species
from torch import Tensor

from genmol.boltzmann.renumbering import Group
from genmol.boltzmann.surrogate import Corrected
from genmol.boltzmann.terms import Fit, Terms, fitted
from genmol.potentials.target import MoleculeTarget
from samplers.rng import Streams
from samplers.target import check_gradient

BOUND = 2.0  # eV
SPECIES = species(TRIOXIDE)


def target(potential: Chain | Corrected) -> MoleculeTarget:
    return MoleculeTarget(
        potential=potential, numbers=torch.from_numpy(SPECIES.numbers.copy()), temperature=300.0
    )


def energy(potential: Chain | Corrected, x: Tensor) -> Tensor:
    one = target(potential)
    return -one.log_density(x) * one.kT


def some_fit(rng: np.random.Generator, x: Tensor, size: float) -> Fit:
    """Random coefficients whose sum varies by some eV."""
    terms = Terms.of(SPECIES)
    values = terms.at(x)[0]
    c = torch.tensor(rng.normal(size=values.shape[1])) / values.std(dim=0).clamp_min(1e-3)
    c = c * size / float((values @ c).std())
    return Fit(terms, c, float((values @ c).mean()), 0.01, len(x))


@pytest.mark.parametrize("size", [0.05, 3.0])
def test_forces_are_gradients(size: float, rng: np.random.Generator) -> None:
    x = exact(TRIOXIDE, FOUR, 40, rng)
    corrected = Corrected(Chain(TRIOXIDE, FOUR), some_fit(rng, x, size))
    check_gradient(target(corrected), x, Streams.of(seed=1, chains=40), step=1e-5)


def test_it_is_the_bounded_sum_of_its_terms(rng: np.random.Generator) -> None:
    """The fast evaluation against the plain one."""
    x, plain = exact(TRIOXIDE, FOUR, 30, rng), Chain(TRIOXIDE, FOUR)
    fit = some_fit(rng, x, 3.0)
    z = fit.terms.at(x)[0] @ fit.coefficients - fit.offset
    expected = z * (1 + (z / BOUND) ** 4) ** -0.25
    found = energy(Corrected(plain, fit), x) - energy(plain, x)
    torch.testing.assert_close(found, expected)
    assert float(found.abs().max()) <= BOUND
    assert float(z.abs().max()) > BOUND


def test_images_have_the_same_energy(rng: np.random.Generator) -> None:
    x = exact(TRIOXIDE, FOUR, 20, rng)
    corrected = Corrected(Chain(TRIOXIDE, FOUR), some_fit(rng, x, 1.0))
    images = torch.stack(list(Group.of(SPECIES).images(x[0], most=8)))
    found = energy(corrected, images)
    assert len(found) == 4
    torch.testing.assert_close(found, found[:1].expand(4))


def test_it_learns_a_longer_bond(rng: np.random.Generator) -> None:
    """Rest lengths changed by 0.02 Å: linear in r up to a constant, so it is learnt exactly."""
    cheap, right = Chain(TRIOXIDE, FOUR), Chain(TRIOXIDE, FOUR, shift=0.02)
    x, fresh = exact(TRIOXIDE, FOUR, 60, rng), exact(TRIOXIDE, FOUR, 200, rng)
    there, here = target(right).evaluate(x), target(cheap).evaluate(x)
    kT = target(cheap).kT
    fit = fitted(
        SPECIES,
        x,
        (here.log_density - there.log_density) * kT,
        (there.gradient - here.gradient) * kT,
    )
    corrected = Corrected(cheap, fit)

    def miss(potential: Chain | Corrected) -> float:
        return float((energy(potential, fresh) - energy(right, fresh)).std())

    assert miss(corrected) < 0.02 * miss(cheap)
    assert fit.error < 0.05 * miss(cheap)


def test_the_record_tells_corrections_apart(rng: np.random.Generator) -> None:
    x = exact(TRIOXIDE, FOUR, 20, rng)
    one, other = (Corrected(Chain(TRIOXIDE, FOUR), some_fit(rng, x, 0.5)) for _ in range(2))
    assert one.level != other.level
    assert one.level["method"] == "chain"
    assert one.name == "chain, corrected"
