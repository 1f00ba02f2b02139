"""The laws of every backbone. Each takes a subject, a model with what it takes to try it, and asserts.

A law that some architecture does not keep is named in its entry in the registry, with the reason.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from fnmatch import fnmatch

import numpy as np
import torch
from e3nn import o3
from laws.oracle import random_rotations, representation, turn_orders, turns
from laws.structures import (
    all_kinds,
    axial,
    chiral,
    crowd,
    linear,
    lone,
    on_the_brink,
    shuffled,
    symmetric,
)
from laws.subject import Subject, equivariant, look
from safetensors.torch import load, save

from genmol.algebra.so2 import EdgeFrames

Law = Callable[[Subject], None]
LAWS: dict[str, Law] = {}


def law(function: Law) -> Law:
    """Enter a law under its name."""
    LAWS[function.__name__] = function
    return function


@law
def declares(s: Subject) -> None:
    """What comes out is what was declared, in the type of the weights, and every irrep is used."""
    graph = s.graph(chiral()).to(dtype=s.dtype)
    features, state = s.model(graph)
    assert state is None or s.model(graph, state)[0].nodes.shape == features.nodes.shape
    assert features.irreps == s.model.irreps_out
    assert features.nodes.shape == (9, s.model.irreps_out.dim)
    assert features.nodes.dtype == s.dtype
    assert {1, 6, 8} <= set(s.model.numbers)
    for (_, irrep), where in zip(features.irreps, features.irreps.slices(), strict=True):
        assert features.nodes[:, where].abs().max() > 1e-6, f"{irrep} is zero"


@law
def rotation(s: Subject) -> None:
    """Rotated molecules have rotated features."""
    for element in random_rotations(3, s.generator):
        equivariant(s, s.graph(*all_kinds()), element)


@law
def reflection(s: Subject) -> None:
    """Mirror images have mirrored features: parity is O(3)'s."""
    for signs in ([-1.0, -1.0, -1.0], [1.0, -1.0, 1.0]):
        equivariant(s, s.graph(*all_kinds()), torch.diag(torch.tensor(signs).double()))
    equivariant(s, s.graph(chiral()), -random_rotations(1, s.generator)[0])


@law
def translation(s: Subject) -> None:
    """It does not matter where a molecule is."""
    here, there = all_kinds(), all_kinds()
    for atoms in there:
        atoms.positions += [7.0, -11.0, 13.0]
    before, after = (look(s.model, s.graph(*x)) for x in (here, there))
    s.close(after.nodes, before.nodes, "features of atoms")
    s.close(after.forces, before.forces, "forces")
    graph_index = s.graph(*here).graph_index
    total = before.forces.new_zeros(len(here), 3).index_add(0, graph_index, before.forces)
    assert total.abs().max() < 10 * s.tolerance * before.forces.abs().max()


@law
def permutation(s: Subject) -> None:
    """Neither the order of atoms nor that of edges matters."""
    graph = s.graph(chiral())
    moved, atoms, edges = shuffled(graph, s.generator)
    before, after = look(s.model, graph), look(s.model, moved)
    s.close(after.nodes, before.nodes[atoms], "features of atoms")
    s.close(after.forces, before.forces[atoms], "forces")
    for k, x in enumerate(before.edges):
        s.close(after.edges[k], x[edges], f"features of edges, irrep {k}")


@law
def batch_is_single(s: Subject) -> None:
    """A molecule does not see the others in its batch."""
    together = look(s.model, s.graph(*all_kinds()))
    singles = [look(s.model, s.graph(atoms)) for atoms in all_kinds()]
    s.close(together.nodes, torch.cat([one.nodes for one in singles]), "features of atoms")
    s.close(together.forces, torch.cat([one.forces for one in singles]), "forces")
    for k, x in enumerate(together.edges):
        s.close(x, torch.cat([one.edges[k] for one in singles]), f"edges, irrep {k}")


@law
def smooth_cutoff(s: Subject) -> None:
    """Values and slopes do not jump when a pair comes within the cutoff."""
    graphs = [graph.to(dtype=s.dtype) for graph in on_the_brink(s.model.cutoff)]
    found = []
    for graph in graphs:
        positions = graph.positions.clone().requires_grad_()
        nodes = s.model(graph.with_positions(positions))[0].nodes
        weights = torch.linspace(-1.0, 1.0, nodes.numel(), dtype=s.dtype).reshape(nodes.shape)
        found.append([nodes, *torch.autograd.grad((nodes * weights).sum(), positions)])
    for what, inside, outside in zip(("values", "slopes"), *found, strict=True):
        s.close(inside, outside, what)
    edges = s.model(graphs[0])[0].edges
    if edges is not None:
        newcomer = (graphs[0].edge_index == len(graphs[0].numbers) - 1).any(0)
        assert edges.envelope[newcomer].abs().max() < s.tolerance


