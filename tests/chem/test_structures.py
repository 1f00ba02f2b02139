"""One function reads every format, and says so when it cannot."""

import numpy as np
import pytest
from ase.build import molecule

from genmol.chem.sdf import write_sdf
from genmol.chem.structures import read_any
from genmol.core.errors import InputError
from genmol.core.structure import write_extxyz


@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("a.xyz", write_extxyz),
        ("a.EXTXYZ", write_extxyz),
        ("a.sdf", write_sdf),
        ("a.mol", write_sdf),
    ],
)
def test_the_suffix_decides(tmp_path, name, write):
    ethanol = molecule("CH3CH2OH")
    write(tmp_path / name, [ethanol])
    [read] = read_any(tmp_path / name)
    assert read.get_chemical_symbols() == ethanol.get_chemical_symbols()
    np.testing.assert_allclose(read.positions, ethanol.positions, rtol=0, atol=5.1e-5)


@pytest.mark.parametrize("name", ["a.pdb", "README"])
def test_other_formats_are_refused(tmp_path, name):
    (tmp_path / name).write_text("x")
    with pytest.raises(InputError, match=r"wanted a file named \.xyz, \.extxyz, \.sdf or \.mol"):
        read_any(tmp_path / name)


def test_a_missing_file_is_reported_as_such_whatever_its_suffix(tmp_path):
    with pytest.raises(InputError, match="does not exist"):
        read_any(tmp_path / "a.pdb")
