"""A trained model of the Fock matrix at work: where it may be asked, and what it answers.

>>> model = LearnedModel.load("hamiltonian-small")
>>> model.domain(mf)  # None, or why it does not apply to this PySCF object
>>> answer = model.predict(mf)
>>> mf.kernel(dm0=answer.density)

The card alone answers :meth:`LearnedModel.domain`; torch is imported, which takes two seconds, and
the network built when the first matrix is to be predicted.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, cast

import numpy as np
from ase.data import chemical_symbols
from jaxtyping import Float

from genmol.core.errors import DeliveryError, InputError
from genmol.core.weights import Card, find_weights, load_weights, read_card, restore
from genmol.qc.cheap import CheapLevel
from genmol.qc.domain import basis_fault, numbers, object_fault
from genmol.qc.functional import functional_of
from genmol.qc.molecule import positions
from genmol.qc.options import Start
from genmol.qc.orbitals import initial_fock
from genmol.scf.examples import ExpectedLevel, FockExample, FockInput
from genmol.scf.overlap_filter import DEFAULT_WIDTH, OverlapBasis

if TYPE_CHECKING:
    from torch import Tensor

    from genmol.scf.fock_batch import FockBatch
    from genmol.scf.fock_model import FockModel

__all__ = ["DEFAULT_MODEL", "LearnedFock", "LearnedModel", "Seconds"]

DEFAULT_MODEL = "hamiltonian-small"
"""Of the shipped models, for guesses and predictions."""

_EDGES = 4000  # of a batch: its features take some 200 MB
_WAITING = 64  # molecules collected before they are sorted into batches


class Seconds(NamedTuple):
    """Processor seconds of a prediction.

    Attributes:
        initial: overlap and initial Fock matrix; 0 where they were given.
        network: batch and network, its share of them.
        diagonalisation: filter and orbitals.
    """

    initial: float
    network: float
    diagonalisation: float


@dataclass(frozen=True, eq=False)
class LearnedFock:
    """A predicted Fock matrix with its orbitals; n atomic orbitals, PySCF's order.

    Attributes:
        fock: Hartree; what was predicted is damped along small eigenvalues of S.
        energies: of the orbitals, ascending, Hartree.
        coefficients: of the orbitals, one a column; S-orthonormal.
        n_occupied: doubly occupied orbitals.
        spread: mean difference of the network's two estimates of an element, Hartree.
        shared: smallest squared cosine between the occupied space and that of the initial Fock
            matrix: near 0 if an orbital belongs to no state of the molecule.
        seconds: what it took.
    """

    fock: Float[np.ndarray, "n n"]
    energies: Float[np.ndarray, "n"]
    coefficients: Float[np.ndarray, "n n"]
    n_occupied: int
    spread: float
    shared: float
    seconds: Seconds

    @property
    def density(self) -> Float[np.ndarray, "n n"]:
        """Of the lowest orbitals, doubly occupied; idempotent, for ``mf.kernel(dm0=...)``."""
        occupied = self.coefficients[:, : self.n_occupied]
        return 2 * occupied @ occupied.T

    @property
    def gap(self) -> float:
        """Lowest empty minus highest occupied energy, Hartree; infinite without either."""
        n = self.n_occupied
        return (
            float(self.energies[n] - self.energies[n - 1]) if 0 < n < len(self.energies) else np.inf
        )


class LearnedModel:
    """Verified weights, the rules where they hold, and the network once it is needed.

    Args:
        path: the safetensors file.
        card: its card.
        precision: of the network.
    """

    def __init__(
        self, path: Path, card: Card, *, precision: Literal["float32", "float64"] = "float32"
    ) -> None:
        self.path, self.card, self.precision = path, card, precision
        self.spent_seconds, self.spent_edges = 0.0, 0  # on starts and network, all predictions

    @classmethod
    def load(cls, name_or_path: str | os.PathLike[str] = DEFAULT_MODEL) -> LearnedModel:
        """The model of a shipped name, a folder or a file; read once a process.

        Raises:
            InputError: not found, damaged, of another class, or newer than this version.
        """
        path = find_weights(name_or_path).resolve()
        stamps = [(f.stat().st_mtime_ns, f.stat().st_size) for f in (path, path.with_suffix(".json"))
                  if f.exists()]  # fmt: skip
        return _load(path, tuple(stamps))

    @property
    def name(self) -> str:
        """As the report calls it."""
        return self.path.stem

    @property
    def sha256(self) -> str:
        """Of the weights."""
        return str(self.card["sha256"])

    @property
    def start(self) -> Start:
        """Which initial Fock matrix it corrects."""
        return cast("Start", self.card["config"].get("start", "minao"))

    @property
    def width(self) -> float:
        """λ of :mod:`genmol.scf.overlap_filter`."""
        return float(self.card.get("filter", {}).get("width", DEFAULT_WIDTH))

    @property
    def elements(self) -> tuple[int, ...]:
        """Atomic numbers it was trained on."""
        return tuple(sorted(int(z) for z in self.card["domain"]["elements"]))

    @property
    def charges(self) -> tuple[int, ...]:
        """Total charges (e) it was trained on."""
        domain = self.card["domain"]
        return tuple(int(q) for q in domain.get("charges", [domain.get("charge", 0)]))

    @cached_property
    def level(self) -> ExpectedLevel:
        """The level of theory whose Fock matrix it predicts."""
        domain = self.card["domain"]
        try:
            if isinstance(stated := domain.get("level"), dict):
                return ExpectedLevel.from_record(stated, stated["basis"])
            return ExpectedLevel.from_record(domain["functional"], domain["basis"])
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(
                got=f"the weights {self.path}, whose card does not say for which level of theory",
                wanted="functional and basis as genmol train writes them",
                remedy="train the model again",
            ) from error

    @property
    def about(self) -> str:
        """The domain in words."""
        known = ", ".join(chemical_symbols[z] for z in self.elements)
        charges = ", ".join(f"{q:+d}" if q else "0" for q in self.charges)
        return f"closed-shell molecules of {known} with charge {charges} at {self.level}"

    def domain(self, mf: Any) -> str | None:
        """Why the model does not apply to the PySCF object ``mf``; None if it does."""
        if fault := object_fault(mf):
            return fault
        found = numbers(mf.mol)
        if unknown := sorted(set(found.tolist()) - set(self.elements)):
            listed = " and ".join(chemical_symbols[z] for z in unknown)
            known = ", ".join(chemical_symbols[z] for z in self.elements)
            return f"{self.name} knows {known}, not {listed}"
        if mf.mol.charge not in self.charges:
            return f"{self.name} was not trained on charge {mf.mol.charge:+d}"
        if fault := basis_fault(mf.mol, self.level.basis):
            return f"{self.name} is for {self.level}; {fault}"
        level = ExpectedLevel.from_record(functional_of(mf).record(), self.level.basis)
        if level != self.level:
            return f"{self.name} is for {self.level}, not for {level}"
        return None

    def check(self, mf: Any) -> None:
        """Refuse what lies outside the domain.

        Raises:
            InputError: why, and what to do.
        """
        if reason := self.domain(mf):
            raise InputError(
                got=f"a molecule to which the trained model does not apply: {reason}",
                wanted=self.about,
                remedy="solve it without --mode predict, or train a model on labels of your own "
                "(genmol label, genmol train hamiltonian) and name it with --model",
            )

    @property
    def running(self) -> bool:
        """Whether the network is in memory already."""
        return "network" in vars(self)

    @cached_property
    def network(self) -> FockModel:
        """The network, ready to predict; built when first asked for."""
        import torch

        from genmol.scf.fock_model import FockModel, FockModelConfig

        weights = load_weights(self.path, expected_class="FockModel")
        with torch.random.fork_rng(devices=[]):  # its initial weights are overwritten
            network = FockModel(FockModelConfig.from_dict(weights.card["config"]))
        network = network.to(getattr(torch, self.precision))
        restore(network, weights)
        return network.eval().requires_grad_(False)

    def predict(
        self,
        mf: Any,
        *,
        cheap: CheapLevel | None = None,
        initial: Float[np.ndarray, "n n"] | None = None,
    ) -> LearnedFock:
        """The Fock matrix and orbitals of one PySCF object, which is not changed.

        Args:
            mf: within the domain.
            cheap: a cheap level of ``mf``; made if needed.
            initial: the initial Fock matrix (Hartree), if it is known already.

        Raises:
            InputError: outside the domain.
        """
        (answer,) = self._answers([self._input(mf, cheap, initial)])
        return answer

    def predict_many(self, problems: Iterable[Any]) -> Iterator[LearnedFock]:
        """:meth:`predict` for many PySCF objects, in their order, batched by size."""
        waiting: list[_Asked] = []
        for mf in problems:
            waiting.append(self._input(mf, None, None))
            if len(waiting) == _WAITING:
                yield from self._sorted_answers(waiting)
                waiting = []
        yield from self._sorted_answers(waiting)

    def predict_examples(self, examples: Iterable[FockExample]) -> Iterator[LearnedFock]:
        """Predictions for solved molecules, whose solutions the network does not see."""
        waiting = [
            _Asked(
                FockInput(e.name, e.numbers, e.positions, e.overlap, e.initial), e.n_occupied, 0.0
            )
            for e in examples
        ]
        yield from self._sorted_answers(waiting)

    def damped(self, width: float) -> LearnedModel:
        """The same model with another λ; to find the best one."""
        card = {**self.card, "filter": {"width": width}}
        other = LearnedModel(self.path, card, precision=self.precision)
        if self.running:
            other.network = self.network
        return other

    def _input(
        self, mf: Any, cheap: CheapLevel | None, initial: Float[np.ndarray, "n n"] | None
    ) -> _Asked:
        self.check(mf)
        began = time.process_time()
        if initial is None:
            initial = initial_fock(mf, self.start, cheap=cheap)
        molecule = FockInput("", numbers(mf.mol), positions(mf.mol), mf.get_ovlp(), initial)
        return _Asked(molecule, mf.mol.nelectron // 2, time.process_time() - began)

    def _sorted_answers(self, asked: Sequence[_Asked]) -> Iterator[LearnedFock]:
        order = sorted(range(len(asked)), key=lambda i: len(asked[i].molecule.numbers))
        answers: dict[int, LearnedFock] = {}
        batch: list[int] = []
        for i in [*order, None]:
            edges = 0 if i is None else (len(batch) + 1) * len(asked[i].molecule.numbers) ** 2
            if batch and (i is None or edges > _EDGES):
                answers |= zip(batch, self._answers([asked[k] for k in batch]), strict=True)
                batch = []
            if i is not None:
                batch.append(i)
        yield from (answers[i] for i in range(len(asked)))

    def _answers(self, asked: Sequence[_Asked]) -> list[LearnedFock]:
        import torch

        from genmol.scf.fock_batch import FockBatch

        network = self.network
        began = time.process_time()
        with torch.inference_mode():
            batch = FockBatch.collate(
                [a.molecule for a in asked],
                network.slots,
                cutoff=network.config.cutoff,
                dtype=getattr(torch, self.precision),
            )
            delta = _correction(network, batch)
        seconds = time.process_time() - began
        edges = batch.graph.edge_index.shape[1]
        self.spent_seconds += seconds + sum(a.seconds for a in asked)
        self.spent_edges += edges
        answers = []
        for k, a in enumerate(asked):
            share = len(a.molecule.numbers) ** 2 / sum(len(b.molecule.numbers) ** 2 for b in asked)
            raw = batch.matrix(delta, k, network.slots)
            answers.append(self._diagonalised(a, raw, seconds * share))
        return answers

    def _diagonalised(self, asked: _Asked, raw: np.ndarray, seconds: float) -> LearnedFock:
        """From a correction before symmetrisation to orbitals."""
        began = time.process_time()
        if not np.isfinite(raw).all():
            raise DeliveryError(
                got=f"a correction from {self.name} that is not finite",
                wanted="finite numbers",
                remedy="check the geometry; else take another model or an unlearned guess",
            )
        spread = float(np.abs(raw - raw.T).mean() / 2)
        basis = OverlapBasis(asked.molecule.overlap)
        fock = asked.molecule.initial + basis.damped((raw + raw.T) / 2, self.width)
        energies, coefficients = basis.diagonalise(fock)
        n = asked.n_occupied
        _, start = basis.diagonalise(asked.molecule.initial)
        cosines = start[:, :n].T @ asked.molecule.overlap @ coefficients[:, :n]
        shared = float(np.linalg.svd(cosines, compute_uv=False).min(initial=1.0) ** 2)
        spent = Seconds(asked.seconds, seconds, time.process_time() - began)
        return LearnedFock(fock, energies, coefficients, n, spread, shared, spent)


@dataclass(frozen=True)
class _Asked:
    molecule: FockInput
    n_occupied: int
    seconds: float


@lru_cache(maxsize=4)
def _load(path: Path, stamps: tuple[tuple[int, int], ...]) -> LearnedModel:  # noqa: ARG001
    return LearnedModel(path, read_card(path, expected_class="FockModel"))


def _correction(network: FockModel, batch: FockBatch) -> Tensor:
    """ΔH before symmetrisation. A flow starts at the mean of its prior, which every rotation keeps."""
    if not network.config.flow:
        return network.unsymmetrised(batch)
    time_ = batch.overlap.new_full((len(batch.names),), 0.01)
    return network.unsymmetrised(batch, batch.overlap.new_zeros(batch.overlap.shape), time_)
