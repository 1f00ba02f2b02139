"""Terms of a correction: derivatives, symmetry, and the fit of what is linear in them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from chemcases import geometries, species
from torch import Tensor

from genmol.boltzmann.renumbering import Group
from genmol.boltzmann.terms import Terms, fitted
from genmol.core.errors import InputError

SMILES = ("OO", "CCO", "C1CCOC1")


def frames(smiles: str, n: int, rng: np.random.Generator, noise: float = 0.04) -> Tensor:
    x = geometries(smiles, 1)[:1]
    return torch.from_numpy(x + noise * rng.standard_normal((n, *x.shape[1:])))


@pytest.mark.parametrize("smiles", SMILES)
def test_slopes_are_those_of_differences(smiles: str, rng: np.random.Generator) -> None:
    terms, x, h = Terms.of(species(smiles)), frames(smiles, 3, rng), 1e-6
    _, slopes = terms.at(x)
    direction = torch.tensor(rng.normal(size=x.shape))
    up, down = (terms.at(x + sign * h * direction)[0] for sign in (1, -1))
    along = torch.einsum("naxk,nax->nk", slopes, direction)
    torch.testing.assert_close(along, (up - down) / (2 * h), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("smiles", SMILES)
def test_images_have_the_same_terms(smiles: str, rng: np.random.Generator) -> None:
    """Mirror images, and equivalent atoms exchanged."""
    terms, x = Terms.of(species(smiles)), frames(smiles, 1, rng)
    value = terms.at(x)[0]
    torch.testing.assert_close(terms.at(-x)[0], value)
    images = torch.stack(list(Group.of(species(smiles)).images(x[0], most=64)))
    torch.testing.assert_close(terms.at(images)[0], value.expand(len(images), -1))


def test_hydrogens_of_a_methyl_group_are_alike(rng: np.random.Generator) -> None:
    terms, x = Terms.of(species("CCO")), frames("CCO", 1, rng)
    order = list(range(9))
    methyl = [j for j in species("CCO").neighbours[0] if j > 2]
    order[methyl[0]], order[methyl[1]] = methyl[1], methyl[0]
    torch.testing.assert_close(terms.at(x[:, order])[0], terms.at(x)[0])


@pytest.mark.parametrize("smiles", ["OO", "CCO"])
def test_what_is_linear_is_recovered(smiles: str, rng: np.random.Generator) -> None:
    """A correction that is a sum of the terms, up to a constant, at frames that were not fitted."""
    terms = Terms.of(species(smiles))
    x, fresh = frames(smiles, 60, rng), frames(smiles, 40, rng)
    values, slopes = terms.at(x)
    scale = slopes.square().mean(dim=(0, 1, 2)).sqrt()
    c = torch.tensor(rng.normal(size=values.shape[1])) * 0.02 / scale
    fit = fitted(species(smiles), x, values @ c + 3.7, -slopes @ c)
    spread = float((terms.at(fresh)[0] @ c).std())
    miss = terms.at(fresh)[0] @ (fit.coefficients - c)
    assert float(miss.std()) < 0.02 * spread
    assert fit.error < 0.05 * spread
    assert fit.offset == pytest.approx(float((values @ fit.coefficients).mean()))
    assert fit.frames == 60


def test_the_error_is_honest_about_noise(rng: np.random.Generator) -> None:
    """Differences that no terms explain: the cross-validated error is their standard deviation."""
    x = frames("OO", 200, rng)
    noise = torch.tensor(rng.normal(size=200)) * 0.05
    fit = fitted(species("OO"), x, noise, torch.zeros_like(x))
    assert fit.error == pytest.approx(0.05, rel=4 / (2 * 200) ** 0.5)


def test_too_few_frames(rng: np.random.Generator) -> None:
    x = frames("OO", 7, rng)
    with pytest.raises(InputError, match="7 frames to fit"):
        fitted(species("OO"), x, torch.zeros(7), torch.zeros_like(x))
