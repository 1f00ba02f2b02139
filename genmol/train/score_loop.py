"""Train a score without data: it generates, chains correct, and it learns from what they corrected.

A score that has seen only what short chains found is wrong where they were wrong: no loss mends shares of
basins. Path weights say how wrong it is (:mod:`genmol.boltzmann.generator`). So, in rounds
(:mod:`genmol.train.loop_rounds`),

1. the paths of the last score are resampled by their weights and moved by a few steps of a chain
   (:mod:`genmol.boltzmann.corrected`), and take the place of the oldest half of a buffer;
2. the score is trained on the buffer, going on from its last weights;
3. it generates paths, one energy each, which say how good it is.

The first buffer is what short chains found. Energies and gradients are counted throughout, those of
conformers too.

========================  ======================================================================
file of the run's folder  content
========================  ======================================================================
``recipe.json``           how (:mod:`genmol.train.loop_recipe`); ``loop.json``: of what
``rounds/00``             ``buffer.pt`` of the first chains, and ``round.json``: what was found
``rounds/01``, ...        ``buffer.pt``, a run of :mod:`genmol.train.score`, ``paths.pt``,
                          ``round.json``
``metrics.jsonl``         what each round found, one line for each
``model.safetensors``     the result, with its card ``model.json``
========================  ======================================================================

A run that is killed goes on within its round; with more rounds, a finished one goes on as well.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

from genmol.core.errors import DeliveryError, InputError
from genmol.core.files import check_writable, write_json
from genmol.core.weights import load_weights, save_weights
from genmol.train.loop_recipe import LoopRecipe
from genmol.train.loop_rounds import Rounds, Row
from genmol.train.loop_subject import Subject
from genmol.train.run_folder import TrainedModel
from samplers.run import ResumeError
from samplers.sampler import StartError
from samplers.target import TargetError

__all__ = ["check_loop", "train_loop"]

_MINUTES = 10.0  # of a run whose recipe sets no limit
_USELESS = 0.02  # effective share below which weights are of no use
_FALLEN = 0.1  # of the best round's; a few heavy weights make it vary by less


def train_loop(
    subject: Subject,
    recipe: LoopRecipe,
    out: str | Path,
    *,
    resume: bool = True,
    start_from: str | Path | None = None,
    device: Literal["auto", "cpu", "cuda"] = "auto",
    licence: str = "not stated",
    report: Callable[[Row], None] = lambda _: None,
    command: str = "genmol train score",
) -> TrainedModel:
    """Train, or go on with the run in ``out``; the weights of the last round are the result.

    Args:
        subject: what is learnt.
        recipe: how; without a limit it takes ten minutes.
        out: folder of the run.
        resume: go on with a run there; False refuses one.
        start_from: weights that the first round starts at.
        device: where to train; paths are generated on the processor.
        licence: of the weights, for their card.
        report: called with each line of the metrics of the rounds, and of their trainings.
        command: that trains it again, but for recipe and folder.

    Raises:
        InputError: folder, recipe or weights do not fit together, or a loss is not finite.
        DeliveryError: chains could not begin, or the potential failed everywhere.
        KeyboardInterrupt: interrupted; the run can be resumed.
    """
    out = Path(out)
    check_writable(out / "recipe.json")
    if recipe.max_steps is None and recipe.max_minutes is None:
        recipe = recipe.changed(max_minutes=_MINUTES)
    _open(subject, recipe, out, resume)
    loop = Rounds(subject, recipe, out, device, licence, report)
    try:
        before = loop.begin()
        while loop.goes_on():
            loop.advance(start_from)
    except ResumeError as error:
        raise InputError(
            got=f"{out} with the checkpoints of other work ({error})",
            wanted="an empty folder, or the same system, settings and seed",
            remedy="choose another --out",
        ) from error
    except (StartError, TargetError) as error:
        raise DeliveryError(
            got=f"chains that cannot begin or go on ({error})",
            wanted="a number for the energy of every sample",
            remedy="check the potential; finished rounds are kept, repeat the command to go on",
        ) from error
    return _result(loop, before, command)


def check_loop(card: Mapping[str, Any]) -> None:
    """Raise :class:`DeliveryError` where weights of the last round's paths are of no use.

    Args:
        card: of the result.
    """
    rows = card["training"]["loop"]["rounds"]
    shares = [row["effective_share"] for row in rows if "effective_share" in row]
    if shares[-1] >= _USELESS:
        return
    course = ", ".join(f"{share:.1%}" for share in shares)
    fallen = shares[-1] < _FALLEN * max(shares)
    raise DeliveryError(
        got=f"a score that leaves {shares[-1]:.1%} of its paths effective (by round: {course})",
        wanted=f"at least {_USELESS:.0%}",
        remedy="train with a larger --buffer and more --paths, as it was better before"
        if fallen
        else "go on with more --rounds and --max-minutes, or begin again with more --steps of a path",
    )


def _open(subject: Subject, recipe: LoopRecipe, out: Path, resume: bool) -> None:
    """Begin a folder, or see that its run may go on."""
    file = out / "loop.json"
    identity = {"system": subject.name, "identity": subject.identity}
    if file.exists():
        if not resume:
            raise InputError(
                got=f"the folder {out} with a run in it, and --no-resume",
                wanted="an empty folder",
                remedy="leave --no-resume out to go on with it, or choose another --out",
            )
        if json.loads(file.read_text("utf-8")) != identity:
            raise InputError(
                got=f"{out}, where something else than {subject.name} is learnt, or at other settings",
                wanted="the same system, temperature and seed",
                remedy="choose another --out",
            )
        earlier = LoopRecipe.load(out / "recipe.json")
        recipe.changed(rounds=earlier.rounds).check_continues(earlier)
    elif (out / "run.json").exists():
        raise InputError(
            got=f"{out} with a run that trains on data",
            wanted="an empty folder, or one of a run with --rounds",
            remedy="choose another --out, with --from to start at its weights",
        )
    recipe.save(out / "recipe.json")
    write_json(file, identity)


def _result(loop: Rounds, before: int, command: str) -> TrainedModel:
    """Export the last round's weights, with what the loop has to say on their card."""
    weights = load_weights(loop.folder(loop.done) / "model", expected_class="ScoreModel")
    rows, card = loop.rows, dict(weights.card)
    energies, gradients = loop.calls("energies"), loop.calls("gradients")
    steps, minutes = sum(row.get("steps", 0) for row in rows), loop.seconds / 60
    last = {name: rows[-1][name] for name in ("effective_share", "pareto_k", "inside")}
    card |= {
        "data": {**card["data"], "energy_calls": energies, "gradient_calls": gradients},
        "metrics": {**card["metrics"], "paths": {"count": rows[-1]["paths"], **last}},
        "reproduce": f"{command} --recipe recipe.json --out RUN",
        "training": {
            **card["training"],
            "recipe": loop.recipe.to_dict(),
            "steps": steps,
            "minutes": round(minutes, 2),
            "loop": {"energies": energies, "gradients": gradients, "rounds": rows},
        },
    }
    written = save_weights(loop.out / "model", weights.state, card)
    return TrainedModel(loop.out / "model.safetensors", written, steps, minutes, before)
