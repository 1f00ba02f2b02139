"""The rounds of a score that learns from its own corrected samples, one after the other.

See :mod:`genmol.train.score_loop`. A round is done when its ``round.json`` is there; the next one needs
its buffer, weights and paths. Seeds are made of the round's number, so a run that is killed and resumed
finds the same samples, save where the clock ends a training.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from genmol.boltzmann.corrected import corrected
from genmol.boltzmann.generator import ScoreGenerator
from genmol.boltzmann.score_files import LoadedScore
from genmol.boltzmann.tuning import total_calls
from genmol.boltzmann.weighted import Weighted, weighted_draws
from genmol.core.files import atomic_write_text, write_json
from genmol.core.jsonable import dumps
from genmol.train.loop_recipe import LoopRecipe
from genmol.train.loop_subject import Subject
from genmol.train.score import train
from genmol.train.score_buffer import Buffer
from genmol.train.score_recipe import ScoreRecipe
from samplers.run import Budget, run
from samplers.target import Counted

__all__ = ["Rounds", "Row"]

_CHAINS, _WARM_UP, _DRAWS, _THIN = 32, 40, 8, 2  # of the first buffer
_ACCEPTANCE, _GAIN = 0.75, 2.0  # wanted; change of the log step size for what is missing
_LEAST = 0.25  # of a round's time for its training

Row = dict[str, Any]


@dataclass
class Rounds:
    """Rounds of a run, each in a folder of its own.

    Attributes:
        subject: what is learnt.
        recipe: how.
        out: folder of the run.
        device: where to train.
        licence: of the weights.
        report: called with each line of the metrics.
        rows: what rounds that are done have found, the first chains before them all.
    """

    subject: Subject
    recipe: LoopRecipe
    out: Path
    device: Literal["auto", "cpu", "cuda"]
    licence: str
    report: Callable[[Row], None]
    rows: list[Row] = field(default_factory=list)

    def begin(self) -> int:
        """Read what is there, or make the first buffer; returns the number of rounds found."""
        while (file := self.folder(len(self.rows)) / "round.json").exists():
            self.rows.append(json.loads(file.read_text("utf-8")))
        if not self.rows:
            self._first()
            return 0
        self._tell()
        return self.done

    @property
    def done(self) -> int:
        """Rounds."""
        return len(self.rows) - 1

    @property
    def seconds(self) -> float:
        """Of all rounds."""
        return float(sum(row["seconds"] for row in self.rows))

    def calls(self, kind: Literal["energies", "gradients"]) -> int:
        """Of all rounds."""
        return int(sum(row[kind] for row in self.rows))

    def folder(self, number: int) -> Path:
        """Of a round."""
        return self.out / "rounds" / f"{number:02d}"

    def goes_on(self) -> bool:
        """Rounds are left, and time; one is done in any case."""
        limit = self.recipe.max_minutes
        late = limit is not None and self.seconds >= 60 * limit
        return self.done < self.recipe.rounds and not (late and self.done)

    def advance(self, start_from: str | Path | None) -> None:
        """A round: correct the paths of the last one, train, generate paths.

        Args:
            start_from: weights that the first one starts at.
        """
        number, began = self.done + 1, self._now()
        folder = self.folder(number)
        folder.mkdir(parents=True, exist_ok=True)
        row: Row = {"round": number, "energies": 0, "gradients": 0}
        buffer = Buffer.load(self.folder(self.done) / "buffer.pt")
        if number > 1:
            newer, found = self._corrected(number, buffer)
            buffer, row = buffer.followed(newer, most=self.recipe.buffer), row | found
        buffer.save(folder / "buffer.pt")
        besides = self._now() - began

        frames = self.subject.frames(
            buffer,
            gradients=self.calls("gradients") + row["gradients"],
            source=f"buffer of round {number}",
        )
        trained = train(
            self._plan(number), frames, folder, device=self.device, licence=self.licence,
            start_from=start_from if number == 1 else self.folder(self.done) / "model",
            toy=self.subject.toy, report=self._reporting(),
        )  # fmt: skip
        loss = trained.card["metrics"]["validation"].get("loss")

        began = self._now()
        paths = self._paths(trained.path, number)
        besides += self._now() - began
        self._commit(row | {
            "frames": len(buffer.x),
            "steps": trained.steps,
            "loss": loss,
            "paths": len(paths.x),
            "inside": float(paths.alive.double().mean()),
            "effective_share": paths.share,
            "pareto_k": paths.tail,
            "energies": row["energies"] + paths.energies,
            "seconds": 60 * trained.minutes + besides,
            "seconds_besides_training": besides,
        })  # fmt: skip

    # --- parts of a round

    def _first(self) -> None:
        """Short chains; gradients at their draws are computed once more."""
        began, subject, folder = self._now(), self.subject, self.folder(0)
        folder.mkdir(parents=True, exist_ok=True)
        found = run(
            subject.kernel(self.recipe.leaps, None), subject.target, subject.begin(_CHAINS),
            seed=self._seed(0, "chains"), warm_up=_WARM_UP, draws=_DRAWS, thin=_THIN,
            checkpoint=folder / "chains.pt", identity=subject.identity,
        )  # fmt: skip
        x = found.x.flatten(0, 1)[-self.recipe.buffer :]
        which = torch.zeros(len(x), dtype=torch.int64)
        Buffer(x, *subject.target.evaluate(x), which).save(folder / "buffer.pt")
        calls = total_calls(found)
        self._commit({
            "round": 0,
            "frames": len(x),
            "acceptance": float(found.details["acceptance"].mean()),
            "step_size": float(found.state.memory["log_step"].exp().median()),
            "energies": subject.before.energies + calls.energies,
            "gradients": subject.before.gradients + calls.gradients + len(x),
            "seconds": self._now() - began,
        })  # fmt: skip

    def _corrected(self, number: int, buffer: Buffer) -> tuple[Buffer, Row]:
        """Samples from the paths of the last round, and what there is to say of them."""
        recipe, last, step = self.recipe, self.folder(self.done), self._step()
        found = corrected(
            Weighted.load(last / "paths.pt", self.subject.identity),
            (buffer.x, buffer.log_density), self.subject.target,
            self.subject.kernel(recipe.leaps, step),
            count=recipe.buffer // 2, transitions=recipe.transitions, share=recipe.effective_share,
            seed=self._seed(number, "correction"), checkpoint=self.folder(number) / "chains.pt",
            identity=f"{self.subject.identity} {number}",
        )  # fmt: skip
        which = torch.full((len(found.x),), number)
        return Buffer(found.x, found.log_density, found.gradient, which), {
            "exponent": found.exponent,
            "kept": found.kept,
            "resampled": found.resampled,
            "transitions": found.transitions,
            "step_size": step,
            "acceptance": found.acceptance,
            "energies": found.calls.energies,
            "gradients": found.calls.gradients,
        }

    def _step(self) -> float:
        """Of chains: as the last ones went, longer or shorter by how many of its moves were accepted."""
        row = next(row for row in reversed(self.rows) if "step_size" in row)
        return float(row["step_size"] * math.exp(_GAIN * (row["acceptance"] - _ACCEPTANCE)))

    def _plan(self, number: int) -> ScoreRecipe:
        """The recipe of a round's training; of one that has begun, as it began."""
        file, limit = self.folder(number) / "recipe.json", self.recipe.max_minutes
        if file.exists():
            return ScoreRecipe.load(file)
        if limit is None:
            return self.recipe.of_round(number, minutes=None)
        each = (60 * limit - self.seconds) * self.recipe.part(number, of=number)
        besides = self.rows[-1].get("seconds_besides_training", each / 2)
        seconds = max(each - besides, _LEAST * each, 0.5)
        return self.recipe.of_round(number, minutes=seconds / 60)

    def _paths(self, model: Path, number: int) -> Weighted:
        """Of the round's score; kept for the next round."""
        score, seed = LoadedScore.load(model), self._seed(number, "paths")
        generator = ScoreGenerator.piloted(
            score.model, self.subject.system(score), steps=score.steps, seed=seed
        )
        found, _ = weighted_draws(
            generator, Counted.of(self.subject.target), seed=seed, effective=lambda _: 0.0,
            wanted=float("inf"), budget=Budget(), folder=self.folder(number),
            identity=f"{self.subject.identity} {generator.identity}", fold=self.subject.fold(score),
            most=self.recipe.paths, hopeless=None,
        )  # fmt: skip
        found.save(self.folder(number) / "paths.pt", self.subject.identity)
        return found

    def _reporting(self) -> Callable[[Row], None]:
        """Lines of a training, with the steps and minutes before it."""
        steps, minutes = sum(row.get("steps", 0) for row in self.rows), self.seconds / 60

        def told(row: Row) -> None:
            self.report({**row, "step": steps + row["step"], "minutes": minutes + row["minutes"]})

        return told

    def _now(self) -> float:
        return time.process_time() if self.recipe.clock == "processor" else time.monotonic()

    def _commit(self, row: Row) -> None:
        write_json(self.folder(row["round"]) / "round.json", row)
        self.rows.append(row)
        self._tell()

    def _tell(self) -> None:
        lines: list[Row] = [{"kind": "round", **row} for row in self.rows]
        atomic_write_text(self.out / "metrics.jsonl", "".join(dumps(line) + "\n" for line in lines))
        self.report(lines[-1])

    def _seed(self, number: int, name: str) -> int:
        words = [self.recipe.seed, number, *name.encode()]
        return int(np.random.SeedSequence(words).generate_state(1, np.uint64)[0] >> 1)
