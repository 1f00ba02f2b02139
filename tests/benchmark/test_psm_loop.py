"""A small real row of the psm benchmark: a score trained without data."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from genmol.benchmark.psm import Places, psm_row, quick_psm
from genmol.benchmark.sample_toys import TUNED


def test_a_training_without_data_is_held_against_chains(monkeypatch: pytest.MonkeyPatch) -> None:
    tuned = replace(TUNED["dw4"], chains=50, leaps=4, burn_in=20, thin=2, ladder=(0.5, 1.0))
    monkeypatch.setitem(TUNED, "dw4", tuned)
    options = {"max_steps": 4, "buffer": 100, "paths": 512, "rounds": 2, "batch_molecules": 8,
               "model": {"channels": 8, "layers": 1}}  # fmt: skip
    plan = replace(quick_psm(), loops={"": 1.0}, steps=5, options=options)
    row = psm_row(("loop", "dw4"), plan=plan, places=Places(Path()))
    assert len(row["shares"]) == 2
    assert row["calls"] == row["energies"] + row["gradients"]
    assert row["energies"] == 2 * 512
    transitions = row["rounds"][2]["transitions"]
    assert row["gradients"] == 32 * (1 + 56 * 8) + 100 + 50 * (1 + transitions * 8)
    cost = row["chains"]["gradients_per_effective"]
    assert row["chains_effective"] == pytest.approx(row["calls"] / cost)
    assert row["break_even"] > 0
