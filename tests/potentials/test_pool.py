"""Processes that stay alive: the answers of one process in the order asked; nothing hangs or leaks.

Starting workers takes seconds, so one pool serves several tests and each test that breaks it says so.
"""

from __future__ import annotations

import dataclasses
import os
import pickle
import re
import signal
from collections.abc import Iterator
from functools import partial
from itertools import pairwise

import pytest
import torch
from potentialcases import Edges, Spring, hydrogens

import genmol.potentials.pool as module
from genmol.core.errors import DeliveryError, InputError
from genmol.core.graph import AtomicGraph
from genmol.core.parallel import WorkerDiedError
from genmol.potentials.contract import Answer, Calls
from genmol.potentials.lennard_jones import LennardJones
from genmol.potentials.pool import Spread


@pytest.fixture(scope="module")
def pool() -> Iterator[Spread]:
    with Spread(Spring, workers=2) as spread:
        yield spread


def pids(spread: Spread) -> list[int]:
    found = [worker.process.pid for worker in spread._workers]
    assert None not in found
    return [pid for pid in found if pid is not None]


def ended(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def test_answers_come_in_order_from_the_same_processes(pool: Spread) -> None:
    alone = Spring()
    graphs = [hydrogens(*range(n)) for n in (1, 40, 2, 7, 40)]
    # slow ones in between: whoever is done takes the next piece
    graphs.append(hydrogens(500, 1, 2, 501, 3, 4, 5))
    pool.start()
    before = pids(pool)
    for _ in range(2):
        for graph in graphs:
            expected = alone.evaluate(graph)
            found = pool.evaluate(graph)
            assert torch.equal(found.energies, expected.energies)
            assert torch.equal(found.forces, expected.forces)
            assert torch.equal(pool.energies(graph), expected.energies)
    assert pids(pool) == before
    assert len(set(before)) == 2
    assert os.getpid() not in before


def test_the_same_atoms_elsewhere_and_other_atoms(pool: Spread) -> None:
    """Workers remember what does not change from call to call, and notice what does."""
    graph = hydrogens(1, 2, 3, 4)
    moved = graph.with_positions(graph.positions + 0.5)
    three = hydrogens(1, 2, 3, 4, atoms=3)
    mixed = AtomicGraph.batch([hydrogens(1), hydrogens(5, 6, atoms=3), hydrogens(2)])
    for asked in (graph, moved, graph, three, mixed, moved, mixed):
        expected = Spring().evaluate(asked)
        found = pool.evaluate(asked)
        assert torch.equal(found.energies, expected.energies)
        assert torch.equal(found.forces, expected.forces)
    empty = AtomicGraph.copies(torch.tensor([1]), torch.zeros(0, 1, 3))
    assert pool.evaluate(empty).energies.shape == (0,)


def test_counts_failures_and_domains_are_those_of_one_process(pool: Spread) -> None:
    pool.calls, alone = Calls(), Spring()
    graph = hydrogens(1, 100, 2, 3, 101, 4, torch.nan, 5)
    assert torch.equal(pool.evaluate(graph).energies, alone.evaluate(graph).energies)
    assert torch.equal(pool.energies(graph), alone.energies(graph))
    assert pool.calls == alone.calls
    assert pool.calls.failures == 6
    assert (pool.name, pool.domain, pool.cutoff) == (alone.name, alone.domain, alone.cutoff)
    assert pool.level["pid"] == os.getpid()
    helium = AtomicGraph.copies(torch.tensor([2]), torch.zeros(1, 1, 3))
    before = pids(pool)
    with pytest.raises(InputError, match="He"):
        pool.evaluate(helium)
    with pytest.raises(DeliveryError, match=r"energy nan .* structure 3 of 5"):
        pool.evaluate(hydrogens(0, 1, 2, 200, 3))
    assert pids(pool) == before  # neither is the workers' fault


def test_after_an_error_or_a_death_the_next_call_starts_anew(pool: Spread) -> None:
    """The last test to use the pool."""
    pool.calls = Calls()
    with pytest.raises(InputError, match="less than 300") as caught:
        pool.evaluate(hydrogens(1, 2, 300, 3))
    notes = "".join(caught.value.__notes__)
    assert "in single" in notes  # the worker's traceback
    assert re.search(r"It held structures \d to \d of 4\.", notes)
    assert pool._workers == []
    with pytest.raises(WorkerDiedError, match="SIGKILL") as died:
        pool.evaluate(hydrogens(1, 400, 2, 3))
    assert isinstance(died.value, DeliveryError)
    assert re.search(
        r"It held structures \d to 1 of 4|It held structures 1 to \d of 4",
        "".join(died.value.__notes__),
    )
    assert pool._workers == []
    assert pool.calls == Calls()


def test_a_death_between_two_calls() -> None:
    with Spread(Spring, workers=2) as spread:
        spread.start()
        workers = pids(spread)
        os.kill(workers[0], signal.SIGKILL)
        with pytest.raises(WorkerDiedError, match="SIGKILL"):
            spread.evaluate(hydrogens(1, 2, 3, 4))
        assert all(map(ended, workers))


def test_ctrl_c_ends_the_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    spread = Spread(Spring, workers=2)
    spread.start()
    workers = pids(spread)

    def interrupted(connections: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "wait", interrupted)
    with pytest.raises(KeyboardInterrupt):
        spread.evaluate(hydrogens(500, 501, 502, 503))
    assert spread._workers == []
    assert all(map(ended, workers))


def test_a_pool_that_nobody_holds_ends_its_workers() -> None:
    spread = Spread(Spring, workers=2)
    spread.start()
    workers = pids(spread)
    del spread
    assert all(map(ended, workers))


def test_edges_arrive_with_their_structures() -> None:
    x = 3.0 * torch.arange(24.0).reshape(4, 2, 3) ** 0.5
    graph = AtomicGraph.copies(torch.tensor([18, 18]), x, cutoff=Edges().cutoff)
    assert 0 < graph.edge_index.shape[1] < 8
    whole = Edges().energies(graph)
    for start, stop in ((0, 2), (1, 4), (3, 4)):
        arrived = module._graph(pickle.loads(pickle.dumps(module._arrays(graph.part(start, stop)))))
        assert torch.equal(Edges().energies(arrived), whole[start:stop])
    layout = module._Layout.of(graph)
    assert not layout.holds(graph)  # edges move with the atoms
    bare = hydrogens(1, 2)
    assert module._Layout.of(bare).holds(dataclasses.replace(bare, positions=bare.positions + 1))
    assert not module._Layout.of(bare).holds(hydrogens(1, 2))


def test_one_worker_is_this_process() -> None:
    with Spread(Spring, workers=1) as spread:
        found = spread.evaluate(hydrogens(1, 100))
        assert found.energies.tolist() == [56, torch.inf]
        assert spread._workers == []


def broken() -> LennardJones:
    raise InputError(got="no such potential", wanted="one", remedy="another")


def test_bad_input() -> None:
    with pytest.raises(InputError, match="0 workers"):
        Spread(Spring, workers=0)
    with pytest.raises(InputError, match="no such potential"):
        Spread(broken, workers=2)
    with (
        Spread(lambda: LennardJones(sigma=1.0), workers=2) as spread,
        pytest.raises(InputError, match="cannot be sent to another process"),
    ):
        spread.evaluate(AtomicGraph.copies(torch.tensor([18]), torch.zeros(2, 1, 3)))


@pytest.mark.parametrize("seconds", [0.0, 1e-5, 1e-3, 1.0])
@pytest.mark.parametrize("n", [1, 2, 3, 7, 100])
@pytest.mark.parametrize("workers", [2, 3, 16])
def test_pieces_cover_the_batch_once(seconds: float, n: int, workers: int) -> None:
    spread = Spread(Spring, workers=workers)
    spread._seconds = seconds
    pieces = list(spread._pieces(n))
    assert pieces[0][0] == 0
    assert pieces[-1][1] == n
    assert all(a[1] == b[0] for a, b in pairwise(pieces))
    sizes = [stop - start for start, stop in pieces]
    assert min(sizes) >= 1
    assert max(sizes) <= -(-n // workers)  # there is work for everyone
    if seconds == 1e-5:
        assert len(pieces) <= workers  # cheap structures go in as few messages as possible


class Halves(LennardJones):
    """Answers in single precision, off the usual road."""

    def answer(self, graph: AtomicGraph, *, forces: bool) -> Answer:
        found = super().answer(graph, forces=forces)
        return Answer(found.energies.float().double(), found.forces, {})


def test_the_recipe_may_be_any_callable_of_a_module() -> None:
    with Spread(partial(Halves, epsilon=1.0), workers=1) as spread:
        assert spread.level["epsilon_ev"] == 1.0
