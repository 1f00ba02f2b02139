"""One process pool: independent items over worker processes, and no item lost to another's failure.

Each worker is a spawned process with one numerical thread and a pipe of its own, holding one item
at a time. So the item a dead worker took with it is known, a fresh worker replaces it, the iterable
of items is consumed only as fast as they are worked on, and stopping is a matter of ending the
workers.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import pickle
import signal
import traceback
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from typing import Any, Generic, TypeVar

from genmol.core.errors import DeliveryError, InputError
from genmol.core.threads import available_cores, thread_environment

__all__ = ["Outcome", "WorkerDiedError", "parallel_map", "portable", "worker_death"]

Item = TypeVar("Item")
Value = TypeVar("Value")


class WorkerDiedError(DeliveryError):
    """The worker process ended while it held the item (out of memory, killed, crashed library)."""


@dataclass(frozen=True)
class Outcome(Generic[Value]):
    """What became of one item: its value, or the error it raised.

    Attributes:
        index: position of the item in the input.
        value: the function's result; None if there is an error.
        error: the exception; None if there is a value. Its notes hold the worker's traceback.
    """

    index: int
    value: Value | None
    error: Exception | None

    def unwrap(self) -> Value:
        """Return the value, or raise the error."""
        if self.error is not None:
            raise self.error
        return self.value  # type: ignore[return-value]  # None only if the function returned None


def parallel_map(
    function: Callable[[Item], Value], items: Iterable[Item], *, workers: int, retries: int = 0
) -> Iterator[Outcome[Value]]:
    """Yield ``function(item)`` for every item as an :class:`Outcome`, in the order of completion.

    Args:
        function: importable by name (it is pickled), as for any spawned process.
        items: consumed lazily.
        workers: number of processes; 1 runs in this process, with its own thread count.
        retries: how often a failed item is tried again before its error is reported. Bad input is
            not.

    Raises:
        InputError: ``workers`` is less than 1.
    """
    if workers < 1:
        raise InputError(
            got=f"{workers} workers",
            wanted="at least 1",
            remedy=f"use one per core; this machine has {available_cores()}",
        )
    tasks = (_Task(index, item, retries) for index, item in enumerate(items))
    return _run_here(function, tasks) if workers == 1 else _run_pool(function, tasks, workers)


@dataclass(frozen=True)
class _Task(Generic[Item]):
    index: int
    item: Item
    retries: int

    def again(self, error: Exception | None) -> _Task[Item] | None:
        """Return the task with one retry less, or None when ``error`` is final."""
        if error is None or isinstance(error, InputError) or self.retries == 0:
            return None
        return _Task(self.index, self.item, self.retries - 1)


def _run_here(
    function: Callable[[Item], Value], tasks: Iterable[_Task[Item]]
) -> Iterator[Outcome[Value]]:
    for first in tasks:
        task: _Task[Item] | None = first
        while task is not None:
            outcome = _attempt(function, task)
            task = task.again(outcome.error)
        yield outcome


def _attempt(function: Callable[[Item], Value], task: _Task[Item]) -> Outcome[Value]:
    try:
        return Outcome(task.index, function(task.item), None)
    except Exception as error:
        return Outcome(task.index, None, error)


class _Worker:
    """A spawned process that answers one task at a time over its pipe."""

    def __init__(self, function: Callable[[Any], Any]) -> None:
        context = multiprocessing.get_context("spawn")
        self.connection, theirs = context.Pipe()
        self.process = context.Process(target=_serve, args=(theirs, function), daemon=True)
        with thread_environment(1):
            self.process.start()
        theirs.close()  # so that the end of the worker is the end of the pipe
        self.task: _Task[Any] | None = None

    def give(self, task: _Task[Any]) -> None:
        self.task = task
        with contextlib.suppress(ConnectionError):  # already dead: the wait that follows sees it
            self.connection.send(task)

    def take(self) -> Outcome[Any]:
        """Return the outcome that made the pipe readable; the death of the worker is one too."""
        assert self.task is not None
        try:
            answer = self.connection.recv_bytes()
        except (EOFError, OSError):  # ended between two messages, or within one
            self.process.join()
            return Outcome(self.task.index, None, worker_death(self.process.exitcode or 0))
        try:
            outcome: Outcome[Any] = pickle.loads(answer)
        except Exception as error:  # a value that pickles but cannot be rebuilt
            return Outcome(self.task.index, None, error)
        return outcome

    def stop(self) -> None:
        self.process.terminate()
        self.process.join(timeout=2)
        self.process.kill()
        self.process.join()
        self.connection.close()


def worker_death(exit_code: int) -> WorkerDiedError:
    """Return the error that says how a worker process ended."""
    if exit_code < 0:
        return WorkerDiedError(
            got=f"a worker process ended by {signal.Signals(-exit_code).name}",
            wanted="a worker that finishes its item",
            remedy="fewer workers or a smaller item, in case the memory ran out",
        )
    return WorkerDiedError(
        got=f"a worker process that exited with code {exit_code}",
        wanted="a worker that finishes its item",
        remedy="workers=1 to see the error; a script needs the guard if __name__ == '__main__'",
    )


def _run_pool(
    function: Callable[[Item], Value], tasks: Iterator[_Task[Item]], size: int
) -> Iterator[Outcome[Value]]:
    workers: list[_Worker] = []
    again: list[_Task[Item]] = []

    def next_task() -> _Task[Item] | None:
        return again.pop() if again else next(tasks, None)

    try:
        while len(workers) < size and (task := next_task()) is not None:
            workers.append(_Worker(function))
            workers[-1].give(task)
        while busy := {worker.connection: worker for worker in workers if worker.task is not None}:
            for connection in wait(list(busy)):
                assert isinstance(connection, Connection)
                worker = busy[connection]
                outcome, held = worker.take(), worker.task
                worker.task = None
                assert held is not None
                retry = held.again(outcome.error)
                if retry is not None:
                    again.append(retry)
                if (task := next_task()) is not None:
                    if not worker.process.is_alive():
                        workers.remove(worker)
                        worker.stop()
                        workers.append(worker := _Worker(function))
                    worker.give(task)
                if retry is None:
                    yield outcome
    finally:
        for worker in workers:
            worker.stop()


def _serve(connection: Connection, function: Callable[[Any], Any]) -> None:
    """The worker's life: answer tasks until the pipe ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which stops us
    while True:
        try:
            task = connection.recv()
        except EOFError:
            return
        outcome = _attempt(function, task)
        if outcome.error is not None:
            outcome = Outcome(task.index, None, portable(outcome.error))
        try:
            connection.send(outcome)
        except BrokenPipeError:  # the parent is gone, and nobody waits for the rest
            return
        except Exception as error:  # the value does not pickle; nothing has been sent yet
            connection.send(Outcome(task.index, None, portable(error)))


def portable(error: Exception) -> Exception:
    """Return ``error`` with its traceback as a note; its text only if it does not pickle."""
    text = "".join(traceback.format_exception(error))
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        error = RuntimeError(f"{type(error).__name__}: {error}")
    error.add_note(text)
    return error
