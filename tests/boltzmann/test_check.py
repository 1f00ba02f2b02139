"""The whole check on samples whose truth is known: right ones pass, seeded faults are flagged."""

from __future__ import annotations

import json
from functools import cache

import numpy as np
import pytest
import torch

from genmol.boltzmann.certificate import LOCALLY, NOT, Bias
from genmol.boltzmann.check import Evidence, check_samples
from genmol.boltzmann.systems import System
from genmol.chem.conformers import embed
from genmol.chem.species import Species, species_from_smiles
from genmol.core.jsonable import dumps
from genmol.potentials.mmff import MMFF
from samplers.clusters import LennardJones
from samplers.hmc import HMC
from samplers.mixtures import GaussianMixture
from samplers.run import run

SHARES, MEANS, WIDTHS = [0.6, 0.35, 0.05], [[-4.0, 0], [4.0, 0], [0.0, 6.0]], [1.0, 0.7, 0.8]
MIXTURE = GaussianMixture.of(SHARES, MEANS, WIDTHS)


def exact(
    n: int, rng: np.random.Generator, shares: list[float] = SHARES, heat: float = 1.0
) -> np.ndarray:
    which = rng.choice(3, p=shares, size=n)
    width = np.sqrt(heat) * np.array(WIDTHS)[which][:, None]
    return np.array(MEANS)[which] + width * rng.normal(size=(n, 2))


def failed(x: np.ndarray, gradients: int = 40_000, **kwargs: object) -> tuple[str, set[str]]:
    """Verdict, and names of what failed."""
    found = check_samples(
        x, System.of(MIXTURE, 1.0), runs=np.arange(len(x)), gradients=gradients, moves=8, **kwargs
    ).certificate  # type: ignore[arg-type]
    names = {f.check.name.split(" ")[0] for f in found.findings if f.check.status == "fail"}
    assert found.exit_code == (3 if names else 0)
    return found.verdict, names


def test_a_right_set(rng: np.random.Generator) -> None:
    x = exact(1500, rng)
    found = check_samples(
        x, System.of(MIXTURE, 1.0), runs=np.arange(1500) % 30, gradients=80_000, moves=12,
        evidence=Evidence(energies=-MIXTURE.log_density(torch.tensor(x)) + 3.0, energy_calls=7,
                          gradient_calls=11, seconds=100.0, round_trips=40),
    )  # fmt: skip
    certificate = found.certificate
    assert certificate.verdict.startswith("Boltzmann to ±0.")
    assert certificate.verdict.endswith("reduced units on 3 listed states")
    assert [s.name for s in certificate.observables.states] == ["state 0", "state 1", "state 2"]
    for state, truth in zip(certificate.observables.states, SHARES, strict=True):
        # 99.99 %: twice the half-width
        assert abs(state.population.value - truth) < 2.2 * state.population.half_width
    data = json.loads(dumps(certificate.to_dict()))
    assert data["gradient_calls"] > 1511
    assert data["seconds"] > 100
    assert data["record"]["target"]["sha256"]
    assert {c["section"] for c in data["checks"]} >= {
        "target", "identities", "invariance", "weights", "coverage", "agreement", "verdict",
    }  # fmt: skip
    tests = [c for c in data["checks"] if c["name"].startswith(("virial", "energy after"))]
    assert all(c["draws_needed"] > 0 for c in tests)
    again = check_samples(
        x, System.of(MIXTURE, 1.0), runs=np.arange(1500) % 30, gradients=80_000, moves=12
    ).certificate
    one, two = ({f.check.name: f.check.value for f in c.findings} for c in (certificate, again))
    assert {k: v for k, v in one.items() if k in two} == {k: one[k] for k in two if k in one}


