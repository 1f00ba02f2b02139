"""Score models: symmetries, the plane, batches, normal laws, attributes, configurations."""

from __future__ import annotations

import json

import pytest
import torch
from torch import Tensor

from genmol.boltzmann.score_batch import Particles, ScoreBatch, ScoreFrame
from genmol.boltzmann.score_model import ScoreModel, ScoreModelConfig
from genmol.core.errors import InputError

NUMBERS = torch.tensor([6, 1, 1, 8, 1])
BACKBONES = ["egnn", "so2"]
SIGMA = torch.tensor([0.05, 0.7, 3.0])


def config(**changes: object) -> ScoreModelConfig:
    given = {
        "stiffness": {1: 30.0, 6: 80.0, 8: 50.0}, "spread": 1.3, "low": 0.01, "high": 5.0,
        "channels": 16, "vectors": 6, "layers": 2, "n_radial": 12,
    }  # fmt: skip
    return ScoreModelConfig(**(given | changes))  # type: ignore[arg-type]


def model(**changes: object) -> ScoreModel:
    torch.manual_seed(7)
    return ScoreModel(config(**changes)).eval()


def particles(generator: torch.Generator, *, attributes: int = 0, dimension: int = 3) -> Particles:
    """Attributes are of pairs, the same in both directions."""
    sender, receiver = Particles(NUMBERS).pairs
    found = torch.randn(5, 5, attributes, generator=generator)
    found = found + found.transpose(0, 1)
    return Particles(NUMBERS, found[sender, receiver] if attributes else None, dimension)


def points(generator: torch.Generator, dimension: int = 3, frames: int = 3) -> Tensor:
    x = torch.randn(frames, 5, dimension, generator=generator)
    return x - x.mean(dim=1, keepdim=True)


def score(of: ScoreModel, system: Particles, x: Tensor, sigma: Tensor = SIGMA) -> Tensor:
    """(frames, n, 3)."""
    batch = ScoreBatch.of(system, x)
    with torch.no_grad():
        return of(batch, batch.x, sigma).reshape(len(x), -1, 3)


def learnt(found: Tensor, x: Tensor, spread: float = 1.3) -> Tensor:
    """What is not the score of a normal law; all tests ask for some of it."""
    rest = found[..., : x.shape[2]] + x / (spread + SIGMA.square())[:, None, None]
    assert bool((rest.flatten(1).norm(dim=1) > 1e-3).all())
    return rest


@pytest.mark.parametrize("backbone", BACKBONES)
def test_rotations_reflections_and_renumbering(backbone: str, generator: torch.Generator) -> None:
    net = model(attributes=3, backbone=backbone)
    system, x = particles(generator, attributes=3), points(generator)
    found = score(net, system, x)
    learnt(found, x)
    turn = torch.linalg.qr(torch.randn(3, 3, generator=generator)).Q
    for element in (turn, -turn):  # one of them is no rotation
        torch.testing.assert_close(score(net, system, x @ element), found @ element)
    order = torch.tensor([3, 1, 4, 0, 2])
    matrix = torch.zeros(5, 5, 3)
    assert system.attributes is not None
    matrix[tuple(system.pairs)] = system.attributes
    sender, receiver = system.pairs
    renumbered = Particles(NUMBERS[order], matrix[order][:, order][sender, receiver])
    torch.testing.assert_close(score(net, renumbered, x[:, order]), found[:, order])
    # equal atoms are equal, others are not
    net = model(backbone=backbone)
    swapped = score(net, Particles(NUMBERS), x[:, [0, 2, 1, 3, 4]])
    plain = score(net, Particles(NUMBERS), x)
    torch.testing.assert_close(swapped[:, [0, 2, 1, 3, 4]], plain)
    other = score(net, Particles(NUMBERS), x[:, [3, 1, 2, 0, 4]])[:, [3, 1, 2, 0, 4]]
    assert float((other - plain).abs().max()) > 1e-3


def test_the_centre_stays(generator: torch.Generator) -> None:
    net, system, x = model(), particles(generator), points(generator)
    found = score(net, system, x)
    torch.testing.assert_close(found.mean(dim=1), torch.zeros(3, 3), rtol=0, atol=1e-12)
    torch.testing.assert_close(score(net, system, x + torch.tensor([2.0, -1.0, 0.5])), found)


