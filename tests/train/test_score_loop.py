"""Training without data: it finds what its first samples lack, counts calls, and goes on after a kill."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from genmol.boltzmann.score_files import score_for_toy
from genmol.boltzmann.weighted import Weighted
from genmol.chem.species import species_from_smiles
from genmol.core.errors import DeliveryError, InputError
from genmol.potentials.named import named
from genmol.train.loop_recipe import LoopRecipe
from genmol.train.loop_subject import Subject
from genmol.train.score_buffer import Buffer
from genmol.train.score_loop import check_loop, train_loop
from samplers.clusters import DW4
from samplers.hmc import HMC
from samplers.reweight import expectation
from samplers.rng import Streams
from samplers.run import run
from samplers.target import Counted, Density

TINY = LoopRecipe(
    rounds=4, buffer=300, paths=512, max_steps=240, steps=20, batch_molecules=32, seed=1,
    learning_rate=0.02, warmup_steps=5, ema=0.95,
    model={"channels": 16, "vectors": 4, "layers": 2, "n_radial": 12},
)  # fmt: skip
SHORT = TINY.changed(
    rounds=2, buffer=100, max_steps=6, steps=5, batch_molecules=8, seed=0,
    model={"channels": 8, "vectors": 4, "layers": 1},
)  # fmt: skip


def one_basin() -> Subject:
    """DW4 whose first chains begin with two short pairs and do not get far; its calls are counted."""
    toy = DW4()
    found = run(
        HMC(step_size=0.1, leaps=8), toy, toy.start(Streams.of(seed=4, chains=64)), seed=2,
        warm_up=40, draws=1,
    )  # fmt: skip
    x = found.state.x[toy.observables(found.state.x)["two short"] > 0]
    subject = Subject.of_toy("dw4", seed=0)
    return replace(
        subject,
        target=Counted.of(toy),
        begin=lambda chains: x[torch.arange(chains) % len(x)],
        kernel=lambda leaps, step: HMC(step_size=0.01, leaps=1) if step is None
        else HMC(step_size=0.12, leaps=leaps),
    )  # fmt: skip


def test_a_basin_that_the_first_buffer_lacks_is_found(tmp_path: Path) -> None:
    toy, subject = DW4(), one_basin()
    truth = toy.truths["two short"].value
    found = train_loop(subject, TINY, tmp_path)
    rows = found.card["training"]["loop"]["rounds"]

    def share(number: int) -> float:
        buffer = Buffer.load(tmp_path / f"rounds/{number:02d}/buffer.pt")
        return float(toy.observables(buffer.x)["two short"].mean())

    assert share(0) > 0.9
    assert abs(share(4) - truth) < 3 * math.sqrt(truth * (1 - truth) / (0.2 * 300))
    values, logs = [], []
    for number in (3, 4):
        paths = Weighted.load(tmp_path / f"rounds/{number:02d}/paths.pt", subject.identity)
        values.append(toy.observables(paths.x)["two short"])
        logs.append(paths.log_weights)
    both = expectation(torch.cat(values), torch.cat(logs))
    assert abs(float(both.value) - truth) < 3 * float(both.error)
    assert float(both.error) < 0.15
    # it learns: more of its paths can be begun at, with less tempering
    assert rows[4]["kept"] > 2 * rows[2]["kept"]
    assert rows[4]["exponent"] > rows[2]["exponent"]
    assert rows[4]["loss"] < 0.8 * rows[1]["loss"]
    assert rows[4]["effective_share"] > 2 * rows[1]["effective_share"]

    # calls: chains of one leap and their draws; then trajectories of 150 chains and where they begin
    assert isinstance(subject.target, Counted)
    made, loop = subject.target.calls, found.card["training"]["loop"]
    assert rows[0]["gradients"] == 32 * (1 + 40 + 16) + 256
    assert [row["transitions"] for row in rows[2:]] == [
        math.ceil(4 * min(4, 1 / row["exponent"])) for row in rows[2:]
    ]
    assert all(row["gradients"] == 150 * (1 + 8 * row["transitions"]) for row in rows[2:])
    assert loop["gradients"] == made.gradients == sum(row["gradients"] for row in rows)
    assert loop["energies"] == made.energies == 4 * 512
    assert found.card["data"]["gradient_calls"] == loop["gradients"]
    assert found.card["data"]["energy_calls"] == loop["energies"]
    assert [row.get("steps") for row in rows] == [None, 24, 48, 72, 96]
    assert found.steps == 240
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [line["round"] for line in lines] == [0, 1, 2, 3, 4]
    assert lines[4]["effective_share"] == found.card["metrics"]["paths"]["effective_share"]
    loaded = score_for_toy("dw4", tmp_path)
    assert loaded.card["reproduce"].startswith("genmol train score")


class KilledError(Exception):
    pass


@pytest.mark.parametrize("moment", ["between rounds", "in a training"])
def test_goes_on_after_a_kill(moment: str, tmp_path: Path) -> None:
    subject = Subject.of_toy("dw4", seed=0)
    recipe = SHORT.changed(checkpoint_minutes=1e-9, log_steps=1)
    train_loop(subject, recipe, tmp_path / "whole")

    def killer(row: dict[str, object]) -> None:
        between = row["kind"] == "round" and row["round"] == 1
        if between if moment == "between rounds" else row["step"] == 5:
            raise KilledError

    with pytest.raises(KilledError):
        train_loop(
            subject, recipe, tmp_path / "parts",
            report=lambda row: killer({"step": 0, **row}),
        )  # fmt: skip
    again = train_loop(subject, recipe, tmp_path / "parts")
    assert again.resumed_from == 1
    one, other = (
        Buffer.load(tmp_path / f"{name}/rounds/02/buffer.pt") for name in ("whole", "parts")
    )
    assert all(torch.equal(value, vars(other)[name]) for name, value in vars(one).items())
    first, second = (score_for_toy("dw4", tmp_path / name) for name in ("whole", "parts"))
    weights = second.model.state_dict()
    assert all(torch.equal(v, weights[k]) for k, v in first.model.state_dict().items())
    calls = [card["training"]["loop"]["gradients"] for card in (first.card, second.card)]
    assert calls[0] == calls[1]

    # with more rounds it goes on, from the paths that it ended with
    more = train_loop(subject, recipe.changed(rounds=3), tmp_path / "whole")
    assert more.resumed_from == 2
    assert len(more.card["training"]["loop"]["rounds"]) == 4


def test_the_clock_ends_it(tmp_path: Path) -> None:
    recipe = SHORT.changed(rounds=50, max_steps=None, max_minutes=0.02)
    found = train_loop(Subject.of_toy("dw4", seed=0), recipe, tmp_path)
    assert 1 < len(found.card["training"]["loop"]["rounds"]) < 50


def test_a_molecule(tmp_path: Path) -> None:
    species = species_from_smiles("CO")
    subject = Subject.of_molecule(species, named("mmff94", species)(), temperature=300.0, seed=0)
    found = train_loop(subject, SHORT, tmp_path)
    domain = found.card["domain"]
    assert domain["smiles"] == ["CO"]
    assert domain["temperature"] == 300.0
    assert domain["toy"] is None
    rows = found.card["training"]["loop"]["rounds"]
    buffer = Buffer.load(tmp_path / "rounds/02/buffer.pt")
    energies, forces = subject.target.evaluate(buffer.x)
    assert torch.allclose(energies, buffer.log_density, atol=1e-9)
    assert torch.allclose(forces, buffer.gradient, atol=1e-6)
    # kT / 2 for each of 3n − 6 vibrations, above the minimum; turning about the bond makes it a bit less
    assert 4.5 < float(-buffer.log_density.mean()) < 8
    assert rows[2]["energies"] <= 512 + rows[2]["gradients"]


def test_what_is_refused(tmp_path: Path) -> None:
    subject = Subject.of_toy("dw4", seed=0)
    train_loop(subject, SHORT.changed(rounds=1, max_steps=1), tmp_path / "run")
    with pytest.raises(InputError, match="no-resume"):
        train_loop(subject, SHORT, tmp_path / "run", resume=False)
    with pytest.raises(InputError, match="something else than lj13"):
        train_loop(Subject.of_toy("lj13", seed=0), SHORT, tmp_path / "run")
    with pytest.raises(InputError, match="buffer was 100, is 200"):
        train_loop(subject, SHORT.changed(max_steps=1, buffer=200), tmp_path / "run")
    with pytest.raises(InputError, match="buffer = 10"):
        SHORT.changed(buffer=10)
    with pytest.raises(InputError, match="less than 1"):
        SHORT.changed(effective_share=1.0)
    (tmp_path / "data").mkdir()
    (tmp_path / "data/run.json").write_text("{}")
    with pytest.raises(InputError, match="trains on data"):
        train_loop(subject, SHORT, tmp_path / "data")


def test_a_potential_that_gives_out_is_said(tmp_path: Path) -> None:
    toy = DW4()
    broken = Density(lambda x: toy.log_density(x) * float("nan"), toy.space)
    subject = replace(Subject.of_toy("dw4", seed=0), target=broken)
    with pytest.raises(DeliveryError, match="finished rounds are kept"):
        train_loop(subject, SHORT, tmp_path)


@pytest.mark.parametrize(
    ("shares", "message"),
    [((0.001, 0.01), "more --rounds"), ((0.2, 0.3, 0.004), "as it was better before")],
)
def test_a_score_of_no_use_is_called_so(shares: tuple[float, ...], message: str) -> None:
    rows = [{"round": 0}, *({"effective_share": share} for share in shares)]
    with pytest.raises(DeliveryError, match=message):
        check_loop({"training": {"loop": {"rounds": rows}}})
