"""A potential spread over processes that stay alive from call to call.

A sampler asks thousands of times for a handful of geometries, so the workers of :class:`Spread` are
spawned once, each with one numerical thread and a potential of its own. A call cuts its batch into
pieces that go over pipes as plain arrays, large pieces first and smaller ones as workers come back for
more; how a batch is cut changes no answer, since a potential's answer for a structure does not depend on
its companions. A call that goes wrong in any way (an error in a worker, a worker that died, Ctrl-C) ends
all workers, so that no answer can be taken for that of a later call, and the next call starts new ones.
"""

from __future__ import annotations

import contextlib
import dataclasses
import multiprocessing
import pickle
import signal
import time
import weakref
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import accumulate
from multiprocessing.connection import Connection, wait
from typing import Any, NamedTuple, final

import numpy as np
import torch
from torch import Tensor

from genmol.core.errors import InputError
from genmol.core.graph import AtomicGraph
from genmol.core.parallel import portable, worker_death
from genmol.core.threads import available_cores, thread_environment
from genmol.potentials.contract import Answer, Potential
from genmol.potentials.domain import Domain

__all__ = ["Spread"]

_SHORTEST = 2e-3
"""Seconds of work that a message should carry: sending one and waking up takes a twentieth of it."""


@final
class Spread(Potential):
    """A potential whose batches are computed by several processes.

    Use it in a ``with`` block, or :meth:`close` it; it also closes when it is collected and when Python
    ends. A script that makes one needs the guard ``if __name__ == "__main__"``, as for any spawned
    process.

    Args:
        make: makes the potential; called here and in every worker, so it is pickled: a class, a
            ``functools.partial`` of one, or a function of a module.
        workers: number of processes; 1 computes in this process, with its own thread count.

    Raises:
        InputError: less than 1 worker, or what ``make`` objects to.
    """

    def __init__(self, make: Callable[[], Potential], *, workers: int) -> None:
        super().__init__()
        if workers < 1:
            raise InputError(
                got=f"{workers} workers",
                wanted="at least 1",
                remedy=f"use one per core; this machine has {available_cores()}",
            )
        self._make, self._size = make, workers
        self._here = make()
        self._workers: list[_Worker] = []
        self._finalizer = weakref.finalize(self, _stop, self._workers)
        self._layout = _Layout((), [])
        self._seconds = 0.0  # that one structure took, lately

    @property
    def name(self) -> str:
        """That of the potential."""
        return self._here.name

    @property
    def level(self) -> Mapping[str, Any]:
        """That of the potential."""
        return self._here.level

    @property
    def domain(self) -> Domain:
        """That of the potential."""
        return self._here.domain

    @property
    def cutoff(self) -> float:
        """That of the potential."""
        return self._here.cutoff

    def answer(self, graph: AtomicGraph, *, forces: bool) -> Answer:
        """Cut, send, collect.

        Raises:
            InputError: a worker's potential objects to a structure.
            WorkerDiedError: a worker ended while it held structures.
        """
        if self._size == 1 or graph.n_graphs == 0:
            return self._here.answer(graph, forces=forces)
        try:
            self.start()
            return self._collect(graph, forces)
        except BaseException:
            self.close()
            raise

    def start(self) -> None:
        """Spawn the workers, if they do not run: seconds, which the first call takes otherwise."""
        if self._workers or self._size == 1:
            return
        try:
            recipe = pickle.dumps(self._make)
        except (pickle.PicklingError, AttributeError, TypeError) as error:
            raise InputError(
                got=f"a recipe for a potential that cannot be sent to another process ({error})",
                wanted="something that pickles",
                remedy="give the class, functools.partial of it, or a function of a module",
            ) from error
        self._workers += [_Worker() for _ in range(self._size)]
        for worker in self._workers:
            worker.send(recipe)

    def close(self) -> None:
        """End the workers."""
        _stop(self._workers)

    def __enter__(self) -> Spread:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _collect(self, graph: AtomicGraph, forces: bool) -> Answer:
        if not self._layout.holds(graph):
            self._layout = _Layout.of(graph)
        layout, before = self._layout, self._layout.before
        positions = graph.positions.detach().cpu().numpy()
        energies = np.empty(graph.n_graphs)
        all_forces = np.empty((len(positions), 3)) if forces else None
        failures: dict[int, str] = {}
        pieces = self._pieces(graph.n_graphs)
        busy: dict[Connection, tuple[_Worker, int, int]] = {}

        def give(worker: _Worker) -> None:
            if (piece := next(pieces, None)) is not None:
                start, stop = piece
                known = worker.knows == (layout, start, stop)
                rest = None if known else _arrays(graph.part(start, stop))
                question = positions[before[start] : before[stop]], rest, forces
                worker.send(pickle.dumps(question))
                worker.knows = layout, start, stop
                busy[worker.connection] = worker, start, stop

        for worker in self._workers:
            give(worker)
        while busy:
            for connection in wait(list(busy)):
                assert isinstance(connection, Connection)
                worker, start, stop = busy.pop(connection)
                try:
                    reply = worker.receive()
                except Exception as error:
                    error.add_note(f"It held structures {start} to {stop - 1} of {graph.n_graphs}.")
                    raise
                self._seconds = reply.seconds / (stop - start)
                energies[start:stop] = reply.energies
                if all_forces is not None:
                    all_forces[before[start] : before[stop]] = reply.forces
                failures |= {start + index: why for index, why in reply.failures.items()}
                give(worker)
        return Answer(
            torch.from_numpy(energies),
            None if all_forces is None else torch.from_numpy(all_forces),
            dict(sorted(failures.items())),
        )

    def _pieces(self, n: int) -> Iterator[tuple[int, int]]:
        """Half of what is left to each worker in turn, but no piece too short to be worth a message."""
        share = -(-n // self._size)
        least = int(min(share, _SHORTEST / self._seconds)) if self._seconds else 1
        start = 0
        while start < n:
            size = max(1, least, (n - start) // (2 * self._size))
            yield start, min(n, start + size)
            start += size


@dataclass(frozen=True, eq=False)
class _Layout:
    """All of a batch but where its atoms are: a sampler's batches mostly share it.

    Attributes:
        tensors: by which it is recognised; empty if each batch has edges of its own.
        before: number of atoms before each structure, and of all.
    """

    tensors: tuple[Tensor | None, ...]
    before: list[int]

    @classmethod
    def of(cls, graph: AtomicGraph) -> _Layout:
        edges = graph.edge_index.shape[1] > 0
        return cls(() if edges else _tensors(graph), [0, *accumulate(graph.sizes.tolist())])

    def holds(self, graph: AtomicGraph) -> bool:
        own, other = self.tensors, _tensors(graph)
        return len(own) == len(other) and all(a is b for a, b in zip(own, other, strict=True))


def _tensors(graph: AtomicGraph) -> tuple[Tensor | None, ...]:
    return graph.numbers, graph.graph_index, graph.edge_index, graph.charge, graph.multiplicity


def _arrays(graph: AtomicGraph) -> dict[str, Any]:
    """A batch as plain arrays, which pickle without torch's shared memory."""

    def plain(value: Any) -> Any:
        return value.detach().cpu().numpy() if isinstance(value, Tensor) else value

    fields = dataclasses.fields(graph)
    return {field.name: plain(getattr(graph, field.name)) for field in fields}


def _graph(arrays: dict[str, Any]) -> AtomicGraph:
    """The batch that :func:`_arrays` took apart."""

    def tensor(value: Any) -> Any:
        return torch.from_numpy(value) if isinstance(value, np.ndarray) else value

    return AtomicGraph(**{name: tensor(value) for name, value in arrays.items()})


class _Reply(NamedTuple):
    """An answer as plain arrays, and how long it took."""

    energies: np.ndarray
    forces: np.ndarray | None
    failures: dict[int, str]
    seconds: float


class _Worker:
    """A spawned process that holds a potential and answers one question at a time."""

    def __init__(self) -> None:
        context = multiprocessing.get_context("spawn")
        self.connection, theirs = context.Pipe()
        self.process = context.Process(target=_serve, args=(theirs,), daemon=True)
        with thread_environment(1):
            self.process.start()
        theirs.close()  # so that the end of the worker is the end of the pipe
        self.knows: tuple[_Layout, int, int] | None = None  # what the last question was about

    def send(self, message: bytes) -> None:
        with contextlib.suppress(ConnectionError):  # already dead: the answer never comes
            self.connection.send_bytes(message)

    def receive(self) -> _Reply:
        """The answer to the question sent last, or its error."""
        try:
            found = pickle.loads(self.connection.recv_bytes())
        except (EOFError, OSError) as error:  # ended between two messages, or within one
            self.process.join()
            raise worker_death(self.process.exitcode or 0) from error
        if isinstance(found, Exception):
            raise found
        assert isinstance(found, _Reply)
        return found

    def stop(self) -> None:
        self.process.terminate()
        self.process.join(timeout=2)
        self.process.kill()
        self.process.join()
        self.connection.close()


def _stop(workers: list[_Worker]) -> None:
    while workers:
        workers.pop().stop()


def _serve(connection: Connection) -> None:
    """The worker's life: make the potential, answer until the pipe ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which stops us
    made: Potential | Exception
    graph: AtomicGraph | None = None
    try:
        recipe = connection.recv_bytes()
        try:
            made = pickle.loads(recipe)()
        except Exception as error:
            made = portable(error)
        while True:
            positions, rest, forces = pickle.loads(connection.recv_bytes())
            graph = _graph(rest) if rest is not None else graph
            assert graph is not None
            graph = dataclasses.replace(graph, positions=torch.from_numpy(positions))
            answer = made if isinstance(made, Exception) else _reply(made, graph, forces=forces)
            connection.send_bytes(pickle.dumps(answer))
    except (EOFError, ConnectionError):  # the parent is gone, and nobody waits for the rest
        return


def _reply(potential: Potential, graph: AtomicGraph, *, forces: bool) -> _Reply | Exception:
    began = time.perf_counter()
    try:
        found = potential.answer(graph, forces=forces)
    except Exception as error:
        return portable(error)
    return _Reply(
        found.energies.numpy(),
        None if found.forces is None else found.forces.numpy(),
        dict(found.failures),
        time.perf_counter() - began,
    )
