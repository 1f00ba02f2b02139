r"""How good are scores from few frames? Potential score matching beside denoising, at equal compute.

One row is one training: from n frames with forces, by one rule, for the minutes of the plan. What it
generates, uncorrected, is held against frames that were not trained on:

- *distance TV*, between histograms of all distances;
- *energy W2* in kT, of a molecule over the frames that are the molecule, where GFN2 gives the forces in
  the file, so that its energies are those of the data;
- *torsions*, of a molecule: the Jensen-Shannon distance in bits^½ of histograms of 36 bins, mean over
  torsions, each turned by its fold so that equal rotamers are one.

Beside each stands its *floor*: as many frames of the data against the same ones.

Two particles in one place have an energy of 10¹⁸ kT, and W2 would be about the worst path alone. So
energies of more than 100 kT above the highest of the data are taken for that: such a frame has no weight,
whichever it is, and W2 counts how many there are.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, cast

import numpy as np
import torch
from jaxtyping import Bool, Float
from scipy.spatial.distance import jensenshannon
from torch import Tensor

from genmol.benchmark.psm_training import generated, toy_frames, trained
from genmol.boltzmann.conformer_psm import fold_of
from genmol.boltzmann.rules import Rule
from genmol.boltzmann.score_batch import Particles
from genmol.boltzmann.score_systems import particles_of_molecule, particles_of_toy
from genmol.chem.species import Species, species_from_atoms
from genmol.chem.torsions import dihedral, rotatable_torsions
from genmol.core.errors import InputError
from genmol.data.frames import Frames, read_frames
from genmol.potentials.gfn2 import Gfn2
from genmol.potentials.target import MoleculeTarget
from samplers.clusters import Cluster
from samplers.distances import distance_tv, wasserstein
from samplers.target import Target
from samplers.toys import TOYS

__all__ = ["MOLECULES", "POOL", "Look", "data_row", "differences"]

MOLECULES: Final = ("ethanol", "malonaldehyde", "aspirin", "Ac-Ala3-NHMe")
"""Ensembles that are read from files."""

POOL: Final = 1000
"""Frames that are trained on, at most; those after them are compared with."""

_BINS = 36
_HOPELESS = 100.0  # kT
_SAME_FORCE = 0.01  # eV/Å


@dataclass(frozen=True, eq=False)
class Look:
    """What is compared of frames.

    Attributes:
        x: all frames.
        weights: of the frames.
        inside: which are the molecule; all of a toy.
        energies: of those inside, kT; None without a potential.
        angles: of those inside, turned by their folds, rad; none of a toy.
    """

    x: Float[Tensor, "m n d"]
    weights: Float[Tensor, " m"]
    inside: Bool[Tensor, " m"]
    energies: Float[Tensor, " k"] | None
    angles: Float[Tensor, "k t"]

    @classmethod
    def of_toy(cls, toy: Target, x: Tensor) -> Look:
        """Exact energies."""
        m = len(x)
        inside = torch.ones(m, dtype=torch.bool)
        return cls(
            x, inside.double(), inside, -toy.log_density(x).double(), torch.zeros(m, 0).double()
        )

    @classmethod
    def of_molecule(
        cls, species: Species, target: MoleculeTarget | None, x: Tensor, weights: Tensor
    ) -> Look:
        """Brought to the forms of the reference.

        Args:
            species: the molecule.
            target: of the energies, if they are to be compared.
            x: positions, Å.
            weights: of the frames.
        """
        x, inside = fold_of(species)(x.double())
        torsions = rotatable_torsions(species)
        angles = dihedral(x[inside], [one.atoms for one in torsions] or np.zeros((0, 4), int))
        folds = torch.tensor([float(one.fold) for one in torsions], dtype=torch.float64)
        energies = None
        if target is not None:
            own = x[inside]
            energies = -target.log_density(own).double() if len(own) else own[:, 0, 0]
        return cls(x, weights, inside, energies, angles * folds)


def differences(found: Look, reference: Look) -> dict[str, float]:
    """Distances between what is generated and what should be; infinite or 1 where nothing is right.

    Args:
        found: generated frames.
        reference: frames of the data.
    """
    metrics = {
        "distance_tv": float(
            distance_tv(
                found.x, reference.x, weights=found.weights, reference_weights=reference.weights
            )
        )
    }
    w, v = found.weights[found.inside], reference.weights[reference.inside]
    if found.energies is not None and reference.energies is not None:
        highest = reference.energies.max() + _HOPELESS
        u = found.energies.nan_to_num(nan=math.inf).clamp_max(highest)
        metrics["energy_w2"] = (
            float(wasserstein(u, reference.energies, x_weights=w, y_weights=v))
            if len(w)
            else math.inf
        )
    if reference.angles.shape[1]:
        pairs = zip(found.angles.unbind(dim=1), reference.angles.unbind(dim=1), strict=True)
        apart = [
            float(jensenshannon(_shares(one, w), _shares(other, v), base=2)) if len(w) else 1.0
            for one, other in pairs
        ]
        metrics["torsion_js"] = float(np.mean(apart))
    return metrics


def _shares(angles: Tensor, weights: Tensor) -> np.ndarray:
    place = ((angles / (2 * math.pi) + 0.5) * _BINS).floor().long().remainder(_BINS)
    return torch.bincount(place, weights=weights, minlength=_BINS).numpy()


@dataclass(frozen=True, eq=False)
class _System:
    """A system with its data."""

    name: str
    frames: Frames
    system: Particles
    toy: Target | None
    species: Species | None
    target: MoleculeTarget | None

    @classmethod
    def of_toy(cls, name: str, count: int, cache: Path) -> _System:
        """Exact draws."""
        toy = TOYS[name]()
        assert isinstance(toy, Cluster)
        frames = toy_frames(name, count, cache)
        return cls(name, frames, particles_of_toy(toy.space), toy, None, None)

    @classmethod
    def of_file(cls, name: str, file: Path) -> _System:
        """An ensemble of a molecule, in an order of its own."""
        frames = read_frames([file])
        order = np.random.default_rng(0).permutation(frames.count)
        frames = frames.take(order)
        species = species_from_atoms(frames.atoms(0))
        target = MoleculeTarget.at(Gfn2(), frames.atoms(0), temperature=frames.temperature)
        x = torch.from_numpy(frames.positions[:1]).double()
        forces = torch.from_numpy(frames.forces[:1]).double()
        own = target.evaluate(x).gradient * target.kT
        same = bool((own - forces).abs().max() < _SAME_FORCE)
        system = particles_of_molecule(species)
        return cls(name, frames, system, None, species, target if same else None)

    def look(self, x: Tensor, weights: Tensor) -> Look:
        """At frames of it."""
        if self.toy is not None:
            return Look.of_toy(self.toy, x)
        assert self.species is not None
        return Look.of_molecule(self.species, self.target, x, weights)

    def kept(self, first: int, last: int) -> Look:
        """At frames of the data."""
        x = torch.from_numpy(self.frames.positions[first:last]).double()
        return self.look(x, torch.from_numpy(self.frames.weights[first:last]).double())


def data_row(
    key: str,
    *,
    minutes: float,
    steps: int,
    count: int,
    cache: Path,
    data: Path | None = None,
    options: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """One training and what it generates.

    Args:
        key: ``SYSTEM N RULE SEED``.
        minutes: of the training.
        steps: of a path.
        count: frames to generate, and to compare with.
        cache: folder of the toys' frames.
        data: folder of the molecules' frames.
        options: further fields of the recipe.
    """
    name, frames, rule, seed = key.split(" ")
    n = int(frames)
    if name in MOLECULES:
        file = _file(name, data)
        if file is None:
            where = "no --data" if data is None else f"{name}.extxyz and .npz not in --data"
            return {"skipped": where}
        own = _System.of_file(name, file)
        count = min(count, (own.frames.count - POOL) // 2)
        if count < 1:
            raise InputError(
                got=f"{own.frames.count} frames in {file}",
                wanted=f"more than {POOL + 2}: {POOL} to train on, and others to compare with",
                remedy="genmol sample with a larger --n",
            )
    else:
        own = _System.of_toy(name, POOL + 2 * count, cache)
    pool = own.frames.take(np.arange(POOL)).limited(n, seed=int(seed))
    toy = None if own.toy is None else name
    learnt = trained(
        pool, rule=cast("Rule", rule), minutes=minutes, seed=int(seed), toy=toy, options=options
    )
    generator = learnt.generator(own.system, steps=steps, seed=int(seed))
    x, seconds = generated(generator, count, seed=1000 + int(seed))
    found = own.look(x, torch.ones(count, dtype=torch.float64))
    reference = own.kept(POOL, POOL + count)
    return {
        "system": name,
        "frames": n,
        "rule": rule,
        "seed": int(seed),
        "generated": count,
        "path_steps": steps,
        "generation_seconds": seconds,
        "training": learnt.summary(),
        "data": own.frames.sha256,
        "inside": float(found.inside.double().mean()),
        "metrics": differences(found, reference),
        "floor": differences(own.kept(POOL + count, POOL + 2 * count), reference),
    }


def _file(name: str, data: Path | None) -> Path | None:
    if data is None:
        return None
    files = [data / f"{name}{end}" for end in (".extxyz", ".npz")]
    return next((file for file in files if file.exists()), None)
