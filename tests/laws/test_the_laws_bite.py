"""A twenty-line backbone keeps the laws; with one fault each, it is caught by the law meant for it."""

import pytest
import torch
from e3nn import o3
from laws.subject import Subject
from laws.suite import LAWS

from genmol.backbones.contract import Backbone
from genmol.backbones.features import Features
from genmol.core.ops import scatter_sum
from genmol.nn.radial import envelope


class Plain(Backbone):
    """Two scalars and two vectors on every atom, sums over its neighbours."""

    numbers, cutoff, irreps_out = (1, 6, 8), 4.0, o3.Irreps("2x0e + 2x1o")
    layout = ((2, 0, 1), (2, 1, -1))

    def __init__(self) -> None:
        super().__init__()
        self.embedding = torch.nn.Embedding(9, 2)

    def weight(self, distance):
        return envelope(distance, self.cutoff)

    def forward(self, graph, state=None):
        sender, receiver = graph.edge_index
        sent = self.embedding(graph.numbers)[sender]
        sent = sent * self.weight(graph.edge_vectors.norm(dim=1))[:, None]
        vectors = sent[:, :, None] * graph.edge_vectors[:, None]
        n_atoms = len(graph.numbers)
        scalars = self.embedding(graph.numbers) + scatter_sum(sent, receiver, n_atoms)
        nodes = torch.cat([scalars, scatter_sum(vectors.flatten(1), receiver, n_atoms)], dim=1)
        return Features(self.fault(graph, nodes), self.layout), None

    def fault(self, graph, nodes):
        return nodes


class SeesAnAxis(Plain):
    def fault(self, graph, nodes):
        return nodes * torch.tensor([1, 1] + [1, 1, 1.001] * 2).to(nodes)


class ForgetsParity(Plain):
    irreps_out = o3.Irreps("2x0e + 2x1e")
    layout = ((2, 0, 1), (2, 1, 1))


class SeesTheOrigin(Plain):
    def fault(self, graph, nodes):
        return nodes * (1 + 1e-3 * graph.positions.norm(dim=1, keepdim=True))


class SeesTheOrder(Plain):
    def fault(self, graph, nodes):
        return nodes * (1 + 1e-3 * torch.arange(len(nodes)).to(nodes))[:, None]


class SeesTheBatch(Plain):
    def fault(self, graph, nodes):
        return nodes / nodes.abs().mean()


class CutsSharply(Plain):
    def weight(self, distance):
        return torch.exp(-distance)


class CutsWithAKink(Plain):
    def weight(self, distance):
        return 1 - distance / self.cutoff


class NormalisesNoise(Plain):
    def fault(self, graph, nodes):
        vectors = nodes[:, 2:]
        largest = vectors.square().sum(1, keepdim=True)
        return torch.cat([nodes[:, :2], vectors / (largest + 1e-12).sqrt()], dim=1)


class HasAnIdleWeight(Plain):
    def __init__(self) -> None:
        super().__init__()
        self.idle = torch.nn.Parameter(torch.ones(2))


class HidesItsState(Plain):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("hidden", torch.randn(1), persistent=False)

    def fault(self, graph, nodes):
        return nodes * (2 + self.hidden.tanh())


class MisdeclaresItself(Plain):
    layout = ((1, 0, 1), (1, 0, 1), (2, 1, -1))


class ComputesInDouble(Plain):
    def fault(self, graph, nodes):
        return nodes.double()


class HasALoudVacuum(Plain):
    def fault(self, graph, nodes):
        return nodes + torch.tensor([0, 0, 0, 0, 1.0, 0, 0, 0]).to(nodes)


class CapsNeighbours(Plain):
    def forward(self, graph, state=None):
        receiver = graph.edge_index[1]
        rank = (receiver[:, None] == receiver).tril(-1).sum(1)
        near = rank < 32
        graph = type(graph)(
            **{
                **vars(graph),
                "edge_index": graph.edge_index[:, near],
                "edge_vectors": graph.edge_vectors[near],
            }
        )
        return super().forward(graph)


class IsSingularAtThePole(Plain):
    def fault(self, graph, nodes):
        direction = torch.nn.functional.normalize(graph.edge_vectors, dim=1)
        polar = (direction[:, 1].abs() > 1 - 1e-6).to(nodes)
        return nodes * (1 + 1e-3 * scatter_sum(polar, graph.edge_index[1], len(nodes))[:, None])


class SeesALine(Plain):
    """A chirality of its own: turns vectors of linear molecules about the first axis."""

    def fault(self, graph, nodes):
        u, v = nodes[:, 2:5], nodes[:, 5:8]
        axis = torch.eye(3)[0].to(nodes).expand_as(u)
        flat = torch.linalg.cross(u, v).norm(dim=1, keepdim=True) < 1e-6
        return torch.cat([nodes[:, :5], v + 1e-2 * flat * torch.linalg.cross(axis, v)], dim=1)


def tried(kind, law, dtype):
    with torch.random.fork_rng():
        torch.manual_seed(3)
        tolerance = {torch.float64: 1e-10, torch.float32: 1e-4}[dtype]
        generator = torch.Generator().manual_seed(4)
        subject = Subject(kind().to(dtype), lambda: kind().to(dtype), tolerance, generator)
        LAWS[law](subject)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("law", sorted(LAWS.keys() - {"frame_angle"}))
def test_an_honest_backbone_passes(law, dtype):
    tried(Plain, law, dtype)


@pytest.mark.parametrize(
    ("kind", "law"),
    [
        (SeesAnAxis, "rotation"),
        (ForgetsParity, "reflection"),
        (SeesTheOrigin, "translation"),
        (SeesTheOrder, "permutation"),
        (SeesTheBatch, "batch_is_single"),
        (CutsSharply, "smooth_cutoff"),
        (CutsWithAKink, "smooth_cutoff"),
        (NormalisesNoise, "steady"),
        (HasAnIdleWeight, "gradients"),
        (HidesItsState, "state_is_all"),
        (MisdeclaresItself, "declares"),
        (ComputesInDouble, "declares"),
        (HasALoudVacuum, "single_atom"),
        (CapsNeighbours, "no_neighbour_cap"),
        (IsSingularAtThePole, "polar_axis"),
        (SeesALine, "collinear"),
    ],
)
def test_a_faulty_backbone_is_caught(kind, law):
    with pytest.raises(AssertionError):
        tried(kind, law, torch.float32)


def test_every_law_that_needs_no_frames_has_been_seen_to_bite():
    marks = test_a_faulty_backbone_is_caught.pytestmark
    assert {law for _, law in marks[0].args[1]} == LAWS.keys() - {"frame_angle"}
