"""The predicted matrix obeys the laws of a Fock matrix, whatever the weights."""

import json
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import molecule
from fockcases import (
    STO,
    any_weights,
    batch_of,
    chiral,
    example,
    orbital_rotation,
    rotated,
    small_config,
    with_fock,
)
from scipy.spatial.transform import Rotation

from genmol.core.errors import InputError
from genmol.scf.examples import FockInput
from genmol.scf.fock_batch import FockBatch
from genmol.scf.fock_model import FockModel, FockModelConfig

ROTATION = Rotation.from_rotvec([0.3, -1.1, 2.0]).as_matrix()


@pytest.fixture(scope="module")
def examples():
    return [example(atoms) for atoms in (chiral(), molecule("H2O"), molecule("CH4"), Atoms("O"))]


@pytest.fixture(scope="module")
def regression(examples) -> FockModel:
    return any_weights(small_config(), examples)


@pytest.fixture(scope="module")
def flow(examples) -> FockModel:
    return any_weights(small_config(flow=True), examples)


def predict(model, case, *, noisy=None, time=0.4) -> np.ndarray:
    """ΔH of one molecule in PySCF's order; ``noisy`` in this order too."""
    batch = batch_of(model, [case])
    if noisy is None:
        return batch.matrix(model(batch), 0, model.slots)
    order = model.slots.order(case.numbers.tolist())
    h = torch.from_numpy(noisy[order][:, order])[None]
    return batch.matrix(model(batch, h, torch.tensor([time])), 0, model.slots)


def relative(got, wanted) -> float:
    assert np.abs(wanted).max() > 1e-3
    return np.abs(got - wanted).max() / np.abs(wanted).max()


ELEMENTS = {
    "rotation": ROTATION,
    "reflection": -ROTATION,
    "inversion": -np.eye(3),
    "about x": Rotation.from_rotvec([np.pi / 2, 0, 0]).as_matrix(),
    "about y": Rotation.from_rotvec([0, 0.7, 0]).as_matrix(),
    "about z": Rotation.from_rotvec([0, 0, 1.9]).as_matrix(),
}


@pytest.mark.parametrize("element", ELEMENTS)
@pytest.mark.parametrize("atoms", [chiral(), molecule("CH4"), molecule("CO2")], ids=str)
def test_the_matrix_turns_with_the_molecule(regression, atoms, element):
    """Integrals are computed again for the turned molecule, and PySCF says how orbitals turn."""
    q = ELEMENTS[element]
    before, after = example(atoms), example(rotated(atoms, q))
    matrix = orbital_rotation(atoms, "def2-svp", q)
    assert relative(matrix @ before.initial @ matrix.T, after.initial) < 1e-11  # PySCF's own
    got, old = predict(regression, after), predict(regression, before)
    assert relative(got, matrix @ old @ matrix.T) < 1e-10


@pytest.mark.parametrize("element", ["rotation", "reflection"])
def test_a_flow_turns_with_its_noise(flow, element, rng):
    q = ELEMENTS[element]
    before, after = example(chiral()), example(rotated(chiral(), q))
    matrix = orbital_rotation(chiral(), "def2-svp", q)
    noise = rng.normal(scale=0.02, size=before.fock.shape)
    noise = noise + noise.T
    old = predict(flow, before, noisy=noise)
    got = predict(flow, after, noisy=matrix @ noise @ matrix.T)
    assert relative(got, matrix @ old @ matrix.T) < 1e-10
    assert relative(predict(flow, before, noisy=noise, time=0.9), old) > 1e-5  # it reads the time
    assert relative(predict(flow, before, noisy=0 * noise), old) > 1e-5  # and the noise


def test_it_is_symmetric_and_the_mean_of_two_estimates(regression, examples):
    batch = batch_of(regression, examples)
    delta, raw = regression(batch), regression.unsymmetrised(batch)
    assert torch.equal(delta, delta.mT)
    torch.testing.assert_close(delta, (raw + raw.mT) / 2)
    assert (raw - raw.mT).abs().mean() > 1e-6
    assert not delta[~batch.layout.mask].any()


