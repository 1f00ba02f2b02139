"""Muon: polar factors, AdamW for what is no matrix, and PyTorch's own as the oracle."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from genmol.train.muon import Muon, orthogonalise


@pytest.mark.parametrize("shape", [(8, 8), (20, 9), (9, 20), (3, 12, 8), (2, 3, 8, 30)])
def test_singular_values_become_one(shape: tuple[int, ...], generator: torch.Generator) -> None:
    x = torch.randn(shape, generator=generator, dtype=torch.float64)
    u, _, vh = torch.linalg.svd(x, full_matrices=False)
    found = orthogonalise(x)
    values = torch.linalg.svdvals(found)
    assert values.min() > 0.5
    assert values.max() < 1.3
    # the same singular vectors: Uᵀ X V is diagonal
    inner = u.mT @ found @ vh.mT
    assert (inner - torch.diag_embed(inner.diagonal(dim1=-2, dim2=-1))).abs().max() < 1e-12


def test_scale_and_order_of_a_stack_do_not_matter(generator: torch.Generator) -> None:
    x = torch.randn(4, 10, 16, generator=generator, dtype=torch.float64)
    found = orthogonalise(x)
    torch.testing.assert_close(orthogonalise(1e-9 * x), found)
    torch.testing.assert_close(orthogonalise(x[2]), found[2])
    torch.testing.assert_close(orthogonalise(x.mT), found.mT)
    assert not orthogonalise(torch.zeros(3, 9, 9)).any()


def test_agrees_with_pytorch(generator: torch.Generator) -> None:
    """PyTorch iterates in bfloat16, so to a few per cent only; its learning rate and decay are alike."""
    start = torch.randn(24, 10, generator=generator)
    own, oracle = nn.Parameter(start.clone()), nn.Parameter(start.clone())
    mine = Muon([own], lr=0.01, weight_decay=0.1)
    theirs = torch.optim.Muon(
        [oracle], lr=0.01, weight_decay=0.1, momentum=0.95, adjust_lr_fn="match_rms_adamw"
    )
    for _ in range(4):
        gradient = torch.randn(24, 10, generator=generator)
        own.grad, oracle.grad = gradient.clone(), gradient.clone()
        mine.step()
        theirs.step()
    torch.testing.assert_close(own - start, oracle - start, rtol=0.05, atol=2e-3)


def test_vectors_and_thin_matrices_take_adamw(generator: torch.Generator) -> None:
    starts = [torch.randn(n, generator=generator) for n in [(5,), (), (7, 40), (4, 30, 3)]]
    own, oracle = ([nn.Parameter(x.clone()) for x in starts] for _ in range(2))
    mine = Muon(own, lr=0.01, weight_decay=0.1)
    theirs = torch.optim.AdamW(oracle, lr=0.01, weight_decay=0.1)
    for _ in range(3):
        for a, b in zip(own, oracle, strict=True):
            a.grad = torch.randn(a.shape, generator=generator)
            b.grad = a.grad.clone()
        mine.step()
        theirs.step()
    for a, b in zip(own, oracle, strict=True):
        torch.testing.assert_close(a, b)


def test_a_matrix_without_gradient_rests(generator: torch.Generator) -> None:
    still = nn.Parameter(torch.randn(9, 9, generator=generator))
    before = still.detach().clone()
    Muon([still], lr=0.1, weight_decay=0.1).step()
    assert torch.equal(still, before)


def test_finds_the_least_squares_solution(generator: torch.Generator) -> None:
    x = torch.randn(60, 12, generator=generator, dtype=torch.float64)
    truth = torch.randn(12, 10, generator=generator, dtype=torch.float64)
    weight = nn.Parameter(torch.zeros_like(truth))
    optimizer = Muon([weight], lr=0.1)
    for step in range(300):
        optimizer.param_groups[0]["lr"] = 0.1 * (1 - step / 300)
        optimizer.zero_grad()
        ((x @ (weight - truth)) ** 2).mean().backward()
        optimizer.step()
    torch.testing.assert_close(weight.detach(), truth, rtol=0, atol=2e-3)


def test_state_survives_a_checkpoint(generator: torch.Generator) -> None:
    start = [torch.randn(n, generator=generator) for n in [(9, 12), (5,)]]
    gradients = [[torch.randn(x.shape, generator=generator) for x in start] for _ in range(4)]

    def run(optimizer: Muon, weights: list[nn.Parameter], steps: list[list[torch.Tensor]]) -> None:
        for step in steps:
            for weight, gradient in zip(weights, step, strict=True):
                weight.grad = gradient.clone()
            optimizer.step()

    through = [nn.Parameter(x.clone()) for x in start]
    run(Muon(through, lr=0.01), through, gradients)
    first = [nn.Parameter(x.clone()) for x in start]
    optimizer = Muon(first, lr=0.01)
    run(optimizer, first, gradients[:2])
    second = [nn.Parameter(x.detach().clone()) for x in first]
    resumed = Muon(second, lr=0.5)
    resumed.load_state_dict(optimizer.state_dict())
    run(resumed, second, gradients[2:])
    for a, b in zip(through, second, strict=True):
        assert torch.equal(a, b)