@law
def steady(s: Subject) -> None:
    """Nothing jumps where symmetry is broken: moved by d Å, features change by less than 1000 d."""
    still, moved = symmetric(), symmetric()
    for k, atoms in enumerate(moved):
        atoms.positions += 1e-6 * np.random.default_rng(k).uniform(-1, 1, size=(len(atoms), 3))
    before, after = (look(s.model, s.graph(*x)) for x in (still, moved))
    change = (after.nodes - before.nodes).abs().max() / before.nodes.abs().max()
    assert change < 1e-3 + s.tolerance, f"features of atoms change by {change:.1e}"


@law
def gradients(s: Subject) -> None:
    """Every parameter has a say."""
    graph = s.graph(*all_kinds()).to(dtype=s.dtype)
    features, _ = s.model(graph)
    outputs = [features.nodes, *(features.edges.values if features.edges else [])]
    loss = sum(
        (x * torch.randn(x.shape, generator=s.generator, dtype=torch.float64).to(x)).sum()
        for x in outputs
    )
    s.model.zero_grad()
    loss.backward()
    dead = [
        name
        for name, parameter in s.model.named_parameters()
        if parameter.numel() and not any(fnmatch(name, pattern) for pattern in s.idle)
        if parameter.grad is None or not parameter.grad.any()
    ]
    assert not dead, f"no gradient reaches {', '.join(dead)}"


@law
def frame_angle(s: Subject) -> None:
    """The turn of a frame about its edge is arbitrary: edges turn with it, atoms do not notice."""
    graph = s.graph(*all_kinds())
    before = look(s.model, graph)
    angle = torch.rand(len(before.frames), generator=s.generator, dtype=torch.float64) * 6.3
    turn = turns(angle)
    l_max = before.features.edges.frames.l_max
    frames = EdgeFrames.from_rotations((turn @ before.frames).to(s.dtype), l_max)
    after = look(s.model, graph, frames=frames)
    s.close(after.nodes, before.nodes, "features of atoms")
    for k, wanted in enumerate(turn_orders(before.edges, turn)):
        s.close(after.edges[k], wanted, f"features of edges, irrep {k}")


@law
def polar_axis(s: Subject) -> None:
    """No direction is special: bonds along ± every axis and off by 1e-12 to 1e-3."""
    graph = s.graph(*axial())
    equivariant(s, graph, random_rotations(1, s.generator)[0])
    to_next_axis = torch.eye(3).double()[[2, 0, 1]]
    equivariant(s, graph, to_next_axis)


@law
def collinear(s: Subject) -> None:
    """A linear molecule has the symmetry of its axis: turns and mirrors through it change nothing."""
    graph = s.graph(linear())
    seen = look(s.model, graph)
    axis = graph.edge_vectors[0] / graph.edge_vectors[0].norm()
    onto = torch.linalg.svd(axis[None])[2][[1, 0, 2]]  # its second row is ± the axis
    onto = onto * torch.linalg.det(onto)
    mirror = torch.diag(torch.tensor([-1.0, 1.0, 1.0])).double()
    for element in (turns(torch.tensor([0.7]).double())[0], mirror):
        matrix = representation(seen.features.irreps, onto.T @ element @ onto)
        s.close(seen.nodes @ matrix.T, seen.nodes, "features of atoms")
    along = (seen.forces @ axis)[:, None] * axis
    s.close(seen.forces, along, "forces")


@law
def single_atom(s: Subject) -> None:
    """An atom without neighbours has invariants of positive parity only."""
    seen = look(s.model, s.graph(lone()))
    assert seen.nodes.isfinite().all()
    assert not seen.forces.any()
    scalars = torch.cat(
        [
            torch.full((channels * irrep.dim,), irrep == o3.Irrep("0e"))
            for channels, irrep in seen.features.irreps
        ]
    )
    assert seen.nodes[:, scalars].any()
    assert not seen.nodes[:, ~scalars].any()


@law
def no_neighbour_cap(s: Subject) -> None:
    """Each of 48 neighbours counts: the first atom notices when any of them moves."""
    graph = s.graph(crowd(49)).to(dtype=s.dtype)
    assert graph.edge_index.shape[1] == 49 * 48
    vectors = graph.edge_vectors.clone().requires_grad_()
    nodes = s.model(replace(graph, edge_vectors=vectors))[0].nodes
    (slope,) = torch.autograd.grad(nodes[0].square().sum() + nodes[0].sum(), vectors)
    assert (slope[graph.edge_index[1] == 0].abs().amax(1) > 0).all()


@law
def state_is_all(s: Subject) -> None:
    """Weights written and read again give the same numbers to the last bit."""
    blank = s.fresh()
    graph = s.graph(*all_kinds())
    wanted = look(s.model, graph)
    assert not torch.equal(look(blank, graph).nodes, wanted.nodes)
    blank.load_state_dict(load(save(s.model.state_dict())), strict=True)
    got = look(blank, graph)
    assert torch.equal(got.nodes, wanted.nodes)
    assert all(torch.equal(x, y) for x, y in zip(got.edges, wanted.edges, strict=True))