def test_the_order_of_atoms_does_not_matter(regression, rng):
    atoms = chiral()
    order = rng.permutation(len(atoms))
    before, after = example(atoms), example(atoms[order])
    sizes = [5 if z == 1 else 14 for z in atoms.numbers]
    starts = np.concatenate([[0], np.cumsum(sizes)])
    orbitals = np.concatenate([np.arange(starts[k], starts[k + 1]) for k in order])
    old = predict(regression, before)
    assert relative(predict(regression, after), old[orbitals][:, orbitals]) < 1e-10


def test_molecules_of_a_batch_do_not_see_each_other(regression, examples):
    batch = batch_of(regression, examples)
    together = regression(batch)
    for k, case in enumerate(examples):
        got = batch.matrix(together, k, regression.slots)
        assert relative(got, predict(regression, case)) < 1e-10


def test_single_precision_is_enough(regression, examples):
    wanted = regression(batch_of(regression, examples))
    single = FockModel(regression.config)
    single.load_state_dict(regression.state_dict())
    got = single.float()(batch_of(regression, examples, torch.float32))
    assert got.dtype == torch.float32
    assert (got.double() - wanted).abs().max() < 1e-4 * wanted.abs().max()


def test_a_prediction_hardly_changes_when_a_symmetry_is_broken(regression, rng):
    """Moved by 1e-6 Å off a tetrahedron, the matrix changes by less than 1e-4 of itself."""
    atoms = molecule("CH4")
    still = predict(regression, example(atoms))
    atoms.positions += 1e-6 * rng.uniform(-1, 1, size=(5, 3))
    assert relative(predict(regression, example(atoms)), still) < 1e-4


def chain(n: int) -> Atoms:
    """So close together that every atom is within the cutoff of all others."""
    return Atoms(f"H{n}", positions=np.outer(np.arange(n), [0.1, 0.05, 0.12]))


def test_a_chain_of_forty_atoms_has_all_its_pairs():
    case = example(chain(40), "sto-3g")
    model = any_weights(small_config({1: (0,)}), [case])
    batch = batch_of(model, [case])
    assert batch.graph.edge_index.shape[1] == 40 * 39
    assert (predict(model, case) != 0).all()


def test_an_atom_alone_and_an_element_unlike_the_others(regression):
    case = example(Atoms("O"))
    delta = predict(regression, case)
    wanted = np.zeros((14, 14), dtype=bool)  # only s-s, p-p and d-d, and within them multiples of 1
    for degree, slices in ((1, [0, 1, 2]), (3, [3, 6]), (5, [9])):
        for a in slices:
            for b in slices:
                wanted[a : a + degree, b : b + degree] = np.eye(degree, dtype=bool)
    assert np.abs(delta[~wanted]).max() < 1e-12 < np.abs(delta[wanted]).min()


def test_a_pair_fades_in_with_the_third_power(examples):
    """Values and two slopes are continuous where a pair comes within the cutoff."""
    case = examples[0]
    model = any_weights(small_config(), examples)
    distances = np.linalg.norm(case.positions[:, None] - case.positions, axis=2)
    longest = float(distances.max())
    model.config = replace(model.config, cutoff=longest)
    jumps = []
    for margin in (0.08, 0.04, 0.02):
        cutoff = longest + margin
        changed = FockModel(replace(model.config, cutoff=cutoff)).double()
        changed.load_state_dict(model.state_dict())
        batches = [
            FockBatch.collate([case], model.slots, cutoff=c, dtype=torch.float64)
            for c in (cutoff, longest - 1e-6)
        ]
        sizes = [b.graph.edge_index.shape[1] for b in batches]
        assert sizes[0] == sizes[1] + 2
        inside, outside = (changed(b) for b in batches)
        jumps.append((inside - outside).abs().max().item())
    assert jumps[0] > 1e-9
    assert all(6 < a / b < 10 for a, b in pairwise(jumps))


