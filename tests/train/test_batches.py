"""Every molecule once an epoch, budgets kept, the same order again, disjoint shares."""

from itertools import islice

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from genmol.core.errors import InputError
from genmol.train.batches import BatchStream, keep_apart, plan_epoch

SIZES = st.lists(st.integers(1, 400), min_size=1, max_size=60)


@given(sizes=SIZES, budget=st.integers(1, 800), most=st.integers(1, 9), epoch=st.integers(0, 5))
@settings(max_examples=60, deadline=None)
def test_laws_of_an_epoch(sizes, budget, most, epoch):
    plan = plan_epoch(sizes, budget=budget, most=most, seed=1, epoch=epoch)
    assert sorted(i for batch in plan for i in batch) == list(range(len(sizes)))
    for batch in plan:
        assert len(batch) <= most
        assert sum(sizes[i] for i in batch) <= budget or len(batch) == 1
    assert plan == plan_epoch(sizes, budget=budget, most=most, seed=1, epoch=epoch)


def test_epochs_and_seeds_differ_and_sizes_are_similar(rng):
    sizes = rng.integers(9, 500, 300).tolist()
    plans = [
        plan_epoch(sizes, budget=1200, most=32, seed=s, epoch=e)
        for s, e in [(0, 0), (0, 1), (1, 0)]
    ]
    assert plans[0] != plans[1] != plans[2] != plans[0]
    within = [
        np.ptp([sizes[i] for i in batch]) / np.mean([sizes[i] for i in batch]) for batch in plans[0]
    ]
    assert np.mean(within) < 0.5
    firsts = [sizes[batch[0]] for batch in plans[0]]
    assert abs(np.corrcoef(firsts, np.arange(len(firsts)))[0, 1]) < 0.35  # not sorted by size


@given(sizes=SIZES, world=st.integers(1, 4), start=st.integers(0, 7))
@settings(max_examples=40, deadline=None)
def test_a_stream_is_shared_out_and_may_begin_anywhere(sizes, world, start):
    def stream(**options):
        return BatchStream(sizes, budget=500, most=8, seed=5, **options)

    alone = list(islice(stream(), 60))
    shares = [list(islice(stream(rank=r, world=world), 15)) for r in range(world)]
    together = [batch for step in zip(*shares, strict=True) for batch in step]
    assert together == alone[: len(together)]
    later = list(islice(stream(start=start, rank=world - 1, world=world), 5))
    assert later == shares[-1][start : start + 5]
    first_epoch = alone[: len(stream().plan(0))]
    if len(first_epoch) < 60:
        assert sorted(i for batch in first_epoch for i in batch) == list(range(len(sizes)))


@given(
    groups=st.lists(st.sampled_from("CNOFSPBI"), min_size=2, max_size=50),
    seed=st.integers(0, 3),
    share=st.floats(0.01, 0.5),
)
@settings(max_examples=60, deadline=None)
def test_validation_shares_no_molecule_with_training(groups, seed, share):
    if len(set(groups)) == 1:
        with pytest.raises(InputError, match="1 molecule"):
            keep_apart(groups, share=share, seed=seed)
        return
    inside, apart = keep_apart(groups, share=share, seed=seed)
    assert sorted(inside + apart) == list(range(len(groups)))
    assert inside
    assert apart
    assert not {groups[i] for i in inside} & {groups[i] for i in apart}


def test_too_little_data():
    with pytest.raises(InputError, match="0 labels"):
        keep_apart([], share=0.1, seed=0)
    assert keep_apart(["C", "C"], share=0.0, seed=0) == ([0, 1], [])
