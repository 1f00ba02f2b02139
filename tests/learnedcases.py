"""Small models of the Fock matrix for tests: random weights, and a stand-in that knows the answer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from pyscf import dft, gto

from genmol.core.jsonable import jsonable
from genmol.core.weights import save_weights
from genmol.qc.functional import resolve
from genmol.qc.orbitals import initial_fock
from genmol.scf import learned
from genmol.scf.examples import ExpectedLevel, FockExample
from genmol.scf.fock_model import FockModel, FockModelConfig
from genmol.scf.learned import LearnedModel

XC, BASIS = "pbe", "6-31g"
WATER = "O 0 0 0.12; H 0 0.76 -0.47; H 0 -0.76 -0.47"
SHELLS = {1: (0, 0), 8: (0, 0, 0, 1, 1)}


def save_model(
    path: Path,
    *,
    seed: int = 0,
    size: float = 1.0,
    start: str = "minao",
    xc: str = XC,
    basis: str = BASIS,
    shells: dict[int, tuple[int, ...]] = SHELLS,
    **card: Any,
) -> str:
    """Write a tiny model with random weights; ``size`` scales what it predicts. Returns its path."""
    top = 2 * max(max(s) for s in shells.values())
    config = FockModelConfig(
        shells, start=start, l_max=top, channels=4, other_channels=2,
        edge_channels=(8, 4, *[4] * top), product_channels=2, layers=1, n_radial=4, embedding=8,
    )  # fmt: skip
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = FockModel(config).float()
    with torch.no_grad():
        for name, value in model.named_buffers():
            if "head." in name and "scale" in name and value.is_floating_point():
                value.mul_(size)
        model.head.carried.weight.mul_(size)
        model.head.carried.bias.mul_(size)
    level = ExpectedLevel.from_record(resolve(xc).record(), basis)
    stated = {
        "class": "FockModel",
        "config": config.to_dict(),
        "units": {"fock": "hartree"},
        "data": {"atoms": [3, 9]},
        "metrics": {},
        "domain": {"elements": sorted(shells), "charges": [0], "level": jsonable(level)},
        "licence": "none",
        "reproduce": "tests/learnedcases.py",
    }
    save_weights(path, model.state_dict(), stated | card)
    return str(path.with_suffix(""))


def object_of(atom: str = WATER, *, xc: str = XC, basis: str = BASIS, **options: Any) -> Any:
    """PySCF's restricted Kohn-Sham object."""
    mf = dft.RKS(gto.M(atom=atom, basis=basis, verbose=0, **options))
    mf.xc = resolve(xc).code
    mf.grids.level = 1
    mf.chkfile = None
    return mf


def example_of(mf: Any, start: str = "minao", name: str = "water") -> FockExample:
    """The solved molecule; converges ``mf`` if it is not."""
    if not mf.converged:
        mf.kernel()
    fock = mf.get_fock()
    return FockExample(
        name, name, "test", mf.mol.atom_charges().astype(np.int64),
        mf.mol.atom_coords(unit="Angstrom"), mf.get_ovlp(), initial_fock(mf, start), fock,
        mf.mo_coeff, mf.mo_energy, mf.mol.nelectron // 2,
    )  # fmt: skip


def know(monkeypatch: Any, examples: list[FockExample], noise: float = 0.0) -> None:
    """Make every model answer with the true correction, plus asymmetric noise (Hartree)."""

    def correction(network: FockModel, batch: Any) -> torch.Tensor:
        positions = batch.graph.positions
        found = torch.zeros_like(batch.overlap)
        for k in range(len(batch.names)):
            own = positions[batch.graph.graph_index == k].double().numpy()
            (e,) = [
                e
                for e in examples
                if e.positions.shape == own.shape
                and np.allclose(e.positions[:, [1, 2, 0]], own, atol=1e-5)
            ]
            order = network.slots.order(e.numbers.tolist())
            delta = (e.fock - e.initial)[order][:, order]
            rng = np.random.default_rng(5)
            delta = delta + noise * rng.normal(size=delta.shape)
            found[k, : len(delta), : len(delta)] = torch.from_numpy(delta).to(found)
        return found

    monkeypatch.setattr(learned, "_correction", correction)


def model_at(path: str) -> LearnedModel:
    """Shorthand."""
    return LearnedModel.load(path)