def test_seeded_faults(rng: np.random.Generator) -> None:
    verdict, names = failed(exact(2000, rng, heat=1.25))
    assert verdict == NOT
    assert "configurational" in names
    proposal = 1.6 * rng.normal(size=(4000, 2)) * [3.0, 2.0] + [0.0, 1.0]
    scaled = (proposal - [0.0, 1.0]) / [4.8, 3.2]
    log_q = -0.5 * (scaled**2).sum(axis=1)
    weights = np.exp(MIXTURE.log_density(torch.tensor(proposal)).numpy() - log_q)
    verdict, names = failed(proposal, weights=weights, evidence=Evidence(log_proposal=log_q))
    assert names == set()
    cut = np.minimum(weights, np.quantile(weights, 0.97))
    verdict, names = failed(proposal, weights=cut)
    assert verdict != "Boltzmann"
    assert "weights" in names
    verdict, names = failed(proposal, weights=cut, evidence=Evidence(log_proposal=log_q))
    assert {"weights", "share"} <= names  # and the ledger knows by how much


@pytest.mark.slow
def test_a_missing_state(rng: np.random.Generator) -> None:
    """One of 35 %; a quarter of the calls goes to independent runs, and half as many miss it."""
    verdict, names = failed(exact(2000, rng, shares=[0.92, 0.0, 0.08]), gradients=800_000)
    assert verdict == LOCALLY
    assert "populations" in names


def test_bias_given_in(rng: np.random.Generator) -> None:
    ledger = (Bias("largest weights dropped", 0.03, "0.2 % of the draws"),)
    verdict, names = failed(exact(1000, rng), evidence=Evidence(bias_ledger=ledger))
    assert (verdict, names) == (LOCALLY, {"share"})


@cache
def halomethane() -> tuple[Species, np.ndarray]:
    """CHFClBr at 300 K by Hamiltonian Monte Carlo, 24 runs of 40 draws."""
    species = species_from_smiles("F[C@H](Cl)Br")
    system = System.of(MMFF(species.mol), 300.0, species=species)
    start = torch.from_numpy(embed(species, 1, 0).positions[:1]).repeat(24, 1, 1)
    found = run(
        HMC(step_size=0.02, leaps=6), system.target, start, seed=1, warm_up=60, draws=40, thin=2
    )
    return species, found.x.transpose(0, 1).flatten(0, 1).numpy()


def molecular(
    x: np.ndarray, temperature: float = 300.0, evidence: Evidence | None = None
) -> tuple[str, set[str]]:
    species, _ = halomethane()
    system = System.of(MMFF(species.mol), temperature, species=species)
    found = check_samples(
        x,
        system,
        runs=np.repeat(np.arange(24), 40),
        gradients=12_000,
        moves=6,
        evidence=evidence or Evidence(),
    ).certificate
    names = {f.check.name for f in found.findings if f.check.status == "fail"}
    return found.verdict, names


def test_a_molecule() -> None:
    _, x = halomethane()
    verdict, names = molecular(x)
    assert not names
    assert verdict.startswith("Boltzmann to ±0.")
    assert "kcal/mol" in verdict


def test_a_molecule_with_faults() -> None:
    species, x = halomethane()
    hot, names = molecular(x, temperature=250.0)
    assert hot == NOT
    assert any("equipartition" in name for name in names)
    mirrored = x.copy()
    mirrored[5] *= [-1, 1, 1]
    verdict, names = molecular(mirrored)
    assert verdict == NOT
    assert any("another molecule" in name for name in names)
    energies = System.of(MMFF(species.mol), 1.0, species=species).target.log_density(
        torch.tensor(x)
    )
    verdict, names = molecular(x, evidence=Evidence(energies=-27.2 * energies))  # in another unit
    assert any("energies of the samples" in name for name in names)


def test_the_factor_of_the_pairs(rng: np.random.Generator) -> None:
    # gas-like draws of one form of LJ13 against the other
    start = LennardJones.bgflow(13)
    from samplers.rng import Streams

    x = start.start(Streams.of(seed=3, chains=80))
    found = run(HMC(step_size=0.02, leaps=8), start, x, seed=3, warm_up=60, draws=2, thin=20)
    samples = found.x.flatten(0, 1)
    verdict = check_samples(
        samples,
        System.of(LennardJones.dem(13), 1.0),
        runs=np.arange(160),
        gradients=40_000,
        moves=20,
    ).certificate.verdict
    assert verdict == NOT