@pytest.mark.parametrize("backbone", BACKBONES)
def test_planes_stay_planes(backbone: str, generator: torch.Generator) -> None:
    net, x = model(backbone=backbone), points(generator, dimension=2)
    flat = score(net, particles(generator, dimension=2), x)
    learnt(flat, x)
    torch.testing.assert_close(flat[..., 2], torch.zeros(3, 5), rtol=0, atol=1e-13)
    # and are planes of space
    lifted = torch.nn.functional.pad(x, (0, 1))
    torch.testing.assert_close(score(net, particles(generator), lifted), flat)


@pytest.mark.parametrize("backbone", BACKBONES)
def test_batches_change_nothing(backbone: str, generator: torch.Generator) -> None:
    net = model(attributes=2, backbone=backbone)
    system, x = particles(generator, attributes=2), points(generator)
    found = score(net, system, x)
    for k in range(3):
        alone = score(net, system, x[k : k + 1], SIGMA[k : k + 1])
        torch.testing.assert_close(alone[0], found[k])
    # among frames of another system, too
    pair = Particles(torch.tensor([8, 1]), torch.randn(2, 2, generator=generator))
    both = ScoreBatch.collate(
        [
            ScoreFrame(pair, x[0, :2], x[0, :2]),
            ScoreFrame(system, x[1], x[1]),
            ScoreFrame(system, x[2], x[2]),
        ],
        dtype=torch.float64,
    )
    with torch.no_grad():
        mixed = net(both, both.x, SIGMA)
    torch.testing.assert_close(mixed[2:].reshape(2, 5, 3), found[1:])


def test_without_a_readout_it_is_the_score_of_a_normal_law(generator: torch.Generator) -> None:
    net, x = model(), points(generator)
    torch.nn.init.zeros_(net.readout.weight)
    expected = -x / (1.3 + SIGMA.square())[:, None, None]
    torch.testing.assert_close(score(net, particles(generator), x), expected)


def test_the_scale_of_what_is_left(generator: torch.Generator) -> None:
    """c² = b/(1 + σ²b) − 1/(v + σ²), and next to nothing where that is negative."""
    batch = ScoreBatch.of(particles(generator), points(generator))
    sigma = SIGMA[batch.graph_index]
    b = torch.tensor([80.0, 30.0, 30.0, 50.0, 30.0]).repeat(3)
    expected = b / (1 + sigma.square() * b) - 1 / (1.3 + sigma.square())
    torch.testing.assert_close(model().scale(SIGMA, batch).square(), expected)
    normal = model(stiffness=dict.fromkeys((1, 6, 8), 1 / 1.3))
    small = normal.scale(SIGMA, batch) * (1.3 + sigma.square()).sqrt()
    torch.testing.assert_close(small, torch.full((15,), 1e-3))


@pytest.mark.parametrize("k", [0, 1])
def test_attributes_count(k: int, generator: torch.Generator) -> None:
    net, system, x = model(attributes=2), particles(generator, attributes=2), points(generator)
    assert system.attributes is not None
    changed = system.attributes.clone()
    changed[:, k] += 1.0
    found, other = score(net, system, x), score(net, Particles(NUMBERS, changed), x)
    assert float((found - other).abs().max()) > 1e-3


def test_noise_counts(generator: torch.Generator) -> None:
    net, system, x = model(), particles(generator), points(generator, frames=1).expand(3, 5, 3)
    rest = learnt(score(net, system, x), x)
    scale = net.scale(SIGMA, ScoreBatch.of(system, x)).reshape(3, 5, 1)
    shapes = rest / scale.mean(dim=1, keepdim=True)
    assert float((shapes[0] - shapes[1]).norm() / shapes[0].norm()) > 0.05
    assert float((shapes[1] - shapes[2]).norm() / shapes[1].norm()) > 0.05


# Detail


def handed(
    sign: float, *, size: float = 1.0, charges: Tensor | None = None, order: Tensor | None = None
) -> Particles:
    """The first atom is a centre, the others its corners; renumbered if asked for."""
    order = torch.arange(5) if order is None else order
    place = order.argsort()
    centres = place[torch.tensor([[1, 2, 3, 4, 0]])]
    features = torch.zeros(5, 1) if charges is None else charges[:, None]
    return Particles(
        NUMBERS[order], features=features[order], centres=centres, signs=torch.tensor([sign]),
        size=size,
    )  # fmt: skip


