"""``genmol benchmark learned``: what the learned Fock matrix is worth, on molecules it has not seen.

================  ===============================================================================
section           what one row is
================  ===============================================================================
``accuracy``      a molecule of at most seven heavy atoms: Fock matrix, ``|g|``, guard, properties
``transfer``      the same for eight and nine heavy atoms and alanine dipeptide
``ethanol``       the same for frames of ethanol and the model fine-tuned on it, if it is there
``warm``          plain PySCF from superposed atoms, core Hamiltonian and predicted density
``solver``        the two-level solver with the guess chosen automatically and without learning
``cold``          the same in processes of their own, which have to load the network first
``times``         predict mode, the cheap SCF and one exact Fock build
``equivariance``  turned, mirrored and renumbered molecules, in float64
``ladder``        every start and solver side by side
================  ===============================================================================
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, get_args

from genmol.benchmark import held_out
from genmol.benchmark.references import References
from genmol.benchmark.store import Store
from genmol.core.environment import CORE_PACKAGES, hardware, versions
from genmol.core.weights import shipped
from genmol.scf.certified import mean_field
from genmol.scf.learned import DEFAULT_MODEL, LearnedModel
from genmol.scf.settings import Settings

if TYPE_CHECKING:
    from genmol.benchmark.held_out import Geometry
    from genmol.benchmark.scf import Rows

__all__ = [
    "ETHANOL_MODEL", "LEARNED_SECTIONS", "LearnedPlan", "LearnedSection", "full_plan",
    "measure_learned", "quick_plan",
]  # fmt: skip

LearnedSection = Literal[
    "accuracy", "transfer", "ethanol", "warm", "solver", "cold", "times", "equivariance", "ladder",
]  # fmt: skip
LEARNED_SECTIONS: Final[tuple[LearnedSection, ...]] = get_args(LearnedSection)
ETHANOL_MODEL: Final = "hamiltonian-ethanol"


@dataclass(frozen=True)
class LearnedPlan:
    """What a run measures: keys of :func:`genmol.benchmark.held_out.by_key` by section.

    Attributes:
        scope: its name.
        keys: of the rows of each section.
    """

    scope: str
    keys: dict[LearnedSection, tuple[str, ...]]


def _hot(geometries: Iterable[Geometry]) -> tuple[str, ...]:
    return tuple(g.key for g in geometries if not g.key.endswith(" min"))


def full_plan() -> LearnedPlan:
    """Every held-out molecule: about two hours of one thread."""
    small, larger = held_out.small(), held_out.larger()
    dipeptide = held_out.twenty_two().key
    return LearnedPlan(
        "full",
        {
            "accuracy": tuple(g.key for g in small),
            "transfer": tuple(g.key for g in larger),
            "ethanol": tuple(g.key for g in held_out.ethanol()),
            "warm": _hot(small),
            "solver": _hot((*small, *larger)),
            "cold": ("CO min", "CCOCC min", dipeptide),
            "times": ("CO min", "CC(C)O min", "CCOCC min", "CCC1CN1C(C)=O min",
                      "CC(C)(C)OCC=O min", dipeptide, "CCC1C(O)C2CC12C min"),
            "equivariance": ("C#CC=O min", "CC#CC min", "c1cn[nH]n1 hot", "CCOCC hot"),
            "ladder": ("CO hot", "C#CC=O hot", "c1cn[nH]n1 hot", "N#CCCO hot"),
        },
    )  # fmt: skip


def quick_plan() -> LearnedPlan:
    """A handful of small molecules: a few minutes."""
    full = full_plan().keys
    return LearnedPlan(
        "quick",
        {
            "accuracy": ("CO hot", "C#CC=O hot", "CC#CC min", "N#CC1CN1 hot", "c1cn[nH]n1 min"),
            "transfer": ("Nc1nncc(F)c1O min",),
            "ethanol": full["ethanol"][:3],
            "warm": ("CO hot", "C#CC=O hot", "N#CC1CN1 hot"),
            "solver": ("CO hot", "C#CC=O hot", "N#CC1CN1 hot"),
            "cold": ("CO min",),
            "times": ("CO min", "CCOCC min"),
            "equivariance": ("C#CC=O min",),
            "ladder": ("CO hot",),
        },
    )


def measure_learned(
    plan: LearnedPlan,
    path: Path,
    *,
    model: str | None = None,
    cache: Path | None = None,
    repeat: int = 3,
    threads: int = 1,
    resume: bool = False,
    only: Iterable[LearnedSection] = LEARNED_SECTIONS,
    progress: Callable[[Rows, str, int], Rows] = lambda rows, *_: rows,
) -> dict[str, Any]:
    """Measure what ``path`` does not hold yet, keep every row, and return all of it.

    Args:
        plan: which molecules.
        path: JSON file.
        model: shipped name, folder or file; the shipped default if None.
        cache: folder of reference solutions, which do not depend on the model; beside the JSON file
            if None.
        repeat: runs of whatever is timed.
        threads: recorded; the caller has set them.
        resume: go on with an existing file.
        only: sections to measure.
        progress: wraps the rows of a section, given its name and the number of rows to come.

    Raises:
        InputError: no such model, or one of another level of theory; the file exists and is not to
            be resumed, or its conditions were others.
    """
    name = model or DEFAULT_MODEL
    learned = LearnedModel.load(name)
    store = Store(
        path,
        benchmark="learned",
        record=_conditions(learned, threads=threads, repeat=repeat),
        scope=plan.scope,
        resume=resume,
    )
    bench = _Bench(learned, name, References(cache or path.with_suffix("")), repeat)
    bench.warm_up()
    for section in only:
        done = store.rows(section)
        if section == "ethanol" and bench.ethanol is None:
            continue
        keys = [key for key in plan.keys[section] if key not in done]
        rows = ((key, bench.row(section, held_out.by_key(key))) for key in keys)
        for key, row in progress(rows, section, len(keys)):
            store.add(section, key, row)
    return store.data


def _conditions(model: LearnedModel, *, threads: int, repeat: int) -> dict[str, Any]:
    config = model.card["config"]
    tuned = LearnedModel.load(ETHANOL_MODEL).sha256 if ETHANOL_MODEL in shipped() else None
    return {
        "hardware": hardware(),
        "versions": versions(*CORE_PACKAGES),
        "threads": threads,
        "repeat": repeat,
        "model": {
            "name": model.name,
            "sha256": model.sha256,
            "kind": "flow" if config.get("flow") else "regression",
            "start": model.start,
            "megabytes": round(model.path.stat().st_size / 1e6, 1),
            "labels": model.card.get("data", {}).get("labels"),
        },
        "ethanol_sha256": tuned,
        "level": "b3lyp/def2-svp",
        "seeds": "0 for turns and random weights; all else is deterministic",
        "structures": held_out.held_out_hashes(),
        "baseline": "PySCF's defaults (conv_tol 1e-9, grid level 3), no checkpoint file",
    }


@dataclass(frozen=True)
class _Bench:
    """Makes rows of one model."""

    model: LearnedModel
    name: str
    references: References
    repeat: int

    @property
    def ethanol(self) -> LearnedModel | None:
        """The fine-tuned model, if it is shipped."""
        return LearnedModel.load(ETHANOL_MODEL) if ETHANOL_MODEL in shipped() else None

    def warm_up(self) -> None:
        """Load every library that a measured run uses, so that no row pays for an import."""
        from genmol.benchmark.learned_rows import solver_row

        water = held_out.water()
        self.model.predict(mean_field(water.atoms, Settings()))
        solver_row(water, self.name, repeat=1)

    def row(self, section: LearnedSection, geometry: Geometry) -> dict[str, Any]:
        """One row."""
        from genmol.benchmark import learned_rows as rows
        from genmol.benchmark.learned_ladder import ladder_row
        from genmol.benchmark.turned import equivariance_row

        model, name, references = self.model, self.name, self.references
        match section:
            case "accuracy" | "transfer":
                return rows.accuracy_row(geometry, references, model, name)
            case "ethanol":
                assert self.ethanol is not None
                return rows.accuracy_row(geometry, references, self.ethanol, ETHANOL_MODEL)
            case "warm":
                return rows.warm_row(geometry, references, model)
            case "solver":
                return rows.solver_row(geometry, name, repeat=self.repeat)
            case "cold":
                return rows.cold_row(geometry, name, repeat=self.repeat)
            case "times":
                return rows.times_row(geometry, model, name, repeat=self.repeat)
            case "equivariance":
                return equivariance_row(geometry, model)
            case "ladder":
                return ladder_row(geometry, references, model, name)
