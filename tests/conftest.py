"""Shapes are checked by beartype in the whole test run; numbers are float64; seeds are fixed."""

from __future__ import annotations

import jaxtyping

# Before anything imports genmol, or its modules escape the check
jaxtyping.install_import_hook(["genmol", "samplers"], "shapecheck.check").__enter__()

import numpy as np  # noqa: E402
import pytest  # noqa: E402
import torch  # noqa: E402
from pyscf.scf import hf  # noqa: E402

torch.set_default_dtype(torch.float64)
hf.MUTE_CHKFILE = True  # PySCF's objects open a temporary checkpoint each and never close it


@pytest.fixture
def generator() -> torch.Generator:
    """A torch generator with a fixed seed, fresh for every test."""
    return torch.Generator().manual_seed(20240607)


@pytest.fixture
def rng() -> np.random.Generator:
    """A numpy generator with a fixed seed, fresh for every test."""
    return np.random.default_rng(20240607)