@pytest.mark.parametrize("backbone", BACKBONES)
def test_mirror_images_belong_to_the_other_hand(backbone: str, generator: torch.Generator) -> None:
    net, x = model(features=1, detailed=True, backbone=backbone), points(generator)
    found = score(net, handed(1.0), x)
    mirror = torch.diag(torch.tensor([1.0, 1.0, -1.0]))
    torch.testing.assert_close(score(net, handed(-1.0), x @ mirror), found @ mirror)
    same_hand = score(net, handed(1.0), x @ mirror)
    assert float((same_hand - found @ mirror).abs().max()) > 1e-2
    turn = torch.linalg.qr(torch.randn(3, 3, generator=generator)).Q
    turn = turn * turn.det()
    torch.testing.assert_close(score(net, handed(1.0), x @ turn), found @ turn)
    order = torch.tensor([3, 1, 4, 0, 2])
    torch.testing.assert_close(score(net, handed(1.0, order=order), x[:, order]), found[:, order])


def test_without_centres_a_mirror_is_nothing(generator: torch.Generator) -> None:
    net, x = model(features=1, detailed=True), points(generator)
    plain = Particles(NUMBERS, features=torch.zeros(5, 1))
    torch.testing.assert_close(score(net, plain, -x), -score(net, plain, x))


def test_charges_count(generator: torch.Generator) -> None:
    net, x = model(features=1, detailed=True), points(generator)
    charged = handed(1.0, charges=torch.tensor([0.0, 0.0, 0.0, -1.0, 0.0]))
    change = score(net, charged, x) - score(net, handed(1.0), x)
    assert float(change.abs().max()) > 1e-3


def test_a_size_is_a_spread(generator: torch.Generator) -> None:
    """The variance of a system is the spread of the model, times its size."""
    x = points(generator)
    one = score(model(features=1, detailed=True, spread=2.6), handed(1.0), x)
    other = score(model(features=1, detailed=True), handed(1.0, size=2.0), x)
    torch.testing.assert_close(one, other)


def test_detail_in_batches(generator: torch.Generator) -> None:
    net, x = model(features=1, detailed=True), points(generator)
    systems = [handed(1.0), handed(-1.0, size=2.0), Particles(NUMBERS, features=torch.ones(5, 1))]
    frames = [ScoreFrame(system, y, y) for system, y in zip(systems, x, strict=True)]
    both = ScoreBatch.collate(frames, dtype=torch.float64)
    with torch.no_grad():
        mixed = net(both, both.x, SIGMA).reshape(3, 5, 3)
    for k, system in enumerate(systems):
        alone = score(net, system, x[k : k + 1], SIGMA[k : k + 1])
        torch.testing.assert_close(alone[0], mixed[k])
    same(both.repeated(2), ScoreBatch.collate(2 * frames, dtype=torch.float64))
    many = [ScoreFrame(systems[0], y, torch.zeros(5, 3)) for y in x]
    same(ScoreBatch.collate(many, dtype=torch.float64), ScoreBatch.of(systems[0], x))


# Batches


def same(one: ScoreBatch, other: ScoreBatch) -> None:
    for name, value in vars(one).items():
        found = getattr(other, name)
        assert value is found or torch.equal(value, found), name


def test_both_ways_to_a_batch_agree(generator: torch.Generator) -> None:
    for dimension in (2, 3):
        system = particles(generator, attributes=2, dimension=dimension)
        x = points(generator, dimension)
        zero = torch.zeros_like(x)
        frames = [ScoreFrame(system, *pair) for pair in zip(x, zero, strict=True)]
        one, other = ScoreBatch.collate(frames, dtype=torch.float64), ScoreBatch.of(system, x)
        assert one.frames == other.frames == 3
        same(one, other)
        assert other.degrees.tolist() == [dimension * 4] * 3
        half = ScoreBatch.collate(frames, dtype=torch.float32)
        assert half.x.dtype == half.forces.dtype == half.weight.dtype == torch.float32


def test_a_repeated_batch_is_that_of_repeated_frames(generator: torch.Generator) -> None:
    system, x = particles(generator, attributes=2), points(generator)
    frames = [ScoreFrame(system, y, 2 * y, 1.0 + k) for k, y in enumerate(x)]
    repeated = ScoreBatch.collate(frames, dtype=torch.float64).repeated(2)
    same(repeated, ScoreBatch.collate(2 * frames, dtype=torch.float64))


