"""The derivative of the commutator loss, against differences of the loss and at the solution."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from ase.build import molecule
from scipy.linalg import eigh, expm, qr, sqrtm

from genmol.core.errors import InputError
from genmol.qc.functional import resolve
from genmol.qc.molecule import build_mean_field, build_molecule
from genmol.qc.orbitals import initial_fock, shells_of
from genmol.scf.commutator import (
    CheapFock,
    CheapFocks,
    CommutatorObjective,
    commutator_gradient,
)
from genmol.scf.examples import FockExample
from genmol.scf.fock_batch import FockBatch
from genmol.scf.fock_model import FockModel, FockModelConfig
from genmol.scf.qhflow import Objective

pytestmark = pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")
SHELLS = {1: (0, 0, 1), 8: (0, 0, 0, 1, 1, 2)}


def mean_field(positions: np.ndarray | None = None, xc: str = "b3lyp"):
    atoms = molecule("H2O")
    if positions is not None:
        atoms.positions = positions
    mol = build_molecule(atoms, basis="def2-svp", charge=0, multiplicity=1)
    return build_mean_field(mol, resolve(xc), spin_treatment="restricted")


@pytest.fixture(scope="module")
def level() -> CheapFock:
    return CheapFock(mean_field(), offset="grid")


@pytest.fixture(scope="module")
def start(level) -> np.ndarray:
    return initial_fock(level.mf, "minao", cheap=level.cheap)


@pytest.fixture(scope="module")
def solution(level, start) -> np.ndarray:
    """The fixed point of F -> F_c[D[F]], by damped repetition."""
    fock = start
    for _ in range(200):
        occupied = eigh(fock, level.overlap)[1][:, : level.n_occupied]
        new = level.fock(occupied)
        if np.abs(new - fock).max() < 1e-11:
            break
        fock = 0.4 * fock + 0.6 * new
    return new


def transported_loss(level, c, weights, fock) -> float:
    """L of ``fock``, in the orbitals of its spaces that are nearest to ``c``, weights kept."""
    n, s = level.n_occupied, level.overlap
    exact = eigh(fock, s)[1]

    def nearest(space, old):
        inside = space @ (space.T @ s @ old)
        return inside @ np.linalg.inv(np.real(sqrtm(inside.T @ s @ inside)))

    o, v = nearest(exact[:, :n], c[:, :n]), nearest(exact[:, n:], c[:, n:])
    return 0.5 * float(np.sum((weights * (v.T @ level.fock(o) @ o)) ** 2))


@pytest.mark.parametrize("gap", ["constant", "none"])
def test_gradient_is_the_slope_of_the_loss(level, start, gap):
    rng = np.random.default_rng(1)
    n = level.n_occupied
    energies, c = eigh(start, level.overlap)
    gaps = energies[n:, None] - energies[None, :n]
    weights = 1 / gaps if gap == "constant" else np.ones_like(gaps)
    found = commutator_gradient(level, start, gap=gap)
    assert found.loss == pytest.approx(transported_loss(level, c, weights, start), rel=1e-10)
    assert found.builds == 3
    scale = np.linalg.norm(found.gradient)
    for _ in range(3):
        change = rng.normal(size=start.shape)
        change = level.overlap @ (change + change.T) @ level.overlap + 3 * found.gradient / scale
        change /= np.linalg.norm(change)
        slopes = [
            (
                transported_loss(level, c, weights, start + h * change)
                - transported_loss(level, c, weights, start - h * change)
            )
            / (2 * h)
            for h in (2e-3, 1e-3)
        ]
        slope = (4 * slopes[1] - slopes[0]) / 3  # Richardson
        assert np.sum(found.gradient * change) == pytest.approx(slope, rel=1e-6)


def test_nothing_is_left_at_the_solution(level, solution, start):
    found = commutator_gradient(level, solution)
    worse = commutator_gradient(level, start)
    assert found.loss < 1e-18 < 1e-4 < worse.loss
    assert np.linalg.norm(found.gradient) < 1e-8 * np.linalg.norm(worse.gradient)
    assert found.consistency < 1e-10


def test_orbital_gradient_is_that_of_pyscf(level, start):
    n = level.n_occupied
    _, c = eigh(start, level.overlap)
    occ = np.where(np.arange(len(c)) < n, 2.0, 0.0)
    g = level.mf.get_grad(c, occ, level.fock(c[:, :n]))
    assert commutator_gradient(level, start).orbital_gradient == pytest.approx(
        np.linalg.norm(g), rel=1e-12
    )


def test_rotations_among_occupied_and_among_virtual_orbitals_leave_it(level, start):
    """F̂ with other energies and the same spaces: without gaps the loss is a function of D only."""
    rng = np.random.default_rng(2)
    n, size = level.n_occupied, len(start)
    energies, c = eigh(start, level.overlap)
    turn = np.zeros((size, size))
    turn[:n, :n] = qr(rng.normal(size=(n, n)))[0]
    turn[n:, n:] = qr(rng.normal(size=(size - n, size - n)))[0]
    turned = c @ turn
    dual = level.overlap @ turned
    other = commutator_gradient(level, dual @ np.diag(energies) @ dual.T, gap="none")
    found = commutator_gradient(level, start, gap="none")
    assert other.loss == pytest.approx(found.loss, rel=1e-8)


def test_a_rotated_molecule_has_the_same_loss():
    """Hartree-Fock, because a grid does not turn with the molecule."""
    turn = expm(np.array([[0.0, 0.3, -1.0], [-0.3, 0.0, 0.7], [1.0, -0.7, 0.0]]))
    found, norms = [], []
    for positions in (None, molecule("H2O").positions @ turn.T):
        level = CheapFock(mean_field(positions, xc="hf"))
        start = initial_fock(level.mf, "minao", cheap=level.cheap)
        found.append(commutator_gradient(level, start))
        root = np.real(sqrtm(level.overlap))
        norms.append(np.linalg.norm(root @ found[-1].gradient @ root))
    assert found[1].loss == pytest.approx(found[0].loss, rel=1e-9)
    assert found[1].consistency == pytest.approx(found[0].consistency, rel=1e-9)
    assert norms[1] == pytest.approx(norms[0], rel=1e-6)


@pytest.mark.parametrize("gap", ["constant", "none"])
def test_steps_on_the_matrix_itself_reduce_the_loss(level, start, gap):
    """Downhill, in the metric of orthonormal functions, halving a step that is too long."""
    fock, length = start.copy(), 0.5
    losses = [commutator_gradient(level, fock, gap=gap).loss]
    for _ in range(8):
        slope = level.overlap @ commutator_gradient(level, fock, gap=gap).gradient @ level.overlap
        while (new := commutator_gradient(level, fock - length * slope, gap=gap)).loss > losses[-1]:
            length /= 2
        fock = fock - length * slope
        losses.append(new.loss)
    assert losses[-1] < 0.3 * losses[0]


# --- in training


def water(name: str, seed: int, **changes) -> FockExample:
    positions = molecule("H2O").positions + 0.02 * np.random.default_rng(seed).normal(size=(3, 3))
    mf = mean_field(positions)
    initial = initial_fock(mf, "minao")
    noise = 0.02 * np.random.default_rng(seed).normal(size=initial.shape)
    fock = initial + mf.get_ovlp() * (noise + noise.T)
    zero = np.zeros_like(initial)
    fields = {
        "name": name, "source": "O", "part": "train", "numbers": np.array([8, 1, 1]),
        "positions": positions, "overlap": mf.get_ovlp(), "initial": initial, "fock": fock,
        "coefficients": zero, "energies": zero[0], "n_occupied": 5,
    }  # fmt: skip
    return FockExample(**{**fields, **changes})


def small_model(**options) -> FockModel:
    torch.manual_seed(0)
    config = FockModelConfig(
        SHELLS, channels=4, other_channels=2, edge_channels=(8, 4, 4, 4, 4, 4),
        product_channels=2, layers=1, n_radial=8, embedding=8, **options,
    )  # fmt: skip
    return FockModel(config).double()


@pytest.mark.parametrize("flow", [False, True])
def test_training_without_labels(flow):
    """The labels of these examples are noise; the loss falls and |g| with it."""
    examples = [water("a", 1), water("b", 2)]
    model = small_model(flow=flow)
    levels = CheapFocks(examples, xc="b3lypg", basis="def2-svp")
    objective = CommutatorObjective(levels, sigma=Objective().sigma)
    batch = FockBatch.collate(examples, model.slots, cutoff=12.0, dtype=torch.float64)
    model.calibrate([batch])
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
    curve = []
    for _ in range(12):
        loss, logs = objective(model, batch, torch.Generator().manual_seed(0))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        assert logs["cheap_builds"] == 3
        curve.append((loss.item(), float(logs["cheap_gradient"])))
    assert curve[-1][0] < 0.9 * curve[0][0]
    assert curve[-1][1] < curve[0][1]
    assert loss.item() == pytest.approx(
        float(logs["commutator"]) + 0.1 * float(logs["consistency"]), rel=1e-12
    )


def test_the_slope_reaches_the_network():
    """A step along one weight changes the loss as autograd says."""
    example = water("a", 3)
    model = small_model()
    levels = CheapFocks([example], xc="b3lypg", basis="def2-svp")
    objective = CommutatorObjective(levels, consistency=0.0, gap="none")
    batch = FockBatch.collate([example], model.slots, cutoff=12.0, dtype=torch.float64)
    generator = torch.Generator()
    loss, _ = objective(model, batch, generator)
    loss.backward()
    slopes = [(p.grad.norm(), p) for p in model.parameters() if p.grad is not None]
    weight = max(slopes, key=lambda pair: pair[0])[1]
    direction = weight.grad / weight.grad.norm()
    values = []
    for sign in (1, -1):
        with torch.no_grad():
            weight.add_(direction, alpha=sign * 1e-4)
            values.append(float(objective(model, batch, generator)[0]))
            weight.sub_(direction, alpha=sign * 1e-4)
    slope = (values[0] - values[1]) / 2e-4
    assert float(weight.grad.norm()) == pytest.approx(slope, rel=1e-4)


def test_levels_are_kept_within_the_bound():
    examples = [water(name, k) for k, name in enumerate("abc")]
    levels = CheapFocks(examples, xc="b3lypg", basis="def2-svp")
    first = levels["a"]
    assert levels["a"] is first
    one = levels.memory
    levels.memory_mb = 2.5 * one
    for name in "bc":
        levels[name]
    assert len(levels) == 2
    again = levels["a"]
    assert again is not first
    assert again.offset is first.offset


def test_two_molecules_of_one_name_are_refused():
    example = water("a", 0)
    with pytest.raises(InputError, match="2 molecules of 1 names"):
        CheapFocks([example, example], xc="b3lypg", basis="def2-svp")


def test_shells_of_the_test_are_those_of_the_basis():
    assert shells_of(mean_field().mol) == SHELLS
