"""Group reductions against a loop over groups, their derivatives, and the optional twin."""

import importlib.util

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from genmol.core import ops
from genmol.core.errors import MissingExtraError

needs_twin = pytest.mark.skipif(
    importlib.util.find_spec("torch_scatter") is None,
    reason="torch-scatter is not installed (pip install 'genmol[scatter]')",
)
REDUCTIONS = [ops.scatter_sum, ops.scatter_mean, ops.scatter_max]


def by_loop(function, source, index, n_groups):
    reduce = {
        ops.scatter_sum: lambda rows: rows.sum(0),
        ops.scatter_mean: lambda rows: rows.mean(0),
        ops.scatter_max: lambda rows: rows.max(0).values,
    }[function]
    zero = torch.zeros(source.shape[1:])
    groups = [source[index == group] for group in range(n_groups)]
    return torch.stack([reduce(rows) if len(rows) else zero for rows in groups])


@given(
    seed=st.integers(0, 2**31),
    n_rows=st.integers(0, 12),
    n_groups=st.integers(1, 6),
    feature=st.sampled_from([(), (3,), (2, 3)]),
)
@pytest.mark.parametrize("function", REDUCTIONS)
def test_equals_a_loop_over_groups_empty_ones_included(function, seed, n_rows, n_groups, feature):
    generator = torch.Generator().manual_seed(seed)
    source = torch.randn(n_rows, *feature, generator=generator)
    index = torch.randint(n_groups, (n_rows,), generator=generator)
    torch.testing.assert_close(
        function(source, index, n_groups), by_loop(function, source, index, n_groups)
    )


@pytest.mark.parametrize("function", [*REDUCTIONS, ops.scatter_softmax])
def test_derivatives(function, generator):
    source = torch.randn(7, 2, generator=generator, requires_grad=True)
    index = torch.tensor([0, 3, 0, 1, 1, 3, 3])
    assert torch.autograd.gradcheck(lambda x: function(x, index, 5), source)
    assert torch.autograd.gradgradcheck(lambda x: function(x, index, 5), source)


def test_softmax_is_normalised_shift_invariant_and_does_not_overflow(generator):
    source = torch.randn(9, 2, generator=generator)
    index = torch.tensor([0, 0, 1, 2, 2, 2, 0, 1, 4])
    weights = ops.scatter_softmax(source, index, 5)
    totals = ops.scatter_sum(weights, index, 5)
    torch.testing.assert_close(totals[[0, 1, 2, 4]], torch.ones(4, 2))
    shift = torch.tensor([1e3, -1e3, 7.0, 0.0, 5e3])[index][:, None]
    torch.testing.assert_close(ops.scatter_softmax(source + shift, index, 5), weights)
    torch.testing.assert_close(weights[index == 2], torch.softmax(source[index == 2], 0))


@needs_twin
@pytest.mark.parametrize("function", [*REDUCTIONS, ops.scatter_softmax])
def test_twin_gives_the_same_values_and_gradients(function, generator):
    index = torch.tensor([0, 3, 0, 1, 1, 3, 3])
    results = []
    for backend in ("native", "torch_scatter"):
        source = torch.randn(7, 2, generator=generator.manual_seed(1), requires_grad=True)
        value = function(source, index, 5, backend=backend)
        (gradient,) = torch.autograd.grad((value**2).sum(), source)
        results.append((value, gradient))
    torch.testing.assert_close(results[0], results[1])


@pytest.mark.skipif(
    importlib.util.find_spec("torch_scatter") is not None, reason="torch-scatter is installed"
)
@pytest.mark.parametrize("function", [*REDUCTIONS, ops.scatter_softmax])
def test_an_absent_twin_names_the_extra(function):
    with pytest.raises(MissingExtraError, match=r"pip install 'genmol\[scatter\]'"):
        function(torch.ones(2, 1), torch.tensor([0, 0]), 1, backend="torch_scatter")
