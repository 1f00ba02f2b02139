"""``--threads`` has one place."""

import os

import pytest
import torch

from genmol.core.errors import InputError
from genmol.core.threads import THREAD_VARIABLES, available_cores, set_threads


def test_loaded_and_coming_libraries_obey(monkeypatch):
    for name in THREAD_VARIABLES:
        monkeypatch.setenv(name, "1")
    before = torch.get_num_threads()
    try:
        set_threads(3)
        assert torch.get_num_threads() == 3
        assert {os.environ[name] for name in THREAD_VARIABLES} == {"3"}
    finally:
        torch.set_num_threads(before)


def test_zero_threads_is_bad_input():
    with pytest.raises(InputError, match=f"--threads {available_cores()}"):
        set_threads(0)