def test_sums_over_frames(generator: torch.Generator) -> None:
    system, x = particles(generator), points(generator) + 1.0
    batch = ScoreBatch.of(system, x)
    centred = x - x.mean(dim=1, keepdim=True)
    torch.testing.assert_close(batch.centred(batch.x).reshape(3, 5, 3), centred)
    torch.testing.assert_close(batch.total(batch.x[:, 0]), x[:, :, 0].sum(dim=1))


def test_a_cutoff_takes_pairs_with_their_attributes(generator: torch.Generator) -> None:
    """Attributes name their pair, so that what is left can be told."""
    sender, receiver = Particles(NUMBERS).pairs
    system = Particles(NUMBERS, torch.stack([10.0 * sender, 1.0 * receiver], dim=1))
    batch = ScoreBatch.of(system, points(generator))
    whole, attributes = batch.graph(batch.x, cutoff=100.0)
    assert torch.equal(whole.edge_index, batch.edge_index)
    assert attributes is batch.attributes
    graph, attributes = batch.graph(batch.x, cutoff=2.0)
    distances = torch.cdist(*2 * [batch.x])
    same = batch.graph_index[:, None] == batch.graph_index
    expected = ((distances < 2.0) & same).fill_diagonal_(fill_value=False).nonzero()
    assert 0 < len(expected) < batch.edge_index.shape[1]
    assert sorted(graph.edge_index.T.tolist()) == expected.tolist()
    assert attributes is not None
    assert torch.equal(attributes, graph.edge_index.T % 5 * torch.tensor([10.0, 1.0]))
    x = batch.x
    vectors = x[graph.edge_index[1]] - x[graph.edge_index[0]]
    torch.testing.assert_close(graph.edge_vectors, vectors)


def test_atoms_beyond_the_cutoff_do_not_count(generator: torch.Generator) -> None:
    system = particles(generator, attributes=1)
    near = points(generator, frames=1)
    far = near.clone()
    far[:, 4] += 40.0  # the others move by a fifth of that with the centre
    net = model(attributes=1, cutoff=12.0)
    sigma = SIGMA[1:2]
    batch = [ScoreBatch.of(system, x) for x in (near, far, far + torch.eye(5)[4][:, None])]
    with torch.no_grad():
        one, two, three = (
            net(b, b.x, sigma) + b.centred(b.x) / (1.3 + sigma.square()) for b in batch
        )
    # what is learnt, relative to that of an atom: no centre in it
    relative = [found[:4] - found[0] for found in (one, two, three)]
    torch.testing.assert_close(relative[1], relative[2])
    assert float((relative[0] - relative[1]).abs().max()) > 1e-3


# Configurations


@pytest.mark.parametrize("backbone", BACKBONES)
def test_configurations_survive_a_file(backbone: str) -> None:
    given = {"attributes": 4, "cutoff": 7.5, "decay": 1.0, "backbone": backbone}
    one = config(**given)
    again = ScoreModelConfig.from_dict(json.loads(json.dumps(one.to_dict())))
    assert again == one
    assert one.shape.elements == (1, 6, 8)
    assert (one.shape.channels, one.shape.cutoff, one.decay) == (16, 7.5, 1.0)
    # and weights fit
    ScoreModel(again).load_state_dict(model(**given).state_dict())


def test_cards_of_before_are_read() -> None:
    """Of models that knew neither stereo nor another backbone."""
    old = config().to_dict()
    for name in ("features", "detailed", "backbone", "l_max"):
        del old[name]
    assert ScoreModelConfig.from_dict(old) == config()


@pytest.mark.parametrize(
    "change",
    [
        {"stiffness": None},
        {"stiffness": {"H": 1.0}},
        {"stiffness": {"1": "much"}},
        {"colour": "red"},
        {"backbone": "mace"},
    ],
    ids=str,
)
def test_faulty_configurations(change: dict[str, object]) -> None:
    with pytest.raises(InputError, match=r"if the model is newer|one of egnn, so2"):
        ScoreModelConfig.from_dict(config().to_dict() | change)
    missing = config().to_dict()
    del missing["spread"]
    with pytest.raises(InputError, match="cannot be read"):
        ScoreModelConfig.from_dict(missing)
