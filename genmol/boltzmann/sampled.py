"""A sampled molecule with everything that is handed over: draws, conformers, basins, certificate."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from genmol.boltzmann.certificate import BoltzmannCertificate
from genmol.boltzmann.check import Checked
from genmol.boltzmann.ensemble import Conformers, Ensemble
from genmol.boltzmann.views import MoleculeView
from genmol.chem.species import Species

__all__ = ["Given", "Sampled"]


@dataclass(frozen=True, eq=False)
class Given:
    """Conformers that a file gave to begin with.

    Attributes:
        labels: (f,) basin of each; −1 for one that no draw is in.
        energies: (f,) with the potential sampled, eV.
    """

    labels: NDArray[np.int64]
    energies: Float[NDArray[np.float64], " f"]


@dataclass(frozen=True, eq=False, kw_only=True)
class Sampled:
    """A molecule, sampled and certified.

    Attributes:
        species: the molecule.
        ensemble: all draws.
        delivered: conformers of equal weight.
        labels: (m,) basin of each draw, 0 the most populated one.
        names: of the basins: centres of their torsions in degrees.
        representatives: (b,) draw of the lowest energy in each basin.
        angles: (m, t) shape coordinates of the draws (:mod:`genmol.chem.shapes`), rad.
        folds: of these.
        certificate: verdict and reasons; its states are the basins.
        choice: which method was taken, and why.
        given: what the conformers of a file are; None without one.
    """

    species: Species
    ensemble: Ensemble
    delivered: Conformers
    labels: NDArray[np.int64]
    names: tuple[str, ...]
    representatives: NDArray[np.int64]
    angles: Float[Tensor, "m t"]
    folds: tuple[int, ...]
    certificate: BoltzmannCertificate
    choice: str
    given: Given | None = None

    @classmethod
    def of(
        cls,
        species: Species,
        ensemble: Ensemble,
        delivered: Conformers,
        checked: Checked,
        *,
        choice: str,
        given: Float[Tensor, "f n_atoms 3"],
        given_energies: Float[Tensor, " f"],
    ) -> Sampled:
        """Bring together what was sampled and what was found out about it.

        Args:
            species: the molecule.
            ensemble: all draws.
            delivered: conformers from it.
            checked: certificate and basins of the draws that were looked at.
            choice: a sentence about the method.
            given: conformers of a file, Å; none without one.
            given_energies: of each, eV.
        """
        view = MoleculeView.of(species)
        copies = view.copies(ensemble.positions)
        basins = checked.basins
        assert basins is not None  # of a molecule there always are
        labels = basins.label(copies)
        # a combination that was met only by draws that were not looked at: too rare to have a name
        labels = np.where(labels < 0, basins.count, labels)
        names = (*basins.names, "other") if labels.max() == basins.count else basins.names
        energies = ensemble.energies.numpy()
        order = np.lexsort((energies, labels))
        places = np.searchsorted(labels[order], np.arange(len(names)))
        return cls(
            species=species,
            ensemble=ensemble,
            delivered=delivered,
            labels=labels,
            names=names,
            representatives=order[places],
            angles=torch.from_numpy(copies[0]),
            folds=view.folds,
            certificate=checked.certificate,
            choice=choice,
            given=Given(basins.label(view.copies(given)), given_energies.numpy())
            if len(given)
            else None,
        )

    @property
    def delivered_labels(self) -> NDArray[np.int64]:
        """(n,) basin of each conformer delivered."""
        return np.asarray(self.labels[self.delivered.index.numpy()])
