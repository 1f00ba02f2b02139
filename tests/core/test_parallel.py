"""No item is lost to another's failure, in this process or in several."""

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import pytest

from genmol.core.errors import InputError
from genmol.core.parallel import WorkerDiedError, parallel_map
from genmol.core.threads import THREAD_VARIABLES


def square(x: int) -> int:
    return x * x


def reciprocal(x: int) -> float:
    return 1 / x


def die_on_three(x: int) -> int:
    if x == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return x * x


def exit_on_three(x: int) -> int:
    if x == 3:
        os._exit(7)
    return x * x


def die_the_first_time(path: str) -> str:
    if not Path(path).exists():
        Path(path).touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return path


def fail_the_first_time(path: str) -> str:
    if not Path(path).exists():
        Path(path).touch()
        raise RuntimeError("try again")
    return path


def refuse(path: str) -> None:
    with Path(path).open("a") as handle:
        handle.write("x")
    raise InputError(got="a", wanted="b", remedy="c")


def unpicklable_value(x: int) -> object:
    return threading.Lock() if x == 1 else x


class OddError(Exception):
    def __init__(self, *, left: int, right: int) -> None:
        super().__init__(f"{left} {right}")


def odd_failure(x: int) -> int:
    raise OddError(left=x, right=x)


def thread_variables(_: int) -> list[str | None]:
    return [os.environ.get(name) for name in THREAD_VARIABLES]


@pytest.mark.parametrize("workers", [1, 2])
def test_values_are_those_of_map_and_one_failure_stays_alone(workers):
    outcomes = list(parallel_map(reciprocal, range(6), workers=workers))
    assert sorted(outcome.index for outcome in outcomes) == list(range(6))
    for outcome in outcomes:
        if outcome.index == 0:
            assert isinstance(outcome.error, ZeroDivisionError)
            with pytest.raises(ZeroDivisionError):
                outcome.unwrap()
        else:
            assert outcome.unwrap() == 1 / outcome.index


@pytest.mark.parametrize(
    ("function", "cause"), [(die_on_three, "SIGKILL"), (exit_on_three, "exited with code 7")]
)
def test_a_dead_worker_costs_its_own_item_only(function, cause):
    outcomes = {o.index: o for o in parallel_map(function, range(7), workers=2)}
    assert {i: o.value for i, o in outcomes.items()} == {
        i: None if i == 3 else i * i for i in range(7)
    }
    assert isinstance(outcomes[3].error, WorkerDiedError)
    assert cause in str(outcomes[3].error)
    assert outcomes[3].error.exit_code == 3


@pytest.mark.parametrize(
    ("function", "workers"),
    [(fail_the_first_time, 1), (fail_the_first_time, 2), (die_the_first_time, 2)],
)
def test_retries(tmp_path, function, workers):
    def paths(name):
        return [str(tmp_path / f"{name}{index}") for index in range(3)]

    without = parallel_map(function, paths("a"), workers=workers)
    assert all(outcome.error is not None for outcome in without)
    with_one = parallel_map(function, paths("b"), workers=workers, retries=1)
    assert sorted(outcome.unwrap() for outcome in with_one) == paths("b")


@pytest.mark.parametrize("workers", [1, 2])
def test_bad_input_is_not_tried_again(tmp_path, workers):
    path = tmp_path / "calls"
    [outcome] = parallel_map(refuse, [str(path)], workers=workers, retries=5)
    assert isinstance(outcome.error, InputError)
    assert path.read_text() == "x"


def test_what_does_not_pickle_is_an_error_of_its_item():
    outcomes = {o.index: o for o in parallel_map(unpicklable_value, range(3), workers=2)}
    assert (outcomes[0].value, outcomes[2].value) == (0, 2)
    assert "pickle" in str(outcomes[1].error)
    [odd] = parallel_map(odd_failure, [4], workers=2)
    assert str(odd.error) == "OddError: 4 4"
    assert "odd_failure" in "".join(odd.error.__notes__)


def test_items_are_taken_as_they_are_needed():
    taken = []

    def items():
        for index in range(100):
            taken.append(index)
            yield index

    outcomes = parallel_map(square, items(), workers=2)
    next(outcomes)
    outcomes.close()
    assert len(taken) <= 4


def test_workers_compute_with_one_thread_and_the_parent_keeps_its_own(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    monkeypatch.delenv("MKL_NUM_THREADS", raising=False)
    [outcome] = parallel_map(thread_variables, [0], workers=2)
    assert outcome.unwrap() == ["1", "1", "1"]
    assert os.environ["OMP_NUM_THREADS"] == "7"
    assert "MKL_NUM_THREADS" not in os.environ


def test_no_workers_is_bad_input():
    with pytest.raises(InputError, match="0 workers"):
        parallel_map(square, [1], workers=0)


def test_an_interrupt_ends_parent_and_workers(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        textwrap.dedent("""
        import os, signal, sys, time
        from genmol.core.parallel import parallel_map

        def work(index):
            with open(f"{sys.argv[1]}/{index}", "w") as handle:
                handle.write(str(os.getpid()))
            time.sleep(600)

        if __name__ == "__main__":
            # a background job of a shell inherits Ctrl-C as ignored
            signal.signal(signal.SIGINT, signal.default_int_handler)
            list(parallel_map(work, range(2), workers=2))
        """)
    )
    started = tmp_path / "started"
    started.mkdir()
    process = subprocess.Popen([sys.executable, script, started], stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        pids = [file.read_text() for file in started.iterdir()]
        if len(pids) == 2 and all(pids):
            break
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=60)
    assert "KeyboardInterrupt" in stderr
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(int(pid), 0)
