"""Every registered backbone keeps every law, in float64 to 1e-10 and in float32 to 1e-4."""

import pytest
import torch
from laws.subject import Subject
from laws.suite import LAWS

from genmol.backbones.registry import BACKBONES

PRECISIONS = {"float64": (torch.float64, 1e-10), "float32": (torch.float32, 1e-4)}


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize("name", BACKBONES)
def test_law(name, law, precision, generator):
    entry = BACKBONES[name]
    if law in entry.exempt:
        pytest.skip(entry.exempt[law])
    dtype, tolerance = PRECISIONS[precision]
    with torch.random.fork_rng():
        torch.manual_seed(11)
        LAWS[law](
            Subject(
                model=entry.build().to(dtype),
                fresh=lambda: entry.build().to(dtype),
                tolerance=tolerance,
                generator=generator,
                idle=entry.idle,
            )
        )


@pytest.mark.parametrize("name", BACKBONES)
def test_exemptions_are_of_laws_and_say_why(name):
    entry = BACKBONES[name]
    assert entry.exempt.keys() <= LAWS.keys()
    assert all(len(reason) > 20 for reason in [*entry.exempt.values(), *entry.idle.values()])