@pytest.mark.parametrize("kind", ["regression", "flow"])
def test_every_parameter_is_used(kind, examples, request, generator):
    model = request.getfixturevalue(kind)
    batch = batch_of(model, examples)
    inputs = ()
    if kind == "flow":
        noise = torch.randn(batch.initial.shape, generator=generator, dtype=torch.float64)
        inputs = (noise + noise.mT, torch.tensor([0.1, 0.4, 0.7, 0.9]).double())
    model.zero_grad()
    delta = model(batch, *inputs)
    (delta * torch.randn(delta.shape, generator=generator, dtype=torch.float64)).sum().backward()
    dead = [n for n, p in model.named_parameters() if p.numel() and not p.grad.any()]
    assert dead == []


def test_calibration_makes_targets_of_unit_spread(examples):
    model = FockModel(small_config()).double()
    batches = [batch_of(model, examples[:2]), batch_of(model, examples[2:])]
    model.calibrate(batches)
    # ΔH is T/10: with the shell potentials subtracted, what is left has spread 1 for each kind
    seen = {name: b for name, b in model.head.bond_scales.named_buffers() if "scale" in name}
    assert all((x > 0).all() and x.isfinite().all() for x in seen.values())
    again = FockModel(small_config()).double()
    again.calibrate([batch_of(model, examples)])
    for (name, x), y in zip(model.named_buffers(), again.buffers(), strict=True):
        torch.testing.assert_close(x, y, atol=1e-9, rtol=1e-6, msg=name)  # batching does not matter


def test_collating_and_taking_out_is_the_identity(examples):
    model = FockModel(small_config())
    batch = batch_of(model, examples)
    for k, case in enumerate(examples):
        np.testing.assert_array_equal(batch.matrix(batch.overlap, k, model.slots), case.overlap)
        np.testing.assert_array_equal(batch.matrix(batch.initial, k, model.slots), case.initial)
        delta = case.fock - case.initial
        np.testing.assert_array_equal(batch.matrix(batch.targets.delta, k, model.slots), delta)
        c, n = batch.targets.coefficients[k], len(case.energies)
        torch.testing.assert_close(
            c.mT @ batch.overlap[k] @ c, torch.diag(batch.layout.mask[k]).double()
        )
        assert torch.equal(batch.targets.energies[k, :n], torch.from_numpy(case.energies))
    assert batch.targets.occupied.tolist() == [9, 5, 5, 4]


def test_inputs_without_a_solution_make_batches_without_targets(examples, regression):
    known = [FockInput(e.name, e.numbers, e.positions, e.overlap, e.initial) for e in examples[:2]]
    batch = batch_of(regression, known)
    assert batch.targets is None
    wanted = regression(batch_of(regression, examples[:2]))
    assert torch.equal(regression(batch), wanted)
    assert torch.equal(regression(batch.to("cpu")), wanted)


def test_the_network_is_blind_to_the_solution(regression, examples):
    changed = [with_fock(e, e.fock + np.eye(len(e.fock))) for e in examples]
    one, other = (regression(batch_of(regression, x)) for x in (examples, changed))
    assert torch.equal(one, other)


def test_an_element_without_shells_is_refused(regression):
    with pytest.raises(InputError, match="atomic number 9"):
        batch_of(regression, [example(molecule("HF"))])


def test_configurations_survive_json():
    config = small_config(STO, flow=True, start="sap")
    assert FockModelConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config
    assert config.backbone.elements == (1, 6, 8)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"l_max": 3}, "twice the highest degree"),
        ({"edge_channels": [8, 8, 8, 8]}, "twice the highest degree"),
        ({"shells": None}, "cannot be read"),
        ({"shells": {"H": [0]}}, "cannot be read"),
        ({"attention": True}, "cannot be read"),
        ({"edge_channels": 8}, "cannot be read"),
    ],
)
def test_faulty_configurations_are_refused(change, message):
    with pytest.raises(InputError, match=message):
        FockModelConfig.from_dict({**small_config().to_dict(), **change})


def test_a_model_without_angular_functions_works():
    """H2 and its like in a minimal basis: l_max = 0, no irreps but scalars."""
    case = example(molecule("H2"), "sto-3g")
    model = any_weights(small_config({1: (0,)}), [case])
    delta = predict(model, case)
    assert relative(delta[::-1, ::-1], delta) < 1e-12  # its atoms are alike
    assert np.abs(delta).min() > 1e-6
